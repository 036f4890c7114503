"""Engine pools: made, changed, retired; their ports; tenants that move, and what the former pool does for them."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import Any

import pytest

from saas.errors import Conflict, Invalid, NotFound, Taken
from saas.tenants import audit, engines, moves, nas, pools
from saas.tenants.engines import EngineReport, PoolState
from saas.tenants.paging import ListQuery
from saas.tenants.pools import Pool, PoolForm, Ports, PortsForm, WorkersForm
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow
from tests.tenants.accounting_events import make_tenant
from tests.world import World

_next = iter(range(20_000, 60_000, 10))


async def make_pool(ps: PlatformScope, **values: Any) -> Pool:
    """A pool of a host of its own, so that its ports are nobody else's business."""
    first = next(_next)
    name = f"p{secrets.token_hex(6)}"
    form: dict[str, Any] = {"name": name, "host": f"host-{name}", "auth_port": first, "acct_port": first + 1}
    return await pools.create(ps, PoolForm.model_validate(form | values))


async def actions(ps: PlatformScope, target: str) -> list[str]:
    """What the platform's log says of it, the oldest first."""
    page = await audit.platform_listing(ps, ListQuery(q=target))
    return [entry["action"] for entry in reversed(page.rows)]


# the shared pool


async def test_the_shared_pool_is_made_once_and_follows_the_settings_where_told(alone: PlatformScope) -> None:
    made = await asyncio.gather(*(pools.ensure_shared(alone, Ports(1812, 1813, 2083)) for _ in range(4)))
    assert {pool["_id"] for pool in made} == {made[0]["_id"]}
    assert (made[0]["name"], made[0]["kind"], made[0]["host"], made[0]["workers"]) == ("shared", "shared", "", 1)
    assert pools.ports_of(await pools.ensure_shared(alone, Ports(1, 2, 3))) == (1812, 1813, 2083)
    moved = await pools.ensure_shared(alone, Ports(1645, 1646, 0), follow=True)
    assert (pools.ports_of(moved), moved["former_ports"]) == ((1645, 1646, 0), [])
    again = await pools.ensure_shared(alone, Ports(1645, 1646, 0), follow=True)
    assert again["version"] == moved["version"]
    assert await actions(alone, moved["_id"]) == ["pool.create", "pool.update"]

    other = await make_pool(alone, host="")
    with pytest.raises(Taken) as taken:
        await pools.ensure_shared(alone, Ports(1645, other["auth_port"], 0), follow=True)
    assert taken.value.field == "acct_port"
    with pytest.raises(Conflict, match="shared_pool"):
        await pools.retire(alone, moved["_id"])


# making and changing


async def test_ports_are_nobody_elses_on_a_host(ps: PlatformScope) -> None:
    first = await make_pool(ps, radsec_port=19_083)
    for field, port in (("auth_port", first["acct_port"]), ("acct_port", 19_083), ("radsec_port", first["auth_port"])):
        with pytest.raises(Taken) as taken:
            await make_pool(ps, host=first["host"], **{field: port})
        assert taken.value.field == field
    elsewhere = await make_pool(ps, auth_port=first["auth_port"], acct_port=first["acct_port"])
    assert pools.ports_of(elsewhere)[:2] == pools.ports_of(first)[:2]
    with pytest.raises(Taken):
        await make_pool(ps, host="", auth_port=first["auth_port"])
    with pytest.raises(Taken) as named:
        await make_pool(ps, name=first["name"])
    assert named.value.field == "name"


@pytest.mark.parametrize(("ports", "wrong"), [((5, 5, 0), "acct_port"), ((5, 6, 5), "radsec_port")])
async def test_the_ports_of_a_pool_differ(ps: PlatformScope, ports: tuple[int, int, int], wrong: str) -> None:
    auth, acct, radsec = ports
    with pytest.raises(Invalid) as invalid:
        await make_pool(ps, auth_port=auth, acct_port=acct, radsec_port=radsec)
    assert invalid.value.fields == {wrong: "not_unique"}


