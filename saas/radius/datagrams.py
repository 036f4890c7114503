"""Datagrams of a UDP socket, as many at a time as there are.

``datagrams.c`` does the same with two system calls where this takes one for each datagram, which is a tenth of what a
log-in costs; `make compile` puts it in this module's place. Python has no other door to those calls.
"""

from __future__ import annotations

import socket
from typing import Any, Final

DATAGRAM: Final = 4097  # octets that are read of one: one more than the largest packet


def take(made: socket.socket, most: int) -> list[tuple[bytes, tuple[Any, ...]]]:
    """What has arrived and from where, up to about `most`; never waits, never raises for what the network does.

    An address is a host and a port, for IPv6 also flow and scope. From a socket that was asked to tell to which of its
    addresses a datagram was sent, it is host, port, and what must be said to answer from there, as sendmsg takes it.
    """
    found: list[tuple[bytes, tuple[Any, ...]]] = []
    try:
        while len(found) < most:
            data, told, _, source = made.recvmsg(DATAGRAM, 64)
            found.append((data, (*source[:2], *told) if told else source))
    except OSError:  # nothing more, or an ICMP error for an earlier answer: the socket itself is well
        pass
    return found


def give(made: socket.socket, outgoing: list[tuple[bytes, tuple[Any, ...]]]) -> None:
    """Send all of them. One that the kernel cannot take now is lost, as on any network: the device asks again."""
    for octets, address in outgoing:
        try:
            if len(address) == 3:
                made.sendmsg([octets], address[2:], 0, address[:2])
            else:
                made.sendto(octets, address)
        except OSError:
            continue
