"""Device types: what people call them, what such a device can do in the middle of a session, what to know of it.

How each is spoken to, in attributes and units, is the engine's (radius/vendors.py), under the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from saas.i18n import N_

COA_PORT: Final = 3799  # RFC 5176 section 2


@dataclass(frozen=True, slots=True)
class DeviceType:
    """`live`: takes a new speed during a session (CoA-Request); `disconnect`: ends a session when told to
    (Disconnect-Request). `least_timeout`, seconds: a shorter Session-Timeout does harm, so a session's real end is
    brought about by Disconnect. `coa_port`: where it usually listens. Message ids: `name`; `force_off`, what one has to
    know before a session is forced off; `notes`, what else.
    """

    name: str
    live: bool = True
    disconnect: bool = True
    least_timeout: int = 1
    coa_port: int = COA_PORT
    force_off: str = ""
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Everything that one has to know of it."""
        return (self.force_off, *self.notes) if self.force_off else self.notes


_NAMED_SERVICE = N_(
    "Speed is told as the service openpns with two parameters, upload and download in bit/s: define one of that name "
    "on the device."
)
_NAMED_PROFILE = N_(
    "Speed is told as the name of an SLA profile, upload first, for example 5M-20M: define one for each plan."
)
_NOT_LIVE_CISCO = N_(
    "It reads the speed when a session begins. A new speed takes effect at the next log-in: force the session off."
)
_OLD_IKUAI = N_("Old versions know no standard way to force off.")
TYPES: Final[Mapping[str, DeviceType]] = {
    "openvpn": DeviceType(
        N_("OpenVPN"),
        live=False,
        disconnect=False,
        force_off=N_(
            "The RADIUS plugin ends no session, neither when its time is over nor when it is told to, and knows no "
            "speed limits. To force somebody off, use kill in OpenVPN's management interface."
        ),
    ),
    "strongswan": DeviceType(
        N_("strongSwan (IKEv2)"),
        live=False,
        least_timeout=3600,
        force_off=N_(
            "It finds sessions by user name alone: whoever is forced off loses all sessions of that name. Speed is not "
            "limited by it."
        ),
        notes=(
            N_(
                "A session time below one hour would make its clients log in again and again. So it is told one hour "
                "at least, and a session whose time is over is forced off."
            ),
        ),
    ),
    "pptpd": DeviceType(
        N_("pptpd / xl2tpd (pppd)"),
        force_off=N_("pppd itself listens for no requests: forcing off and new speeds need a helper beside it."),
    ),
    "mikrotik": DeviceType(N_("MikroTik RouterOS")),
    "accel-ppp": DeviceType("accel-ppp"),
    "mpd": DeviceType("mpd5 (FreeBSD)"),
    "cisco": DeviceType(N_("Cisco IOS"), live=False, coa_port=1700, notes=(_NOT_LIVE_CISCO,)),
    "cisco-isg": DeviceType(
        N_("Cisco IOS XE (ISG)"),
        coa_port=1700,
        notes=(N_("Sessions need a policy map with class-default in class-default; its policer gets the speed."),),
    ),
    "juniper": DeviceType(N_("Juniper (ERX, MX)"), notes=(_NAMED_SERVICE,)),
    "nokia": DeviceType(
        N_("Nokia SR OS"),
        notes=(
            _NAMED_PROFILE,
            N_("Usage is read from the standard counters: switch std-acct-attributes on in its accounting policy."),
        ),
    ),
    "huawei": DeviceType(N_("Huawei")),
    "h3c": DeviceType("H3C"),
    "zte": DeviceType(N_("ZTE (rates in kbit/s)")),
    "zte-bps": DeviceType(N_("ZTE (rates in bit/s)")),
    "ikuai": DeviceType(N_("iKuai (rates in kbit/s)"), force_off=_OLD_IKUAI),
    "ikuai-bps": DeviceType(N_("iKuai (rates in bit/s)"), force_off=_OLD_IKUAI),
    "panabit": DeviceType("Panabit"),
    "aruba": DeviceType("Aruba", live=False, notes=(N_("Its roles decide about speed."),)),
    "ruckus": DeviceType("Ruckus"),
    "chillispot": DeviceType(N_("ChilliSpot, CoovaChilli")),
    "wispr": DeviceType(N_("WISPr hotspot")),
    "ascend": DeviceType(N_("Ascend attributes")),
    "standard": DeviceType(
        N_("Other (standard attributes)"), live=False, notes=(N_("The standard knows no attribute for speed."),)
    ),
}
NAMES: Final[Mapping[str, str]] = {key: kind.name for key, kind in TYPES.items()}


def device_type(key: str) -> DeviceType:
    """The type of a key; an unknown one is taken for a standard device."""
    return TYPES.get(key, TYPES["standard"])
