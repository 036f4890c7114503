"""Real sockets and real stores: mutated requests to a worker, and mutated answers to its Disconnect-Requests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Any

from saas.radius.client import Client
from saas.radius.coa import Disconnector
from saas.radius.engine import Engine, EngineSettings
from saas.tenants import accounts, apply, journal, nas, plans
from saas.tenants.nas import Device
from saas.tenants.platform import SHARED_POOL
from saas.tenants.scope import PlatformScope
from tests.fuzz import corpus, witness
from tests.fuzz.corpus import Sample
from tests.fuzz.gates import Fault, check_answer
from tests.fuzz.mutate import OTHER_SECRET, Mutator, sign_answer
from tests.fuzz.runs import answer, no_errors
from tests.support import until
from tests.world import Business, make_world

HOST = "127.0.0.1"
_WINDOW = 200  # packets on their way at once
_SOURCES = IPv4Address("127.1.0.0")
_TRIES = 30  # answers to one Disconnect-Request
_QUIET = "quiet"  # a user of whom no packet of the corpus speaks
_APPLIED = 20  # every so many windows the journal is applied, and forgotten otherwise


class Wire:
    """A worker with the corpus's devices and users."""

    def __init__(self, ps: PlatformScope, engine: Engine, ours: Business, devices: Sequence[Device]) -> None:
        self.ps = ps
        self.engine = engine
        self.ours = ours
        self.devices = devices
        self.windows = 0

    async def window(self, way: str, packets: Sequence[bytes]) -> None:
        """Send packets from an address of their own, judge what comes back until all are accounted for. Fault.

        From one that was used before, a packet could be answered with what is remembered of another one.
        """
        counters = self.engine.counters
        received, dropped = counters.received, counters.dropped.total()
        port = self.engine.auth_port if way == "auth" else self.engine.acct_port
        answers: list[bytes] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.bind((str(_SOURCES + self.windows), 0))
            for packet in packets:
                sender.sendto(packet, (HOST, port))

            def settled() -> bool:
                while True:
                    try:
                        answers.append(sender.recv(4097))
                    except BlockingIOError:
                        break
                lost = counters.dropped.total() - dropped
                return counters.received - received == len(packets) and len(answers) + lost == len(packets)

            try:
                await until(settled, "every packet is answered or counted")
            except AssertionError as error:
                raise Fault(f"{error}: {len(packets)} packets, {len(answers)} answers", packets) from error
        for octets in answers:
            asked = [packet for packet in packets if packet[1:2] == octets[1:2]]
            wrong = [check_answer(octets, packet, HOST, self.devices) for packet in asked]
            if all(wrong):
                raise Fault(f"{(wrong or ['an answer to nothing'])[0]}: {octets.hex()}", asked)
        await self._journalled()

    async def _journalled(self) -> None:
        """What was answered can be applied, every event of it; then it is forgotten."""
        self.windows += 1
        while groups := (await journal.read(self.ps, 0.001)).groups:
            if self.windows % _APPLIED == 1 and await apply.apply(self.ps, groups):
                (row,) = await self.ps.db.dead_events.find({}, limit=1)
                raise Fault(f"an answered event cannot be applied: {row['error']}, {row['data']!r}")
            await journal.remove(self.ps, groups)
        for table in (self.ours.scope.db.online, self.ours.scope.db.sessions):
            await table.delete_many({})

    async def alive(self) -> None:
        """A login works. Fault."""
        ports = self.engine.auth_port, self.engine.acct_port
        async with Client(HOST, *ports, corpus.SECRET.decode(), corpus.SIGNING) as device:
            if not (await device.pap(_QUIET, corpus.PASSWORD)).accepted:
                raise Fault("a login no longer works")


