"""RADIUS over TLS (RFC 6614): the listener of a worker, and the connections of its devices.

A device is known by its certificate, in two steps. TLS (1.2 or 1.3) demands a client certificate and verifies it
against the authorities of the pool's tenants: signature, purpose, dates. Then its fingerprint must be one of those
that the pool's active devices have at present; no other field of the certificate is believed. So the authority of one
tenant says nothing about the devices of another, and a certificate that was revoked, has lapsed, or whose device was
disabled, is closed as soon as the worker hears of it. Sessions are not resumed: each connection shows its certificate.

The answers are remembered by device and packet header, not by connection: a device that sends a request again down a
new connection gets the same answer there.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from tempfile import NamedTemporaryFile
from typing import Final, NamedTuple

from saas import tasks
from saas.certs import Pair
from saas.radius import codec
from saas.radius.authenticators import reply
from saas.radius.codec import HEADER, PROXY_STATE, BadPacket, Packet, parse
from saas.radius.connections import SECRET, Connection
from saas.radius.counters import Counters
from saas.radius.duplicates import Remembered, answer_of
from saas.radius.gate import Gate, Handler, Key, Request, check_states
from saas.radius.identify import Nas, check_certified, normal_source
from saas.radius.notes import Notes
from saas.radius.server import bind, read_no_more, stay_awake
from saas.tenants.certificates import Trust

_BACKLOG: Final = 1024
_AT_ONCE: Final = 64  # connections taken in one turn of the loop
_GOODBYE: Final = 2.0  # seconds that devices have to take their last answers
_PAUSE: Final = 1.0  # seconds without taking connections when the process has no file descriptor left
# Requests by their code, and whose they are
_REQUESTS: Final[Mapping[int, str]] = {
    codec.ACCESS_REQUEST: "auth",
    codec.ACCOUNTING_REQUEST: "acct",
    codec.STATUS_SERVER: "",
}
_ANSWERS: Final = frozenset((41, 42, 44, 45))  # Disconnect-ACK, -NAK, CoA-ACK, -NAK (RFC 5176 section 2.3)
# RFC 6613 section 2.6.4: what the connection does not survive, for nothing that follows could be trusted
_FATAL: Final = frozenset(("bad_length", "too_short", "bad_attribute", "bad_authenticator"))

_log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """Of one worker. Times in seconds."""

    connections: int = 8192
    of_a_device: int = 16
    handshakes: int = 512  # at the same time
    handshakes_of_a_source: int = 64
    handshake: float = 10.0
    idle: float = 3600.0


LIMITS: Final = Limits()


class _Request(Request):
    """A request that came down a connection, and is answered down the one that it came down last."""

    __slots__ = ("_radsec", "connection")

    def __init__(
        self, packet: Packet, connection: Connection, received: float, remembered: Remembered, radsec: Radsec
    ) -> None:
        self.packet = packet
        self.nas = connection.nas
        self.source = connection.source
        self.received = received
        self.connection = connection
        self.address = connection.address
        self.header = packet.raw[:HEADER]
        self._remembered = remembered
        self._gate = radsec.gate
        self._radsec = radsec

    @property
    def key(self) -> Key:
        """It is the same though it came down another connection of the device."""
        return (self.nas.id,), self.header

    def answer(self, octets: bytes) -> None:
        """Send the answer and remember it."""
        self._remembered[self.header] += octets
        self.connection.send(octets)
        self._radsec.done(self.key)
        if self._gate.tracer is not None:
            self._gate.tracer.answered(self, octets)

    def abandon(self, reason: str) -> None:
        """No answer, for a drop reason: the next try will be a new request."""
        super().abandon(reason)
        self._radsec.done(self.key)


class Radsec:
    """The RadSec side of a worker."""

    def __init__(
        self,
        gate: Gate,
        handlers: Mapping[str, Handler],
        counters: Counters,
        notes: Notes,
        limits: Limits = LIMITS,
    ) -> None:
        """`gate`: whose answers and rates these are too; `handlers`: its own, by "auth" and "acct"."""
        self.gate = gate
        self.idle = limits.idle
        self.port = 0  # while it does not listen
        self._handlers = handlers
        self._counters = counters
        self._notes = notes
        self._limits = limits
        self._context = _context()
        self._authorities: set[str] = set()
        self._certified: dict[str, Nas] = {}
        self._connections: dict[str, list[Connection]] = {}
        self._waiting: dict[Key, _Request] = {}
        self._handshakes: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._open = 0
        self._ended = asyncio.Event()
        self._draining = False

    # who is let in

    def present(self, pair: Pair) -> None:
        """Show this certificate to devices that connect from now on."""
        with NamedTemporaryFile("w") as file:  # readable by this user alone, and only while it is read
            file.write(pair.certificate + pair.key)
            file.flush()
            self._context.load_cert_chain(file.name)

    def fill(self, tenant_ids: Collection[str], devices: Mapping[str, Nas], trust: Trust) -> None:
        """What is good of these tenants from now on; `devices` by id are the pool's. Other connections are closed."""
        for authority in trust.authorities:
            if authority not in self._authorities:
                self._authorities.add(authority)
                try:
                    self._context.load_verify_locations(cadata=authority)
                except ssl.SSLError:  # one broken row keeps no other tenant out
                    _log.error("the certificate of a tenant's authority cannot be read")
        certified = {digest: each for digest, each in self._certified.items() if each.tenant_id not in tenant_ids}
        for digest, nas_id in trust.devices.items():
            if nas_id in devices:
                certified[digest] = Nas(replace(devices[nas_id].device, secret=SECRET.octets))
        self._certified = certified
        for connection in self._all():
            nas = certified.get(connection.fingerprint)
            if nas is None:
                connection.close()
            else:
                connection.nas = nas

    def connection(self, nas_id: str) -> Connection | None:
        """The newest connection of a device."""
        return next((each for each in reversed(self._connections.get(nas_id, ())) if each.alive), None)

    def held(self) -> set[tuple[str, str]]:
        """(tenant, device) of every connection."""
        return {(each[0].nas.tenant_id, nas_id) for nas_id, each in self._connections.items()}

    # listening

    def listen(self, host: str, port: int) -> None:
        """Begin to take connections. OSError when the port is taken."""
        self._socket = bind(host, port, socket.SOCK_STREAM)
        self._socket.listen(_BACKLOG)
        self.port = self._socket.getsockname()[1]
        self._watch()

    def pause(self) -> None:
        """Take neither connections nor requests; answers still go out and come in."""
        self._draining = True
        if self._socket is not None:
            read_no_more(self._socket)
            self._socket.close()
            self._socket = None

    async def close(self) -> None:
        """End every connection, its last answers sent."""
        self.pause()
        await tasks.end(self._tasks)
        for connection in self._all():
            connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                while self._open:
                    self._ended.clear()
                    await self._ended.wait()
        for connection in self._all():
            connection.abort()

    def _watch(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            try:
                made, address = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # gone before it was taken
                continue
            except OSError:
                read_no_more(self._socket)
                loop.call_later(_PAUSE, self._watch)
                return
            source = normal_source(address[0])
            if self._is_full(source):
                self._counters.drop("overload")
                made.close()
                continue
            self._handshakes[source] += 1
            task = loop.create_task(self._welcome(made, source))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_full(self, source: str) -> bool:
        limits = self._limits
        return (
            self._open >= limits.connections
            or len(self._tasks) >= limits.handshakes
            or self._handshakes[source] >= limits.handshakes_of_a_source
        )

    async def _welcome(self, made: socket.socket, source: str) -> None:
        """The TLS handshake."""
        try:
            stay_awake(made)
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(Connection, self, source),
                made,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake,
                ssl_shutdown_timeout=_GOODBYE,
            )
        except OSError:  # of TLS, of the network, or too slow
            self._counters.drop("tls_handshake")
        finally:
            self._handshakes[source] -= 1
            if not self._handshakes[source]:
                del self._handshakes[source]

    # what connections tell

    def exchanged(self, connection: Connection, octets: bytes, way: str) -> None:
        """See Hub."""
        if self.gate.tracer is not None:
            nas = connection.nas
            self.gate.tracer.exchanged(nas.id, nas.tenant_id, octets, connection.address, way)

    def opened(self, connection: Connection) -> Nas | None:
        """See Hub. A device that has too many gives up the one that has been silent longest."""
        nas = self._certified.get(connection.fingerprint)
        if nas is None:
            self._counters.drop("unknown_certificate")
            self._notes.unknown_nas(connection.source, "", "unknown_certificate", time.time())
            return None
        self._open += 1
        mine = self._connections.setdefault(nas.id, [])
        alive = [each for each in mine if each.alive]
        if len(alive) >= self._limits.of_a_device:
            min(alive, key=lambda each: each.last_at).close()
        mine.append(connection)
        return nas

    def lost(self, connection: Connection) -> None:
        """See Hub."""
        self._open -= 1
        self._ended.set()
        mine = self._connections[connection.nas.id]
        mine.remove(connection)
        if not mine:
            del self._connections[connection.nas.id]

    def broken(self, connection: Connection, reason: str) -> None:
        """See Hub."""
        self._counters.drop(reason)
        self._counters.suspect(reason, [connection.nas], time.time())
        connection.close()

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """See Hub."""
        now = time.time()
        self._counters.received += len(frames)
        found: dict[str, list[Request]] = {}
        fatal = ""
        for octets in frames:
            try:
                request = self._take(connection, octets, now)
            except BadPacket as error:
                if error.reason in _FATAL:
                    fatal = error.reason
                    break
                self._counters.drop(error.reason)
                self._counters.suspect(error.reason, [connection.nas], now)
                continue
            if request is not None:
                found.setdefault(_REQUESTS[request.packet.code], []).append(request)
        for kind, requests in found.items():
            if self.gate.tracer is not None:
                self.gate.tracer.admitted(requests)
            self._handlers[kind].handle(requests)
        if fatal:
            self.broken(connection, fatal)

    def done(self, key: Key) -> None:
        """A request needs no more attention."""
        request = self._waiting.pop(key, None)
        if request is not None:
            request.connection.done()

    def _take(self, connection: Connection, octets: bytes, now: float) -> _Request | None:
        """The request to work on, if it is one."""
        packet = parse(octets)
        if packet.code in _ANSWERS:
            connection.answered(octets)
            return None
        if packet.code not in _REQUESTS:
            raise BadPacket("unknown_code")
        header = octets[:HEADER]
        key: Key = ((connection.nas.id,), header)
        found = self.gate.duplicates.seen(*key)
        if found is not None:
            self._repeat(connection, found, key, octets)
            return None
        if PROXY_STATE in packet.first:
            check_states(packet)
        check_certified(packet, connection.nas)
        if self._draining:
            return None
        return self._begin(packet, connection, now, header)

    def _begin(self, packet: Packet, connection: Connection, now: float, header: bytes) -> _Request | None:
        nas = connection.nas
        lane = self.gate.lanes[_REQUESTS[packet.code] or "auth"].of(nas.tenant_id, now)
        if not lane.admits(now):
            raise BadPacket("rate_limited")
        remembered = self.gate.duplicates.begin((nas.id,), header, lane.mark, now)
        request = _Request(packet, connection, now, remembered, self)
        self._waiting[request.key] = request
        connection.begun()
        self._counters.device(nas).last_at = now
        if packet.code == codec.STATUS_SERVER:
            request.answer(reply(codec.ACCESS_ACCEPT, packet, nas.secret))
            return None
        return request

    def _repeat(self, connection: Connection, found: bytes, key: Key, octets: bytes) -> None:
        answer = answer_of(found)
        if not answer:
            self._move(key, connection)
            raise BadPacket("duplicate_in_flight")
        self._counters.replayed += 1
        connection.send(answer)
        if self.gate.tracer is not None:
            self.gate.tracer.repeated(key, connection.address, octets, answer)

    def _move(self, key: Key, connection: Connection) -> None:
        """A request that is worked on came again: its answer goes down this connection."""
        request = self._waiting.get(key)
        if request is not None and request.connection is not connection:
            request.connection.done()
            request.connection, request.address = connection, connection.address
            connection.begun()

    def _all(self) -> list[Connection]:
        return [connection for mine in self._connections.values() for connection in mine]


def _context() -> ssl.SSLContext:
    """Demands a certificate of whoever connects. Nobody is believed on the strength of an earlier connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    return context
