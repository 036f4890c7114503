"""Sockets: batches of datagrams in, answers out.

A socket is drained in one wake-up of the loop, up to a bound, so that a burst costs one round of work and a flood
cannot starve the rest. Workers share a port by SO_REUSEPORT; the kernel keeps one source on one worker.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

RECEIVE_BUFFER: Final = 8 * 2**20  # octets asked for; the kernel may grant less (net.core.rmem_max)
BATCH: Final = 256  # datagrams in one wake-up
DATAGRAM: Final = 4097  # one octet more than the largest packet

Address = tuple[Any, ...]
Datagram = tuple[bytes, Address]
Receiver = Callable[["Listener", list[Datagram]], None]


class Listener:
    """One bound UDP socket. `kind` is "auth" or "acct"; `receive` gets every batch on the loop's thread."""

    def __init__(self, kind: str, host: str, port: int, receive: Receiver) -> None:
        self.kind = kind
        self._receive = receive
        self._socket = bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._drain)

    def pause(self) -> None:
        """Read no more; answers can still be sent."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None

    def close(self) -> None:
        """Let go of the port."""
        self.pause()
        self._socket.close()

    def send(self, octets: bytes, address: Address) -> None:
        """Send an answer. One that the kernel cannot take now is lost, as on any network: the device asks again."""
        try:
            self._socket.sendto(octets, address)
        except OSError:
            return

    def _drain(self) -> None:
        batch: list[Datagram] = []
        receive = self._socket.recvfrom
        try:
            while len(batch) < BATCH:
                batch.append(receive(DATAGRAM))
        except BlockingIOError:
            pass
        except OSError:  # an ICMP error for an earlier answer: the socket itself is well
            pass
        if batch:
            self._receive(self, batch)


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
