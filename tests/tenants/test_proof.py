"""The proof of balances: exact, by portions, undisturbed by money that moves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from saas.tenants import ledger, members, proof
from saas.tenants.schedules import Occasion
from saas.values import new_id, utcnow
from tests.world import World

pytestmark = pytest.mark.slow


async def add_members(world: World, count: int) -> list[str]:
    """Members with an entry of their own, each."""
    ids = []
    for number in range(count):
        row = members.new_member(f"guest-{number}", name="", mobile="", note="", password_hash=None)
        await world.acme.scope.db.members.insert(row)
        await ledger.post(world.acme.scope, "payment", 1 + number, key=f"first-{number}", member_id=row["_id"])
        ids.append(row["_id"])
    return sorted(ids)


@pytest.mark.parametrize("portion", [1, 2, 3, 7, 1000])
async def test_every_difference_is_found_in_portions_of_any_size(
    world: World, monkeypatch: pytest.MonkeyPatch, expect_log: Callable[[str], None], portion: int
) -> None:
    expect_log("4 balances are not the sum")
    monkeypatch.setattr(ledger, "_PORTION", portion)
    scope, ids = world.acme.scope, await add_members(world, 6)
    for number in (0, 5):
        await scope.db.members.update(ids[number], {"$inc": {"balance": 5}})
    for lost in (f"{ids[2]}0", "zzz"):
        entry = await scope.db.ledger.one({"member_id": ids[1]})
        await scope.db.ledger.insert({**entry, "_id": new_id("led"), "key": lost, "member_id": lost, "amount": 7})
    found = await proof.prove(scope)
    differences = [(each["member_id"], each["balance"], each["entries"]) for each in found["differences"]]
    sums = {row["_id"]: row["balance"] for row in await scope.db.members.find()}
    assert sorted(differences, key=str) == sorted(
        [(f"{ids[2]}0", None, 7), ("zzz", None, 7)] + [(one, sums[one], sums[one] - 5) for one in (ids[0], ids[5])],
        key=str,
    )
    assert (found["members"], found["entries"], found["wrong"]) == (7, 10, 4)
    assert [each["login"] for each in found["differences"] if each["balance"] is None] == ["", ""]
    assert len(await ledger.differences(scope)) == 4


async def test_the_job_keeps_what_it_found(world: World) -> None:
    now = utcnow()
    assert await proof.prove_due(world.acme.scope, Occasion(now, now, now)) == 1
    (kept,) = await proof.latest(world.acme.scope)
    assert (kept["members"], kept["entries"], kept["wrong"], kept["differences"]) == (1, 2, 0, [])
    assert await proof.latest(world.zeta.scope) == []


async def test_money_that_moves_meanwhile_is_no_difference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PORTION", 2)
    scope, ids = world.acme.scope, await add_members(world, 6)

    async def pay(number: int) -> None:
        await ledger.post(scope, "payment", 100, key=f"more-{number}", member_id=ids[number % 6])

    async def prove() -> list[str]:
        return [each for _ in range(6) for each in await ledger.differences(scope)]

    found, *_ = await asyncio.gather(prove(), *(pay(number) for number in range(40)))
    assert found == [] and await ledger.differences(scope) == []
