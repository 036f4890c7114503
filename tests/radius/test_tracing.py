"""Traces: what passes between a device and the engine, in words, without secrets, for whoever may see it alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from saas.radius import codec, tracing
from saas.radius.authenticators import Secret, access_request
from saas.radius.client import DisconnectListener, NoAnswer
from saas.radius.codec import attributes, parse, plain, vendor_attribute
from saas.radius.decoding import attributes as described
from saas.radius.engine import Engine
from saas.tenants import disconnects, nas, traces
from saas.tenants.scope import PlatformScope
from saas.tenants.traces import Trace, TracedPacket, TraceForm
from tests.radius.conftest import HOST, Gateway, Wire
from tests.radius.test_disconnect import online
from tests.support import until
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, Business, World

pytestmark = pytest.mark.slow

FORM = TraceForm(minutes=10)


@pytest.fixture(autouse=True)
async def nothing_traced(ps: PlatformScope) -> None:
    """What other tests trace is no concern of these engines."""
    for trace in await traces.active(ps):
        await ps.kv.hdel("traces", trace.id)


async def watched(engine: Engine, trace: Trace) -> None:
    """Wait until the worker has heard of it."""
    await until(lambda: engine._gate.tracer and trace.id in engine._tracing._watches, "the worker traces")


async def seen(business: Business, trace: Trace, count: int) -> list[TracedPacket]:
    """What was seen, once so many packets were."""

    async def enough() -> Any:
        found = await traces.packets(business.scope, trace.id)
        return found if len(found) >= count else None

    found: list[TracedPacket] = await until(enough, f"{count} packets are seen")
    return found


def brief(packets: Sequence[TracedPacket]) -> list[tuple[str, str, str]]:
    return [(packet.way, packet.kind, packet.reason) for packet in packets]


def shown(packet: TracedPacket) -> dict[str, str | None]:
    return {name: text for name, text, _ in packet.attributes}


@pytest.mark.usefixtures("unlimited")
async def test_a_device_is_traced_both_ways(world: World, engine: Engine, gateway: Gateway) -> None:
    trace = await traces.start_nas(world.acme.scope, world.acme.nas["_id"], FORM)
    await watched(engine, trace)
    async with gateway(world.acme) as device, gateway(world.zeta) as other:
        await other.pap(USERNAME, USER_PASSWORD)
        await device.pap(USERNAME, USER_PASSWORD)
        await device.pap(USERNAME, "wrong")
        await device.accounting("start", USERNAME, "s1", {"Framed-IP-Address": "10.0.0.9"})
        await device.status()
    found = await seen(world.acme, trace, 8)
    assert brief(found) == [
        ("in", "Access-Request", ""),
        ("out", "Access-Accept", ""),
        ("in", "Access-Request", ""),
        ("out", "Access-Reject", ""),
        ("in", "Accounting-Request", ""),
        ("out", "Accounting-Response", ""),
        ("in", "Status-Server", ""),
        ("out", "Access-Accept", ""),
    ]
    assert [packet.number for packet in found] == list(range(1, 9))
    asked, accepted, report = found[0], found[1], found[4]
    assert (asked.id, asked.peer.split(":")[0]) == (accepted.id, HOST)
    assert shown(asked) == {
        "Message-Authenticator": None,
        "User-Name": USERNAME,
        "NAS-Identifier": world.acme.nas["identifier"],
        "User-Password": None,
    }
    assert shown(accepted)["Class"] is None and shown(accepted)["Session-Timeout"] == "86400"
    assert shown(report)["Acct-Status-Type"] == "Start (1)" and shown(report)["Framed-IP-Address"] == "10.0.0.9"
    assert await traces.packets(world.acme.scope, trace.id, after=7) == found[7:]
    assert USER_PASSWORD not in str(found) and NAS_SECRET not in str(found)


@pytest.mark.usefixtures("unlimited")
async def test_a_user_is_traced_on_every_device_and_alone(world: World, engine: Engine, gateway: Gateway) -> None:
    scope = world.acme.scope
    second = await nas.create(scope, nas.NasForm(name="West gate", vendor="standard", secret=NAS_SECRET))
    await until(lambda: second["_id"] in engine.table.devices, "the worker knows the device")
    trace = await traces.start_account(scope, world.acme.account["_id"], FORM)
    await watched(engine, trace)
    async with gateway(world.acme) as one, gateway(world.acme, identifier=second["identifier"]) as two:
        await one.pap("somebody", "else")
        await one.pap(rf"DOMAIN\{USERNAME.upper()}", USER_PASSWORD)
        await two.chap(USERNAME, USER_PASSWORD)
    async with gateway(world.zeta) as other:
        await other.pap(USERNAME, USER_PASSWORD)
    found = await seen(world.acme, trace, 4)
    assert brief(found) == [("in", "Access-Request", ""), ("out", "Access-Accept", "")] * 2
    assert [shown(packet)["User-Name"] for packet in found[::2]] == [rf"DOMAIN\{USERNAME.upper()}", USERNAME]
    assert shown(found[2])["CHAP-Password"] is None and shown(found[2])["CHAP-Challenge"] is None


async def test_what_is_dropped_is_shown_with_its_reason(world: World, engine: Engine, gateway: Gateway) -> None:
    trace = await traces.start_nas(world.acme.scope, world.acme.nas["_id"], FORM)
    await watched(engine, trace)
    async with gateway(world.acme, "wrong-secret", tries=1, timeout=0.05) as device:
        with pytest.raises(NoAnswer):
            await device.pap(USERNAME, USER_PASSWORD)
        with pytest.raises(NoAnswer):
            await device.accounting("start", USERNAME, "s1")
    async with gateway(world.acme, prove=False, tries=1, timeout=0.05) as device:
        with pytest.raises(NoAnswer):
            await device.pap(USERNAME, USER_PASSWORD)
    async with gateway(world.acme, tries=1, timeout=0.05) as device:
        with pytest.raises(NoAnswer):
            await device.accounting("start", USERNAME, "")
    found = await seen(world.acme, trace, 5)
    assert brief(found) == [
        ("drop", "Access-Request", "bad_authenticator"),
        ("drop", "Accounting-Request", "bad_authenticator"),
        ("drop", "Access-Request", "missing_message_authenticator"),
        ("in", "Accounting-Request", ""),
        ("drop", "Accounting-Request", "bad_request"),
    ]
    assert shown(found[0])["User-Name"] == USERNAME


async def test_an_unproven_packet_behind_a_shared_address_keeps_its_content(
    world: World, engine: Engine, gateway: Gateway
) -> None:
    """Acme watches the device whose address Zeta's gateway shares: of what names no device it may see that something
    came, not what; of what names Zeta's device nothing.
    """
    scope, nas_id, shared = world.acme.scope, world.acme.nas["_id"], "127.0.0.81"
    form = nas.form_of(world.acme.nas) | {"mode": "ip", "address": shared}
    await nas.update(scope, nas_id, nas.NasForm.model_validate(form))
    await until(lambda: engine.table.devices[nas_id].device.address == shared, "the worker knows the address")
    trace = await traces.start_nas(scope, nas_id, FORM)
    await watched(engine, trace)
    for identifier in (world.zeta.nas["identifier"], "a-name-of-zeta"):
        other = gateway(world.zeta, "wrong", identifier=identifier, source=shared, tries=1, timeout=0.05)
        async with other as device:
            with pytest.raises(NoAnswer):
                await device.pap("a-customer-of-zeta", USER_PASSWORD)
    (packet,) = await seen(world.acme, trace, 1)
    assert (packet.reason, packet.hidden, packet.attributes) == ("bad_authenticator", True, [])
    assert "zeta" not in str(packet) and world.zeta.nas["identifier"] not in str(packet)


@pytest.mark.usefixtures("unlimited")
async def test_a_repeated_request_and_its_repeated_answer_are_shown(world: World, engine: Engine, wire: Wire) -> None:
    trace = await traces.start_nas(world.acme.scope, world.acme.nas["_id"], FORM)
    await watched(engine, trace)
    octets = access_request(codec.STATUS_SERVER, 7, bytes(16), wire.secret, wire.identity)
    wire.send(octets)
    await wire.receive()
    wire.send(octets)
    await wire.receive()
    assert [way for way, _, _ in brief(await seen(world.acme, trace, 4))] == ["in", "out", "in", "out"]


async def test_disconnect_and_coa_are_shown(ps: PlatformScope, world: World, engine: Engine, gateway: Gateway) -> None:
    scope = world.acme.scope
    async with DisconnectListener(NAS_SECRET, lambda packet: 503 if packet.code == 40 else 0) as gate:
        session_id = await online(ps, world.acme, gateway, gate.port)
        trace = await traces.start_nas(scope, world.acme.nas["_id"], FORM)
        of_user = await traces.start_account(scope, world.acme.account["_id"], FORM)
        await watched(engine, of_user)
        await watched(engine, trace)
        await disconnects.change_speed(scope, session_id, (5_000_000, 0))
        await disconnects.request(scope, session_id)
    found = await seen(world.acme, trace, 4)
    assert [(packet.way, packet.kind, packet.peer) for packet in found] == [
        ("out", "CoA-Request", f"{HOST}:{gate.port}"),
        ("in", "CoA-ACK", f"{HOST}:{gate.port}"),
        ("out", "Disconnect-Request", f"{HOST}:{gate.port}"),
        ("in", "Disconnect-NAK", f"{HOST}:{gate.port}"),
    ]
    assert shown(found[0])["Mikrotik-Rate-Limit"] == "5M/2147483647"
    assert shown(found[3])["Error-Cause"] == "Session-Context-Not-Found (503)"
    assert brief(await seen(world.acme, of_user, 4)) == brief(found)


@pytest.mark.usefixtures("unlimited")
async def test_a_trace_ends_and_then_costs_nothing(world: World, engine: Engine, gateway: Gateway) -> None:
    scope = world.acme.scope
    assert engine._gate.tracer is None and engine._disconnector.tracer is None
    trace = await traces.start_nas(scope, world.acme.nas["_id"], FORM)
    await watched(engine, trace)
    async with gateway(world.acme) as device:
        await device.status()
        await seen(world.acme, trace, 2)
        await traces.stop(scope, trace.id)
        await until(lambda: engine._gate.tracer is None, "the worker stops tracing")
        assert engine._disconnector.tracer is None
        await device.status()
    assert len(await traces.packets(scope, trace.id)) == 2


async def test_a_worker_that_starts_later_traces_too(world: World, gateway: Gateway, engine: Engine) -> None:
    """It reads what runs, and needs to have heard of no change."""
    trace = await traces.start_nas(world.acme.scope, world.acme.nas["_id"], FORM)
    await watched(engine, trace)
    fresh = tracing.Tracing(engine._ps, engine._gate, engine._disconnector)
    engine._keep(fresh.run)
    await until(lambda: trace.id in fresh._watches, "the fresh one has read it")


def test_a_flood_is_cut_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = tracing.Watch(Trace("t", "a", "n", "", "n", "b", 0, 1e12))
    octets = access_request(codec.STATUS_SERVER, 1, bytes(16), Secret(b"s"), b"")
    for second in (1.0, 2.0):
        for _ in range(tracing.A_SECOND + 3):
            watch.note(tracing._Seen(second, "in", "p", octets))
    found = watch.take()
    assert len(found) == 2 * tracing.A_SECOND + 1 and found[-1].skipped == 6
    watch.note(tracing._Seen(2.0, "in", "p", octets))
    assert [packet.skipped for packet in watch.take()] == [1]
    assert watch.take() == []


SECRETS = (
    plain(2, b"S3CRET-S3CRET-16")
    + plain(3, b"\1" + b"S3CRET-S3CRET-16")
    + plain(60, b"S3CRET-S3CRET-16")
    + plain(24, b"S3CRET")
    + plain(25, b"S3CRET")
    + plain(33, b"S3CRET")
    + plain(69, b"\0S3CRET")
    + plain(70, b"S3CRET-S3CRET-16")
    + plain(103, b"S3CRET")
    + plain(250, b"S3CRET")
    + plain(26, b"S3CRET")
    + b"".join(vendor_attribute(311, number, b"S3CRET") for number in (1, 3, 4, 5, 6, 11, 12, 16, 17, 25, 26, 27))
    + vendor_attribute(529, 214, b"S3CRET")
    + vendor_attribute(9, 1, b"lcp:user-password=S3CRET")
    + vendor_attribute(9, 1, b"leap:session-key=S3CRET")
    + plain(79, b"\2\5\0\x0b\x1aS3CRET")
    + plain(79, b"S3CRET")
)


def test_nothing_secret_is_shown() -> None:
    request = access_request(codec.ACCESS_REQUEST, 1, bytes(16), Secret(b"S3CRET"), SECRETS)
    found = described(parse(request))
    assert "S3CRET" not in str(found) and b"S3CRET".hex() not in str(found)
    assert ("User-Password", None, 16) in found and ("MS-CHAP2-Response", None, 6) in found
    assert ("EAP-Message", "Response 5, MSCHAPv2", 17) in found
    assert ("Attribute-250", None, 6) in found and ("Vendor-529-214", None, 6) in found
    assert ("Vendor-Specific", None, 6) in found


def test_values_are_shown_by_their_type() -> None:
    octets = attributes(
        ("Reply-Message", "two\nlines"),
        ("NAS-Port-Type", 5),
        ("Service-Type", 99),
        ("Framed-IPv6-Prefix", "2001:db8::/64"),
        ("Event-Timestamp", 1_700_000_000),
        ("Cisco-AVPair", "ip:addr-pool=vip"),
        ("Huawei-Input-Peak-Rate", 5_000_000),
    )
    octets += vendor_attribute(311, 2, b"\1E=691 R=1 C=00112233445566778899aabbccddeeff V=3 M=no")
    octets += plain(8, b"\1\2") + plain(79, b"\2\1\0\x0a\1alice") + vendor_attribute(9999, 3, b"12345")
    found = [(name, text) for name, text, _ in described(_packet(octets))]
    assert found == [
        ("Reply-Message", "two\ufffdlines"),
        ("NAS-Port-Type", "Virtual (5)"),
        ("Service-Type", "99"),
        ("Framed-IPv6-Prefix", "2001:db8::/64"),
        ("Event-Timestamp", "2023-11-14 22:13:20 UTC"),
        ("Cisco-AVPair", "ip:addr-pool=vip"),
        ("Huawei-Input-Peak-Rate", "5000000"),
        ("MS-CHAP-Error", "E=691 R=1 V=3 M=no"),
        ("Framed-IP-Address", None),
        ("EAP-Message", "Response 1, Identity alice"),
        ("Vendor-9999-3", None),
    ]


def _packet(octets: bytes) -> codec.Packet:
    return parse(bytes((2, 1)) + (20 + len(octets)).to_bytes(2, "big") + bytes(16) + octets)
