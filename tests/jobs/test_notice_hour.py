"""The hour of notices: each day has its one run, at the hour that the tenant says, however that is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import create_model

from saas.jobs.scheduled import Scheduler
from saas.tenants import members, parameters, reminders
from saas.tenants.members import MemberForm
from saas.tenants.schedules import SCHEDULES, Occasion
from saas.tenants.scope import PlatformScope, Scope
from tests.world import Business, make_business, set_account

ZONE = ZoneInfo("Asia/Shanghai")
JOBS = ("expiring", "closings")

Work = Callable[[Scope, Occasion], Awaitable[int]]


def clock(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of March 2026 on the clocks of Shanghai."""
    return datetime(2026, 3, day, hour, minute, tzinfo=ZONE).astimezone(UTC)


class Shop:
    """A business with an account that ends on the 12th at noon, and a clock that stands at 1:00 of the 9th."""

    def __init__(self, ps: PlatformScope, business: Business) -> None:
        self.ps, self.business = ps, business
        self.now = clock(9, 1)
        self.runs: list[tuple[str, datetime]] = []
        work = {job: self._noted(job, reminders.tell_expiring if job == "expiring" else _nothing) for job in JOBS}
        self.scheduler = Scheduler(work, {job: SCHEDULES[job] for job in JOBS}, lambda: self.now)

    def _noted(self, job: str, work: Work) -> Work:
        async def noted(scope: Scope, run: Occasion) -> int:
            if scope.tenant_id == self.business.id:
                self.runs.append((job, run.now))
            return await work(scope, run)

        return noted

    async def at(self, moment: datetime) -> None:
        """Let it be that late, the jobs running every half an hour."""
        while self.now < moment:
            self.now = min(moment, self.now + timedelta(minutes=30))
            await self.scheduler.run_due(self.ps)

    async def set_hour(self, hour: int) -> None:
        tenant = await self.ps.db.tenants.get(self.business.id)
        scope = self.ps.enter(tenant, self.business.scope.actor)
        form: Any = create_model("Hour", notice_hour=(int, hour))
        await parameters.update(scope, form())

    def of(self, job: str) -> list[datetime]:
        return [moment for name, moment in self.runs if name == job]

    async def told(self) -> list[str]:
        rows = await self.business.scope.db.notices.find({"kind": "expiring"}, sort=[("_id", 1)])
        return [row["occasion"] for row in rows]


async def _nothing(_scope: Scope, _run: Occasion) -> int:
    return 0


@pytest.fixture
async def shop(alone: PlatformScope) -> Shop:
    await alone.db.schedules.delete_many({})
    business = await make_business(alone, "hour")
    form = MemberForm(name="Alice", email="alice@example.net")
    await members.update(business.scope, business.account["member_id"], form)
    await set_account(business.scope, business.account["_id"], expires_at=clock(12, 12))
    opened = Shop(alone, business)
    await opened.scheduler.run_due(alone)
    return opened


async def test_it_is_nine_until_the_tenant_says_otherwise(shop: Shop) -> None:
    await shop.at(clock(9, 8, 30))
    assert shop.runs == []
    await shop.at(clock(10, 12))
    assert shop.of("expiring") == shop.of("closings") == [clock(9, 9), clock(10, 9)]
    assert len(await shop.told()) == 1


@pytest.mark.parametrize(
    ("changed", "hour", "runs"),
    [
        ((9, 6), 18, [(9, 18), (10, 18)]),  # before today's run: later today
        ((9, 6), 7, [(9, 7), (10, 7)]),
        ((9, 12), 18, [(9, 9), (10, 18)]),  # after it: today is done
        ((9, 12), 7, [(9, 9), (10, 7)]),
        ((9, 8), 0, [(9, 8.5), (10, 0)]),  # today's hour is over before its run was: at once
        ((9, 12), 23, [(9, 9), (10, 23)]),
    ],
)
async def test_however_it_is_changed_each_day_has_its_one_run(
    shop: Shop, changed: tuple[int, int], hour: int, runs: list[tuple[int, float]]
) -> None:
    await shop.at(clock(*changed))
    await shop.set_hour(hour)
    await shop.at(clock(10, 23, 30))
    expected = [clock(day, int(at), 30 if at % 1 else 0) for day, at in runs]
    assert shop.of("expiring") == shop.of("closings") == expected
    assert len(await shop.told()) == 1, "the account is told of once"


async def test_days_that_were_missed_are_made_up_for_after_a_change(shop: Shop) -> None:
    await shop.set_hour(20)
    shop.now = clock(11, 22)  # no process ran for two days
    while await shop.scheduler.run_due(shop.ps) or len(shop.of("expiring")) < 3:
        pass
    assert len(shop.of("expiring")) == 3 and len(await shop.told()) == 1
    await shop.at(clock(12, 21))
    assert shop.of("expiring")[3:] == [clock(12, 20)]


async def test_other_jobs_stay_where_they_are(shop: Shop) -> None:
    before = await shop.business.scope.db.schedules.find({}, sort=[("job", 1)])
    tenant = await shop.ps.db.tenants.get(shop.business.id)
    scope = shop.ps.enter(tenant, shop.business.scope.actor)
    form: Any = create_model("Days", notice_days=(int, 5))
    await parameters.update(scope, form())
    assert await shop.business.scope.db.schedules.find({}, sort=[("job", 1)]) == before
