"""What an operation changed, in words: the titles are those of the forms, the values as everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel

from saas.handlers.forms.fields import FieldInfo, describe
from saas.handlers.log_words import NOUNS
from saas.handlers.messages import STATES
from saas.handlers.routes import actions
from saas.i18n import N_, Reader
from saas.tenants import (
    accounts,
    audit,
    card_making,
    lines,
    members,
    nas,
    notices_texts,
    operators,
    parameters,
    plans,
    pools,
    traces,
    user_checks,
    webhooks,
)


class AccountFields(lines.LineForm, accounts.QuickOpenForm):
    """What is set of an account, by whichever form."""


class DeviceFields(user_checks.UserCheckForm, nas.NasForm):
    """What is set of a device, by whichever form."""


_FORMS: Mapping[str, type[BaseModel]] = {
    "account": AccountFields,
    "card": card_making.BatchForm,
    "group": operators.GroupForm,
    "member": members.MemberForm,
    "nas": DeviceFields,
    "notice_text": notices_texts.TextForm,
    "operator": operators.OperatorForm,
    "parameters": parameters.ParametersForm,
    "plan": plans.PlanForm,
    "pool": pools.PoolForm,
    "trace": traces.TraceForm,
    "webhook": webhooks.WebhookForm,
}
# Fields that no form has.
_TITLES: Mapping[str, str] = {
    "account_id": N_("Account"),
    "activates_at": N_("Active from"),
    "address": N_("Address"),
    "attempts": N_("Tries"),
    "balance": N_("Balance"),
    "card": N_("Recharge card"),
    "closing_told_at": N_("Told of the closing"),
    "down_rate": N_("Download"),
    "ended_before": N_("Ended before"),
    "error_cause": N_("Error-Cause"),
    "expires_at": N_("Expires"),
    "fingerprint": N_("Fingerprint"),
    "former_ports": N_("Former ports"),
    "identifier": N_("NAS identifier"),
    "kind": N_("Kind"),
    "language": N_("Language"),
    "login": N_("Login name"),
    "logo": N_("Logo"),
    "member_name": N_("Real name"),
    "name": N_("Name"),
    "next_plan_id": N_("Next plan"),
    "nas_id": N_("NAS device"),
    "not_after": N_("Good until"),
    "note": N_("Note"),
    "octets_left": N_("Traffic left"),
    "password_hash": N_("Password"),
    "platform": N_("Platform"),
    "pool": N_("Pool"),
    "renews": N_("Automatic renewal"),
    "result": N_("Answer of the device"),
    "rtt_ms": N_("Round trip (ms)"),
    "sealed_nt_hash": N_("Password"),
    "sealed_password": N_("Password"),
    "sealed_secret": N_("Shared secret"),
    "seconds_left": N_("Online time left"),
    "serial": N_("Serial number"),
    "sessions": N_("Sessions"),
    "state": N_("State"),
    "status": N_("Status"),
    "suspended_at": N_("Suspended since"),
    "tier": N_("Tier"),
    "until": N_("Answers until"),
    "up_rate": N_("Upload"),
    "username": N_("Account name"),
    "valid_until": N_("Good until"),
}
# What permissions are about, by the beginning of their keys.
_PERMITTED: Mapping[str, str] = {
    "accounts": NOUNS["account"],
    "audit": N_("Operation log"),
    "cards": NOUNS["card"],
    "documents": NOUNS["document"],
    "ledger": N_("Ledger"),
    "members": NOUNS["member"],
    "nas": NOUNS["nas"],
    "operators": NOUNS["operator"],
    "parameters": NOUNS["parameters"],
    "plans": NOUNS["plan"],
    "sessions": NOUNS["session"],
}
_ROOM = 60  # characters of changes in a table
_RATES = ("up_rate", "down_rate", "end_up_rate", "end_down_rate")
_OCTETS = ("octets", "octets_left", "gift_octets")
_SECONDS = ("seconds", "seconds_left", "idle_timeout")
_UNTOLD = ("attempt", "agent_id", "initials", "member_id", "name_key", "term", "terms")  # of no use to a reader


class Line(NamedTuple):
    """A field that was changed. Of a list only what went and what came; `kept` says how much stayed."""

    title: str
    before: str
    after: str
    kept: int = 0


def changes_text(reader: Reader, entry: audit.Entry, names: Mapping[str, str]) -> str:
    """The same in one line, for a spreadsheet."""
    return "; ".join(f"{line.title}: {line.before} → {line.after}" for line in change_lines(reader, entry, names))


def changes_brief(reader: Reader, entry: audit.Entry, names: Mapping[str, str]) -> str:
    """What was there before and is something else now, for a table: as much as a cell has room for."""
    kept = {name: pair for name, pair in entry["changes"].items() if pair[0] not in (None, "", [])}
    text = changes_text(reader, {**entry, "changes": kept}, names)
    return text if len(text) <= _ROOM else f"{text[:_ROOM]}…"


def change_lines(reader: Reader, entry: audit.Entry, names: Mapping[str, str]) -> list[Line]:
    """The changes of an entry, a line for each field; a title that comes twice is told once.

    `names`: id -> name, for the ids that stand in fields.
    """
    form = _FORMS.get(entry["noun"])
    known = {info.name: info for info in describe(form)} if form else {}
    lines: dict[str, Line] = {}
    for name, (before, after) in entry["changes"].items():
        info = known.get(name)
        title = reader(info.title if info else _TITLES.get(name, name))
        if name not in _UNTOLD and title not in lines:
            before, after, kept = _apart(before, after)
            went, came = (_text(reader, name, info, _named(names, value)) for value in (before, after))
            lines[title] = Line(title, went, came, kept)
    return [line for line in lines.values() if line.before or line.after]


def _apart(before: Any, after: Any) -> tuple[Any, Any, int]:
    """Of two lists what went, what came, and how many stayed; anything else as it is."""
    if not isinstance(before, list) or not isinstance(after, list):
        return before, after, 0
    went, came = ([item for item in one if item not in other] for one, other in ((before, after), (after, before)))
    return went, came, len(after) - len(came)


def value_text(reader: Reader, form: type[BaseModel], name: str, value: Any) -> str:
    """A stored value of a form's field as the log prints it."""
    info = next(info for info in describe(form) if info.name == name)
    text = _text(reader, name, info, value)
    if value == 0 and info.hints.get("zero"):
        return text
    return f"{text} {reader(info.hints['unit'])}" if text and info.hints.get("unit") else text


