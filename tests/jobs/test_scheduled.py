"""Jobs at their time: what was missed is made up for, twice is once, and what fails for one tenant stops no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from saas.jobs.runner import all_jobs
from saas.jobs.scheduled import WORK, Scheduler
from saas.tenants import schedules
from saas.tenants.paging import ListQuery
from saas.tenants.schedules import SCHEDULES, Daily, Every, Occasion, Scheduled
from saas.tenants.scope import PlatformScope, Scope
from tests.tenants.accounting_events import make_tenant

START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)  # noon in Shanghai
PLAN = {"often": Every(10), "daily": Daily(time(0, 10))}


class Diary:
    """Work that writes down its runs, and a clock that the test moves."""

    def __init__(self, ps: PlatformScope) -> None:
        self.ps = ps
        self.now = START
        self.runs: list[tuple[str, str, Occasion]] = []
        self.broken: set[str] = set()

    def scheduler(self) -> Scheduler:
        """A process that has just begun to lead."""
        work = {name: self._work(name) for name in PLAN}
        return Scheduler(work, PLAN, lambda: self.now)

    def _work(self, name: str) -> Callable[[Scope, Occasion], Any]:
        async def work(scope: Scope, run: Occasion) -> int:
            self.runs.append((scope.tenant_id, name, run))
            if scope.tenant_id in self.broken:
                raise ValueError("this one fails")
            return 3

        return work

    def of(self, scope: Scope, name: str) -> list[Occasion]:
        return [run for tenant_id, job, run in self.runs if (tenant_id, job) == (scope.tenant_id, name)]

    async def row(self, scope: Scope, name: str) -> Scheduled:
        row: Scheduled | None = await scope.db.schedules.one({"job": name})
        assert row is not None
        return row


@pytest.fixture
async def diary(alone: PlatformScope) -> Diary:
    await alone.db.schedules.delete_many({})
    return Diary(alone)


@pytest.fixture
async def scope(alone: PlatformScope) -> Scope:
    return await make_tenant(alone)


def test_every_schedule_has_its_work() -> None:
    assert set(WORK) == set(SCHEDULES)
    assert "scheduled" in {job.name for job in all_jobs()}


async def test_nothing_is_due_at_first_then_each_at_its_time(diary: Diary, scope: Scope) -> None:
    scheduler = diary.scheduler()
    assert await scheduler.run_due(diary.ps) == 0
    diary.now = START + timedelta(minutes=10)
    assert await scheduler.run_due(diary.ps) == 3 * await diary.ps.db.tenants.count()
    assert [run.since for run in diary.of(scope, "often")] == [START]
    assert diary.of(scope, "daily") == []
    row = await diary.row(scope, "often")
    assert (row["last_at"], row["done"], row["error"]) == (diary.now, 3, "")
    assert row["next_at"] == row["due_at"] == START + timedelta(minutes=20)
    assert row["since"] == diary.now


async def test_twice_is_once(diary: Diary, scope: Scope) -> None:
    await diary.scheduler().run_due(diary.ps)
    diary.now += timedelta(minutes=10)
    one, other = diary.scheduler(), diary.scheduler()
    await one.run_due(diary.ps)
    assert await other.run_due(diary.ps) == 0
    assert len(diary.of(scope, "often")) == 1


async def test_what_was_missed_is_made_up_for(diary: Diary, scope: Scope) -> None:
    await diary.scheduler().run_due(diary.ps)
    diary.now += timedelta(days=3)
    scheduler = diary.scheduler()  # after three days without any process
    while await scheduler.run_due(diary.ps):
        pass
    (often,) = diary.of(scope, "often")
    assert (often.since, often.now) == (START, diary.now)
    midnights = [run.due for run in diary.of(scope, "daily")]
    assert midnights == [datetime(2026, 3, day, 16, 10, tzinfo=UTC) for day in (1, 2, 3)]


async def test_what_fails_for_one_stops_no_other_and_is_tried_again(
    diary: Diary, scope: Scope, expect_log: Callable[[str], None]
) -> None:
    expect_log("job often of tenant .* failed")
    other = await make_tenant(diary.ps)
    scheduler = diary.scheduler()
    await scheduler.run_due(diary.ps)
    diary.broken = {scope.tenant_id}
    diary.now += timedelta(minutes=10)
    first = diary.now
    await scheduler.run_due(diary.ps)
    assert len(diary.of(other, "often")) == 1
    row = await diary.row(scope, "often")
    assert (row["failures"], row["error"]) == (1, "ValueError: this one fails")
    assert row["next_at"] == first + timedelta(minutes=1)
    assert (row["due_at"], row["since"]) == (START + timedelta(minutes=10), START), "the run is still to be done"
    diary.now = row["next_at"]
    await scheduler.run_due(diary.ps)
    assert (await diary.row(scope, "often"))["next_at"] == diary.now + timedelta(minutes=2)
    diary.broken = set()
    diary.now += timedelta(minutes=2)
    await scheduler.run_due(diary.ps)
    row = await diary.row(scope, "often")
    assert (row["failures"], row["error"]) == (0, "")
    assert [run.due for run in diary.of(scope, "often")] == [START + timedelta(minutes=10)] * 3


async def test_failed_ones_are_listed_first(diary: Diary, scope: Scope, expect_log: Callable[[str], None]) -> None:
    expect_log("failed")
    scheduler = diary.scheduler()
    await scheduler.run_due(diary.ps)
    diary.broken = {scope.tenant_id}
    diary.now += timedelta(minutes=10)
    await scheduler.run_due(diary.ps)
    found = await schedules.listing(diary.ps, ListQuery(sort="-failures", limit=2))
    assert (found.rows[0]["slug"], found.rows[0]["job"]) == (scope.tenant["slug"], "often")
    assert found.rows[1]["failures"] == 0
    own = await schedules.listing(diary.ps, ListQuery(q=scope.tenant["slug"], sort="-failures"))
    assert {row["job"] for row in own.rows} == set(PLAN)
    first, second = await schedules.summaries(diary.ps)
    assert (first.job, first.failing, second.job, second.failing) == ("often", 1, "daily", 0)
    assert first.tenants == second.tenants == await diary.ps.db.tenants.count()


async def test_a_new_tenant_gets_its_jobs_while_the_process_runs(diary: Diary) -> None:
    scheduler = diary.scheduler()
    diary.now = datetime.now(UTC)
    await scheduler.run_due(diary.ps)
    late = await make_tenant(diary.ps)
    await scheduler.run_due(diary.ps)
    assert {row["job"] for row in await late.db.schedules.find()} == set(PLAN)
