"""Money: exact under concurrency, once for each key, and the balance is always the sum of the entries."""

from __future__ import annotations

import asyncio

import pytest

from saas.errors import Conflict, NotFound
from saas.store import FenceError
from saas.tenants import ledger
from saas.tenants.paging import ListQuery
from tests.world import World


async def test_entries_carry_the_balance_before_and_after(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    first = await ledger.post(scope, "payment", 3000, key="p1", member_id=member_id, method="cash")
    second = await ledger.post(scope, "charge", -1250, key="c1", member_id=member_id)
    assert (first["before"], first["after"]) == (0, 3000)
    assert (second["before"], second["after"]) == (3000, 1750)
    assert (await scope.db.members.get(member_id))["balance"] == 1750
    assert await ledger.differences(scope) == []


async def test_a_repeat_posts_nothing(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    first = await ledger.post(scope, "payment", 500, key="same", member_id=member_id)
    again = await ledger.post(scope, "payment", 500, key="same", member_id=member_id)
    assert again["_id"] == first["_id"]
    assert (await scope.db.members.get(member_id))["balance"] == 500
    with pytest.raises(Conflict):
        await ledger.post(scope, "payment", 501, key="same", member_id=member_id)


async def test_the_same_key_in_two_tenants_is_two_entries(world: World) -> None:
    for business in (world.acme, world.zeta):
        await ledger.post(business.scope, "payment", 700, key="k", member_id=business.account["member_id"])
        member = await business.scope.db.members.get(business.account["member_id"])
        assert member["balance"] == 700


async def test_concurrent_entries_lose_nothing(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    amounts = [100, -30, 7, -1, 250, 12, -99, 1]
    await asyncio.gather(
        *(ledger.post(scope, "adjustment", a, key=f"n{n}", member_id=member_id) for n, a in enumerate(amounts)),
        *(ledger.post(scope, "adjustment", a, key=f"n{n}", member_id=member_id) for n, a in enumerate(amounts)),
    )
    assert (await scope.db.members.get(member_id))["balance"] == sum(amounts)
    entries = (await ledger.listing(scope, ListQuery(filters={"member_id": member_id}, limit=100))).rows
    assert sum(entry["amount"] for entry in entries) == sum(amounts)
    assert await ledger.differences(scope) == []


async def test_another_tenants_member_takes_no_entry(world: World) -> None:
    foreign = world.zeta.account["member_id"]
    with pytest.raises(NotFound):
        await ledger.post(world.acme.scope, "payment", 100, key="x", member_id=foreign)
    assert (await world.zeta.scope.db.members.get(foreign))["balance"] == 0


async def test_a_wrong_balance_is_found(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    await scope.db.members.update(member_id, {"$inc": {"balance": 1}})
    assert await ledger.differences(scope) == [f"member {member_id}: balance 1, entries 0"]


async def test_entries_are_not_changed(world: World) -> None:
    entry = (await world.acme.scope.db.ledger.find(limit=1))[0]
    with pytest.raises(FenceError):
        await world.acme.scope.db.ledger.update(entry["_id"], {"$set": {"amount": 0}})
