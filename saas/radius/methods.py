"""Does the request know the password? PAP, CHAP, MS-CHAPv1, MS-CHAPv2, and the MPPE keys that follow. Pure.

Sources: RFC 2865 sections 5.2, 5.3 · RFC 2433 · RFC 2759 · RFC 2548 · RFC 3079.
"""

from __future__ import annotations

import secrets
from hashlib import sha1
from hmac import compare_digest
from typing import Final, NamedTuple

from saas.radius import wire
from saas.radius.authenticators import Secret, hide_password, hide_salted, salts, unhide_password
from saas.radius.codec import (
    CHAP_CHALLENGE,
    CHAP_PASSWORD,
    MICROSOFT,
    USER_NAME,
    USER_PASSWORD,
    VENDOR_SPECIFIC,
    Packet,
    attribute,
    vendor_attribute,
)
from saas.security import nt_ciphers, nt_hash_hash

MS_CHAP_RESPONSE: Final = 1
MS_CHAP_ERROR: Final = 2
MS_CHAP_CHALLENGE: Final = 11
MS_CHAP_MPPE_KEYS: Final = 12
MS_MPPE_SEND_KEY: Final = 16
MS_MPPE_RECV_KEY: Final = 17
MS_CHAP2_RESPONSE: Final = 25
MS_CHAP2_SUCCESS: Final = 26

# What MS-CHAP calls a refusal (RFC 2759 section 6)
ERROR_HOURS: Final = 646
ERROR_DISABLED: Final = 647
ERROR_NO_DIALIN: Final = 649
ERROR_AUTHENTICATION: Final = 691

_SIGNING = b"Magic server to client signing constant"
_ITERATION = b"Pad to make it do more than one iteration"
_MASTER = b"This is the MPPE Master Key"
_CLIENT_SENDS = b"On the client side, this is the send key; on the server side, it is the receive key."
_SERVER_SENDS = b"On the client side, this is the receive key; on the server side, it is the send key."

# RFC 2548 sections 2.4.4, 2.4.5: encryption allowed; 40 and 128 bits, or 128 bits only
_MPPE_ANY = attribute("MS-MPPE-Encryption-Policy", 1) + attribute("MS-MPPE-Encryption-Types", 6)
_MPPE_128 = attribute("MS-MPPE-Encryption-Policy", 1) + attribute("MS-MPPE-Encryption-Types", 4)


class Proof(NamedTuple):
    """What a request shows of the password.

    `method`: "pap", "chap", "mschapv1", "mschapv2", "eap" and its kinds, or "" when it carries none that we know.
    `garbled`: what PAP uncovered is no text, so the shared secrets differ. `attributes`: what an Access-Accept must
    carry. EAP alone says more, see eap.py: `challenge`, what an Access-Challenge carries when one must follow; `slot`,
    the concurrency token of the dialogue; `fault`, what the refusal is to be called if the password is not right.
    """

    method: str
    right: bool
    garbled: bool = False
    attributes: bytes = b""
    challenge: bytes = b""
    slot: str = ""
    fault: str = "password"


_PAP: Final = Proof("pap", True)
_WRONG_PAP: Final = Proof("pap", False)
_GARBLED_PAP: Final = Proof("pap", False, garbled=True)
_CHAP: Final = Proof("chap", True)
_WAIVABLE: Final = ("pap", "chap", "")
_WRONG_CHAP: Final = Proof("chap", False)


def wants_password(packet: Packet) -> bool:
    """Whether the password itself is needed, for PAP and CHAP; MS-CHAP takes the NT hash."""
    return USER_PASSWORD in packet.first or CHAP_PASSWORD in packet.first


def check(packet: Packet, secret: Secret, password: bytes | None, nt_hash: bytes | None) -> Proof:
    """Test the password of an Access-Request. Both are None when nobody has that name: then nothing is right."""
    if VENDOR_SPECIFIC in packet.first:
        if (response := packet.vendor(MICROSOFT, MS_CHAP2_RESPONSE)) is not None:
            return _mschapv2(packet, secret, response, nt_hash)
        if (response := packet.vendor(MICROSOFT, MS_CHAP_RESPONSE)) is not None:
            return _mschapv1(packet, secret, response, nt_hash)
    if USER_PASSWORD in packet.first:
        return _pap(packet, secret, password)
    if CHAP_PASSWORD in packet.first:
        return _chap(packet, password)
    return Proof("", False)


def waived(proof: Proof) -> Proof:
    """What counts at a device that asks for no password: any, or none at all. Where the server must prove that it knows
    the password, or keys follow from it (MS-CHAP, EAP), nothing can be waived.
    """
    return proof._replace(right=True) if proof.method in _WAIVABLE and not proof.garbled else proof


def error(packet: Packet, code: int, message: str) -> bytes:
    """The MS-CHAP-Error of an Access-Reject (RFC 2548 2.1.5, RFC 2433 5, RFC 2759 6); b"" for other methods.

    `message` is for the eyes of the user. A wrong password (691) may be tried again with the new challenge.
    """
    again = int(code == ERROR_AUTHENTICATION)
    if (response := packet.vendor(MICROSOFT, MS_CHAP2_RESPONSE)) is not None:
        words = f"E={code} R={again} C={secrets.token_hex(16).upper()} V=3 M={message}"
    elif (response := packet.vendor(MICROSOFT, MS_CHAP_RESPONSE)) is not None:
        words = f"E={code} R={again} C={secrets.token_hex(8).upper()} V=2"
    else:
        return b""
    return vendor_attribute(MICROSOFT, MS_CHAP_ERROR, response[:1] + words.encode()[:240])


