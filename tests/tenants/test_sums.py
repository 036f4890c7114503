"""The sums of a day: of the tenant's day, each reckoning the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from saas.tenants import accounting, ledger, sums
from saas.tenants.schedules import Occasion
from saas.values import utcnow
from tests.tenants.accounting_events import event
from tests.world import World

SHANGHAI = ZoneInfo("Asia/Shanghai")


def today() -> date:
    return utcnow().astimezone(SHANGHAI).date()


async def ended(world: World, number: int, stopped_at: datetime, octets: int, *, is_open: bool = False) -> None:
    """A session's row."""
    row = accounting.begin(event("start", 0, tenant_id=world.acme.id, session_id=str(number)))
    row |= {"input_octets": octets, "output_octets": 10 * octets, "stopped_at": stopped_at, "open": is_open}
    table = world.acme.scope.db.online if is_open else world.acme.scope.db.sessions
    await table.insert({**row, "stale_at": stopped_at, "search": []})


async def test_a_day_is_summed_up(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    await ledger.post(scope, "payment", 700, key="p1", member_id=member_id, method="wechat")
    await ledger.post(scope, "payment", 50, key="p2", member_id=member_id, method="wechat")
    await ledger.post(scope, "refund", -30, key="r1", member_id=member_id)
    await ended(world, 1, utcnow(), 100)
    await ended(world, 2, utcnow(), 1)
    await ended(world, 3, utcnow(), 5, is_open=True)
    row = await sums.reckon(scope, today())
    assert row["accounts"] == 1
    assert row["payments"] == {"cash": 3000, "wechat": 750}
    assert (row["charges"], row["refunds"]) == (3000, 30)
    assert (row["sessions"], row["input_octets"], row["output_octets"]) == (2, 101, 1010)
    assert await sums.reckon(scope, today()) == row
    assert await sums.between(scope, today() - timedelta(days=9), today()) == [row]
    assert await sums.between(world.zeta.scope, today(), today()) == []


async def test_days_end_at_the_tenants_midnight(world: World) -> None:
    day = date(2026, 3, 1)
    for number, (hour, minute) in enumerate(((15, 59), (16, 0))):  # 23:59 and 0:00 in Shanghai
        await ended(world, number, datetime(2026, 3, 1, hour, minute, tzinfo=UTC), 1 + number)
    found = [await sums.reckon(world.acme.scope, day + timedelta(days=ahead)) for ahead in (0, 1)]
    assert [row["input_octets"] for row in found] == [1, 2]


async def test_a_day_of_23_hours_loses_none_and_counts_none_twice(world: World) -> None:
    tenant = world.acme.scope.tenant
    tenant["parameters"]["timezone"] = "Europe/Berlin"  # type: ignore[index]
    first, last = datetime(2026, 3, 28, 23, 0, tzinfo=UTC), datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC)
    for number, moment in enumerate((first - timedelta(seconds=1), first, last, last + timedelta(seconds=1))):
        await ended(world, number, moment, 10**number)
    row = await sums.reckon(world.acme.scope, date(2026, 3, 29))
    assert row["input_octets"] == 110


async def test_the_job_reckons_the_day_that_is_over_and_the_one_before(world: World) -> None:
    due = datetime(2026, 3, 3, 16, 10, tzinfo=UTC)  # 0:10 of the 4th in Shanghai
    await ended(world, 1, due - timedelta(hours=20), 7)
    assert await sums.reckon_due(world.acme.scope, Occasion(due, due, due + timedelta(days=5))) == 2
    rows = await sums.between(world.acme.scope, date(2026, 2, 1), date(2026, 4, 1))
    assert [(row["day"], row["input_octets"]) for row in rows] == [("2026-03-02", 0), ("2026-03-03", 7)]
