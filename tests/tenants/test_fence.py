"""The fence: no operation, filter, update or pipeline reaches another tenant's rows."""

from __future__ import annotations

import pytest

from saas.embedded import StoreUrls
from saas.errors import Conflict, NotFound, Taken
from saas.schema import COLLECTIONS
from saas.store import Delete, FenceError, Insert, Replace, Store, Update
from saas.values import new_id
from tests.world import World


async def test_another_tenants_row_is_not_found(world: World) -> None:
    db = world.acme.scope.db
    with pytest.raises(NotFound):
        await db.nas.get(world.zeta.nas["_id"])
    assert await db.nas.one({"identifier": world.zeta.nas["identifier"]}) is None
    assert [row["_id"] for row in await db.nas.find()] == [world.acme.nas["_id"]]
    assert await db.accounts.count() == 1


async def test_another_tenants_row_cannot_be_changed_or_removed(world: World) -> None:
    db, foreign = world.acme.scope.db, world.zeta.nas["_id"]
    with pytest.raises(NotFound):
        await db.nas.update(foreign, {"$set": {"name": "mine"}})
    with pytest.raises(NotFound):
        await db.nas.delete(foreign)
    assert not await db.nas.update_one({"_id": foreign}, {"$set": {"name": "mine"}})
    assert await db.nas.update_many({"_id": foreign}, {"$set": {"name": "mine"}}) == 0
    assert await db.nas.delete_many({"_id": foreign}) == 0
    assert await db.nas.bulk([Update({"_id": foreign}, {"$set": {"name": "mine"}})]) == 0
    version = world.zeta.nas["version"]
    assert await db.nas.bulk([Replace({"_id": foreign, "name": "mine"}, version)]) == 0
    assert await db.nas.bulk([Delete(foreign, version)]) == 0
    assert await world.zeta.scope.db.nas.get(foreign) == world.zeta.nas
    with pytest.raises(FenceError):
        await db.nas.bulk([Replace({**world.zeta.nas, "name": "mine"}, version)])


@pytest.mark.parametrize(
    "filter",
    [
        {"tenant_id": "ten_other"},
        {"$or": [{"name": "x"}, {"tenant_id": "ten_other"}]},
        {"$nor": [{"$and": [{"tenant_id": {"$ne": "x"}}]}]},
        {"$where": "true"},
        {"$expr": {"$function": {"body": "", "args": [], "lang": "js"}}},
    ],
)
async def test_a_filter_that_names_the_fence_or_runs_code_is_refused(world: World, filter: dict[str, object]) -> None:
    with pytest.raises(FenceError):
        await world.acme.scope.db.nas.find(filter)


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"tenant_id": "ten_other"}},
        {"$unset": {"tenant_id": ""}},
        {"$rename": {"tenant_id": "was"}},
        {"name": "a replacement"},
        {},
    ],
)
async def test_an_update_cannot_move_a_row_over_the_fence(world: World, change: dict[str, object]) -> None:
    with pytest.raises(FenceError):
        await world.acme.scope.db.nas.update_one({"_id": world.acme.nas["_id"]}, change)


async def test_an_insert_is_stamped_and_a_foreign_stamp_refused(world: World) -> None:
    db = world.acme.scope.db
    row = await db.groups.insert({"_id": f"grp_{world.acme.slug}", "name": "new", "permissions": []})
    assert row["tenant_id"] == world.acme.id
    with pytest.raises(FenceError):
        await db.groups.insert({"_id": "grp_x", "tenant_id": world.zeta.id, "name": "x"})
    with pytest.raises(FenceError):
        await db.groups.bulk([Insert({"_id": "grp_y", "tenant_id": world.zeta.id, "name": "y"})])


@pytest.mark.parametrize("stage", ["$lookup", "$out", "$merge", "$unionWith", "$graphLookup", "$facet"])
async def test_a_pipeline_stays_in_its_collection(world: World, stage: str) -> None:
    with pytest.raises(FenceError):
        await world.acme.scope.db.nas.aggregate([{stage: {}}])


