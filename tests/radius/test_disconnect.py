"""Disconnect-Request: from the console's operation to the device and back, with retransmission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from saas.radius import codec
from saas.radius.authenticators import Secret, keyed_request, proves_message, proves_request, reply
from saas.radius.client import DisconnectListener
from saas.radius.coa import Disconnector, Outcome
from saas.radius.codec import Packet, attribute, parse
from saas.radius.engine import Engine
from saas.radius.server import Listener
from saas.tenants import disconnects, journal, nas
from saas.tenants.apply import apply
from saas.tenants.nas import Device
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, Gateway
from tests.radius.test_identify import device
from tests.support import until
from tests.world import NAS_SECRET, USERNAME, Business, World

SESSION = {"User-Name": "alice", "Acct-Session-Id": "s1", "Framed-IP-Address": "10.0.0.9"}
NOW = (0.0, 0.01, 0.02)  # when it is sent, in seconds


@pytest.fixture
async def disconnector() -> AsyncIterator[Disconnector]:
    """Sends three times, gives up soon."""
    made = Disconnector(HOST, send_at=NOW, give_up_at=0.03)
    yield made
    made.close()


@pytest.fixture
async def patient() -> AsyncIterator[Disconnector]:
    """Sends three times quickly, then waits long for the answer."""
    made = Disconnector(HOST, send_at=NOW, give_up_at=30.0)
    yield made
    made.close()


def target(port: int, **values: Any) -> Device:
    return device("gate", coa_port=port, secret=NAS_SECRET.encode(), **values)


async def test_the_request_is_what_the_rfc_asks_for(patient: Disconnector) -> None:
    async with DisconnectListener(NAS_SECRET) as gate:
        outcome = await patient.disconnect(target(gate.port), HOST, SESSION)
        (request,) = gate.received
    assert (outcome.result, outcome.attempts, outcome.error_cause) == ("ack", 1, None)
    assert outcome.rtt_ms is not None and outcome.rtt_ms >= 0
    secret = Secret(NAS_SECRET.encode())
    assert request.code == codec.DISCONNECT_REQUEST
    assert proves_request(request, secret) and proves_message(request, secret)
    assert next(iter(request.first)) == codec.MESSAGE_AUTHENTICATOR
    assert {name: request.value(name) for name in SESSION} == SESSION
    assert request.value("Event-Timestamp") > 1_700_000_000


@pytest.mark.parametrize("cause", [503, 401, 506])
async def test_a_refusal_names_its_cause(patient: Disconnector, cause: int) -> None:
    async with DisconnectListener(NAS_SECRET, lambda packet: cause) as gate:
        outcome = await patient.disconnect(target(gate.port), HOST, SESSION)
    assert (outcome.result, outcome.error_cause) == ("nak", cause)


async def test_silence_is_asked_three_times_with_the_same_octets(disconnector: Disconnector) -> None:
    async with DisconnectListener(NAS_SECRET, lambda packet: None) as gate:
        outcome = await disconnector.disconnect(target(gate.port), HOST, SESSION)
        assert outcome == Outcome("timeout", None, 3, None)
        await disconnector.disconnect(target(gate.port), HOST, SESSION)
        octets = [packet.raw for packet in gate.received]
    assert octets[0] == octets[1] == octets[2] and octets[3] == octets[4] == octets[5]
    assert (octets[3][1] - octets[0][1]) % 256 == 1


async def test_an_answer_to_the_second_try_counts(patient: Disconnector) -> None:
    tries: list[Packet] = []

    def second(packet: Packet) -> int | None:
        tries.append(packet)
        return 0 if len(tries) == 2 else None

    async with DisconnectListener(NAS_SECRET, second) as gate:
        outcome = await patient.disconnect(target(gate.port), HOST, SESSION)
    assert (outcome.result, outcome.attempts) == ("ack", 2)


async def test_nobody_there_is_silence(disconnector: Disconnector) -> None:
    async with DisconnectListener(NAS_SECRET) as gate:
        port = gate.port
    assert (await disconnector.disconnect(target(port), HOST, SESSION)).result == "timeout"


async def test_an_address_that_cannot_be_reached_is_told(disconnector: Disconnector) -> None:
    assert (await disconnector.disconnect(target(3799), "2001:db8::1", SESSION)).result == "unreachable"


async def test_answers_that_do_not_prove_themselves_are_not_believed(disconnector: Disconnector) -> None:
    """A wrong secret, a wrong Message-Authenticator, another code, noise: none ends the waiting."""
    secret, other = Secret(NAS_SECRET.encode()), Secret(b"other")

    def forge(listener: Listener, batch: list[tuple[bytes, tuple[Any, ...]]]) -> None:
        for data, address in batch:
            request = parse(data)
            bad = attribute("Message-Authenticator", bytes(16))
            for octets in (
                reply(codec.DISCONNECT_ACK, request, other),
                reply(codec.DISCONNECT_ACK, request, secret, bad, prove=False),
                reply(codec.ACCESS_ACCEPT, request, secret),
                keyed_request(codec.DISCONNECT_ACK, request.id, secret, b""),
                b"",
                b"\x29",
                data,
            ):
                listener.send(octets, address)

    listener = Listener("auth", HOST, 0, forge)
    listener.start()
    outcome = await disconnector.disconnect(target(listener.port), HOST, SESSION)
    listener.close()
    assert outcome.result == "timeout"


async def test_the_listener_answers_nothing_unproven(disconnector: Disconnector) -> None:
    async with DisconnectListener("another-secret") as gate:
        outcome = await disconnector.disconnect(target(gate.port), HOST, SESSION)
        assert (outcome.result, gate.received, gate.unproven) == ("timeout", [], 3)


# the whole way


async def online(ps: PlatformScope, business: Business, gateway: Gateway, port: int) -> str:
    """Alice is online on her business's device, which takes Disconnect-Requests at `port`; the session's id."""
    form = nas.NasForm.model_validate(nas.form_of(business.nas) | {"coa_port": port})
    await nas.update(business.scope, business.nas["_id"], form)
    async with gateway(business) as device:
        facts = {"Framed-IP-Address": "10.0.0.9", "NAS-IP-Address": "192.0.2.1", "NAS-Port": 3}
        await device.accounting("start", USERNAME, "s1", facts)
    reading = await journal.read(ps, 0.05)
    await apply(ps, reading.groups)
    await journal.remove(ps, reading.groups)
    (row,) = await business.scope.db.online.find({"open": True})
    return str(row["_id"])


@pytest.mark.parametrize(("cause", "result"), [(0, "ack"), (504, "nak")])
async def test_a_console_ends_a_session_on_the_device(
    ps: PlatformScope, world: World, gateway: Gateway, cause: int, result: str
) -> None:
    async with DisconnectListener(NAS_SECRET, lambda packet: cause) as gate:
        session_id = await online(ps, world.acme, gateway, gate.port)
        attempt = await disconnects.request(world.acme.scope, session_id)
        (request,) = gate.received
    assert (attempt["result"], attempt["attempts"], attempt["error_cause"]) == (result, 1, cause or None)
    assert attempt["address"] == f"{HOST}:{gate.port}"
    names = ("User-Name", "Acct-Session-Id", "Framed-IP-Address", "NAS-IP-Address")
    assert [request.value(name) for name in names] == [USERNAME, "s1", "10.0.0.9", "192.0.2.1"]


async def test_a_device_that_is_gone_cannot_be_reached(
    ps: PlatformScope, world: World, gateway: Gateway, engine: Engine
) -> None:
    session_id = await online(ps, world.acme, gateway, 3799)
    await nas.set_status(world.acme.scope, world.acme.nas["_id"], "disabled")
    await until(lambda: world.acme.nas["_id"] not in engine.table.devices, "the engine forgets the device")
    attempt = await disconnects.request(world.acme.scope, session_id)
    assert (attempt["result"], attempt["attempts"]) == ("unreachable", 0)
