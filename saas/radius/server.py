"""Sockets: batches of datagrams in, answers out.

A socket is drained in one wake-up of the loop, up to a bound, so that a burst costs one round of work and a flood
cannot starve the rest. Workers share a port by SO_REUSEPORT; the kernel keeps one source on one worker. A socket that
is bound to every address answers from the one that was asked (RFC 2865 section 3), which the kernel tells with each
datagram (RFC 3542 section 6, IP_PKTINFO); one that is bound to a single address need not ask.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from saas.radius.datagrams import give, take

RECEIVE_BUFFER: Final = 8 * 2**20  # octets asked for; the kernel may grant less (net.core.rmem_max)
BATCH: Final = 256  # datagrams in one wake-up
# A wake-up costs as much as several datagrams. Where few come, the accounting socket is left alone for a while: a
# device waits for seconds, and its answer for a disk anyway. In a burst it is not.
REST: Final = 0.004  # seconds
FEW: Final = 3  # datagrams in a wake-up after which the socket rests
MANY: Final = 32  # datagrams after a rest at which it is read without one again

# How a socket is asked to tell the address that a datagram was sent to; IP_PKTINFO is 8 in Linux, Python has no name
_TELL: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, 8),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}

Address = tuple[Any, ...]  # host and port first, see datagrams.take
Datagram = tuple[bytes, Address]
Receiver = Callable[["Listener", list[Datagram]], None]


class Listener:
    """One bound UDP socket. `kind` is "auth" or "acct"; `receive` gets every batch on the loop's thread."""

    def __init__(self, kind: str, host: str, port: int, receive: Receiver) -> None:
        self.kind = kind
        self._receive = receive
        self._socket = bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        if ip_address(host).is_unspecified:
            self._socket.setsockopt(*_TELL[self._socket.family], 1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outgoing: list[tuple[bytes, Address]] = []
        self._rests = kind == "acct"
        self._resting: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._ready)

    def pause(self) -> None:
        """Read no more; answers can still be sent."""
        if self._loop is not None:
            if self._resting is None:
                read_no_more(self._socket)
            else:
                self._resting.cancel()
            self._loop = None

    def close(self) -> None:
        """Send what is left, and let go of the port."""
        self.pause()
        self._flush()
        self._socket.close()

    def send(self, octets: bytes, address: Address) -> None:
        """Send an answer, together with the others of this wake-up: one by one each would wake its receiver up."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append((octets, address))

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        give(self._socket, outgoing)

    def _ready(self) -> None:
        if self._drain() < FEW and self._rests and self._loop is not None:
            read_no_more(self._socket)
            self._resting = self._loop.call_later(REST, self._rested)

    def _rested(self) -> None:
        """Rest again while that is worth it: there was something, and not so much that reading at once costs less."""
        self._resting = None
        count = self._drain()
        if self._loop is None:
            return
        if 0 < count < MANY:
            self._resting = self._loop.call_later(REST, self._rested)
        else:
            self._loop.add_reader(self._socket.fileno(), self._ready)

    def _drain(self) -> int:
        """Take what has come; how many datagrams."""
        batch = take(self._socket, BATCH)
        if batch:
            self._receive(self, batch)
        return len(batch)


def read_no_more(made: socket.socket) -> None:
    """Let the loop forget a socket."""
    loop: Any = asyncio.get_running_loop()  # uvloop answers nothing at times, where asyncio's type promises a bool
    loop.remove_reader(made.fileno())


def bind(host: str, port: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A socket bound to an IPv4 or IPv6 address; "::" takes IPv4 as well. OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_DGRAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        else:  # a port is free though connections of a process before us linger
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def probe(host: str, port: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> None:
    """OSError when another program has the port: workers share it among themselves only."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as made:
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))


def stay_awake(made: socket.socket) -> None:
    """A device that vanished is noticed within two minutes, and small packets are sent at once."""
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
