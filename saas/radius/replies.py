"""What an Access-Accept grants and how an Access-Reject says no, in attributes. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from struct import Struct
from typing import Final

from saas.i18n import N_, catalogue
from saas.radius.codec import attribute
from saas.radius.methods import ERROR_AUTHENTICATION, ERROR_DISABLED, ERROR_NO_DIALIN
from saas.radius.vendors import rates, vendor
from saas.tenants.access import LoginRecord

LEAST_INTERIM: Final = 60  # seconds (RFC 2869 section 5.16)

_TIMES: Final = Struct("!BBIBBI")  # Session-Timeout and Acct-Interim-Interval with their heads

GENERIC: Final = N_("Wrong user name or password.")
# What the subscriber reads, by the rule that failed. Only who knew the password is told more than GENERIC.
REASONS: Final[Mapping[str, str]] = {
    "status": N_("This account is not in use at present."),
    "nas": N_("Your plan cannot be used here."),
    "expiry": N_("Your plan has expired. Please renew."),
    "concurrency": N_("This account is in use already."),
}
_ERRORS: Final[Mapping[str, int]] = {
    "status": ERROR_DISABLED,
    "expiry": ERROR_DISABLED,
    "nas": ERROR_NO_DIALIN,
    "concurrency": ERROR_NO_DIALIN,
}


def grants(record: LoginRecord, vendor_key: str) -> bytes:
    """What depends on account and vendor alone: rates, and an address or a pool, never both; never Framed-Route."""
    granted = rates(vendor_key, record.up_rate, record.down_rate)
    if record.static_ip:
        name = "Framed-IPv6-Address" if ":" in record.static_ip else "Framed-IP-Address"
        return granted + attribute(name, record.static_ip)
    if record.address_pool:
        return granted + attribute("Framed-Pool", record.address_pool)
    return granted


def times(session_timeout: int, interim_interval: int, vendor_key: str) -> bytes:
    """Session-Timeout and Acct-Interim-Interval, seconds.

    The interval is lengthened by up to a tenth, so that sessions which begin together do not report together.
    """
    timeout = max(session_timeout, vendor(vendor_key).least_timeout)
    interval = max(interim_interval, LEAST_INTERIM)
    interval += int(random.random() * (interval // 10 + 1))
    return _TIMES.pack(27, 6, timeout, 85, 6, interval)


def refusal_text(reason: str, locale: str) -> str:
    """What the subscriber reads, in the tenant's language."""
    message = REASONS.get(reason, GENERIC)
    return catalogue(locale).get(message, message)


def error_code(reason: str) -> int:
    """What MS-CHAP calls the refusal."""
    return _ERRORS.get(reason, ERROR_AUTHENTICATION)
