"""The operations of a data set's first tenant, done as fast as one process does them.

It prepares the tenant, says "ready", then answers each line on its input, "renew 2.0", with a line of JSON:
{"rate": a second, "seconds": it took, "count": how many}. It measures in the process itself, because a page around an
operation would be measured with it.

    renew    renewals with payment and charge, by 8 desks at once
    open     quick opens with payment and charge, by 8 desks at once; argon2 included
    meter    ledger entries of sessions that are charged by the MB, 1,000 reports a portion
    expire   the job that tells who has expired, of 5,000 accounts, once
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import count

from saas import config, tasks
from saas.commands import opened
from saas.tenants import accounts, apply, life, plans, reminders
from saas.tenants.accounting import AcctEvent
from saas.tenants.journal import Group
from saas.tenants.known import Known
from saas.tenants.plan_form import PlanForm
from saas.tenants.platform import tenant_by_slug
from saas.tenants.purchases import RENEW, RenewForm
from saas.tenants.schedules import Occasion
from saas.tenants.scope import SYSTEM, PlatformScope, Scope

DESKS = 8
REPORTS = 1000  # of a portion, each of another account
EXPIRING = 5000  # accounts
_SOME = 100  # ids in a filter
_MB = 2**20
_LONG_AGO = datetime.fromisoformat("2020-01-01T00:00:00+00:00")

Measured = tuple[int, float]  # how many, in how many seconds


class Operations:
    """What is measured. The first 1,000 accounts are charged by use, and never renewed."""

    def __init__(self, ps: PlatformScope, scope: Scope) -> None:
        self._ps, self._scope, self._known = ps, scope, Known()
        self._numbers, self._rounds = count(), count(1)
        self._run = format(time.time_ns(), "x")  # so that keys and names are new
        self._plan_id = ""
        self._ids: list[str] = []
        self.works: dict[str, Callable[[float], Awaitable[Measured]]] = {
            "renew": self._renew,
            "open": self._open,
            "meter": self._meter,
            "expire": self._expire,
        }

    async def prepare(self) -> None:
        """A price, accounts that are charged by use, somebody to tell."""
        scope, rows = self._scope, self._scope.db.accounts
        plan = await scope.db.plans.one({"name": "Measure 1"})
        monthly = PlanForm.model_validate(plans.form_of(plan) | {"price": "30.00"})
        self._plan_id = (await plans.update(scope, plan["_id"], monthly))["_id"]
        form = PlanForm.model_validate({"name": f"By MB {self._run}", "kind": "per_mb", "price": "0.01"})
        by_use = {"plan_id": (await plans.create(scope, form))["_id"]}
        await rows.update_many({"username": {"$lt": f"u{REPORTS:06d}"}}, {"$set": by_use})
        found = await rows.find({"plan_id": self._plan_id}, sort=[("_id", 1)], limit=2 * EXPIRING, fields=["_id"])
        self._ids = [row["_id"] for row in found]
        await self._ps.db.tenants.update(scope.tenant_id, {"$set": {"parameters.webhook_url": "http://127.0.0.1:9/"}})

    async def hear(self) -> None:
        """What the accounting job does beside."""
        while True:
            await self._known.hear(self._ps, 1.0)

    async def _renew(self, seconds: float) -> Measured:
        async def one(number: int) -> None:
            account_id = self._ids[number % len(self._ids)]
            await life.perform(self._scope, RENEW, account_id, RenewForm(), f"renew-{self._run}-{number}")

        return await self._desks(one, seconds)

    async def _open(self, seconds: float) -> Measured:
        async def one(number: int) -> None:
            name = f"n{self._run}-{number}"
            form = accounts.QuickOpenForm(username=name, plan_id=self._plan_id)
            await accounts.quick_open(self._scope, form, name)

        return await self._desks(one, seconds)

    async def _meter(self, seconds: float) -> Measured:
        begun, done = time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            step, now = next(self._rounds), time.time()
            events = tuple(self._report(number, step, now) for number in range(REPORTS))
            await apply.apply(self._ps, [Group("", "", now, events, b"")], self._known)
            done += REPORTS
        return done, time.monotonic() - begun

    def _report(self, number: int, step: int, now: float) -> AcctEvent:
        """An interim update of a session that uses a MB a step."""
        return AcctEvent(
            tenant_id=self._scope.tenant_id,
            nas_id="nas_bench",
            status="interim",
            session_id=f"{self._run}-{number}",
            username=f"u{number:06d}",
            at=now,
            received=now,
            session_time=step,
            input_octets=0,
            output_octets=step * _MB,
        )

    async def _expire(self, seconds: float) -> Measured:
        """However long it takes."""
        since = await self._expired()
        scope = self._ps.enter(await self._ps.db.tenants.get(self._scope.tenant_id), SYSTEM)
        begun, until = time.monotonic(), since + timedelta(minutes=5)
        told = await reminders.tell_expired(scope, Occasion(until, since, until))
        return told, time.monotonic() - begun

    async def _expired(self) -> datetime:
        """Let the accounts expire within some minutes of long ago, each time others."""
        since = _LONG_AGO + timedelta(days=next(self._rounds))
        for start in range(0, EXPIRING, _SOME):
            at = since + timedelta(seconds=1 + start // _SOME)
            some = {"_id": {"$in": self._ids[start : start + _SOME]}}
            await self._scope.db.accounts.update_many(some, {"$set": {"expires_at": at}})
        return since

    async def _desks(self, one: Callable[[int], Awaitable[None]], seconds: float) -> Measured:
        begun, done = time.monotonic(), 0

        async def desk() -> None:
            nonlocal done
            while time.monotonic() < begun + seconds:
                await one(next(self._numbers))
                done += 1

        await asyncio.gather(*(desk() for _ in range(DESKS)))
        return done, time.monotonic() - begun


async def _answer(ps: PlatformScope) -> None:
    tenant = await tenant_by_slug(ps, "t0000")
    assert tenant is not None
    operations = Operations(ps, ps.enter(tenant, SYSTEM))
    await operations.prepare()
    hearing = asyncio.create_task(operations.hear())
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, seconds = line.split()
        done, took = await operations.works[name](float(seconds))
        print(json.dumps({"rate": done / took, "seconds": took, "count": done}), flush=True)
    await tasks.end([hearing])


async def main() -> None:
    """Prepare, then answer lines until the input ends."""
    async with opened(config.load()) as ps:
        await _answer(ps)