async def served(ps: PlatformScope, pool: Pool) -> list[tuple[int, int, int]]:
    """What its host serves of it; another test may have made a shared pool, which every host serves."""
    found = await pools.services(ps, pool["host"])
    return [(each.ports.auth, each.ports.acct, each.workers) for each in found if each.pool == pool["name"]]


async def test_former_ports_are_served_until_their_time_is_over(ps: PlatformScope) -> None:
    pool = await make_pool(ps, workers=2)
    auth, acct, _ = pools.ports_of(pool)
    other = next(_next)
    await pools.update(ps, pool["_id"], PortsForm(auth_port=other, acct_port=other + 1, workers=3))
    assert await served(ps, pool) == [(other, other + 1, 3), (auth, acct, 3)]
    with pytest.raises(Taken):
        await make_pool(ps, host=pool["host"], auth_port=auth)
    back = await pools.update(ps, pool["_id"], PortsForm(auth_port=auth, acct_port=acct, workers=1))
    assert await served(ps, pool) == [(auth, acct, 1), (other, other + 1, 1)]
    assert pools.former_ports(back, utcnow() + pools.GRACE) == []
    await pools.end_former_ports(ps, pool["_id"])
    assert await served(ps, pool) == [(auth, acct, 1)]
    await make_pool(ps, host=pool["host"], auth_port=other)
    assert await actions(ps, pool["_id"]) == ["pool.create", "pool.update", "pool.update", "pool.end_ports"]


async def test_a_change_of_workers_alone_leaves_the_ports(ps: PlatformScope) -> None:
    pool = await make_pool(ps)
    now = await pools.update(ps, pool["_id"], WorkersForm(workers=4, note="four cores"), pool["version"])
    assert (now["workers"], now["note"], pools.ports_of(now)) == (4, "four cores", pools.ports_of(pool))
    assert now["former_ports"] == []
    with pytest.raises(Conflict, match="changed"):
        await pools.update(ps, pool["_id"], WorkersForm(workers=5), pool["version"])


async def test_a_host_serves_its_pools_and_those_of_every_host(alone: PlatformScope) -> None:
    mine, anywhere, theirs = await make_pool(alone), await make_pool(alone, host=""), await make_pool(alone)
    names = {each.pool for each in await pools.services(alone, mine["host"])}
    assert {mine["name"], anywhere["name"]} <= names and theirs["name"] not in names
    assert [each.pool for each in await pools.services(alone, mine["host"], mine["name"])] == [mine["name"]]
    suggested = await pools.suggested_ports(alone)
    assert suggested.acct == suggested.auth + 1 <= 9999
    taken = {port for pool in await pools.listing(alone) for port in pools.ports_of(pool)}
    assert not {suggested.auth, suggested.acct} & taken


async def test_only_a_pool_without_tenants_is_retired(ps: PlatformScope) -> None:
    pool, other = await make_pool(ps), await make_pool(ps)
    tenant = await make_tenant(ps, pool=pool["name"])
    assert (await pools.tenant_counts(ps))[pool["name"]] == 1
    with pytest.raises(Conflict, match="pool_in_use"):
        await pools.retire(ps, pool["_id"])
    await moves.move_tenant(ps, tenant.tenant_id, other["name"])
    with pytest.raises(Conflict, match="pool_in_use"):
        await pools.retire(ps, pool["_id"])
    await moves.end_transition(ps, tenant.tenant_id)
    await pools.retire(ps, pool["_id"])
    assert await served(ps, pool) == []
    with pytest.raises(Conflict, match="retired"):
        await pools.update(ps, pool["_id"], WorkersForm(workers=2))
    with pytest.raises(Conflict, match="retired"):
        await moves.move_tenant(ps, tenant.tenant_id, pool["name"])
    await make_pool(ps, host=pool["host"], auth_port=pool["auth_port"])


