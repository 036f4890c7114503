"""The only door to one-time codes by time (RFC 6238): SHA-1, six digits, one every 30 seconds, as all apps do it."""

from __future__ import annotations

import pyotp

from saas.security import same

SECONDS = 30
_DRIFT = (0, -1, 1)  # steps by which a clock may be wrong


def new_secret() -> str:
    """160 random bits in base 32, as RFC 4226 wants them."""
    return pyotp.random_base32()


def address(secret: str, name: str, issuer: str) -> str:
    """The otpauth address that an app takes the secret from, mostly as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def step(secret: str, code: str, now: float) -> int | None:
    """Which 30 seconds since 1970 have this code, of those around `now` (epoch seconds); None for a wrong code."""
    totp, present = pyotp.TOTP(secret), int(now) // SECONDS
    fits = [present + drift for drift in _DRIFT if same(totp.generate_otp(max(present + drift, 0)), code)]
    return fits[0] if fits else None
