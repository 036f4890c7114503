"""What is told to subscribers: by which occasion, once, and by a real mail server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from saas.errors import Conflict
from saas.outbound import Mailer
from saas.tenants import (
    accounts,
    ledger,
    life,
    members,
    notices,
    outbox,
    paging,
    plans,
    purchases,
    quotas,
    reminders,
    standing,
    webhooks,
)
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.members import MemberForm
from saas.tenants.notices import Notice
from saas.tenants.paging import ListQuery
from saas.tenants.plan_form import PlanForm
from saas.tenants.schedules import Occasion
from saas.tenants.scope import PlatformScope, Scope, platform_scope
from saas.values import utcnow
from tests.postbox import Postbox, postbox
from tests.tenants.accounting_events import event, record_and_apply
from tests.world import World, make_world, set_account

pytestmark = pytest.mark.slow

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)  # in Shanghai
ALICE = "alice@example.net"


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture
def mailing(alone: PlatformScope, box: Postbox) -> PlatformScope:
    """The platform with that mail server, on stores where nobody else waits to be told."""
    return platform_scope(replace(alone.services, mailer=Mailer(box.url, "no-reply@example.com")))


@pytest.fixture
async def cast(mailing: PlatformScope) -> World:
    """Acme and Zeta; both Alices have a mail address from now on."""
    await mailing.db.notices.delete_many({})
    world = await make_world(mailing)
    for business in (world.acme, world.zeta):
        form = MemberForm(name="Alice", email=ALICE, language="en")
        await members.update(business.scope, business.account["member_id"], form)
    return world


async def rows(scope: Scope, kind: str = "") -> list[Notice]:
    """The tenant's notices, oldest first."""
    return await scope.db.notices.find({"kind": kind} if kind else {}, sort=[("_id", 1)])


async def ends(scope: Scope, account: Any, at: datetime | None) -> None:
    await scope.db.accounts.update(account["_id"], {"$set": {"expires_at": at}})


async def overdue(ps: PlatformScope) -> None:
    """Let the pause after the last try be over."""
    await ps.db.notices.update_many({"state": "waiting"}, {"$set": {"next_at": utcnow() - timedelta(seconds=1)}})


def at(now: datetime, since: datetime = NOON) -> Occasion:
    return Occasion(now, since, now)


async def test_who_expires_is_told_before_and_after_once_each(
    cast: World, mailing: PlatformScope, box: Postbox
) -> None:
    scope, account = cast.acme.scope, cast.acme.account
    expiry = NOON + timedelta(days=3, hours=2)
    await ends(scope, account, expiry)
    assert await reminders.tell_expiring(scope, at(NOON - timedelta(days=1))) == 0
    for _ in range(2):  # a second run changes nothing
        await reminders.tell_expiring(scope, at(NOON))
        await reminders.tell_expiring(scope, at(NOON + timedelta(days=1)))
        await reminders.tell_expired(scope, at(expiry + timedelta(minutes=1)))
    assert [row["kind"] for row in await rows(scope)] == ["expiring", "expired"]
    assert await outbox.send_due(mailing) == 2
    assert await outbox.send_due(mailing) == 0
    before, after = box.to(ALICE)
    assert before["Subject"] == "Acme: your plan ends on 2026-03-13 14:00"
    assert "Hello Alice" in before.get_content() and "days left: 3" in before.get_content()
    assert before["From"] == "Acme <no-reply@example.com>"
    assert after["Subject"] == "Acme: your plan has ended"
    assert [row["state"] for row in await rows(scope)] == ["sent", "sent"]
    assert await rows(cast.zeta.scope) == []


async def test_a_new_date_of_expiry_is_a_new_occasion(cast: World) -> None:
    scope, account = cast.acme.scope, cast.acme.account
    for days in (1, 2):
        await ends(scope, account, NOON + timedelta(days=days))
        await reminders.tell_expiring(scope, at(NOON))
    assert len(await rows(scope, "expiring")) == 2


async def test_runs_that_touch_tell_of_who_expires_at_that_very_moment_once(cast: World) -> None:
    scope = cast.acme.scope
    await ends(scope, cast.acme.account, NOON)
    before = await reminders.tell_expired(scope, at(NOON, NOON - timedelta(minutes=5)))
    after = await reminders.tell_expired(scope, at(NOON + timedelta(minutes=5), NOON))
    assert (before, after) == (0, 1)


