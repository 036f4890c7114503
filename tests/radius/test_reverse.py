"""Disconnect-Requests down the RadSec connection of a device: from the console's operation to the device and back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from saas.radius import codec, connections
from saas.radius.authenticators import Secret, reply
from saas.radius.client import DisconnectListener
from saas.radius.codec import Packet
from saas.radius.engine import Engine
from saas.tenants import disconnects, journal, nas, reverse
from saas.tenants.apply import apply
from saas.tenants.certificates import Bundle
from saas.tenants.disconnects import Command
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, Device, engine_settings, reread
from tests.radius.peer import SECRET, Peer
from tests.support import until
from tests.world import NAS_SECRET, USERNAME, Business, World

pytestmark = pytest.mark.slow


async def online(ps: PlatformScope, business: Business, gate: Peer, session: str = "s1") -> str:
    """Alice is online on the business's device; the session's id."""
    await gate.accounting("start", USERNAME, session, {"Framed-IP-Address": "10.0.0.9", "NAS-Port": 3})
    reading = await journal.read(ps, 0.05)
    await apply(ps, reading.groups)
    await journal.remove(ps, reading.groups)
    (row,) = await business.scope.db.online.find({"open": True, "acct_session_id": session})
    return str(row["_id"])


@pytest.mark.parametrize(("cause", "result"), [(0, "ack"), (504, "nak")])
async def test_a_console_ends_a_session_down_the_devices_connection(
    ps: PlatformScope, world: World, device: Device, cause: int, result: str
) -> None:
    async with device(answer=lambda packet: cause) as gate:
        attempt = await disconnects.request(world.acme.scope, await online(ps, world.acme, gate))
        (asked,) = gate.asked
    assert (attempt["result"], attempt["attempts"], attempt["error_cause"]) == (result, 1, cause or None)
    assert attempt["address"] == "RadSec" and attempt["rtt_ms"] is not None
    assert asked.code == codec.DISCONNECT_REQUEST and next(iter(asked.first)) == codec.MESSAGE_AUTHENTICATOR
    names = ("User-Name", "Acct-Session-Id", "Framed-IP-Address")
    assert [asked.value(name) for name in names] == [USERNAME, "s1", "10.0.0.9"]
    assert asked.value("Event-Timestamp") > 1_700_000_000


async def test_silence_is_told_as_what_it_is(
    ps: PlatformScope, world: World, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER", 0.05)
    async with device(answer=lambda packet: None) as gate:
        attempt = await disconnects.request(world.acme.scope, await online(ps, world.acme, gate))
        assert len(gate.asked) == 1, "nothing gets lost on a connection, so nothing is sent twice"
    assert (attempt["result"], attempt["attempts"]) == ("radsec_timeout", 1)


async def test_a_connection_that_breaks_ends_the_waiting(ps: PlatformScope, world: World, device: Device) -> None:
    gate = device()

    def hang_up(packet: Packet) -> None:
        gate.writer.transport.abort()

    gate._answer = hang_up
    async with gate:
        attempt = await disconnects.request(world.acme.scope, await online(ps, world.acme, gate))
    assert attempt["result"] == "radsec_timeout"


async def test_answers_that_do_not_prove_themselves_end_the_connection(
    ps: PlatformScope, world: World, device: Device, tls_engine: Engine
) -> None:
    gate = device()

    def forge(packet: Packet) -> None:
        gate.send(reply(codec.DISCONNECT_ACK, packet, Secret(b"another")))

    gate._answer = forge
    async with gate:
        attempt = await disconnects.request(world.acme.scope, await online(ps, world.acme, gate))
        await gate.ended()
    assert attempt["result"] == "radsec_timeout"
    assert tls_engine.counters.dropped == {"bad_authenticator": 1}


async def test_an_answer_of_another_kind_is_none(ps: PlatformScope, world: World, device: Device) -> None:
    gate = device()

    def answer(packet: Packet) -> int:
        gate.send(reply(codec.ACCESS_ACCEPT, packet, SECRET) + reply(44, packet, SECRET))
        return 503

    gate._answer = answer
    async with gate:
        attempt = await disconnects.request(world.acme.scope, await online(ps, world.acme, gate))
    assert (attempt["result"], attempt["error_cause"]) == ("nak", 503)


async def test_many_requests_at_a_time_keep_their_answers_apart(
    device: Device, tls_engine: Engine, world: World
) -> None:
    def cause(packet: Packet) -> int:
        return 400 + packet.value("NAS-Port")

    async with device(answer=cause) as gate:
        assert (await gate.status()).accepted
        connection = tls_engine._radsec.connection(world.acme.nas["_id"])
        assert connection is not None
        asked = [connection.ask(codec.DISCONNECT_REQUEST, codec.attribute("NAS-Port", number)) for number in range(100)]
        outcomes = await asyncio.gather(*asked)
    assert [outcome.error_cause for outcome in outcomes] == list(range(400, 500))
    assert len({packet.id for packet in gate.asked}) == 100


async def test_the_newest_connection_is_taken_and_then_the_one_that_is_left(
    ps: PlatformScope, world: World, device: Device, tls_engine: Engine
) -> None:
    async with device() as first:
        session_id = await online(ps, world.acme, first)
        async with device() as second:
            assert (await second.status()).accepted
            assert (await disconnects.request(world.acme.scope, session_id))["result"] == "ack"
            assert (len(first.asked), len(second.asked)) == (0, 1)
        await until(lambda: len(tls_engine._radsec._all()) == 1, "one connection is left")
        other = await online(ps, world.acme, first, "s2")
        assert (await disconnects.request(world.acme.scope, other))["result"] == "ack"
        assert len(first.asked) == 1


async def never(ps: PlatformScope, pool: str) -> AsyncIterator[Command]:
    """The commands of a pool for a worker that is too busy to take any."""
    await asyncio.Event().wait()
    yield  # type: ignore[misc]


@pytest.fixture
async def busy(ps: PlatformScope, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    """A worker that takes no command of the pool, only what others hand on to it."""
    worker = Engine(ps, engine_settings(radsec_port=0))
    worker.worker = worker._commands._worker = f"busy-{secrets.token_hex(4)}"
    with monkeypatch.context() as patch:
        patch.setattr(disconnects, "commands", never)
        await worker.__aenter__()
    yield worker
    await worker.__aexit__(None, None, None)


async def held_by(ps: PlatformScope, business: Business) -> str:
    """Which worker is known to hold the connection of the business's device."""
    return await reverse.holder(ps, business.id, business.nas["_id"])


