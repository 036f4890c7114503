"""What has to be done for each tenant at its time: when it is due next, and how it went the last time.

A row for each job and tenant says when the job is due there, so that looking for work costs no more than the work that
is found. A run may be cut off at any moment and done again: jobs are idempotent, and the row moves on when one is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypedDict, cast
from zoneinfo import ZoneInfo

from saas.errors import NotFound
from saas.store import Update
from saas.tenants.paging import ListQuery, Page, page
from saas.tenants.scope import PlatformScope, Scope
from saas.values import first_id, new_id

_BATCH = 500
_LATE = timedelta(minutes=10)  # by which a tenant's id may be older than the moment it can be seen
_RETRY, _RETRY_MOST = timedelta(minutes=1), timedelta(hours=1)

Parameters = Mapping[str, Any]  # of a tenant: its zone, and hours that it has chosen


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many minutes. However many runs were missed, one makes up for them."""

    minutes: int

    def after(self, due: datetime, now: datetime, parameters: Parameters) -> datetime:
        """When it is due next, after a run that was due at `due` and began at `now`."""
        return max(due, now) + timedelta(minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class Daily:
    """Once on each day of the tenant's zone, at a time of its clock. Days that were missed are made up for one by one.

    A time that the clock skips is taken as the same time after the change; of one that it shows twice, the first.
    `hour` names the parameter of the tenant that says the hour.
    """

    at: time
    hour: str = ""

    def after(self, due: datetime, now: datetime, parameters: Parameters) -> datetime:
        """When it is due next, after a run that was due at `due`."""
        today = due.astimezone(ZoneInfo(parameters["timezone"])).date()
        moments = (self.on(today + timedelta(days=ahead), parameters) for ahead in range(3))
        return next(moment for moment in moments if moment > due)

    def on(self, day: date, parameters: Parameters) -> datetime:
        """When it is due on a day of the tenant's zone."""
        at = self.at.replace(hour=parameters[self.hour]) if self.hour else self.at
        moment = datetime.combine(day, at, ZoneInfo(parameters["timezone"]))
        return datetime.fromtimestamp(moment.timestamp(), UTC)


Schedule = Every | Daily
_AT_NOTICE_HOUR = Daily(time(), "notice_hour")

# Every job that runs for each tenant; what it does is saas.jobs.scheduled.WORK.
SCHEDULES: Final[Mapping[str, Schedule]] = {
    "activations": Every(5),
    "card_expiry": Daily(time(0, 5)),
    "chain": Daily(time(3, 50)),
    "closings": _AT_NOTICE_HOUR,
    "day_sums": Daily(time(0, 10)),
    "expired": Every(5),
    "expiring": _AT_NOTICE_HOUR,
    "online_counts": Every(10),
    "proof": Daily(time(3, 30)),
    "quota_used": Every(5),
    "renewals": Every(10),
    "retention": Daily(time(4, 30)),
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """A run: `due` is when it should have been; `since`, until when the last one that went well saw to everything."""

    due: datetime
    since: datetime
    now: datetime


class Scheduled(TypedDict):
    """A job of a tenant. `due_at`: of the run that comes next; `next_at`: when that is tried, later after a failure.

    Of the last run: `last_at`, None before the first; `took` in seconds; `done`, how much it got done; `error`, "" when
    it went well. `failures`: how many failed since one went well; then `since` is what was last seen to.
    """

    _id: str
    tenant_id: str
    job: str
    due_at: datetime
    next_at: datetime
    since: datetime
    last_at: datetime | None
    took: float
    done: int
    error: str
    failures: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A job over all tenants. `next_at`: the earliest; `took`, in seconds, and `done`: the sums of the last runs."""

    job: str
    tenants: int
    failing: int
    last_at: datetime | None
    next_at: datetime
    took: float
    done: int


async def enrol(
    ps: PlatformScope, now: datetime, after: str = "", schedules: Mapping[str, Schedule] = SCHEDULES
) -> str:
    """Give the tenants behind the id `after` a row for every job they have none for, due the next time from now on.

    Answers the id behind which tenants may be new when it is done again.
    """
    while tenants := await ps.db.tenants.find(
        {"_id": {"$gt": after}}, sort=[("_id", 1)], limit=_BATCH, fields=["parameters"]
    ):
        after = tenants[-1]["_id"]
        ids = [tenant["_id"] for tenant in tenants]
        rows = await ps.db.schedules.find(
            {"tenant_id": {"$in": ids}}, limit=_BATCH * 100, fields=["tenant_id", "job"], sort=[("tenant_id", 1)]
        )
        there = {(row["tenant_id"], row["job"]) for row in rows}
        missing = [
            Update({"tenant_id": tenant["_id"], "job": job}, {"$setOnInsert": _fresh(tenant, schedule, now)}, True)
            for tenant in tenants
            for job, schedule in schedules.items()
            if (tenant["_id"], job) not in there
        ]
        await ps.db.schedules.bulk(missing, ordered=False)
    return first_id("ten", now - _LATE)


def _fresh(tenant: Mapping[str, Any], schedule: Schedule, now: datetime) -> dict[str, Any]:
    due = schedule.after(now, now, tenant["parameters"])
    blank = {"last_at": None, "took": 0.0, "done": 0, "error": "", "failures": 0}
    return {"_id": new_id("sch"), "due_at": due, "next_at": due, "since": now, **blank}


async def due(ps: PlatformScope, jobs: Sequence[str], now: datetime, limit: int) -> list[Scheduled]:
    """The next rows that are due of these jobs, the longest due first."""
    filter = {"next_at": {"$lte": now}, "job": {"$in": list(jobs)}}
    return await ps.db.schedules.find(filter, sort=[("next_at", 1)], limit=limit)


async def finish(scope: Scope, row: Scheduled, schedule: Schedule, run: Occasion, took: float, done: int) -> None:
    """A run went well: on to the next one. Nothing happens when another process has said so already."""
    upcoming = schedule.after(run.due, run.now, scope.tenant["parameters"])
    moved = {"due_at": upcoming, "next_at": upcoming, "since": run.now, "failures": 0}
    await _told(scope, row, run, {**moved, "took": took, "done": done, "error": ""})


async def move(tx: Scope, before: Parameters, after: Parameters) -> None:
    """Parameters say another hour: the next run is at that hour of the same day, so that each day has its one run; it
    is due at once where that hour is over. Call it in the transaction of the change.
    """
    moved = {
        job: schedule
        for job, schedule in SCHEDULES.items()
        if isinstance(schedule, Daily) and schedule.hour and before[schedule.hour] != after[schedule.hour]
    }
    for job, schedule in moved.items():
        if row := await tx.db.schedules.one({"job": job}):
            due = schedule.on(row["due_at"].astimezone(ZoneInfo(before["timezone"])).date(), after)
            await tx.db.schedules.update_one({"_id": row["_id"]}, {"$set": {"due_at": due, "next_at": due}})


async def seen_to(scope: Scope, job: str) -> datetime:
    """The moment of the run of a job that comes next: all runs of before went well. NotFound."""
    row = await scope.db.schedules.one({"job": job})
    if row is None:
        raise NotFound()
    return cast(datetime, row["due_at"])


async def fail(scope: Scope, row: Scheduled, run: Occasion, took: float, error: str) -> None:
    """A run failed: the same one again, after a minute, and ever more slowly up to an hour."""
    later = run.now + min(_RETRY * 2 ** min(row["failures"], 10), _RETRY_MOST)
    again = {"next_at": later, "failures": row["failures"] + 1}
    await _told(scope, row, run, {**again, "took": took, "done": 0, "error": error[:500]})


async def _told(scope: Scope, row: Scheduled, run: Occasion, values: Mapping[str, Any]) -> None:
    as_read = {"_id": row["_id"], "due_at": row["due_at"], "next_at": row["next_at"]}
    await scope.db.schedules.update_one(as_read, {"$set": {**values, "last_at": run.now}})


async def listing(ps: PlatformScope, query: ListQuery) -> Page:
    """Every job of every tenant, failed ones first by default. Filter: `job`; `q` is a tenant's short name.

    The rows have `slug`, the tenant's short name, too.
    """
    filter: dict[str, Any] = {"job": query.filters["job"]} if query.filters.get("job") else {}
    if query.q:
        tenant = await ps.db.tenants.one({"slug": query.q.lower()}, ["_id"])
        filter["tenant_id"] = tenant["_id"] if tenant else ""
    found = await page(ps.db.schedules, filter, query)
    tenants = await ps.db.tenants.among((row["tenant_id"] for row in found.rows), ["slug"])
    slugs = {tenant_id: tenant["slug"] for tenant_id, tenant in tenants.items()}
    return Page([{**row, "slug": slugs.get(row["tenant_id"], "")} for row in found.rows], found.next)


async def summaries(ps: PlatformScope) -> list[Summary]:
    """Every job over all tenants, those that fail somewhere first."""
    sums = {name: {"$sum": f"${name}"} for name in ("took", "done")}
    ends = {"last_at": {"$max": "$last_at"}, "next_at": {"$min": "$next_at"}}
    groups = await ps.db.schedules.aggregate([{"$group": {"_id": "$job", "tenants": {"$sum": 1}, **sums, **ends}}])
    failing = await ps.db.schedules.aggregate(
        [{"$match": {"failures": {"$gt": 0}}}, {"$group": {"_id": "$job", "tenants": {"$sum": 1}}}]
    )
    failed = {row["_id"]: int(row["tenants"]) for row in failing}
    found = [
        Summary(
            job=row["_id"],
            tenants=int(row["tenants"]),
            failing=failed.get(row["_id"], 0),
            last_at=row["last_at"],
            next_at=row["next_at"],
            took=float(row["took"]),
            done=int(row["done"]),
        )
        for row in groups
    ]
    return sorted(found, key=lambda each: (-each.failing, each.job))
