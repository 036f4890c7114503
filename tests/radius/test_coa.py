"""CoA-Request: what each vendor is told to change a session's speed, octet by octet, and the way from the console's
operation to the device and back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from saas.errors import Conflict
from saas.radius import codec
from saas.radius.authenticators import Secret, proves_message, proves_request
from saas.radius.client import DisconnectListener
from saas.radius.coa import Disconnector, Outcome
from saas.radius.engine import Engine
from saas.radius.vendors import VENDORS, change, identification, rates, vendor
from saas.tenants import device_types, disconnects, nas, sessions
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, Gateway
from tests.radius.test_codec import packet
from tests.radius.test_disconnect import NOW, SESSION, online, target
from tests.support import until
from tests.world import NAS_SECRET, USERNAME, World

SPEED = (5_000_000, 20_000_000)
UP, DOWN = (rate.to_bytes(4, "big").hex() for rate in SPEED)
MAX = "7fffffff"


def text(vendor: int, number: int, value: str, tag: bytes = b"") -> str:
    """A vendor's text attribute as hexadecimal octets."""
    octets = tag + value.encode()
    inner = vendor.to_bytes(4, "big") + bytes((number, len(octets) + 2)) + octets
    return (bytes((26, len(inner) + 2)) + inner).hex()


# Each line is what stands on the wire: type, length, vendor, its type, its length, value (RFC 2865 section 5.26).
OCTETS = {
    "mikrotik": text(14988, 8, "5M/20M"),
    "panabit": text(14988, 8, "5M/20M"),
    "huawei": f"1a0c000007db0206{UP}" + f"1a0c000007db0306{UP}" + f"1a0c000007db0506{DOWN}" + f"1a0c000007db0606{DOWN}",
    "h3c": f"1a0c000063a20206{UP}" + f"1a0c000063a20106{UP}" + f"1a0c000063a20506{DOWN}" + f"1a0c000063a20406{DOWN}",
    "zte": "1a0c00000f3e5906000013881a0c00000f3e530600004e20",
    "zte-bps": f"1a0c00000f3e5906{UP}1a0c00000f3e5306{DOWN}",
    "ikuai": "1a0c000027470106000013881a0c00002747020600004e20",
    "ikuai-bps": f"1a0c000027470106{UP}1a0c000027470206{DOWN}",
    "cisco-isg": text(9, 1, "qos-policy-in=add-class(sub,(class-default,class-default),police(5000000))")
    + text(9, 1, "qos-policy-out=add-class(sub,(class-default,class-default),police(20000000))"),
    "juniper": text(4874, 65, "openpns(5000000,20000000)", b"\1"),
    "nokia": text(6527, 13, "5M-20M"),
    "mpd": text(12341, 7, "in#1#0=all shape 5000000 pass") + text(12341, 7, "out#1#0=all shape 20000000 pass"),
    "accel-ppp": "0b0c" + b"20000/5000".hex(),
    "pptpd": "e60600001388e70600004e20",
    "wispr": f"1a0c0000372a0706{UP}1a0c0000372a0806{DOWN}",
    "ruckus": f"1a0c0000372a0706{UP}1a0c0000372a0806{DOWN}",
    "chillispot": "1a0c000038df0406000013881a0c000038df050600004e20",
    "ascend": f"1a0c00000211c506{UP}1a0c00000211ff06{DOWN}",
}


@pytest.mark.parametrize("key", sorted(VENDORS))
def test_a_new_speed_in_the_vendors_own_octets(key: str) -> None:
    """A vendor that is not in the table cannot change a session's speed. The others hear the same at log-in."""
    assert change(key, SPEED).hex() == OCTETS.get(key, "")
    assert key not in OCTETS or rates(key, *SPEED).hex() == OCTETS[key]


def test_a_limit_that_is_lifted_is_told_as_the_largest_rate_and_never_as_zero() -> None:
    huawei = f"1a0c000007db0206{MAX}1a0c000007db0306{MAX}1a0c000007db0506{MAX}1a0c000007db0606{MAX}"
    assert change("huawei", (0, 0)).hex() == huawei
    assert change("mikrotik", (0, 20_000_000)).hex() == text(14988, 8, "2147483647/20M")
    assert change("nokia", (0, 20_000_000)).hex() == text(6527, 13, "max-20M")
    assert change("ikuai", (0, 0)).hex() == "1a0c0000274701060020c49c1a0c0000274702060020c49c"


def test_juniper_takes_the_old_service_off_before_the_new_one() -> None:
    old = text(4874, 66, "openpns(1000000,2147483647)")
    assert change("juniper", SPEED, (1_000_000, 0)).hex() == old + OCTETS["juniper"]
    assert change("huawei", SPEED, (1_000_000, 0)).hex() == OCTETS["huawei"]


@pytest.mark.parametrize("key", sorted(VENDORS))
def test_the_consoles_know_what_a_type_can(key: str) -> None:
    kind = device_types.TYPES[key]
    assert (kind.live, kind.least_timeout) == (bool(change(key, SPEED)), vendor(key).least_timeout)


def test_what_identifies_a_session_is_the_vendors_own_choice() -> None:
    everything = SESSION | {
        "NAS-IP-Address": "192.0.2.1",
        "NAS-Identifier": "nas-1",
        "NAS-Port": 3,
        "Service-Type": 2,
        "Calling-Station-Id": "AA-BB-CC-DD-EE-FF",
    }
    expected = {
        "mikrotik": [1, 44, 4, 8],
        "huawei": [1, 44, 4, 8],
        "juniper": [1, 44],
        "cisco-isg": [1, 44],
        "nokia": [44],
        "strongswan": [1],
        "ruckus": [1, 44, 32, 4, 8, 6],
        "accel-ppp": [1, 44, 32, 4, 8, 31],
        "aruba": [1, 44, 31, 5, 4],
        "no such vendor": [1, 44, 32, 4, 8],
    }
    for key, numbers in expected.items():
        assert list(codec.parse(packet(identification(key, everything))).first) == numbers, key


