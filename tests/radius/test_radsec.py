"""RADIUS over TLS: what goes through, and what does not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest

from saas.radius import codec
from saas.radius.authenticators import access_request, keyed_request, parse_reply
from saas.radius.client import NoAnswer
from saas.radius.codec import attributes, plain
from saas.radius.engine import Engine
from saas.radius.server import probe
from saas.tenants import engines, journal, nas
from saas.tenants.certificates import Bundle
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, Device, engine_settings, gateway_to, reread
from tests.radius.peer import SECRET, VERSIONS, Peer, client_context, login, status
from tests.support import PATIENCE, until
from tests.world import USER_PASSWORD, USERNAME, World

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(tls_engine: Engine) -> Engine:
    """The worker of these tests has a RadSec port."""
    return tls_engine


# what goes through


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("version", VERSIONS)
async def test_log_in_accounting_and_status_go_down_one_connection(
    device: Device, world: World, engine: Engine, version: ssl.TLSVersion
) -> None:
    async with device(version=version) as gate:
        assert gate.version == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        assert (await gate.pap(USERNAME, USER_PASSWORD)).accepted
        assert (await gate.chap(USERNAME, USER_PASSWORD)).accepted
        answer = await gate.mschapv2(USERNAME, USER_PASSWORD)
        assert answer.accepted and len(answer.mppe_send) == 16
        assert not (await gate.pap(USERNAME, "wrong-password")).accepted
        assert (await gate.accounting("start", USERNAME, "s1")).packet.code == codec.ACCOUNTING_RESPONSE
        assert (await gate.status()).packet.code == codec.ACCESS_ACCEPT
        counters = engine.counters
        assert (counters.accepted, counters.rejected, counters.accounting) == (3, 1, 1)
        found = counters.take_devices()[world.acme.nas["_id"]]
        assert (found.accepted, found.rejected, found.accounting) == (3, 1, 1)


@pytest.mark.usefixtures("unlimited")
async def test_the_certificate_says_whose_packet_it_is_and_nothing_else(
    device: Device, world: World, ps: PlatformScope, engine: Engine
) -> None:
    """Another tenant's identifier in the packet changes nothing."""
    named = {"NAS-Identifier": world.zeta.nas["identifier"]}
    async with device() as gate:
        assert (await gate.pap(USERNAME, USER_PASSWORD, named)).accepted
        await gate.accounting("start", USERNAME, "by-certificate", named)
    assert set(engine.counters.take_devices()) == {world.acme.nas["_id"]}
    groups = (await journal.read(ps, 0.05)).groups
    mine = [event for group in groups for event in group.events if event.session_id == "by-certificate"]
    assert {(event.tenant_id, event.nas_id) for event in mine} == {(world.acme.id, world.acme.nas["_id"])}


@pytest.mark.usefixtures("unlimited")
async def test_a_log_in_without_message_authenticator_is_taken_unless_it_must_have_one(
    device: Device, world: World, engine: Engine
) -> None:
    """With EAP, in a Status-Server, and where the device's policy says so."""
    eap = attributes(("User-Name", USERNAME)) + plain(codec.EAP_MESSAGE, b"\x02\x01\x00\x05\x01")
    async with device(prove=False) as gate:
        assert (await gate.pap(USERNAME, USER_PASSWORD, {"Proxy-State": b"\x01\x02"})).accepted
        gate.send(access_request(codec.ACCESS_REQUEST, 1, bytes(16), SECRET, eap, prove=False))
        gate.send(status(2, prove=False) + status(3))
        assert (await gate.next_frame())[:2] == bytes((codec.ACCESS_ACCEPT, 3))
        form = nas.form_of(world.acme.nas) | {"message_authenticator": "require"}
        await nas.update(world.acme.scope, world.acme.nas["_id"], nas.NasForm.model_validate(form))
        await reread(engine, world.acme)
        gate.send(login(4) + status(5))
        assert (await gate.next_frame())[:2] == bytes((codec.ACCESS_ACCEPT, 5))
    assert engine.counters.dropped == {"missing_message_authenticator": 3}


@pytest.mark.usefixtures("unlimited")
async def test_proxy_state_comes_back_in_order(device: Device) -> None:
    states = [b"one", b"two", b"one"]
    extra = b"".join(plain(codec.PROXY_STATE, state) for state in states)
    async with device() as gate:
        gate.send(octets := login(9, extra=extra))
        answer = parse_reply(await gate.next_frame(), octets, SECRET)
    assert answer.code == codec.ACCESS_ACCEPT and answer.all(codec.PROXY_STATE) == states


@pytest.mark.usefixtures("unlimited")
async def test_packets_in_pieces_and_many_at_once(device: Device) -> None:
    async with device() as gate:
        for octet in (first := login(1)):
            gate.send(bytes((octet,)))
            await gate.writer.drain()
        assert (await gate.next_frame())[:2] == bytes((codec.ACCESS_ACCEPT, 1))
        gate.send(first[:5])
        await gate.writer.drain()
        gate.send(first[5:] + b"".join(login(number) for number in range(2, 102)) + first[:9])
        answers = [await gate.next_frame() for _ in range(101)]
        assert sorted(answer[1] for answer in answers) == list(range(1, 102))


