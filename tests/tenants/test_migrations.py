"""Rows of earlier versions get what they lack."""

from __future__ import annotations

import asyncio
from typing import Any

from saas import migrations
from saas.permissions import Permission, fresh
from saas.store import Insert
from saas.tenants import accounts, operators, verify
from saas.values import new_id
from tests.tenants.accounting_events import event, record_and_apply
from tests.world import World, sessions_of


async def test_tenants_and_members_of_old_can_be_told_something(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    fresh: Any = scope.tenant["parameters"]
    later = {
        "activated",
        "closed",
        "closing",
        "quota_low",
        "renewal_refused",
        "renewal_unpaid",
        "renewed",
    }  # kinds that came with later migrations
    then = fresh | {"notice_mail": sorted(set(fresh["notice_mail"]) - later)}
    for name in ("notice_quota", "notice_hour", "notice_interval"):  # so did these
        del then[name]
    names = [name for name in fresh if name.startswith("notice_")]
    await world.ps.db.tenants.update(world.acme.id, {"$unset": {f"parameters.{name}": "" for name in names}})
    await scope.db.members.update(member_id, {"$unset": {"language": ""}})
    await world.zeta.scope.db.tenants.update(world.zeta.id, {"$set": {"parameters.notice_days": 9}})
    for _ in range(2):
        await migrations.notices_begin(world.ps)
    assert (await world.ps.db.tenants.get(world.acme.id))["parameters"] == then
    assert (await scope.db.members.get(member_id))["language"] == "system"
    assert (await world.ps.db.tenants.get(world.zeta.id))["parameters"]["notice_days"] == 9


async def test_what_was_the_same_for_all_tenants_is_a_parameter_of_each(world: World) -> None:
    scope, fresh = world.acme.scope, world.acme.scope.tenant["parameters"]
    names = ("stale_factor", "keep_sessions", "notice_hour", "notice_interval")
    await world.ps.db.tenants.update(world.acme.id, {"$unset": {f"parameters.{name}": "" for name in names}})
    await scope.db.nas.update(world.acme.nas["_id"], {"$unset": {"user_check": ""}})
    await world.zeta.scope.db.tenants.update(world.zeta.id, {"$set": {"parameters.stale_factor": 7}})
    for _ in range(2):
        await migrations.more_parameters_begin(world.ps)
    assert (await world.ps.db.tenants.get(world.acme.id))["parameters"] == fresh
    assert (await world.ps.db.tenants.get(world.zeta.id))["parameters"]["stale_factor"] == 7
    assert (await scope.db.nas.get(world.acme.nas["_id"]))["user_check"] == "password"


async def test_what_is_left_is_moved_beside_the_accounts(world: World) -> None:
    scope, account = world.acme.scope, world.acme.account
    await scope.db.accounts.update(account["_id"], {"$set": {"octets_left": 5, "seconds_left": None}})
    await scope.db.quotas.delete(account["_id"])
    for _ in range(2):
        await migrations.quotas_apart(world.ps)
    assert "octets_left" not in await scope.db.accounts.get(account["_id"])
    now = await accounts.get(scope, account["_id"])
    assert (now["octets_left"], now["seconds_left"]) == (5, None)
    assert await verify._accounts(scope) == []


async def test_quotas_of_old_can_be_low(world: World) -> None:
    scope, account = world.acme.scope, world.acme.account
    await scope.db.accounts.update(account["_id"], {"$set": {"term.octets": 1000}})
    await scope.db.quotas.update(account["_id"], {"$unset": {"octets_low": "", "seconds_low": ""}})
    old = {"parameters.notice_quota": ""}
    parameters = {"parameters.notice_mail": ["expired", "quota_used"]}
    await world.ps.db.tenants.update(world.acme.id, {"$unset": old, "$set": parameters})
    await world.ps.db.tenants.update(world.zeta.id, {"$set": {"parameters.notice_quota": 0}})
    for _ in range(2):
        await migrations.more_notices_begin(world.ps)
    row = await scope.db.quotas.get(account["_id"])
    assert (row["octets_low"], row["seconds_low"]) == (200, None)
    now = (await world.ps.db.tenants.get(world.acme.id))["parameters"]
    assert (now["notice_quota"], now["notice_mail"]) == (80, ["expired", "quota_used", "activated", "quota_low"])
    assert (await world.ps.db.tenants.get(world.zeta.id))["parameters"]["notice_quota"] == 0


async def test_groups_of_old_follow_the_code_where_nobody_changed_them(world: World) -> None:
    scope = world.acme.scope
    await scope.db.groups.delete_many({})
    old = {"version": 1, "permissions": ["accounts:read", "ledger:read"]}
    rows: dict[str, dict[str, Any]] = {
        "营业员": old,
        "Cashier": {**old, "permissions": ["accounts:read", "nas:write"]},  # that no cashier had
        "经理": {**old, "version": 2},
        "Desk": old,
        "Read only": {**old, "permissions": []},
    }
    await scope.db.groups.insert_many([{"_id": new_id("grp"), "name": name, **row} for name, row in rows.items()])
    for _ in range(2):
        await migrations.groups_built_in(world.ps)
    found = {row["name"]: (row["preset"], row["permissions"]) for row in await scope.db.groups.find()}
    own = {name: ("", rows[name]["permissions"]) for name in ("Cashier", "经理", "Desk")}
    assert found == {**own, "营业员": ("cashier", []), "Read only": ("viewer", [])}


async def test_open_sessions_are_moved_to_their_own_place(world: World) -> None:
    scope = world.acme.scope
    told = [("start", "lives", 0), ("start", "ends", 0), ("stop", "ends", 60)]
    await record_and_apply(world.ps, *(event(name, at, scope.tenant_id, session_id=id) for name, id, at in told))
    before = await sessions_of(scope.db)
    await scope.db.sessions.bulk([Insert(row) for row in before if row["open"]])
    await scope.db.online.delete_many({})
    for _ in range(2):
        await migrations.online_apart(world.ps)
    assert await sessions_of(scope.db) == before
    assert [row["acct_session_id"] for row in await scope.db.online.find()] == ["lives"]


async def test_indexes_that_nobody_needs_are_dropped(world: World) -> None:
    store, name = world.ps.services.store, "tenant_id_1_open_1__id_1"
    rows = store._client[store._name]["sessions"]
    await rows.create_index([("tenant_id", 1), ("open", 1), ("_id", 1)], name=name)
    assert name in await rows.index_information()
    await asyncio.gather(store.prepare(), store.prepare())
    assert name not in await rows.index_information()


async def test_tenants_of_old_can_print(world: World) -> None:
    fresh: Any = world.acme.scope.tenant["parameters"]
    names = ("legal_name", "postal_address", "tax_id", "phone", "number_prefix", "paper_footer", "logo")
    await world.ps.db.tenants.update(world.acme.id, {"$unset": {f"parameters.{name}": "" for name in names}})
    await world.ps.db.tenants.update(world.zeta.id, {"$set": {"parameters.legal_name": "Zeta Ltd"}})
    for _ in range(2):
        await migrations.papers_begin(world.ps)
    assert (await world.ps.db.tenants.get(world.acme.id))["parameters"] == fresh
    assert (await world.ps.db.tenants.get(world.zeta.id))["parameters"]["legal_name"] == "Zeta Ltd"


async def test_tenants_of_old_ask_for_no_second_factor(world: World) -> None:
    fresh: Any = world.acme.scope.tenant["parameters"]
    await world.ps.db.tenants.update(world.acme.id, {"$unset": {"parameters.second_factor": ""}})
    await world.ps.db.tenants.update(world.zeta.id, {"$set": {"parameters.second_factor": True}})
    for _ in range(2):
        await migrations.second_factor_begins(world.ps)
    assert (await world.ps.db.tenants.get(world.acme.id))["parameters"] == fresh
    assert (await world.ps.db.tenants.get(world.zeta.id))["parameters"]["second_factor"] is True


async def test_groups_of_old_know_what_there_is(world: World) -> None:
    scope = world.acme.scope
    own = await operators.create_group(scope, operators.GroupForm(name="Own", permissions=[Permission.NAS_READ]))
    await world.ps.db.groups.update_many({}, {"$unset": {"permissions_known": ""}})
    for _ in range(2):
        await migrations.groups_know_permissions(world.ps)
    rows = await scope.db.groups.find({})
    assert {row["_id"] for row in rows if row["permissions_known"]} == {own["_id"]}
    assert not any(fresh(row) for row in rows)
