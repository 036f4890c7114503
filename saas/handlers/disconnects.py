"""What came of an attempt to force a session off or to change its speed, in plain words: the answer, what it means,
what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saas.handlers.causes import ERROR_ADVICE, ERROR_CAUSES
from saas.i18n import N_, Reader
from saas.tenants import probes
from saas.tenants.disconnects import CommandResult


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


def probed(reader: Reader, result: CommandResult) -> Outcome:
    """The words for what a device answered when it was asked to end a session that nobody has."""
    if probes.hears(result):
        return Outcome("green", reader(N_("The device hears requests and believes them: forcing off works.")))
    if result.result == "nak":
        return _refused(reader, result.error_cause)
    text, heading, advice = _FAILED[result.result]
    return Outcome("red", reader(text, attempts=result.attempts), "", reader(heading), tuple(map(reader, advice)))


def rate(reader: Reader, bits: int | None) -> str:
    """A speed in words: 0 is not limited, None is not known."""
    return "—" if bits is None else reader.rate(bits)


def _refused(reader: Reader, cause: int | None) -> Outcome:
    text = N_("The device has refused (Error-Cause {cause}).") if cause else N_("The device has refused.")
    meaning = ERROR_CAUSES.get(cause or 0, N_("It does not say why."))
    advice = ERROR_ADVICE.get(cause or 0, "")
    heading = reader(_TO_DO) if advice else ""
    return Outcome("orange", reader(text, cause=cause), reader(meaning), heading, (reader(advice),) if advice else ())
