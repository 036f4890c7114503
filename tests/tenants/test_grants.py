"""Which plans an operator may sell: held to in the operations themselves, and in what he grants to others."""

from __future__ import annotations

from typing import Any

import pytest

from saas import migrations
from saas.errors import Conflict, Denied, Invalid
from saas.tenants import accounts, card_making, life, login, operators, plans, redemptions, renewals
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.card_making import BatchForm
from saas.tenants.forms import Form
from saas.tenants.operators import GroupForm, OperatorForm
from saas.tenants.plan_form import PlanForm
from saas.tenants.plans import Plan
from saas.tenants.purchases import ADD, CHANGE_PLAN, RENEW, AdditionForm, ChangePlanForm, RenewForm
from saas.tenants.redemptions import RedeemForm
from saas.tenants.scope import Scope
from saas.values import new_id
from tests.tenants.card_cast import make
from tests.world import PASSWORD, World


@pytest.fixture
async def other(world: World) -> Plan:
    """A plan of Acme's beside the one that its account has."""
    return await plans.create(world.acme.scope, PlanForm.model_validate({"name": "Other", "price": "50"}))


def form(world: World, *plan_ids: str, login: str = "bob") -> OperatorForm:
    group = world.acme.operator["group_id"]
    return OperatorForm(login=login, password=PASSWORD, group_id=group, plan_ids=list(plan_ids))


async def scope_of(world: World, *plan_ids: str) -> Scope:
    """The scope with which Bob's next click is answered, who may sell these plans."""
    await operators.update(world.acme.scope, world.acme.operator["_id"], form(world, *plan_ids))
    session = await login.operator(world.ps, world.acme.slug, LOGIN, new_id("from"))
    tenant: Any = world.acme.scope.tenant
    found = await login.scope_of(world.ps, session, tenant)
    assert found is not None
    return found


LOGIN = login.LoginForm(login="bob", password=PASSWORD)


async def refused(work: Any) -> str:
    with pytest.raises(Denied) as error:
        await work
    return str(error.value.data["name"])


async def test_what_is_not_granted_is_not_sold_in_any_way(world: World, other: Plan) -> None:
    bob, account_id = await scope_of(world, other["_id"]), world.acme.account["_id"]
    before = await accounts.get(bob, account_id)
    own = world.acme.plan["_id"]
    assert [plan["_id"] for plan in await plans.for_sale(bob)] == [other["_id"]]
    assert await accounts.quote(bob, own, 1) is None
    batch = BatchForm(kind="plan", plan_id=own, count=1, prefix="bob")
    assert await refused(card_making.create(bob, batch, new_id("make"))) == "Monthly"
    opening = QuickOpenForm(username="carol", plan_id=own)
    assert await refused(accounts.quick_open(bob, opening, new_id("open"))) == "Monthly"
    for act, what in ((RENEW, RenewForm()), (ADD, AdditionForm(days=1))):
        assert await refused(life.preview(bob, act, account_id, what)) == "Monthly"
        assert await refused(life.perform(bob, act, account_id, what, new_id("try"))) == "Monthly"
    assert await accounts.get(bob, account_id) == before
    assert await bob.db.accounts.count({"username": "carol"}) == 0
    await life.perform(bob, CHANGE_PLAN, account_id, ChangePlanForm(plan_id=other["_id"]), new_id("try"))
    back = life.perform(bob, CHANGE_PLAN, account_id, ChangePlanForm(plan_id=own), new_id("try"))
    assert await refused(back) == "Monthly"
    await life.perform(bob, RENEW, account_id, RenewForm(), new_id("try"))


async def test_a_plan_for_the_time_after_the_end_must_be_granted_too(world: World, other: Plan) -> None:
    bob, account_id = await scope_of(world, world.acme.plan["_id"]), world.acme.account["_id"]
    for when in ("now", "expiry"):
        wish = ChangePlanForm.model_validate({"plan_id": other["_id"], "when": when})
        assert await refused(life.perform(bob, CHANGE_PLAN, account_id, wish, new_id("try"))) == "Other"
    await life.perform(bob, RENEW, account_id, RenewForm(), new_id("try"))
    await life.perform(bob, renewals.RENEWS, account_id, Form(), new_id("try"))


async def test_without_grants_all_are_sold_and_a_change_holds_at_once(world: World, other: Plan) -> None:
    bob = await scope_of(world)
    assert bob.sells is None and len(await plans.for_sale(bob)) == 2
    assert (await scope_of(world, other["_id"])).sells == {other["_id"]}
    assert world.acme.scope.sells is None


