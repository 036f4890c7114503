"""Words for the stable values that the consoles show: states, reasons, causes, kinds, actions. One place for each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from saas.handlers.columns import Column
from saas.handlers.messages import ERROR, FIELD, field_message, sentence
from saas.i18n import N_, Reader
from saas.tenants.accounts import PAY_METHODS
from saas.tenants.ledger import CARD
from saas.tenants.notices_texts import KINDS
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
METHODS: Mapping[str, str] = {**PAY_METHODS, CARD: N_("Recharge card")}
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
    "window": N_("Outside the hours"),
    "mac": N_("Other MAC address"),
    "vlan": N_("Other VLAN"),
    "concurrency": N_("Online already"),
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
    "stale": N_("Three updates were missed, so it was taken for lost"),
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
# RFC 2866 section 5.10.
TERMINATE_CAUSES: Mapping[str, str] = {
    "User-Request": N_("The subscriber hung up"),
    "Lost-Carrier": N_("The line was lost"),
    "Lost-Service": N_("The service went away"),
    "Idle-Timeout": N_("Idle for too long"),
    "Session-Timeout": N_("Session time used up"),
    "Admin-Reset": N_("Forced off"),
    "Admin-Reboot": N_("The device was restarted by hand"),
    "Port-Error": N_("Error on the port"),
    "NAS-Error": N_("Error in the device"),
    "NAS-Request": N_("Ended by the device"),
    "NAS-Reboot": N_("The device restarted"),
    "Port-Unneeded": N_("Port no longer needed"),
    "Port-Preempted": N_("Port taken by a more important session"),
    "Port-Suspended": N_("Port suspended"),
    "Service-Unavailable": N_("Service not available"),
    "Callback": N_("Hung up to call back"),
    "User-Error": N_("Error at the subscriber's side"),
    "Host-Request": N_("Ended by the host"),
}
NOTICE_KINDS: Mapping[str, str] = {key: kind.title for key, kind in KINDS.items()}
# Why a notice was not sent (outbox.py).
NOTICE_ERRORS: Mapping[str, str] = {
    "unreachable": N_("The server did not answer as it should"),
    "refused": N_("The server did not take it: is the address right?"),
    "answered": N_("The webhook answered with an error"),
    "not_public": N_("The webhook's address is not a public one"),
    "no_webhook": N_("There is no webhook any more"),
}
# What can be done to many accounts at once, what became of each, and why a run was stopped.
BULK_VERBS: Mapping[str, str] = {
    "renew": N_("Renew accounts"),
    "suspend": N_("Suspend accounts"),
    "resume": N_("Resume accounts"),
    "change_plan": N_("Change the plan of accounts"),
    "message": N_("Send a message"),
}
BULK_STATES: Mapping[str, str] = {"ok": N_("Done"), "refused": N_("Refused"), "waiting": N_("Not done")}
BULK_RUN_STATES: Mapping[str, str] = {"done": N_("Ended")}  # else the state's own word
BULK_REFUSALS: Mapping[str, str] = {
    "not_found": N_("The account has been deleted."),
    "bad_choice": N_("The plan is not on sale any more."),
}
BULK_REASONS: Mapping[str, str] = {
    "actor_gone": N_("Whoever asked for it may not log in any more, so it was stopped."),
    "denied": N_("Whoever asked for it does not have the permission any more, so it was stopped."),
    "tenant_stopped": N_("This system is stopped. Please ask the platform."),
}
ACTOR_KINDS: Mapping[str, str] = {
    "owner": N_("Cloud account"),
    "operator": N_("Operator"),
    "agent": N_("Agent"),
    "member": N_("Member"),
    "platform": N_("Platform"),
    "system": N_("System"),
}
NOUNS: Mapping[str, str] = {
    "account": N_("Account"),
    "authority": N_("Certificate authority"),
    "bulk": N_("Bulk operation"),
    "card": N_("Recharge card"),
    "certificate": N_("Certificate"),
    "charge": N_("Charge"),
    "cloud_account": N_("Cloud account"),
    "document": N_("Receipt or invoice"),
    "group": N_("Operator group"),
    "import": N_("Import"),
    "member": N_("Member"),
    "nas": N_("NAS device"),
    "notice": N_("Notice"),
    "notice_text": N_("Text of a notice"),
    "operator": N_("Operator"),
    "parameters": N_("Parameters"),
    "payment": N_("Payment"),
    "plan": N_("Plan"),
    "pool": N_("Pool"),
    "refund": N_("Refund"),
    "session": N_("Session"),
    "tenant": N_("Tenant"),
    "trace": N_("Trace"),
    "webhook": N_("Webhook"),
}
ACTIONS: Mapping[str, str] = {
    "account.activate": N_("Activated an account"),
    "account.add": N_("Topped up an account's traffic or time"),
    "account.auto_close": N_("Closed an account after a long suspension"),
    "account.auto_renew": N_("Renewed an account automatically"),
    "account.begin": N_("An account's time began with its first log-in"),
    "account.change_plan": N_("Changed an account's plan"),
    "account.close": N_("Closed an account"),
    "account.delete": N_("Deleted an account"),
    "account.keep_plan": N_("Called off a change of plan"),
    "account.learn": N_("Bound an account to its first line"),
    "account.line": N_("Changed an account's line"),
    "account.open": N_("Opened an account"),
    "account.password": N_("Changed an account's password"),
    "account.redeem": N_("Redeemed a recharge card for an account"),
    "account.release": N_("Released an account's binding"),
    "account.renew": N_("Renewed an account"),
    "account.renews": N_("Switched automatic renewal on"),
    "account.renews_not": N_("Switched automatic renewal off"),
    "account.resume": N_("Resumed an account"),
    "account.reveal_password": N_("Looked at an account's password"),
    "account.suspend": N_("Suspended an account"),
    "account.transfer": N_("Transferred an account to another member"),
    "authority.create": N_("Made the system's certificate authority"),
    "bulk.cancel": N_("Stopped a bulk operation"),
    "bulk.change_plan": N_("Asked for another plan of many accounts"),
    "bulk.message": N_("Asked for a message to many members"),
    "bulk.renew": N_("Asked for the renewal of many accounts"),
    "bulk.resume": N_("Asked to resume many accounts"),
    "bulk.suspend": N_("Asked to suspend many accounts"),
    "card.activate": N_("Activated recharge cards"),
    "card.codes": N_("Took out the codes of recharge cards"),
    "card.deactivate": N_("Deactivated recharge cards"),
    "card.expire": N_("Recharge cards expired"),
    "card.make": N_("Made recharge cards"),
    "card.void": N_("Voided recharge cards"),
    "certificate.create": N_("Issued a certificate"),
    "certificate.renew": N_("Renewed a certificate"),
    "certificate.revoke": N_("Revoked a certificate"),
    "charge.reverse": N_("Took a charge back"),
    "cloud_account.create": N_("Created a cloud account"),
    "cloud_account.own_password": N_("Changed the own password"),
    "document.issue": N_("Issued a receipt or an invoice"),
    "group.create": N_("Added an operator group"),
    "group.delete": N_("Deleted an operator group"),
    "group.update": N_("Changed an operator group"),
    "import.cancel": N_("Stopped an import"),
    "import.check": N_("Had a file of accounts looked at again"),
    "import.commit": N_("Imported accounts"),
    "import.left_out": N_("Took out the rows that were not imported"),
    "import.passwords": N_("Took out the passwords that an import made"),
    "import.undo": N_("Undid an import"),
    "import.upload": N_("Uploaded a file of accounts"),
    "member.redeem": N_("Redeemed a recharge card onto a member's balance"),
    "member.top_up": N_("Took money onto a member's balance"),
    "member.update": N_("Changed a member"),
    "nas.create": N_("Added a device"),
    "nas.delete": N_("Deleted a device"),
    "nas.disable": N_("Disabled a device"),
    "nas.enable": N_("Enabled a device"),
    "nas.secret": N_("Looked at a shared secret"),
    "nas.update": N_("Changed a device"),
    "notice.resend": N_("Sent a notice again"),
    "notice_text.create": N_("Wrote the text of a notice"),
    "notice_text.delete": N_("Went back to the default text of a notice"),
    "notice_text.update": N_("Changed the text of a notice"),
    "operator.create": N_("Added an operator"),
    "operator.delete": N_("Deleted an operator"),
    "operator.own_password": N_("Changed the own password"),
    "operator.update": N_("Changed an operator"),
    "parameters.logo": N_("Changed the logo"),
    "parameters.update": N_("Changed the parameters"),
    "payment.reverse": N_("Took a payment back"),
    "plan.create": N_("Added a plan"),
    "plan.delete": N_("Deleted a plan"),
    "plan.offer": N_("Offered a plan again"),
    "plan.retire": N_("Retired a plan"),
    "plan.update": N_("Changed a plan"),
    "pool.create": N_("Added a pool"),
    "pool.end_ports": N_("Gave up former ports of a pool"),
    "pool.retire": N_("Retired a pool"),
    "pool.update": N_("Changed a pool"),
    "refund.reverse": N_("Took a refund back"),
    "session.clear": N_("Cleared online rows"),
    "session.disconnect": N_("Forced a session off"),
    "session.speed": N_("Changed a session's speed"),
    "tenant.active": N_("Let a tenant run again"),
    "tenant.create": N_("Created a tenant"),
    "tenant.end_move": N_("Ended a tenant's transition to another pool"),
    "tenant.move": N_("Moved a tenant to another pool"),
    "tenant.stopped": N_("Stopped a tenant"),
    "trace.start": N_("Began to trace packets"),
    "webhook.rotate": N_("Made a new secret of the webhook"),
    "webhook.update": N_("Changed the webhook"),
    "trace.stop": N_("Stopped tracing packets"),
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
DEED_COLUMNS = (
    Column(N_("Time"), "at", "minute"),
    Column(N_("What"), "verb", words=DEEDS, role="title"),
    Column(N_("Amount"), "charged", "money"),
    Column(N_("Expires"), "expires_at", "minute"),
    Column(N_("By"), "actor_name"),
    Column(N_("Note"), "note"),
)


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