# what does not go through


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bad_length"),
        (bytes((1, 1, 0, 19)) + bytes(15), "bad_length"),
        (bytes((1, 1, 16, 1)) + bytes(4093), "bad_length"),
        (bytes((1, 1, 0, 22)) + bytes(16) + b"\1\1", "bad_attribute"),
        (keyed_request(codec.ACCOUNTING_REQUEST, 1, SECRET, b"")[:-1] + b"\0", "bad_authenticator"),
        (status(1)[:-1] + b"\xff", "bad_authenticator"),
    ],
)
async def test_what_is_not_radius_ends_the_connection(
    device: Device, engine: Engine, world: World, octets: bytes, reason: str
) -> None:
    async with device() as gate:
        gate.send(octets + status(2))
        await gate.ended()
        assert gate.frames.empty()
    assert engine.counters.dropped == {reason: 1}
    assert engine.counters.take_devices()[world.acme.nas["_id"]].dropped == {reason: 1}


@pytest.mark.parametrize("code", [2, 5, 11, 13, 40, 43, 255])
async def test_other_codes_are_dropped_and_the_connection_goes_on(device: Device, engine: Engine, code: int) -> None:
    async with device() as gate:
        gate.send(bytes((code, 1, 0, 20)) + bytes(16) + status(2))
        assert (await gate.next_frame())[1] == 2
    assert engine.counters.dropped == {"unknown_code": 1}


@pytest.mark.parametrize("code", [41, 42, 44, 45])
async def test_answers_to_nothing_are_dropped(device: Device, engine: Engine, code: int) -> None:
    async with device() as gate:
        gate.send(bytes((code, 1, 0, 20)) + bytes(16) + status(2))
        assert (await gate.next_frame())[1] == 2
    assert engine.counters.dropped == {"unexpected_answer": 1}


async def test_the_wrong_secret_is_told_to_the_owner(device: Device, engine: Engine, world: World) -> None:
    async with device(secret="shared-secret") as gate:
        with pytest.raises(NoAnswer, match="closed"):
            await gate.pap(USERNAME, USER_PASSWORD)
    assert engine.counters.take_devices()[world.acme.nas["_id"]].dropped == {"bad_authenticator": 1}


async def test_noise_before_tls_is_counted_and_harms_nobody(device: Device, engine: Engine) -> None:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(HOST, engine.radsec_port)
        writer.write(b"\x16\x03\x01noise, noise, noise" + bytes(64))
        await reader.read()
        writer.close()
    await until(lambda: engine.counters.dropped["tls_handshake"] == 1, "it is counted")
    async with device() as gate:
        assert (await gate.status()).accepted


async def test_old_versions_of_tls_are_refused(device: Device, engine: Engine, server_authority: str) -> None:
    context = client_context(None, server_authority)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(HOST, engine.radsec_port, ssl=context)


# connections


@pytest.mark.usefixtures("unlimited")
async def test_a_request_sent_again_on_a_new_connection_gets_the_same_answer(device: Device, engine: Engine) -> None:
    async with device() as first:
        first.send(login(5))
        answer = await first.next_frame()
    async with device() as second:
        second.send(login(5))
        assert await second.next_frame() == answer
    assert (engine.counters.accepted, engine.counters.replayed) == (1, 1)


@pytest.mark.usefixtures("unlimited")
async def test_what_is_under_way_when_the_connection_breaks_is_answered_on_the_next_one(
    device: Device, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = asyncio.Event()
    fetch = engine._logins.fetch

    async def slow(*args: Any) -> Any:
        await may_go.wait()
        return await fetch(*args)

    monkeypatch.setattr(engine._logins, "fetch", slow)
    async with device() as first:
        first.send(login(5))
        await until(lambda: engine._radsec._waiting, "it is worked on")
    async with device() as second:
        second.send(login(5))
        await until(lambda: engine.counters.dropped["duplicate_in_flight"], "it came again")
        may_go.set()
        assert (await second.next_frame())[:2] == bytes((codec.ACCESS_ACCEPT, 5))
    assert engine.counters.accepted == 1


async def test_a_worker_says_which_port_it_has(ps: PlatformScope, engine: Engine) -> None:
    reports = [report for report in await engines.listing(ps) if report.worker == engine.worker]
    assert [report.radsec_port for report in reports] == [engine.radsec_port] != [0]


@pytest.mark.usefixtures("unlimited")
async def test_a_worker_that_ends_answers_first_and_then_closes(
    ps: PlatformScope, world: World, bundle: Bundle, server_authority: str
) -> None:
    async with Engine(ps, engine_settings(radsec_port=0, reject_delay=60)) as worker:
        gate = await Peer(worker.radsec_port, bundle, server_authority).__aenter__()
        gate.send(login(1, password="wrong-password"))
        await until(lambda: worker.counters.rejected, "it is under way")
        port = worker.radsec_port
    assert (await gate.next_frame())[:2] == bytes((codec.ACCESS_REJECT, 1))
    await gate.ended()
    await gate.__aexit__(None, None, None)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((HOST, port))


async def test_two_workers_share_the_port(ps: PlatformScope, world: World, bundle: Bundle, engine: Engine) -> None:
    async with Engine(ps, engine_settings(radsec_port=engine.radsec_port)) as other:
        assert other.radsec_port == engine.radsec_port
        async with gateway_to(other, world.acme) as udp:
            assert (await udp.status()).accepted


async def test_a_port_of_another_program_is_told(ps: PlatformScope, engine: Engine) -> None:
    with pytest.raises(OSError, match="in use"):
        probe(HOST, engine.radsec_port, socket.SOCK_STREAM)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            async with Engine(ps, engine_settings(radsec_port=taken.getsockname()[1])):
                pytest.fail("it must not start")
