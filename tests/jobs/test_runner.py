"""The jobs: one leads, another takes over, what fails is told and stops nothing; the whole path with a real journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from saas.jobs import runner
from saas.jobs.accounting import Accounting
from saas.jobs.notes import keep_notes
from saas.jobs.runner import Job
from saas.kv import Kv
from saas.tenants import health, journal, refusals, slots
from saas.tenants.refusals import Refusal
from saas.tenants.scope import PlatformScope, Scope, platform_scope
from tests.cable import plugged
from tests.conftest import Collector
from tests.support import until
from tests.tenants.accounting_events import drain, event, make_account, make_tenant, rows, session

pytestmark = pytest.mark.slow


@pytest.fixture
def ps(alone: PlatformScope) -> PlatformScope:
    """A leader does everything there is to do, and what other tests left is not ours."""
    return alone


@pytest.fixture(autouse=True)
async def emptied(ps: PlatformScope) -> AsyncIterator[None]:
    """Nothing of other tests in the journal, no lease of another test."""
    await drain(ps)
    await ps.kv.delete("lease:jobs")
    yield
    await drain(ps)


@pytest.fixture
async def scope(ps: PlatformScope) -> Scope:
    return await make_tenant(ps)


@asynccontextmanager
async def running(ps: PlatformScope) -> AsyncIterator[asyncio.Event]:
    """A runner, ended in order afterwards."""
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(ps, stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


async def led(ps: PlatformScope) -> bool:
    """True while somebody holds the lease."""
    return bool(await ps.kv.run("return redis.call('EXISTS', KEYS[1])", ["lease:jobs"], []))


async def works(ps: PlatformScope) -> bool:
    """True when a leader has told of a job since the test began."""
    return await led(ps) and bool(await health.beats(ps))


async def the_only(scope: Scope, **values: object) -> bool:
    """True when the tenant has one session with these values."""
    return [{name: row[name] for name in values} for row in await rows(scope)] == [values]  # type: ignore[literal-required]


async def test_what_is_recorded_becomes_a_session(ps: PlatformScope, scope: Scope) -> None:
    await make_account(scope, "alice")
    start, interim, stop = session(0, (300, 10, 100), (600, 20, 2**33), tenant_id=scope.tenant_id)
    async with running(ps):
        await journal.record(ps, "shared", [start])
        await until(lambda: the_only(scope, open=True, username="alice"), "the session is open")
        await journal.record(ps, "shared", [interim])
        await until(lambda: the_only(scope, open=True, input_octets=10, output_octets=100), "it is metered")
        await journal.record(ps, "shared", [stop])
        await until(lambda: the_only(scope, open=False, input_octets=20, output_octets=2**33), "it has ended")
    assert await journal.backlog(ps) == 0
    assert not await led(ps), "the lease is given back"


async def test_what_was_recorded_while_no_job_ran_is_applied(ps: PlatformScope, scope: Scope) -> None:
    for each in session(0, (300, 10, 100), (600, 20, 200), tenant_id=scope.tenant_id):
        await journal.record(ps, "shared", [each])
    async with running(ps):
        await until(lambda: the_only(scope, open=False, session_time=600), "the session is there")


async def test_two_runners_count_once_and_one_takes_over(ps: PlatformScope, scope: Scope) -> None:
    async with running(ps):
        async with running(ps) as other:
            events = session(0, *((n, n, n) for n in range(100, 1100, 100)), tenant_id=scope.tenant_id)
            for each in events[:5]:
                await journal.record(ps, "shared", [each])
            await until(lambda: the_only(scope, session_time=400), "the first part is applied")
            other.set()
        for each in events[5:]:
            await journal.record(ps, "shared", [each])
        await until(lambda: the_only(scope, open=False, session_time=1000, input_octets=1000), "the rest is applied")


async def test_a_lost_lease_ends_the_work(
    ps: PlatformScope, alone_redis: str, scope: Scope, log_guard: Collector, expect_log: Callable[[str], None]
) -> None:
    """The leader is cut off: another leads; the first comes back as one that waits."""
    expect_log("no longer leads")
    expect_log("[Rr]edis is away")
    await ps.kv.delete("jobs")
    async with plugged(alone_redis) as cable:
        kv = await Kv.open(cable.url)
        cut = platform_scope(replace(ps.services, kv=kv))
        stop = asyncio.Event()
        first = asyncio.create_task(runner.run(cut, stop))
        await until(lambda: works(ps), "the first leads, and knows it")
        await cable.pull()
        await ps.kv.delete("lease:jobs")  # as if it had run out
        try:
            async with running(ps):
                await journal.record(ps, "shared", session(0, (60, 1, 2), tenant_id=scope.tenant_id))
                await until(lambda: the_only(scope, open=False, output_octets=2), "the second does the work")
                said = log_guard.records
                await until(lambda: any("no longer leads" in each.getMessage() for each in said), "the first sees it")
        finally:  # whatever came of it: a runner that goes on would be in the way of every other test
            await cable.plug()
            stop.set()
            await first
            await kv.close()


async def test_a_job_that_fails_is_told_and_done_again(ps: PlatformScope, expect_log: Callable[[str], None]) -> None:
    expect_log("job flaky failed")
    calls = {"flaky": 0, "steady": 0}
    stop = asyncio.Event()

    async def flaky(_ps: PlatformScope) -> int:
        calls["flaky"] += 1
        if calls["flaky"] == 1:
            raise ValueError("once")
        stop.set()
        return 3

    async def steady(_ps: PlatformScope) -> int:
        calls["steady"] += 1
        await asyncio.sleep(0)
        return 1

    await runner.lead(ps, "test", [Job("flaky", 0, flaky), Job("steady", 0.01, steady)], stop)
    assert calls["flaky"] == 2
    assert calls["steady"] > 1
    beats = {beat.job: beat for beat in await health.beats(ps)}
    assert beats["flaky"].error == "ValueError: once"
    assert beats["steady"].error == ""
    assert beats["steady"].holder == "test"


async def test_a_batch_under_way_is_finished_when_told_to_stop(ps: PlatformScope) -> None:
    begun, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    stop = asyncio.Event()

    async def slow(_ps: PlatformScope) -> int:
        begun.set()
        await go_on.wait()
        finished.set()
        return 1

    task = asyncio.create_task(runner.lead(ps, "test", [Job("slow", 0, slow)], stop))
    await begun.wait()
    stop.set()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    await task
    assert finished.is_set()


async def test_silence_is_not_believed_before_the_journal_has_been_read(ps: PlatformScope, scope: Scope) -> None:
    job = Accounting()
    start, *_ = session(0, (60, 1, 1), tenant_id=scope.tenant_id)
    await journal.record(ps, "shared", [start])
    await job.apply_journal(ps)
    waiting = Accounting()
    assert await waiting.close_stale(ps) == 0
    assert await the_only(scope, open=True)
    await waiting.apply_journal(ps)
    assert await waiting.close_stale(ps) >= 1
    assert await the_only(scope, open=False, stop_source="stale")


async def test_lost_slots_are_counted_anew(ps: PlatformScope, scope: Scope) -> None:
    account_id = await make_account(scope, "alice")
    job = Accounting()
    await journal.record(ps, "shared", [event("start", 0, tenant_id=scope.tenant_id, account_id=account_id)])
    await job.apply_journal(ps)
    await ps.slots.delete("slots:built", f"t:{scope.tenant_id}:slots:{account_id}")
    assert await job.check_slots(ps) >= 1
    assert await slots.occupied(scope, account_id) == 1
    assert await job.check_slots(ps) == 0


async def test_notes_become_rows(ps: PlatformScope, scope: Scope) -> None:
    note = Refusal(scope.tenant_id, "nas_1", "alice", "", "account", {}, "pap", "AA", "192.0.2.7", time.time())
    await journal.note(ps, "shared", [note, note])
    assert await keep_notes(ps) == 2
    (row,) = await refusals.last_of(scope, "alice")
    assert (row["reason"], row["count"]) == ("account", 2)
    assert await journal.read_notes(ps, 0.001) == ({}, [])
