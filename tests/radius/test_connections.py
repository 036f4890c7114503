"""What one device, or somebody who is none, can make a worker hold: handshakes, connections, requests, answers."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest

from saas.radius import connections
from saas.radius.client import Client
from saas.radius.engine import Engine
from saas.radius.radsec import Limits
from saas.tenants.certificates import Bundle
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, Device, engine_settings
from tests.radius.peer import Peer, login, long_status
from tests.support import PATIENCE, until
from tests.world import World


def worker(ps: PlatformScope, **limits: Any) -> Engine:
    """A worker with these limits."""
    return Engine(ps, engine_settings(radsec_port=0, radsec_limits=Limits(**limits)))


async def hung_up(stranger: socket.socket) -> bool:
    """Whether the other side ends a connection that never said anything."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await asyncio.get_running_loop().sock_recv(stranger, 1) == b""
        except ConnectionError:
            return True


async def dial(stack: AsyncExitStack, port: int) -> socket.socket:
    """A bare connection."""
    made = stack.enter_context(socket.socket())
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, (HOST, port))
    return made


async def test_who_does_not_finish_the_handshake_is_hung_up(ps: PlatformScope) -> None:
    async with worker(ps, handshake=0.1) as engine, AsyncExitStack() as stack:
        assert await hung_up(await dial(stack, engine.radsec_port))
        await until(lambda: engine.counters.dropped == {"tls_handshake": 1}, "it is counted")
        assert not engine._radsec._handshakes


@pytest.mark.parametrize("limits", [{"handshakes": 2}, {"handshakes_of_a_source": 2}])
async def test_handshakes_that_hang_are_bounded(ps: PlatformScope, limits: dict[str, int]) -> None:
    async with worker(ps, **limits) as engine, AsyncExitStack() as stack:
        for _ in range(2):
            await dial(stack, engine.radsec_port)
        await until(lambda: len(engine._radsec._tasks) == 2, "two handshakes are under way")
        assert await hung_up(await dial(stack, engine.radsec_port))
        assert engine.counters.dropped == {"overload": 1}


async def test_the_connections_of_a_worker_are_bounded(
    ps: PlatformScope, world: World, bundle: Bundle, server_authority: str
) -> None:
    async with worker(ps, connections=1) as engine, AsyncExitStack() as stack:
        async with Peer(engine.radsec_port, bundle, server_authority) as gate:
            assert (await gate.status()).accepted
            assert await hung_up(await dial(stack, engine.radsec_port))
        await until(lambda: not engine._radsec.held(), "there is room again")
        async with Peer(engine.radsec_port, bundle, server_authority) as gate:
            assert (await gate.status()).accepted


async def test_a_device_with_too_many_connections_loses_the_one_silent_longest(
    ps: PlatformScope, world: World, bundle: Bundle, server_authority: str
) -> None:
    """So a device whose old connections hang is not locked out by them."""
    async with worker(ps, of_a_device=2) as engine, AsyncExitStack() as stack:
        first, second, third = (Peer(engine.radsec_port, bundle, server_authority) for _ in range(3))
        for gate in (first, second):
            await stack.enter_async_context(gate)
            assert (await gate.status()).accepted
        assert (await first.status()).accepted
        await stack.enter_async_context(third)
        await second.ended()
        assert (await first.status()).accepted and (await third.status()).accepted


async def test_a_connection_without_packets_is_closed_in_the_end(
    ps: PlatformScope, world: World, bundle: Bundle, server_authority: str
) -> None:
    async with worker(ps, idle=0.2) as engine, Peer(engine.radsec_port, bundle, server_authority) as gate:
        gate.send(b"\4\1")  # half a packet is none
        await gate.ended()


@pytest.mark.usefixtures("unlimited")
async def test_no_more_is_read_than_can_be_answered(
    device: Device, tls_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of it is lost: it is read once there is room."""
    may_go = asyncio.Event()
    fetch = tls_engine._logins.fetch

    async def slow(*args: Any) -> Any:
        await may_go.wait()
        return await fetch(*args)

    monkeypatch.setattr(tls_engine._logins, "fetch", slow)
    monkeypatch.setattr(connections, "UNANSWERED", 8)
    async with device() as gate:
        gate.send(b"".join(login(number) for number in range(100)))
        await until(lambda: tls_engine.counters.received == 8, "as many are taken as there is room for")
        (held,) = tls_engine._radsec._all()
        assert held._paused and len(tls_engine._radsec._waiting) == 8
        may_go.set()
        answers = [await gate.next_frame() for _ in range(100)]
    assert sorted(answer[1] for answer in answers) == list(range(100))
    assert not tls_engine._radsec._waiting


async def test_a_device_that_takes_no_answers_gets_no_more_requests_read(
    device: Device, tls_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WRITE_BUFFER", 16 * 1024)
    async with device() as gate:
        gate.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while not (held := tls_engine._radsec._all()) or not held[0]._blocked:
            gate.send(long_status(sent))
            sent += 1
            await asyncio.sleep(0)
        (connection,) = held
        assert connection._paused and connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 2**20
        gate.writer.transport.resume_reading()  # type: ignore[attr-defined]
        answers = [await gate.next_frame() for _ in range(sent)]
    assert len(answers) == sent


async def test_a_worker_without_the_port_speaks_udp_alone(ps: PlatformScope, world: World) -> None:
    async with Engine(ps, engine_settings()) as engine:
        assert engine.radsec_port == 0
        identifier = world.acme.nas["identifier"]
        async with Client(HOST, engine.auth_port, engine.acct_port, "shared-secret", identifier) as udp:
            assert (await udp.status()).accepted
