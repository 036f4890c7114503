"""What a day brought a tenant, in one small row for each day of its zone: for the home page and for reports.

A row is reckoned from what does not change any more (the operation log, the ledger, sessions that have ended), so that
reckoning it again gives the same one. Sessions belong, with all their octets, to the day on which they ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from saas.tenants.paging import ListQuery, made_between
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import new_id

_AGAIN = 2  # days that are reckoned each time: a device may tell of a session's end an hour after midnight


class DaySums(TypedDict):
    """`day` as 2026-11-23. Money in minor units: `payments` by method, `charges`, `refunds`, each positive unless more
    was taken back on that day.

    `accounts`: how many were opened. `input_octets` is upload.
    """

    _id: str
    tenant_id: str
    day: str
    accounts: int
    payments: Mapping[str, int]
    charges: int
    refunds: int
    sessions: int
    input_octets: int
    output_octets: int


async def reckon_due(scope: Scope, run: Occasion) -> int:
    """The day that is over when the run is due, and the one before; how many days."""
    over = run.due.astimezone(_zone(scope)).date()
    for ago in range(_AGAIN, 0, -1):
        await reckon(scope, over - timedelta(days=ago))
    return _AGAIN


async def reckon(scope: Scope, day: date) -> DaySums:
    """Reckon a day and keep its row, in place of the one that is there."""
    opened = {**_made_on(scope, "aud", day), "noun": "account", "action": "account.open"}
    values = {
        "accounts": await scope.db.audit.count(opened, limit=1_000_000),
        **await _money(scope, day),
        **await _usage(scope, day),
    }
    filter = {"day": day.isoformat()}
    await scope.db.day_sums.update_one(filter, {"$set": values, "$setOnInsert": {"_id": new_id("day")}}, upsert=True)
    row: DaySums = await scope.db.day_sums.one(filter)
    return row


async def between(scope: Scope, since: date, until: date) -> list[DaySums]:
    """The rows of some days, both included, in order. A day that has not been reckoned has none."""
    days = (until - since).days + 1
    filter = {"day": {"$gte": since.isoformat(), "$lte": until.isoformat()}}
    return await scope.db.day_sums.find(filter, sort=[("day", 1)], limit=max(1, days))


async def _money(scope: Scope, day: date) -> dict[str, Any]:
    group = {"_id": {"kind": "$kind", "method": "$method"}, "sum": {"$sum": "$amount"}}
    rows = await scope.db.ledger.aggregate([{"$match": _made_on(scope, "led", day)}, {"$group": group}])
    sums = {(row["_id"]["kind"], row["_id"]["method"]): int(row["sum"]) for row in rows}
    return {
        "payments": {method: amount for (kind, method), amount in sorted(sums.items()) if kind == "payment"},
        "charges": -sum(amount for (kind, _), amount in sums.items() if kind == "charge"),
        "refunds": -sum(amount for (kind, _), amount in sums.items() if kind == "refund"),
    }


async def _usage(scope: Scope, day: date) -> dict[str, int]:
    begin, end = (datetime.combine(each, time(), _zone(scope)) for each in (day, day + timedelta(days=1)))
    names = ("input_octets", "output_octets")
    group = {"_id": None, "sessions": {"$sum": 1}, **{name: {"$sum": f"${name}"} for name in names}}
    ended = {"stopped_at": {"$gte": begin, "$lt": end}}
    rows = await scope.db.sessions.aggregate([{"$match": ended}, {"$group": group}])
    return {name: int(rows[0][name]) if rows else 0 for name in ("sessions", *names)}


def _made_on(scope: Scope, kind: str, day: date) -> dict[str, Any]:
    """A filter on the ids made on a day."""
    text = day.isoformat()
    return made_between(ListQuery(filters={"since": text, "until": text}), kind, str(_zone(scope)))


def _zone(scope: Scope) -> ZoneInfo:
    return ZoneInfo(scope.tenant["parameters"]["timezone"])