async def test_everybody_is_told_though_many_end_at_the_same_moment(
    cast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_PORTION", 3)
    scope, account = cast.acme.scope, cast.acme.account
    same, other = NOON + timedelta(seconds=1), NOON + timedelta(seconds=1, milliseconds=1)
    for number in range(11):
        row = {**account, "_id": f"acc_{scope.tenant_id}_{number:02d}", "username": f"a{number}", "search": []}
        await quotas.insert(scope, [row | {"expires_at": same if number < 7 else other}])
    assert await reminders.tell_expired(scope, at(NOON + timedelta(minutes=1))) == 11
    assert len({row["subject"] for row in await rows(scope)}) == 11


async def test_after_downtime_everybody_who_expired_meanwhile_is_told(cast: World) -> None:
    scope, account = cast.acme.scope, cast.acme.account
    await ends(scope, account, NOON + timedelta(days=2))
    assert await reminders.tell_expired(scope, at(NOON + timedelta(days=9))) == 1
    assert await reminders.tell_expired(scope, at(NOON + timedelta(days=10), NOON + timedelta(days=9))) == 0


@pytest.mark.parametrize("switch", ["status", "days", "kind", "address", "suspended"])
async def test_nobody_is_told_who_should_not_be(cast: World, switch: str) -> None:
    scope, account = cast.acme.scope, cast.acme.account
    await ends(scope, account, NOON + timedelta(days=1))
    tenant: Any = scope.tenant
    if switch == "status":
        tenant["status"] = "stopped"
    elif switch == "days":
        tenant["parameters"]["notice_days"] = 0
    elif switch == "kind":
        tenant["parameters"]["notice_mail"].remove("expiring")
    elif switch == "address":
        await members.update(scope, account["member_id"], MemberForm(name="Alice"))
    else:
        await scope.db.accounts.update(account["_id"], {"$set": {"status": "suspended"}})
    await reminders.tell_expiring(scope, at(NOON))
    assert await rows(scope) == []


async def test_days_of_notice_are_days_of_the_zone_where_the_clocks_change(cast: World) -> None:
    """On 29 March 2026 Berlin's day has 23 hours: 23:30 of that day is still one day after 9:00 of the 28th."""
    scope, account = cast.acme.scope, cast.acme.account
    tenant: Any = scope.tenant
    tenant["parameters"].update(timezone="Europe/Berlin", notice_days=1)
    run = at(datetime(2026, 3, 28, 8, 0, tzinfo=UTC))
    await ends(scope, account, datetime(2026, 3, 29, 22, 0, 1, tzinfo=UTC))  # 0:00:01 of the 30th
    await reminders.tell_expiring(scope, run)
    assert await rows(scope) == []
    await ends(scope, account, datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC))
    await reminders.tell_expiring(scope, run)
    (row,) = await rows(scope)
    assert row["facts"]["days"] == 1


async def test_a_quota_that_sessions_used_up_is_told_once(cast: World) -> None:
    scope, account = cast.acme.scope, cast.acme.account
    fallen = {"fallen_at": NOON - timedelta(seconds=1), "octets_left": -5}
    await set_account(scope, account["_id"], **fallen)
    assert await reminders.tell_used_up(scope, at(NOON)) == 1
    assert (await scope.db.accounts.get(account["_id"]))["fallen_at"] is None
    assert await reminders.tell_used_up(scope, at(NOON)) == 0
    await set_account(scope, account["_id"], **fallen)  # as if killed before that was written
    await reminders.tell_used_up(scope, at(NOON))
    assert len(await rows(scope, "quota_used")) == 1


async def test_a_quota_that_was_renewed_meanwhile_is_not_told(cast: World) -> None:
    scope, account = cast.acme.scope, cast.acme.account
    await set_account(scope, account["_id"], fallen_at=NOON - timedelta(seconds=1), octets_left=7)
    assert await reminders.tell_used_up(scope, at(NOON)) == 0
    assert await rows(scope) == []


