"""The way of a datagram up to its handler: size, code, duplicate, device, proof. What fails is dropped and counted.

Drop reasons, stable keys: too_short, bad_length, bad_attribute, unknown_code, duplicate_in_flight, unknown_nas,
bad_authenticator, missing_message_authenticator, unproven_proxy_state, rate_limited, bad_request (here);
secret_mismatch, bad_request, store_unavailable, overload, internal_error (auth.py, acct.py); tls_handshake,
unknown_certificate, unexpected_answer (radsec.py, where overload also counts connections that were not taken).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from saas.radius import codec
from saas.radius.authenticators import reply
from saas.radius.codec import HEADER, NAS_IDENTIFIER, PROXY_STATE, STATUS_SERVER, BadPacket, Packet, parse, text
from saas.radius.counters import Counters
from saas.radius.duplicates import Duplicates, Remembered, answer_of
from saas.radius.identify import Nas, Table, normal_source
from saas.radius.lanes import Lanes
from saas.radius.notes import Notes
from saas.radius.server import Address, Datagram, Listener
from saas.radius.tracing import Tracer

Key = tuple[Address, bytes]  # where a request came from, and its header

# What each port takes, beside Status-Server (RFC 5997)
_TAKES: Final[Mapping[str, int]] = {"auth": codec.ACCESS_REQUEST, "acct": codec.ACCOUNTING_REQUEST}
# Octets of Proxy-State that come back with the answer; what else it says must fit into the packet beside them
_MAX_STATES: Final = 2048
_ALIVE: Final[Mapping[str, int]] = {"auth": codec.ACCESS_ACCEPT, "acct": codec.ACCOUNTING_RESPONSE}


class Request:
    """A proven request, and how to answer it once. `received` in seconds since 1970; `source` in normal spelling;
    `address` as it came, `header` the first octets, by which it is known again.
    """

    __slots__ = ("_gate", "_listener", "_remembered", "address", "header", "nas", "packet", "received", "source")

    def __init__(
        self,
        packet: Packet,
        nas: Nas,
        source: str,
        received: float,
        listener: Listener,
        address: Address,
        header: bytes,
        remembered: Remembered,
        gate: Gate,
    ) -> None:
        self.packet = packet
        self.nas = nas
        self.source = source
        self.received = received
        self.address = address
        self.header = header
        self._listener = listener
        self._remembered = remembered
        self._gate = gate

    @property
    def key(self) -> Key:
        """What tells it from all others of the last seconds."""
        return self.address, self.header

    def answer(self, octets: bytes) -> None:
        """Send the answer and remember it for retransmissions."""
        self._remembered[self.header] += octets
        self._listener.send(octets, self.address)
        if self._gate.tracer is not None:
            self._gate.tracer.answered(self, octets)

    def abandon(self, reason: str) -> None:
        """No answer, for a drop reason: the next try will be a new request."""
        self._remembered.pop(self.header, None)
        if self._gate.tracer is not None:
            self._gate.tracer.abandoned(self, reason)


class Handler(Protocol):
    """Takes the proven requests of one wake-up."""

    def handle(self, requests: Sequence[Request]) -> None:
        """Work on them; each is answered or abandoned, now or later."""


class Gate:
    """Takes batches from listeners, gives proven requests to the handler of their port."""

    def __init__(
        self, counters: Counters, notes: Notes, handlers: Mapping[str, Handler], tenant_rate: float = 0.0
    ) -> None:
        """`handlers`: by kind of listener, "auth" and "acct". `tenant_rate`: see Lanes, for each kind."""
        self.table = Table()
        self.duplicates = Duplicates()
        self.lanes = {kind: Lanes(tenant_rate) for kind in handlers}
        self.tracer: Tracer | None = None
        self._counters = counters
        self._notes = notes
        self._handlers = handlers

    def receive(self, listener: Listener, batch: list[Datagram]) -> None:
        """One batch of datagrams."""
        now = time.time()
        self._counters.received += len(batch)
        requests: list[Request] = []
        for data, address in batch:
            try:
                request = self._admit(listener, data, address, now)
            except BadPacket as error:
                self._counters.drop(error.reason)
                if self.tracer is not None:
                    self.tracer.dropped(self.table, data, address, error.reason)
                continue
            if request is not None:
                requests.append(request)
        if requests:
            if self.tracer is not None:
                self.tracer.admitted(requests)
            self._handlers[listener.kind].handle(requests)

    def _admit(self, listener: Listener, data: bytes, address: Address, now: float) -> Request | None:
        header = data[:HEADER]
        found = self.duplicates.seen(address, header)
        if found is not None:
            self._repeat(listener, found, address, data, now)
            return None
        packet = parse(data)
        kind = listener.kind
        if packet.code != _TAKES[kind] and packet.code != STATUS_SERVER:
            raise BadPacket("unknown_code")
        if PROXY_STATE in packet.first:
            check_states(packet)
        source = normal_source(address[0])
        nas = self._identify(packet, source, now)
        lane = self.lanes[kind].of(nas.tenant_id, now)
        if not lane.admits(now):
            self._counters.suspect("rate_limited", (nas,), now)
            raise BadPacket("rate_limited")
        remembered = self.duplicates.begin(address, header, lane.mark, now)
        request = Request(packet, nas, source, now, listener, address, header, remembered, self)
        self._counters.device(nas).last_at = now
        if packet.code == STATUS_SERVER:
            request.answer(reply(_ALIVE[kind], packet, nas.secret))
            return None
        return request

    def _repeat(self, listener: Listener, found: bytes, address: Address, data: bytes, now: float) -> None:
        if not self.lanes[listener.kind].marked(found).admits(now):
            raise BadPacket("rate_limited")
        octets = answer_of(found)
        if not octets:
            raise BadPacket("duplicate_in_flight")
        self._counters.replayed += 1
        listener.send(octets, address)
        if self.tracer is not None:
            self.tracer.repeated((address, data[:HEADER]), address, data, octets)

    def _identify(self, packet: Packet, source: str, now: float) -> Nas:
        try:
            return self.table.identify(packet, source)
        except BadPacket as error:
            self._counters.suspect(error.reason, self.table.suspects(packet, source), now)
            self._notes.unknown_nas(source, text(packet.first.get(NAS_IDENTIFIER)), error.reason, now)
            raise


def check_states(packet: Packet) -> None:
    """BadPacket "bad_request" when the Proxy-States that must come back leave no room for an answer."""
    if sum(len(state) + 2 for state in packet.all(PROXY_STATE)) > _MAX_STATES:
        raise BadPacket("bad_request")
