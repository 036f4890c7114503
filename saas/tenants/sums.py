"""What a day brought a tenant, in one small row for each day of its zone: for the home page and for reports.

A row is reckoned from what does not change any more (the operation log, the ledger, refusals, ended sessions), so that
reckoning it again gives the same one; `lapsed` alone is as of the time of reckoning. Sessions belong, with all their
octets, to the day on which they ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from saas.tenants.paging import ListQuery, made_between
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import new_id

MOST_USERS = 100  # of a day, by what they downloaded
_RENEWED = ("account.renew", "account.auto_renew", "account.redeem")
_AGAIN = 2  # days that are reckoned each time: a device may tell of a session's end an hour after midnight


class DaySums(TypedDict):
    """`day` as 2026-11-23. Money in minor units, positive unless more was taken back on that day: `payments` and
    `paid_back` by method, `charges`, `refunds`. `takers`: [operator, taken in, paid back]; `sold`: [plan id, charged].

    `accounts`: how many were opened, `renewed`, and `lapsed`: plans that ended and are not renewed. `refused`: log-ins
    as [reason, device, count]. `input_octets` is upload; `users`: [account, upload, download] of MOST_USERS. Rows of
    before there were reports have neither lists nor `renewed`, `lapsed` and `paid_back`.
    """

    _id: str
    tenant_id: str
    day: str
    accounts: int
    renewed: int
    lapsed: int
    payments: Mapping[str, int]
    paid_back: Mapping[str, int]
    charges: int
    refunds: int
    takers: Sequence[Sequence[Any]]
    sold: Sequence[Sequence[Any]]
    refused: Sequence[Sequence[Any]]
    sessions: int
    input_octets: int
    output_octets: int
    users: Sequence[Sequence[Any]]


async def reckon_due(scope: Scope, run: Occasion) -> int:
    """The day that is over when the run is due, and the one before; how many days."""
    over = run.due.astimezone(_zone(scope)).date()
    for ago in range(_AGAIN, 0, -1):
        await reckon(scope, over - timedelta(days=ago))
    return _AGAIN


async def reckon(scope: Scope, day: date) -> DaySums:
    """Reckon a day and keep its row, in place of the one that is there."""
    filter = {"day": day.isoformat()}
    values = await measured(scope, day)
    await scope.db.day_sums.update_one(filter, {"$set": values, "$setOnInsert": {"_id": new_id("day")}}, upsert=True)
    row: DaySums = await scope.db.day_sums.one(filter)
    return row


async def measured(scope: Scope, day: date) -> dict[str, Any]:
    """The values of a day's row as of now, kept nowhere."""
    begin, end = (datetime.combine(each, time(), _zone(scope)) for each in (day, day + timedelta(days=1)))
    within = {"$gte": begin, "$lt": end}
    acts = [await _acts(scope, day, action) for action in ("account.open", *_RENEWED)]
    return {
        "accounts": acts[0],
        "renewed": sum(acts[1:]),
        "lapsed": await scope.db.accounts.count({"status": "normal", "expires_at": within}, limit=1_000_000),
        **await _money(scope, day),
        "sold": await _sold(scope, day),
        "refused": await _refused(scope, within),
        **await _usage(scope, within),
    }


async def between(scope: Scope, since: date, until: date) -> list[DaySums]:
    """The rows of some days, both included, in order. A day that has not been reckoned has none."""
    days = (until - since).days + 1
    filter = {"day": {"$gte": since.isoformat(), "$lte": until.isoformat()}}
    return await scope.db.day_sums.find(filter, sort=[("day", 1)], limit=max(1, days))


async def _acts(scope: Scope, day: date, action: str) -> int:
    done = {**_made_on(scope, "aud", day), "noun": "account", "action": action}
    return await scope.db.audit.count(done, limit=1_000_000)


async def _money(scope: Scope, day: date) -> dict[str, Any]:
    group = {"_id": {"kind": "$kind", "method": "$method", "by": "$actor_name"}, "sum": {"$sum": "$amount"}}
    rows = await scope.db.ledger.aggregate([{"$match": _made_on(scope, "led", day)}, {"$group": group}])
    kinds: Counter[str] = Counter()
    methods: dict[str, Counter[str]] = {"payment": Counter(), "refund": Counter()}
    takers: dict[str, list[int]] = {}
    for row in rows:
        kind, amount = row["_id"]["kind"], int(row["sum"])
        kinds[kind] += amount
        if kind in methods:
            methods[kind][row["_id"]["method"]] += amount if kind == "payment" else -amount
            taken = takers.setdefault(row["_id"]["by"], [0, 0])
            taken[kind == "refund"] += amount if kind == "payment" else -amount
    return {
        "payments": dict(sorted(methods["payment"].items())),
        "paid_back": dict(sorted(methods["refund"].items())),
        "charges": -kinds["charge"],
        "refunds": -kinds["refund"],
        "takers": [[name, *sums] for name, sums in sorted(takers.items())],
    }


async def _sold(scope: Scope, day: date) -> list[list[Any]]:
    """What was charged by plan, less what was taken back; of entries without a plan the id is ""."""
    charges = {**_made_on(scope, "led", day), "kind": "charge"}
    group = {"_id": "$plan_id", "sum": {"$sum": "$amount"}}
    rows = await scope.db.ledger.aggregate([{"$match": charges}, {"$group": group}])
    return sorted([row["_id"] or "", -int(row["sum"])] for row in rows if row["sum"])


async def _refused(scope: Scope, within: Mapping[str, datetime]) -> list[list[Any]]:
    group = {"_id": {"reason": "$reason", "nas": "$nas_id"}, "count": {"$sum": "$count"}}
    rows = await scope.db.refusals.aggregate([{"$match": {"last_at": within}}, {"$group": group}])
    return sorted([row["_id"]["reason"], row["_id"]["nas"], int(row["count"])] for row in rows)


async def _usage(scope: Scope, within: Mapping[str, datetime]) -> dict[str, Any]:
    names = ("input_octets", "output_octets")
    match = {"$match": {"stopped_at": within}}
    octets = {name: {"$sum": f"${name}"} for name in names}
    rows = await scope.db.sessions.aggregate([match, {"$group": {"_id": None, "sessions": {"$sum": 1}, **octets}}])
    largest: list[dict[str, Any]] = [{"$sort": {"output_octets": -1}}, {"$limit": MOST_USERS + 1}]
    users = await scope.db.sessions.aggregate([match, {"$group": {"_id": "$account_id", **octets}}, *largest])
    known = [[row["_id"], *(int(row[name]) for name in names)] for row in users if row["_id"]]
    return {
        **{name: int(rows[0][name]) if rows else 0 for name in ("sessions", *names)},
        "users": known[:MOST_USERS],
    }


def _made_on(scope: Scope, kind: str, day: date) -> dict[str, Any]:
    """A filter on the ids made on a day."""
    text = day.isoformat()
    return made_between(ListQuery(filters={"since": text, "until": text}), kind, str(_zone(scope)))


def _zone(scope: Scope) -> ZoneInfo:
    return ZoneInfo(scope.tenant["parameters"]["timezone"])
