"""RADIUS over TLS on uvloop, the event loop that workers have in production: a worker in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import uvloop

from saas import config, embedded
from saas.kv import Kv
from saas.radius import codec
from saas.radius.client import NoAnswer
from saas.radius.engine import Engine
from saas.radius.radsec import Limits
from saas.security import Keys
from saas.store import Store
from saas.tenants import certificates, disconnects
from saas.tenants.certificates import Bundle
from saas.tenants.scope import PlatformScope, Services, platform_scope
from tests.radius.conftest import HOST, Device, engine_settings
from tests.radius.peer import VERSIONS, login, long_status, refused, status
from tests.radius.test_connections import dial, hung_up
from tests.radius.test_reverse import online
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, World

pytestmark = pytest.mark.slow


class Thread:
    """A worker with its own loop and connections to the stores."""

    def __init__(self, settings: config.Settings, urls: embedded.StoreUrls, database: str) -> None:
        self.engine: Engine | None = None
        self._settings = settings
        self._urls = urls
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    async def start(self) -> Engine:
        """Start it, and wait until it serves."""
        self._thread.start()
        await until(lambda: self.engine or not self._thread.is_alive(), "the worker serves")
        assert self.engine is not None
        return self.engine

    async def stop(self) -> None:
        """End it in order."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        store = await Store.open(self._urls.mongo_url, self._database)
        kv = await Kv.open(self._urls.redis_url)
        ps = platform_scope(Services(store, kv, Keys(self._settings.secret_key)))
        where = engine_settings(radsec_port=0, radsec_limits=Limits(handshake=0.5))
        async with Engine(ps, where) as engine:
            self.engine = engine
            await asyncio.to_thread(self._stop.wait)
        await kv.close()
        store.close()


@pytest.fixture
async def tls_engine(
    settings: config.Settings, stores: embedded.StoreUrls, database: str, bundle: Bundle, unlimited: None
) -> AsyncIterator[Engine]:
    """In place of the worker on the tests' own loop."""
    thread = Thread(settings, stores, database)
    yield await thread.start()
    await thread.stop()


@pytest.mark.parametrize("version", VERSIONS)
async def test_everything_goes_down_one_connection(
    ps: PlatformScope, world: World, device: Device, tls_engine: Engine, version: object
) -> None:
    async with device(version=version) as gate:
        assert (await gate.pap(USERNAME, USER_PASSWORD)).accepted
        assert not (await gate.pap(USERNAME, "wrong-password")).accepted
        for octet in (first := login(1)):
            gate.send(bytes((octet,)))
            await gate.writer.drain()
        assert (await gate.next_frame())[:2] == bytes((codec.ACCESS_ACCEPT, 1))
        gate.send(first[:9])
        await gate.writer.drain()
        gate.send(first[9:] + b"".join(status(number) for number in range(2, 202)))
        answers = [await gate.next_frame() for _ in range(201)]
        assert sorted(answer[1] for answer in answers) == list(range(1, 202))
        attempt = await disconnects.request(world.acme.scope, await online(ps, world.acme, gate))
        assert (attempt["result"], attempt["address"], len(gate.asked)) == ("ack", "RadSec", 1)
    await until(lambda: not tls_engine._radsec.held(), "it is gone")


async def test_who_is_not_known_gets_nowhere(device: Device, tls_engine: Engine, world: World) -> None:
    (row,) = await certificates.of_device(world.acme.scope, world.acme.nas["_id"])
    assert await refused(device(bundle=None))
    await until(lambda: tls_engine.counters.dropped == {"tls_handshake": 1}, "it is counted")
    async with device() as gate:
        assert (await gate.status()).accepted
        await certificates.revoke(world.acme.scope, row["_id"])
        await gate.ended()
    assert await refused(device())
    assert tls_engine.counters.dropped == {"tls_handshake": 1, "unknown_certificate": 1}


async def test_what_is_not_radius_ends_the_connection(device: Device, tls_engine: Engine) -> None:
    async with device() as gate:
        gate.send(b"GET / HTTP/1.1\r\n\r\n")
        await gate.ended()
    async with device(secret="shared-secret") as gate:
        with pytest.raises(NoAnswer, match="closed"):
            await gate.pap(USERNAME, USER_PASSWORD)
    assert tls_engine.counters.dropped == {"bad_length": 1, "bad_authenticator": 1}


async def test_handshakes_that_hang_end(tls_engine: Engine) -> None:
    async with AsyncExitStack() as stack:
        assert await hung_up(await dial(stack, tls_engine.radsec_port))
    await until(lambda: tls_engine.counters.dropped == {"tls_handshake": 1}, "it is counted")


async def test_a_device_that_takes_no_answers_is_not_read(device: Device, tls_engine: Engine) -> None:
    async with device() as gate:
        gate.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while not (held := tls_engine._radsec._all()) or not held[0]._paused:
            gate.send(long_status(sent))
            sent += 1
            await asyncio.sleep(0)
        gate.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(sent):
            await gate.next_frame()
        assert (await gate.status()).accepted


async def test_it_ends_in_order(
    settings: config.Settings, stores: embedded.StoreUrls, database: str, device: Device
) -> None:
    """With a connection open, which is closed."""
    thread = Thread(settings, stores, database)
    engine = await thread.start()
    async with device(port=engine.radsec_port) as gate:
        assert (await gate.status()).accepted
        await thread.stop()
        await gate.ended()
    with pytest.raises(OSError, match=r"refused|reset|Connect call failed"):
        await asyncio.open_connection(HOST, engine.radsec_port)
