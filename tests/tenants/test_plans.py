"""Plans: every policy has what it sells, and each account is held to the version that is its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from saas.errors import Conflict, Invalid
from saas.tenants import accounts, life, login_records, metering, plans, purchases, quotas, verdict
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import Scope
from saas.values import new_id
from tests.world import USERNAME, World, set_account

GB = 2**30


def form(**values: Any) -> PlanForm:
    return PlanForm.model_validate({"name": "Sold", "price": "30", **values})


async def change(scope: Scope, plan_id: str, **values: Any) -> plans.Plan:
    now = plans.form_of(await plans.get(scope, plan_id))
    return await plans.update(scope, plan_id, PlanForm.model_validate(now | values))


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ({"kind": "prepaid_monthly", "bundle_months": 6}, (3000, 1, 0, 0, 0)),
        ({"kind": "buyout_months", "bundle_months": 6, "valid_days": 9}, (3000, 6, 0, 0, 0)),
        ({"kind": "buyout_traffic", "octets": GB, "seconds": 60, "bundle_months": 6}, (3000, 0, 0, GB, 0)),
        ({"kind": "buyout_time", "seconds": 3600, "octets": GB, "valid_days": 30}, (3000, 0, 30, 0, 3600)),
        ({"kind": "per_hour", "octets": GB, "valid_days": 30}, (3000, 0, 0, 0, 0)),
        ({"kind": "free", "price": "", "octets": GB}, (0, 0, 0, 0, 0)),
    ],
)
async def test_a_policy_has_its_own_figures_and_no_others(
    world: World, values: dict[str, Any], unit: tuple[int, ...]
) -> None:
    plan = await plans.create(world.acme.scope, form(**values))
    assert (plan["price"], plan["bundle_months"], plan["valid_days"], plan["octets"], plan["seconds"]) == unit
    assert PlanForm.model_validate(plans.form_of(plan)).kind == values["kind"]


@pytest.mark.parametrize(
    ("kind", "field"),
    [("buyout_months", "bundle_months"), ("buyout_traffic", "octets"), ("buyout_time", "seconds"), ("per_mb", "price")],
)
async def test_a_policy_that_sells_nothing_is_refused(world: World, kind: str, field: str) -> None:
    with pytest.raises(Invalid) as invalid:
        await plans.create(world.acme.scope, form(kind=kind, price="0"))
    assert invalid.value.fields == {field: "missing"}


async def test_a_bundle_is_opened_with_what_it_gives(world: World) -> None:
    scope = world.acme.scope
    plan = await plans.create(scope, form(kind="buyout_traffic", octets=GB, gift_octets=GB // 2))
    opening = QuickOpenForm(username="carol", plan_id=plan["_id"], units=2)
    account, _ = await accounts.quick_open(scope, opening, "open")
    assert (account["octets_left"], account["expires_at"], account["term"]["paid"]) == (3 * GB, None, 6000)


async def test_what_is_sold_by_use_costs_nothing_in_advance(world: World) -> None:
    scope = world.acme.scope
    plan = await plans.create(scope, form(kind="per_hour"))
    quote = await accounts.quote(scope, plan["_id"], 3)
    assert quote is not None and (quote.price, quote.holding["expires_at"]) == (0, None)
    account, _ = await accounts.quick_open(scope, QuickOpenForm(username="carol", plan_id=plan["_id"], units=3), "open")
    assert await scope.db.ledger.find({"account_id": account["_id"]}) == []
    with pytest.raises(Conflict, match="nothing_to_buy"):
        await life.perform(scope, purchases.RENEW, account["_id"], purchases.RenewForm(), "renew")


async def test_a_plan_with_accounts_does_not_turn_into_one_by_use(world: World) -> None:
    scope, plan_id = world.acme.scope, world.acme.plan["_id"]
    with pytest.raises(Conflict, match="by_use"):
        await change(scope, plan_id, kind="per_mb")
    assert (await plans.get(scope, plan_id))["kind"] == "prepaid_monthly"
    unused = await plans.create(scope, form(name="Nobody's"))
    assert (await change(scope, unused["_id"], kind="per_mb"))["kind"] == "per_mb"


async def test_accounts_follow_a_plan_or_keep_the_version_they_bought(world: World) -> None:
    scope, plan_id, account_id = world.acme.scope, world.acme.plan["_id"], world.acme.account["_id"]

    async def seen() -> tuple[int, int, str]:
        record = (await login_records.find(world.ps, [(world.acme.id, USERNAME)]))[world.acme.id, USERNAME]
        found = await verdict.accounts_verdict(scope, account_id)
        assert found.plan["down_rate"] == record.down_rate
        return found.plan["price"], record.down_rate, record.address_pool

    await change(scope, plan_id, price="40", down_rate=10)
    assert await seen() == (4000, 10_000_000, "")
    kept = await change(scope, plan_id, price="50", down_rate=20, keeps=True, address_pool="new")
    assert await seen() == (4000, 10_000_000, "new")
    account = await accounts.get(scope, account_id)
    assert account["terms"] is not None and account["terms"]["version"] == kept["version"] - 1
    await change(scope, plan_id, price="60")
    assert await seen() == (4000, 10_000_000, "new")
    later, _ = await accounts.quick_open(scope, QuickOpenForm(username="carol", plan_id=plan_id), "open")
    assert (later["terms"], later["term"]["paid"]) == (None, 6000)
    await change(scope, plan_id, note="nothing that was sold")
    assert (await accounts.get(scope, later["_id"]))["terms"] is None
    await change(scope, plan_id, keeps=False)
    assert await seen() == (6000, 20_000_000, "new")


async def more_accounts(world: World, count: int) -> None:
    """So many more accounts like Acme's."""
    like = await accounts.get(world.acme.scope, world.acme.account["_id"])
    rows = [{**like, "_id": new_id("acc"), "username": f"u{number}"} for number in range(count)]
    await quotas.insert(world.acme.scope, rows)


