"""What the search box means: commands out of the route table, qualifiers that lead to a list, hits in groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from saas import i18n, pinyin
from saas.handlers.base import Handler
from saas.handlers.messages import STATES
from saas.handlers.routes import Route
from saas.handlers.words import account_state, expiry
from saas.i18n import N_
from saas.tenants import finding, plans
from saas.values import normal_username

_NOUNS = ("accounts", "members", "sessions", "nas", "plans", "payments")
# A page that does something to one object is a command; what has to be typed behind it.
_WHOM: Mapping[str, str] = {
    "accounts": N_("then type an account"),
    "members": N_("then type a member"),
    "sessions": N_("then type an account, an IP or a MAC address"),
    "nas": N_("then type a device"),
}
_ABOUT_ONE = re.compile(r"/(accounts|members|sessions|nas)/\{id\}/[\w-]+")
_USERNAME = re.compile(r"[A-Za-z0-9._@+\\-]{2,64}")
_DAY = re.compile(r"(20\d\d)[-/.]?(\d{1,2})[-/.]?(\d{1,2})")
_BY_DAY = (
    ("/payments", N_("Payments"), "cash"),
    ("/sessions", N_("Sessions"), "history"),
    ("/log", N_("Operation log"), "clipboard"),
)
_QUALIFIER = re.compile(r"(\w+)[:：](\S+)")
# How a state of an account is asked of the list of accounts.
_STATES: Mapping[str, Mapping[str, str]] = {
    "expired": {"status": "normal", "expires": "past"},
    "expiring": {"status": "normal", "expires": "week"},
    **{state: {"status": state} for state in ("pending", "normal", "suspended", "closed")},
}
_FIELDS = (("status", N_("Status")), ("plan", N_("Plan")))


@dataclass(frozen=True, slots=True)
class Hit:
    """One line of the answer. `state`: a word of STATES. `fills`: what the box is filled with to go on, "" to leave."""

    title: str
    detail: str
    href: str
    icon: str
    state: str = ""
    fills: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Hits of one kind."""

    title: str
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class Answer:
    """`jump`: the address of what the text is the whole name of, "" for none. `offers`: where nothing is found."""

    groups: Sequence[Group]
    jump: str = ""
    offers: Sequence[Group] = ()

    @property
    def goes(self) -> str:
        """Where Enter leads at once: there, or to the only hit; "" when there is something to choose."""
        hits = [hit for group in self.groups for hit in group.hits]
        return self.jump or (hits[0].href if len(hits) == 1 and not hits[0].fills else "")


async def answer(page: Handler, text: str) -> Answer:
    """Everything that a text of the box may mean to this reader."""
    if not text:
        return Answer([])
    if asked := _qualifiers(text):
        hit = await _filtered(page, asked, _QUALIFIER.sub(" ", text).strip())
        return Answer([Group(N_("Lists"), [hit])] if hit else [], hit.href if hit else "")
    nouns = [noun for noun in _NOUNS if page.linked(f"/{noun}/{{id}}")]
    found = await finding.find(page.scope, text, nouns)
    groups = [
        Group(N_("Accounts"), await _accounts(page, found.accounts)),
        Group(N_("Members"), [_member(page, row) for row in found.members]),
        Group(N_("Sessions"), [_session(page, row) for row in found.sessions]),
        Group(N_("NAS devices"), [_device(page, row) for row in found.devices]),
        Group(N_("Lists"), _days(page, text)),
        Group(N_("Commands"), await _commands(page, text, nouns)),
    ]
    shown = [group for group in groups if group.hits]
    jump = page.url(f"/{found.sole.noun}/{{id}}", id=found.sole.id) if found.sole else ""
    if jump and not shown:  # an id
        shown = [Group(N_("Open"), [Hit(text, "", jump, "arrow-right")])]
    return Answer(shown, jump, () if shown else await _offers(page, text))


async def _offers(page: Handler, text: str) -> list[Group]:
    """For the name of an account that there is not: those that are called almost so, and the page that opens it."""
    if not _USERNAME.fullmatch(text):
        return []
    alike = await finding.similar(page.scope, text) if page.linked("/accounts/{id}") else []
    groups = [Group(N_("Similar accounts"), await _accounts(page, alike))] if alike else []
    if page.linked("/accounts/open"):
        name = normal_username(text)
        hit = Hit(name, page.reader(N_("Quick open")), page.url("/accounts/open", username=name), "user-plus")
        groups.append(Group(N_("Open an account"), [hit]))
    return groups


def _days(page: Handler, text: str) -> list[Hit]:
    """What happened on a day: ``2026-11-23``, ``2026/11/23`` or ``20261123``."""
    if not (said := _DAY.fullmatch(text)):
        return []
    try:
        day = date(*map(int, said.groups())).isoformat()
    except ValueError:
        return []
    return [
        Hit(page.reader(title), day, page.url(path, since=day, until=day), icon)
        for path, title, icon in _BY_DAY
        if page.linked(path)
    ]


async def _accounts(page: Handler, rows: Sequence[Any]) -> list[Hit]:
    names = await plans.names(page.scope) if rows else {}
    return [
        Hit(
            row["username"],
            " · ".join(filter(None, (row["member_name"], names.get(row["plan_id"]), expiry(page.reader, row)))),
            page.url("/accounts/{id}", id=row["_id"]),
            "id",
            account_state(row),
        )
        for row in rows
    ]


