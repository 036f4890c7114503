"""Sessions: who is and was online, from when to when, with what usage. An open one is online, a closed one is a CDR.

The open ones lie in a collection of their own, `online`: they are few and change all the time. One that ends is moved
to `sessions`, which only grows; one that turns out to live is moved back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast

from pydantic import Field

from saas.errors import Conflict, Taken
from saas.i18n import N_
from saas.store import Database, Delete, Insert, Op, Replace, Table
from saas.tenants import accounting, audit, slots, watching
from saas.tenants.accounting import Row
from saas.tenants.forms import Form
from saas.tenants.paging import ListQuery, Page, apart, made_between, page_of
from saas.tenants.scope import Scope
from saas.values import normal_mac, utcnow

_BATCH = 500
_ONLINE_SHOWN = 1000  # open sessions looked at for a page of accounts
_TEXTS = ("plan_id", "username", "address")  # filters that are answered by what people look for
_ATTEMPTS = 20  # at changing rows that others change too


class Session(TypedDict):
    """One session of an account at a device, as the device told it.

    Times are the device's, UTC; `stopped_at` None while `open`. `seen_at`: the last sign of life. `closing_at`: when
    the device acknowledged a Disconnect that has not shown yet. Octets and packets are totals, 64 bit; input is upload.
    `start_source`: what its start is known from ("start", "interim", "stop"). `stop_source`: who ended it: "stop" (the
    device), "on" / "off" (it rebooted), "stale", "clear" (an operator), "disconnect" (the device knew of no such
    session), "reused" (it began another one under the same id). `terminate_cause` by its name in RFC 2866. `flags`:
    "reopened", "counter_wrapped", "counter_reset", "counter_regressed". `account_id`, `member_id`: "" when unknown.
    `plan_id`: the account's plan, of an ended session the one that it had then. `input_rate`, `output_rate`: how fast
    it was between the last two reports, bit/s. `sole`: that while it is online no other session is known under its
    key, so that nobody need look for one. `lasted`: the most seconds it was ever known to last; `charged_octets`,
    `charged_seconds`: what of it was taken from its account's quota or paid for, `charged_amount` with so much, minor
    units (saas/tenants/metering.py). `rate_up` and `rate_down`: the speed that the device has confirmed since it
    began, bit/s, 0 not limited; without them it has the one that it began with.
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
    plan_id: NotRequired[str]
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
    charged_amount: NotRequired[int]
    input_octets: int
    output_octets: int
    input_rate: NotRequired[int]
    output_rate: NotRequired[int]
    input_packets: int
    output_packets: int
    input_base: int
    output_base: int
    heard: bool
    gigawords: bool
    sole: NotRequired[bool]
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
    rate_up: NotRequired[int]
    rate_down: NotRequired[int]
    version: int
    created_at: datetime
    updated_at: datetime


class ClearForm(Form):
    """The device whose sessions are to be taken for ended."""

    nas_id: str = Field(min_length=1, max_length=64, title=N_("Device"), json_schema_extra={"widget": "nas"})


_COUNTING = {"input_base", "output_base", "heard", "gigawords", "lasted", "sole"}
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
    first = await scope.db.online.one({"_id": session_id}) or await scope.db.sessions.one({"_id": session_id})
    session: Session = first or await scope.db.online.get(session_id)  # it was moved back meanwhile
    return session


async def anything(scope: Scope) -> bool:
    """Whether anybody ever was online."""
    return any([await table.count({}, limit=1) for table in _tables(scope.db)])


async def first_starts(scope: Scope, account_ids: Sequence[str]) -> dict[str, datetime]:
    """When the first session of each account began, by account id."""
    first = {"$group": {"_id": "$account_id", "at": {"$min": "$started_at"}}}
    starts: dict[str, datetime] = {}
    for table in _tables(scope.db):
        for row in await table.aggregate([{"$match": {"account_id": {"$in": list(account_ids)}}}, first]):
            starts[row["_id"]] = min(row["at"], starts.get(row["_id"], row["at"]))
    return starts


async def listing(scope: Scope, query: ListQuery) -> Page:
    """The newest first. Filters: `state` ("online", "ended", "" both), `nas_id`, `account_id`, `plan_id`, `username`,
    `address`.

    `since` and `until` are days on which the session was first heard of. `q` finds a user name, an address or a
    hardware address; all of them in full, in any letter case, and a hardware address alone in any spelling.
    """
    online, ended = _tables(scope.db)
    wanted = {"online": [online], "ended": [ended]}.get(query.filters.get("state", ""), [online, ended])
    filter = matching(scope, query)
    return await page_of([look for table in wanted for look in apart(table, filter, "search")], query)


def matching(scope: Scope, query: ListQuery) -> dict[str, Any]:
    """The filter of the store for a list's, but for `state`."""
    filters = query.filters
    filter: dict[str, Any] = {name: filters[name] for name in ("nas_id", "account_id") if filters.get(name)}
    if texts := [text.strip().lower() for text in (query.q, *map(filters.get, _TEXTS)) if text]:
        filter["search"] = {"$all": texts}
        if len(texts) == 1:  # a hardware address in any spelling
            mac = normal_mac(texts[0]).lower()
            filter["search"] = {"$in": [texts[0], mac]} if mac and mac != texts[0] else texts[0]
    return filter | made_between(query, "ses", scope.tenant["parameters"]["timezone"])


