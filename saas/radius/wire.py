"""Octets of packets: attributes taken apart, requests proven, answers signed (RFC 2865, RFC 2866, RFC 3579).

``wire.c`` does the same without an object and a call for each step, which is a sixth of what a log-in costs; `make
compile` puts it in this module's place. codec.py and authenticators.py are what others use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from hmac import compare_digest
from struct import Struct
from typing import Any, Final

try:  # half the overhead of hashlib's constructor, and there where a policy takes MD5 out of OpenSSL
    from _md5 import md5 as _md5  # type: ignore[import-not-found]
except ImportError:
    _md5 = hashlib.md5

_new: Final[Callable[..., Any]] = _md5
_HEADER: Final = 20
_MOST: Final = 4096  # octets of a packet
_PROOF: Final = 80  # Message-Authenticator
_PROOF_HEAD: Final = bytes((_PROOF, 18))
_ZEROS: Final = bytes(16)
_INNER: Final = bytes(octet ^ 0x36 for octet in range(256))
_OUTER: Final = bytes(octet ^ 0x5C for octet in range(256))
_pack_head: Final = Struct("!BBH").pack  # code, identifier, length

Prepared = Any  # what `prepared` answers, for the other functions alone


def split(data: bytes) -> tuple[int, dict[int, bytes], list[tuple[int, bytes]], int] | str:
    """(length, first, more, proof_at) of the packet in a datagram, see codec.Packet; the drop reason of what is none:
    "too_short", "bad_length", "bad_attribute", see codec.parse.
    """
    if len(data) < _HEADER:
        return "too_short"
    end = data[2] << 8 | data[3]
    if end < _HEADER or end > _MOST:
        return "bad_length"
    if end > len(data):
        return "too_short"
    first: dict[int, bytes] = {}
    more: list[tuple[int, bytes]] = []
    proof_at = 0
    at = _HEADER
    while at < end:
        kind = data[at]
        after = at + data[at + 1] if at + 1 < end else 0
        if after < at + 2 or after > end:
            return "bad_attribute"
        if kind in first:
            more.append((kind, data[at + 2 : after]))
        else:
            first[kind] = data[at + 2 : after]
        if kind == _PROOF:
            if proof_at or after - at != 18:
                return "bad_attribute"
            proof_at = at
        at = after
    return end, first, more, proof_at


def digest(data: bytes) -> bytes:
    """MD5 (RFC 1321)."""
    made: bytes = _new(data).digest()
    return made


def prepared(secret: bytes) -> Prepared:
    """A secret as HMAC wants it, worked out once: that halves the cost of a proof."""
    key = (digest(secret) if len(secret) > 64 else secret).ljust(64, b"\0")
    return _new(key.translate(_INNER)), _new(key.translate(_OUTER))


def mac(key: Prepared, data: bytes) -> bytes:
    """HMAC-MD5 (RFC 2104)."""
    inner, outer = key[0].copy(), key[1].copy()
    inner.update(data)
    outer.update(inner.digest())
    made: bytes = outer.digest()
    return made


def proves(key: Prepared, raw: bytes, at: int, authenticator: bytes) -> bool:
    """Whether the Message-Authenticator that begins at `at` of a packet is right, with `authenticator` in place of the
    packet's own, b"" for that.
    """
    if at < _HEADER or at + 18 > len(raw) or len(authenticator) not in (0, 16):
        raise ValueError("no place of a Message-Authenticator, or no authenticator")
    head = raw[:4] + (authenticator or raw[4:_HEADER])
    proof = mac(key, b"".join((head, raw[_HEADER : at + 2], _ZEROS, raw[at + 18 :])))
    return compare_digest(proof, raw[at + 2 : at + 18])


def signs(secret: bytes, raw: bytes) -> bool:
    """Whether the authenticator of a packet is the digest of the rest of it and of the secret."""
    if len(raw) < _HEADER:
        raise ValueError("no packet")
    return compare_digest(digest(raw[:4] + _ZEROS + raw[_HEADER:] + secret), raw[4:_HEADER])


def answer(code: int, request: bytes, secret: bytes, key: Prepared, attributes: bytes, prove: bool) -> bytes:
    """The signed answer to a packet: Message-Authenticator first if `prove`, then `attributes`. ValueError where
    that is too long.
    """
    length = _HEADER + len(attributes) + (18 if prove else 0)
    if length > _MOST:
        raise ValueError("reply too long")
    head, authenticator = _pack_head(code, request[1], length), request[4:_HEADER]
    if prove:
        proof = mac(key, b"".join((head, authenticator, _PROOF_HEAD, _ZEROS, attributes)))
        attributes = _PROOF_HEAD + proof + attributes
    signature = digest(b"".join((head, authenticator, attributes, secret)))
    return b"".join((head, signature, attributes))


def uncover(hidden: bytes, secret: bytes, start: bytes) -> bytes:
    """What lies behind blocks of 16 octets that were hidden one after the other (RFC 2865 section 5.2)."""
    keys = digest(secret + start)
    for at in range(16, len(hidden), 16):
        keys += digest(secret + hidden[at - 16 : at])
    plain = int.from_bytes(hidden, "big") ^ int.from_bytes(keys[: len(hidden)], "big")
    return plain.to_bytes(len(hidden), "big")
