"""The way of a datagram up to its handler: size, code, duplicate, device, proof. What fails is dropped and counted.

Drop reasons, stable keys: too_short, bad_length, bad_attribute, unknown_code, duplicate_in_flight, unknown_nas,
bad_authenticator, missing_message_authenticator, unproven_proxy_state, rate_limited (here); secret_mismatch,
bad_request, store_unavailable, overload, internal_error (auth.py, acct.py); tls_handshake, unknown_certificate,
unexpected_answer (radsec.py, where overload also counts connections that were not taken).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from saas.radius import codec
from saas.radius.authenticators import reply
from saas.radius.codec import HEADER, NAS_IDENTIFIER, STATUS_SERVER, BadPacket, Packet, parse, text
from saas.radius.counters import Counters
from saas.radius.duplicates import Answer, Duplicates, Key
from saas.radius.identify import Nas, Table, normal_source
from saas.radius.lanes import Lanes
from saas.radius.notes import Notes
from saas.radius.server import Address, Datagram, Listener

# What each port takes, beside Status-Server (RFC 5997)
_TAKES: Final[Mapping[str, int]] = {"auth": codec.ACCESS_REQUEST, "acct": codec.ACCOUNTING_REQUEST}
_ALIVE: Final[Mapping[str, int]] = {"auth": codec.ACCESS_ACCEPT, "acct": codec.ACCOUNTING_RESPONSE}


class Request:
    """A proven request, and how to answer it once. `received` in seconds since 1970; `source` in normal spelling."""

    __slots__ = ("_answer", "_duplicates", "_key", "_listener", "nas", "packet", "received", "source")

    def __init__(
        self,
        packet: Packet,
        nas: Nas,
        source: str,
        received: float,
        listener: Listener,
        key: Key,
        answer: Answer,
        duplicates: Duplicates,
    ) -> None:
        self.packet = packet
        self.nas = nas
        self.source = source
        self.received = received
        self._listener = listener
        self._key = key
        self._answer = answer
        self._duplicates = duplicates

    def answer(self, octets: bytes) -> None:
        """Send the answer and remember it for retransmissions."""
        self._answer.octets = octets
        self._listener.send(octets, self._key[0])

    def abandon(self) -> None:
        """No answer: the next try will be a new request."""
        self._duplicates.forget(self._key)


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
                continue
            if request is not None:
                requests.append(request)
        if requests:
            self._handlers[listener.kind].handle(requests)

    def _admit(self, listener: Listener, data: bytes, address: Address, now: float) -> Request | None:
        key = (address, data[:HEADER])
        known = self.duplicates.seen(key)
        if known is not None:
            self._repeat(listener, known, address, now)
            return None
        packet = parse(data)
        kind = listener.kind
        if packet.code != _TAKES[kind] and packet.code != STATUS_SERVER:
            raise BadPacket("unknown_code")
        source = normal_source(address[0])
        nas = self._identify(packet, source, now)
        lane = self.lanes[kind].of(nas.tenant_id, now)
        if not lane.admits(now):
            self._counters.suspect("rate_limited", (nas,), now)
            raise BadPacket("rate_limited")
        answer = self.duplicates.begin(key, lane, now)
        request = Request(packet, nas, source, now, listener, key, answer, self.duplicates)
        self._counters.device(nas).last_at = now
        if packet.code == STATUS_SERVER:
            request.answer(reply(_ALIVE[kind], packet, nas.secret))
            return None
        return request

    def _repeat(self, listener: Listener, known: Answer, address: Address, now: float) -> None:
        if not known.lane.admits(now):
            raise BadPacket("rate_limited")
        if not known.octets:
            raise BadPacket("duplicate_in_flight")
        self._counters.replayed += 1
        listener.send(known.octets, address)

    def _identify(self, packet: Packet, source: str, now: float) -> Nas:
        try:
            return self.table.identify(packet, source)
        except BadPacket as error:
            self._counters.suspect(error.reason, self.table.suspects(packet, source), now)
            self._notes.unknown_nas(source, text(packet.first.get(NAS_IDENTIFIER)), error.reason, now)
            raise
