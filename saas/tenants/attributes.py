"""RADIUS attributes that a plan adds to what its accounts are let in with: lines of text, one attribute each.

    Filter-Id = gold
    Mikrotik-Address-List = vip
    Service-Type = Framed

The dictionary is the engine's own. Of the standard attributes those alone may be given that say something of the
service and nothing of who is let in, for how long and with which address: these are the engine's, from the account and
the other fields of the plan. Of the vendors' all may be given but Microsoft's, which are keys and errors.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from saas.errors import Conflict

MOST: Final = 20  # attributes of a plan
MOST_OCTETS: Final = 1000  # of all of them: an Access-Accept has room for 4096, a datagram for less
_DICTIONARIES: Final = ("standard", "vendors")
_FORBIDDEN_VENDOR: Final = "Microsoft"
_STANDARD: Final = frozenset(
    {"Service-Type", "Framed-Protocol", "Framed-IP-Netmask", "Framed-Routing", "Framed-MTU", "Framed-Compression"}
    | {"Filter-Id", "NAS-Filter-Rule", "Login-IP-Host", "Login-IPv6-Host", "Login-Service", "Login-TCP-Port"}
    | {"Reply-Message", "Callback-Number", "Callback-Id", "Port-Limit", "Configuration-Token", "Connect-Info"}
    | {"Tunnel-Type", "Tunnel-Medium-Type", "Tunnel-Client-Endpoint", "Tunnel-Server-Endpoint"}
    | {"Tunnel-Private-Group-Id", "Tunnel-Assignment-Id", "Tunnel-Preference", "Tunnel-Client-Auth-Id"}
    | {"Tunnel-Server-Auth-Id", "Egress-VLANID", "Egress-VLAN-Name"}
    | {"DNS-Server-IPv6-Address", "Stateful-IPv6-Address-Pool"}
)

Value = str | int | bytes
Pairs = tuple[tuple[str, Value], ...]


class Attribute(NamedTuple):
    """An attribute of the dictionary. `vendor` "" is the standard space; `values`: names of numbers, in lower case."""

    name: str
    type: str
    tagged: bool
    vendor: str
    values: Mapping[str, int]

    @property
    def allowed(self) -> bool:
        """Whether a plan may give it."""
        return self.vendor != _FORBIDDEN_VENDOR if self.vendor else self.name in _STANDARD


@cache
def known() -> Mapping[str, Attribute]:
    """Every attribute of the engine's dictionary, by its name in lower case."""
    found: dict[str, Attribute] = {}
    named: dict[str, dict[str, int]] = {}
    vendor = ""
    for words in _dictionary_lines():
        if words[0] == "BEGIN-VENDOR":
            vendor = words[1]
        elif words[0] == "END-VENDOR":
            vendor = ""
        elif words[0] == "ATTRIBUTE":
            key, flags = words[1].lower(), words[4] if len(words) > 4 else ""
            found[key] = Attribute(words[1], words[3], "has_tag" in flags, vendor, named.setdefault(key, {}))
        elif words[0] == "VALUE":
            named.setdefault(words[1].lower(), {})[words[2].lower()] = int(words[3], 0)
    return found


@lru_cache(maxsize=10_000)
def pairs(text: str) -> Pairs:
    """The attributes of a plan's text, in order, with their values as the engine encodes them.

    Conflict("attribute_line", "attribute_unknown", "attribute_engines", "attribute_value") with the `line` that is
    meant, Conflict("attributes_many") with the limits.
    """
    found: list[tuple[str, Value]] = []
    octets = 0
    for line in filter(None, (line.strip() for line in text.splitlines())):
        attribute, value = _read(line)
        found.append((attribute.name, value))
        octets += len(value if isinstance(value, bytes) else str(value).encode()) + 8
    if len(found) > MOST or octets > MOST_OCTETS:
        raise Conflict("attributes_many", most=MOST, octets=MOST_OCTETS)
    return tuple(found)


def normal(text: str) -> str:
    """The text with names as the dictionary spells them, a line each. As `pairs`."""
    pairs(text)
    lines = (line.partition("=") for line in text.splitlines() if line.strip())
    return "\n".join(f"{known()[name.strip().lower()].name} = {value.strip()}" for name, _, value in lines)


def _read(line: str) -> tuple[Attribute, Value]:
    name, equals, text = (part.strip() for part in line.partition("="))
    if not equals or not name or not text:
        raise Conflict("attribute_line", line=line[:80])
    attribute = known().get(name.lower())
    if attribute is None:
        raise Conflict("attribute_unknown", line=name[:80])
    if not attribute.allowed:
        raise Conflict("attribute_engines", line=attribute.name)
    try:
        return attribute, _value(attribute, text)
    except ValueError:
        raise Conflict("attribute_value", line=line[:80], type=attribute.type) from None


def _value(attribute: Attribute, text: str) -> Value:
    """The value as the engine encodes it. ValueError when it is not of the attribute's type, or too long."""
    longest = 253 - (6 if attribute.vendor else 0) - attribute.tagged
    if attribute.type == "string":
        if len(text.encode()) > longest or not text.isprintable():
            raise ValueError(text)
        return text
    if attribute.type == "octets":
        octets = bytes.fromhex(text.removeprefix("0x"))
        if not 0 < len(octets) <= longest or not text.startswith("0x"):
            raise ValueError(text)
        return octets
    if attribute.type == "integer":
        number = attribute.values.get(text.lower())
        number = int(text, 10) if number is None else number
        if not 0 <= number < 2 ** (24 if attribute.tagged else 32):
            raise ValueError(text)
        return number
    addresses = {
        "ipaddr": ipaddress.IPv4Address,
        "ipv6addr": ipaddress.IPv6Address,
        "ipv6prefix": ipaddress.IPv6Network,
    }
    if attribute.type not in addresses:
        raise ValueError(text)
    return str(addresses[attribute.type](text))


def _dictionary_lines() -> Iterator[list[str]]:
    folder = files("saas") / "radius" / "dictionary"
    for name in _DICTIONARIES:
        for line in (folder / name).read_text().splitlines():
            words = line.partition("#")[0].split()
            if words:
                yield words
