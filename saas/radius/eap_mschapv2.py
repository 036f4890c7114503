"""The packets of EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02), without the EAP head. Pure.

opcode 1 octet · MS-CHAPv2-ID 1 · MS-Length 2 · what the opcode needs
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final, NamedTuple

from saas.radius.methods import authenticator_response, bare_name, challenge_hash, challenge_response

TYPE: Final = 26
CHALLENGE: Final = 1
RESPONSE: Final = 2
SUCCESS: Final = 3

_SERVER: Final = b"openpns"
_RESPONSE_SIZE: Final = 49  # peer challenge 16, zeros 8, NT response 24, flags 1


class Right(NamedTuple):
    """A response that knew the password: its NT response, and ``S=…`` by which we show that we know it too."""

    answer: bytes
    success: str


def challenge(number: int, octets: bytes) -> bytes:
    """Ask for the proof of a password; `octets` are 16 random ones."""
    return _packet(CHALLENGE, number, bytes((len(octets),)) + octets + _SERVER)


def success(number: int, words: str) -> bytes:
    """Say that the proof was right, under the number of the response."""
    return _packet(SUCCESS, number, words.encode())


def check(response: bytes, challenge: bytes, username: str, nt_hash: bytes | None) -> Right | None:
    """Test a response to this challenge; None when it is not right, or none at all.

    The hash holds the name as the peer gave it, without ``DOMAIN\\`` and with its realm and capitals (RFC 2759 section
    4); `username` stands in for an empty one. Whose password it must be was decided by then.
    """
    if (
        nt_hash is None
        or len(response) < 5 + _RESPONSE_SIZE
        or response[0] != RESPONSE
        or response[4] != _RESPONSE_SIZE
    ):
        return None
    peer, answer = response[5:21], response[29:53]
    name = bare_name(response[54:]) or username.encode()
    hashed = challenge_hash(peer, challenge, name)
    if not compare_digest(challenge_response(hashed, nt_hash), answer):
        return None
    return Right(answer, authenticator_response(nt_hash, answer, hashed))


def is_success(data: bytes) -> bool:
    """Whether the peer says that our proof was right too: the opcode alone."""
    return data[:1] == bytes((SUCCESS,))


def _packet(opcode: int, number: int, data: bytes) -> bytes:
    return bytes((opcode, number)) + (len(data) + 4).to_bytes(2, "big") + data
