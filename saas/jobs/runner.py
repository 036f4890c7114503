"""Runs the jobs in the one process that holds the lease; any other one stands by."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from saas import tasks
from saas.errors import Unavailable
from saas.jobs.accounting import Accounting
from saas.jobs.bulk import work_off
from saas.jobs.kicks import kick_oldest
from saas.jobs.notes import keep_notes
from saas.jobs.overdue import Overdue
from saas.jobs.scheduled import Scheduler
from saas.tenants import bulk_work, health, import_reading, import_work
from saas.tenants.adjusting import adjust_due
from saas.tenants.chain import check_platform, link_waiting
from saas.tenants.first_logins import begin_terms
from saas.tenants.outbox import send_due
from saas.tenants.plans import settle_all
from saas.tenants.scope import PlatformScope

log = logging.getLogger(__name__)

_LEASE = "jobs"
_LEASE_TTL = 10.0  # seconds
_RENEW = 3.0  # seconds
_AFTER_ERROR = 1.0  # seconds
_BEAT = 2.0  # seconds between two reports of a job that runs all the time


@dataclass(frozen=True, slots=True)
class Job:
    """`work` is done again and again, `pause` seconds after it ended; it answers how much it got done."""

    name: str
    pause: float
    work: Callable[[PlatformScope], Awaitable[int]]


def all_jobs() -> list[Job]:
    """Every job, with fresh state: a new leader knows nothing."""
    accounting = Accounting()
    return [
        Job("accounting", 0, accounting.apply_journal),
        Job("changes", 0, accounting.hear_changes),
        Job("notes", 0.5, keep_notes),
        Job("kicks", 0.2, kick_oldest),
        Job("adjustments", 0.5, adjust_due),
        Job("stale_sessions", 15, accounting.close_stale),
        Job("slots", 15, accounting.check_slots),
        Job("overdue_sessions", 10, Overdue().end),
        Job("first_logins", 15, begin_terms),
        Job("scheduled", 5, Scheduler().run_due),
        Job("notices", 2, send_due),
        Job("bulk", 0.5, partial(work_off, bulk_work.WORK)),
        Job("import_files", 0.5, partial(work_off, import_reading.WORK)),
        Job("imports", 0.5, partial(work_off, import_work.WORK)),
        Job("chain", 1, link_waiting),
        Job("chain_check", 600, check_platform),
        Job("plans", 0.5, settle_all),
    ]


async def run(ps: PlatformScope, stop: asyncio.Event) -> None:
    """Lead whenever nobody else does, until `stop` is set; what has been begun is then finished first."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    while not stop.is_set():
        if await _leads(ps, holder):
            await lead(ps, holder, all_jobs(), stop)
        await _pause(stop, _RENEW)


async def _leads(ps: PlatformScope, holder: str) -> bool:
    try:
        return await ps.kv.lease(_LEASE, holder, _LEASE_TTL)
    except Unavailable:
        log.warning("jobs wait: Redis is away")
        return False


async def lead(ps: PlatformScope, holder: str, jobs: Sequence[Job], stop: asyncio.Event) -> None:
    """Run the jobs until `stop` is set, or the lease is lost: then at once, another process may be at work already."""
    log.info("jobs: %s leads", holder)
    loops = [asyncio.create_task(_repeat(ps, holder, job, stop)) for job in jobs]
    lost = asyncio.create_task(_lease_lost(ps, holder))
    try:
        await asyncio.wait([lost, *loops], return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            log.warning("jobs: %s no longer leads", holder)
        else:
            await asyncio.gather(*loops)
    finally:
        await tasks.end([lost, *loops])
    if stop.is_set():
        await _hand_over(ps, holder)


async def _lease_lost(ps: PlatformScope, holder: str) -> None:
    """Keep the lease as long as possible; ends when it is lost."""
    while await _leads(ps, holder):
        await asyncio.sleep(_RENEW)


async def _hand_over(ps: PlatformScope, holder: str) -> None:
    try:
        await ps.kv.release(_LEASE, holder)
    except Unavailable:
        log.warning("jobs: the lease runs out by itself, Redis is away")


async def _repeat(ps: PlatformScope, holder: str, job: Job, stop: asyncio.Event) -> None:
    """Do the job until `stop` is set. An error is told and tried again; it ends nothing."""
    told = 0.0
    while not stop.is_set():
        begun = time.time()
        done, error = await _once(ps, job)
        if error or begun - told > _BEAT:
            told = begun
            await _tell(ps, health.Beat(job.name, holder, begun, time.time() - begun, done, error))
        await _pause(stop, max(job.pause, _AFTER_ERROR) if error else job.pause)


async def _once(ps: PlatformScope, job: Job) -> tuple[int, str]:
    try:
        return await job.work(ps), ""
    except Unavailable as error:
        log.warning("job %s waits: %s is away", job.name, error.data.get("store"))
        return 0, error.code
    except Exception as error:
        log.exception("job %s failed", job.name)
        return 0, f"{type(error).__name__}: {error}"


async def _tell(ps: PlatformScope, beat: health.Beat) -> None:
    try:
        await health.beat(ps, beat)
    except Unavailable:
        log.warning("job %s: its report is lost, Redis is away", beat.job)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until `stop` is set."""
    if seconds:
        try:
            async with asyncio.timeout(seconds):
                await stop.wait()
        except TimeoutError:
            return
