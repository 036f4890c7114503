"""What each vendor wants to hear: rates and quotas in its own attributes, and what identifies a session to it. Pure.

"Up" is from the subscriber: what the device receives, its input. A rate of 0 means none given and is never sent:
some devices take 0 for unlimited, others for nothing. Sources: the vendors' dictionaries and manuals; a unit about
which they disagree has two keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from saas.radius.codec import attribute, definition, vendor_attribute
from saas.tenants.device_types import TYPES

MAX_RATE: Final = 2**31 - 1  # many devices read the 32 bits as signed

Speed = tuple[int, int]  # up, down in bit/s from the subscriber's side; 0 = not limited
Rates = Callable[[int, int], bytes]
Octets = Callable[[int, str], bytes]


def _each(up_names: tuple[str, ...], down_names: tuple[str, ...], unit: int = 1) -> Rates:
    """A number for each direction, in `unit` bit/s, rounded up so that a small rate never becomes 0."""

    def rates(up: int, down: int) -> bytes:
        pairs = [(name, up) for name in up_names if up] + [(name, down) for name in down_names if down]
        return b"".join(attribute(name, min(-(-rate // unit), MAX_RATE)) for name, rate in pairs)

    return rates


def _mikrotik(up: int, down: int) -> bytes:
    """rx/tx as the router sees them: rx is the upload and comes first. A side without limit gets the largest rate."""
    if not up and not down:
        return b""
    return attribute("Mikrotik-Rate-Limit", f"{_short(up or MAX_RATE)}/{_short(down or MAX_RATE)}")


def _short(rate: int) -> str:
    rate = min(rate, MAX_RATE)
    if rate % 1_000_000 == 0:
        return f"{rate // 1_000_000}M"
    return f"{rate // 1_000}k" if rate % 1_000 == 0 else str(rate)


def _cisco(up: int, down: int) -> bytes:
    """Classic IOS. Bursts in octets: what fits into 1.5 s, and twice that."""
    lines = []
    for number, (direction, rate) in enumerate((("input", up), ("output", down)), start=1):
        if rate:
            rate = min(rate, MAX_RATE)
            burst = max(rate * 3 // 16, 8000)
            lines.append(
                f"lcp:interface-config#{number}=rate-limit {direction} {rate} {burst} {burst * 2}"
                " conform-action transmit exceed-action drop"
            )
    return b"".join(attribute("Cisco-AVPair", line) for line in lines)


def _accel(up: int, down: int) -> bytes:
    """accel-ppp's shaper reads Filter-Id as down/up in kbit/s."""
    if not up and not down:
        return b""
    up, down = (min(-(-(rate or MAX_RATE) // 1000), MAX_RATE) for rate in (up, down))
    return attribute("Filter-Id", f"{down}/{up}")


def _cisco_isg(up: int, down: int) -> bytes:
    """Parameterized QoS of IOS XE, bit/s: the policer of class-default within the parent's class-default. The session
    must have a policy map in both directions already.
    """
    pairs = (("in", up), ("out", down))
    lines = [
        f"qos-policy-{way}=add-class(sub,(class-default,class-default),police({min(rate, MAX_RATE)}))"
        for way, rate in pairs
        if rate
    ]
    return b"".join(attribute("Cisco-AVPair", line) for line in lines)


def _mpd(up: int, down: int) -> bytes:
    """mpd5: a rule for each direction of the interface, bit/s; in is what comes from the subscriber."""
    pairs = (("in", up), ("out", down))
    lines = [f"{way}#1#0=all shape {min(rate, MAX_RATE)} pass" for way, rate in pairs if rate]
    return b"".join(attribute("mpd-limit", line) for line in lines)


def _service(name: str, tag: bytes) -> Rates:
    """Juniper: a service with two parameters, bit/s, which the operator defines on the device once as openpns."""

    def rates(up: int, down: int) -> bytes:
        if not up and not down:
            return b""
        up, down = (min(rate or MAX_RATE, MAX_RATE) for rate in (up, down))
        vendor, number, _, _ = definition(name)
        return vendor_attribute(vendor, number, tag + f"openpns({up},{down})".encode())

    return rates


def _profile(up: int, down: int) -> bytes:
    """Nokia: an SLA profile that the operator has defined for each pair of speeds, named like 5M-20M."""
    if not up and not down:
        return b""
    return attribute("Alc-SLA-Prof-Str", "-".join(_word(rate) for rate in (up, down)))


def _word(rate: int) -> str:
    return _short(rate) if 0 < rate < MAX_RATE else "max"


def _no_rates(up: int, down: int) -> bytes:
    return b""


def _split(names: Mapping[str, str], low: str, high: str) -> Octets:
    """What a session may carry, as two attributes of 32 bits each; `names`: the direction that counts -> its word."""

    def octets(octets: int, counted: str) -> bytes:
        if not octets:
            return b""
        word, gigawords = names[counted], octets >> 32
        sent = attribute(low.format(word), octets & 0xFFFFFFFF)
        return sent + (attribute(high.format(word), gigawords) if gigawords else b"")

    return octets


def _pppd_octets(octets: int, counted: str) -> bytes:
    """One attribute of 32 bits: what does not fit is left to metering, or a session would end after 2 GB of many."""
    if not 0 < octets <= MAX_RATE:
        return b""
    direction = {"both": 0, "up": 1, "down": 2}[counted]
    return attribute("Session-Octets-Limit", octets) + attribute("Octets-Direction", direction)


def _no_octets(octets: int, counted: str) -> bytes:
    return b""


_HUAWEI = _each(
    ("Huawei-Input-Average-Rate", "Huawei-Input-Peak-Rate"), ("Huawei-Output-Average-Rate", "Huawei-Output-Peak-Rate")
)
_H3C = _each(("H3C-Input-Average-Rate", "H3C-Input-Peak-Rate"), ("H3C-Output-Average-Rate", "H3C-Output-Peak-Rate"))
_ZTE = ("ZTE-Rate-Ctrl-SCR-Up",), ("ZTE-Rate-Ctrl-SCR-Down",)
_RP = ("RP-Upstream-Speed-Limit",), ("RP-Downstream-Speed-Limit",)
_PPPD = ("PPPD-Upstream-Speed-Limit",), ("PPPD-Downstream-Speed-Limit",)
# the router's own view: it receives what the subscriber uploads
_MIKROTIK_OCTETS = _split(
    {"both": "Total", "up": "Recv", "down": "Xmit"}, "Mikrotik-{}-Limit", "Mikrotik-{}-Limit-Gigawords"
)
_CHILLI_OCTETS = _split(
    {"both": "Total", "up": "Input", "down": "Output"}, "ChilliSpot-Max-{}-Octets", "ChilliSpot-Max-{}-Gigawords"
)
_WISPR = ("WISPr-Bandwidth-Max-Up",), ("WISPr-Bandwidth-Max-Down",)
_CHILLI = ("ChilliSpot-Bandwidth-Max-Up",), ("ChilliSpot-Bandwidth-Max-Down",)

# What identifies a session in a Disconnect- or CoA-Request (RFC 5176 section 3). A device answers 401 to an attribute
# that it does not take for identification, so each vendor gets what it is known to take.
_COMMON = ("User-Name", "Acct-Session-Id", "NAS-Identifier", "NAS-IP-Address", "Framed-IP-Address")
_BY_ADDRESS = ("User-Name", "Acct-Session-Id", "NAS-IP-Address", "Framed-IP-Address")
_BY_ID = ("User-Name", "Acct-Session-Id")


@dataclass(frozen=True, slots=True)
class Vendor:
    """`rates` (up, down in bit/s) and `octets` (how many, of which direction; 0 = not limited) -> attributes;
    `identification`: names for Disconnect and CoA; `least_timeout` in seconds; `asks_again`: by itself, when the time
    is up; `live`: whether a session's speed can be changed by CoA; `undo`: what takes the old speed off before.
    """

    rates: Rates
    identification: tuple[str, ...] = _COMMON
    least_timeout: int = 1
    octets: Octets = _no_octets
    asks_again: bool = False
    live: bool = True
    undo: Rates = _no_rates


VENDORS: Final[Mapping[str, Vendor]] = {
    "standard": Vendor(_no_rates, live=False),  # no RFC knows an attribute for speed
    # without Framed-IP-Address a hotspot answers 503
    "mikrotik": Vendor(_mikrotik, _BY_ADDRESS, octets=_MIKROTIK_OCTETS),
    # a CoA that lowers the average rate alone may leave the peak rate as it was: all four go every time
    "huawei": Vendor(_HUAWEI, _BY_ADDRESS),
    "h3c": Vendor(_H3C, _BY_ADDRESS),
    "zte": Vendor(_each(*_ZTE, unit=1000)),
    "zte-bps": Vendor(_each(*_ZTE)),
    # the interface's lines are read when it is made, never again
    "cisco": Vendor(_cisco, _BY_ADDRESS, live=False),
    "cisco-isg": Vendor(_cisco_isg, _BY_ID),
    "juniper": Vendor(_service("ERX-Service-Activate", b"\1"), _BY_ID, undo=_service("ERX-Service-Deactivate", b"")),
    "nokia": Vendor(_profile, ("Acct-Session-Id",)),  # every key that it gets must fit
    "ikuai": Vendor(_each(*_RP, unit=1000)),
    "ikuai-bps": Vendor(_each(*_RP)),
    "panabit": Vendor(_mikrotik),
    "accel-ppp": Vendor(_accel, (*_COMMON, "Calling-Station-Id")),
    "mpd": Vendor(_mpd, _BY_ADDRESS),
    "pptpd": Vendor(_each(*_PPPD, unit=1000), octets=_pppd_octets),
    "openvpn": Vendor(_no_rates, live=False),
    # finds sessions by User-Name alone, and takes Session-Timeout for its own lifetime: below the sum of both sides'
    # over_time (2 x 1440 s) its clients reauthenticate without pause
    "strongswan": Vendor(_no_rates, ("User-Name",), TYPES["strongswan"].least_timeout, live=False),
    "wispr": Vendor(_each(*_WISPR)),
    "ruckus": Vendor(_each(*_WISPR), (*_COMMON, "Service-Type")),
    "chillispot": Vendor(_each(*_CHILLI, unit=1000), octets=_CHILLI_OCTETS),
    "ascend": Vendor(_each(("Ascend-Data-Rate",), ("Ascend-Xmit-Rate",))),
    # wants NAS-Port; speed is a matter of the role
    "aruba": Vendor(
        _no_rates,
        ("User-Name", "Acct-Session-Id", "Calling-Station-Id", "NAS-Port", "NAS-IP-Address"),
        asks_again=True,
        live=False,
    ),
}


def vendor(key: str) -> Vendor:
    """The vendor of a key; an unknown one is treated by the RFCs alone."""
    return VENDORS.get(key, VENDORS["standard"])


def rates(key: str, up: int, down: int) -> bytes:
    """The rate attributes of a vendor for `up` and `down` bit/s from the subscriber's side; 0 is none given."""
    return vendor(key).rates(up, down)


def change(key: str, speed: Speed, before: Speed | None = None) -> bytes:
    """What a CoA-Request says to change the speed of a session; b"" where the vendor knows no such change.

    A side that is not limited gets the largest rate: an attribute left out would leave the old limit. `before` is the
    speed that the session was given, None when it was given none.
    """
    known = vendor(key)
    if not known.live:
        return b""
    undone = known.undo(*(rate or MAX_RATE for rate in before)) if before else b""
    return undone + known.rates(*(rate or MAX_RATE for rate in speed))


def identification(key: str, session: Mapping[str, Any]) -> bytes:
    """What identifies a session to a vendor's device: attribute name -> value, empty ones are left out."""
    names = [name for name in vendor(key).identification if session.get(name) not in (None, "")]
    return b"".join(attribute(name, session[name]) for name in names)
