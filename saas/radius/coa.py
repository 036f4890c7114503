"""Disconnect-Request and CoA-Request (RFC 5176): tell a device to end or to change a session, and understand what it
answers.

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
from saas.radius.codec import COA_REQUEST, DISCONNECT_REQUEST, BadPacket, Packet, attribute
from saas.radius.datagrams import DATAGRAM
from saas.radius.server import Address, bind
from saas.radius.tracing import Tracer
from saas.radius.vendors import Speed, change, identification
from saas.tenants.nas import Device

SEND_AT: Final = (0.0, 1.0, 2.0)  # seconds after the first try
GIVE_UP_AT: Final = 3.0
# The codes of the answers, behind the code of a request (RFC 5176 section 2.3): 40, 41, 42 and 43, 44, 45
_ACK: Final = 1
_NAK: Final = 2


class Outcome(NamedTuple):
    """`result`: "ack", "nak", "timeout", "radsec_timeout" (none down its connection), "unreachable" or "unsupported"
    (no attributes are known that would ask the device for it); `error_cause`: of RFC 5176 section 3.5, or None;
    `attempts`: how often it was sent; `rtt_ms`: from the last sending to the answer.
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
    """Sends both kinds of request from a socket of its own, any number at a time. Made and used on a running loop."""

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
        self.tracer: Tracer | None = None
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
        return await self._ask(DISCONNECT_REQUEST, device, host, identification(device.vendor, session))

    async def change_speed(
        self, device: Device, host: str, session: Mapping[str, Any], speed: Speed, before: Speed | None
    ) -> Outcome:
        """Ask the device to let a session go on at another speed. See `disconnect` and vendors.change."""
        rates = change(device.vendor, speed, before)
        if not rates:
            return Outcome("unsupported")
        return await self._ask(COA_REQUEST, device, host, identification(device.vendor, session) + rates)

    async def _ask(self, code: int, device: Device, host: str, attributes: bytes) -> Outcome:
        attributes += attribute("Event-Timestamp", int(time.time()))
        if (down := self._connection(device.id)) is not None:
            return await down.ask(code, attributes)
        secret = Secret(device.secret)
        number = self._number(host, device.coa_port)
        octets = keyed_request(code, number, secret, attributes, prove=True)
        waiting = _Waiting(octets, secret, self._loop.create_future())
        self._waiting[number].append(waiting)
        try:
            return await self._exchange(device, waiting, self._reachable(host, device.coa_port))
        except OSError:
            return Outcome("unreachable")
        finally:
            self._waiting[number].remove(waiting)

    async def _exchange(self, device: Device, waiting: _Waiting, address: Address) -> Outcome:
        started = self._loop.time()
        for attempt, until in enumerate((*self._send_at[1:], self._give_up_at), start=1):
            self._socket.sendto(waiting.octets, address)
            sent = self._loop.time()
            self._trace(device, waiting.octets, address, "out")
            await asyncio.wait([waiting.answer], timeout=max(0.0, started + until - sent))
            if waiting.answer.done():
                rtt_ms = round((self._loop.time() - sent) * 1000)
                answer = waiting.answer.result()
                self._trace(device, answer.raw, address, "in")
                return _outcome(waiting.octets[0], answer, attempt, rtt_ms)
        return Outcome("timeout", attempts=len(self._send_at))

    def _trace(self, device: Device, octets: bytes, address: Address, way: str) -> None:
        if self.tracer is not None:
            self.tracer.exchanged(device.id, device.tenant_id, octets, address, way)

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
            if packet.code - waiting.octets[0] in (_ACK, _NAK) and not waiting.answer.done():
                waiting.answer.set_result(packet)


def _outcome(asked: int, packet: Packet, attempts: int, rtt_ms: int) -> Outcome:
    if packet.code == asked + _ACK:
        return Outcome("ack", None, attempts, rtt_ms)
    return Outcome("nak", packet.value("Error-Cause"), attempts, rtt_ms)
