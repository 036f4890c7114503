"""Work that people ask for and the jobs do, portion by portion: tenants take turns, and of each the oldest comes first.

A row says what is asked for, who asked (`actor`), whether there is work left (`open`), and when its tenant had its last
turn (`turn_at`). Each portion is done in the name of whoever asked, if he still may.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from saas.store import Table
from saas.tenants import login
from saas.tenants.fanout import each_tenant
from saas.tenants.scope import Actor, PlatformScope, Scope
from saas.values import utcnow


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work, its rows in the collection `table`: open ones, `where` more is said of them.

    `may`: whether somebody may still have a row's work done. `portion` does the next of it, and answers how much that
    was. `stop` ends it for a reason, a code. `looked_at`: rows of which a turn finds the tenants; with 1, one tenant
    has a turn, and with more they have theirs at once.
    """

    table: str
    may: Callable[[Scope, Any], bool]
    portion: Callable[[Scope, Any], Awaitable[int]]
    stop: Callable[[Scope, Any, str], Awaitable[Any]]
    where: Mapping[str, Any] = field(default_factory=dict)
    looked_at: int = 500

    def rows(self, scope: Scope | PlatformScope) -> Table:
        """The collection, within the scope."""
        table: Table = getattr(scope.db, self.table)
        return table


async def turn(ps: PlatformScope, work: Work) -> int:
    """A portion for each tenant that has work, those first who have waited longest; how much was done."""
    waiting = {"open": True, **work.where}
    rows = await work.rows(ps).find(waiting, sort=[("turn_at", 1)], limit=work.looked_at, fields=["tenant_id"])
    tenants: dict[str, None] = {row["tenant_id"]: None for row in rows}
    return await each_tenant(ps, work.table, tenants, partial(_portion, ps, work))


async def _portion(ps: PlatformScope, work: Work, system: Scope, _: None) -> int:
    """The next portion of the tenant's oldest row."""
    waiting = {"open": True, **work.where}
    rows = await work.rows(system).find(waiting, sort=[("_id", 1)], limit=1)
    if not rows:
        return 0
    row = rows[0]
    await work.rows(system).update_many(waiting, {"$set": {"turn_at": utcnow()}})
    scope = await login.acting(ps, Actor(**row["actor"]), system.tenant)
    if reason := _stopped(system, scope, work, row):
        await work.stop(system, row, reason)
        return 0
    return await work.portion(scope, row) if scope is not None else 0


def _stopped(system: Scope, scope: Scope | None, work: Work, row: Any) -> str:
    """Why the work cannot go on, "" when it can."""
    if system.tenant["status"] != "active":
        return "tenant_stopped"
    if scope is None:
        return "actor_gone"
    return "" if work.may(scope, row) else "denied"
