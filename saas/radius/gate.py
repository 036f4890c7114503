"""The way of a datagram up to its handler: size, code, duplicate, device, proof. What fails is dropped and counted.

Drop reasons, stable keys: too_short, bad_length, bad_attribute, unknown_code, duplicate_in_flight, unknown_nas,
bad_authenticator, missing_message_authenticator, unproven_proxy_state, bad_request (here); secret_mismatch,
bad_request, store_unavailable, overload, internal_error (auth.py, acct.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from saas.radius import codec
from saas.radius.authenticators import reply
from saas.radius.codec import NAS_IDENTIFIER, PROXY_STATE, STATUS_SERVER, BadPacket, Packet, parse, text
from saas.radius.counters import Counters
from saas.radius.duplicates import Duplicates, Key
from saas.radius.identify import Nas, Table, normal_source
from saas.radius.notes import Notes
from saas.radius.server import Address, Datagram, Listener

# What each port takes, beside Status-Server (RFC 5997)
_TAKES: Final[Mapping[str, int]] = {"auth": codec.ACCESS_REQUEST, "acct": codec.ACCOUNTING_REQUEST}
# Octets of Proxy-State that come back with the answer; what else it says must fit into the packet beside them
_MAX_STATES: Final = 2048
_ALIVE: Final[Mapping[str, int]] = {"auth": codec.ACCESS_ACCEPT, "acct": codec.ACCOUNTING_RESPONSE}


class Request:
    """A proven request, and how to answer it once. `received` in seconds since 1970; `source` in normal spelling."""

    __slots__ = ("_address", "_duplicates", "_key", "_listener", "nas", "packet", "received", "source")

    def __init__(
        self, packet: Packet, nas: Nas, source: str, received: float, key: Key, listener: Listener, gate: Gate
    ) -> None:
        self.packet = packet
        self.nas = nas
        self.source = source
        self.received = received
        self._key = key
        self._listener = listener
        self._duplicates = gate.duplicates
        self._address: Address = key[0]

    def answer(self, octets: bytes) -> None:
        """Send the answer and remember it for retransmissions."""
        self._duplicates.answered(self._key, octets)
        self._listener.send(octets, self._address)

    def abandon(self) -> None:
        """No answer: the next try will be a new request."""
        self._duplicates.forget(self._key)


class Handler(Protocol):
    """Takes the proven requests of one wake-up."""

    def handle(self, requests: Sequence[Request]) -> None:
        """Work on them; each is answered or abandoned, now or later."""


class Gate:
    """Takes batches from listeners, gives proven requests to the handler of their port."""

    def __init__(self, counters: Counters, notes: Notes, handlers: Mapping[str, Handler]) -> None:
        """`handlers`: by kind of listener, "auth" and "acct"."""
        self.table = Table()
        self.duplicates = Duplicates()
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
        packet = parse(data)
        if packet.code != _TAKES[listener.kind] and packet.code != STATUS_SERVER:
            raise BadPacket("unknown_code")
        if PROXY_STATE in packet.first and sum(len(state) + 2 for state in packet.all(PROXY_STATE)) > _MAX_STATES:
            raise BadPacket("bad_request")
        key = (address, data[:20])
        known = self.duplicates.seen(key)
        if known is not None:
            if not known:
                raise BadPacket("duplicate_in_flight")
            self._counters.replayed += 1
            listener.send(known, address)
            return None
        source = normal_source(address[0])
        nas = self._identify(packet, source, now)
        self.duplicates.begin(key, now)
        request = Request(packet, nas, source, now, key, listener, self)
        self._counters.device(nas).last_at = now
        if packet.code == STATUS_SERVER:
            request.answer(reply(_ALIVE[listener.kind], packet, nas.secret))
            return None
        return request

    def _identify(self, packet: Packet, source: str, now: float) -> Nas:
        try:
            return self.table.identify(packet, source)
        except BadPacket as error:
            self._counters.suspect(error.reason, self.table.suspects(packet, source), now)
            self._notes.unknown_nas(source, text(packet.first.get(NAS_IDENTIFIER)), error.reason, now)
            raise