def _pap(packet: Packet, secret: Secret, password: bytes | None) -> Proof:
    given = unhide_password(packet.first[USER_PASSWORD], secret, packet.authenticator)
    if given is not None and password is not None and compare_digest(given, password):
        return _PAP
    return _WRONG_PAP if given is not None and not _garbled(given) else _GARBLED_PAP


def _garbled(given: bytes) -> bool:
    """Another secret uncovers 16 random octets: less than once in a million times text without control characters."""
    try:
        password = given.decode()
    except UnicodeDecodeError:
        return True
    return not password.isprintable() and any(ord(char) < 32 for char in password)


def _chap(packet: Packet, password: bytes | None) -> Proof:
    response = packet.first[CHAP_PASSWORD]
    if password is None or len(response) != 17:
        return _WRONG_CHAP
    challenge = packet.first.get(CHAP_CHALLENGE, packet.authenticator)
    right = compare_digest(chap_response(response[0], password, challenge), response[1:])
    return _CHAP if right else _WRONG_CHAP


def _mschapv1(packet: Packet, secret: Secret, response: bytes, nt_hash: bytes | None) -> Proof:
    """Only the NT response counts: the LAN Manager response gives the password away, clients of today send none."""
    challenge = packet.vendor(MICROSOFT, MS_CHAP_CHALLENGE)
    if nt_hash is None or challenge is None or len(challenge) != 8 or len(response) != 50 or not response[1] & 1:
        return Proof("mschapv1", False)
    if not compare_digest(challenge_response(challenge, nt_hash), response[26:50]):
        return Proof("mschapv1", False)
    # RFC 2548 section 2.4.1: LM key (8, left empty, hence 128 bits only), NT key (16), padding (8)
    keys = bytes(8) + nt_hash_hash(nt_hash) + bytes(8)
    hidden = hide_password(keys, secret, packet.authenticator)
    return Proof("mschapv1", True, attributes=vendor_attribute(MICROSOFT, MS_CHAP_MPPE_KEYS, hidden) + _MPPE_128)


def _mschapv2(packet: Packet, secret: Secret, response: bytes, nt_hash: bytes | None) -> Proof:
    challenge = packet.vendor(MICROSOFT, MS_CHAP_CHALLENGE)
    if nt_hash is None or challenge is None or len(challenge) != 16 or len(response) != 50:
        return Proof("mschapv2", False)
    hashed = challenge_hash(response[2:18], challenge, bare_name(packet.first.get(USER_NAME, b"")))
    answer = response[26:50]
    if not compare_digest(challenge_response(hashed, nt_hash), answer):
        return Proof("mschapv2", False)
    success = vendor_attribute(
        MICROSOFT, MS_CHAP2_SUCCESS, response[:1] + authenticator_response(nt_hash, answer, hashed).encode()
    )
    return Proof("mschapv2", True, attributes=success + mppe_attributes(packet, secret, nt_hash, answer))


def mppe_attributes(packet: Packet, secret: Secret, nt_hash: bytes, answer: bytes) -> bytes:
    """The keys that follow from an NT response of MS-CHAPv2, hidden in the answer to this packet (RFC 2548 2.4.2)."""
    send, receive = mppe_keys(nt_hash, answer)
    one, other = salts(2)
    return b"".join(
        (
            vendor_attribute(MICROSOFT, MS_MPPE_SEND_KEY, hide_salted(send, secret, packet.authenticator, one)),
            vendor_attribute(MICROSOFT, MS_MPPE_RECV_KEY, hide_salted(receive, secret, packet.authenticator, other)),
            _MPPE_ANY,
        )
    )


def chap_response(identifier: int, password: bytes, challenge: bytes) -> bytes:
    """MD5 of identifier, password and challenge (RFC 1994 section 4.1)."""
    return wire.digest(bytes((identifier,)) + password + challenge)


def bare_name(username: bytes) -> bytes:
    """The name without ``DOMAIN\\``, as it goes into the challenge hash (RFC 2759 section 4)."""
    return username.rpartition(b"\\")[2]


def challenge_hash(peer_challenge: bytes, challenge: bytes, username: bytes) -> bytes:
    """The 8 octets that are encrypted in MS-CHAPv2 (RFC 2759 section 8.2)."""
    return sha1(peer_challenge + challenge + username).digest()[:8]


def challenge_response(challenge: bytes, nt_hash: bytes) -> bytes:
    """The 24-octet NT response (RFC 2433 A.5, RFC 2759 8.5): three times DES, keyed by thirds of the hash."""
    return b"".join(cipher.update(challenge) for cipher in nt_ciphers(nt_hash))


def authenticator_response(nt_hash: bytes, answer: bytes, hashed: bytes) -> str:
    """``S=`` and 40 hexadecimal digits, by which the server shows that it knows the password (RFC 2759 8.7)."""
    digest = sha1(nt_hash_hash(nt_hash) + answer + _SIGNING).digest()
    return "S=" + sha1(digest + hashed + _ITERATION).hexdigest().upper()


def mppe_keys(nt_hash: bytes, answer: bytes) -> tuple[bytes, bytes]:
    """(send, receive) start keys of 128 bits as the device needs them (RFC 3079 sections 3.2 to 3.4)."""
    master = sha1(nt_hash_hash(nt_hash) + answer + _MASTER).digest()[:16]
    return _start_key(master, _SERVER_SENDS), _start_key(master, _CLIENT_SENDS)


def _start_key(master: bytes, magic: bytes) -> bytes:
    return sha1(master + bytes(40) + magic + b"\xf2" * 40).digest()[:16]
