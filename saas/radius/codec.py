"""The only door to pyrad: octets to Packet and back, attributes by number or by name.

`parse` is ours and lean: pyrad's packet classes cost ten times as much for a request. pyrad keeps the dictionary and
encodes and decodes values by type. Signing and hiding is authenticators.py.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from struct import Struct
from typing import Any, Final, NamedTuple

from pyrad.dictionary import Dictionary
from pyrad.tools import DecodeAttr, EncodeAttr

from saas.radius import wire

ACCESS_REQUEST: Final = 1
ACCESS_ACCEPT: Final = 2
ACCESS_REJECT: Final = 3
ACCOUNTING_REQUEST: Final = 4
ACCOUNTING_RESPONSE: Final = 5
ACCESS_CHALLENGE: Final = 11
STATUS_SERVER: Final = 12
DISCONNECT_REQUEST: Final = 40
DISCONNECT_ACK: Final = 41
DISCONNECT_NAK: Final = 42
COA_REQUEST: Final = 43
COA_ACK: Final = 44
COA_NAK: Final = 45

# The attributes that the path of a packet needs by number; everything else is asked for by name.
USER_NAME: Final = 1
USER_PASSWORD: Final = 2
CHAP_PASSWORD: Final = 3
NAS_IP_ADDRESS: Final = 4
STATE: Final = 24
CLASS: Final = 25
VENDOR_SPECIFIC: Final = 26
CALLING_STATION_ID: Final = 31
NAS_IDENTIFIER: Final = 32
PROXY_STATE: Final = 33
ACCT_STATUS_TYPE: Final = 40
ACCT_SESSION_ID: Final = 44
CHAP_CHALLENGE: Final = 60
EAP_MESSAGE: Final = 79
MESSAGE_AUTHENTICATOR: Final = 80
NAS_PORT_ID: Final = 87
MICROSOFT: Final = 311

HEADER: Final = 20
_pack_attribute: Final = Struct("!BB").pack  # number and length
MAX_PACKET: Final = 4096
MAX_VALUE: Final = 253

DICTIONARY: Final = Dictionary(str(files("saas.radius") / "dictionary" / "dictionary"))


class BadPacket(ValueError):
    """A packet that is dropped without an answer; `reason` is the stable key under which it is counted."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Definition(NamedTuple):
    """An attribute of the dictionary; `vendor` 0 is the standard space."""

    vendor: int
    number: int
    type: str
    tagged: bool


@lru_cache(maxsize=1024)
def definition(name: str) -> Definition:
    """The definition of an attribute. KeyError when the dictionary has no such name."""
    found = DICTIONARY[name]
    return Definition(DICTIONARY.vendors.GetForward(found.vendor), found.code, found.type, found.has_tag)


@lru_cache(maxsize=1024)
def name_of(vendor: int, number: int) -> str:
    """The name of an attribute, "" when the dictionary does not know it; `vendor` 0 is the standard space."""
    key = (vendor, number) if vendor else number
    known = DICTIONARY.attrindex
    return str(known.GetBackward(key)) if known.HasBackward(key) else ""


class Packet:
    """A RADIUS packet as received (RFC 2865 section 3).

    `raw` is cut to the Length field. `first` maps an attribute's number to its first value, in the order of the
    packet; `more` holds the repeated ones. `proof_at` is where the Message-Authenticator attribute begins, 0 if none.
    """

    __slots__ = ("_vendors", "authenticator", "code", "first", "id", "more", "proof_at", "raw")

    def __init__(self, raw: bytes, first: dict[int, bytes], more: list[tuple[int, bytes]], proof_at: int) -> None:
        self.raw = raw
        self.code = raw[0]
        self.id = raw[1]
        self.authenticator = raw[4:20]
        self.first = first
        self.more = more
        self.proof_at = proof_at
        self._vendors: list[tuple[int, int, bytes]] | None = None

    def all(self, number: int) -> list[bytes]:
        """Every value of a standard attribute, in order."""
        if number not in self.first:
            return []
        return [self.first[number], *(value for kind, value in self.more if kind == number)]

    def vendor(self, vendor: int, number: int) -> bytes | None:
        """The first value of a vendor's attribute, or None."""
        for pen, kind, value in self.vendor_attributes():
            if kind == number and pen == vendor:
                return value
        return None

    def vendor_attributes(self) -> list[tuple[int, int, bytes]]:
        """(vendor, number, value) of what Vendor-Specific holds (RFC 2865 section 5.26), in order.

        A vendor may have a format of its own, so what does not fit the recommended one is left out, not refused.
        """
        if self._vendors is None:
            self._vendors = [found for value in self.all(VENDOR_SPECIFIC) for found in vendor_parts(value)]
        return self._vendors

    def value(self, name: str) -> Any:
        """The first value of the named attribute, decoded by its type; None when absent or not of that type.

        string -> str, octets -> bytes, integer and date -> int, addresses and prefixes -> str.
        """
        vendor, number, kind, tagged = definition(name)
        octets = self.vendor(vendor, number) if vendor else self.first.get(number)
        return None if octets is None else _decode(kind, tagged, octets)

    def values(self, name: str) -> list[Any]:
        """Every value of the named attribute, decoded; what is not of its type is left out."""
        vendor, number, kind, tagged = definition(name)
        if vendor:
            found = [octets for pen, code, octets in self.vendor_attributes() if (pen, code) == (vendor, number)]
        else:
            found = self.all(number)
        decoded = (_decode(kind, tagged, octets) for octets in found)
        return [value for value in decoded if value is not None]


