"""The whole way of a datagram in this process: Gate, handlers, answers; what lies behind operations is played.

Every answer is judged by tests/fuzz/witness.py: whoever gets one must have proven a device's secret, or come from where
a device may leave the proof out; it must be signed by the same secret; an Access-Accept must have been earned by the
password. Every packet is answered or counted as dropped.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest import mock

from saas.radius.acct import Acct
from saas.radius.auth import Auth
from saas.radius.counters import Counters
from saas.radius.duplicates import Duplicates
from saas.radius.gate import Gate
from saas.radius.identify import Table, normal_source
from saas.radius.logins import Logins
from saas.radius.notes import Notes
from saas.radius.server import Address, Datagram
from saas.radius.tokens import Tokens
from saas.security import Keys, nt_hash
from saas.tenants import accounting, journal, slots
from saas.tenants.access import LoginRecord
from saas.tenants.journal import AcctEvent
from saas.tenants.nas import Device
from saas.values import normal_username
from tests.fuzz import corpus, witness
from tests.fuzz.mutate import OTHER_SECRET

FIXED, SHARED = "192.0.2.10", "192.0.2.20"  # addresses of one device, and of several
ADDRESSES = ("198.51.100.1", FIXED, SHARED, "::ffff:192.0.2.10", "2001:db8::1", "fe80::1%eth0")
_KEYS = Keys("of the fuzz tests alone")
_numbers = count()
_ROWS = 2000  # sessions that are kept to fold events into


class Fault(AssertionError):
    """An invariant is broken; `packets` are what broke it, as far as it is known."""

    def __init__(self, what: str, packets: Sequence[bytes] = ()) -> None:
        super().__init__(what)
        self.packets = list(packets)


def _device(name: str, tenant_id: str, secret: bytes, **values: Any) -> Device:
    plain = {"mode": "identifier", "address": "", "ddns": "", "vendor": "mikrotik", "coa_port": 3799}
    rest = {"message_authenticator": "auto", "tenant_active": True, "tenant_locale": "zh", "identifier": name}
    return Device(**plain | rest | {"id": name, "name": name, "tenant_id": tenant_id, "secret": secret} | values)


DEVICES = (
    _device(corpus.SIGNING, "ten_1", corpus.SECRET),
    _device(corpus.UNSIGNED, "ten_1", corpus.SECRET, message_authenticator="optional", vendor="openvpn"),
    _device("nas-fixed", "ten_1", corpus.SECRET, mode="ip", address=FIXED, vendor="cisco"),
    _device("nas-shared", "ten_1", corpus.SECRET, mode="ip", address=SHARED, message_authenticator="require"),
    _device("nas-other", "ten_2", OTHER_SECRET, mode="ip", address=SHARED, vendor="huawei"),
)


def record(tenant_id: str, name: str) -> LoginRecord:
    """An account with the corpus's password; bob's may have one session."""
    return LoginRecord(
        tenant_id=tenant_id,
        account_id=f"acc_{name}",
        username=name,
        status="normal",
        sealed_password=_KEYS.seal(tenant_id, corpus.PASSWORD),
        nt_hash=nt_hash(corpus.PASSWORD),
        plan_id="pln_1",
        plan_name="Plan",
        nas_ids=frozenset(),
        expires_at=None,
        concurrency=1 if name == "bob" else 0,
        up_rate=1_000_000,
        down_rate=2_000_000,
        address_pool="pool",
        static_ip="",
        interim_interval=300,
        max_session_time=0,
    )


RECORDS = {(tenant_id, name): record(tenant_id, name) for tenant_id in ("ten_1", "ten_2") for name in corpus.USERS}
EARNED = {
    exchange
    for sample in corpus.load()
    if (packet := witness.read(sample.octets)) is not None
    for exchange in witness.shown_ms_chap(packet)
}


def may_be_answered(packet: witness.Read, source: str, device: Device) -> bool:
    """Whether this device's packet deserves an answer: by its proof, or from where the policy takes it without."""
    if witness.proven_request(packet, device.secret):
        return True
    if packet.code != 1 or packet.all(witness.PROOF) or packet.all(79):
        return False
    return device.message_authenticator != "require" and (
        device.message_authenticator == "optional" or device.address == source
    )


def earned(packet: witness.Read, secret: bytes) -> bool:
    """Whether an Access-Request shows the password of a user that there is."""
    names = {normal_username(name.decode("utf-8", "replace")) for name in packet.all(1)[:1]}
    if not names & set(corpus.USERS):
        return False
    return witness.shows_password(packet, secret, corpus.PASSWORD.encode()) or bool(
        EARNED & witness.shown_ms_chap(packet)
    )


