"""What proves a packet and what hides a password: MD5 and HMAC-MD5 as RADIUS uses them (wire.py has the digests).

Comparisons take a time that tells nothing.
"""

from __future__ import annotations

import secrets
from hmac import compare_digest
from struct import Struct
from typing import Final

from saas.radius import wire
from saas.radius.codec import (
    ACCESS_REQUEST,
    HEADER,
    MESSAGE_AUTHENTICATOR,
    PROXY_STATE,
    STATUS_SERVER,
    BadPacket,
    Packet,
    parse,
)

ZEROS: Final = bytes(16)
_PROOF_HEAD: Final = bytes((MESSAGE_AUTHENTICATOR, 18))
_pack_head: Final = Struct("!BBH").pack  # code, identifier, length


class Secret:
    """A shared secret, ready for use. `octets` is the secret itself; it is never empty."""

    __slots__ = ("key", "octets")

    def __init__(self, octets: bytes) -> None:
        if not octets:
            raise ValueError("empty secret")
        self.octets = octets
        self.key: wire.Prepared = wire.prepared(octets)

    def mac(self, data: bytes) -> bytes:
        """HMAC-MD5 (RFC 2104)."""
        return wire.mac(self.key, data)


def proves_message(packet: Packet, secret: Secret, request_authenticator: bytes | None = None) -> bool:
    """Whether the packet's Message-Authenticator is right (RFC 3579 section 3.2). False without one.

    The Authenticator field goes into it as sent for Access-Request and Status-Server, as zeros for accounting and
    Disconnect requests (RFC 5176 section 3.4), and as the request's one for an answer (`request_authenticator`).
    """
    at = packet.proof_at
    if not at:
        return False
    if request_authenticator is None and packet.raw[0] not in (ACCESS_REQUEST, STATUS_SERVER):
        request_authenticator = ZEROS
    return wire.proves(secret.key, packet.raw, at, request_authenticator or b"")


def proves_request(packet: Packet, secret: Secret) -> bool:
    """Whether the keyed Request Authenticator is right: accounting (RFC 2866 section 3), Disconnect (RFC 5176)."""
    return wire.signs(secret.octets, packet.raw)


def reply(code: int, request: Packet, secret: Secret, attributes: bytes = b"", *, prove: bool = True) -> bytes:
    """The signed answer to a request: Message-Authenticator first if `prove`, then `attributes`, then Proxy-State.

    Proxy-State comes back as it came, in order (RFC 2865 section 5.33).
    """
    if PROXY_STATE in request.first:
        attributes += b"".join(bytes((PROXY_STATE, len(state) + 2)) + state for state in request.all(PROXY_STATE))
    return wire.answer(code, request.raw, secret.octets, secret.key, attributes, prove)


def access_request(
    code: int, identifier: int, authenticator: bytes, secret: Secret, attributes: bytes, *, prove: bool = True
) -> bytes:
    """An Access-Request or Status-Server with Message-Authenticator first, unless `prove` is off."""
    length = HEADER + len(attributes) + (18 if prove else 0)
    head = _pack_head(code, identifier, length) + authenticator
    if prove:
        attributes = _PROOF_HEAD + secret.mac(head + _PROOF_HEAD + ZEROS + attributes) + attributes
    return head + attributes


def keyed_request(code: int, identifier: int, secret: Secret, attributes: bytes, *, prove: bool = False) -> bytes:
    """An Accounting- or Disconnect-Request; its authenticator is keyed. Message-Authenticator first if `prove`."""
    length = HEADER + len(attributes) + (18 if prove else 0)
    head = _pack_head(code, identifier, length)
    if prove:
        attributes = _PROOF_HEAD + secret.mac(head + ZEROS + _PROOF_HEAD + ZEROS + attributes) + attributes
    return head + wire.digest(head + ZEROS + attributes + secret.octets) + attributes


def parse_reply(data: bytes, request: bytes, secret: Secret) -> Packet:
    """The answer to `request`, proven. BadPacket "bad_authenticator" when it is not by the holder of the secret."""
    packet = parse(data)
    asked = request[4:20]
    raw = packet.raw
    expected = wire.digest(raw[:4] + asked + raw[20:] + secret.octets)
    if packet.id != request[1] or not compare_digest(expected, packet.authenticator):
        raise BadPacket("bad_authenticator")
    if packet.proof_at and not proves_message(packet, secret, asked):
        raise BadPacket("bad_authenticator")
    return packet


def hide_password(password: bytes, secret: Secret, authenticator: bytes) -> bytes:
    """A User-Password as sent: padded with NUL to blocks of 16, at most 128 octets (RFC 2865 section 5.2)."""
    if len(password) > 128:
        raise ValueError("password too long")
    padded = password.ljust(max(16, -(-len(password) // 16) * 16), b"\0")
    hidden = b""
    previous = authenticator
    for at in range(0, len(padded), 16):
        previous = _xor(padded[at : at + 16], wire.digest(secret.octets + previous))
        hidden += previous
    return hidden


def unhide_password(hidden: bytes, secret: Secret, authenticator: bytes) -> bytes | None:
    """The password without its padding; None when the attribute is not 1 to 8 blocks of 16 octets."""
    if not hidden or len(hidden) % 16 or len(hidden) > 128:
        return None
    return wire.uncover(hidden, secret.octets, authenticator).rstrip(b"\0")


def hide_salted(value: bytes, secret: Secret, authenticator: bytes, salt: bytes) -> bytes:
    """A tunnel password or MPPE key as sent: salt, then length and value hidden (RFC 2868 3.5, RFC 2548 2.4.2)."""
    padded = bytes((len(value),)) + value
    padded = padded.ljust(-(-len(padded) // 16) * 16, b"\0")
    return salt + hide_password(padded, secret, authenticator + salt)


def unhide_salted(hidden: bytes, secret: Secret, authenticator: bytes) -> bytes | None:
    """The value behind `hide_salted`; None when the octets cannot be one."""
    salt, blocks = hidden[:2], hidden[2:]
    if not blocks or len(blocks) % 16:
        return None
    value = wire.uncover(blocks, secret.octets, authenticator + salt)
    return value[1 : 1 + value[0]] if value[0] < len(value) else None


def salts(count: int) -> list[bytes]:
    """Salts of one packet: two octets each, all different, the highest bit set (RFC 2868 section 3.5)."""
    start = secrets.randbits(15)
    return [(0x8000 | (start + index) & 0x7FFF).to_bytes(2, "big") for index in range(count)]


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
