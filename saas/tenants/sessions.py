"""Sessions: who is and was online, from when to when, with what usage. An open one is online, a closed one is a CDR."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from pydantic import Field

from saas.errors import Conflict, Taken
from saas.i18n import N_
from saas.store import Insert, Update
from saas.tenants import accounting, audit, slots
from saas.tenants.accounting import Row
from saas.tenants.forms import Form
from saas.tenants.paging import ListQuery, Page, made_between, page
from saas.tenants.scope import Scope
from saas.values import utcnow

_BATCH = 500
_ONLINE_SHOWN = 1000  # open sessions looked at for a page of accounts
_ATTEMPTS = 20  # at changing rows that others change too


class Session(TypedDict):
    """One session of an account at a device, as the device told it.

    Times are the device's, UTC; `stopped_at` None while `open`. `seen_at`: the last sign of life. `closing_at`: when
    the device acknowledged a Disconnect that has not shown yet. Octets and packets are totals, 64 bit; input is upload.
    `start_source`: what its start is known from ("start", "interim", "stop"). `stop_source`: who ended it: "stop" (the
    device), "on" / "off" (it rebooted), "stale", "clear" (an operator), "disconnect" (the device knew of no such
    session), "reused" (it began another one under the same id). `terminate_cause` by its name in RFC 2866. `flags`:
    "reopened", "counter_wrapped", "counter_reset", "counter_regressed". `account_id`, `member_id`: "" when unknown.
    `lasted`: the most seconds it was ever known to last; `charged_octets`, `charged_seconds`: what of it was taken
    from its account's quota (saas/tenants/metering.py).
    """

    _id: str
    tenant_id: str
    key: str
    epoch: int
    open: bool
    nas_id: str
    acct_session_id: str
    username: str
    account_id: str
    member_id: str
    agent_id: str | None
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None
    closing_at: datetime | None
    stale_at: datetime
    start_source: str
    stop_source: str
    terminate_cause: str
    session_time: int
    lasted: int
    charged_octets: int
    charged_seconds: int
    input_octets: int
    output_octets: int
    input_packets: int
    output_packets: int
    input_base: int
    output_base: int
    heard: bool
    gigawords: bool
    flags: list[str]
    search: list[str]
    framed_ip: str
    framed_ipv6: str
    calling_station_id: str
    called_station_id: str
    nas_ip: str
    nas_port: int | None
    nas_port_type: str
    nas_port_id: str
    multi_session_id: str
    tunnel_client: str
    connect_info: str
    service_type: str
    framed_protocol: str
    user_name: str  # as the device sent it
    source: str
    version: int
    created_at: datetime
    updated_at: datetime


class ClearForm(Form):
    """The device whose sessions are to be taken for ended."""

    nas_id: str = Field(min_length=1, max_length=64, title=N_("Device"), json_schema_extra={"widget": "nas"})


_COUNTING = {"input_base", "output_base", "heard", "gigawords", "lasted"}
_INTERNAL = {"tenant_id", "key", "epoch", "stale_at", "search"} | _COUNTING


def to_dict(session: Session) -> dict[str, Any]:
    """The public fields; `id` instead of ``_id``, `session_time` reckoned where the device reported none."""
    public = {name: value for name, value in session.items() if name not in _INTERNAL and name != "_id"}
    return {"id": session["_id"], **public, "session_time": seconds(session)}


def seconds(session: Session) -> int:
    """How long it lasted so far."""
    end = session["stopped_at"] or session["seen_at"]
    return session["session_time"] or max(0, int((end - session["started_at"]).total_seconds()))


async def get(scope: Scope, session_id: str) -> Session:
    """One session. NotFound."""
    session: Session = await scope.db.sessions.get(session_id)
    return session


async def listing(scope: Scope, query: ListQuery) -> Page:
    """The newest first. Filters: `state` ("online", "ended", "" both), `nas_id`, `account_id`, `username`, `address`.

    `since` and `until` are days on which the session was first heard of. `q` finds a user name, an address or a
    hardware address; all of them in full, in any letter case.
    """
    filters = query.filters
    filter: dict[str, Any] = {name: filters[name] for name in ("nas_id", "account_id") if filters.get(name)}
    if texts := [text.strip().lower() for text in (query.q, filters.get("username"), filters.get("address")) if text]:
        filter["search"] = texts[0] if len(texts) == 1 else {"$all": texts}
    if state := filters.get("state"):
        filter["open"] = state == "online"
    elif filter:
        filter["open"] = {"$in": [True, False]}
    filter |= made_between(query, "ses", scope.tenant["parameters"]["timezone"])
    return await page(scope.db.sessions, filter, query)


async def online_among(scope: Scope, account_ids: Sequence[str]) -> set[str]:
    """Those of the accounts that are online."""
    filter = {"open": True, "account_id": {"$in": list(account_ids)}}
    found = await scope.db.sessions.find(filter, limit=_ONLINE_SHOWN, fields=["account_id"])
    return {row["account_id"] for row in found}


async def online_count(scope: Scope, limit: int = 10_000) -> int:
    """How many sessions are open, counted up to `limit`."""
    return await scope.db.sessions.count({"open": True}, limit=limit)


async def online_of(scope: Scope, account_id: str) -> list[Session]:
    """The open sessions of an account, the newest first."""
    return await scope.db.sessions.find({"account_id": account_id, "open": True})


async def clear_nas(scope: Scope, nas_id: str) -> int:
    """End every open session of a device in our books, with what was counted; how many. The device is not told.

    A session that lives on after all is open again with its next interim update.
    """
    device = await scope.db.nas.get(nas_id)
    count = await close_of_nas(scope, nas_id, utcnow(), "Admin-Reset", "clear")
    await audit.record(scope, "session.clear", nas_id, name=device["name"], after={"sessions": count})
    return count


async def close_of_nas(scope: Scope, nas_id: str, at: datetime, cause: str, source: str) -> int:
    """End the open sessions of a device that began before `at` and were not seen since; how many."""
    count, after = 0, ""
    while True:
        filter = {"nas_id": nas_id, "open": True, "_id": {"$gt": after}}
        rows = await scope.db.sessions.find(filter, sort=[("_id", 1)], limit=_BATCH)
        old = [row for row in rows if row["started_at"] < at and row["seen_at"] <= at]
        if not await close(scope, old, lambda _row: at, cause, source):
            continue  # one of them changed meanwhile: look again
        count += len(old)
        if len(rows) < _BATCH:
            return count
        after = rows[-1]["_id"]


async def close(scope: Scope, rows: Sequence[Row], at: Callable[[Row], datetime], cause: str, source: str) -> bool:
    """End these sessions; they no longer count for concurrency. False when one of them changed since it was read."""
    before = {row["_id"]: dict(row) for row in rows}
    for row in rows:
        accounting.close(row, at(row), cause, source)
    if not await save(scope, before, rows):
        return False
    await slots.free(scope, rows)
    return True


async def close_one(scope: Scope, session_id: str, cause: str, source: str) -> Session:
    """End one session now; one that has ended already stays as it is. NotFound."""
    for _ in range(_ATTEMPTS):
        row = await scope.db.sessions.get(session_id)
        if not row["open"] or await close(scope, [row], lambda _row: utcnow(), cause, source):
            session: Session = row
            return session
    raise Conflict("changed", id=session_id)


async def mark_closing(scope: Scope, session_id: str) -> None:
    """The device acknowledged a Disconnect: until its Stop comes the session is about to end."""
    change = {"$set": {"closing_at": utcnow(), "updated_at": utcnow()}, "$inc": {"version": 1}}
    await scope.db.sessions.update_one({"_id": session_id, "open": True}, change)


async def save(scope: Scope, before: Mapping[str, Row], rows: Sequence[Row]) -> bool:
    """Write rows, new and changed; `before` holds the known ones as they were read, by id.

    False when somebody else changed one of them meanwhile, or made one of the new ones: read again and repeat, the
    others are written.
    """
    writes: list[Update | Insert] = []
    for row in rows:
        old = before.get(row["_id"])
        if old is None:
            writes.append(Insert(row))
        elif change := {name: value for name, value in row.items() if value != old.get(name)}:
            change["updated_at"] = utcnow()
            guard = {"_id": row["_id"], "version": old["version"]}
            writes.append(Update(guard, {"$set": change, "$inc": {"version": 1}}))
    try:
        return await scope.db.sessions.bulk(writes, ordered=False) == len(writes)
    except Taken:
        return False
