"""Accounting over real UDP: decoded whole, recorded, and only then answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from saas.embedded import StoreUrls
from saas.kv import Kv
from saas.radius import codec
from saas.radius.acct import event_time
from saas.radius.authenticators import Secret, keyed_request, parse_reply
from saas.radius.client import NoAnswer
from saas.radius.codec import Packet, attributes, parse, plain
from saas.radius.engine import Engine
from saas.store import Store
from saas.tenants import journal
from saas.tenants.journal import AcctEvent
from saas.tenants.scope import PlatformScope, Services, platform_scope
from tests.cable import Cable, plugged
from tests.radius.conftest import HOST, Gateway, Wire, engine_settings, gateway_to, set_plan
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, Business, World

pytestmark = pytest.mark.slow


async def recorded(ps: PlatformScope, business: Business) -> list[AcctEvent]:
    """Everything in the journal of a business's device, oldest first."""
    reading = await journal.read(ps, 0.05)
    return [event for group in reading.groups for event in group.events if event.nas_id == business.nas["_id"]]


@pytest.fixture
async def ps(ps: PlatformScope) -> AsyncIterator[PlatformScope]:
    """The platform's scope; what a test recorded is removed afterwards."""
    yield ps
    await journal.remove(ps, (await journal.read(ps, 0.05)).groups)


FACTS: dict[str, Any] = {
    "Acct-Session-Time": 3600,
    "Acct-Input-Octets": 5,
    "Acct-Input-Gigawords": 1,
    "Acct-Output-Octets": 7,
    "Acct-Output-Gigawords": 2,
    "Acct-Input-Packets": 11,
    "Acct-Output-Packets": 13,
    "Acct-Terminate-Cause": 4,
    "Framed-IP-Address": "10.0.0.9",
    "Framed-IPv6-Prefix": "2001:db8:1::/64",
    "Calling-Station-Id": "aa:bb:cc:dd:ee:ff",
    "Called-Station-Id": "gate",
    "NAS-IP-Address": "192.0.2.9",
    "NAS-Port": 77,
    "NAS-Port-Type": 5,
    "NAS-Port-Id": "ether1",
    "Acct-Multi-Session-Id": "m1",
    "Tunnel-Client-Endpoint": "198.51.100.7",
    "Connect-Info": "fast",
    "Service-Type": 2,
    "Framed-Protocol": 1,
}