def check_answer(answer: bytes, request: bytes, source: str, devices: Iterable[Device]) -> str:
    """What is wrong with an answer to a request; "" when nothing is."""
    asked, told = witness.read(request), witness.read(answer)
    if asked is None:
        return "an answer to what is no packet"
    if told is None:
        return "an answer that is no packet"
    known = [device for device in devices if witness.proven_answer(told, asked.octets, device.secret)]
    if not known:
        return "an answer that nobody signed"
    owners = [device for device in known if may_be_answered(asked, source, device)]
    if not owners:
        return "an answer to what nobody proved"
    if told.code == 2 and asked.code == 1 and not any(earned(asked, device.secret) for device in owners):
        return "an accept that was not earned"
    if asked.code in (1, 12) and not told.all(witness.PROOF):
        return "an answer without Message-Authenticator"
    return "" if told.all(33) == asked.all(33) else "Proxy-State did not come back as it was"


class Outbox:
    """A listener that sends nowhere."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sent: list[tuple[bytes, Any]] = []

    def send(self, octets: bytes, address: Any) -> None:
        """Keep an answer."""
        self.sent.append((octets, address))


class Gates:
    """One worker's gate and handlers; `feed` sends a batch and judges what comes of it."""

    def __init__(self, remembered: int = 65_536) -> None:
        """`remembered`: the bound of the caches."""
        self.counters = Counters()
        self._notes = Notes("shared")
        self._outboxes = {kind: Outbox(kind) for kind in ("auth", "acct")}
        logins = Logins(self._fetch, remembered)
        tokens, ps = Tokens(b"k" * 32), SimpleNamespace(keys=_KEYS)
        self._auth = Auth(ps, logins, tokens, self.counters, self._notes, 0.0)
        self._acct = Acct(ps, "shared", logins, tokens, self.counters)
        self._gate = Gate(self.counters, self._notes, {"auth": self._auth, "acct": self._acct})
        self._gate.table = Table(DEVICES)
        self._gate.duplicates = Duplicates(limit=remembered)
        self._rows: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self.answered = 0

    async def feed(self, way: str, batch: Sequence[Datagram]) -> None:
        """Datagrams with their addresses, to the "auth" or "acct" port. Fault."""
        outbox = self._outboxes[way]
        outbox.sent.clear()
        received, dropped = self.counters.received, self.counters.dropped.total()
        self._gate.receive(outbox, list(batch))
        await self._auth.drain()
        await self._acct.drain()
        self._notes.take()
        asked: dict[Any, list[bytes]] = {}
        for data, address in batch:
            asked.setdefault(address, []).append(data)
        for octets, address in outbox.sent:
            source = normal_source(address[0])
            wrong = [check_answer(octets, data, source, DEVICES) for data in asked[address]]
            if all(wrong):
                raise Fault(wrong[0], asked[address])
        dropped = self.counters.dropped.total() - dropped
        if self.counters.received - received != len(batch) or len(outbox.sent) + dropped != len(batch):
            told = f"{len(batch)} packets, {len(outbox.sent)} answers, {dropped} dropped"
            raise Fault(told, [data for data, _ in batch])
        self.answered += len(outbox.sent)

    def forget(self) -> None:
        """Let go of what this harness itself keeps."""
        self._rows.clear()
        for outbox in self._outboxes.values():
            outbox.sent.clear()

    async def _fetch(self, names: list[tuple[str, str]]) -> dict[tuple[str, str], LoginRecord]:
        return {name: RECORDS[name] for name in names if name in RECORDS}

    async def recorded(self, _ps: Any, _pool: str, events: Sequence[AcctEvent], _silences: Mapping[str, int]) -> None:
        """What the journal and its applier do with events, without their stores: encode, decode, fold into rows."""
        if journal.decode(journal.encode(events)) != tuple(events):
            raise ValueError("an event does not survive the journal")
        for event in events:
            if event.status not in ("on", "off"):
                self._fold(event)

    def _fold(self, event: AcctEvent) -> None:
        key = accounting.event_key(event)
        rows = self._rows.setdefault(key, [])
        self._rows.move_to_end(key)
        row = accounting.match(rows, event)
        if row is None:
            rows.append(accounting.begin(event))
        else:
            accounting.fold(row, event)
        for each in rows:
            accounting.search_texts(each)
            big = [name for name, value in each.items() if isinstance(value, int) and not -(2**63) <= value < 2**63]
            if big or not 0 <= each["session_time"] <= 366 * 86_400 or each["started_at"] > each["seen_at"]:
                raise ValueError(f"a session that no store takes, or that ends before it begins: {big}")
        del rows[:-4]
        if len(self._rows) > _ROWS:
            self._rows.popitem(last=False)


async def _reserve(_ps: Any, requests: Sequence[slots.SlotRequest]) -> list[int] | None:
    return None if len(requests) % 3 == 2 else [len(request.line(True)) % 2 for request in requests]


@asynccontextmanager
async def gates(remembered: int = 65_536) -> AsyncIterator[Gates]:
    """A worker whose journal and slots are played."""
    made = Gates(remembered)
    with mock.patch.object(journal, "record", made.recorded), mock.patch.object(slots, "reserve", _reserve):
        yield made


def address(dice: random.Random) -> Address:
    """Where a packet comes from: no two times the same, or an answer might be an earlier one's."""
    return dice.choice(ADDRESSES), dice.randrange(1024, 65536), 0, next(_numbers)
