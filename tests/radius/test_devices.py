"""A worker's table follows the store: a change reads what changed, everything is read when news may be missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from saas.errors import Unavailable
from saas.radius import devices as module
from saas.radius.devices import Devices
from saas.radius.engine import Engine
from saas.radius.identify import Table
from saas.radius.names import Names
from saas.tasks import end
from saas.tenants import moves, nas, platform, pools
from saas.tenants.scope import Change, PlatformScope
from tests.radius.conftest import engine_settings
from tests.radius.test_caches import Dns
from tests.support import until
from tests.tenants.test_pools import make_pool
from tests.world import NAS_SECRET, Business, World


@pytest.fixture
async def pool(ps: PlatformScope, world: World) -> str:
    """A pool with both businesses in it and nobody else."""
    name = (await make_pool(ps))["name"]
    for business in (world.acme, world.zeta):
        await moves.move_tenant(ps, business.id, name, timedelta())
    return name


@pytest.fixture
async def engine(ps: PlatformScope, pool: str) -> AsyncIterator[Engine]:
    async with Engine(ps, engine_settings(pool=pool)) as worker:
        yield worker


class Reads:
    """What was read of the store since."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.whole = 0
        self.parts: list[tuple[str, set[str] | None]] = []
        self.away = False
        everything, some = nas.engine_devices, nas.engine_devices_of

        def engine_devices(*words: Any) -> AsyncIterator[nas.Device]:
            self.whole += 1
            return everything(*words)

        async def engine_devices_of(ps: PlatformScope, pool: str, tenant_id: str, nas_ids: Any = None) -> Any:
            self.parts.append((tenant_id, nas_ids))
            if self.away:
                self.away = False
                raise Unavailable(store="mongo")
            return await some(ps, pool, tenant_id, nas_ids)

        patch.setattr(nas, "engine_devices", engine_devices)
        patch.setattr(nas, "engine_devices_of", engine_devices_of)


