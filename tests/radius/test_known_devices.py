"""A day with each device of known_devices.py over real UDP: what it is told, what its session shows, who may join."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from saas.radius import codec
from saas.radius.client import Answer, Client
from saas.radius.codec import Packet, definition
from saas.radius.engine import Engine
from saas.radius.vendors import vendor
from saas.tenants import accounts, nas
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, set_plan
from tests.radius.eap_peer import Peer, dialogue
from tests.radius.known_devices import ADDRESS, KINDS, Kind
from tests.reports import Reports
from tests.support import until
from tests.world import NAS_SECRET, USER_PASSWORD, World

pytestmark = pytest.mark.slow

INTERIM, STOP = (60, 1_000, 5_000), (120, 2_000, 9_000)  # seconds, octets from and to the subscriber
HIGH = 2**32

_ALWAYS = {"Session-Timeout", "Acct-Interim-Interval", "Class", "Message-Authenticator"}
_MPPE = {"MS-MPPE-Send-Key", "MS-MPPE-Recv-Key", "MS-MPPE-Encryption-Policy", "MS-MPPE-Encryption-Types"}
# What an Access-Accept holds by the way of logging in
_OF_LOGIN = {
    "pap": set(),
    "chap": set(),
    "mschapv1": {"MS-CHAP-MPPE-Keys", "MS-MPPE-Encryption-Policy", "MS-MPPE-Encryption-Types"},
    "mschapv2": {"MS-CHAP2-Success"} | _MPPE,
    "eap": {"EAP-Message"} | _MPPE,
}


class Device:
    """A device of a kind with one subscriber, who is called carol."""

    def __init__(self, kind: Kind, client: Client) -> None:
        self.kind = kind
        self.client = client
        self._token = b""

    async def log_in(self, elsewhere: bool = False) -> Answer:
        """Ask for carol, at her place or elsewhere."""
        kind = self.kind
        extra = {**kind.always, **(kind.elsewhere if elsewhere else {})}
        if kind.asks_with_session:
            extra["Acct-Session-Id"] = kind.session_id
        if kind.login == "eap":
            answer = (await dialogue(Peer(kind.username, USER_PASSWORD), self.client, extra=extra))[-1]
        else:
            answer = await getattr(self.client, kind.login)(kind.username, USER_PASSWORD, extra)
        if answer.accepted and not elsewhere:
            self._token = answer.value("Class")
        return answer

    async def report(self, status: str, **values: Any) -> None:
        """Start, interim or stop of her session."""
        kind = self.kind
        extra = {**kind.always, **kind.reports, **({"Class": self._token} if kind.echoes else {})}
        extra |= {name.replace("_", "-"): value for name, value in values.items()}
        if kind.stamps:
            extra["Event-Timestamp"] = int(time.time())
        await self.client.accounting(status, kind.username, kind.session_id, extra)

    async def use(self, status: str, seconds: int, upload: int, download: int) -> None:
        """A report of what was used until now; where the device can tell it, 4 GiB more."""
        kind = self.kind
        values = {"Acct_Session_Time": seconds, "Acct_Input_Octets": upload, "Acct_Output_Octets": download}
        if kind.gigawords:
            values |= {"Acct_Input_Gigawords": 0, "Acct_Output_Gigawords": int(status == "stop")}
        if kind.packets:
            values |= {"Acct_Input_Packets": 10, "Acct_Output_Packets": 20}
        if kind.cause and status == "stop":
            values["Acct_Terminate_Cause"] = kind.cause
        await self.report(status, **values)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
async def device(request: pytest.FixtureRequest, world: World, engine: Engine) -> AsyncIterator[Device]:
    """Acme has a device of the kind; carol may have one session, at a speed and with an address of her own."""
    kind: Kind = request.param
    source = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    where: dict[str, Any] = {"mode": "ip", "address": source} if kind.fixed else {}
    form = nas.NasForm(name="Gate", vendor=kind.vendor, secret=NAS_SECRET, **where)
    row = await nas.create(world.acme.scope, form)
    await set_plan(world.acme, concurrency=1, up_rate="5", down_rate="20")
    plan_id = world.acme.plan["_id"]
    opening = accounts.QuickOpenForm(username="carol", password=USER_PASSWORD, plan_id=plan_id, static_ip=ADDRESS)
    await accounts.quick_open(world.acme.scope, opening, f"open-carol-{world.acme.slug}")
    await until(lambda: row["_id"] in engine.table.devices, "the engine knows the device")
    identifier = row["identifier"] if kind.named else "its-own-name"
    ports = engine.auth_port, engine.acct_port
    async with Client(HOST, *ports, NAS_SECRET, identifier, source=source, prove=kind.proves) as client:
        yield Device(kind, client)


@pytest.fixture
def reports(ps: PlatformScope, world: World) -> Reports:
    """Acme's sessions."""
    return Reports(ps, world.acme)


