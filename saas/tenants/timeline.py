"""All that happened to an account on one line of time: money, sessions, changes, notices, refused log-ins.

Each kind is read by its own index, a screenful at a time, older than what was shown last: an account of ten years costs
no more than one of a day. The place of a row on the line is when it was written down, which its id says; refusals,
which are counted and not listed, stand at their last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from saas.store import Table
from saas.tenants.accounts import Account
from saas.tenants.scope import Scope
from saas.values import first_id, made_at

Kind = Literal["money", "sessions", "deeds", "log", "notices", "refusals"]
SHOWN: Final = 15
_TOGETHER = 10  # more of each kind, so that what was written down in one moment is not torn apart
# What the operation log has of an account beside its deeds, which say more of themselves.
_LOGGED = ("open", "line", "learn", "release", "password", "reveal_password")


class Event(NamedTuple):
    """A row of one kind, and its place on the line."""

    kind: Kind
    at: datetime
    row: Any


async def of_account(
    scope: Scope, account: Account, kinds: Collection[Kind], before: datetime | None = None
) -> tuple[list[Event], datetime | None]:
    """What happened of these kinds before a moment, the newest first; and before which to go on, None at the end."""
    found = await asyncio.gather(*(_of_kind(scope, account, kind, before) for kind in kinds))
    events = sorted((event for each in found for event in each), key=lambda event: event.at, reverse=True)
    cut = SHOWN
    while cut < len(events) and events[cut].at == events[cut - 1].at:
        cut += 1
    return [event for event in events[:cut] if _tells(event)], events[cut - 1].at if len(events) > cut else None


def _tells(event: Event) -> bool:
    return event.kind != "log" or event.row["action"].partition(".")[2] in _LOGGED


async def _of_kind(scope: Scope, account: Account, kind: Kind, before: datetime | None) -> list[Event]:
    db, own = scope.db, {"account_id": account["_id"]}
    if kind == "money":
        return await _written(kind, db.ledger, "led", own, before)
    if kind == "deeds":
        return await _written(kind, db.deeds, "dee", own, before)
    if kind == "sessions":
        tables = (db.online, db.sessions)
        return [event for table in tables for event in await _written(kind, table, "ses", own, before)]
    if kind == "log":
        return await _written(kind, db.audit, "aud", {"target": account["_id"]}, before)
    if kind == "notices":
        told = await _written(kind, db.notices, "ntc", {"subject_name": account["username"]}, before)
        return [event for event in told if event.row["member_id"] == account["member_id"]]
    filter: dict[str, Any] = {"username": account["username"]} | ({"last_at": {"$lt": before}} if before else {})
    rows = await db.refusals.find(filter, sort=[("last_at", -1)], limit=SHOWN + _TOGETHER)
    return [Event(kind, row["last_at"], row) for row in rows]


async def _written(kind: Kind, table: Table, ids: str, filter: dict[str, Any], before: datetime | None) -> list[Event]:
    """The newest rows of a table; their ids begin with `ids`."""
    older = {"_id": {"$lt": first_id(ids, before)}} if before else {}
    rows = await table.find(filter | older, limit=SHOWN + _TOGETHER)
    return [Event(kind, made_at(row["_id"]), row) for row in rows]
