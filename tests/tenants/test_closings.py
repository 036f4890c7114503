"""Accounts that stay suspended: announced first, closed once, and what was paid for is given back."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from saas import migrations
from saas.tenants import accounts, billing, ledger, life, standing
from saas.tenants.accounts import Account
from saas.tenants.closings import close_suspended, closing_day
from saas.tenants.forms import Form
from saas.tenants.members import MemberForm, update
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.tenants.standing import RESUME, SUSPEND, NoteForm
from saas.values import new_id
from tests.world import World

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)


class Shop:
    """Acme, whose accounts are closed after 30 days of suspension; its account is suspended, and a clock."""

    def __init__(self, world: World) -> None:
        self.scope: Scope = world.acme.scope
        self.id: str = world.acme.account["_id"]
        self.member_id: str = world.acme.account["member_id"]
        opened = world.acme.account["created_at"]
        self.start = datetime(opened.year, opened.month, opened.day, 1, tzinfo=UTC) + 5 * DAY  # 9:00 in Shanghai
        self.now = self.start

    def set(self, days: int) -> None:
        tenant: Any = self.scope.tenant
        tenant["parameters"]["suspend_days"] = days

    async def do(self, act: life.Act, form: Form) -> None:
        await life.perform(self.scope, act, self.id, form, new_id("try"))

    async def run(self, days: int) -> int:
        """The run of the day so many days after the suspension."""
        self.now = self.start + days * DAY
        done = await close_suspended(self.scope, Occasion(self.now, self.now - DAY, self.now))
        assert await ledger.differences(self.scope) == []
        return done

    async def row(self) -> Account:
        return await accounts.get(self.scope, self.id)

    async def told(self) -> list[tuple[str, Any]]:
        """Kinds of the notices, with the day of closing or what was given back."""
        rows = await self.scope.db.notices.find({"kind": {"$in": ["closing", "closed"]}}, sort=[("_id", 1)])
        return [(row["kind"], row["facts"].get("closes", row["facts"].get("amount"))) for row in rows]

    def midnight(self, days: int) -> datetime:
        """When the day begins in Shanghai, so many days after the suspension."""
        return self.start + days * DAY - timedelta(hours=9)


@pytest.fixture
async def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> Shop:
    found = Shop(world)
    found.set(30)
    monkeypatch.setattr(life, "utcnow", lambda: found.now)
    await update(found.scope, found.member_id, MemberForm(name="Alice", email="alice@example.net"))
    await found.do(SUSPEND, NoteForm())
    return found


async def test_it_is_announced_a_week_before_and_closed_with_what_is_left_on_the_balance(shop: Shop) -> None:
    worth = billing.unused(await shop.row(), shop.start)
    assert worth > 0
    assert await shop.run(22) == 0 and await shop.told() == []
    assert [await shop.run(day) for day in (23, 24, 29, 29)] == [0, 0, 0, 0]
    assert await shop.told() == [("closing", shop.midnight(30))]
    assert closing_day(shop.scope, await shop.row(), shop.now) == date.fromordinal(shop.start.toordinal() + 30)
    assert [await shop.run(30), await shop.run(31)] == [1, 0]
    assert (await shop.row())["status"] == "closed"
    assert (await shop.scope.db.members.get(shop.member_id))["balance"] == worth
    assert await shop.told() == [("closing", shop.midnight(30)), ("closed", worth)]
    (deed,) = await shop.scope.db.deeds.find({"verb": "auto_close"})
    assert (deed["charged"], deed["received"]) == (-worth, 0)
    assert await shop.scope.db.audit.count({"action": "account.auto_close"}) == 1


async def test_two_runs_at_once_close_once(shop: Shop) -> None:
    worth = billing.unused(await shop.row(), shop.start)
    await shop.run(23)
    await asyncio.gather(*(shop.run(30) for _ in range(3)))
    assert await shop.scope.db.deeds.count({"verb": "auto_close"}) == 1
    assert (await shop.scope.db.members.get(shop.member_id))["balance"] == worth


async def test_nothing_is_closed_that_was_not_announced_a_week_ago(shop: Shop) -> None:
    shop.set(0)
    assert await shop.run(100) == 0 and await shop.told() == []
    shop.set(30)  # only now, and no run in all that time
    assert [await shop.run(day) for day in (100, 101, 106)] == [0, 0, 0]
    assert await shop.told() == [("closing", shop.midnight(107))]
    assert await shop.run(107) == 1


async def test_a_short_term_is_announced_all_the_same(shop: Shop) -> None:
    shop.set(2)
    assert [await shop.run(day) for day in (1, 2, 7, 8)] == [0, 0, 0, 1]


async def test_who_is_resumed_stays_and_begins_anew(shop: Shop) -> None:
    await shop.run(23)
    await shop.do(RESUME, Form())
    assert await shop.run(40) == 0
    shop.now = shop.start + 40 * DAY
    await shop.do(SUSPEND, NoteForm())
    assert [await shop.run(day) for day in (41, 62, 63, 69)] == [0, 0, 0, 0]
    assert await shop.told() == [("closing", shop.midnight(30)), ("closing", shop.midnight(70))]
    assert await shop.run(70) == 1


async def test_who_closed_it_by_hand_was_faster(shop: Shop) -> None:
    await shop.run(23)
    await shop.do(standing.CLOSE, standing.CloseForm(refund=0))
    assert await shop.run(30) == 0
    assert await shop.scope.db.deeds.count({"verb": "auto_close"}) == 0


async def test_tenants_of_old_close_nothing(world: World) -> None:
    acme, fresh = world.acme, dict(world.acme.scope.tenant["parameters"])
    change = {"$unset": {"parameters.suspend_days": ""}, "$pullAll": {"parameters.notice_mail": ["closed", "closing"]}}
    await world.ps.db.tenants.update(acme.id, change)
    for _ in range(2):
        await migrations.closings_begin(world.ps)
    stored = (await world.ps.db.tenants.get(acme.id))["parameters"]
    assert sorted(stored.pop("notice_mail")) == sorted(fresh.pop("notice_mail")) and stored == fresh
