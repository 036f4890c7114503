"""The timeline of an account in words: what happened, of which kinds, with the page that says more of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from saas.errors import Invalid
from saas.handlers.base import Handler
from saas.handlers.causes import TERMINATE_CAUSES
from saas.handlers.log_words import ACTIONS
from saas.handlers.papers import PAID_BY
from saas.handlers.words import DEEDS, LEDGER_KINDS, REASONS
from saas.i18n import N_
from saas.tenants import nas, plans, sessions, timeline
from saas.tenants.accounts import Account
from saas.tenants.notices_texts import KINDS as NOTICE_KINDS
from saas.tenants.timeline import Event, Kind
from saas.values import from_epoch


@dataclass(frozen=True, slots=True)
class View:
    """What a filter shows: kinds, each for who may see the page of it."""

    title: str
    kinds: Mapping[Kind, str]


VIEWS: Final[Mapping[str, View]] = {
    "money": View(N_("Payments"), {"money": "/ledger"}),
    "sessions": View(N_("Sessions"), {"sessions": "/sessions"}),
    "changes": View(N_("Changes"), {"deeds": "/accounts/{id}", "log": "/log"}),
    "notices": View(N_("Notices"), {"notices": "/notices"}),
    "refusals": View(N_("Refusals"), {"refusals": "/refusals"}),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One point of the line: what happened, facts around it, who did it; `href` is "" where nothing says more."""

    at: datetime
    tone: str
    title: str
    facts: Sequence[str]
    by: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown. `tabs`: (title, address, whether it is this one); `older`: the address of what was before."""

    entries: Sequence[Entry]
    tabs: Sequence[tuple[str, str, bool]]
    older: str
    newest: bool


async def line(page: Handler, account: Account) -> Line:
    """The part of an account's timeline that the address asks for by `kind` and `before`, milliseconds since 1970."""
    chosen, asked = page.query("kind"), page.query("before")
    if asked and not (asked.isdecimal() and len(asked) < 15):
        raise Invalid({"before": "bad_date"})
    seen = {name: [kind for kind, path in view.kinds.items() if page.linked(path)] for name, view in VIEWS.items()}
    kinds = seen.get(chosen) or [kind for each in seen.values() for kind in each]
    before = from_epoch(int(asked) / 1000) if asked else None
    events, older = await timeline.of_account(page.scope, account, kinds, before)
    here = f"/accounts/{account['_id']}"
    tabs = [(N_("All"), page.url(here), chosen not in seen)]
    tabs += [(VIEWS[name].title, page.url(here, kind=name), name == chosen) for name, has in seen.items() if has]
    more = page.url(here, kind=chosen, before=round(older.timestamp() * 1000)) if older else ""
    return Line(await _entries(page, events), tabs, more, before is None)


async def _entries(page: Handler, events: Sequence[Event]) -> list[Entry]:
    names = {"devices": await nas.names(page.scope), "plans": await plans.names(page.scope)} if events else {}
    return [_SAID[event.kind](page, event.row, names) for event in events]


def _money(page: Handler, row: Any, _names: Any) -> Entry:
    _ = page.reader
    after = _(N_("balance {amount}"), amount=_.money(row["after"]))
    method = PAID_BY.get(row["method"], "")
    facts = [_.money(row["amount"]), _(method) if method else "", after, row["note"]]
    href = page.url("/payments/{id}", id=row["_id"]) if page.linked("/payments/{id}") else ""
    return Entry(
        row["at"], "green" if row["amount"] > 0 else "gray", LEDGER_KINDS[row["kind"]], facts, row["actor_name"], href
    )


def _session(page: Handler, row: Any, names: Any) -> Entry:
    _ = page.reader
    used = f"↑ {_.octets(row['input_octets'])} ↓ {_.octets(row['output_octets'])}"
    cause = TERMINATE_CAUSES.get(row["terminate_cause"], row["terminate_cause"]) if not row["open"] else ""
    device = names["devices"].get(row["nas_id"], "")
    facts = [device, row["framed_ip"] or "", _.duration(sessions.seconds(row)), used, _(cause) if cause else ""]
    title = N_("Online") if row["open"] else N_("Session")
    return Entry(row["started_at"], "blue", title, facts, "", page.url("/sessions/{id}", id=row["_id"]))


def _deed(page: Handler, row: Any, names: Any) -> Entry:
    _ = page.reader
    until = _(N_("until {when}"), when=_.minute(row["expires_at"])) if row["expires_at"] else ""
    charged = _.money(row["charged"]) if row["charged"] else ""
    facts = [charged, names["plans"].get(row["plan_id"], ""), until, row["note"]]
    return Entry(row["at"], "purple", DEEDS.get(row["verb"], row["verb"]), facts, row["actor_name"])


def _logged(page: Handler, row: Any, _names: Any) -> Entry:
    href = page.url("/log/{id}", id=row["_id"])
    return Entry(row["at"], "purple", ACTIONS.get(row["action"], row["action"]), [], row["actor_name"], href)


def _notice(page: Handler, row: Any, _names: Any) -> Entry:
    title = NOTICE_KINDS[row["kind"]].title if row["kind"] in NOTICE_KINDS else row["kind"]
    failed = row["state"] == "failed"
    facts = [row["to"], page.reader(N_("not sent")) if failed else ""]
    return Entry(row["created_at"], "red" if failed else "gray", title, facts)


def _refusal(page: Handler, row: Any, names: Any) -> Entry:
    times = page.reader(N_("{n} times"), n=row["count"]) if row["count"] > 1 else ""
    facts = [page.reader(REASONS.get(row["reason"], row["reason"])), names["devices"].get(row["nas_id"], ""), times]
    return Entry(row["last_at"], "red", N_("Refused"), facts)


_SAID: Final[Mapping[Kind, Any]] = {
    "money": _money,
    "sessions": _session,
    "deeds": _deed,
    "log": _logged,
    "notices": _notice,
    "refusals": _refusal,
}
