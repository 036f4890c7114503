"""What an operator sees first: how many, what was refused today, what is still to do before the first log-in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from saas.tenants import engines, platform, sessions
from saas.tenants.scope import Scope
from saas.values import utcnow

COUNTED = 10_000  # nothing is counted further than this


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts up to COUNTED; `refused` is reason -> log-ins refused since midnight in the tenant's zone, most first."""

    nas: int
    plans: int
    accounts: int
    operators: int
    online: int
    refused: dict[str, int]
    heard: bool  # some device has sent a packet
    logged_in: bool  # some session was ever reported


async def overview(scope: Scope) -> Overview:
    """The tenant at this moment."""
    used = await platform.usage(scope)
    return Overview(
        nas=used["nas"],
        plans=await scope.db.plans.count({}, limit=COUNTED),
        accounts=used["accounts"],
        operators=used["operators"],
        online=await sessions.online_count(scope, COUNTED),
        refused=await refused_today(scope),
        heard=await _heard(scope),
        logged_in=await sessions.anything(scope),
    )


async def refused_today(scope: Scope) -> dict[str, int]:
    """Reason -> how many log-ins were refused for it since midnight in the tenant's zone, most first."""
    zone = ZoneInfo(scope.tenant["parameters"]["timezone"])
    midnight = datetime.combine(utcnow().astimezone(zone).date(), time(), zone)
    rows = await scope.db.refusals.aggregate(
        [
            {"$match": {"last_at": {"$gte": midnight}}},
            {"$group": {"_id": "$reason", "count": {"$sum": "$count"}}},
        ]
    )
    return {row["_id"]: int(row["count"]) for row in sorted(rows, key=lambda row: -row["count"])}


async def _heard(scope: Scope) -> bool:
    devices = await scope.db.nas.find({}, limit=50, fields=["_id"])
    return bool(await engines.device_stats(scope, [row["_id"] for row in devices]))