# tenants that move


async def test_a_move_is_logged_and_the_former_pool_goes_on_for_a_while(ps: PlatformScope) -> None:
    one, two, three = [(await make_pool(ps))["name"] for _ in range(3)]
    scope = await make_tenant(ps, pool=one)
    moved = await moves.move_tenant(ps, scope.tenant_id, two)
    now = utcnow()
    assert moved["pool"] == two
    assert [pools.serves(name, moved, now) for name in (one, two, three)] == [True, True, False]
    assert not pools.serves(one, moved, now + pools.GRACE)
    assert pools.serves(two, moved, now + 2 * pools.GRACE)

    moved = await moves.move_tenant(ps, scope.tenant_id, three, timedelta(days=1))
    assert [each["pool"] for each in pools.former_pools(moved, now)] == [one, two]
    assert [each["pool"] for each in pools.former_pools(moved, now + timedelta(days=2))] == [one]
    back = await moves.move_tenant(ps, scope.tenant_id, one)
    assert [each["pool"] for each in pools.former_pools(back, now)] == [two, three]
    at_once = await moves.move_tenant(ps, scope.tenant_id, two, timedelta())
    assert [each["pool"] for each in pools.former_pools(at_once, now)] == [three]
    ended = await moves.end_transition(ps, scope.tenant_id)
    assert pools.former_pools(ended, now) == []
    assert await actions(ps, scope.tenant_id) == ["tenant.move"] * 4 + ["tenant.end_move"]


async def test_where_no_tenant_can_go(ps: PlatformScope) -> None:
    here = await make_pool(ps)
    scope = await make_tenant(ps, pool=here["name"])
    with pytest.raises(Conflict, match="same_pool"):
        await moves.move_tenant(ps, scope.tenant_id, here["name"])
    with pytest.raises(NotFound):
        await moves.move_tenant(ps, scope.tenant_id, "nowhere")
    with pytest.raises(NotFound):
        await moves.move_tenant(ps, "ten_nobody", here["name"])


async def test_a_dedicated_pool_has_one_tenant_even_if_two_come_at_once(ps: PlatformScope) -> None:
    own = await make_pool(ps, kind="dedicated")
    shared = await make_pool(ps)
    tenants = [await make_tenant(ps, pool=shared["name"]) for _ in range(3)]
    coming = [moves.move_tenant(ps, each.tenant_id, own["name"]) for each in tenants]
    results = await asyncio.gather(*coming, return_exceptions=True)
    refused = [each for each in results if isinstance(each, Conflict)]
    assert [each.code for each in refused] == ["pool_taken"] * 2
    (first,) = [each for each in results if isinstance(each, dict)]
    assert (await pools.tenant_counts(ps))[own["name"]] == 1

    await moves.move_tenant(ps, first["_id"], shared["name"])
    second = next(each for each in tenants if each.tenant_id != first["_id"])
    with pytest.raises(Conflict, match="pool_taken"):  # the first one's devices are still answered there
        await moves.move_tenant(ps, second.tenant_id, own["name"])
    await moves.move_tenant(ps, first["_id"], own["name"])
    assert pools.former_pools((await ps.db.tenants.get(first["_id"])), utcnow())[0]["pool"] == shared["name"]


# what engines read


async def ids(ps: PlatformScope, pool: str) -> set[str]:
    return {device.id async for device in nas.engine_devices(ps, pool)}


