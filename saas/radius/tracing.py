"""Traces: what a worker sees of the devices and users that somebody watches. Nothing of it runs while nobody does:
the gate's and the disconnector's `tracer` is None then.

Octets are noted as they pass and turned into words when they are handed over. A packet that proved nothing may come
from another tenant's device behind the same address: it is shown when it names ours, without its content when it names
nobody's, and not at all when it names another one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from saas.radius.codec import HEADER, STATUS_SERVER, USER_NAME, BadPacket, Packet, parse, text
from saas.radius.decoding import KINDS, attributes
from saas.radius.identify import Table, normal_source
from saas.tenants import traces
from saas.tenants.scope import PlatformScope
from saas.tenants.traces import Trace, TracedPacket
from saas.values import normal_username

if TYPE_CHECKING:
    from saas.radius.coa import Disconnector
    from saas.radius.gate import Gate, Request

A_SECOND: Final = 50  # packets of a trace that a worker notes in a second
HAND_OVER: Final = 0.5  # seconds between two hand-overs
REREAD: Final = 60.0  # seconds after which a change that was missed is found
_REMEMBERED: Final = 1_000  # requests whose repetition is recognised


class _Seen(NamedTuple):
    at: float
    way: str
    peer: str
    octets: bytes
    reason: str = ""
    whole: bool = True  # with its content


class Watch:
    """A trace with what was seen since the last hand-over, at most so many packets a second."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._seen: list[_Seen] = []
        self._second = 0
        self._count = 0
        self._skipped = 0

    def note(self, seen: _Seen) -> None:
        """A packet passed."""
        second = int(seen.at)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= A_SECOND:
            self._seen.append(seen)
        else:
            self._skipped += 1

    def take(self) -> list[TracedPacket]:
        """What was seen since the last call, in words, as it happened."""
        seen, self._seen = sorted(self._seen, key=lambda each: each.at), []
        skipped, self._skipped = self._skipped, 0
        found = [_described(each) for each in seen]
        if skipped:
            found.append(TracedPacket(at=time.time(), way="skip", skipped=skipped))
        return found


