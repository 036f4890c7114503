"""Packets in words: the names and values of their attributes, without anything secret. Pure.

Shown is what the dictionary knows to be harmless; the rest is named with its length alone. Hidden are passwords,
challenge responses and keys, also where they stand encrypted: the shared secret could be guessed from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from saas.radius import codec
from saas.radius.codec import EAP_MESSAGE, VENDOR_SPECIFIC, Packet, decode, definition, name_of, value_names
from saas.values import from_epoch

Attribute = tuple[str, str | None, int]  # name, text or None where it is not shown, octets

KINDS: Final = {
    codec.ACCESS_REQUEST: "Access-Request",
    codec.ACCESS_ACCEPT: "Access-Accept",
    codec.ACCESS_REJECT: "Access-Reject",
    codec.ACCOUNTING_REQUEST: "Accounting-Request",
    codec.ACCOUNTING_RESPONSE: "Accounting-Response",
    codec.ACCESS_CHALLENGE: "Access-Challenge",
    codec.STATUS_SERVER: "Status-Server",
    codec.DISCONNECT_REQUEST: "Disconnect-Request",
    codec.DISCONNECT_ACK: "Disconnect-ACK",
    codec.DISCONNECT_NAK: "Disconnect-NAK",
    codec.COA_REQUEST: "CoA-Request",
    codec.COA_ACK: "CoA-ACK",
    codec.COA_NAK: "CoA-NAK",
}
# Of type string, yet secret; attributes of type octets are hidden anyhow, but for these
_SECRET_TEXTS: Final = frozenset({"Tunnel-Password", "Digest-Response", "Digest-Response-Auth", "Configuration-Token"})
_HARMLESS: Final = frozenset({"Chargeable-User-Identity"})
_SECRET_PAIR: Final = re.compile(r"pass|secret|key|psk", re.IGNORECASE)  # in a text of the form name=value
_FIELDS: Final = re.compile(r"\bC=[0-9A-Fa-f]+ ?")  # the challenge in MS-CHAP-Error
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_EAP_CODES: Final = {1: "Request", 2: "Response", 3: "Success", 4: "Failure"}
_EAP_TYPES: Final = {
    1: "Identity",
    2: "Notification",
    3: "Nak",
    4: "MD5-Challenge",
    6: "GTC",
    13: "TLS",
    21: "TTLS",
    25: "PEAP",
    26: "MSCHAPv2",
}


def attributes(packet: Packet) -> list[Attribute]:
    """The attributes of a packet in their order; what EAP-Message holds in pieces is one."""
    found: list[Attribute] = []
    eap = b"".join(packet.all(EAP_MESSAGE))
    for number, octets in _parts(packet.raw):
        if number == EAP_MESSAGE:
            if eap:
                found.append(("EAP-Message", _eap(eap), len(eap)))
            eap = b""
        elif number == VENDOR_SPECIFIC:
            found += _vendors(octets)
        else:
            found.append(_attribute(name_of(0, number) or f"Attribute-{number}", octets))
    return found


def _parts(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = codec.HEADER
    while at + 2 <= len(raw):
        after = at + raw[at + 1]
        yield raw[at], raw[at + 2 : after]
        at = after


def _vendors(octets: bytes) -> list[Attribute]:
    parts = codec.vendor_parts(octets)
    if not parts:
        return [("Vendor-Specific", None, len(octets))]
    return [_attribute(name_of(pen, number) or f"Vendor-{pen}-{number}", value) for pen, number, value in parts]


def _attribute(name: str, octets: bytes) -> Attribute:
    return name, _text(name, octets), len(octets)


def _text(name: str, octets: bytes) -> str | None:
    if name == "MS-CHAP-Error":  # an identifier, then text
        return _printable(_FIELDS.sub("", octets[1:].decode("utf-8", "replace")))
    try:
        kind = definition(name).type
    except KeyError:
        return None
    if kind == "octets":
        return octets.hex() if name in _HARMLESS else None
    value = decode(name, octets)
    if value is None or name in _SECRET_TEXTS:
        return None
    if kind == "string":
        left, equals, _ = str(value).partition("=")
        return None if equals and _SECRET_PAIR.search(left) else _printable(str(value))
    if kind == "integer" and value in value_names(name):
        return f"{value_names(name)[value]} ({value})"
    if kind == "date":
        return f"{from_epoch(value):%Y-%m-%d %H:%M:%S} UTC"
    return str(value)


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def _eap(octets: bytes) -> str | None:
    """Code, identifier and method (RFC 3748 section 4); of the content only an identity and the methods wished for."""
    if len(octets) < 4 or octets[0] not in _EAP_CODES:
        return None
    words = f"{_EAP_CODES[octets[0]]} {octets[1]}"
    if len(octets) == 4:
        return words
    method, data = octets[4], octets[5:]
    words += f", {_EAP_TYPES.get(method, f'type {method}')}"
    if method == 1 and data:
        return f"{words} {_printable(data.decode('utf-8', 'replace'))}"
    if method == 3:
        return f"{words}, wants {' '.join(_EAP_TYPES.get(wish, str(wish)) for wish in data)}"
    return words
