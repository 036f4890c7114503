"""The verdict on an account, the share card, the overview of a tenant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from saas.errors import NotFound
from saas.tenants import nas, overview, plans, refusals, share, slots, user_checks, verdict
from saas.tenants.scope import Actor, PlatformScope
from saas.tenants.slots import Counted, SlotRequest
from saas.values import utcnow
from tests.world import USER_PASSWORD, World


async def test_every_rule_is_judged_in_the_order_of_a_login(world: World) -> None:
    found = await verdict.accounts_verdict(world.acme.scope, world.acme.account["_id"])
    assert [rule.name for rule in found.decision.rules] == [
        "tenant", "account", "pending", "status", "nas", "expiry", "quota", "balance",
        "window", "mac", "vlan", "concurrency",
    ]  # fmt: skip
    assert found.decision.accepted and found.open == [] and found.refusals == []


async def test_it_asks_for_a_device_and_counts_sessions(world: World, ps: PlatformScope) -> None:
    scope, account_id = world.acme.scope, world.acme.account["_id"]
    other = await nas.create(scope, nas.NasForm(name="West gate", vendor="standard"))
    await scope.db.plans.update(world.acme.plan["_id"], {"$set": {"nas_ids": [world.acme.nas["_id"]]}})
    assert (await verdict.accounts_verdict(scope, account_id, other["_id"])).decision.reason == "nas"
    assert (await verdict.accounts_verdict(scope, account_id)).decision.accepted
    await slots.reserve(ps, [SlotRequest(Counted(scope.tenant_id, account_id, 1, 960), "token", other["_id"], "phone")])
    found = await verdict.accounts_verdict(scope, account_id)
    assert found.decision.reason == "concurrency"
    assert dict(found.decision.rules[-1].data) == {"sessions": 1, "limit": 1, "kicks": False}


async def test_it_says_where_the_password_is_not_asked(world: World) -> None:
    scope, account_id = world.acme.scope, world.acme.account["_id"]
    other = await nas.create(scope, nas.NasForm(name="West gate", vendor="standard"))
    await nas.create(scope, nas.NasForm(name="North gate", vendor="standard"))
    assert (await verdict.accounts_verdict(scope, account_id)).unchecked == []
    for device in (other, world.acme.nas):
        form = user_checks.UserCheckForm(user_check="account", confirm=device["name"])
        await user_checks.change(scope, device["_id"], form)
    assert (await verdict.accounts_verdict(scope, account_id)).unchecked == ["East gate", "West gate"]
    await scope.db.plans.update(world.acme.plan["_id"], {"$set": {"nas_ids": [other["_id"]]}})
    assert (await verdict.accounts_verdict(scope, account_id)).unchecked == ["West gate"]
    await nas.set_status(scope, other["_id"], "disabled")
    assert (await verdict.accounts_verdict(scope, account_id)).unchecked == []


async def test_another_tenants_account_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await verdict.accounts_verdict(world.acme.scope, world.zeta.account["_id"])


async def test_a_card_is_taken_once_and_by_who_it_was_offered_to(world: World) -> None:
    scope, account, plan = world.acme.scope, world.acme.account, world.acme.plan
    stranger = replace(scope, actor=Actor("operator", "opr_other", "carol"))
    await share.offer(scope, account["_id"])
    assert await share.take(stranger, account, plan) is None
    card = await share.take(scope, account, plan)
    assert card == share.Card("alice", USER_PASSWORD, ())
    assert await share.take(scope, account, plan) is None


async def test_a_card_names_the_servers_of_the_plan(world: World) -> None:
    scope, account = world.acme.scope, world.acme.account
    one = await nas.create(scope, nas.NasForm(name="A", vendor="openvpn", address="192.0.2.7"))
    await nas.create(scope, nas.NasForm(name="B", vendor="openvpn", mode="ddns", ddns="b.example.com"))
    await share.offer(scope, account["_id"])
    card = await share.take(scope, account, world.acme.plan)
    assert card is not None and card.servers == (("A", "192.0.2.7"), ("B", "b.example.com"))
    bound = plans.PlanForm.model_validate({"name": "Bound", "price": "1", "nas_ids": [one["_id"]]})
    await share.offer(scope, account["_id"])
    card = await share.take(scope, account, await plans.create(scope, bound))
    assert card is not None and card.servers == (("A", "192.0.2.7"),)


async def test_todays_refusals_are_counted_by_reason(world: World, ps: PlatformScope) -> None:
    acme, now = world.acme, utcnow()

    def refused(reason: str, ago: timedelta = timedelta()) -> refusals.Refusal:
        at = (now - ago).timestamp()
        return refusals.Refusal(acme.id, acme.nas["_id"], "alice", "", reason, {}, "pap", "", "192.0.2.9", at)

    yesterday = refused("status", timedelta(days=1, hours=1))
    await refusals.keep(ps, [refused("expiry"), refused("password"), refused("password"), yesterday])
    found = await overview.figures(acme.scope)
    assert list(found["refused"].items()) == [("password", 2), ("expiry", 1)]
    assert found["used"] == {"nas": 1, "accounts": 1, "operators": 1} and found["online"] == 0