def attributes_of(packet: Packet) -> set[tuple[int, int]]:
    """Which attributes a packet has: vendor, 0 for none, and number."""
    return {(0, number) for number in packet.first if number != codec.VENDOR_SPECIFIC} | {
        (pen, number) for pen, number, _ in packet.vendor_attributes()
    }


async def test_it_is_told_what_it_understands_and_nothing_else(device: Device) -> None:
    kind, answer = device.kind, await device.log_in()
    assert answer.accepted
    expected = kind.granted
    names = _ALWAYS | _OF_LOGIN[kind.login] | set(expected)
    assert attributes_of(answer.packet) == {definition(name)[:2] for name in names}
    assert {name: answer.packet.values(name) for name in expected} == expected
    assert answer.value("Session-Timeout") >= vendor(kind.vendor).least_timeout
    if kind.login.startswith("mschap"):
        assert len(answer.mppe_send) == 16 and answer.mppe_send != bytes(16)
    if kind.login == "mschapv2":
        # pppd and accel-ppp take these lengths and no others
        assert len(answer.packet.vendor(codec.MICROSOFT, 26) or b"") == 43
        assert [len(answer.packet.vendor(codec.MICROSOFT, number) or b"") for number in (16, 17)] == [34, 34]


async def test_a_session_from_start_to_stop(device: Device, reports: Reports) -> None:
    kind = device.kind
    assert (await device.log_in()).accepted
    await device.report("start")
    await device.report("start")  # asked again, from memory or not
    await device.use("interim", *INTERIM)
    running = await reports.session(open=True)
    assert (running["session_time"], running["input_octets"], running["output_octets"]) == INTERIM
    await device.use("stop", *STOP)
    (row,) = await reports.sessions()
    assert row["_id"] == running["_id"] and not row["open"] and row["flags"] == []
    total = (STOP[0], STOP[1], STOP[2] + (HIGH if kind.gigawords else 0))
    assert (row["session_time"], row["input_octets"], row["output_octets"]) == total
    assert (row["username"], row["framed_ip"], row["stop_source"]) == ("carol", ADDRESS, "stop")
    assert {name: row[name] for name in kind.shown} == kind.shown
    carol = await reports.business.scope.db.accounts.one({"username": "carol"})
    assert row["account_id"] == carol["_id"]


async def test_its_subscriber_counts_once_and_no_longer_than_she_is_there(device: Device, reports: Reports) -> None:
    """An Accept whose Start never came is not held against her where she can be told from others."""
    assert (await device.log_in()).accepted
    if device.kind.elsewhere:
        assert (await device.log_in()).accepted
    assert not (await device.log_in(elsewhere=True)).accepted
    await device.report("start")
    assert not (await device.log_in(elsewhere=True)).accepted
    await device.use("stop", *STOP)
    assert (await device.log_in(elsewhere=True)).accepted


@pytest.mark.parametrize("device", [kind for kind in KINDS if kind.boots], indirect=True, ids=lambda kind: kind.name)
async def test_what_it_had_ends_when_it_boots(device: Device, reports: Reports) -> None:
    assert (await device.log_in()).accepted
    await device.report("start")
    begun = await reports.session(open=True)
    told = {name: value for name, value in device.kind.always.items() if name.startswith("NAS-IP")}
    await device.client.accounting("on", "", "00000000", told)
    row = await reports.session(open=False)
    assert (row["_id"], row["stop_source"], row["terminate_cause"]) == (begun["_id"], "on", "NAS-Reboot")
    assert (await device.log_in(elsewhere=True)).accepted
