"""One box that finds everything: accounts and members by name, initials or mobile, and by any address they ever had.

Every look is an equality or a beginning that an index answers, tenant first: none costs more in a larger tenant than in
a small one, as long as little begins so. Hence a beginning has to be long enough to be one (`_begins`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from saas.store import Table
from saas.tenants import sessions
from saas.tenants.paging import ListQuery, beginning
from saas.tenants.scope import Scope
from saas.values import normal_address, normal_mac, normal_username

SHOWN = 8  # of each kind
_EACH = 3  # accounts of a person
_HEX = re.compile(r"[0-9A-Fa-f]{12}")
_ID = re.compile(r"([a-z]{3})_[0-9a-z]{20,40}")
# What the beginning of an id says of what it is.
_TABLES = {"acc": "accounts", "mem": "members", "ses": "sessions", "nas": "nas", "pln": "plans", "led": "payments"}


class Sole(NamedTuple):
    """The one row that a text names in full: its noun, a collection's name, and its id."""

    noun: str
    id: str


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, the likeliest first. `sessions`: of an address, open ones first. `sole`: what the text names in full."""

    accounts: Sequence[Any] = ()
    members: Sequence[Any] = ()
    sessions: Sequence[Any] = ()
    devices: Sequence[Any] = ()
    sole: Sole | None = None


async def find(scope: Scope, text: str, nouns: Collection[str]) -> Found:
    """What a text may mean: an id, a name or its beginning, initials, a mobile, a MAC in any spelling, an IP address.

    `nouns` ("accounts", "members", "sessions", "nas", …) is what the reader may see; nothing else is answered.
    """
    text = text.strip()
    if not text:
        return Found()
    if (kind := _ID.fullmatch(text)) and _TABLES.get(kind[1]) in nouns:
        return Found(sole=await _by_id(scope, _TABLES[kind[1]], text))
    if address := _address(text):
        return await _by_address(scope, address, nouns)
    people = await _people(scope, text) if {"members", "accounts"} & set(nouns) else []
    accounts = await _accounts(scope, text, people) if "accounts" in nouns else []
    devices = await _devices(scope, text) if "nas" in nouns else []
    members = people if "members" in nouns else []
    return Found(accounts, members, (), devices, _sole(accounts, members, text))


async def similar(scope: Scope, text: str) -> list[Any]:
    """Accounts whose names begin as a name does that nobody has: the longest beginning that there is, of three signs at
    least and three less than the name at most.
    """
    name = normal_username(text)
    for length in range(len(name) - 1, max(2, len(name) - 4), -1):
        if found := await _rows(scope.db.accounts, {"username": beginning(name[:length])}, "username"):
            return found
    return []


async def open_sessions(scope: Scope, found: Found) -> list[Any]:
    """The open sessions among what was found: those of the accounts; without any, those of the address."""
    ids = [account["_id"] for account in found.accounts]
    if not ids:
        return [row for row in found.sessions if row["open"]]
    return await _rows(scope.db.online, {"account_id": {"$in": ids}})


async def _by_id(scope: Scope, noun: str, row_id: str) -> Sole | None:
    tables = {"payments": ("ledger",), "sessions": ("online", "sessions")}.get(noun, (noun,))
    found = [await getattr(scope.db, name).one({"_id": row_id}, ["_id"]) for name in tables]
    return Sole(noun, row_id) if any(found) else None


async def _people(scope: Scope, text: str) -> list[Any]:
    name, table = text.lower(), scope.db.members
    looks = [_rows(table, {by: name}) for by in ("login", "mobile", "name_key", "initials")]
    if _begins(text):
        looks += [_rows(table, {by: beginning(name)}, by) for by in ("login", "name_key", "initials")]
    if text.isdigit() and len(text) > 3:
        looks.append(_rows(table, {"mobile": beginning(text)}, "mobile"))
    return _merged(await asyncio.gather(*looks))


async def _accounts(scope: Scope, text: str, people: Sequence[Any]) -> list[Any]:
    """By their own names, and those of the people that were found."""
    name, table = normal_username(text), scope.db.accounts
    looks = [_rows(table, {"username": name})]
    if _begins(text):
        looks.append(_rows(table, {"username": beginning(name)}, "username"))
    looks += [_rows(table, {"member_id": each["_id"]}, limit=_EACH) for each in people]
    return _merged(await asyncio.gather(*looks))


async def _devices(scope: Scope, text: str) -> list[Any]:
    looks = (_rows(scope.db.nas, {"identifier": text}), _rows(scope.db.nas, {"name": beginning(text)}, "name"))
    return _merged(await asyncio.gather(*looks))


def _sole(accounts: Sequence[Any], members: Sequence[Any], text: str) -> Sole | None:
    """The account of that name; else whoever alone has that mobile, by the account if it is the only one."""
    if named := [account["_id"] for account in accounts if account["username"] == normal_username(text)]:
        return Sole("accounts", named[0])
    owners = [member["_id"] for member in members if member["mobile"] == text]
    own = [account["_id"] for account in accounts if account["member_id"] in owners]
    if len(owners) != 1:
        return None
    return Sole("accounts", own[0]) if len(own) == 1 else Sole("members", owners[0])


async def _by_address(scope: Scope, address: str, nouns: Collection[str]) -> Found:
    """Who has or had it: by open and ended sessions, by the line an account is bound to, by its fixed address."""
    held: list[Any] = []
    if "sessions" in nouns:
        held = (await sessions.listing(scope, ListQuery(address, limit=SHOWN))).rows
        held.sort(key=lambda row: not row["open"])
    accounts: list[Any] = []
    if "accounts" in nouns:
        bound = await _rows(scope.db.accounts, {"mac" if normal_mac(address) else "static_ip": address})
        ids = list(dict.fromkeys(row["account_id"] for row in held if row["account_id"]))
        known = await scope.db.accounts.among(ids)
        accounts = _merged([[known[each] for each in ids if each in known], bound])
    devices = await _rows(scope.db.nas, {"address": address}) if "nas" in nouns else []
    return Found(accounts, (), held, devices)


def _address(text: str) -> str:
    """The one spelling of a MAC or IP address, "" when it is none."""
    mac = normal_mac(text)
    if mac and _HEX.fullmatch(re.sub(r"[-:.]", "", text)):
        return mac
    try:
        return normal_address(text)
    except ValueError:
        return ""


def _begins(text: str) -> bool:
    """Whether so little begins with this that it can be looked up: three letters, or two characters of Chinese."""
    return len(text) > 2 or (len(text) == 2 and not text.isascii())


async def _rows(table: Table, filter: dict[str, Any], by: str = "_id", limit: int = SHOWN) -> list[Any]:
    sort = [(by, 1)] if by in ("_id", "login", "username", "name") else [(by, 1), ("_id", 1)]
    return await table.find(filter, sort=sort, limit=limit)


def _merged(found: Sequence[Sequence[Any]]) -> list[Any]:
    """Each row once, in the order in which they were found."""
    rows = {row["_id"]: row for rows in reversed(found) for row in reversed(rows)}
    order = dict.fromkeys(row["_id"] for each in found for row in each)
    return [rows[row_id] for row_id in order][:SHOWN]
