"""Small values used everywhere: ids, clocks, money, addresses. Pure."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: sorts like the number it spells
_MAC = re.compile(r"([0-9A-Fa-f]{2})[-:.]?" * 5 + r"([0-9A-Fa-f]{2})")
_last_id = 0


def utcnow() -> datetime:
    """The present moment, aware, cut to milliseconds: the precision the store keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def from_epoch(seconds: float) -> datetime:
    """The aware UTC moment of `seconds` since 1970, cut to milliseconds."""
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)


def new_id(kind: str) -> str:
    """A new id such as ``acc_01kc3q…``: 48 bits of milliseconds, 80 random bits.

    A later id of this process sorts behind an earlier one, also within a millisecond and when the clock steps back.
    """
    global _last_id
    number = _last_id = max(int(time.time() * 1000) << 80 | secrets.randbits(80), _last_id + 1 + secrets.randbits(32))
    return f"{kind}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def first_id(kind: str, moment: datetime) -> str:
    """The least id that `new_id` can make at `moment`: every id that sorts behind it is of then or later."""
    number = int(moment.timestamp() * 1000) << 80
    return f"{kind}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def made_at(row_id: str) -> datetime:
    """When `new_id` made an id."""
    number = 0
    for sign in row_id.partition("_")[2]:
        number = number << 5 | _ALPHABET.index(sign)
    return from_epoch((number >> 80) / 1000)


def parse_money(text: str) -> int:
    """Minor units of a decimal text: "30" -> 3000, "0.5" -> 50. ValueError for more than two decimals or nonsense."""
    try:
        amount = Decimal(text.strip().replace(",", ""))
    except InvalidOperation:
        raise ValueError("not_a_number") from None
    if not amount.is_finite() or abs(amount) > Decimal(10) ** 13:
        raise ValueError("not_a_number")
    minor = amount * 100
    if minor != minor.to_integral_value():
        raise ValueError("too_many_decimals")
    return int(minor)


def money_text(minor: int) -> str:
    """The plain decimal of minor units: 3000 -> "30.00", -5 -> "-0.05"."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def normal_address(text: str) -> str:
    """The one spelling of an IPv4 or IPv6 address; IPv4 mapped into IPv6 becomes IPv4. ValueError if it is none."""
    address = ipaddress.ip_address(text.strip().partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def normal_mac(text: str) -> str:
    """``AA-BB-CC-DD-EE-FF`` from any usual spelling, also with ``:SSID`` behind it; "" when there is none."""
    found = _MAC.match(text.strip())
    return "-".join(found.groups()).upper() if found else ""


def normal_username(text: str) -> str:
    """The one spelling of a user name: without outer white space and a leading ``DOMAIN\\``, in lower case.

    A realm behind "@" is part of the name. Names are unique in a tenant by this spelling.
    """
    return text.strip().rpartition("\\")[2].strip().lower()
