"""The door to cryptography: password hashes, sealed secrets, signatures. X.509 stands in certs.py.

Keys are derived from the one secret key of the installation, one for each purpose, so that none can stand in for
another.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from functools import lru_cache
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from Crypto.Hash import MD4
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# OWASP's choice for argon2id: 19 MiB, two passes. More would let a few log-ins at once hold up a small machine.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_DUMMY = _HASHER.hash("no such account: the same work as for one that exists")
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # no i, l, o, 0, 1: they are misread on paper


class Unsealable(Exception):
    """Sealed octets that this key, this purpose or this owner did not seal, or that were altered."""


class Keys:
    """Seals and signs with keys derived from the installation's secret key."""

    def __init__(self, secret_key: str) -> None:
        self._root = secret_key.encode()
        self._ciphers: dict[str, AESGCM] = {}

    def key(self, purpose: str) -> bytes:
        """The 32-octet key of a purpose, such as "class" or "cursor"."""
        return HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(self._root)

    def seal(self, tenant_id: str, secret: str) -> bytes:
        """Encrypt a secret of a tenant (AES-256-GCM); it can be unsealed for this tenant only."""
        return self.wrap(f"seal:{tenant_id}", secret.encode(), tenant_id.encode())

    def unseal(self, tenant_id: str, sealed: bytes) -> str:
        """The secret that `seal` was given. Unsealable when it was altered or sealed for another tenant."""
        return self.unwrap(f"seal:{tenant_id}", sealed, tenant_id.encode()).decode()

    def wrap(self, purpose: str, octets: bytes, context: bytes) -> bytes:
        """Encrypt octets under the key of a purpose (AES-256-GCM), 28 octets longer; `context` must come back equal.

        A purpose that is used often names its tenant: random nonces of one key are safe for 2^32 uses.
        """
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher(purpose).encrypt(nonce, octets, context)

    def unwrap(self, purpose: str, wrapped: bytes, context: bytes) -> bytes:
        """The octets that `wrap` was given. Unsealable when altered, or of another purpose or context."""
        try:
            return self._cipher(purpose).decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError) as error:
            raise Unsealable(purpose) from error

    def sign(self, purpose: str, data: bytes) -> bytes:
        """A 16-octet signature (HMAC-SHA-256, cut)."""
        return hmac.digest(self.key(purpose), data, "sha256")[:16]

    def _cipher(self, purpose: str) -> AESGCM:
        cipher = self._ciphers.get(purpose)
        if cipher is None:
            cipher = self._ciphers[purpose] = AESGCM(self.key(purpose))
        return cipher


def hash_password(password: str) -> str:
    """An argon2id hash, for passwords of people. Slow on purpose (tens of milliseconds): call it off the event loop."""
    return _HASHER.hash(password)


def check_password(hashed: str | None, password: str) -> bool:
    """True when the password is the one hashed. Without a hash it takes as long and is False."""
    try:
        return _HASHER.verify(hashed or _DUMMY, password) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def nt_hash(password: str) -> bytes:
    """The 16-octet NT hash of MS-CHAP (RFC 2759 section 8.3): MD4 over UTF-16LE."""
    return MD4.new(password.encode("utf-16-le")).digest()


@lru_cache(maxsize=16_384)
def nt_hash_hash(nt_hash: bytes) -> bytes:
    """The NT hash hashed again (RFC 2759 section 8.4), from which MS-CHAP's keys follow."""
    return MD4.new(nt_hash).digest()


@lru_cache(maxsize=16_384)
def nt_ciphers(nt_hash: bytes) -> tuple[CipherContext, ...]:
    """DES under the three thirds of an NT hash (RFC 2759 section 8.5); kept, for making one takes ten times its use.

    Triple DES with three times the same key is DES. Single blocks in ECB mode leave nothing behind in a cipher.
    """
    padded = nt_hash + bytes(5)
    keys = (_des_key(padded[at : at + 7]) for at in (0, 7, 14))
    return tuple(Cipher(TripleDES(key * 3), ECB()).encryptor() for key in keys)


def _des_key(seven: bytes) -> bytes:
    """56 bits with room for a parity bit in each octet; DES ignores the parity."""
    bits = int.from_bytes(seven, "big")
    return bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))


def token_hash(token: str) -> str:
    """How a random token is stored, so that a look into the store gives none away."""
    return sha256(token.encode()).hexdigest()


def new_webhook_secret() -> str:
    """A secret of 256 bits in the spelling of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def webhook_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of Standard Webhooks 1.0.0: HMAC-SHA-256 of id, seconds since 1970 and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(signed).decode()


def new_token() -> str:
    """A random token of 256 bits, safe in a cookie."""
    return secrets.token_urlsafe(32)


def new_secret(length: int = 20) -> str:
    """A random password or shared secret of letters and digits that are not mistaken for one another."""
    return "".join(secrets.choice(_READABLE) for _ in range(length))


def new_code() -> str:
    """Six random digits, for a mail."""
    return f"{secrets.randbelow(10**6):06d}"


def same(one: str | bytes, other: str | bytes) -> bool:
    """Equal, in a time that tells nothing."""
    left = one.encode() if isinstance(one, str) else one
    right = other.encode() if isinstance(other, str) else other
    return hmac.compare_digest(left, right)
