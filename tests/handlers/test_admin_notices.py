"""Notices in the console: the list with what failed, texts with their preview, tests to oneself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from saas.outbound import Mailer
from saas.tenants import ledger, members, notices_texts, outbox
from saas.tenants.members import MemberForm
from saas.tenants.scope import PlatformScope, Scope, platform_scope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import new_system
from tests.postbox import Postbox, postbox
from tests.world import World

EN = {"Accept_Language": "en"}
TEXT = {"subject": "Dear {name}", "text": "{account} ends on {expires}.\r\n\r\nCall {system}."}


@pytest.fixture
def admin(cast: World) -> str:
    return f"/t/{cast.acme.slug}/admin"


@pytest.fixture
def scope(cast: World) -> Scope:
    return cast.acme.scope


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture
async def mailing(ps: PlatformScope, box: Postbox) -> PlatformScope:
    """The platform with that mail server, and nothing that other tests left to be sent."""
    await ps.db.notices.delete_many({"state": "waiting"})
    return platform_scope(replace(ps.services, mailer=Mailer(box.url, "no-reply@example.com")))


async def test_what_failed_is_seen_with_its_reason_and_sent_again(
    owner: Browser, admin: str, cast: World, mailing: PlatformScope, box: Postbox, expect_log: Callable[[str], None]
) -> None:
    expect_log("was not sent")
    scope, member_id = cast.acme.scope, cast.acme.account["member_id"]
    await members.update(scope, member_id, MemberForm(name="Alice", email="gone@example.net", language="en"))
    box.refused["gone@example.net"] = "550 no <such> user"
    await ledger.post(scope, "payment", 100, key="notices-1", member_id=member_id)
    await outbox.send_due(mailing)
    shown = text(await owner.get(f"{admin}/notices?state=failed&kind=payment", **EN))
    for words in (
        "Payment received",
        "gone@example.net",
        "Failed",
        "is the address right?",
        "550 no &lt;such&gt; user",
    ):
        assert words in shown, words
    (row,) = await scope.db.notices.find({"occasion": "notices-1"})
    box.refused.clear()
    assert (await owner.post(f"{admin}/notices/{row['_id']}/resend")).code == 303
    assert (await owner.post(f"{admin}/notices/{row['_id']}/resend")).code == 409
    await outbox.send_due(mailing)
    assert len(box.to("gone@example.net")) == 1
    assert "550 no" not in text(await owner.get(f"{admin}/notices?q=alice", **EN))
    assert "Sent a notice again" in text(await owner.get(f"{admin}/log", **EN))


async def test_a_text_is_written_shown_sent_and_given_up(
    owner: Browser, admin: str, scope: Scope, mailing: PlatformScope, box: Postbox
) -> None:
    page = f"{admin}/notices/texts/expiring-en"
    shown = text(await owner.get(page, **EN))
    assert "your plan ends on {expires}" in shown and "{days}" in shown and "Use the default text" not in shown
    assert (await owner.post(page, TEXT)).code == 303
    assert "Own text" in text(await owner.get(f"{admin}/notices/texts", **EN))
    assert "Dear {name}" in text(await owner.get(page, **EN))
    assert (await owner.post(f"{page}/test")).code == 303
    await outbox.send_due(mailing)
    (mail,) = box.to(scope.actor.name)
    assert mail["Subject"] == "Dear Alice"
    assert mail.get_content().startswith("alice ends on 20") and mail.get_content().strip().endswith("Call Acme.")
    assert (await owner.post(f"{page}/default")).code == 303
    assert "Own text" not in text(await owner.get(f"{admin}/notices/texts", **EN))
    assert await notices_texts.current(scope, "expiring", "en") == notices_texts.default("expiring", "en")


async def test_a_name_that_is_not_known_is_refused_and_the_known_ones_are_told(
    owner: Browser, admin: str, scope: Scope
) -> None:
    page = f"{admin}/notices/texts/payment-zh"
    answer = await owner.post(page, {"subject": "Hi", "text": "{name} {days} {name.__class__}"}, **EN)
    assert answer.code == 409
    told = "This text cannot name {days}, {name.__class__}. It can name {system}, {name}, {member}, {amount}"
    assert told in text(answer)
    assert await notices_texts.own(scope, "payment", "zh") is None


async def test_the_preview_shows_words_for_names_and_runs_nothing(owner: Browser, admin: str) -> None:
    draft = {"subject": "{name}", "text": "<b>${1+1} {days} {0} {nobody} {name!r}"}
    shown = text(await owner.post(f"{admin}/notices/texts/expiring-en/preview", draft, HX_Request="true", **EN))
    assert "&lt;b&gt;${1+1} 3 {0} {nobody} {name!r}" in shown
    assert "This text cannot name {1+1}, {0}, {nobody}, {name!r}." in shown


async def test_bad_input_is_told_at_the_field(owner: Browser, admin: str, scope: Scope) -> None:
    async def rows() -> object:
        return await scope.db.notice_texts.find()

    bad = {"subject": ["", "x" * 121, HTML, "a\nb"], "text": ["", "x" * 4001, HTML]}
    await refuse(owner, f"{admin}/notices/texts/expired-zh", dict(TEXT), bad, rows)


@pytest.mark.parametrize("key", ["nothing-zh", "expiring-fr", "expiring", "zh"])
async def test_only_texts_that_exist_are_edited(owner: Browser, admin: str, key: str) -> None:
    assert (await owner.get(f"{admin}/notices/texts/{key}")).code == 404


async def test_an_operator_has_no_address_for_a_test(operator: Browser, admin: str) -> None:
    page = f"{admin}/notices/texts/expired-en"
    assert "Send a test to me" not in text(await operator.get(page, **EN))
    assert (await operator.post(f"{page}/test")).code == 409


async def test_a_webhook_is_set_shown_tried_and_given_a_new_secret(
    owner: Browser, admin: str, ps: PlatformScope, cast: World
) -> None:
    page = f"{admin}/notices/webhook"
    assert "whsec_" not in text(await owner.get(page, **EN))
    assert (await owner.post(f"{page}/test")).code == 409
    assert (await owner.post(page, {"url": "https://hooks.example.com/pns"})).code == 303
    try:
        shown = text(await owner.get(page, **EN))
        assert "hooks.example.com" in shown and "payment.succeeded" in shown and "whsec_" not in shown
        looked = text(await owner.post(f"{page}/look", **EN))
        (secret,) = set(re.findall(r"whsec_[A-Za-z0-9+/=]{44}", looked))
        assert "<html" in looked and "<html" not in text(await owner.post(f"{page}/look", HX_Request="true"))
        assert text(await owner.get(f"{admin}/log", **EN)).count("Looked at the secret of the webhook") >= 2
        assert (await owner.post(f"{page}/test")).code == 303
        (row,) = await cast.acme.scope.db.notices.find({"channel": "webhook"})
        assert (row["to"], row["state"]) == ("https://hooks.example.com/pns", "waiting")
        assert "hooks.example.com/pns" in text(await owner.get(f"{admin}/notices", **EN))
        assert (await owner.post(f"{page}/secret")).code == 303
        again = text(await owner.post(f"{page}/look", **EN))
        assert secret not in again and "whsec_" in again
        assert "what is posted is signed with the former secret as well" in again
        stale = await owner.post(page, {"url": "https://other.example.com", "_version": "1"}, **EN)
        assert stale.code == 409
    finally:
        assert (await owner.post(page, {"url": ""})).code == 303
        await cast.acme.scope.db.notices.delete_many({"channel": "webhook"})


async def test_a_webhook_that_is_off_is_seen_and_switched_on_again(web: str, ps: PlatformScope) -> None:
    scope, owner = await new_system(web, ps)
    admin = f"/t/{scope.tenant['slug']}/admin"
    page = f"{admin}/notices/webhook"
    assert (await owner.post(f"{page}/on")).code == 409 and (await owner.post(f"{page}/secret")).code == 409
    assert (await owner.post(page, {"url": "https://hooks.example.com/"})).code == 303

    async def put(**values: object) -> str:
        await ps.db.tenants.update(scope.tenant_id, {"$set": {f"webhook.{name}": it for name, it in values.items()}})
        return text(await owner.get(page, **EN))

    assert "Nothing has been taken since" in await put(failing_since=utcnow())
    for why, words in (("gone", "it answered that it is gone for good (410)"), ("failing", "nothing for three days")):
        shown = await put(off=why, off_at=utcnow())
        assert words in shown and "hooks.example.com" in shown and "Send a test" not in shown
        assert words in text(await owner.get(f"{admin}/notices", **EN))
    assert (await owner.post(f"{page}/on")).code == 303
    shown = text(await owner.get(page, **EN))
    assert "Send a test" in shown and "Switch on again" not in shown and "Nothing has been taken" not in shown
    assert "Switched the webhook on again" in text(await owner.get(f"{admin}/log", **EN))


async def test_a_webhook_at_home_is_refused_at_the_field(owner: Browser, admin: str, ps: PlatformScope) -> None:
    async def rows() -> object:
        return (await ps.db.tenants.one({"slug": admin.split("/")[2]})).get("webhook", {}).get("url", "")

    bad = {"url": ["http://example.com", "https://example.com:22", HTML, "https://" + "x" * 500]}
    await refuse(owner, f"{admin}/notices/webhook", {"url": ""}, bad, rows)
