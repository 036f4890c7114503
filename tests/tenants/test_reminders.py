"""Reminders: once, or again every so many days until a plan ends, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from saas.tenants import members, reminders
from saas.tenants.members import MemberForm
from saas.tenants.schedules import Occasion
from tests.world import Business, World, set_account

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)  # in Shanghai


@pytest.fixture
async def shop(world: World) -> Business:
    """Acme, whose Alice has a mail address."""
    form = MemberForm(name="Alice", email="alice@example.net")
    await members.update(world.acme.scope, world.acme.account["member_id"], form)
    return world.acme


def reminds(shop: Business, **values: int) -> None:
    tenant: Any = shop.scope.tenant
    tenant["parameters"].update(values)


async def ends(shop: Business, at: datetime) -> None:
    await set_account(shop.scope, shop.account["_id"], expires_at=at)


def at(now: datetime) -> Occasion:
    return Occasion(now, now - timedelta(days=1), now)


async def told_of(shop: Business) -> list[int]:
    """The days that were left at each notice."""
    rows = await shop.scope.db.notices.find({"kind": "expiring"}, sort=[("_id", 1)])
    return [row["facts"]["days"] for row in rows]


@pytest.mark.parametrize(
    ("days", "again", "told"),
    [(7, 0, [7]), (7, 3, [7, 4, 1]), (3, 1, [3, 2, 1, 0]), (2, 5, [2]), (0, 1, [])],
)
async def test_one_is_reminded_again_every_so_many_days_until_the_end(
    shop: Business, days: int, again: int, told: list[int]
) -> None:
    reminds(shop, notice_days=days, notice_interval=again)
    await ends(shop, NOON + timedelta(days=10, hours=2))
    for day in range(13):
        for _ in range(2):  # a second run of the day changes nothing
            await reminders.tell_expiring(shop.scope, at(NOON + timedelta(days=day)))
    assert await told_of(shop) == told


async def test_a_reminder_whose_day_was_missed_comes_late_and_once(shop: Business) -> None:
    reminds(shop, notice_days=7, notice_interval=3)
    await ends(shop, NOON + timedelta(days=10, hours=2))
    for day in (5, 7, 8, 10):  # nothing ran on days 3, 4, 6 and 9
        await reminders.tell_expiring(shop.scope, at(NOON + timedelta(days=day)))
    assert await told_of(shop) == [5, 3, 0]


async def test_who_renews_is_reminded_no_more(shop: Business) -> None:
    reminds(shop, notice_days=3, notice_interval=1)
    await ends(shop, NOON + timedelta(days=2))
    await reminders.tell_expiring(shop.scope, at(NOON))
    await ends(shop, NOON + timedelta(days=32))
    for day in (1, 2):
        await reminders.tell_expiring(shop.scope, at(NOON + timedelta(days=day)))
    assert len(await told_of(shop)) == 1
