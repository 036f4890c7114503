"""An independent judge of packets: hashlib, hmac and struct alone, nothing of the engine.

It says what a datagram holds, whether it is proven by a shared secret, and whether it shows a password. Sources:
RFC 2865 sections 3 and 5.2, RFC 2866 section 3, RFC 3579 section 3.2, RFC 5176 section 3.4, RFC 5997 section 3.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

Attributes = list[tuple[int, bytes]]
PROOF = 80  # Message-Authenticator
KEYED = (4, 40, 43)  # requests whose authenticator is keyed


class Read(NamedTuple):
    """A datagram that is a packet: cut to its Length, and its attributes in order."""

    octets: bytes
    attributes: Attributes

    @property
    def code(self) -> int:
        return self.octets[0]

    def all(self, number: int) -> list[bytes]:
        """The values of an attribute."""
        return [value for kind, value in self.attributes if kind == number]

    def vendor(self, vendor: int, number: int) -> list[bytes]:
        """The values of a vendor's attribute, where Vendor-Specific keeps the recommended form."""
        found = []
        for value in self.all(26):
            at = 4
            while value[:4] == vendor.to_bytes(4, "big") and at + 2 <= len(value):
                if not 2 <= value[at + 1] <= len(value) - at:
                    break
                if value[at] == number:
                    found.append(value[at + 2 : at + value[at + 1]])
                at += value[at + 1]
        return found


def read(data: bytes) -> Read | None:
    """The packet in a datagram; None when it is none, or its Message-Authenticator is not one of 16 octets."""
    if len(data) < 20:
        return None
    length = int.from_bytes(data[2:4], "big")
    if not 20 <= length <= 4096 or length > len(data):
        return None
    data = data[:length]
    attributes: Attributes = []
    at = 20
    while at < length:
        if at + 2 > length or data[at + 1] < 2 or at + data[at + 1] > length:
            return None
        attributes.append((data[at], data[at + 2 : at + data[at + 1]]))
        at += data[at + 1]
    proofs = [value for kind, value in attributes if kind == PROOF]
    if len(proofs) > 1 or any(len(proof) != 16 for proof in proofs):
        return None
    return Read(data, attributes)


def packed(attributes: Sequence[tuple[int, bytes]]) -> bytes:
    """Attributes as octets."""
    return b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)


def message_proof(octets: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """What the Message-Authenticator of a packet must be."""
    at = 20
    while octets[at] != PROOF:
        at += octets[at + 1]
    zeroed = octets[:4] + authenticator + octets[20 : at + 2] + bytes(16) + octets[at + 18 :]
    return hmac.digest(secret, zeroed, "md5")


def proven_request(packet: Read, secret: bytes) -> bool:
    """Whether a request shows that its sender knows the secret."""
    octets, proofs = packet.octets, packet.all(PROOF)
    if packet.code in KEYED:
        keyed = hashlib.md5(octets[:4] + bytes(16) + octets[20:] + secret).digest() == octets[4:20]
        return keyed and (not proofs or message_proof(octets, secret, bytes(16)) == proofs[0])
    return bool(proofs) and message_proof(octets, secret, octets[4:20]) == proofs[0]


def proven_answer(packet: Read, request: bytes, secret: bytes) -> bool:
    """Whether an answer to this request is by the holder of the secret."""
    octets, proofs = packet.octets, packet.all(PROOF)
    expected = hashlib.md5(octets[:4] + request[4:20] + octets[20:] + secret).digest()
    if octets[1] != request[1] or expected != octets[4:20]:
        return False
    return not proofs or message_proof(octets, secret, request[4:20]) == proofs[0]


def uncovered(hidden: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """What a User-Password hides, with its padding."""
    found, previous = b"", authenticator
    for at in range(0, len(hidden), 16):
        block = hidden[at : at + 16]
        pad = hashlib.md5(secret + previous).digest()
        found += bytes(one ^ other for one, other in zip(block, pad, strict=False))
        previous = block
    return found


def shown_ms_chap(packet: Read) -> set[tuple[bytes, ...]]:
    """Every MS-CHAP exchange that the packet can be read as: challenge and NT response, for version 2 with peer
    challenge and user name, which go into its response.
    """
    names = [name.rpartition(b"\\")[2].strip().lower() for name in packet.all(1)]
    found: set[tuple[bytes, ...]] = set()
    for challenge in packet.vendor(311, 11):
        found |= {(challenge, value[26:50]) for value in packet.vendor(311, 1)}
        for value in packet.vendor(311, 25):
            found |= {(challenge, value[26:50], value[2:18], name) for name in names}
    return found


def shows_password(packet: Read, secret: bytes, password: bytes) -> bool:
    """Whether PAP or CHAP of this packet is right for the password."""
    authenticator = packet.octets[4:20]
    for hidden in packet.all(2):
        if hidden and len(hidden) % 16 == 0 and uncovered(hidden, secret, authenticator).rstrip(b"\0") == password:
            return True
    challenges = packet.all(60) or [authenticator]
    for response in packet.all(3):
        for challenge in challenges:
            if response[1:] == hashlib.md5(response[:1] + password + challenge).digest():
                return True
    return False
