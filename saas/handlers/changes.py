"""What an operation changed, in words: the titles are those of the forms, the values as everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from saas.handlers.columns import Column
from saas.handlers.forms.fields import FieldInfo, describe
from saas.handlers.messages import STATES
from saas.i18n import N_, Reader
from saas.tenants import accounts, audit, lines, members, nas, operators, parameters, plans, pools


class AccountFields(lines.LineForm, accounts.QuickOpenForm):
    """What is set of an account, by whichever form."""


_FORMS: Mapping[str, type[BaseModel]] = {
    "account": AccountFields,
    "group": operators.GroupForm,
    "member": members.MemberForm,
    "nas": nas.NasForm,
    "operator": operators.OperatorForm,
    "parameters": parameters.ParametersForm,
    "plan": plans.PlanForm,
    "pool": pools.PoolForm,
}
# Fields that no form has.
_TITLES: Mapping[str, str] = {
    "account_id": N_("Account"),
    "expires_at": N_("Expires"),
    "former_ports": N_("Former ports"),
    "identifier": N_("NAS identifier"),
    "login": N_("Login name"),
    "logo": N_("Logo"),
    "member_name": N_("Real name"),
    "next_plan_id": N_("Next plan"),
    "nas_id": N_("NAS device"),
    "note": N_("Note"),
    "octets_left": N_("Traffic left"),
    "password_hash": N_("Password"),
    "pool": N_("Pool"),
    "sealed_nt_hash": N_("Password"),
    "sealed_password": N_("Password"),
    "sealed_secret": N_("Shared secret"),
    "seconds_left": N_("Online time left"),
    "status": N_("Status"),
    "suspended_at": N_("Suspended since"),
    "tier": N_("Tier"),
    "until": N_("Answers until"),
}
_RATES = ("up_rate", "down_rate", "end_up_rate", "end_down_rate")
_OCTETS = ("octets", "octets_left", "gift_octets")
_SECONDS = ("seconds", "seconds_left", "idle_timeout")
_UNTOLD = ("attempt", "agent_id", "member_id", "balance", "term", "terms")  # of no use to a reader, or in the ledger


CHANGE_COLUMNS = (
    Column(N_("Field"), "title", role="title"),
    Column(N_("Before"), "before"),
    Column(N_("After"), "after"),
)


def change_lines(reader: Reader, entry: audit.Entry, names: Mapping[str, str]) -> list[dict[str, str]]:
    """The changes of an entry for CHANGE_COLUMNS, one row a field; a title that comes twice is told once.

    `names`: id -> name, for the ids that stand in fields.
    """
    form = _FORMS.get(entry["noun"])
    known = {info.name: info for info in describe(form)} if form else {}
    lines: dict[str, dict[str, str]] = {}
    for name, (before, after) in entry["changes"].items():
        info = known.get(name)
        title = reader(info.title if info else _TITLES.get(name, name))
        if name not in _UNTOLD and title not in lines:
            texts = (_text(reader, name, info, _named(names, value)) for value in (before, after))
            lines[title] = dict(zip(("title", "before", "after"), (title, *texts), strict=True))
    return [line for line in lines.values() if line["before"] or line["after"]]


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
    if isinstance(value, datetime):
        return reader.moment(value)
    if isinstance(value, list):
        words = info.hints.get("labels", {}) if info else {}
        return ", ".join(reader(words.get(item, str(item))) for item in value)
    if name in _RATES:
        return reader.rate(int(value))
    if name in _OCTETS or name in _SECONDS:
        return reader.octets(value) if name in _OCTETS else reader.duration(value)
    if info and info.widget == "money":
        return reader.money(int(value))
    if name == "tax_rate":
        return f"{value / 100:g} %"
    if name == "status" and value in STATES:
        return reader(STATES[value][0])
    words = info.hints.get("labels", {}) if info else {}
    return reader(words.get(value, str(value))) if isinstance(value, str) else str(value)