def parse(data: bytes) -> Packet:
    """The packet in a datagram. Octets behind Length are padding and ignored (RFC 2865 section 3).

    BadPacket "too_short": fewer octets than a header or than Length says; "bad_length": Length below 20 or above
    4096; "bad_attribute": one that is cut off or shorter than its own head, or a Message-Authenticator that is not
    16 octets or comes twice.
    """
    found = wire.split(data)
    if isinstance(found, str):
        raise BadPacket(found)
    length, first, more, proof_at = found
    if length < len(data):
        data = data[:length]
    return Packet(data, first, more, proof_at)


def attribute(name: str, value: Any) -> bytes:
    """The attribute as octets, a vendor's one inside Vendor-Specific. ValueError or TypeError when it does not fit."""
    vendor, number, kind, tagged = definition(name)
    octets = bytes(value) if kind == "octets" else EncodeAttr(kind, value)
    if tagged:
        octets = b"\0" + octets[1 if kind == "integer" else 0 :]
    return vendor_attribute(vendor, number, octets) if vendor else plain(number, octets)


def attributes(*pairs: tuple[str, Any]) -> bytes:
    """Several attributes, in order."""
    return b"".join(attribute(name, value) for name, value in pairs)


def plain(number: int, octets: bytes) -> bytes:
    """A standard attribute of these octets."""
    if len(octets) > MAX_VALUE:
        raise ValueError("attribute too long")
    head: bytes = _pack_attribute(number, len(octets) + 2)
    return head + octets


def vendor_attribute(vendor: int, number: int, octets: bytes) -> bytes:
    """A vendor's attribute of these octets."""
    return plain(VENDOR_SPECIFIC, vendor.to_bytes(4, "big") + bytes((number, len(octets) + 2)) + octets)


def text(octets: bytes | None) -> str:
    """The text of a string attribute; octets that are not UTF-8 become U+FFFD. None is ""."""
    return octets.decode("utf-8", "replace") if octets else ""


@lru_cache(maxsize=64)
def value_names(name: str) -> dict[int, str]:
    """The names that an integer attribute's numbers have: {1: "Start", …} for "Acct-Status-Type"."""
    values = DICTIONARY[name].values.forward
    return {int.from_bytes(octets, "big"): str(key) for key, octets in values.items()}


def decode(name: str, octets: bytes) -> Any:
    """The value of the named attribute, see Packet.value; None when the octets are not of its type."""
    _, _, kind, tagged = definition(name)
    return _decode(kind, tagged, octets)


def _decode(kind: str, tagged: bool, octets: bytes) -> Any:
    if tagged and octets:
        # RFC 2868 section 3.1: a first octet above 0x1F belongs to the text; an integer always has its tag
        if kind == "integer":
            octets = b"\0" + octets[1:]
        elif octets[0] <= 0x1F:
            octets = octets[1:]
    if kind == "string":
        return octets.decode("utf-8", "replace")
    try:
        return DecodeAttr(kind, octets)
    except ValueError:
        return None


def vendor_parts(value: bytes) -> list[tuple[int, int, bytes]]:
    """(vendor, number, value) of what one Vendor-Specific holds; none when the vendor has a format of its own."""
    vendor = int.from_bytes(value[:4], "big")
    found = []
    at = 4
    while at + 2 <= len(value):
        after = at + value[at + 1]
        if after < at + 2 or after > len(value):
            break
        found.append((vendor, value[at], value[at + 2 : after]))
        at = after
    return found
