"""What is not kept for ever: details of sessions that ended long ago, where the tenant says so.

Ledger, daily sums, papers and the operation log stay: nothing of them is reckoned from old sessions.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from saas.tenants import audit, schedules
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope

LEAST = 180  # days
_PORTION = 500  # sessions of one transaction
_MOST = 200_000  # sessions a night: what else is due to the tenant waits meanwhile
_RECKONED_AGAIN = timedelta(days=3)  # how far back the next run of the daily sums looks, at most


async def forget_sessions(scope: Scope, run: Occasion) -> int:
    """Remove the details of sessions that ended before the days that the tenant keeps; how many.

    It is logged before it is done. What is left for another night, or because a run was cut off, the next run finds.
    """
    days = scope.tenant["parameters"]["keep_sessions"]
    if not days:
        return 0
    until = min(run.now - timedelta(days=days), await schedules.seen_to(scope, "day_sums") - _RECKONED_AGAIN)
    old = await scope.db.sessions.count({"stopped_at": {"$lt": until}}, limit=_MOST)
    if old:
        told = {"sessions": old, "ended_before": until}
        await audit.record(scope, "session.forget", scope.tenant_id, after=told)
    removed = 0
    while removed < old and (portion := await _forget(scope, until, min(_PORTION, old - removed))):
        removed += portion
    return removed


async def _forget(scope: Scope, until: datetime, limit: int) -> int:
    """The next portion, the oldest first, each with the attempts at forcing it off; how many sessions."""

    async def write(tx: Scope) -> int:
        filter: dict[str, Any] = {"stopped_at": {"$lt": until}}
        rows = await tx.db.sessions.find(filter, sort=[("stopped_at", 1)], limit=limit, fields=["_id"])
        ids = [row["_id"] for row in rows]
        await tx.db.disconnects.delete_many({"session_id": {"$in": ids}})
        return await tx.db.sessions.delete_many({"_id": {"$in": ids}})

    return await scope.transaction(write)
