"""Lines of accounts: set, learnt once, released; and rows from before there were any."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from saas.errors import Conflict, NotFound
from saas.jobs.notes import keep_notes
from saas.migrations import migrate
from saas.tenants import accounts, journal, lines, login_records, plans
from saas.tenants.lines import Learnt, LineForm
from saas.tenants.scope import PlatformScope
from tests.tenants.test_access import RECORD
from tests.world import Business, World

MAC, OTHER = "AA-BB-CC-00-00-01", "AA-BB-CC-00-00-02"
FIELDS = ("mac", "vlan", "static_ip", "static_ipv6", "delegated_prefix")


def learnt(business: Business, mac: str = "", vlan: str = "", at: float = 0.0, **values: Any) -> Learnt:
    facts = {"account_id": business.account["_id"], "username": business.account["username"]} | values
    return Learnt(business.id, mac=mac, vlan=vlan, at=at, **facts)


async def line(business: Business) -> dict[str, str]:
    account = await accounts.get(business.scope, business.account["_id"])
    return {name: account[name] for name in FIELDS if account[name]}  # type: ignore[literal-required]


async def actions(business: Business) -> list[str]:
    rows = await business.scope.db.audit.find({"target": business.account["_id"]})
    return [row["action"] for row in rows if row["action"] != "account.open"]


async def test_a_line_is_set_in_every_spelling_and_kept_in_one(world: World) -> None:
    form = LineForm(
        mac="aabb.cc00.0001",
        vlan="0100.2001",
        static_ip="10.0.0.9",
        static_ipv6="2001:DB8:0:0::/64",
        delegated_prefix="2001:db8:1::/56",
    )
    await lines.update(world.acme.scope, world.acme.account["_id"], form)
    assert await line(world.acme) == {
        "mac": MAC,
        "vlan": "100.2001",
        "static_ip": "10.0.0.9",
        "static_ipv6": "2001:db8::/64",
        "delegated_prefix": "2001:db8:1::/56",
    }
    assert await actions(world.acme) == ["account.line"]
    assert await line(world.zeta) == {}
    with pytest.raises(Conflict):
        await lines.update(world.acme.scope, world.acme.account["_id"], LineForm(), version=1)
    with pytest.raises(NotFound):
        await lines.update(world.acme.scope, world.zeta.account["_id"], LineForm())


@pytest.mark.parametrize(
    "wrong",
    [
        {"mac": "aa-bb"},
        {"mac": "10.0.0.1"},
        {"vlan": "5000"},
        {"vlan": "a.b"},
        {"static_ip": "2001:db8::1"},
        {"static_ipv6": "10.0.0.1"},
        {"static_ipv6": "2001:db8::1/64"},  # bits behind the prefix
        {"delegated_prefix": "2001:db8::1"},
        {"delegated_prefix": "2001:db8::/200"},
    ],
)
def test_what_is_no_line_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        LineForm.model_validate(wrong)


def test_only_what_the_plan_wants_is_seen() -> None:
    both = replace(RECORD, learns=("mac", "vlan"))
    port = b"1/0/2:100.2001"
    assert lines.seen(both, MAC, port, 7.0) == Learnt("ten_1", "acc_1", "alice", MAC, "100.2001", 7.0)
    assert lines.seen(replace(RECORD, learns=("mac",)), MAC, port, 7.0) == Learnt(
        "ten_1", "acc_1", "alice", MAC, "", 7.0
    )
    for nothing in ("", "10.0.0.2[4500]", "13800138000"):
        assert lines.seen(both, nothing, b"ether1", 7.0) is None


async def test_the_first_line_binds_and_no_later_one(ps: PlatformScope, world: World) -> None:
    await lines.learn(ps, [learnt(world.acme, OTHER, at=2.0), learnt(world.acme, MAC, "100.2", at=1.0)])
    assert await line(world.acme) == {"mac": MAC, "vlan": "100.2"}
    await lines.learn(ps, [learnt(world.acme, OTHER, "100.3", at=0.5), learnt(world.acme, MAC, at=3.0)])
    assert await line(world.acme) == {"mac": MAC, "vlan": "100.2"}
    rows = await world.acme.scope.db.audit.find({"action": "account.learn"})
    assert sorted(tuple(row["changes"]) for row in rows) == [("mac",), ("vlan",)]
    assert {row["actor_kind"] for row in rows} == {"system"}


async def test_two_first_logins_at_once_bind_to_one(ps: PlatformScope, world: World) -> None:
    found = [learnt(world.acme, f"AA-BB-CC-00-01-{n:02X}") for n in range(6)]
    await asyncio.gather(*(lines.learn(ps, [one]) for one in found))
    bound = (await line(world.acme))["mac"]
    rows = await world.acme.scope.db.audit.find({"action": "account.learn"})
    assert [row["changes"]["mac"] for row in rows] == [["", bound]]


async def test_another_tenants_account_is_never_bound(ps: PlatformScope, world: World) -> None:
    foreign = learnt(world.zeta, MAC, account_id=world.acme.account["_id"])
    await lines.learn(ps, [foreign, learnt(world.acme, MAC, account_id="acc_gone")])
    assert await line(world.acme) == await line(world.zeta) == {}


async def test_a_release_lets_it_be_learnt_again(ps: PlatformScope, world: World) -> None:
    await lines.learn(ps, [learnt(world.acme, MAC)])
    await lines.release(world.acme.scope, world.acme.account["_id"])
    assert await line(world.acme) == {}
    await lines.learn(ps, [learnt(world.acme, OTHER)])
    assert await line(world.acme) == {"mac": OTHER}
    assert sorted(await actions(world.acme)) == ["account.learn", "account.learn", "account.release"]


async def test_the_job_binds_what_the_engines_noted(ps: PlatformScope, world: World) -> None:
    await journal.note(ps, "shared", [learnt(world.acme, MAC)])
    while await keep_notes(ps):
        pass
    assert await line(world.acme) == {"mac": MAC}


async def test_the_record_holds_to_a_line_only_where_the_plan_binds(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    await lines.update(scope, world.acme.account["_id"], LineForm(mac=MAC))
    name = (world.acme.id, world.acme.account["username"])
    found = []
    for binding in ("off", "given", "learn"):
        form = plans.form_of(world.acme.plan) | {"bind_mac": binding, "bind_vlan": binding}
        await plans.update(scope, world.acme.plan["_id"], plans.PlanForm.model_validate(form))
        record = (await login_records.find(ps, [name]))[name]
        found.append((record.mac, record.learns))
    assert found == [("", ()), (MAC, ()), (MAC, ("vlan",))]


async def test_rows_from_before_the_rules_are_brought_up(alone: PlatformScope) -> None:
    old = {"_id": "acc_old", "tenant_id": "ten_old", "username": "old", "static_ip": "2001:db8::7"}
    four = {"_id": "acc_four", "tenant_id": "ten_old", "username": "four", "static_ip": "10.0.0.7"}
    for row in (old, four):
        await alone.db.accounts.insert(row | {"member_id": "mem_old", "agent_id": None})
    await alone.db.plans.insert({"_id": "pln_old", "tenant_id": "ten_old", "name": "Old", "price": 1})
    parameters = {"timezone": "UTC", "interim_interval": 300, "stale_factor": 3, "max_session_time": 60}
    await alone.db.tenants.insert({"_id": "ten_old", "tenant_id": "ten_old", "slug": "old", "parameters": parameters})
    entry = {"_id": "led_old", "tenant_id": "ten_old", "account_id": "acc_old", "kind": "charge", "amount": -3000}
    await alone.db.ledger.insert(entry | {"key": "old"})
    assert {"optional_rules", "terms_and_versions"} <= set(await migrate(alone))
    assert await migrate(alone) == []
    six, still_four = await alone.db.accounts.get("acc_old"), await alone.db.accounts.get("acc_four")
    assert (six["static_ip"], six["static_ipv6"], six["mac"]) == ("", "2001:db8::7", "")
    assert (await alone.db.quotas.get("acc_old"))["octets_left"] is None and "octets_left" not in six
    assert (still_four["static_ip"], still_four["static_ipv6"]) == ("10.0.0.7", "")
    assert (six["term"]["paid"], still_four["term"]["paid"], six["terms"], six["next_plan_id"]) == (3000, 0, None, "")
    plan = await alone.db.plans.get("pln_old")
    assert not plans.PlanForm.model_fields.keys() - plan.keys() - {
        "kind", "up_rate", "down_rate", "concurrency", "address_pool", "nas_ids", "note",
    }  # fmt: skip
    assert (plan["at_end"], plan["bind_mac"], plan["days"]) == ("reject", "off", [])
    assert (plan["bundle_months"], plan["late_from"], plan["keeps"]) == (1, "today", False)
    tenant = await alone.db.tenants.get("ten_old")
    assert tenant["parameters"]["restricted_timeout"] == 300 and tenant["parameters"]["timezone"] == "UTC"
