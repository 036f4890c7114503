"""The VLANs in a NAS-Port-Id (RFC 2869 section 5.17): a text that each vendor fills in its own way. Pure.

Known are ``slot/subslot/port:svlan.cvlan`` with or without words around it, and ``…;vlanid=…;vlanid2=…``. The number in
NAS-Port packs slot, port and VLAN differently from model to model and is not read.
"""

from __future__ import annotations

import re

_PATH = re.compile(rb"\s*(?:(?:eth|trunk)\s+)?(?:\d+/){2}\d+:(\d{1,5})(?:\.(\d{1,5}))?(?![\d.])", re.IGNORECASE)
_NAMED = re.compile(rb"(?:^|[\s;])vlanid=(\d{1,5})(?:;\s*vlanid2=(\d{1,5}))?(?:[\s;]|$)", re.IGNORECASE)
_GIVEN = re.compile(rb"(\d{1,5})(?:\.(\d{1,5}))?")
_NONE = (0, 4095, 4096)  # IEEE 802.1Q reserves two; devices write the third for a tag that is not there


def vlan_of(nas_port_id: bytes) -> str:
    """ "svlan.cvlan", "vlan" where there is only one, "" where there is none; in the order of the device."""
    return _tags(_PATH.match(nas_port_id) or _NAMED.search(nas_port_id))


def normal_vlan(text: str) -> str:
    """One or two VLANs as people write them, in the spelling of `vlan_of`; "" when it is neither."""
    return _tags(_GIVEN.fullmatch(text.strip().encode()))


def _tags(found: re.Match[bytes] | None) -> str:
    tags = [int(tag) for tag in found.groups() if tag] if found else []
    if max(tags, default=0) > max(_NONE):
        return ""
    return ".".join(str(tag) for tag in tags if tag not in _NONE)