async def online_among(scope: Scope, account_ids: Sequence[str]) -> set[str]:
    """Those of the accounts that are online."""
    filter = {"account_id": {"$in": list(account_ids)}}
    found = await scope.db.online.find(filter, limit=_ONLINE_SHOWN, fields=["account_id"])
    return {row["account_id"] for row in found}


async def online_count(scope: Scope, limit: int = 10_000) -> int:
    """How many sessions are open, counted up to `limit`."""
    return await scope.db.online.count({}, limit=limit)


async def online_of(scope: Scope, account_id: str) -> list[Session]:
    """The open sessions of an account, the newest first."""
    return await scope.db.online.find({"account_id": account_id})


async def last_start(scope: Scope, account_id: str) -> datetime | None:
    """When the last session of an account that has ended began; None before the first one."""
    found = await scope.db.sessions.find({"account_id": account_id}, limit=1, fields=["started_at"])
    return found[0]["started_at"] if found else None


async def clear_nas(scope: Scope, nas_id: str) -> int:
    """End every open session of a device in our books, with what was counted; how many. The device is not told.

    A session that lives on after all is open again with its next interim update.
    """
    device = await scope.db.nas.get(nas_id)
    count = await close_of_nas(scope, nas_id, utcnow(), "Admin-Reset", "clear")
    await watching.tell(scope.services.kv, [scope.tenant_id])
    await audit.record(scope, "session.clear", nas_id, name=device["name"], after={"sessions": count})
    return count


async def close_of_nas(scope: Scope, nas_id: str, at: datetime, cause: str, source: str) -> int:
    """End the open sessions of a device that began before `at` and were not seen since; how many."""
    count, after = 0, ""
    while True:
        filter = {"nas_id": nas_id, "_id": {"$gt": after}}
        rows = await scope.db.online.find(filter, sort=[("_id", 1)], limit=_BATCH)
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
        session: Any = await get(scope, session_id)
        if not session["open"] or await close(scope, [session], lambda _row: utcnow(), cause, source):
            return cast(Session, session)
    raise Conflict("changed", id=session_id)


async def mark_closing(scope: Scope, session_id: str) -> None:
    """The device acknowledged a Disconnect: until its Stop comes the session is about to end."""
    await _mark(scope, session_id, {"closing_at": utcnow()})


async def mark_speed(scope: Scope, session_id: str, up: int, down: int) -> None:
    """The device acknowledged a new speed, bit/s."""
    await _mark(scope, session_id, {"rate_up": up, "rate_down": down})


async def mark_plan(tx: Scope, account_id: str, plan_id: str) -> None:
    """An account goes over to another plan; call it in the transaction. Conflict("changed"): begin anew."""
    rows = await tx.db.online.find({"account_id": account_id})
    before = {row["_id"]: dict(row) for row in rows}
    for row in rows:
        row |= {"plan_id": plan_id, "version": row["version"] + 1}
        row["search"] = accounting.search_texts(row)
    try:
        await put(tx.db, before, rows)
    except Taken:
        raise Conflict("changed", id=account_id) from None


async def _mark(scope: Scope, session_id: str, values: Mapping[str, Any]) -> None:
    change = {"$set": {**values, "updated_at": utcnow()}, "$inc": {"version": 1}}
    await scope.db.online.update_one({"_id": session_id}, change)


async def save(scope: Scope, before: Mapping[str, Row], rows: Sequence[Row]) -> bool:
    """Write rows that have changed; `before` holds them as they were read, by id.

    False when somebody else changed one of them meanwhile: nothing is written, read again and repeat.
    """
    changed = [row for row in rows if row != before[row["_id"]]]
    for row in changed:
        row |= {"version": row["version"] + 1, "updated_at": utcnow()}
    try:
        await scope.transaction(lambda tx: put(tx.db, before, changed))
    except Taken:
        return False
    return True


async def put(db: Database, before: Mapping[str, Row], rows: Sequence[Row]) -> None:
    """Write rows, each where it belongs; `before` holds those that are not new as they were read, by id.

    Call it in a transaction. Taken when one of them is not there any more as it was, or a new one is already.
    """
    gone: dict[bool, list[Op]] = {True: [], False: []}  # by whether they are open
    kept: dict[bool, list[Op]] = {True: [], False: []}
    made: dict[bool, list[Op]] = {True: [], False: []}
    for row in rows:
        old = before.get(row["_id"])
        if old is None:
            made[row["open"]].append(Insert(row))
        elif old["open"] == row["open"]:
            kept[row["open"]].append(Replace(row, old["version"]))
        else:
            gone[old["open"]].append(Delete(row["_id"], old["version"]))
            made[row["open"]].append(Insert(row))
    for table, is_open in zip(_tables(db), (True, False), strict=True):
        ops = gone[is_open] + kept[is_open] + made[is_open]  # a device's next session of one key needs the place
        if await table.bulk(ops) != len(ops):
            raise Taken("_id")


def _tables(db: Database) -> tuple[Table, Table]:
    """The open ones and the ended ones, in the order in which most of them move."""
    return db.online, db.sessions