@pytest.mark.parametrize(("cause", "result"), [(0, "ack"), (501, "nak")])
async def test_the_worker_that_takes_the_command_need_not_hold_the_connection(
    ps: PlatformScope, world: World, busy: Engine, tls_engine: Engine, device: Device, cause: int, result: str
) -> None:
    async with device(port=busy.radsec_port, answer=lambda packet: cause) as gate:
        session_id = await online(ps, world.acme, gate)
        await until(lambda: held_by(ps, world.acme), "it is known who holds it")
        assert tls_engine._radsec.connection(world.acme.nas["_id"]) is None
        attempt = await disconnects.request(world.acme.scope, session_id)
        assert (attempt["result"], attempt["address"], len(gate.asked)) == (result, "RadSec", 1)

    async def forgotten() -> bool:
        return not await held_by(ps, world.acme)

    await until(forgotten, "nobody is said to hold it")


async def test_what_comes_too_late_goes_another_way(
    ps: PlatformScope, world: World, busy: Engine, tls_engine: Engine, device: Device
) -> None:
    """The connection ended while the command was on its way to its holder, which then does what is left to do."""
    await reverse.hold(ps, busy.worker, [(world.acme.id, world.acme.nas["_id"])], [])
    async with DisconnectListener(NAS_SECRET) as udp:
        form = nas.form_of(world.acme.nas) | {"address": HOST, "coa_port": udp.port}
        await nas.update(world.acme.scope, world.acme.nas["_id"], nas.NasForm.model_validate(form))
        async with device() as gate:
            session_id = await online(ps, world.acme, gate)
        await until(lambda: not tls_engine._radsec.held(), "it has ended")
        for worker in (busy, tls_engine):
            await reread(worker, world.acme)
        await reverse.hold(ps, busy.worker, [(world.acme.id, world.acme.nas["_id"])], [])
        attempt = await disconnects.request(world.acme.scope, session_id)
        assert (attempt["result"], attempt["address"], len(udp.received)) == ("ack", f"{HOST}:{udp.port}", 1)


async def test_a_device_known_by_its_certificate_alone_is_not_sought_elsewhere(
    ps: PlatformScope, world: World, tls_engine: Engine, device: Device
) -> None:
    form = nas.form_of(world.acme.nas) | {"mode": "certificate"}
    await nas.update(world.acme.scope, world.acme.nas["_id"], nas.NasForm.model_validate(form))
    async with device() as gate:
        session_id = await online(ps, world.acme, gate)
    await until(lambda: not tls_engine._radsec.held(), "it has ended")
    await reread(tls_engine, world.acme)
    attempt = await disconnects.request(world.acme.scope, session_id)
    assert (attempt["result"], attempt["attempts"]) == ("unreachable", 0)


async def test_a_command_for_another_tenants_device_goes_nowhere(
    ps: PlatformScope, world: World, device: Device
) -> None:
    """Should a session's row ever name a device of another tenant."""
    async with device() as gate:
        await online(ps, world.acme, gate)
        row = {"tenant_id": world.zeta.id, "nas_id": world.acme.nas["_id"]}
        (session,) = await world.acme.scope.db.online.find({"open": True})
        forged = {**session, **row, "_id": f"{session['_id']}x", "key": "forged"}
        await world.zeta.scope.db.online.insert(forged)
        attempt = await disconnects.request(world.zeta.scope, forged["_id"])
        assert (attempt["result"], gate.asked) == ("unreachable", [])


async def test_who_lost_a_connection_does_not_speak_for_who_has_it_now(ps: PlatformScope, world: World) -> None:
    mine = (world.acme.id, world.acme.nas["_id"])
    await reverse.hold(ps, "one", [mine], [])
    await reverse.hold(ps, "two", [mine], [])
    await reverse.hold(ps, "one", [], [mine])
    assert await held_by(ps, world.acme) == "two"
    assert await held_by(ps, world.zeta) == ""
    await reverse.hold(ps, "two", [], [mine])
    assert await held_by(ps, world.acme) == ""
