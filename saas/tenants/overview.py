"""What an operator sees first: today's figures, what ends soon, what has gone wrong, and the curves of the last days.

Nothing here takes longer the more history there is. Counts stop at COUNTED, sums are of today alone, and what is drawn
of the days before was reckoned by jobs (sums.py, `count_online`). The figures are kept with the moment at which they
were true, and counted anew behind whoever looks: nobody waits for that, and ten people cost no more than one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, Final, TypedDict
from zoneinfo import ZoneInfo

from saas.store import Filter, Table
from saas.tenants import accounts, engines, platform, sessions, sums
from saas.tenants.accounting import stale_after
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import first_id, from_epoch, new_id, utcnow

COUNTED: Final = 10_000  # nothing is counted further than this
DAYS: Final = 30  # of which curves are drawn
GOOD: Final = 10  # seconds after which figures are counted anew, behind the back of whoever asks for them
_KEPT = 86400  # seconds; whoever comes first on a day waits for them
_SHOWN = 5  # accounts that end next, and so on
_DEVICES = 200  # that are looked at for silence
_QUIET = timedelta(minutes=15)  # at least, before a device is called silent
_RECENT = timedelta(days=1)
_ONLINE_MOST = 1_000_000  # sessions that a sample counts
Row = Mapping[str, Any]
_counting: dict[str, asyncio.Task[Figures]] = {}  # of which tenants this process counts figures anew
log = logging.getLogger(__name__)


class Figures(TypedDict):
    """`at`: when it was counted, seconds since 1970; `day`: the tenant's day then. Counts up to COUNTED.

    Since midnight: `opened` accounts, `income` of payments in minor units, `refused` log-ins by reason, most first.
    `used`: what a tier limits, see platform.usage. Of the normal accounts, those whose plan is over (`expired`) or ends
    within a week (`expiring`). `next`: the accounts that end next, as (id, user name, when); `silent`: devices that
    were heard of and are not any more, as (id, name, last packet); moments in seconds since 1970. `unsent`: notices
    that failed within a day.
    """

    at: float
    day: str
    online: int
    used: dict[str, int]
    opened: int
    income: int
    refused: dict[str, int]
    expiring: int
    expired: int
    suspended: int
    next: list[tuple[str, str, float]]
    silent: list[tuple[str, str, float]]
    unsent: int


@dataclass(frozen=True, slots=True)
class Failures:
    """What jobs could not do for the tenant: those to be tried again, with when they failed, and what was stopped: bulk
    operations (`runs`) and imports (`files`).
    """

    jobs: Sequence[tuple[str, datetime]]
    runs: Sequence[Row]
    files: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Beginnings:
    """What of the first steps is done: devices, plans, accounts; `heard`: some device has sent a packet."""

    nas: bool
    heard: bool
    plans: bool
    accounts: bool


@dataclass(frozen=True, slots=True)
class Curves:
    """`online` as (moment, sessions) of the last 24 hours; the days before today, each once, without gap."""

    online: Sequence[tuple[datetime, int]]
    days: Sequence[sums.DaySums]


async def figures(scope: Scope) -> Figures:
    """The tenant as of the last look of this day, counted anew for the next one; of today from its first second on."""
    kept: Figures | None = await scope.kv.get("figures")
    if kept is None or kept["day"] != _today(scope).isoformat():
        return await _recount(scope)
    if utcnow().timestamp() - kept["at"] > GOOD and scope.tenant_id not in _counting:
        _counting[scope.tenant_id] = asyncio.create_task(_recount(scope))
        _counting[scope.tenant_id].add_done_callback(partial(_counted, scope.tenant_id))
    return kept


async def _recount(scope: Scope) -> Figures:
    found = await _count(scope)
    await scope.kv.put("figures", found, _KEPT)
    return found


def _counted(tenant_id: str, task: asyncio.Task[Figures]) -> None:
    del _counting[tenant_id]
    if not task.cancelled() and (error := task.exception()):
        log.warning("the figures of tenant %s are not counted: %s", tenant_id, error)


async def beginnings(scope: Scope) -> Beginnings | None:
    """None once somebody was online."""
    if await sessions.anything(scope):
        return None
    devices = await scope.db.nas.find({}, limit=50, fields=["_id"])
    heard = await engines.device_stats(scope, [row["_id"] for row in devices])
    plans, opened = [await table.count({}, limit=1) for table in (scope.db.plans, scope.db.accounts)]
    return Beginnings(bool(devices), bool(heard), bool(plans), bool(opened))


async def failures(scope: Scope) -> Failures:
    """The tenant's jobs that failed the last time; bulk operations and imports of the last day that were stopped."""
    rows = await scope.db.schedules.find({}, limit=50)
    jobs = [(row["job"], row["last_at"]) for row in rows if row["failures"]]
    runs, files = [
        await table.find({"_id": {"$gte": first_id(kind, utcnow() - _RECENT)}}, limit=_SHOWN * 10)
        for table, kind in ((scope.db.bulk_runs, "blk"), (scope.db.imports, "imp"))
    ]
    return Failures(jobs, *([row for row in rows if row["state"] == "stopped"][:_SHOWN] for rows in (runs, files)))