async def test_a_quota_that_is_nearly_used_up_is_told_once_a_term_and_again_after_a_purchase(cast: World) -> None:
    await webhooks.save(cast.acme.scope, webhooks.WebhookForm(url="https://example.com/"))
    scope = cast.ps.enter(await cast.ps.db.tenants.get(cast.acme.id), cast.acme.scope.actor)
    form = PlanForm.model_validate({"name": "Tiny", "kind": "buyout_traffic", "price": "20", "octets": 10_000})
    plan = await plans.create(scope, form)
    opening = QuickOpenForm(username="dora", plan_id=plan["_id"], email="dora@example.net")
    account, _ = await accounts.quick_open(scope, opening, "dora")
    used = 0

    async def use(octets: int) -> int:
        nonlocal used
        used += octets
        await record_and_apply(cast.ps, event("interim", used, scope.tenant_id, username="dora", down=used, up=0))
        return await reminders.tell_used_up(scope, at(utcnow()))

    assert await use(7999) == 0
    assert await use(1) == 2 and await use(1000) == 0
    mail, hook = await rows(scope, "quota_low")
    assert (mail["channel"], hook["channel"]) == ("mail", "webhook")
    assert mail["facts"]["left"] == {"octets": 2000} and mail["facts"]["plan"] == "Tiny"
    await life.perform(scope, purchases.RENEW, account["_id"], purchases.RenewForm(), "more")  # 11000 of 20000 are left
    assert await use(6999) == 0 and await use(1) == 2
    assert await use(5000) == 2, "all is used up: that is told instead"
    kinds = [row["kind"] for row in await rows(scope) if row["channel"] == "mail" and row["kind"] != "payment"]
    assert kinds == ["quota_low", "quota_low", "quota_used"]
    await life.perform(scope, purchases.RENEW, account["_id"], purchases.RenewForm(), "anew")
    assert await use(10_000) == 2 and [row["kind"] for row in await rows(scope)][-1] == "quota_used"


async def test_nobody_is_told_of_a_quota_that_is_never_low(cast: World) -> None:
    tenant = await cast.ps.db.tenants.update(cast.acme.id, {"$set": {"parameters.notice_quota": 0}})
    scope = cast.ps.enter(tenant, cast.acme.scope.actor)
    form = PlanForm.model_validate({"name": "1 hour", "kind": "buyout_time", "price": "2", "seconds": 3600})
    plan = await plans.create(scope, form)
    account, _ = await accounts.quick_open(scope, QuickOpenForm(username="dora", plan_id=plan["_id"]), "dora")
    row = await scope.db.quotas.get(account["_id"])
    assert (row["octets_low"], row["seconds_low"]) == (None, None)


async def test_a_payment_is_told_in_its_transaction(cast: World, mailing: PlatformScope, box: Postbox) -> None:
    scope, member_id = cast.acme.scope, cast.acme.account["member_id"]
    for _ in range(2):
        await ledger.post(scope, "payment", 1234, key="pay-1", member_id=member_id)
    (row,) = await rows(scope)
    assert (row["kind"], row["occasion"], row["facts"]["amount"]) == ("payment", "pay-1", 1234)

    async def fails(tx: Scope) -> None:
        await ledger.post(tx, "payment", 99, key="pay-2", member_id=member_id)
        raise ValueError

    with pytest.raises(ValueError):
        await scope.transaction(fails)
    assert len(await rows(scope)) == 1
    await outbox.send_due(mailing)
    (mail,) = box.to(ALICE)
    assert mail["Subject"] == "Acme: your payment of ¥12.34"


async def test_a_low_balance_is_told_when_it_falls_and_not_when_money_only_passes(cast: World) -> None:
    scope, member_id = cast.acme.scope, cast.acme.account["member_id"]
    tenant: Any = scope.tenant
    tenant["parameters"]["notice_balance"] = 500

    async def post(kind: Any, amount: int, key: str) -> None:
        await ledger.post(scope, kind, amount, key=key, member_id=member_id)

    sale = ledger.sale(3000, 3000, "cash", "Monthly × 1")
    await ledger.book(scope, sale, key="renew-1", member_id=member_id, account_id="")
    assert await rows(scope, "balance_low") == []
    await post("payment", 800, "top-up")
    await post("charge", -300, "hour-1")
    assert await rows(scope, "balance_low") == []
    await post("charge", -100, "hour-2")
    await post("charge", -100, "hour-3")
    (row,) = await rows(scope, "balance_low")
    assert (row["occasion"], row["facts"]["balance"]) == ("hour-2", 400)


async def test_a_suspension_is_told_once(cast: World) -> None:
    scope, account = cast.acme.scope, cast.acme.account
    for _ in range(2):
        await life.perform(scope, standing.SUSPEND, account["_id"], standing.NoteForm(), "attempt")
    (row,) = await rows(scope)
    assert (row["kind"], row["subject_name"], row["facts"]["plan"]) == ("suspended", "alice", "Monthly")


