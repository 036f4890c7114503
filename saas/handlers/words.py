"""Words for the stable values that the consoles show: states, reasons, causes, kinds, actions. One place for each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from saas.handlers.messages import ERROR, FIELD, field_message, sentence
from saas.i18n import N_, Reader
from saas.tenants.accounts import PAY_METHODS
from saas.tenants.ledger import CARD, USE
from saas.values import utcnow

LEDGER_KINDS: Mapping[str, str] = {
    "payment": N_("Payment"),
    "charge": N_("Charge"),
    "refund": N_("Refund"),
    "gift": N_("Gift"),
    "adjustment": N_("Adjustment"),
    "transfer": N_("Transfer"),
    "opening": N_("Opening balance"),
}
METHODS: Mapping[str, str] = {**PAY_METHODS, CARD: N_("Recharge card"), USE: N_("Use of sessions")}
DOCUMENTS: Mapping[str, str] = {
    "receipt": N_("Receipt"),
    "invoice": N_("Invoice"),
    "credit_note": N_("Credit note"),
}

# Why a login was refused: the name of the rule that failed first (access.decide), in a few words.
REASONS: Mapping[str, str] = {
    "tenant": N_("System stopped"),
    "account": N_("No such account"),
    "password": N_("Wrong password"),
    "method": N_("Method not possible"),
    "eap": N_("EAP dialogue broken off"),
    "pending": N_("Account not active yet"),
    "status": N_("Account not in use"),
    "nas": N_("Plan not for this device"),
    "guarded": N_("Too many wrong passwords"),
    "expiry": N_("Plan expired"),
    "quota": N_("Quota used up"),
    "balance": N_("Balance used up"),
    "window": N_("Outside the hours"),
    "mac": N_("Other MAC address"),
    "vlan": N_("Other VLAN"),
    "concurrency": N_("Online already"),
}
# By what a device asked.
AUTH_METHODS: Mapping[str, str] = {
    "pap": "PAP",
    "chap": "CHAP",
    "mschapv1": "MS-CHAPv1",
    "mschapv2": "MS-CHAPv2",
    "eap": "EAP",
    "eap-md5": "EAP-MD5",
    "eap-mschapv2": "EAP-MSCHAPv2",
}
# How the first thing known of a session was told, and who ended it.
START_SOURCES: Mapping[str, str] = {
    "start": N_("The device reported the start"),
    "interim": N_("Reckoned back from an interim update: the start was not received"),
    "stop": N_("Reckoned back from the end: the start was not received"),
}
STOP_SOURCES: Mapping[str, str] = {
    "stop": N_("The device reported the end"),
    "on": N_("The device reported that it has started"),
    "off": N_("The device reported that it goes down"),
    "stale": N_("Its updates were missed for too long, so it was taken for lost"),
    "clear": N_("An operator cleared the device's rows"),
    "disconnect": N_("Asked to end it, the device knew of no such session"),
    "reused": N_("The device began another session under the same id"),
}
SESSION_FLAGS: Mapping[str, str] = {
    "reopened": N_("Taken for ended, then reported again"),
    "counter_wrapped": N_("A counter of the device wrapped at 4 GB; the total goes on"),
    "counter_reset": N_("A counter of the device began anew; the total goes on"),
    "counter_regressed": N_("A counter of the device fell; the higher figure stands"),
}
# Why a device's packets are dropped (the engine's drop reasons), and what to do about it.
DROPS: Mapping[str, tuple[str, str]] = {
    "bad_authenticator": (
        N_("Wrong shared secret"),
        N_(
            "Copy the shared secret to the device again: the two differ, if only by a space or a letter. "
            "Over RadSec the secret is always the word radsec."
        ),
    ),
    "secret_mismatch": (
        N_("Wrong shared secret"),
        N_("Copy the shared secret to the device again: the two differ, if only by a space or a letter."),
    ),
    "missing_message_authenticator": (
        N_("No Message-Authenticator"),
        N_("Let the device send it, give the device a fixed address here, or set Message-Authenticator to optional."),
    ),
    "unproven_proxy_state": (
        N_("Proxied without proof"),
        N_("A proxy forwards the requests without Message-Authenticator. Let it send one."),
    ),
    "rate_limited": (
        N_("Too many packets"),
        N_("This system's devices send more than its share. Look for one that repeats itself or guesses passwords."),
    ),
    "bad_length": (N_("Not RADIUS"), N_("What came down the RadSec connection is not RADIUS. It was closed.")),
    "bad_attribute": (
        N_("Malformed packet"),
        N_("An attribute is cut off or too short. See for an update of the device."),
    ),
    "unknown_code": (
        N_("Unknown kind of packet"),
        N_("The device sends something that is neither log-in nor accounting."),
    ),
    "unexpected_answer": (N_("Answer to nothing"), N_("The device answered a request twice, or too late.")),
    "tenant_disabled": (N_("System stopped"), N_("This system is stopped. Please ask the platform.")),
    "bad_request": (N_("Incomplete request"), N_("The device leaves out what a log-in needs, such as the user name.")),
    "duplicate_in_flight": (
        N_("Repeated too soon"),
        N_("The device repeats a request before the answer is there. Give it a time-out of 3 seconds or more."),
    ),
    "store_unavailable": (N_("Service not ready"), N_("The service could not look the account up. It tries again.")),
    "overload": (N_("Too many at once"), N_("More requests came than could be answered. The device repeats them.")),
}
# What an unknown device did: why the engine could not tell whose packet it was.
_UNPROVEN = ("bad_authenticator", "missing_message_authenticator", "unproven_proxy_state")
UNKNOWN_CAUSES: Mapping[str, str] = {
    "unknown_nas": N_("Not registered"),
    "unknown_certificate": N_("Certificate revoked, expired or unknown"),
    **{key: DROPS[key][0] for key in _UNPROVEN},
}
UNKNOWN_ADVICE: Mapping[str, str] = {
    "unknown_nas": N_("If it is yours, adopt it; or let the device send an identifier that is registered."),
    "unknown_certificate": N_("Issue a certificate on the device's page, and install it on the device."),
    **{key: DROPS[key][1] for key in _UNPROVEN},
}
# Every drop reason of the engine in a few words: of devices, of strangers, and of octets that are no packet.
DROPPED: Mapping[str, str] = {
    **UNKNOWN_CAUSES,
    **{key: words for key, (words, _) in DROPS.items()},
    "too_short": N_("Not a RADIUS packet"),
    "tls_handshake": N_("TLS handshake failed"),
    "internal_error": N_("Error on our side"),
}
# What can be done to many accounts at once, what became of each, and why a run was stopped.
BULK_VERBS: Mapping[str, str] = {
    "renew": N_("Renew accounts"),
    "suspend": N_("Suspend accounts"),
    "resume": N_("Resume accounts"),
    "change_plan": N_("Change the plan of accounts"),
    "message": N_("Send a message"),
    "kick": N_("Force users off"),
}
BULK_STATES: Mapping[str, str] = {"ok": N_("Done"), "refused": N_("Refused"), "waiting": N_("Not done")}
BULK_RUN_STATES: Mapping[str, str] = {"done": N_("Ended")}  # else the state's own word
BULK_REFUSALS: Mapping[str, str] = {
    "not_found": N_("The account has been deleted."),
    "bad_choice": N_("The plan is not on sale any more."),
    "not_forced_off": N_("The device did not end the session."),
}
BULK_REASONS: Mapping[str, str] = {
    "actor_gone": N_("Whoever asked for it may not log in any more, so it was stopped."),
    "denied": N_("Whoever asked for it does not have the permission any more, so it was stopped."),
    "tenant_stopped": N_("This system is stopped. Please ask the platform."),
}
# What was done to an account, as its own page says it.
DEEDS: Mapping[str, str] = {
    "activate": N_("Activated"),
    "renew": N_("Renewed"),
    "redeem": N_("Card redeemed"),
    "auto_close": N_("Closed after a long suspension"),
    "auto_renew": N_("Renewed automatically"),
    "renews": N_("Automatic renewal on"),
    "renews_not": N_("Automatic renewal off"),
    "add": N_("Topped up"),
    "begin": N_("First log-in"),
    "change_plan": N_("Plan changed"),
    "keep_plan": N_("Change of plan called off"),
    "suspend": N_("Suspended"),
    "resume": N_("Resumed"),
    "transfer": N_("Transferred"),
    "close": N_("Closed"),
}


def refusal(reader: Reader, code: str, data: Mapping[str, Any]) -> str:
    """Why one of many was refused, "" where it was not: mostly in the words of the page that does it to one alone."""
    if not code or code in BULK_REFUSALS:
        return reader(BULK_REFUSALS[code]) if code else ""
    return (
        field_message(reader, code, data) if code in FIELD and code not in ERROR else sentence(reader, code, 409, data)
    )


def expiry(reader: Reader, account: Mapping[str, Any]) -> str:
    """When an account ends, in words; of a quote or a preview too."""
    ends, term = account["expires_at"], account["term"]
    if term["waits"]:
        spans = ((term["months"], N_("{n} months")), (term["days"], N_("{n} days")))
        span = " ".join(reader(words, n=n) for n, words in spans if n)
        if account.get("status") == "pending":
            return reader(N_("{span} from when it is active"), span=span) if span else reader(N_("Not paid yet"))
        return reader(N_("{span} from the first log-in"), span=span)
    return reader.minute(ends) if ends else reader(N_("Never"))


def account_state(account: Mapping[str, Any], now: datetime | None = None) -> str:
    """The one word for an account: its status, or "expired" when only its plan has run out."""
    ended = account["expires_at"] is not None and account["expires_at"] <= (now or utcnow())
    return "expired" if ended and account["status"] == "normal" else str(account["status"])
