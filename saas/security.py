"""The door to cryptography: password hashes, sealed secrets, signatures. X.509 stands in certs.py.

Keys are derived from the one secret key of the installation, one for each purpose, so that none can stand in for
another.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from Crypto.Hash import MD4
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
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
        self._seals: dict[str, AESGCM] = {}

    def key(self, purpose: str) -> bytes:
        """The 32-octet key of a purpose, such as "class" or "cursor"."""
        return HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(self._root)

    def seal(self, tenant_id: str, secret: str) -> bytes:
        """Encrypt a secret of a tenant (AES-256-GCM); it can be unsealed for this tenant only."""
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher(tenant_id).encrypt(nonce, secret.encode(), tenant_id.encode())

    def unseal(self, tenant_id: str, sealed: bytes) -> str:
        """The secret that `seal` was given. Unsealable when it was altered or sealed for another tenant."""
        try:
            return self._cipher(tenant_id).decrypt(sealed[:12], sealed[12:], tenant_id.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise Unsealable(tenant_id) from error

    def sign(self, purpose: str, data: bytes) -> bytes:
        """A 16-octet signature (HMAC-SHA-256, cut)."""
        return hmac.digest(self.key(purpose), data, "sha256")[:16]

    def _cipher(self, tenant_id: str) -> AESGCM:
        cipher = self._seals.get(tenant_id)
        if cipher is None:
            cipher = self._seals[tenant_id] = AESGCM(self.key(f"seal:{tenant_id}"))
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


def token_hash(token: str) -> str:
    """How a random token is stored, so that a look into the store gives none away."""
    return sha256(token.encode()).hexdigest()


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
