"""Pools under load: a tenant moves while its devices talk, a worker is killed while others answer. Nothing is lost."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from saas.commands import worker_command
from saas.config import Settings
from saas.embedded import StoreUrls
from saas.kv import Kv
from saas.radius.client import Client, DisconnectListener
from saas.radius.engine import Engine
from saas.radius.supervisor import Supervisor, Where
from saas.security import Keys
from saas.store import Store
from saas.tasks import end
from saas.tenants import apply, disconnects, engines, journal, moves, nas, pools
from saas.tenants.pools import Pool, PoolForm, WorkersForm
from saas.tenants.scope import PlatformScope, Services, platform_scope
from tests.radius.conftest import HOST, engine_settings, set_plan
from tests.support import free_ports, until
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, Business, make_business, sessions_of

pytestmark = pytest.mark.slow

OCTETS = 1000  # each update reports this much more
UPDATES = 3  # of a session
SENDERS = 6


class Flow:
    """Devices that log in and report sessions without end; `said` has what was answered of each: (octets, ended)."""

    def __init__(self, business: Business, **patience: Any) -> None:
        self._business = business
        self._patience = patience
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.said: dict[str, tuple[int, bool]] = {}
        self.ports: tuple[int, int] = (0, 0)

    def begin(self, ports: tuple[int, int], senders: int = SENDERS) -> None:
        """Let more devices talk to these ports."""
        self._tasks += [asyncio.create_task(self._device(ports, number)) for number in range(senders)]

    def alive(self) -> None:
        """Fail at once when a device got no answer."""
        for task in self._tasks:
            if task.done():
                task.result()

    def more(self, count: int) -> Callable[[], bool]:
        """Whether so many more sessions have been begun by now."""
        before = len(self.said)

        def enough() -> bool:
            self.alive()
            return len(self.said) >= before + count

        return enough

    async def stop(self) -> None:
        """Let each device finish its session; NoAnswer when one got no answer."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _device(self, ports: tuple[int, int], number: int) -> None:
        identity = NAS_SECRET, self._business.nas["identifier"]
        while not self._stopping.is_set():
            # a socket of its own for each session: whichever worker the kernel gives it to
            async with Client(HOST, *ports, *identity, **self._patience) as device:
                await self._session(device, f"{ports[0]}-{number}-{secrets.token_hex(6)}")

    async def _session(self, device: Client, name: str) -> None:
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted
        for step in range(UPDATES + 2):
            status = "start" if not step else "interim" if step <= UPDATES else "stop"
            usage = {"Acct-Input-Octets": step * OCTETS, "Acct-Session-Time": step}
            await device.accounting(status, USERNAME, name, usage)
            self.said[name] = step * OCTETS, status == "stop"


async def _apply(ps: PlatformScope) -> None:
    """What the job does, for ever."""
    while True:
        reading = await journal.read(ps, 0.05)
        assert await apply.apply(ps, reading.groups) == 0
        await journal.remove(ps, reading.groups)


@asynccontextmanager
async def applied(ps: PlatformScope) -> AsyncIterator[None]:
    """The journal is applied all the while; when it ends nothing is left."""
    applying = asyncio.create_task(_apply(ps))

    async def done() -> bool:
        if applying.done():
            applying.result()
        return not await journal.backlog(ps)

    try:
        yield
        await until(done, "the journal is applied")
    finally:
        await end([applying])


async def recorded(business: Business) -> dict[str, tuple[int, bool]]:
    """Session id -> (octets, ended), as the console shows them; each once."""
    rows = await sessions_of(business.scope.db)
    assert len({row["acct_session_id"] for row in rows}) == len(rows), "a session was recorded twice"
    return {row["acct_session_id"]: (row["input_octets"], not row["open"]) for row in rows}


async def make_pool(ps: PlatformScope, host: str, **values: Any) -> Pool:
    auth, acct = free_ports(2)
    form = {"name": f"p{secrets.token_hex(6)}", "host": host, "auth_port": auth, "acct_port": acct}
    return await pools.create(ps, PoolForm.model_validate(form | values))


async def serving(stack: AsyncExitStack, ps: PlatformScope, pool: Pool) -> Engine:
    """A worker of a pool."""
    auth, acct, _ = pools.ports_of(pool)
    settings = engine_settings(pool=pool["name"], auth_port=auth, acct_port=acct, dedicated=pool["kind"] == "dedicated")
    return await stack.enter_async_context(Engine(ps, settings))


