"""The MS-CHAPv2 attributes of the accounts of a data set, for radgen: ``python -m tests.bench.mschap ACCOUNTS FILE``.

Challenge and response do not depend on the request that carries them, so they are made once, 82 octets an account:
MS-CHAP-Challenge and MS-CHAP2-Response (RFC 2548 sections 2.1.2, 2.3.2). Written from the RFCs and not with the
engine's functions, so that the two prove each other.
"""

from __future__ import annotations

import secrets
import struct
import sys
from hashlib import sha1
from pathlib import Path

from Crypto.Cipher import DES
from Crypto.Hash import MD4

MICROSOFT, CHALLENGE, RESPONSE = 311, 11, 25


def write(path: Path, accounts: int) -> None:
    """The attributes of accounts u000000… with passwords p000000…, one after the other."""
    path.write_bytes(b"".join(block(f"u{number:06d}", f"p{number:06d}") for number in range(accounts)))


def block(username: str, password: str) -> bytes:
    """One account's two attributes (RFC 2759 sections 8.1 to 8.5)."""
    challenge, peer = secrets.token_bytes(16), secrets.token_bytes(16)
    hashed = sha1(peer + challenge + username.encode()).digest()[:8]
    key = MD4.new(password.encode("utf-16-le")).digest() + bytes(5)
    answer = b"".join(DES.new(_spread(key[at : at + 7]), DES.MODE_ECB).encrypt(hashed) for at in (0, 7, 14))
    return _attribute(CHALLENGE, challenge) + _attribute(RESPONSE, b"\1\0" + peer + bytes(8) + answer)


def _spread(seven: bytes) -> bytes:
    """56 bits over 8 octets, their lowest bits left to parity, which nobody looks at."""
    bits = int.from_bytes(seven, "big")
    return bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))


def _attribute(number: int, value: bytes) -> bytes:
    return struct.pack("!BBIBB", 26, len(value) + 8, MICROSOFT, number, len(value) + 2) + value


if __name__ == "__main__":
    write(Path(sys.argv[2]), int(sys.argv[1]))