@asynccontextmanager
async def wire(ps: PlatformScope) -> AsyncIterator[Wire]:
    """A real worker. The stores are to be used by nobody else: the corpus's identifiers are unique in the cloud."""
    world = await make_world(ps)
    ours, theirs = world.acme, world.zeta
    for business, name, policy, secret in (
        (ours, corpus.SIGNING, "require", corpus.SECRET.decode()),
        (ours, corpus.UNSIGNED, "optional", corpus.SECRET.decode()),
        (theirs, "nas-other", "auto", OTHER_SECRET.decode()),
    ):
        values = {"name": name, "identifier": name, "secret": secret, "message_authenticator": policy}
        await nas.create(business.scope, nas.NasForm.model_validate({"vendor": "mikrotik"} | values))
    unlimited = plans.PlanForm.model_validate(plans.form_of(ours.plan) | {"concurrency": 0})
    await plans.update(ours.scope, ours.plan["_id"], unlimited)
    limited = {"name": "Limited", "price": "0", "concurrency": 1}
    plan = await plans.create(ours.scope, plans.PlanForm.model_validate(limited))
    for name in (*corpus.USERS[1:], _QUIET):  # alice is there, with this password
        plan_id = (plan if name == "bob" else ours.plan)["_id"]
        opening = {"username": name, "password": corpus.PASSWORD, "plan_id": plan_id, "name": name}
        await accounts.quick_open(ours.scope, accounts.QuickOpenForm.model_validate(opening), f"fuzz-{name}")
    settings = EngineSettings(SHARED_POOL, HOST, 0, 0, reject_delay=0.0)
    async with Engine(ps, settings) as engine:
        known = [nas.device for nas in engine.table.devices.values()]
        yield Wire(ps, engine, ours, [device for device in known if device.tenant_id in (ours.id, theirs.id)])


async def requests(ps: PlatformScope, samples: Sequence[Sample], seed: int, packets: int) -> None:
    """Mutated requests to both ports of a real worker."""
    mutators = {way: Mutator([sample for sample in samples if sample.way == way], seed) for way in ("auth", "acct")}
    async with wire(ps) as worker:
        for done in range(0, packets, _WINDOW):
            way = ("auth", "acct")[done // _WINDOW % 2]
            batch = [mutators[way].packet() for _ in range(min(_WINDOW, packets - done))]
            with no_errors() as errors:
                await worker.window(way, batch)
            if errors.told:
                raise Fault(errors.told[0][-600:], batch)
        await worker.alive()


async def answers(samples: Sequence[Sample], seed: int, packets: int) -> None:
    """Mutated answers to Disconnect-Requests: the first that is proven decides, whatever came before it."""
    mutator = Mutator([sample for sample in samples if sample.way == "answer"], seed)
    values: dict[str, Any] = {"mode": "identifier", "identifier": "", "address": "", "ddns": "", "vendor": "mikrotik"}
    values |= {"message_authenticator": "auto", "tenant_active": True, "tenant_locale": "zh", "secret": corpus.SECRET}
    disconnector = Disconnector(HOST, send_at=(0.0,), give_up_at=30.0)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway, no_errors() as errors:
            gateway.setblocking(False)
            gateway.bind((HOST, 0))
            device = Device(id="n", tenant_id="t", name="n", coa_port=gateway.getsockname()[1], **values)
            for _ in range(0, packets, _TRIES):
                await _one_request(mutator, disconnector, device, gateway)
                if errors.told:
                    raise Fault(errors.told[0][-600:])
    finally:
        disconnector.close()


async def _one_request(mutator: Mutator, disconnector: Disconnector, device: Device, gateway: socket.socket) -> None:
    session = {"User-Name": "alice", "Acct-Session-Id": "0001"}
    asking = asyncio.create_task(disconnector.disconnect(device, HOST, session))
    request, whence = await _received(gateway)
    sent = [answer(mutator, request) for _ in range(_TRIES - 1)]
    sent.append(sign_answer(41, request, b""))
    for octets in sent:
        gateway.sendto(octets, whence)
    outcome = await asking
    read = [witness.read(octets) for octets in sent]
    deciding = [
        packet
        for packet in read
        if packet and packet.code in (41, 42) and witness.proven_answer(packet, request, corpus.SECRET)
    ]
    causes = deciding[0].all(101)
    cause = int.from_bytes(causes[0], "big") if causes and len(causes[0]) == 4 else None
    expected = ("ack", None) if deciding[0].code == 41 else ("nak", cause)
    if (outcome.result, outcome.error_cause) != expected:
        raise Fault(f"{outcome} instead of {expected}", sent)


async def _received(gateway: socket.socket) -> tuple[bytes, Any]:
    """The next datagram; uvloop has no sock_recvfrom."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(gateway, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(gateway)
    return gateway.recvfrom(4096)
