"""What an Access-Accept grants and how an Access-Reject says no, in attributes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from random import random
from struct import Struct
from typing import Final

from saas.i18n import N_, catalogue
from saas.radius.codec import attribute, attributes
from saas.radius.methods import ERROR_AUTHENTICATION, ERROR_DISABLED, ERROR_HOURS, ERROR_NO_DIALIN
from saas.radius.vendors import vendor
from saas.tenants.access import LoginRecord, octets_share

LEAST_INTERIM: Final = 60  # seconds (RFC 2869 section 5.16)

_pack_timeout: Final = Struct("!BBI").pack  # Session-Timeout with its head

GENERIC: Final = N_("Wrong user name or password.")
# What the subscriber reads, by the rule that failed. Only who knew the password is told more than GENERIC.
REASONS: Final[Mapping[str, str]] = {
    "pending": N_("This account is not active yet."),
    "status": N_("This account is not in use at present."),
    "nas": N_("Your plan cannot be used here."),
    "expiry": N_("Your plan has expired. Please renew."),
    "quota": N_("What your plan gives is used up."),
    "balance": N_("Your balance is used up. Please top up."),
    "window": N_("Your plan cannot be used at this time."),
    "mac": N_("Your device has changed. Please ask us."),
    "vlan": N_("Your line has changed. Please ask us."),
    "concurrency": N_("This account is in use already."),
}
_ERRORS: Final[Mapping[str, int]] = {
    "pending": ERROR_DISABLED,
    "status": ERROR_DISABLED,
    "expiry": ERROR_DISABLED,
    "quota": ERROR_DISABLED,
    "balance": ERROR_DISABLED,
    "window": ERROR_HOURS,
    "nas": ERROR_NO_DIALIN,
    "mac": ERROR_NO_DIALIN,
    "vlan": ERROR_NO_DIALIN,
    "concurrency": ERROR_NO_DIALIN,
}


class Grant:
    """What an Access-Accept gives an account at the devices of a vendor. `restricted`: as after its plan's end."""

    __slots__ = ("_least", "_octets", "restricted", "vendor")

    def __init__(self, record: LoginRecord, vendor_key: str, restricted: bool = False) -> None:
        self.vendor = vendor_key
        self.restricted = restricted
        given = restricted_grants(record, vendor_key) if restricted else grants(record, vendor_key)
        self._octets = given + attribute("Acct-Interim-Interval", _interval(record.interim_interval))
        self._least = vendor(vendor_key).least_timeout

    def attributes(self, session_timeout: int) -> bytes:
        """All of it, with Session-Timeout (seconds)."""
        timeout: bytes = _pack_timeout(27, 6, max(session_timeout, self._least))
        return timeout + self._octets


def grants(record: LoginRecord, vendor_key: str) -> bytes:
    """What depends on account and vendor alone: rates, what is left of the quota, addresses, what the plan adds; never
    Framed-Route.
    """
    told = vendor(vendor_key)
    return b"".join(
        (
            told.rates(record.up_rate, record.down_rate),
            told.octets(octets_share(record), record.counted),
            _addresses(record),
            _idle(record, vendor_key),
            attributes(*record.extra),
        )
    )


def restricted_grants(record: LoginRecord, vendor_key: str) -> bytes:
    """What a login gets whose plan has ended: its usual address at a low speed, or an address of another pool.

    A fixed address, anything of IPv6, and what the plan adds might lead around that pool or that speed.
    """
    if record.at_end == "slow":
        given = vendor(vendor_key).rates(record.end_up_rate, record.end_down_rate) + _addresses(record)
    else:
        given = vendor(vendor_key).rates(record.up_rate, record.down_rate) + attribute("Framed-Pool", record.end_pool)
    return given + _idle(record, vendor_key)


def _addresses(record: LoginRecord) -> bytes:
    """An address or a prefix where one is fixed, the plan's pool of the same family otherwise, never both."""
    prefix = "/" in record.static_ipv6
    pairs = (
        ("Framed-IP-Address", record.static_ip),
        ("Framed-Pool", "" if record.static_ip else record.address_pool),
        ("Framed-IPv6-Prefix" if prefix else "Framed-IPv6-Address", record.static_ipv6),
        ("Framed-IPv6-Pool", "" if record.static_ipv6 else record.ipv6_pool),
        ("Delegated-IPv6-Prefix", record.delegated_prefix),
        ("Delegated-IPv6-Prefix-Pool", "" if record.delegated_prefix else record.delegated_pool),
    )
    return attributes(*((name, value) for name, value in pairs if value))


def _idle(record: LoginRecord, vendor_key: str) -> bytes:
    """Idle-Timeout; and Termination-Action, so that at the end of its time a device asks again instead of hanging up.

    That goes to the vendors alone that can ask again by themselves (RFC 3580 section 3.17).
    """
    idle = attribute("Idle-Timeout", record.idle_timeout) if record.idle_timeout else b""
    return idle + (attribute("Termination-Action", 1) if vendor(vendor_key).asks_again else b"")


def _interval(seconds: int) -> int:
    """Lengthened by up to a tenth, so that sessions which begin together do not report together."""
    interval = max(seconds, LEAST_INTERIM)
    return interval + int(random() * (interval // 10 + 1))


def refusal_text(reason: str, locale: str) -> str:
    """What the subscriber reads, in the tenant's language."""
    message = REASONS.get(reason, GENERIC)
    return catalogue(locale).get(message, message)


def error_code(reason: str) -> int:
    """What MS-CHAP calls the refusal."""
    return _ERRORS.get(reason, ERROR_AUTHENTICATION)