async def test_every_fact_is_kept(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        answer = await device.accounting("stop", " ALICE ", "s1", FACTS)
    assert answer.packet.code == codec.ACCOUNTING_RESPONSE
    (event,) = await recorded(ps, world.acme)
    assert event == AcctEvent(
        tenant_id=world.acme.id,
        nas_id=world.acme.nas["_id"],
        status="stop",
        session_id="s1",
        username=USERNAME,
        at=event.received,
        received=event.received,
        account_id=world.acme.account["_id"],
        slot="",
        session_time=3600,
        input_octets=2**32 + 5,
        output_octets=2 * 2**32 + 7,
        gigawords=True,
        input_packets=11,
        output_packets=13,
        terminate_cause="Idle-Timeout",
        framed_ip="10.0.0.9",
        framed_ipv6="2001:db8:1::/64",
        calling_station_id="AA-BB-CC-DD-EE-FF",
        called_station_id="gate",
        nas_ip="192.0.2.9",
        nas_port=77,
        nas_port_type="Virtual",
        nas_port_id="ether1",
        multi_session_id="m1",
        tunnel_client="198.51.100.7",
        connect_info="fast",
        service_type="Framed",
        framed_protocol="PPP",
        source=HOST,
        user_name=" ALICE ",
    )


async def test_what_was_not_sent_is_not_invented(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        await device.accounting("start", USERNAME, "s1")
    (event,) = await recorded(ps, world.acme)
    absent = (event.session_time, event.input_octets, event.output_octets, event.input_packets, event.nas_port)
    assert absent == (None,) * 5
    assert not event.gigawords
    assert (event.framed_ip, event.terminate_cause, event.calling_station_id, event.slot) == ("",) * 4


async def test_a_session_keeps_its_order(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        await device.accounting("on", "", "boot")
        await device.accounting("start", USERNAME, "s1")
        await device.accounting("interim", USERNAME, "s1", {"Acct-Session-Time": 60, "Acct-Input-Octets": 9})
        await device.accounting("stop", USERNAME, "s1", {"Acct-Session-Time": 90, "Acct-Input-Octets": 10})
        await device.accounting("off", "", "boot")
    found = [(event.status, event.session_time, event.input_octets) for event in await recorded(ps, world.acme)]
    expected = [("on", None, None), ("start", None, None), ("interim", 60, 9), ("stop", 90, 10), ("off", None, None)]
    assert found == expected


async def test_class_tells_account_and_slot(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    await set_plan(world.acme, concurrency=2)
    async with gateway(world.acme) as device:
        token = (await device.pap(USERNAME, USER_PASSWORD)).value("Class")
        await device.accounting("start", "another-name", "s1", {"Class": token})
    (event,) = await recorded(ps, world.acme)
    assert event.account_id == world.acme.account["_id"]
    assert event.slot


async def test_a_class_of_another_tenant_is_worth_nothing(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as ours, gateway(world.zeta) as theirs:
        token = (await ours.pap(USERNAME, USER_PASSWORD)).value("Class")
        await theirs.accounting("start", "nobody", "s1", {"Class": token})
    (event,) = await recorded(ps, world.zeta)
    assert (event.account_id, event.slot) == ("", "")


async def test_a_device_that_drops_class_is_known_by_name(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        await device.accounting("start", USERNAME, "s1")
        await device.accounting("start", "nobody", "s2")
    assert [event.account_id for event in await recorded(ps, world.acme)] == [world.acme.account["_id"], ""]


async def test_two_tenants_with_the_same_session_id(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as ours, gateway(world.zeta) as theirs:
        await asyncio.gather(*(nas.accounting("start", USERNAME, "same") for nas in (ours, theirs)))
    for business in (world.acme, world.zeta):
        (event,) = await recorded(ps, business)
        assert (event.tenant_id, event.account_id) == (business.id, business.account["_id"])


def octets(wire: Wire, number: int = 1, **values: Any) -> bytes:
    named = {"User-Name": USERNAME, "Acct-Status-Type": 3, "Acct-Session-Id": "s1"}
    named |= {name.replace("_", "-"): value for name, value in values.items()}
    return keyed_request(codec.ACCOUNTING_REQUEST, number, wire.secret, wire.identity + attributes(*named.items()))


async def test_the_same_packet_again_is_answered_from_memory(
    ps: PlatformScope, world: World, engine: Engine, wire: Wire
) -> None:
    asked = octets(wire)
    wire.send(asked, "acct")
    first = await wire.receive()
    wire.send(asked, "acct")
    assert await wire.receive() == first
    assert parse_reply(first, asked, wire.secret).code == codec.ACCOUNTING_RESPONSE
    assert len(await recorded(ps, world.acme)) == 1
    assert engine.counters.replayed == 1


async def test_a_retry_with_a_new_delay_says_the_same(ps: PlatformScope, world: World, wire: Wire) -> None:
    """Identifier and authenticator differ, so it is recorded again; moment and counters are the same."""
    for number, delay in ((1, 0), (2, 30)):
        wire.send(octets(wire, number, Acct_Delay_Time=delay, Acct_Session_Time=600, Acct_Input_Octets=5), "acct")
        await wire.receive()
    one, other = await recorded(ps, world.acme)
    assert (one.session_time, one.input_octets) == (other.session_time, other.input_octets) == (600, 5)
    assert one.received - one.at == 0 and other.received - other.at == 30


async def test_a_proven_report_gets_a_proven_answer(world: World, engine: Engine, wire: Wire) -> None:
    body = wire.identity + attributes(("Acct-Status-Type", 1), ("Acct-Session-Id", "s1"), ("Proxy-State", b"x"))
    for prove in (True, False):
        asked = keyed_request(codec.ACCOUNTING_REQUEST, 7 + prove, wire.secret, body, prove=prove)
        wire.send(asked, "acct")
        answer = parse_reply(await wire.receive(), asked, wire.secret)
        assert bool(answer.proof_at) is prove
        assert answer.all(33) == [b"x"]


async def test_tunnel_reports_are_answered_and_not_kept(ps: PlatformScope, world: World, wire: Wire) -> None:
    asked = octets(wire, Acct_Status_Type=9)
    wire.send(asked, "acct")
    assert parse_reply(await wire.receive(), asked, wire.secret).code == codec.ACCOUNTING_RESPONSE
    assert await recorded(ps, world.acme) == []


async def test_a_burst_is_recorded_whole(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        await asyncio.gather(*(device.accounting("start", USERNAME, f"s{number}") for number in range(200)))
    found = {event.session_id for event in await recorded(ps, world.acme)}
    assert found == {f"s{number}" for number in range(200)}


# moments


def timed(**values: int) -> Packet:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return parse(keyed_request(4, 1, Secret(b"x"), attributes(*named.items())))


@pytest.mark.parametrize(
    ("packet", "moment"),
    [
        (timed(), 1_000_000.5),
        (timed(Acct_Delay_Time=30), 999_970.5),
        (timed(Event_Timestamp=999_990), 999_990.0),
        (timed(Acct_Delay_Time=600, Event_Timestamp=999_410), 999_410.0),
        (timed(Event_Timestamp=0), 1_000_000.5),
        (timed(Event_Timestamp=1_003_600), 1_000_000.5),
        (timed(Acct_Delay_Time=2**32 - 1), 1_000_000.5),
        (parse(keyed_request(4, 1, Secret(b"x"), plain(41, b"\1"))), 1_000_000.5),
    ],
)
def test_the_moment_is_the_devices_where_its_clock_can_be_trusted(packet: Packet, moment: float) -> None:
    assert event_time(packet, 1_000_000.5) == moment


# stores that are away


class Network:
    """The engine's way to its stores."""

    def __init__(self, ps: PlatformScope, redis: Cable, mongo: Cable) -> None:
        self.ps = ps
        self.redis = redis
        self.mongo = mongo


@pytest.fixture
async def network(ps: PlatformScope, stores: StoreUrls, database: str) -> AsyncIterator[Network]:
    """A platform's scope whose stores can be cut off."""
    async with plugged(stores.mongo_url) as mongo, plugged(stores.redis_url) as redis:
        store, kv = await Store.open(mongo.url, database), await Kv.open(redis.url)
        far = platform_scope(Services(store, kv, ps.services.keys, ps.services.mailer))
        yield Network(far, redis, mongo)
        await kv.close()
        store.close()


async def test_nothing_is_answered_that_no_store_took(
    ps: PlatformScope, world: World, network: Network, expect_log: Callable[[str], None]
) -> None:
    """Redis away: the other store takes it. Both away: no answer; back again: the retry is recorded and answered."""
    expect_log("the redis server does not answer|Redis is away")
    async with (
        Engine(network.ps, engine_settings()) as engine,
        gateway_to(engine, world.acme, timeout=10.0, tries=1) as device,
    ):
        await device.accounting("start", USERNAME, "both stores")
        await network.redis.pull()
        await device.accounting("start", USERNAME, "one store")
        await network.mongo.pull()
        with pytest.raises(NoAnswer):
            await device.accounting("start", USERNAME, "no store")
        await until(lambda: engine.counters.dropped["store_unavailable"], "the drop is counted")
        assert {event.session_id for event in await recorded(ps, world.acme)} == {"both stores", "one store"}
        await network.mongo.plug()
        await network.redis.plug()
        await device.accounting("start", USERNAME, "no store")
    assert {event.session_id for event in await recorded(ps, world.acme)} == {"both stores", "one store", "no store"}