async def grant(world: World, *plan_ids: str, by: Scope | None = None, **values: Any) -> None:
    """Let Bob's group sell these plans."""
    group = await operators.get_group(world.acme.scope, world.acme.operator["group_id"])
    values = {"name": group["name"], "permissions": group["permissions"], "plan_ids": list(plan_ids), **values}
    await operators.update_group(by or world.acme.scope, group["_id"], GroupForm.model_validate(values))


async def test_the_groups_plans_hold_for_who_has_none_of_his_own(world: World, other: Plan) -> None:
    own = world.acme.plan["_id"]
    await grant(world, other["_id"])
    assert (await scope_of(world)).sells == {other["_id"]}
    assert (await scope_of(world, own)).sells == {own}
    with pytest.raises(Conflict):
        await plans.delete(world.acme.scope, other["_id"])
    await grant(world)
    assert (await scope_of(world)).sells is None
    with pytest.raises(Invalid) as error:
        await grant(world, world.zeta.plan["_id"])
    assert error.value.fields == {"plan_ids": "bad_choice"}


async def test_nobody_grants_a_group_what_he_may_not_sell(world: World, other: Plan) -> None:
    own = world.acme.plan["_id"]
    bob = await scope_of(world, other["_id"])
    await grant(world, by=bob, name="Renamed")  # what it sells is left alone
    for plan_ids in ((own,), (other["_id"],)):  # until now it sells all: that is not for Bob to take away
        with pytest.raises(Invalid) as error:
            await grant(world, *plan_ids, by=bob)
        assert error.value.fields == {"plan_ids": "beyond_own"}
    await grant(world, other["_id"])
    for plan_ids in ((), (own,), (own, other["_id"])):
        with pytest.raises(Invalid):
            await grant(world, *plan_ids, by=bob)
    await operators.create(bob, form(world, login="dora"))  # sells what her group does: no more than Bob


async def test_cards_are_redeemed_for_granted_plans_alone(world: World, other: Plan) -> None:
    scope, account = world.acme.scope, world.acme.account
    cards = await make(scope, kind="plan", plan_id=world.acme.plan["_id"])
    wish = RedeemForm(code=cards.codes[0], account_id=account["_id"])
    bob = await scope_of(world, other["_id"])
    assert await refused(redemptions.preview(bob, account["member_id"], wish)) == "Monthly"
    assert await refused(redemptions.redeem(bob, account["member_id"], wish, new_id("try"))) == "Monthly"
    bob = await scope_of(world, world.acme.plan["_id"])
    used, _ = await redemptions.redeem(bob, account["member_id"], wish, new_id("try"))
    assert used["state"] == "used"


async def test_nobody_grants_what_he_may_not_sell(world: World, other: Plan) -> None:
    bob, own = await scope_of(world, other["_id"]), world.acme.plan["_id"]
    mine = await operators.create(bob, form(world, other["_id"], login="dora"))
    for plan_ids in ((), (own,), (own, other["_id"])):
        for work in (
            operators.create(bob, form(world, *plan_ids, login="eve")),
            operators.update(bob, mine["_id"], form(world, *plan_ids, login="dora")),
        ):
            with pytest.raises(Invalid) as error:
                await work
            assert error.value.fields == {"plan_ids": "beyond_own"}
    boss = await operators.create(world.acme.scope, form(world, login="frank"))
    for touch in (operators.delete(bob, boss["_id"]), operators.update(bob, boss["_id"], form(world, other["_id"]))):
        with pytest.raises(Invalid):
            await touch


async def test_plans_of_others_cannot_be_granted(world: World) -> None:
    for plan_id in (world.zeta.plan["_id"], "pln_none"):
        with pytest.raises(Invalid) as error:
            await operators.create(world.acme.scope, form(world, plan_id, login="dora"))
        assert error.value.fields == {"plan_ids": "bad_choice"}


async def test_a_granted_plan_cannot_be_deleted(world: World, other: Plan) -> None:
    """Else an operator whose last plan went away would sell all at his next change."""
    await scope_of(world, other["_id"])
    with pytest.raises(Conflict) as error:
        await plans.delete(world.acme.scope, other["_id"])
    assert error.value.code == "in_use"
    await scope_of(world)
    await plans.delete(world.acme.scope, other["_id"])


async def test_operators_of_old_sell_everything(world: World) -> None:
    scope, operator_id = world.acme.scope, world.acme.operator["_id"]
    await scope.db.operators.update(operator_id, {"$unset": {"plan_ids": ""}})
    await scope.db.groups.update(world.acme.operator["group_id"], {"$unset": {"plan_ids": ""}})
    for _ in range(2):
        await migrations.grants_begin(world.ps)
        await migrations.group_grants_begin(world.ps)
    operator = await operators.get(scope, operator_id)
    assert operators.sells(operator["plan_ids"], await operators.get_group(scope, operator["group_id"])) is None
