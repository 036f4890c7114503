"""A member's balance by hand: paid out, given, moved, corrected; once, covered, and in the log."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from saas.errors import AppError, Conflict, Invalid
from saas.tenants import accounts, ledger, wallet
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.scope import Scope
from saas.tenants.wallet import BalanceForm, TopUpForm
from tests.world import World


def form(change: str, amount: int, **values: Any) -> BalanceForm:
    return BalanceForm.model_validate({"change": change, "amount": amount, "note": "because", **values})


async def balance(scope: Scope, member_id: str) -> int:
    return int((await scope.db.members.get(member_id))["balance"])


@pytest.mark.parametrize(
    ("change", "kind", "amount"),
    [("pay_out", "refund", -300), ("gift", "gift", 300), ("add", "adjustment", 300), ("take", "adjustment", -300)],
)
async def test_each_change_is_an_entry_of_its_kind_once(world: World, change: str, kind: str, amount: int) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    await wallet.top_up(scope, member_id, TopUpForm(amount=1000), "first")
    doing = [wallet.change(scope, member_id, form(change, 300), "once") for _ in range(4)]
    entries = await asyncio.gather(*doing)
    assert {entry["_id"] for entry in entries} == {entries[0]["_id"]}
    assert (entries[0]["kind"], entries[0]["amount"], entries[0]["note"]) == (kind, amount, "because")
    assert entries[0]["method"] == ("cash" if change == "pay_out" else "")
    assert await balance(scope, member_id) == 1000 + amount
    (logged,) = await scope.db.audit.find({"action": "member.balance"})
    assert logged["changes"]["balance"] == [1000, 1000 + amount]


async def test_what_moves_leaves_one_and_reaches_the_other(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    opening = QuickOpenForm(username="carol", plan_id=world.acme.plan["_id"])
    other = (await accounts.quick_open(scope, opening, "open"))[0]["member_id"]
    await wallet.top_up(scope, member_id, TopUpForm(amount=1000), "first")
    doing = [wallet.change(scope, member_id, form("transfer", 400, login="Carol"), "once") for _ in range(3)]
    await asyncio.gather(*doing)
    assert (await balance(scope, member_id), await balance(scope, other)) == (600, 400)
    assert await ledger.differences(scope) == []


@pytest.mark.parametrize(
    ("change", "login", "error", "code"),
    [
        ("pay_out", "", Conflict, "balance_short"),
        ("transfer", "carol", Conflict, "balance_short"),
        ("transfer", "alice", Conflict, "same_member"),
        ("transfer", "nobody", Invalid, "invalid"),
        ("transfer", "", Invalid, "invalid"),
    ],
)
async def test_what_is_not_there_cannot_leave(
    world: World, change: str, login: str, error: type[AppError], code: str
) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    await accounts.quick_open(scope, QuickOpenForm(username="carol", plan_id=world.acme.plan["_id"]), "open")
    await wallet.top_up(scope, member_id, TopUpForm(amount=299), "first")
    before = await scope.db.ledger.count({})
    with pytest.raises(error) as caught:
        await wallet.change(scope, member_id, form(change, 300, login=login), "once")
    assert caught.value.code == code
    assert await scope.db.ledger.count({}) == before


async def test_a_correction_may_leave_debts(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    await wallet.change(scope, member_id, form("take", 500), "once")
    assert await balance(scope, member_id) == -500


async def test_another_tenants_member_is_no_target(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    await wallet.top_up(scope, member_id, TopUpForm(amount=1000), "first")
    opening = QuickOpenForm(username="zoe", plan_id=world.zeta.plan["_id"])
    await accounts.quick_open(world.zeta.scope, opening, "open")
    with pytest.raises(Invalid):
        await wallet.change(scope, member_id, form("transfer", 400, login="zoe"), "once")
