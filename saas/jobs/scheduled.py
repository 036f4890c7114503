"""What is done for each tenant at its time (saas.tenants.schedules); what fails for one stops no other."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial

from saas.errors import Unavailable
from saas.tenants import (
    activations,
    cards,
    chain,
    closings,
    overview,
    proof,
    reminders,
    renewals,
    retention,
    schedules,
    sums,
)
from saas.tenants.fanout import each_tenant
from saas.tenants.schedules import SCHEDULES, Occasion, Schedule
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow

log = logging.getLogger(__name__)

_PORTION = 200  # rows
Work = Callable[[Scope, Occasion], Awaitable[int]]

WORK: Mapping[str, Work] = {
    "activations": activations.activate_due,
    "card_expiry": cards.expire_due,
    "chain": chain.check_due,
    "closings": closings.close_suspended,
    "day_sums": sums.reckon_due,
    "expired": reminders.tell_expired,
    "expiring": reminders.tell_expiring,
    "online_counts": overview.count_online,
    "proof": proof.prove_due,
    "quota_used": reminders.tell_used_up,
    "renewals": renewals.renew_due,
    "retention": retention.forget_sessions,
}


class Scheduler:
    """Does what is due, a portion at a time; it remembers up to which tenant all have their rows."""

    def __init__(
        self,
        work: Mapping[str, Work] = WORK,
        plan: Mapping[str, Schedule] = SCHEDULES,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._work = work
        self._plan = plan
        self._clock = clock
        self._enrolled = ""

    async def run_due(self, ps: PlatformScope) -> int:
        """Do the next portion; what the runs got done."""
        now = self._clock()
        self._enrolled = await schedules.enrol(ps, now, self._enrolled, self._plan)
        by_tenant: dict[str, list[schedules.Scheduled]] = defaultdict(list)
        for row in await schedules.due(ps, list(self._work), now, _PORTION):
            by_tenant[row["tenant_id"]].append(row)
        return await each_tenant(ps, "scheduled jobs", by_tenant, partial(self._run_all, now))

    async def _run_all(self, now: datetime, scope: Scope, rows: list[schedules.Scheduled]) -> int:
        return sum([await self._run(scope, row, Occasion(row["due_at"], row["since"], now)) for row in rows])

    async def _run(self, scope: Scope, row: schedules.Scheduled, run: Occasion) -> int:
        """One run, and how it went: an error is the row's, and is tried again."""
        begun = time.monotonic()
        try:
            done = await self._work[row["job"]](scope, run)
        except Unavailable:
            raise
        except Exception as error:
            log.exception("job %s of tenant %s failed", row["job"], scope.tenant_id)
            await schedules.fail(scope, row, run, time.monotonic() - begun, f"{type(error).__name__}: {error}")
            return 0
        await schedules.finish(scope, row, self._plan[row["job"]], run, time.monotonic() - begun, done)
        return done
