"""What came of an attempt to force a session off, in plain words: the answer, what it means, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saas.handlers.words import ERROR_CAUSES
from saas.i18n import N_, Reader


@dataclass(frozen=True, slots=True)
class Outcome:
    """`tone` green, orange, red or blue; what happened, what it means, what to check; "" or empty: nothing."""

    tone: str
    text: str
    meaning: str
    advice: tuple[str, ...] = ()


_NO_ANSWER = (
    N_("Dynamic authorization (CoA, Disconnect-Request) is switched off on the device."),
    N_("The CoA port set for the device is not the one it listens on; 3799 and 1700 are usual."),
    N_("The device stands behind NAT or a firewall: let UDP from this engine through to its CoA port."),
    N_("The shared secret for dynamic authorization is another one than for log-ins."),
)
# result -> what happened, what it means, what to do
_ELSE: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "ack": (N_("The device has accepted. The session ends as soon as the device reports it."), "", ()),
    "timeout": (
        N_("The device does not answer, after {attempts} tries."),
        N_("The session goes on. Likely causes:"),
        _NO_ANSWER,
    ),
    "radsec_timeout": (
        N_("The device did not answer down its RadSec connection."),
        N_("The session goes on. Likely causes:"),
        (
            N_("Dynamic authorization (CoA, Disconnect-Request) is switched off on the device."),
            N_("The device's RadSec client takes no requests: radsecproxy, for one, drops them."),
        ),
    ),
    "unreachable": (
        N_("The device's address is not known."),
        N_("The session goes on. What to do:"),
        (
            N_("Give the device a fixed address or a dynamic name, or wait for its next packet."),
            N_("A device that is known by its certificate alone is reached while it is connected."),
        ),
    ),
    "no_engine": (
        N_("No RADIUS engine took the request."),
        N_("The session goes on. What to do:"),
        (N_("See on the home page whether the engine of your pool is running, then try again."),),
    ),
    "waiting": (N_("The device's answer has not come yet."), "", ()),
}
_TONES = {"ack": "green", "nak": "orange", "waiting": "blue"}


def outcome(reader: Reader, attempt: Mapping[str, Any]) -> Outcome:
    """The words for an attempt on record (disconnects.Disconnect)."""
    result, cause = attempt["result"], attempt["error_cause"]
    tone = _TONES.get(result, "red")
    if result == "nak":
        text = N_("The device has refused (Error-Cause {cause}).") if cause else N_("The device has refused.")
        meaning = ERROR_CAUSES.get(cause, N_("It does not say why."))
        return Outcome(tone, reader(text, cause=cause), reader(meaning))
    text, meaning, advice = _ELSE[result]
    return Outcome(tone, reader(text, attempts=attempt["attempts"]), reader(meaning), tuple(map(reader, advice)))
