"""Notices as signed posts: to a real receiver over TLS, tried again, and never to places that are not public."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from saas import outbound
from saas.errors import Conflict, Unavailable
from saas.outbound import Mailer, Poster, is_public
from saas.tenants import ledger, notices, outbox, platform, webhooks
from saas.tenants.notices import Notice
from saas.tenants.scope import PlatformScope, Scope, platform_scope
from saas.tenants.webhooks import WebhookForm
from saas.values import utcnow
from tests.receiver import Receiver, receiver
from tests.world import Business, make_business


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Receiver]:
    async with receiver(tmp_path) as found:
        yield found


@pytest.fixture
async def posting(alone: PlatformScope, hook: Receiver, tmp_path: Path) -> PlatformScope:
    """The platform with a poster that trusts the receiver, and nothing that waits. Its mails are files."""
    await alone.db.notices.delete_many({})
    return platform_scope(replace(alone.services, poster=hook.poster, mailer=Mailer(folder=tmp_path / "mails")))


def mailed(folder: Path) -> list[tuple[str, str]]:
    """To whom mails went, and what they say."""
    texts = [path.read_bytes() for path in sorted((folder / "mails").glob("*.eml"))]
    mails = [email.message_from_bytes(each, policy=email.policy.default) for each in texts]
    return [(str(mail["To"]), f"{mail['Subject']}\n{mail.get_content()}") for mail in mails]


@pytest.fixture
async def acme(posting: PlatformScope, hook: Receiver) -> Business:
    """A business with that webhook, whose Alice has no mail address."""
    business = await make_business(posting, "acme")
    return await hooked(posting, business, hook.url)


async def hooked(ps: PlatformScope, business: Business, url: str) -> Business:
    """The business with a webhook at an address that no tenant could enter."""
    await webhooks.save(business.scope, WebhookForm(url="https://example.com/"))
    tenant = await ps.db.tenants.update(business.id, {"$set": {"webhook.url": url}})
    return replace(business, scope=ps.enter(tenant, business.scope.actor))


async def pay(business: Business, key: str = "pay") -> None:
    await ledger.post(business.scope, "payment", 1234, key=key, member_id=business.account["member_id"])


async def again(ps: PlatformScope, business: Business) -> Business:
    """The business as it is stored now."""
    tenant = await ps.db.tenants.get(business.id)
    return replace(business, scope=ps.enter(tenant, business.scope.actor))


async def stored(ps: PlatformScope, business: Business) -> Any:
    return (await ps.db.tenants.get(business.id))["webhook"]


async def rows(scope: Scope) -> list[Notice]:
    return await scope.db.notices.find(sort=[("_id", 1)])


async def overdue(ps: PlatformScope) -> None:
    await ps.db.notices.update_many({"state": "waiting"}, {"$set": {"next_at": utcnow() - timedelta(seconds=1)}})


def signature_by_the_standard(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """As a receiver reckons it, from the text of Standard Webhooks."""
    key = base64.b64decode(secret.split("_", 1)[1])
    return base64.b64encode(hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, "sha256").digest()).decode()


async def test_a_payment_is_posted_signed_and_whole(acme: Business, posting: PlatformScope, hook: Receiver) -> None:
    await pay(acme)
    assert await outbox.send_due(posting) == 1
    ((headers, body),) = hook.posts
    (row,) = await rows(acme.scope)
    assert (row["channel"], row["state"], row["to"]) == ("webhook", "sent", hook.url)
    assert headers["webhook-id"] == row["_id"]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    expected = signature_by_the_standard(webhooks.secret(acme.scope), row["_id"], headers["webhook-timestamp"], body)
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["Content-Type"] == "application/json"
    event = json.loads(body)
    assert (event["type"], event["timestamp"]) == ("payment.succeeded", row["created_at"].isoformat())
    assert event["data"]["amount"] == {"amount": 1234, "currency": "CNY"}
    assert event["data"]["member"] == "alice" and event["data"]["member_id"] == acme.account["member_id"]


async def test_a_receiver_in_trouble_is_tried_again_with_the_same_id_and_body(
    acme: Business, posting: PlatformScope, hook: Receiver
) -> None:
    hook.answers = [500, 302, 200]
    await pay(acme)
    for expected in ("500", "302"):
        assert await outbox.send_due(posting) == 0
        (row,) = await rows(acme.scope)
        assert (row["state"], row["error"], row["answer"]) == ("waiting", "answered", expected)
        assert await outbox.send_due(posting) == 0, "not before its time"
        await overdue(posting)
    assert await outbox.send_due(posting) == 1
    assert len(hook.posts) == 3 and len({(headers["webhook-id"], body) for headers, body in hook.posts}) == 1


@pytest.mark.parametrize(
    ("answer", "asked", "minutes", "spared"),
    [
        (429, "30", 1, True),
        (429, "1800", 30, True),
        (503, "{date}", 60, True),
        (503, "999999999999", 1440, True),
        (503, "soon", 1, False),
        (500, "1800", 1, False),
    ],
)
async def test_who_asks_to_be_left_alone_is_for_a_day_at_most(
    acme: Business, posting: PlatformScope, hook: Receiver, answer: int, asked: str, minutes: int, spared: bool
) -> None:
    hook.answers, hook.retry_after = [answer], asked.format(date=format_datetime(utcnow() + timedelta(hours=1), True))
    for key in ("p1", "p2"):
        await pay(acme, key)
    expected = utcnow() + timedelta(minutes=minutes)
    await outbox.send_due(posting)
    found = await rows(acme.scope)
    assert [row["tries"] for row in found] == ([1, 0] if spared else [1, 1]), "who asked is not asked for the next one"
    assert all(abs(row["next_at"] - expected) < timedelta(seconds=30) for row in found)


async def test_gone_is_gone_until_it_is_switched_on_again(
    acme: Business, posting: PlatformScope, hook: Receiver, tmp_path: Path
) -> None:
    hook.answers = [410, 200]
    for key in ("p1", "p2"):
        await pay(acme, key)
    await outbox.send_due(posting)
    assert [(row["state"], row["tries"], row["answer"]) for row in await rows(acme.scope)] == [
        ("failed", 1, "410"),
        ("waiting", 0, ""),
    ]
    await overdue(posting)
    await outbox.send_due(posting)
    assert [(row["state"], row["error"]) for row in await rows(acme.scope)] == [
        ("failed", "gone"),
        ("failed", "webhook_off"),
    ]
    assert len(hook.posts) == 1
    (entry,) = await acme.scope.db.audit.find({"action": "webhook.switch_off"})
    assert (entry["actor_kind"], entry["target_name"], entry["changes"]["off"]) == ("system", hook.url, [None, "gone"])
    ((to, said),) = mailed(tmp_path)
    assert to == await platform.owner_email(posting, acme.scope.tenant) and hook.url in said and "410" in said
    now = await again(posting, acme)
    await pay(now, "p3")
    assert len(await rows(acme.scope)) == 2, "what happens meanwhile is not posted"
    await webhooks.switch_on(now.scope)
    await pay(await again(posting, acme), "p4")
    assert await outbox.send_due(posting) == 1 and len(hook.posts) == 2


async def test_one_that_takes_nothing_for_three_days_is_switched_off(
    acme: Business, posting: PlatformScope, hook: Receiver, tmp_path: Path
) -> None:
    async def last_try(key: str, since: timedelta) -> str:
        """A notice's last try, of a webhook that has failed for so long; why it is off then."""
        await pay(await again(posting, acme), key)
        await posting.db.notices.update_many({"state": "waiting"}, {"$set": {"tries": outbox.TRIES - 1}})
        await posting.db.tenants.update(acme.id, {"$set": {"webhook.failing_since": utcnow() - since}})
        await outbox.send_due(posting)
        return str((await stored(posting, acme)).get("off", ""))

    hook.answers = [500]
    await pay(acme)
    await outbox.send_due(posting)
    assert abs((await stored(posting, acme))["failing_since"] - utcnow()) < timedelta(seconds=30)
    await acme.scope.db.notices.delete_many({})
    assert await last_try("p1", timedelta(days=2)) == "", "something was taken after that notice was first tried"
    hook.answers = [200]
    assert await last_try("p2", timedelta(days=4)) == ""
    assert (await stored(posting, acme))["failing_since"] is None
    hook.answers = [500]
    assert mailed(tmp_path) == []
    assert await last_try("p3", timedelta(days=4)) == "failing"
    assert [hook.url in said for _, said in mailed(tmp_path)] == [True]
    assert await acme.scope.db.audit.count({"action": "webhook.switch_off"}) == 1
    await webhooks.save((await again(posting, acme)).scope, WebhookForm(url="https://example.com/new"))
    assert webhooks.url((await again(posting, acme)).scope) == "https://example.com/new"


