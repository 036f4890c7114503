"""Calling-Station-Id in one spelling, so that two packets of one subscriber compare equal. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from saas.values import normal_mac

# AA-BB-CC-DD-EE-FF, aa:bb:…, aabb.ccdd.eeff, aabbccddeeff; perhaps ":SSID" behind it
_MAC = re.compile(
    rb"(?:[0-9A-Fa-f]{2}([-:])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
    rb"|[0-9A-Fa-f]{12})(?::.*)?",
    re.DOTALL,
)
_MAPPED = re.compile(r"^::ffff:(?=\d+\.\d+\.\d+\.\d+$)")


@lru_cache(maxsize=65_536)
def station(octets: bytes | None) -> str:
    """A MAC address as AA-BB-CC-DD-EE-FF, an IPv4 address without its mapping into IPv6 (OpenVPN sends either),
    anything else (an IP address with a port, a telephone number) as it came.
    """
    if not octets:
        return ""
    text = octets.decode("utf-8", "replace")
    return normal_mac(text) if _MAC.fullmatch(octets) else _MAPPED.sub("", text.strip())