def _member(page: Handler, row: Any) -> Hit:
    detail = " · ".join(filter(None, (row["name"], row["mobile"], page.reader.money(row["balance"]))))
    return Hit(row["login"], detail, page.url("/members/{id}", id=row["_id"]), "user")


def _session(page: Handler, row: Any) -> Hit:
    times = [page.reader.minute(moment) for moment in (row["started_at"], row["stopped_at"]) if moment]
    detail = " · ".join(filter(None, (row["framed_ip"], row["calling_station_id"], " – ".join(times))))
    state = "online" if row["open"] else "ended"
    return Hit(row["username"], detail, page.url("/sessions/{id}", id=row["_id"]), "history", state)


def _device(page: Handler, row: Any) -> Hit:
    return Hit(row["name"], row["address"] or row["identifier"], page.url("/nas/{id}", id=row["_id"]), "router")


async def _commands(page: Handler, text: str, nouns: Sequence[str]) -> list[Hit]:
    """Pages whose title the text is a part of; "renew alice" is the page that renews that account."""
    hits: list[Hit] = []
    titled = [(_title(page, route), route) for route in page.routes.routes]
    for title, route in sorted(titled, key=lambda each: (len(each[0]), each[1].path)):
        head, rest = _split(text, title)
        if not title or not _names(head, title) or not page.linked(route.path):
            continue
        about = _ABOUT_ONE.fullmatch(route.path)
        if about and rest:
            hits += await _done_to(page, route, about[1], rest, nouns)
        elif about:
            whom = page.reader(_WHOM[about[1]])
            hits.append(Hit(title, whom, page.url("/search", q=title), "bolt", fills=f"{title} "))
        elif "{" not in route.path and not rest:
            icon, group = (route.menu.icon, page.reader(route.menu.group)) if route.menu else ("arrow-right", "")
            hits.append(Hit(title, group, page.url(route.path), icon))
    return hits[: finding.SHOWN]


async def _done_to(page: Handler, route: Route, noun: str, text: str, nouns: Sequence[str]) -> list[Hit]:
    """The page of a command for whatever the rest of the text finds."""
    found = await finding.find(page.scope, text, nouns)
    rows: Sequence[Any] = {"accounts": found.accounts, "members": found.members, "nas": found.devices}.get(noun, ())
    if noun == "sessions":
        rows = await finding.open_sessions(page.scope, found)
    return [
        Hit(
            f"{_title(page, route)} · {row.get('username') or row.get('login') or row['name']}",
            row.get("framed_ip") or row.get("member_name") or row.get("name", ""),
            page.url(route.path, id=row["_id"]),
            "bolt",
        )
        for row in rows
    ]


def _title(page: Handler, route: Route) -> str:
    """What a page of this console is called, "" for what is no page of its own."""
    if route.console.name != page.console.name or "GET" not in route.guards:
        return ""
    title = route.menu.title if route.menu else getattr(route.handler, "title", "")
    return page.reader(title).rstrip("?？") if title else ""


def _split(text: str, title: str) -> tuple[str, str]:
    """The command in a text and what stands behind it: the whole title, or the first word."""
    if text.lower().startswith(f"{title.lower()} "):
        return title, text[len(title) :].strip()
    head, _, rest = text.partition(" ")
    return (text, "") if text.lower() in title.lower() else (head, rest.strip())


def _names(head: str, title: str) -> bool:
    """Whether somebody who types `head` may mean this page: a part of its title, or the initials of it."""
    enough = len(head) > 1 or not head.isascii()
    return enough and (
        head.lower() in title.lower() or (not title.isascii() and pinyin.initials(title) == head.lower())
    )


def _qualifiers(text: str) -> list[tuple[str, str]]:
    """What stands before and behind the colons of a text; nothing for what is no qualifier, such as a MAC address."""
    found = _QUALIFIER.findall(text)
    return found if any(_is(name, key, title) for name, _ in found for key, title in _FIELDS) else []


async def _filtered(page: Handler, asked: Sequence[tuple[str, str]], rest: str) -> Hit | None:
    """The list of accounts that qualifiers such as ``状态:到期 套餐:100M`` or ``status:expired`` ask for."""
    where: dict[str, str] = {}
    words: list[str] = []
    for name, value in asked:
        field = next((key for key, title in _FIELDS if _is(name, key, title)), "")
        word = ""
        if field == "status":
            state = next((state for state in _STATES if _is(value, state, STATES[state][0])), "")
            where |= _STATES.get(state, {})
            word = page.reader(STATES[state][0]) if state else ""
        elif field == "plan":
            named = {title: plan_id for plan_id, title in (await plans.names(page.scope)).items()}
            word = min((title for title in named if value.lower() in title.lower()), key=len, default="")
            where["plan_id"] = named.get(word, "")
        words.append(word)
    if not all(words) or not page.linked("/accounts"):
        return None
    detail = " · ".join(filter(None, (*words, rest)))
    return Hit(page.reader(N_("Accounts")), detail, page.url("/accounts", q=rest, **where), "filter")


def _is(text: str, key: str, title: str) -> bool:
    """Whether somebody who types this means the word: its key, or a part of it in any language of ours."""
    if len(text) < 2 and text.isascii():
        return False
    said = [i18n.Reader.of(language)(title).lower() for language in i18n.LANGUAGES]
    return text.lower() == key or any(text.lower() in words for words in said)
