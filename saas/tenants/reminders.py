"""What subscribers are told because time has passed or a quota has ended: found by an index, so that accounts with
nothing to tell cost nothing. Each of these is a job of saas.jobs.scheduled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from saas.store import Update
from saas.tenants import notices, quotas
from saas.tenants.notices import News
from saas.tenants.paging import portions
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import from_epoch

_EVER = from_epoch(0)


async def tell_expiring(scope: Scope, run: Occasion) -> int:
    """Tell whose plan ends within the tenant's days of notice; how many are told of.

    Once for each date of expiry; where the tenant reminds again, once in each of its intervals until then.
    """
    parameters = scope.tenant["parameters"]
    days, again, zone = parameters["notice_days"], parameters["notice_interval"], ZoneInfo(parameters["timezone"])
    today = run.now.astimezone(zone).date()
    until = datetime.combine(today + timedelta(days=days + 1), time(), zone)

    def left(account: Mapping[str, Any]) -> dict[str, Any]:
        return {"days": (account["expires_at"].astimezone(zone).date() - today).days}

    def over(account: Mapping[str, Any]) -> int:
        return int((days - left(account)["days"]) // again) if again else 0

    told = 0
    if days:
        async for rows in portions(scope.db.accounts, "expires_at", run.now, until):
            told += await _tell(scope, "expiring", _normal(rows), "expires_at", left, over)
    return told


async def tell_expired(scope: Scope, run: Occasion) -> int:
    """Tell whose plan has ended since the last run; how many are told of."""
    told = 0
    async for rows in portions(scope.db.accounts, "expires_at", run.since, run.now):
        told += await _tell(scope, "expired", _normal(rows), "expires_at")
    return told


async def tell_used_up(scope: Scope, run: Occasion) -> int:
    """Tell whose quota sessions have used up, or nearly (metering writes the moment into the account); how many are
    told of.

    Who has got a new quota meanwhile is told nothing, and who has used up all of it not that it was nearly so.
    """
    told = 0
    async for rows in portions(scope.db.accounts, "fallen_at", _EVER, run.now):
        found = await quotas.join(scope.db, rows, quotas.METERED)
        fallen = [row for row in found if _nothing_left(row)]
        told += await _tell(scope, "quota_used", fallen, "fallen_at")
        low = [row for row in found if row not in fallen and _low(row)["left"]]
        told += await _tell(scope, "quota_low", low, "fallen_at", _low)
        seen = [{"_id": row["_id"], "fallen_at": row["fallen_at"]} for row in rows]
        await scope.db.accounts.bulk([Update(each, {"$set": {"fallen_at": None}}) for each in seen])
    return told


def _normal(accounts: Sequence[Any]) -> list[Any]:
    return [account for account in accounts if account["status"] == "normal"]


def _nothing_left(account: Mapping[str, Any]) -> bool:
    return any(account[left] is not None and account[left] <= 0 for left in quotas.LEFT)


def _low(account: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """What is left of that of which little is, as {"octets"} and {"seconds"}."""
    known = {left: low for left, name in quotas.LOW.items() if (low := account.get(name)) is not None}
    return {"left": {left.removesuffix("_left"): account[left] for left in known if account[left] <= known[left]}}


async def _tell(
    scope: Scope,
    kind: str,
    accounts: Sequence[Mapping[str, Any]],
    moment: str,
    more: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda account: {},
    over: Callable[[Mapping[str, Any]], int] = lambda account: 0,
) -> int:
    """Tell of some accounts; their occasion is the time in the field `moment`, and `more` makes further facts.

    `over`: how many intervals are over after which one is reminded again.
    """
    plans = await _plan_names(scope, accounts)
    news = []
    for row in accounts:
        facts = {"account": row["username"], "plan": plans.get(row["plan_id"], ""), "expires": row["expires_at"]}
        occasion = row[moment].isoformat() + (f"+{times}" if (times := over(row)) else "")
        news.append(News(row["member_id"], row["_id"], row["username"], occasion, {**facts, **more(row)}))
    return await notices.tell(scope, kind, news)


async def _plan_names(scope: Scope, accounts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found = await scope.db.plans.among((account["plan_id"] for account in accounts), ["name"])
    return {plan_id: plan["name"] for plan_id, plan in found.items()}