# the exchange


@pytest.fixture
async def patient() -> AsyncIterator[Disconnector]:
    """Sends three times quickly, then waits long for the answer."""
    made = Disconnector(HOST, send_at=NOW, give_up_at=30.0)
    yield made
    made.close()


async def test_the_request_is_what_the_rfc_asks_for(patient: Disconnector) -> None:
    async with DisconnectListener(NAS_SECRET) as gate:
        outcome = await patient.change_speed(target(gate.port, vendor="mikrotik"), HOST, SESSION, SPEED, None)
        (request,) = gate.received
    assert (outcome.result, outcome.attempts) == ("ack", 1)
    secret = Secret(NAS_SECRET.encode())
    assert request.code == codec.COA_REQUEST == 43
    assert proves_request(request, secret) and proves_message(request, secret)
    assert {name: request.value(name) for name in SESSION} == SESSION
    assert request.value("Mikrotik-Rate-Limit") == "5M/20M"
    assert request.value("Event-Timestamp") > 1_700_000_000


async def test_silence_is_asked_again_with_the_same_octets_and_the_next_request_has_the_next_identifier() -> None:
    hurried = Disconnector(HOST, send_at=NOW, give_up_at=0.03)
    async with DisconnectListener(NAS_SECRET, lambda packet: None) as gate:
        device = target(gate.port, vendor="huawei")
        assert await hurried.change_speed(device, HOST, SESSION, SPEED, None) == Outcome("timeout", None, 3, None)
        await hurried.disconnect(device, HOST, SESSION)
        octets = [packet.raw for packet in gate.received]
    hurried.close()
    assert octets[0] == octets[1] == octets[2] and octets[3] == octets[4] == octets[5]
    assert [octets[0][0], octets[3][0]] == [codec.COA_REQUEST, codec.DISCONNECT_REQUEST]
    assert (octets[3][1] - octets[0][1]) % 256 == 1


@pytest.mark.parametrize("cause", [401, 402, 404, 407, 501, 503, 506, 508])
async def test_a_refusal_names_its_cause(patient: Disconnector, cause: int) -> None:
    async with DisconnectListener(NAS_SECRET, lambda packet: cause) as gate:
        outcome = await patient.change_speed(target(gate.port, vendor="h3c"), HOST, SESSION, SPEED, None)
    assert (outcome.result, outcome.error_cause) == ("nak", cause)


@pytest.mark.parametrize("key", ["openvpn", "strongswan", "standard", "no such vendor"])
async def test_a_device_that_knows_no_such_change_is_not_asked(patient: Disconnector, key: str) -> None:
    async with DisconnectListener(NAS_SECRET) as gate:
        outcome = await patient.change_speed(target(gate.port, vendor=key), HOST, SESSION, SPEED, None)
        assert (outcome, gate.received) == (Outcome("unsupported"), [])


# the whole way


async def test_a_console_changes_the_speed_of_a_session(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    scope = world.acme.scope
    async with DisconnectListener(NAS_SECRET) as gate:
        session_id = await online(ps, world.acme, gateway, gate.port)
        attempt = await disconnects.change_speed(scope, session_id, SPEED)
        (request,) = gate.received
    assert (attempt["result"], attempt["attempts"]) == ("ack", 1)
    assert [request.value(name) for name in ("User-Name", "Acct-Session-Id")] == [USERNAME, "s1"]
    assert request.value("Mikrotik-Rate-Limit") == "5M/20M"
    row = await sessions.get(scope, session_id)
    assert (row["open"], row["closing_at"], disconnects.own_speed(row)) == (True, None, SPEED)


async def test_what_the_device_was_told_last_is_told_to_be_taken_off(
    ps: PlatformScope, world: World, gateway: Gateway, engine: Engine
) -> None:
    scope, nas_id = world.acme.scope, world.acme.nas["_id"]
    async with DisconnectListener(NAS_SECRET) as gate:
        session_id = await online(ps, world.acme, gateway, gate.port)
        form = nas.form_of(await nas.get(scope, nas_id)) | {"vendor": "juniper"}
        await nas.update(scope, nas_id, nas.NasForm.model_validate(form))
        await until(lambda: engine.table.devices[nas_id].device.vendor == "juniper", "the engine hears of it")
        for speed in (SPEED, (0, 0), SPEED):
            await disconnects.change_speed(scope, session_id, speed)
        received = gate.received
    names = [(p.value("ERX-Service-Deactivate"), p.value("ERX-Service-Activate")) for p in received]
    small, free = "openpns(5000000,20000000)", "openpns(2147483647,2147483647)"
    assert names == [(None, small), (small, free), (free, small)]


async def test_a_session_without_a_live_speed_is_told_so(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    scope = world.acme.scope
    session_id = await online(ps, world.acme, gateway, 3799)
    form = nas.form_of(await nas.get(scope, world.acme.nas["_id"])) | {"vendor": "openvpn"}
    await nas.update(scope, world.acme.nas["_id"], nas.NasForm.model_validate(form))
    with pytest.raises(Conflict) as refused:
        await disconnects.change_speed(scope, session_id, SPEED)
    assert refused.value.code == "not_live"
    assert await disconnects.history(scope, session_id) == []