async def test_a_tenant_moves_while_its_devices_talk(alone: PlatformScope) -> None:
    """No try is lost on the former pool, none on the new one, and every record is counted once."""
    mover, neighbour = await make_business(alone, "mover"), await make_business(alone, "neighbour")
    await set_plan(mover, concurrency=0)
    one, two = [await make_pool(alone, "move") for _ in range(2)]
    for business in (mover, neighbour):
        await moves.move_tenant(alone, business.id, one["name"])
    async with AsyncExitStack() as stack:
        former, new = await serving(stack, alone, one), await serving(stack, alone, two)
        await stack.enter_async_context(applied(alone))
        flow = Flow(mover, timeout=60.0, tries=1)
        flow.begin((former.auth_port, former.acct_port))
        await until(flow.more(10), "devices talk to the former pool")
        device = mover.nas["_id"]
        assert device not in new.table.devices

        await moves.move_tenant(alone, mover.id, two["name"])
        await until(lambda: device in new.table.devices, "the new pool knows the device")
        assert neighbour.nas["_id"] not in new.table.devices
        flow.begin((new.auth_port, new.acct_port))
        await until(flow.more(40), "devices talk to both")
        assert device in former.table.devices
        await flow.stop()
        assert {name.partition("-")[0] for name in flow.said} == {str(one["auth_port"]), str(two["auth_port"])}

        await moves.end_transition(alone, mover.id)
        await until(lambda: device not in former.table.devices, "the former pool has forgotten it")
        assert device in new.table.devices
        assert former.counters.dropped == new.counters.dropped == {}
    assert await recorded(mover) == flow.said


async def test_a_session_goes_on_where_the_device_is_pointed_to(alone: PlatformScope) -> None:
    business = await make_business(alone, "pointed")
    one, two = [await make_pool(alone, "point") for _ in range(2)]
    await moves.move_tenant(alone, business.id, one["name"])
    identity = NAS_SECRET, business.nas["identifier"]

    def usage(seconds: int) -> dict[str, int]:
        return {"Acct-Input-Octets": seconds * OCTETS, "Acct-Session-Time": seconds}

    async with AsyncExitStack() as stack:
        former, new = await serving(stack, alone, one), await serving(stack, alone, two)
        await stack.enter_async_context(applied(alone))
        before = await stack.enter_async_context(Client(HOST, former.auth_port, former.acct_port, *identity))
        after = await stack.enter_async_context(Client(HOST, new.auth_port, new.acct_port, *identity))
        granted = await before.pap(USERNAME, USER_PASSWORD)
        token = {"Class": granted.packet.value("Class")}
        await before.accounting("start", USERNAME, "s", token | usage(0))
        await before.accounting("interim", USERNAME, "s", token | usage(60))
        await moves.move_tenant(alone, business.id, two["name"])
        await until(lambda: business.nas["_id"] in new.table.devices, "the new pool knows the device")
        assert not (await after.pap(USERNAME, USER_PASSWORD, {"Calling-Station-Id": "another"})).accepted, (
            "the plan's one session is counted over both pools"
        )
        await after.accounting("interim", USERNAME, "s", token | usage(120))
        await after.accounting("stop", USERNAME, "s", token | usage(180))
        assert (await after.pap(USERNAME, USER_PASSWORD, {"Calling-Station-Id": "another"})).accepted
    assert await recorded(business) == {"s": (180 * OCTETS, True)}


