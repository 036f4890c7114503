"""The Class attribute that we hand out and get back with accounting (RFC 2865 section 5.25).

It names account and concurrency slot, and is signed for one tenant: a device of another tenant cannot make use of it.
Text without spaces, because some devices keep no octets that are not.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

_PREFIX = "pns1"


class SessionToken(NamedTuple):
    """What a Class says; `slot` is "" where the account has no limit."""

    account_id: str
    slot: str


NONE = SessionToken("", "")


class Tokens:
    """Signs and reads with a key made for this purpose alone."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=12)

    def sign(self, tenant_id: str, account_id: str, slot: str) -> bytes:
        """The octets of a Class attribute; far below its 253."""
        body = f"{_PREFIX}.{account_id}.{slot}".encode()
        return body + b"." + self._mac(tenant_id, body)

    def read(self, tenant_id: str, classes: Iterable[bytes]) -> SessionToken:
        """The token among a packet's Class attributes; NONE when none is ours, whole and this tenant's."""
        for octets in classes:
            body, _, mac = octets.rpartition(b".")
            parts = body.split(b".")
            known = len(parts) == 3 and parts[0].decode("latin-1") == _PREFIX
            if known and hmac.compare_digest(mac, self._mac(tenant_id, body)):
                return SessionToken(parts[1].decode(), parts[2].decode())
        return NONE

    def _mac(self, tenant_id: str, body: bytes) -> bytes:
        mac = self._keyed.copy()  # keyed BLAKE2 is a MAC (RFC 7693 section 2.9), at half the cost of an HMAC
        mac.update(tenant_id.encode() + b"\0" + body)
        return mac.hexdigest().encode()
