"""Calling-Station-Id in one spelling, so that two packets of one subscriber compare equal. Pure."""

from __future__ import annotations

import re

from saas.radius.codec import CALLING_STATION_ID, VENDOR_SPECIFIC, Packet
from saas.values import normal_mac

_CISCO, _CISCO_AVPAIR = 9, 1
_CISCO_MAC = b"client-mac-address="

# AA-BB-CC-DD-EE-FF, aa:bb:…, aabb.ccdd.eeff (Huawei and H3C: with hyphens), aabbccddeeff; perhaps ":SSID" behind it
_MAC = re.compile(
    rb"(?:[0-9A-Fa-f]{2}([-:])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}([-.])[0-9A-Fa-f]{4}\2[0-9A-Fa-f]{4}"
    rb"|[0-9A-Fa-f]{12})(?::.*)?",
    re.DOTALL,
)
_NORMAL = re.compile(rb"(?:[0-9A-F]{2}-){5}[0-9A-F]{2}")
_MAPPED = re.compile(r"^::ffff:(?=\d+\.\d+\.\d+\.\d+$)")


def station_of(packet: Packet) -> str:
    """Where the subscriber of a packet calls from; "" when the device does not say.

    Cisco IOS has no Calling-Station-Id for PPPoE unless told to, and the hardware address in an AVPair.
    """
    first = packet.first
    if CALLING_STATION_ID in first or VENDOR_SPECIFIC not in first:
        return station(first.get(CALLING_STATION_ID))
    for vendor, number, octets in packet.vendor_attributes():
        if vendor == _CISCO and number == _CISCO_AVPAIR and octets.startswith(_CISCO_MAC):
            return station(octets[len(_CISCO_MAC) :])
    return ""


def station(octets: bytes | None) -> str:
    """A MAC address as AA-BB-CC-DD-EE-FF, an IPv4 address without its mapping into IPv6 (OpenVPN sends either),
    anything else (an IP address with a port, a telephone number) as it came.
    """
    if not octets:
        return ""
    text = octets.decode("utf-8", "replace")
    if _NORMAL.fullmatch(octets):
        return text
    return normal_mac(text) if _MAC.fullmatch(octets) else _MAPPED.sub("", text.strip())