async def under_way(table: Table) -> list[Row]:
    """The bulk operations or imports at which the jobs are, the newest first."""
    return await table.find({"open": True}, limit=_SHOWN)


async def curves(scope: Scope) -> Curves:
    """What is drawn. Yesterday is reckoned here where its job has not been there yet: it is over, whatever the time."""
    today = _today(scope)
    days = await sums.between(scope, today - timedelta(days=DAYS), today - timedelta(days=1))
    yesterday = today - timedelta(days=1)
    if days and days[-1]["day"] != yesterday.isoformat():
        days.append(await sums.reckon(scope, yesterday))
    return Curves(await _online_since(scope, utcnow() - _RECENT), days)


async def count_online(scope: Scope, run: Occasion) -> int:
    """Keep how many are online now: a row for each day of UTC, with the count of every ten minutes."""
    found = await sessions.online_count(scope, _ONLINE_MOST)
    sample = {f"counts.{run.now:%H%M}": found}
    made = {"_id": new_id("onl"), "at": run.now}
    change = {"$set": sample, "$setOnInsert": made}
    await scope.db.online_counts.update_one({"day": run.now.date().isoformat()}, change, upsert=True)
    return 1


async def _online_since(scope: Scope, since: datetime) -> list[tuple[datetime, int]]:
    rows = await scope.db.online_counts.find({"day": {"$gte": since.date().isoformat()}}, sort=[("day", 1)], limit=3)
    points = [
        (datetime.fromisoformat(f"{row['day']}T{minute[:2]}:{minute[2:]}+00:00"), count)
        for row in rows
        for minute, count in sorted(row["counts"].items())
    ]
    return [point for point in points if point[0] >= since]


async def _count(scope: Scope) -> Figures:
    now, midnight = utcnow(), _midnight(scope)
    normal = {"status": "normal"}
    ended, ending = (normal | {"expires_at": accounts.ending(ends, now)} for ends in ("past", "week"))
    async with asyncio.TaskGroup() as group:
        used = group.create_task(platform.usage(scope))
        online = group.create_task(sessions.online_count(scope, COUNTED))
        table = scope.db.accounts
        counted = [
            group.create_task(_up_to(table, filter))
            for filter in (
                {"_id": {"$gte": first_id("acc", midnight)}},
                ending,
                ended,
                {"status": "suspended"},
            )
        ]
        unsent = {"state": "failed", "_id": {"$gte": first_id("ntc", now - _RECENT)}}
        failed = group.create_task(_up_to(scope.db.notices, unsent))
        income = group.create_task(_income(scope, midnight))
        refused = group.create_task(_refused(scope, midnight))
        soon = group.create_task(table.find(ending, sort=[("expires_at", 1), ("_id", 1)], limit=_SHOWN))
        silent = group.create_task(_silent(scope, now))
    opened, expiring, expired, suspended = (task.result() for task in counted)
    return Figures(
        at=now.timestamp(),
        day=_today(scope).isoformat(),
        online=online.result(),
        used=used.result(),
        opened=opened,
        income=income.result(),
        refused=refused.result(),
        expiring=expiring,
        expired=expired,
        suspended=suspended,
        next=[(row["_id"], row["username"], row["expires_at"].timestamp()) for row in soon.result()],
        silent=silent.result(),
        unsent=failed.result(),
    )


async def _up_to(table: Table, filter: Filter) -> int:
    return await table.count(filter, limit=COUNTED)


async def _income(scope: Scope, midnight: datetime) -> int:
    match = {"kind": "payment", "_id": {"$gte": first_id("led", midnight)}}
    rows = await scope.db.ledger.aggregate([{"$match": match}, {"$group": {"_id": None, "sum": {"$sum": "$amount"}}}])
    return int(rows[0]["sum"]) if rows else 0


async def _refused(scope: Scope, midnight: datetime) -> dict[str, int]:
    group = {"_id": "$reason", "count": {"$sum": "$count"}}
    rows = await scope.db.refusals.aggregate([{"$match": {"last_at": {"$gte": midnight}}}, {"$group": group}])
    return {row["_id"]: int(row["count"]) for row in sorted(rows, key=lambda row: -row["count"])}


async def _silent(scope: Scope, now: datetime) -> list[tuple[str, str, float]]:
    rows = await scope.db.nas.find({"status": "active"}, sort=[("name", 1)], limit=_DEVICES, fields=["name"])
    stats = await engines.device_stats(scope, [row["_id"] for row in rows])
    last: Mapping[str, float] = {nas_id: each.last_at for nas_id, each in stats.items() if each.last_at}
    quiet = [(row["_id"], row["name"], last[row["_id"]]) for row in rows if row["_id"] in last]
    return [device for device in quiet if from_epoch(device[2]) < now - patience(scope)]


def patience(scope: Scope) -> timedelta:
    """How long nothing may come of a device before it is called silent."""
    return max(_QUIET, timedelta(seconds=stale_after(scope.tenant["parameters"])))


def _zone(scope: Scope) -> ZoneInfo:
    return ZoneInfo(scope.tenant["parameters"]["timezone"])


def _today(scope: Scope) -> date:
    return utcnow().astimezone(_zone(scope)).date()


def _midnight(scope: Scope) -> datetime:
    return datetime.combine(_today(scope), time(), _zone(scope))