async def test_who_is_killed_between_sending_and_saying_so_sends_once_more_under_the_same_id(
    cast: World, mailing: PlatformScope, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = cast.acme.scope
    await ledger.post(scope, "payment", 100, key="p", member_id=cast.acme.account["member_id"])

    class Killed(BaseException):
        """Nothing after it is done."""

    async def killed(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(outbox, "_settle", killed)
        await outbox.send_due(mailing)
    assert await outbox.send_due(mailing) == 0, "the try was claimed, the next one is later"
    await overdue(mailing)
    assert await outbox.send_due(mailing) == 1
    await overdue(mailing)
    assert await outbox.send_due(mailing) == 0
    first, second = box.to(ALICE)
    assert first["Message-ID"] == second["Message-ID"] == f"<{(await rows(scope))[0]['_id']}@example.com>"
    assert (await rows(scope))[0]["tries"] == 2


async def test_an_address_that_does_not_exist_is_not_tried_again(
    cast: World, mailing: PlatformScope, box: Postbox, expect_log: Callable[[str], None]
) -> None:
    expect_log("was not sent")
    box.refused[ALICE] = "550 5.1.1 no such user"
    scope, member_id = cast.acme.scope, cast.acme.account["member_id"]
    await ledger.post(scope, "payment", 100, key="p", member_id=member_id)
    assert await outbox.send_due(mailing) == 0
    (row,) = await rows(scope)
    assert (row["state"], row["tries"], row["error"]) == ("failed", 1, "refused")
    assert "no such user" in row["answer"]
    await members.update(scope, member_id, MemberForm(name="Alice", email="new@example.net"))
    await notices.resend(scope, row["_id"])
    with pytest.raises(Conflict):
        await notices.resend(scope, row["_id"])
    assert await outbox.send_due(mailing) == 1
    assert len(box.to("new@example.net")) == 1


async def test_a_server_that_is_away_is_tried_ever_later_then_given_up(
    cast: World, mailing: PlatformScope, box: Postbox, expect_log: Callable[[str], None]
) -> None:
    expect_log("was not sent")
    scope, member_id = cast.acme.scope, cast.acme.account["member_id"]
    away = platform_scope(replace(mailing.services, mailer=Mailer("smtp://127.0.0.1:9", "no-reply@example.com")))
    for number in range(3):
        await ledger.post(scope, "payment", 100, key=f"p{number}", member_id=member_id)
    assert await outbox.send_due(away) == 0
    assert [row["tries"] for row in await rows(scope)] == [1, 0, 0], "the others wait for the server too"
    for _ in range(outbox.TRIES - 1):
        await scope.db.notices.update_many({"occasion": "p0"}, {"$set": {"next_at": NOON}})
        await outbox.send_due(away)
    first, *_ = await rows(scope)
    assert (first["state"], first["tries"], first["error"]) == ("failed", outbox.TRIES, "unreachable")
    await overdue(mailing)
    assert await outbox.send_due(mailing) == 2
    assert len(box.to(ALICE)) == 2


async def test_two_processes_send_each_notice_once(cast: World, mailing: PlatformScope, box: Postbox) -> None:
    for business in (cast.acme, cast.zeta):
        for number in range(4):
            key, member_id = f"p{number}", business.account["member_id"]
            await ledger.post(business.scope, "payment", 100, key=key, member_id=member_id)
    counts = await asyncio.gather(*(outbox.send_due(mailing) for _ in range(3)))
    assert sum(counts) == len(box.mails) == 8


async def test_a_tenant_that_tells_much_holds_up_no_other(cast: World, mailing: PlatformScope, box: Postbox) -> None:
    for business, count in ((cast.acme, 30), (cast.zeta, 1)):
        for number in range(count):
            key, member_id = f"p{number}", business.account["member_id"]
            await ledger.post(business.scope, "payment", 100, key=key, member_id=member_id)
    first = await outbox.send_due(mailing)
    assert first < 31 and [row["state"] for row in await rows(cast.zeta.scope)] == ["sent"]
    assert first + await outbox.send_due(mailing) == 31


async def test_notices_are_listed_and_found(cast: World) -> None:
    scope, member_id = cast.acme.scope, cast.acme.account["member_id"]
    await ledger.post(scope, "payment", 100, key="p", member_id=member_id)
    for filters in ({}, {"kind": "payment"}, {"state": "waiting"}, {"member_id": member_id}):
        assert len((await notices.listing(scope, ListQuery(filters=filters))).rows) == 1, filters
    assert (await notices.listing(scope, ListQuery(q="Alice"))).rows
    assert not (await notices.listing(scope, ListQuery(filters={"state": "failed"}))).rows
    assert not (await notices.listing(cast.zeta.scope, ListQuery())).rows