async def test_one_that_does_not_answer_holds_up_nobody_else(
    acme: Business, posting: PlatformScope, hook: Receiver
) -> None:
    other = await hooked(posting, await make_business(posting, "zeta"), "https://127.0.0.1:9/")
    dead = platform_scope(replace(posting.services, poster=Poster(frozenset({"127.0.0.1:9"}))))
    for number in range(3):
        await pay(other, f"p{number}")
    assert await outbox.send_due(dead) == 0
    assert [row["tries"] for row in await rows(other.scope)] == [1, 0, 0]
    await pay(acme)
    assert await outbox.send_due(posting) == 1


async def test_a_certificate_of_a_stranger_is_not_believed(
    acme: Business, posting: PlatformScope, hook: Receiver
) -> None:
    place = hook.url.split("/")[2]
    with pytest.raises(Unavailable) as caught:
        await Poster(frozenset({place})).post(hook.url, {}, b"")
    assert "CERTIFICATE_VERIFY_FAILED" in caught.value.data["answer"]
    assert hook.posts == []


async def test_a_webhook_that_was_taken_away_is_told_of(acme: Business, posting: PlatformScope, hook: Receiver) -> None:
    await pay(acme)
    await webhooks.save(acme.scope, WebhookForm(url=""))
    await outbox.send_due(posting)
    (row,) = await rows(acme.scope)
    assert (row["state"], row["error"]) == ("failed", "no_webhook")
    with pytest.raises(Conflict):
        tenant = await posting.db.tenants.get(acme.id)
        await notices.tell_webhook(posting.enter(tenant, acme.scope.actor), "payment")