def _named(names: Mapping[str, str], value: Any) -> Any:
    """Ids within a value as the names they stand for."""
    if isinstance(value, list):
        return [names.get(str(item), item) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _text(reader: Reader, name: str, info: FieldInfo | None, value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return reader(N_("yes") if value else N_("no"))
    if value == 0 and info and info.hints.get("zero"):
        return reader(info.hints["zero"])
    if isinstance(value, datetime):
        return reader.moment(value)
    if isinstance(value, list) and info and info.widget == "permissions":
        return ", ".join(permission_text(reader, item) for item in value)
    if isinstance(value, list):
        words = info.hints.get("labels", {}) if info else {}
        return ", ".join(reader(words.get(item, str(item))) for item in value)
    if name in _RATES:
        return reader.rate(int(value))
    if name in _OCTETS or name in _SECONDS:
        return reader.octets(value) if name in _OCTETS else reader.duration(value)
    if name == "balance" or (info and info.widget == "money"):
        return reader.money(int(value))
    if name == "tax_rate":
        return f"{value / 100:g} %"
    if name in ("status", "state") and value in STATES:
        return reader(STATES[value][0])
    if name == "vendor":
        return reader(nas.VENDORS.get(value, value))
    words = info.hints.get("labels", {}) if info else {}
    return reader(words.get(value, str(value))) if isinstance(value, str) else str(value)


def permission_text(reader: Reader, key: str) -> str:
    """A permission as the tree names it, such as "Plan: View"; a key of another version as it is."""
    noun = key.partition(":")[0]
    action = dict(actions(noun)).get(key)  # type: ignore[call-overload]
    return f"{reader(_PERMITTED[noun])}: {reader(action)}" if action and noun in _PERMITTED else key
