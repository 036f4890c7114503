"""The first page's figures: of the tenant's own day, from its first second on, and kept for a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from saas.tenants import ledger, overview, sums
from saas.tenants.schedules import Occasion
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.world import Business, World, make_business


async def test_figures_are_kept_for_a_moment_and_tell_of_when(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    first = await overview.figures(scope)
    assert abs(first["at"] - utcnow().timestamp()) < 10 and first["income"] == 3000
    await ledger.post(scope, "payment", 700, key="p1", member_id=member_id, method="cash")
    assert await overview.figures(scope) == first
    await scope.kv.delete("figures")
    assert (await overview.figures(scope))["income"] == 3700
    assert (await overview.figures(world.zeta.scope))["income"] == 3000


async def test_old_figures_are_shown_while_new_ones_are_counted(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    old = await overview.figures(scope) | {"at": utcnow().timestamp() - 60}
    await scope.kv.put("figures", old, 60)
    await ledger.post(scope, "payment", 700, key="p1", member_id=member_id, method="cash")
    assert [await overview.figures(scope) for _ in range(2)] == [old, old]
    await overview._counting[scope.tenant_id]
    assert (await overview.figures(scope))["income"] == 3700
    assert scope.tenant_id not in overview._counting


async def test_a_new_day_begins_with_nothing_in_its_first_second(
    ps: PlatformScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    business = await make_business(ps, "midnight")  # opens an account, and takes 30.00
    scope = business.scope
    assert ((await overview.figures(scope))["opened"], (await overview.figures(scope))["income"]) == (1, 3000)
    tomorrow = (utcnow() + timedelta(hours=8)).date() + timedelta(days=1)  # in Shanghai
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=UTC) - timedelta(hours=8)
    monkeypatch.setattr(overview, "utcnow", lambda: midnight - timedelta(milliseconds=1))
    assert (await overview.figures(scope))["opened"] == 1
    monkeypatch.setattr(overview, "utcnow", lambda: midnight)
    now = await overview.figures(scope)
    assert (now["day"], now["opened"], now["income"]) == (tomorrow.isoformat(), 0, 0)


async def test_yesterday_is_drawn_before_its_job_has_been_there(world: World) -> None:
    scope = world.acme.scope
    assert (await overview.curves(scope)).days == []
    today = (utcnow() + timedelta(hours=8)).date()
    await sums.reckon(scope, today - timedelta(days=2))
    days = [date.fromisoformat(row["day"]) for row in (await overview.curves(scope)).days]
    assert days == [today - timedelta(days=2), today - timedelta(days=1)]


async def test_who_is_online_is_counted_by_and_by(world: World) -> None:
    scope, now = world.acme.scope, utcnow()
    for minutes in (60 * 30, 60, 10):
        at = now - timedelta(minutes=minutes)
        assert await overview.count_online(scope, Occasion(at, at, at)) == 1
    points = (await overview.curves(scope)).online
    assert [(now - moment) // timedelta(minutes=1) // 10 for moment, _ in points] == [6, 1]
    assert [count for _, count in points] == [0, 0]
    assert (await overview.curves(world.zeta.scope)).online == []


async def test_figures_of_one_business_know_nothing_of_another(ps: PlatformScope, world: World) -> None:
    other: Business = await make_business(ps, "figures")
    assert (await overview.figures(other.scope))["used"] == {"nas": 1, "accounts": 1, "operators": 1}