async def test_a_new_secret_signs_from_then_on_and_the_former_one_for_a_day(
    acme: Business, posting: PlatformScope, hook: Receiver
) -> None:
    async def signatures(secrets: list[str]) -> tuple[str, str]:
        """What signs a post, and what would by these secrets."""
        await notices.tell_webhook((await again(posting, acme)).scope, "expiring")
        await outbox.send_due(posting)
        headers, body = hook.posts[-1]
        assert json.loads(body)["data"]["test"] is True
        particulars = headers["webhook-id"], headers["webhook-timestamp"], body
        return headers["webhook-signature"], " ".join(
            f"v1,{signature_by_the_standard(secret, *particulars)}" for secret in secrets
        )

    old = webhooks.secret(acme.scope)
    await webhooks.rotate(acme.scope)
    scope = (await again(posting, acme)).scope
    new = webhooks.secret(scope)
    assert new != old and webhooks.url(scope) == hook.url
    signed, expected = await signatures([new, old])
    assert signed == expected
    until = webhooks.former_until(scope)
    assert until and abs(until - utcnow() - timedelta(hours=24)) < timedelta(seconds=30)
    await posting.db.tenants.update(acme.id, {"$set": {"webhook.former_until": utcnow()}})
    signed, expected = await signatures([new])
    assert signed == expected
    changes = [entry["changes"] for entry in await scope.db.audit.find({"noun": "webhook"})]
    assert all("whsec" not in str(each) and "sealed_secret" in each for each in changes)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:192.168.0.1]/",
        "http://192.0.2.1/",
        "https://8.8.8.8:22/",
        "http://8.8.8.8:443/",
    ],
)
async def test_what_is_not_public_is_never_called(url: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await Poster().post(url, {}, b"")
    assert (caught.value.data["cause"], caught.value.data["final"]) == ("not_public", True)


async def test_a_name_with_one_private_address_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(name: str, patience: float) -> frozenset[str]:
        return frozenset({"8.8.8.8", "127.0.0.1"})

    monkeypatch.setattr(outbound, "resolve", resolve)
    with pytest.raises(Unavailable) as caught:
        await Poster().post("https://example.com/", {}, b"")
    assert caught.value.data["cause"] == "not_public"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("100.64.0.1", False),
        ("172.16.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),  # Teredo
        ("64:ff9b::7f00:1", False),  # NAT64 of 127.0.0.1
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_no_header_is_smuggled_in() -> None:
    with pytest.raises(Unavailable) as caught:
        await Poster().post("https://8.8.8.8/", {"a": "b\r\nHost: other"}, b"")
    assert "characters" in caught.value.data["answer"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://user:password@example.com/",
        "https://example.com:22/",
        "https://example.com:99999/",
        "https://example.com/a b",
        "https://example.com/\r\nx",
        "https://bücher.example/",
        "https:///path",
        "ftp://example.com",
        "example.com",
    ],
)
def test_addresses_that_are_refused_at_once(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookForm(url=url)


@pytest.mark.parametrize("url", ["", "https://example.com", "https://example.com:8443/a?b=c", "https://8.8.8.8/"])
def test_addresses_that_are_taken(url: Any) -> None:
    assert WebhookForm(url=url).url == url