async def test_a_pipeline_sees_the_fence_first(world: World) -> None:
    counted = await world.acme.scope.db.accounts.aggregate([{"$group": {"_id": None, "n": {"$sum": 1}}}])
    assert counted[0]["n"] == 1


async def test_a_scope_opens_no_collection_without_its_fence(world: World) -> None:
    with pytest.raises(FenceError):
        world.acme.scope.db.cloud_accounts  # noqa: B018
    with pytest.raises(AttributeError):
        world.acme.scope.db.no_such_collection  # noqa: B018


async def test_a_scope_sees_only_its_own_tenants_row(world: World) -> None:
    assert [row["_id"] for row in await world.acme.scope.db.tenants.find()] == [world.acme.id]
    with pytest.raises(NotFound):
        await world.acme.scope.db.tenants.get(world.zeta.id)


async def test_an_agents_fence_is_narrower(world: World, store: Store) -> None:
    agent = store.fenced({"tenant_id": world.acme.id, "agent_id": "agt_1"})
    assert await agent.accounts.find() == []
    with pytest.raises(FenceError):
        agent.nas  # noqa: B018


@pytest.mark.parametrize("fence", [{}, {"tenant_id": ""}])
async def test_an_empty_fence_is_no_fence(store: Store, fence: dict[str, str]) -> None:
    with pytest.raises(FenceError):
        store.fenced(fence)


async def test_the_log_and_the_ledger_cannot_be_altered(world: World) -> None:
    for name in ("audit", "ledger"):
        table = getattr(world.acme.scope.db, name)
        rows = await table.find()
        with pytest.raises(FenceError):
            await table.update(rows[0]["_id"], {"$set": {"note": "forged"}})
        with pytest.raises(FenceError):
            await table.delete(rows[0]["_id"])
        for change in ({"$set": {"seq": 1, "action": "forged"}}, {"$inc": {"seq": 1}}, {"$unset": {"hash": ""}}):
            with pytest.raises(FenceError):
                await table.update_one({"_id": rows[0]["_id"]}, change)
    assert {name for name, collection in COLLECTIONS.items() if collection.append_only} >= {"audit", "ledger"}


async def test_a_stale_version_is_a_conflict_and_changes_nothing(world: World) -> None:
    db, nas = world.acme.scope.db, world.acme.nas
    changed = await db.nas.update(nas["_id"], {"$set": {"note": "first"}}, version=nas["version"])
    assert changed["version"] == nas["version"] + 1
    with pytest.raises(Conflict):
        await db.nas.update(nas["_id"], {"$set": {"note": "second"}}, version=nas["version"])
    assert (await db.nas.get(nas["_id"]))["note"] == "first"


async def test_a_failed_transaction_leaves_nothing(world: World) -> None:
    scope = world.acme.scope

    async def fail(tx: object) -> None:
        await tx.db.groups.insert({"_id": f"grp_gone_{world.acme.slug}", "name": "gone", "permissions": []})  # type: ignore[attr-defined]
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        await scope.transaction(fail)
    assert await scope.db.groups.one({"name": "gone"}) is None


async def test_names_are_unique_in_a_tenant_and_identifiers_in_the_cloud(world: World) -> None:
    row = {"_id": f"nas_dup_{world.acme.slug}", "name": "other", "identifier": world.zeta.nas["identifier"]}
    with pytest.raises(Taken) as taken:
        await world.acme.scope.db.nas.insert(row)
    assert taken.value.fields == {"identifier": "taken"}
    assert world.acme.account["username"] == world.zeta.account["username"]


async def test_the_url_may_name_the_database(stores: StoreUrls) -> None:
    named = await Store.open(stores.mongo_url.replace("/?", "/elsewhere?"))
    same = await Store.open(stores.mongo_url, "elsewhere")
    row = {"_id": new_id("own"), "email": "a@example.com"}
    await named.platform().cloud_accounts.insert(row)
    assert await same.platform().cloud_accounts.one({"_id": row["_id"]})
    for store in (named, same):
        store.close()