@pytest.fixture
def reads(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """From the moment at which the worker runs."""
    return Reads(monkeypatch)


async def change(business: Business, **values: Any) -> None:
    form = nas.form_of(await nas.get(business.scope, business.nas["_id"])) | values
    await nas.update(business.scope, business.nas["_id"], nas.NasForm.model_validate(form))


def known(engine: Engine, business: Business) -> Callable[[str], Any]:
    """A field of the business's device as the worker has it."""

    def field(name: str) -> Any:
        found = engine.table.devices.get(business.nas["_id"])
        return getattr(found.device, name) if found else None

    return field


async def test_a_changed_device_is_read_alone(engine: Engine, world: World, reads: Reads) -> None:
    acme, zeta = world.acme, world.zeta
    untouched = engine.table.devices[zeta.nas["_id"]]
    await change(acme, coa_port=1700)
    await until(lambda: known(engine, acme)("coa_port") == 1700, "it is known")
    await nas.set_status(acme.scope, acme.nas["_id"], "disabled")
    await until(lambda: acme.nas["_id"] not in engine.table.devices, "it is served no more")
    await nas.set_status(acme.scope, acme.nas["_id"], "active")
    await until(lambda: acme.nas["_id"] in engine.table.devices, "it is served again")
    await nas.delete(acme.scope, acme.nas["_id"])
    await until(lambda: acme.nas["_id"] not in engine.table.devices, "it is gone")
    assert reads.whole == 0
    assert {(tenant, *(ids or ())) for tenant, ids in reads.parts} == {(acme.id, acme.nas["_id"])}
    assert engine.table.devices[zeta.nas["_id"]] is untouched


async def test_many_new_devices_of_a_tenant(engine: Engine, world: World, reads: Reads) -> None:
    forms = [nas.NasForm(name=f"gate {n}", vendor="standard", secret=NAS_SECRET) for n in range(10)]
    made = await asyncio.gather(*(nas.create(world.acme.scope, form) for form in forms))
    await until(lambda: {each["_id"] for each in made} <= engine.table.devices.keys(), "all are known")
    assert reads.whole == 0


async def test_a_changed_tenant_is_read_alone(engine: Engine, world: World, ps: PlatformScope, reads: Reads) -> None:
    acme, zeta = world.acme, world.zeta
    await platform.set_status(ps, acme.id, "stopped")
    await until(lambda: known(engine, acme)("tenant_active") is False, "it is known to be stopped")
    assert known(engine, zeta)("tenant_active") is True
    other = (await make_pool(ps))["name"]
    await moves.move_tenant(ps, acme.id, other)
    await until(lambda: len(reads.parts) >= 2, "the move was heard of")
    await platform.set_status(ps, zeta.id, "stopped")
    await until(lambda: known(engine, zeta)("tenant_active") is False, "what came later is known")
    assert known(engine, acme)("tenant_active") is False, "it is still served"
    await moves.end_transition(ps, acme.id)
    await until(lambda: acme.nas["_id"] not in engine.table.devices, "it is served no more")
    await moves.move_tenant(ps, acme.id, (await ps.db.tenants.get(zeta.id))["pool"])
    await until(lambda: acme.nas["_id"] in engine.table.devices, "it is back")
    assert reads.whole == 0
    assert {tenant for tenant, _ in reads.parts} == {acme.id, zeta.id}


async def test_a_store_that_is_away_makes_everything_suspect(
    engine: Engine, world: World, reads: Reads, expect_log: Callable[[str], None]
) -> None:
    expect_log("the mongo server does not answer")
    reads.away = True
    await change(world.acme, coa_port=1700)
    await until(lambda: known(engine, world.acme)("coa_port") == 1700, "it is known all the same")
    assert reads.whole == 1


@pytest.fixture
async def follower(ps: PlatformScope, pool: str) -> AsyncIterator[tuple[Devices, Table, Dns]]:
    """The devices without a worker: hears only what a test tells it."""
    table, dns = Table(), Dns("198.51.100.1")
    devices = Devices(ps, pool, table, names=Names(dns.resolve))
    await devices.read_all()
    running = [asyncio.create_task(devices.follow()), asyncio.create_task(devices.resolve())]
    yield devices, table, dns
    await end(running)


async def test_when_news_may_be_missed_everything_is_read(
    follower: tuple[Devices, Table, Dns], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices, table, _ = follower
    reads = Reads(monkeypatch)
    await change(world.acme, coa_port=1700)
    await nas.delete(world.zeta.scope, world.zeta.nas["_id"])
    devices.changed(Change("account", world.acme.id, "alice"))
    assert table.devices[world.acme.nas["_id"]].device.coa_port == 3799
    devices.missed()
    await until(lambda: table.devices[world.acme.nas["_id"]].device.coa_port == 1700, "it is known")
    await until(lambda: world.zeta.nas["_id"] not in table.devices, "the other one is gone")
    assert (reads.whole, reads.parts) == (1, [])


async def test_everything_is_read_now_and_then(
    ps: PlatformScope, pool: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.05)
    table = Table()
    devices = Devices(ps, pool, table)
    await devices.read_all()
    following = asyncio.create_task(devices.follow())
    await change(world.acme, coa_port=1700)
    await until(lambda: table.devices[world.acme.nas["_id"]].device.coa_port == 1700, "it is known")
    over = pools.FormerPool(pool=pool, since=world.acme.nas["created_at"], until=world.acme.nas["created_at"])
    await ps.db.tenants.update(world.acme.id, {"$set": {"pool": "elsewhere", "former_pools": [over]}})
    await until(lambda: world.acme.nas["_id"] not in table.devices, "a transition that is over ends")
    await end([following])


async def test_a_name_is_resolved_when_a_device_gets_one(follower: tuple[Devices, Table, Dns], world: World) -> None:
    devices, table, dns = follower
    nas_id = world.acme.nas["_id"]
    await change(world.acme, mode="ddns", ddns="gate.example.net")
    devices.changed(Change("nas", world.acme.id, nas_id))
    await until(lambda: table.devices[nas_id].resolved == ("198.51.100.1",), "it is known by its name's address")
    dns.addresses = frozenset({"198.51.100.9"})
    await change(world.acme, mode="ddns", ddns="other.example.net")
    devices.changed(Change("nas", world.acme.id, nas_id))
    await until(lambda: table.devices[nas_id].resolved == ("198.51.100.9",), "it is known by its new name's address")
