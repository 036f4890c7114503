"""What came of an attempt to force a session off or to change its speed, in plain words: the answer, what it means,
what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saas.i18n import N_, Reader

# RFC 5176 section 3.5: what the device says when it does not do what it is asked.
ERROR_CAUSES: Mapping[int, str] = {
    201: N_("The device had the rest of a session left, and has removed it."),
    202: N_("The device calls the packet invalid."),
    401: N_("The device does not understand one of the attributes."),
    402: N_("The device misses an attribute that it needs to find the session."),
    403: N_("The device says that it is not the one meant: its identifier or address differs."),
    404: N_("The device calls the request invalid."),
    405: N_("The device does not offer this service."),
    406: N_("The device does not support this kind of request."),
    407: N_("The device does not accept the value of an attribute."),
    501: N_("The device's settings forbid this."),
    502: N_("A proxy between here and the device does not know the way."),
    503: N_("The device knows no such session: it has ended there already, so it is taken off the online list."),
    504: N_("The device cannot end this session."),
    505: N_("A proxy between here and the device failed."),
    506: N_("The device has no resources left for this."),
    507: N_("The device has started to log the subscriber out."),
    508: N_("Several sessions fit, and the device takes only one at a time."),
}
_TYPE = N_("Set the device type to what the device really is: it decides which attributes are sent.")
_PROXY = N_("Look at the proxy that stands between here and the device.")
_INSTEAD = N_("Look for newer software of the device; for a new speed, force the session off instead.")
# What to do about it; nothing where nothing helps or needs to be done.
ERROR_ADVICE: Mapping[int, str] = {
    202: _TYPE,
    401: _TYPE,
    402: N_("Set the device type to what the device really is, and let it report address and port in its accounting."),
    403: N_("Let the device send the identifier that is registered here, and let its CoA port lead to no other one."),
    404: _TYPE,
    405: _INSTEAD,
    406: _INSTEAD,
    407: N_("Try a speed that the device can give; of types with two units, choose the other one."),
    501: N_("Allow dynamic authorization (CoA) from this engine in the device's settings."),
    502: _PROXY,
    504: N_("End it on the device itself."),
    505: _PROXY,
    506: N_("Try again in a moment."),
    508: N_("End them on the device itself, one by one."),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`tone` green, orange, red or blue; what happened, what it means, and under a heading what to check or to do;
    "" or empty: nothing.
    """

    tone: str
    text: str
    meaning: str = ""
    heading: str = ""
    advice: tuple[str, ...] = ()


_CAUSES = N_("Likely causes:")
_TO_DO = N_("What to do:")
_NO_ANSWER = (
    N_("Dynamic authorization (CoA, Disconnect-Request) is switched off on the device."),
    N_("The CoA port set for the device is not the one it listens on; 3799 and 1700 are usual."),
    N_("The device stands behind NAT or a firewall: let UDP from this engine through to its CoA port."),
    N_("The shared secret for dynamic authorization is another one than for log-ins."),
)
_ACCEPTED: Mapping[str, str] = {
    "disconnect": N_("The device has accepted. The session ends as soon as the device reports it."),
    "coa": N_("The device has accepted: {up} up, {down} down from now on."),
}
_GOES_ON: Mapping[str, str] = {
    "disconnect": N_("The session goes on."),
    "coa": N_("The session goes on at its old speed."),
}
# result -> what happened, the heading above what to do, what to do
_FAILED: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "timeout": (N_("The device does not answer, after {attempts} tries."), _CAUSES, _NO_ANSWER),
    "radsec_timeout": (
        N_("The device did not answer down its RadSec connection."),
        _CAUSES,
        (
            N_("Dynamic authorization (CoA, Disconnect-Request) is switched off on the device."),
            N_("The device's RadSec client takes no requests: radsecproxy, for one, drops them."),
        ),
    ),
    "unreachable": (
        N_("The device's address is not known."),
        _TO_DO,
        (
            N_("Give the device a fixed address or a dynamic name, or wait for its next packet."),
            N_("A device that is known by its certificate alone is reached while it is connected."),
        ),
    ),
    "no_engine": (
        N_("No RADIUS engine took the request."),
        _TO_DO,
        (N_("See on the home page whether the engine of your pool is running, then try again."),),
    ),
    "unsupported": (
        N_("Devices of this type take no new speed during a session."),
        _TO_DO,
        (N_("Force the session off: the new speed is good from the next log-in on."),),
    ),
}
KINDS: Mapping[str, str] = {"disconnect": N_("Force off"), "coa": N_("Change speed")}


def kind_of(attempt: Mapping[str, Any]) -> str:
    """ "disconnect" or "coa"."""
    return str(attempt.get("kind", "disconnect"))


def outcome(reader: Reader, attempt: Mapping[str, Any]) -> Outcome:
    """The words for an attempt on record (disconnects.Disconnect)."""
    result, kind = attempt["result"], kind_of(attempt)
    if result == "waiting":
        return Outcome("blue", reader(N_("The device's answer has not come yet.")))
    if result == "ack":
        rates = {"up": rate(reader, attempt.get("up_rate")), "down": rate(reader, attempt.get("down_rate"))}
        return Outcome("green", reader(_ACCEPTED[kind], **rates))
    if result == "nak":
        return _refused(reader, attempt["error_cause"])
    text, heading, advice = _FAILED[result]
    text = reader(text, attempts=attempt["attempts"])
    return Outcome("red", text, reader(_GOES_ON[kind]), reader(heading), tuple(map(reader, advice)))


def rate(reader: Reader, bits: int | None) -> str:
    """A speed in words: 0 is not limited, None is not known."""
    return "—" if bits is None else reader.rate(bits)


def _refused(reader: Reader, cause: int | None) -> Outcome:
    text = N_("The device has refused (Error-Cause {cause}).") if cause else N_("The device has refused.")
    meaning = ERROR_CAUSES.get(cause or 0, N_("It does not say why."))
    advice = ERROR_ADVICE.get(cause or 0, "")
    heading = reader(_TO_DO) if advice else ""
    return Outcome("orange", reader(text, cause=cause), reader(meaning), heading, (reader(advice),) if advice else ())