async def test_a_plan_of_many_accounts_changes_when_all_have_taken_the_present_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "_PORTION", 3)
    monkeypatch.setattr(plans, "_AT_ONCE", 2)
    scope, plan_id = world.acme.scope, world.acme.plan["_id"]
    await more_accounts(world, 8)
    begun = await change(scope, plan_id, price="50", keeps=True, name="Dearer")
    assert begun["settling"] and (begun["settling"]["done"], begun["settling"]["total"]) == (6, 9)
    assert (begun["price"], begun["name"]) == (3000, world.acme.plan["name"]), "it holds when all are ready"
    with pytest.raises(Conflict) as refused:
        await change(scope, plan_id, price="60")
    assert refused.value.code == "plan_settling"
    other = await plans.create(scope, form(name="Dearer"))  # so that the name is gone
    # whoever comes meanwhile buys the present version, by opening and by a change
    later, _ = await accounts.quick_open(scope, QuickOpenForm(username="carol", plan_id=plan_id), "carol")
    dora, _ = await accounts.quick_open(scope, QuickOpenForm(username="dora", plan_id=other["_id"]), "dora")
    await life.perform(scope, purchases.CHANGE_PLAN, dora["_id"], purchases.ChangePlanForm(plan_id=plan_id), "over")
    assert later["terms"] and later["terms"]["price"] == 3000
    with monkeypatch.context() as crash:
        crash.setattr(plans, "_finish", _killed)
        with pytest.raises(RuntimeError):
            while True:  # by two at once
                await asyncio.gather(plans.settle(scope, plan_id), plans.settle(scope, plan_id))
    assert (await plans.get(scope, plan_id))["price"] == 3000
    await plans.settle_all(world.ps)
    plan = await plans.get(scope, plan_id)
    assert (plan["settling"], plan["price"], plan["version"]) == (None, 5000, begun["version"] + 1)
    assert plan["name"] == world.acme.plan["name"], "a name that was taken meanwhile is left"
    rows = await scope.db.accounts.find({"plan_id": plan_id}, limit=100)
    assert [(row["terms"]["price"], row["terms"]["version"]) for row in rows] == [(3000, begun["version"])] * 11
    (entry,) = await scope.db.audit.find({"target": plan_id, "action": "plan.update"})
    assert entry["actor_name"] == scope.actor.name and "settling" not in entry["changes"]


async def test_the_accounts_of_a_plan_that_keeps_no_longer_give_up_what_they_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope, plan_id = world.acme.scope, world.acme.plan["_id"]
    await more_accounts(world, 8)
    await change(scope, plan_id, price="50", keeps=True)
    assert await scope.db.accounts.count({"plan_id": plan_id, "terms": None}) == 0
    monkeypatch.setattr(plans, "_PORTION", 3)
    monkeypatch.setattr(plans, "_AT_ONCE", 2)
    plan = await change(scope, plan_id, keeps=False, price="60")
    assert plan["settling"] and (plan["keeps"], plan["price"]) == (False, 6000), "that holds at once"
    assert await scope.db.accounts.count({"plan_id": plan_id, "terms": None}) == 6
    while await plans.settle_all(world.ps):
        continue
    assert await scope.db.accounts.count({"plan_id": plan_id, "terms": None}) == 9
    assert (await change(scope, plan_id, price="70"))["price"] == 7000


async def _killed(*_: Any) -> None:
    raise RuntimeError("killed")


async def test_another_tenants_accounts_keep_what_they_have(world: World) -> None:
    await change(world.acme.scope, world.acme.plan["_id"], price="50", keeps=True)
    assert (await accounts.get(world.zeta.scope, world.zeta.account["_id"]))["terms"] is None


async def test_the_direction_that_counts_is_that_of_the_version(world: World) -> None:
    scope, account_id = world.acme.scope, world.acme.account["_id"]
    await set_account(scope, account_id, octets_left=GB)
    await change(scope, world.acme.plan["_id"], counted="down")
    await change(scope, world.acme.plan["_id"], counted="both", keeps=True)
    account = await accounts.get(scope, account_id)
    row = {"_id": "ses_1", "account_id": account_id, "input_octets": 5, "output_octets": 7, "lasted": 60}
    row |= {"charged_octets": 0, "charged_seconds": 0}
    payer = metering.payer(account, await plans.get(scope, account["plan_id"]))
    assert payer
    await metering.take(world.ps, {}, [row], {account_id: payer})
    assert row["charged_octets"] == 7
