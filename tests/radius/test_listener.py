"""How an accounting socket is read: all of what comes is taken, also while the socket rests between wake-ups."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from saas.radius import server
from tests.support import until

HOST = "127.0.0.1"


@pytest.fixture
async def taken() -> list[list[bytes]]:
    """What was taken, wake-up by wake-up."""
    return []


@pytest.fixture
async def listener(taken: list[list[bytes]]) -> AsyncIterator[server.Listener]:
    made = server.Listener("acct", HOST, 0, lambda _, batch: taken.append([octets for octets, _address in batch]))
    made.start()
    yield made
    made.close()


def send(listener: server.Listener, *octets: bytes) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as device:
        for each in octets:
            device.sendto(each, (HOST, listener.port))


async def test_what_comes_one_by_one_is_taken_together_after_a_rest(
    listener: server.Listener, taken: list[list[bytes]]
) -> None:
    send(listener, b"first")
    await until(lambda: taken, "the first is taken at once")
    send(listener, b"a", b"b")
    assert taken == [[b"first"]], "the socket rests"
    await until(lambda: len(taken) == 2, "they are taken after the rest")
    assert taken[1] == [b"a", b"b"]
    await until(lambda: listener._resting is None, "nothing came: it waits for the next one")
    send(listener, b"last")
    await until(lambda: len(taken) == 3, "which is taken at once")


async def test_a_burst_is_read_without_rest(listener: server.Listener, taken: list[list[bytes]]) -> None:
    sent = [b"%d" % number for number in range(server.FEW)]
    send(listener, *sent)
    await until(lambda: taken, "they are taken")
    assert (taken, listener._resting) == ([sent], None)


async def test_a_socket_that_rests_can_be_closed(taken: list[list[bytes]]) -> None:
    made = server.Listener("acct", HOST, 0, lambda _, batch: taken.append([octets for octets, _address in batch]))
    made.start()
    send(made, b"first")
    await until(lambda: taken, "it is taken")
    made.pause()
    send(made, b"second")
    await asyncio.sleep(0)
    made.close()
    assert taken == [[b"first"]]