async def test_a_session_is_forced_off_while_its_tenant_moves(
    alone: PlatformScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    business = await make_business(alone, "forced")
    one, two = [await make_pool(alone, "force") for _ in range(2)]
    await moves.move_tenant(alone, business.id, one["name"])
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(DisconnectListener(NAS_SECRET))
        form = nas.NasForm.model_validate(nas.form_of(business.nas) | {"coa_port": gate.port})
        await nas.update(business.scope, business.nas["_id"], form)
        former = await serving(stack, alone, one)
        identity = NAS_SECRET, business.nas["identifier"]
        device = await stack.enter_async_context(Client(HOST, former.auth_port, former.acct_port, *identity))
        async with applied(alone):
            for name in ("a", "b"):
                await device.accounting("start", USERNAME, name)
        ids = {row["acct_session_id"]: row["_id"] for row in await sessions_of(business.scope.db)}

        async def forced_off(name: str) -> str:
            scope = alone.enter(await alone.db.tenants.get(business.id), alone.actor)
            return (await disconnects.request(scope, ids[name]))["result"]

        await moves.move_tenant(alone, business.id, two["name"])
        assert await forced_off("a") == "ack", "by the former pool, since the new one has no worker"
        new = await serving(stack, alone, two)
        monkeypatch.setattr(engines, "_SETTLED", engines._SETTLED * 0)
        await moves.end_transition(alone, business.id)
        await until(lambda: not former.table.devices, "the former pool has forgotten it")
        assert business.nas["_id"] in new.table.devices
        assert await forced_off("b") == "ack", "by the new one"


async def test_a_dedicated_port_tells_the_tenant(alone: PlatformScope) -> None:
    """Another tenant's device is unknown there; the tenant's own needs no identifier, only its proof."""
    ours, theirs = await make_business(alone, "ours"), await make_business(alone, "theirs")
    own = await make_pool(alone, "own", kind="dedicated")
    await moves.move_tenant(alone, ours.id, own["name"])
    async with AsyncExitStack() as stack:
        worker = await serving(stack, alone, own)
        ports = worker.auth_port, worker.acct_port
        nameless = await stack.enter_async_context(Client(HOST, *ports, NAS_SECRET))
        assert (await nameless.pap(USERNAME, USER_PASSWORD)).accepted
        await nameless.accounting("start", USERNAME, "nameless")
        assert not worker.counters.dropped
        form = nas.NasForm.model_validate(nas.form_of(theirs.nas) | {"secret": "their-own-secret"})
        await nas.update(theirs.scope, theirs.nas["_id"], form)
        identity = "their-own-secret", theirs.nas["identifier"]
        foreign = await stack.enter_async_context(Client(HOST, *ports, *identity, timeout=60.0, tries=1))
        attempt = asyncio.create_task(foreign.pap(USERNAME, USER_PASSWORD))
        await until(lambda: worker.counters.dropped, "it is dropped")
        assert worker.counters.dropped == {"unknown_nas": 1}
        await end([attempt])
    async with applied(alone):
        pass


# real processes


@pytest.fixture
async def installation(settings: Settings, stores: StoreUrls) -> AsyncIterator[tuple[PlatformScope, Settings]]:
    """The database that worker processes use, and their settings."""
    redis = stores.redis_url.removesuffix("/0") + "/2"
    theirs = settings.model_copy(update={"mongo_url": stores.mongo_url, "redis_url": redis})
    store, kv = await Store.open(stores.mongo_url), await Kv.open(redis)
    await store.prepare()
    yield platform_scope(Services(store, kv, Keys(settings.secret_key))), theirs
    await kv.close()
    store.close()


async def pids(ps: PlatformScope, pool: Pool) -> set[int]:
    """The workers of a pool that have said lately that they run."""
    reports = [each for each in await engines.listing(ps) if (each.pool, each.state) == (pool["name"], "running")]
    return {int(each.worker.rpartition(":")[2]) for each in reports}


@pytest.mark.timeout(300)
async def test_a_killed_worker_loses_nothing_and_is_replaced(
    installation: tuple[PlatformScope, Settings], expect_log: Callable[[str], None]
) -> None:
    """Workers come, die and go while devices talk: what one does not answer another one does."""
    ps, settings = installation
    business = await make_business(ps, "killed")
    await set_plan(business, concurrency=0)
    pool = await make_pool(ps, "stress", workers=1)
    await moves.move_tenant(ps, business.id, pool["name"])
    expect_log(f"pool {pool['name']}: worker .* ended with status -9 and is replaced")
    stop = asyncio.Event()
    boss = Supervisor(ps, Where("stress", HOST, pool["name"]), worker_command, settings.environment())
    running = asyncio.create_task(boss.run(stop))
    flow = Flow(business, timeout=0.5, tries=60)
    try:
        async with applied(ps):
            flow.begin(pools.ports_of(pool)[:2])
            (first,) = await until(lambda: pids(ps, pool), "a worker serves", 60)
            await until(flow.more(10), "devices talk", 60)
            await pools.update(ps, pool["_id"], WorkersForm(workers=2))

            async def replaced() -> bool:
                return len(await pids(ps, pool) - {first}) >= 2

            async def two() -> bool:
                return len(await pids(ps, pool)) == 2

            await until(two, "two workers serve", 60)
            await until(flow.more(20), "devices talk to both", 60)
            os.kill(first, signal.SIGKILL)
            await until(flow.more(20), "they go on", 60)
            await until(replaced, "another one serves in its place", 60)
            await pools.update(ps, pool["_id"], WorkersForm(workers=1))
            await until(flow.more(20), "they go on with one", 60)
            await flow.stop()
    finally:
        stop.set()
        await running
    assert await recorded(business) == flow.said
