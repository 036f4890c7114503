"""The chain of the operation log: what was altered, removed or added behind its back is found."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from saas import migrations
from saas.tenants import audit, chain, plans, schedules
from saas.tenants.paging import ListQuery
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow
from tests.world import World, make_world

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(alone: PlatformScope) -> World:
    """The jobs chain what waits of all tenants: none but these write to the store."""
    return await make_world(alone)


@pytest.fixture
async def scope(world: World) -> Scope:
    """A tenant whose log is chained."""
    await link(world.ps)
    return world.acme.scope


async def link(ps: PlatformScope) -> None:
    while await chain.link_waiting(ps):
        pass


def raw(scope: Scope) -> Any:
    """The log past every fence: what somebody with the store's password can do."""
    store = scope.services.store
    return store._client[store._name]["audit"]


async def entries(scope: Scope) -> list[audit.Entry]:
    return sorted(await scope.db.audit.find({}, limit=1000), key=lambda entry: entry["seq"])


async def test_every_entry_gets_its_number_and_the_chain_holds(world: World, scope: Scope) -> None:
    rows = await entries(scope)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1)) and len({row["hash"] for row in rows}) > 1
    assert await chain.faults(scope) == [] == await chain.faults(world.ps)
    state = await chain.state(scope)
    assert state.head and state.head["seq"] == len(rows) and state.waiting == 0
    assert await chain.holds(scope, rows[0]) and await chain.holds(scope, rows[-1])
    plan = await plans.create(scope, plans.PlanForm(name="Later", price=0))
    fresh = await scope.db.audit.one({"target": plan["_id"]})
    assert await chain.holds(scope, fresh) is None and (await chain.state(scope)).waiting == 1
    await link(world.ps)
    assert (await scope.db.audit.get(fresh["_id"]))["seq"] == len(rows) + 1
    assert await chain.faults(scope) == []


async def test_two_jobs_at_once_give_each_entry_one_number(world: World, scope: Scope) -> None:
    await asyncio.gather(*(plans.create(scope, plans.PlanForm(name=f"P{n}", price=0)) for n in range(8)))
    await asyncio.gather(*(chain.link_waiting(world.ps) for _ in range(3)))
    rows = await entries(scope)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1)) and await chain.faults(scope) == []


async def test_an_altered_entry_is_named(scope: Scope) -> None:
    victim = (await entries(scope))[1]
    await raw(scope).update_one({"_id": victim["_id"]}, {"$set": {"actor_name": "somebody else"}})
    assert await chain.faults(scope) == [f"operation log: entry {victim['_id']}, number 2, was changed"]
    assert await chain.holds(scope, await scope.db.audit.get(victim["_id"])) is False
    row: Any = await schedules_run(scope)
    assert row["fault"] == 2 and row["checked_at"]


async def schedules_run(scope: Scope) -> Any:
    now = utcnow()
    assert await chain.check_due(scope, schedules.Occasion(now, now, now)) > 1
    return await scope.db.audit_heads.get(scope.tenant_id)


@pytest.mark.parametrize(("which", "told"), [(0, "number 1 is missing"), (1, "number 2 is missing"), (-1, "its end")])
async def test_a_removed_entry_is_noticed(scope: Scope, which: int, told: str) -> None:
    await raw(scope).delete_one({"_id": (await entries(scope))[which]["_id"]})
    assert told in (await chain.faults(scope))[0]


async def test_an_entry_that_was_put_in_is_noticed(scope: Scope) -> None:
    forged = {**(await entries(scope))[-1], "_id": "aud_forged"}
    await raw(scope).insert_one({**forged, "seq": forged["seq"] + 1})
    assert "stands behind its end" in (await chain.faults(scope))[0]
    await raw(scope).update_one({"_id": "aud_forged"}, {"$set": {"seq": 2}})
    assert "was changed" in (await chain.faults(scope))[0] or "is missing" in (await chain.faults(scope))[0]


async def test_what_waits_too_long_is_told(world: World, scope: Scope) -> None:
    plan = await plans.create(scope, plans.PlanForm(name="Waits", price=0))
    assert await chain.faults(scope) == []
    await raw(scope).update_one({"target": plan["_id"]}, {"$set": {"at": utcnow() - timedelta(minutes=11)}})
    assert "still not chained" in (await chain.faults(scope))[0]


async def test_entries_of_earlier_versions_are_taken_in(world: World, scope: Scope) -> None:
    before = await entries(scope)
    mine = {"tenant_id": scope.tenant_id}
    await raw(scope).update_many(mine, {"$unset": {"seq": "", "hash": ""}})
    await world.ps.db.audit_heads.delete_many({"_id": scope.tenant_id})
    for _ in range(2):
        await migrations.log_is_chained(world.ps)
    assert len(await entries(scope)) == len(before) and (await chain.state(scope)).waiting == len(before)
    await link(world.ps)
    assert await chain.faults(scope) == []


async def test_the_platforms_own_log_is_a_chain_too(world: World, scope: Scope) -> None:
    ps = world.ps
    before = await chain.state(ps)
    await audit.record_platform(ps, "tenant.stopped", "ten_none", name="nobody", status="stopped")
    await link(ps)
    after = await chain.state(ps)
    assert before.head and after.head and after.head["seq"] == before.head["seq"] + 1 and not after.waiting
    found = await audit.platform_listing(ps, ListQuery(limit=1))
    assert await chain.holds(ps, found.rows[0]) and await chain.faults(ps) == []


async def test_the_platforms_chain_is_checked_once_a_day_and_fails_while_it_is_broken(world: World) -> None:
    ps = world.ps
    await link(ps)
    assert await chain.check_platform(ps) == (await chain.state(ps)).head["seq"]  # type: ignore[index]
    assert await chain.check_platform(ps) == 0, "today's is done"
    log = ps.services.store._client[ps.services.store._name]["platform_audit"]
    await log.update_one({"seq": 1}, {"$set": {"actor_name": "nobody"}})
    assert await chain.check_platform(ps) == 0
    yesterday = {"$set": {"checked_at": utcnow() - timedelta(days=1)}}
    await ps.db.audit_heads.update_one({"_id": "platform"}, yesterday)
    for _ in range(2):
        with pytest.raises(chain.Broken, match=r"number 1$"):
            await chain.check_platform(ps)
    assert (await chain.state(ps)).head["fault"] == 1  # type: ignore[index]