class Tracer:
    """Notes the packets of what is watched, by device and by (tenant, user name)."""

    def __init__(self, watches: Iterable[Watch]) -> None:
        self._devices: dict[str, Watch] = {}
        self._users: dict[str, dict[str, Watch]] = {}
        self._requests: dict[Any, list[Watch]] = {}
        for watch in watches:
            trace = watch.trace
            if trace.nas_id:
                self._devices[trace.nas_id] = watch
            else:
                self._users.setdefault(trace.tenant_id, {})[trace.username] = watch

    def admitted(self, requests: Sequence[Request]) -> None:
        """Proven requests, before they are worked on."""
        for request in requests:
            self._received(request)

    def answered(self, request: Request, octets: bytes) -> None:
        """An answer was sent."""
        if request.packet.code == STATUS_SERVER:  # answered at once, never admitted
            self._received(request)
        self._note(self._of(request), "out", request.address, octets)

    def abandoned(self, request: Request, reason: str) -> None:
        """A request stays without an answer."""
        self._note(self._of(request), "drop", request.address, request.packet.raw, reason)

    def repeated(self, key: Any, address: Any, octets: bytes, answer: bytes) -> None:
        """A request came again and got the same answer again."""
        watches = self._requests.get(key, ())
        self._note(watches, "in", address, octets)
        self._note(watches, "out", address, answer)

    def dropped(self, table: Table, octets: bytes, address: Any, reason: str) -> None:
        """A datagram proved nothing, or came again before it was answered."""
        try:
            packet = parse(octets)
        except BadPacket:  # whose it is cannot be known
            return
        if watches := self._requests.get((address, octets[:HEADER])):
            self._note(watches, "drop", address, octets, reason)
            return
        named = table.named(packet)
        for nas in table.suspects(packet, normal_source(address[0])):
            if nas is named:
                self._note(self._watching(nas.id, nas.tenant_id, packet), "drop", address, octets, reason)
            elif named is None:
                self._note(self._of_device(nas.id, nas.tenant_id), "drop", address, octets, reason, whole=False)

    def exchanged(self, nas_id: str, tenant_id: str, octets: bytes, address: Any, way: str) -> None:
        """A Disconnect or CoA was sent ("out"), or its answer came ("in")."""
        key = (nas_id, octets[1])  # an answer names no user
        if way == "out":
            self._remember(key, self._watching(nas_id, tenant_id, parse(octets)))
        self._note(self._requests.get(key, ()), way, address, octets)

    def _received(self, request: Request) -> None:
        watches = self._of(request)
        if watches:
            self._remember(request.key, watches)
            self._note(watches, "in", request.address, request.packet.raw, at=request.received)

    def _remember(self, key: Any, watches: list[Watch]) -> None:
        if len(self._requests) >= _REMEMBERED:
            del self._requests[next(iter(self._requests))]
        self._requests[key] = watches

    def _of(self, request: Request) -> list[Watch]:
        return self._watching(request.nas.id, request.nas.tenant_id, request.packet)

    def _of_device(self, nas_id: str, tenant_id: str) -> list[Watch]:
        watch = self._devices.get(nas_id)
        return [watch] if watch is not None and watch.trace.tenant_id == tenant_id else []

    def _watching(self, nas_id: str, tenant_id: str, packet: Packet) -> list[Watch]:
        found = self._of_device(nas_id, tenant_id)
        users = self._users.get(tenant_id)
        if users is not None and (watch := users.get(_user(packet))):
            found.append(watch)
        return found

    def _note(
        self,
        watches: Iterable[Watch],
        way: str,
        address: Any,
        octets: bytes,
        reason: str = "",
        whole: bool = True,
        at: float | None = None,
    ) -> None:
        for watch in watches:
            peer = f"{normal_source(address[0])}:{address[1]}"
            watch.note(_Seen(at or time.time(), way, peer, octets, reason, whole))


class Tracing:
    """Keeps a worker's tracer in step with the traces that run, and hands over what it saw."""

    def __init__(self, ps: PlatformScope, gate: Gate, disconnector: Disconnector) -> None:
        self._ps = ps
        self._gate = gate
        self._disconnector = disconnector
        self._stale = asyncio.Event()
        self._watches: dict[str, Watch] = {}

    def changed(self) -> None:
        """A trace began or ended."""
        self._stale.set()

    async def run(self) -> None:
        """For ever. Unavailable when Redis is away: then nothing is traced."""
        try:
            while True:
                self._stale.clear()
                self._watch(await traces.active(self._ps))
                reread = time.monotonic() + REREAD
                while not self._stale.is_set() and time.monotonic() < reread:
                    await self._wait(HAND_OVER if self._watches else REREAD)
                    await self.hand_over()
        finally:
            self._watch(())

    async def hand_over(self) -> None:
        """Hand over what was seen; end the traces whose time is over."""
        for watch in list(self._watches.values()):
            if seen := watch.take():
                await traces.add(self._ps, watch.trace, seen)
        if any(not watch.trace.running for watch in self._watches.values()):
            self._watch([watch.trace for watch in self._watches.values() if watch.trace.running])

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stale.wait()

    def _watch(self, running: Iterable[Trace]) -> None:
        self._watches = {trace.id: self._watches.get(trace.id) or Watch(trace) for trace in running}
        tracer = Tracer(self._watches.values()) if self._watches else None
        self._gate.tracer = self._disconnector.tracer = tracer


def _user(packet: Packet) -> str:
    return normal_username(text(packet.first.get(USER_NAME)))


def _described(seen: _Seen) -> TracedPacket:
    packet = parse(seen.octets)
    return TracedPacket(
        at=seen.at,
        way=seen.way,
        peer=seen.peer,
        kind=KINDS.get(packet.code, str(packet.code)),
        id=packet.id,
        length=len(packet.raw),
        reason=seen.reason,
        attributes=attributes(packet) if seen.whole else (),
        hidden=not seen.whole,
    )