async def test_both_pools_serve_the_devices_of_a_tenant_that_moved(ps: PlatformScope, world: World) -> None:
    one, two = [(await make_pool(ps))["name"] for _ in range(2)]
    acme = world.acme
    await moves.move_tenant(ps, acme.id, one, timedelta())
    assert await ids(ps, one) == {acme.nas["_id"]} and await ids(ps, two) == set()
    await moves.move_tenant(ps, acme.id, two)
    assert await ids(ps, one) == await ids(ps, two) == {acme.nas["_id"]}
    for pool in (one, two):
        assert [each.id for each in await nas.engine_devices_of(ps, pool, acme.id)] == [acme.nas["_id"]]
    assert await nas.engine_devices_of(ps, one, world.zeta.id) == []
    assert await nas.engine_devices_of(ps, one, acme.id, [world.zeta.nas["_id"]]) == []
    assert await nas.engine_devices_of(ps, one, "ten_gone") == []
    await moves.end_transition(ps, acme.id)
    assert await ids(ps, one) == set()
    assert await nas.engine_devices_of(ps, one, acme.id) == []


async def test_a_secret_is_unsealed_again_only_when_its_row_has_changed(ps: PlatformScope, world: World) -> None:
    pool = (await make_pool(ps))["name"]
    await moves.move_tenant(ps, world.acme.id, pool, timedelta())
    (device,) = await nas.engine_devices_of(ps, pool, world.acme.id)
    await ps.db.nas.update_one({"_id": device.id}, {"$set": {"sealed_secret": b"nonsense"}})
    assert [each async for each in nas.engine_devices(ps, pool, {device.id: device})] == [device]
    form = nas.NasForm.model_validate(nas.form_of(world.acme.nas) | {"secret": "another-secret"})
    await nas.update(world.acme.scope, device.id, form)
    (fresh,) = [each async for each in nas.engine_devices(ps, pool, {device.id: device})]
    assert fresh.secret == b"another-secret"


# who is asked to disconnect


async def alive(ps: PlatformScope, pool: str, state: str = "running") -> None:
    now = utcnow().timestamp()
    await engines.heartbeat(ps, EngineReport(pool, f"{pool}:1", "h", 1, 2, 0, state, "1", now, now))


async def commanded(ps: PlatformScope, scope: Scope) -> str:
    return await engines.commanded_pool(ps.enter(await ps.db.tenants.get(scope.tenant_id), ps.actor))


async def test_commands_go_to_workers_that_know_the_tenant(ps: PlatformScope, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = [(await make_pool(ps))["name"] for _ in range(2)]
    scope = await make_tenant(ps, pool=one)
    assert await commanded(ps, scope) == one
    await alive(ps, one)
    await moves.move_tenant(ps, scope.tenant_id, two)
    assert await commanded(ps, scope) == one, "the new pool has no worker"
    await alive(ps, two)
    assert await commanded(ps, scope) == one, "its workers may not have heard of the tenant yet"
    monkeypatch.setattr(engines, "_SETTLED", timedelta())
    assert await commanded(ps, scope) == two
    await alive(ps, two, "draining")
    assert await commanded(ps, scope) == one
    await alive(ps, one, "draining")
    assert await commanded(ps, scope) == two


# what supervisors tell


async def test_what_supervisors_tell_is_believed_for_a_while(ps: PlatformScope) -> None:
    now = utcnow().timestamp()
    pool = secrets.token_hex(6)
    fresh = PoolState(pool, "here", 1812, 1813, 0.0, "port_taken", 1812, 3, now)
    await engines.tell_pools(ps, [fresh, PoolState(pool, "there", 1812, 1813, 0.0, "running", 0, 0, now - 60)])
    assert [each for each in await engines.pool_states(ps) if each.pool == pool] == [fresh]
    await engines.tell_pools(ps, [])


async def test_what_a_later_version_tells_beyond_is_left_out(ps: PlatformScope) -> None:
    pool = secrets.token_hex(6)
    await alive(ps, pool)
    told = (await ps.kv.hgetall("engines"))[f"{pool}/{pool}:1"]
    await ps.kv.hset("engines", {f"{pool}/{pool}:1": told | {"novelty": 1}}, 60)
    assert [each.pool for each in await engines.listing(ps) if each.pool == pool] == [pool]
