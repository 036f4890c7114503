"""Octets of packets: the module of Python and the one of C that takes its place say the same, and what the RFCs say."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from saas.radius import wire
from tests.radius.counterparts import counterpart

CASES = 300


@pytest.fixture(params=["python", "c"], scope="module")
def module(request: pytest.FixtureRequest) -> ModuleType:
    return counterpart(wire, request.param)


class Draw(random.Random):
    """Octets by chance, the same at every run."""

    def octets(self, most: int, least: int = 0) -> bytes:
        return self.randbytes(self.randint(least, most))

    def secret(self) -> bytes:
        return self.octets(100, 1)


def cases() -> Iterator[Draw]:
    draw = Draw(20261201)
    return (draw for _ in range(CASES))


def packet(attributes: bytes, code: int = 1, length: int | None = None) -> bytes:
    head = bytes((code, 7)) + (20 + len(attributes) if length is None else length).to_bytes(2, "big")
    return head + bytes(range(16)) + attributes


def attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


@pytest.mark.parametrize(
    ("text", "digest"),
    [  # RFC 1321, appendix A.5
        (b"", "d41d8cd98f00b204e9800998ecf8427e"),
        (b"a", "0cc175b9c0f1b6a831c399e269772661"),
        (b"abc", "900150983cd24fb0d6963f7d28e17f72"),
        (b"message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (b"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (b"1234567890" * 8, "57edf4a22be3c955ac49da2e2107b67a"),
    ],
)
def test_digests_of_rfc_1321(module: ModuleType, text: bytes, digest: str) -> None:
    assert module.digest(text).hex() == digest


@pytest.mark.parametrize(
    ("key", "data", "digest"),
    [  # RFC 2202, section 2
        (b"\x0b" * 16, b"Hi There", "9294727a3638bb1c13f48ef8158bfc9d"),
        (b"Jefe", b"what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"),
        (b"\xaa" * 16, b"\xdd" * 50, "56be34521d144c88dbb8c733f0e8b3f6"),
        (b"\xaa" * 80, b"Test Using Larger Than Block-Size Key - Hash Key First", "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"),
    ],
)
def test_keyed_digests_of_rfc_2202(module: ModuleType, key: bytes, data: bytes, digest: str) -> None:
    assert module.mac(module.prepared(key), data).hex() == digest


def test_digests_are_those_of_the_library(module: ModuleType) -> None:
    for draw in cases():
        data, secret = draw.octets(300), draw.secret()
        assert module.digest(data) == hashlib.md5(data).digest()
        assert module.mac(module.prepared(secret), data) == hmac.digest(secret, data, "md5")


def test_attributes_are_taken_apart(module: ModuleType) -> None:
    for draw in cases():
        kinds = draw.choices(range(draw.choice((3, 80))), k=draw.randint(0, 20))
        parts = [(kind, draw.octets(40)) for kind in kinds]
        octets = packet(b"".join(attribute(*part) for part in parts))
        first: dict[int, bytes] = {}
        more = []
        for kind, value in parts:
            if kind in first:
                more.append((kind, value))
            first.setdefault(kind, value)
        assert module.split(octets + draw.octets(3)) == (len(octets), first, more, 0)


def test_both_say_the_same_of_anything() -> None:
    theirs = counterpart(wire, "c")
    for draw in cases():
        octets = bytearray(packet(b"".join(attribute(draw.randint(0, 90), draw.octets(16)) for _ in range(8))))
        for _ in range(draw.randint(0, 3)):
            octets[draw.randrange(len(octets))] = draw.choice((0, 1, 2, 18, 80, 255))
        data = bytes(octets[: draw.choice((len(octets), draw.randint(0, len(octets))))])
        assert theirs.split(data) == wire.split(data)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "too_short"),
        (packet(b"")[:19], "too_short"),
        (packet(b"", length=21), "too_short"),
        (packet(b"", length=19), "bad_length"),
        (packet(bytes(5000), length=4097), "bad_length"),
        (packet(b"\x01"), "bad_attribute"),
        (packet(b"\x01\x00"), "bad_attribute"),
        (packet(b"\x01\x01"), "bad_attribute"),
        (packet(b"\x01\x04a"), "bad_attribute"),
        (packet(attribute(80, bytes(15))), "bad_attribute"),
        (packet(2 * attribute(80, bytes(16))), "bad_attribute"),
    ],
)
def test_what_is_no_packet_has_a_reason(module: ModuleType, octets: bytes, reason: str) -> None:
    assert module.split(octets) == reason


def test_the_place_of_the_message_authenticator(module: ModuleType) -> None:
    octets = packet(attribute(1, b"alice") + attribute(80, bytes(16)) + attribute(1, b""))
    assert module.split(octets) == (len(octets), {1: b"alice", 80: bytes(16)}, [(1, b"")], 27)


def test_a_message_authenticator_is_proven(module: ModuleType) -> None:
    for draw in cases():
        secret, before, behind = draw.secret(), draw.octets(90), draw.octets(90)
        authenticator = draw.choice((b"", draw.randbytes(16)))
        zeroed = packet(before + attribute(80, bytes(16)) + behind)
        at = 20 + len(before)
        proof = hmac.digest(secret, zeroed[:4] + (authenticator or zeroed[4:20]) + zeroed[20:], "md5")
        octets = zeroed[: at + 2] + proof + zeroed[at + 18 :]
        key = module.prepared(secret)
        assert module.proves(key, octets, at, authenticator)
        assert not module.proves(module.prepared(secret + b"!"), octets, at, authenticator)
        for place in (0, at + 2, at + 17, len(octets) - 1):
            wrong = octets[:place] + bytes((octets[place] ^ 1,)) + octets[place + 1 :]
            assert not module.proves(key, wrong, at, authenticator)


def test_a_keyed_request_is_proven(module: ModuleType) -> None:
    for draw in cases():
        secret, body = draw.secret(), draw.octets(200)
        octets = packet(body, code=4)
        authenticator = hashlib.md5(octets[:4] + bytes(16) + body + secret).digest()
        signed = octets[:4] + authenticator + body
        assert module.signs(secret, signed)
        assert not module.signs(secret + b"!", signed)
        assert not module.signs(secret, octets)


def test_answers_are_signed(module: ModuleType) -> None:
    for draw in cases():
        secret, code, attributes, prove = draw.secret(), draw.randint(0, 255), draw.octets(200), draw.random() < 0.5
        asked = packet(b"")
        made = module.answer(code, asked, secret, module.prepared(secret), attributes, prove)
        assert made == wire.answer(code, asked, secret, wire.prepared(secret), attributes, prove)
        assert made[:2] == bytes((code, 7)) and int.from_bytes(made[2:4], "big") == len(made)
        unsigned = made[:4] + asked[4:20] + made[20:]
        assert made[4:20] == hashlib.md5(unsigned + secret).digest()
        assert made[38 if prove else 20 :] == attributes
        if prove:
            assert made[20:22] == bytes((80, 18))
            assert made[22:38] == hmac.digest(secret, unsigned[:22] + bytes(16) + attributes, "md5")


def test_what_was_hidden_is_uncovered(module: ModuleType) -> None:
    for draw in cases():
        secret, hidden, start = draw.secret(), draw.octets(128), draw.octets(18, 16)
        expected, previous = b"", start
        for at in range(0, len(hidden), 16):
            block, mask = hidden[at : at + 16], hashlib.md5(secret + previous).digest()
            expected += bytes(one ^ other for one, other in zip(block, mask, strict=False))
            previous = block
        assert module.uncover(hidden, secret, start) == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("answer", (1, packet(b""), b"s", None, bytes(4060), True)),
        ("answer", (1, packet(b""), b"s", None, bytes(4077), False)),
        ("proves", (None, packet(b""), 20, b"")),
        ("proves", (None, packet(bytes(30)), 19, b"")),
        ("proves", (None, packet(bytes(30)), -1, b"")),
        ("proves", (None, packet(bytes(30)), 20, bytes(15))),
        ("signs", (b"s", bytes(19))),
    ],
)
def test_what_cannot_be_is_refused(module: ModuleType, name: str, arguments: tuple[Any, ...]) -> None:
    key = module.prepared(b"s")
    with pytest.raises(ValueError):
        getattr(module, name)(*(key if argument is None else argument for argument in arguments))


@pytest.mark.parametrize("name", ["split", "digest", "prepared", "mac", "proves", "signs", "answer", "uncover"])
def test_the_one_of_c_takes_nothing_but_octets(name: str) -> None:
    for arguments in (("text",), (), ("text", "text"), (b"", "text", b"", 1, None, 0)):
        with pytest.raises(TypeError):
            getattr(counterpart(wire, "c"), name)(*arguments)
