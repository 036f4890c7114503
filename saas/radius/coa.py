"""Disconnect-Request (RFC 5176): tell a device to end a session, and understand what it answers.

A retransmission is the same octets under the same identifier, as long as the request lasts; a new request takes the
next identifier of that device, because some devices answer a repeated one from memory.

Where the device has a RadSec connection, the request goes down that one instead (draft-ietf-radext-reverse-coa): so a
device behind NAT is reached.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from saas.radius.authenticators import Secret, keyed_request, parse_reply
from saas.radius.codec import DISCONNECT_ACK, DISCONNECT_NAK, DISCONNECT_REQUEST, BadPacket, Packet, attribute
from saas.radius.server import DATAGRAM, Address, bind
from saas.radius.vendors import identification
from saas.tenants.nas import Device

SEND_AT: Final = (0.0, 1.0, 2.0)  # seconds after the first try
GIVE_UP_AT: Final = 3.0


class Outcome(NamedTuple):
    """`result`: "ack", "nak", "timeout", "radsec_timeout" (none down its connection) or "unreachable"; `error_cause`:
    of RFC 5176 section 3.5, or None; `attempts`: how often it was sent; `rtt_ms`: from the last sending to the answer.
    """

    result: str
    error_cause: int | None = None
    attempts: int = 0
    rtt_ms: int | None = None


class Down(Protocol):
    """A device's connection, as a way for requests to it."""

    async def ask(self, code: int, attributes: bytes) -> Outcome:
        """Send a request of this code and wait for its answer."""


def _not_connected(nas_id: str) -> Down | None:
    return None


class _Waiting(NamedTuple):
    octets: bytes
    secret: Secret
    answer: asyncio.Future[Packet]


class Disconnector:
    """Sends Disconnect-Requests from a socket of its own, any number at a time. Made and used on a running loop."""

    def __init__(
        self,
        host: str = "0.0.0.0",
        send_at: Sequence[float] = SEND_AT,
        give_up_at: float = GIVE_UP_AT,
        connection: Callable[[str], Down | None] = _not_connected,
    ) -> None:
        """`host` is the local address to send from; `send_at` and `give_up_at` are seconds after the first try.

        `connection` finds the RadSec connection of a device by its id.
        """
        self._connection = connection
        self._socket = bind(host, 0)
        self._send_at = send_at
        self._give_up_at = give_up_at
        self._numbers: dict[tuple[str, int], int] = {}
        self._waiting: defaultdict[int, list[_Waiting]] = defaultdict(list)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._drain)

    def close(self) -> None:
        """Let go of the socket; what is under way times out."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    async def disconnect(self, device: Device, host: str, session: Mapping[str, Any]) -> Outcome:
        """Ask the device, at this address and its CoA port, to end a session; `session` maps attribute names to values.

        The answer may come from another address: its identifier and its proof say whose it is.
        """
        attributes = identification(device.vendor, session) + attribute("Event-Timestamp", int(time.time()))
        if (down := self._connection(device.id)) is not None:
            return await down.ask(DISCONNECT_REQUEST, attributes)
        secret = Secret(device.secret)
        number = self._number(host, device.coa_port)
        octets = keyed_request(DISCONNECT_REQUEST, number, secret, attributes, prove=True)
        waiting = _Waiting(octets, secret, self._loop.create_future())
        self._waiting[number].append(waiting)
        try:
            return await self._exchange(waiting, self._reachable(host, device.coa_port))
        except OSError:
            return Outcome("unreachable")
        finally:
            self._waiting[number].remove(waiting)

    async def _exchange(self, waiting: _Waiting, address: Address) -> Outcome:
        started = self._loop.time()
        for attempt, until in enumerate((*self._send_at[1:], self._give_up_at), start=1):
            self._socket.sendto(waiting.octets, address)
            sent = self._loop.time()
            await asyncio.wait([waiting.answer], timeout=max(0.0, started + until - sent))
            if waiting.answer.done():
                return _outcome(waiting.answer.result(), attempt, (self._loop.time() - sent) * 1000)
        return Outcome("timeout", attempts=len(self._send_at))

    def _number(self, host: str, port: int) -> int:
        """The next identifier for a device, from a random start."""
        last = self._numbers.get((host, port))
        number = secrets.randbelow(256) if last is None else (last + 1) % 256
        self._numbers[host, port] = number
        return number

    def _reachable(self, host: str, port: int) -> Address:
        """The address in the family of our socket."""
        if self._socket.family == socket.AF_INET6 and ":" not in host:
            return (f"::ffff:{host}", port)
        return (host, port)

    def _drain(self) -> None:
        try:
            while True:
                self._received(self._socket.recv(DATAGRAM))
        except OSError:  # nothing more to read, or an ICMP error: the tries go on
            return

    def _received(self, data: bytes) -> None:
        for waiting in self._waiting[data[1]] if len(data) > 1 else ():
            try:
                packet = parse_reply(data, waiting.octets, waiting.secret)
            except BadPacket:
                continue
            if packet.code in (DISCONNECT_ACK, DISCONNECT_NAK) and not waiting.answer.done():
                waiting.answer.set_result(packet)


def _outcome(packet: Packet, attempts: int, rtt_ms: float) -> Outcome:
    rtt = round(rtt_ms)
    if packet.code == DISCONNECT_ACK:
        return Outcome("ack", None, attempts, rtt)
    return Outcome("nak", packet.value("Error-Cause"), attempts, rtt)
