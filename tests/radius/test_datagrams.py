"""Datagrams in and out, many at a time: the module of Python and the one of C that takes its place do the same."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType

import pytest

from saas.radius import datagrams, server
from tests.radius.counterparts import counterpart

TELL = {socket.AF_INET: (socket.IPPROTO_IP, 8), socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)}
MANY = 150  # more than are taken with one system call


@pytest.fixture(params=["python", "c"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return counterpart(datagrams, request.param)


@contextmanager
def pair(bind: str, asked: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket as the engine binds it, and a device's that asks one of its addresses and hears no other."""
    with server.bind(bind, 0) as ours:
        if bind in ("0.0.0.0", "::"):
            ours.setsockopt(*TELL[ours.family], 1)
        with socket.socket(socket.AF_INET6 if ":" in asked else socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.settimeout(10)
            device.connect((asked, ours.getsockname()[1]))
            yield ours, device


def arrived(module: ModuleType, ours: socket.socket, count: int = 1, most: int = 1000) -> list[server.Datagram]:
    found: list[server.Datagram] = []
    while len(found) < count and select.select([ours], [], [], 10)[0]:
        found += module.take(ours, most)
    return found


@pytest.mark.parametrize(
    ("bind", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.9"),
        ("::", "127.0.0.9"),
        ("::", "::1"),
        ("::1", "::1"),
    ],
)
def test_all_arrive_and_all_are_answered_from_the_address_that_was_asked(
    module: ModuleType, bind: str, asked: str
) -> None:
    with pair(bind, asked) as (ours, device):
        for number in range(MANY):
            device.send(b"%d" % number)
        found = arrived(module, ours, MANY)
        assert [data for data, _ in found] == [b"%d" % number for number in range(MANY)]
        assert {address[1] for _, address in found} == {device.getsockname()[1]}
        module.give(ours, [(data + b"!", address) for data, address in found])
        assert [device.recv(100) for _ in range(MANY)] == [b"%d!" % number for number in range(MANY)]


def test_each_of_many_gets_its_own_answers(module: ModuleType) -> None:
    with ExitStack() as stack:
        ours = stack.enter_context(server.bind("127.0.0.1", 0))
        devices = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(MANY)]
        for device in devices:
            device.settimeout(10)
            device.connect(ours.getsockname())
        for turn in (b"one", b"two"):  # the second time their addresses are known
            for number, device in enumerate(devices):
                device.send(b"%d %s" % (number, turn))
            found = arrived(module, ours, MANY)
            assert [address for _, address in found] == [device.getsockname() for device in devices]
            module.give(ours, [(data + b"!", address) for data, address in reversed(found)])
            answers = [device.recv(100) for device in devices]
            assert answers == [b"%d %s!" % (number, turn) for number in range(MANY)]


def test_both_call_an_address_the_same(module: ModuleType) -> None:
    for bind, asked in (("127.0.0.1", "127.0.0.1"), ("::", "::1"), ("::", "127.0.0.9"), ("::1", "::1")):
        with pair(bind, asked) as (ours, device):
            device.send(b"one")
            device.send(b"two")
            (first,) = arrived(datagrams, ours, most=1)
            (second,) = arrived(module, ours, most=1)
            assert (first[0], second[0]) == (b"one", b"two") and first[1] == second[1]


def test_what_is_too_long_is_cut_and_what_is_empty_arrives(module: ModuleType) -> None:
    with pair("127.0.0.1", "127.0.0.1") as (ours, device):
        device.send(bytes(5000))
        device.send(b"")
        assert [len(data) for data, _ in arrived(module, ours, 2)] == [datagrams.DATAGRAM, 0]


def test_with_nothing_there_it_does_not_wait(module: ModuleType) -> None:
    with pair("127.0.0.1", "127.0.0.1") as (ours, _):
        assert module.take(ours, 10) == []


def test_one_that_cannot_be_sent_keeps_no_other_back(module: ModuleType) -> None:
    with pair("127.0.0.1", "127.0.0.1") as (ours, device):
        there = device.getsockname()
        module.give(
            ours, [(b"before", there), (bytes(70_000), there), (b"to nobody", ("127.0.0.1", 0)), (b"after", there)]
        )
        assert [device.recv(100) for _ in range(2)] == [b"before", b"after"]


def test_a_device_that_is_gone_disturbs_nobody(module: ModuleType) -> None:
    with pair("127.0.0.1", "127.0.0.1") as (ours, device):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            nowhere = gone.getsockname()
        module.give(ours, [(b"hello", nowhere)] * 3)
        device.send(b"still there")
        assert [data for data, _ in arrived(module, ours)] == [b"still there"]


@pytest.mark.parametrize(
    "wrong", [("text", ("127.0.0.1", 1)), (b"octets", "127.0.0.1"), (b"octets", (1, 2)), b"octets"]
)
def test_what_is_no_datagram_is_refused(module: ModuleType, wrong: object) -> None:
    with pair("127.0.0.1", "127.0.0.1") as (ours, _), pytest.raises((TypeError, ValueError)):
        module.give(ours, [wrong])
