"""Accounts that stay suspended: after the tenant's days of it they are closed, a week after their members were told.

What the rest of the term is worth goes to the member's balance, as if somebody had closed the account by hand: nothing
that was paid for is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from saas.errors import Conflict, NotFound
from saas.store import Update
from saas.tenants import life, notices, plans, standing
from saas.tenants.accounts import Account
from saas.tenants.forms import Form
from saas.tenants.life import Act, Case, Effect
from saas.tenants.notices import News
from saas.tenants.paging import portions
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.tenants.standing import CloseForm
from saas.values import from_epoch

TOLD_BEFORE = 7  # days
_EVER = from_epoch(0)


class SuspensionForm(Form):
    """The suspension that has lasted too long."""

    suspended_at: datetime


async def close_suspended(scope: Scope, run: Occasion) -> int:
    """Close what has been suspended for the tenant's days, after its member was told; how many were closed.

    Nothing is closed within a week of its announcement, also when the parameter was set only now.
    """
    days, zone = scope.tenant["parameters"]["suspend_days"], _zone(scope)
    if not days:
        return 0
    today = run.now.astimezone(zone).date()
    until = _midnight(today - timedelta(days=days - TOLD_BEFORE - 1), zone)
    closed = 0
    async for rows in portions(scope.db.accounts, "suspended_at", _EVER, min(until, run.now)):
        await _announce(scope, [row for row in rows if not row.get("closing_told_at")], run.now)
        due = [row for row in rows if row.get("closing_told_at") and closing_day(scope, row, run.now) <= today]
        closed += sum([await _close(scope, row) for row in due])
    return closed


def closing_day(scope: Scope, account: Account, now: datetime) -> date:
    """The day, in the tenant's zone, on which a suspended account is closed unless it is resumed."""
    days, zone = scope.tenant["parameters"]["suspend_days"], _zone(scope)
    suspended, told = account["suspended_at"] or now, account.get("closing_told_at") or now
    earliest = told.astimezone(zone).date() + timedelta(days=TOLD_BEFORE)
    return max(suspended.astimezone(zone).date() + timedelta(days=days), earliest)


async def _announce(scope: Scope, accounts: Sequence[Account], now: datetime) -> None:
    """Tell when they will be closed, and remember that it was told."""
    names = await plans.names(scope) if accounts else {}
    news = []
    for row in accounts:
        closes = _midnight(closing_day(scope, row, now), _zone(scope))
        facts = {"account": row["username"], "plan": names.get(row["plan_id"], ""), "closes": closes}
        news.append(News(row["member_id"], row["_id"], row["username"], _occasion(row), facts))
    await notices.tell(scope, "closing", news)
    seen = [{"_id": row["_id"], "suspended_at": row["suspended_at"]} for row in accounts]
    await scope.db.accounts.bulk([Update(each, {"$set": {"closing_told_at": now}}) for each in seen])


async def _close(scope: Scope, account: Account) -> bool:
    """Close it, once for each suspension; False when it is not to be closed any more."""
    form = SuspensionForm.model_validate({"suspended_at": account["suspended_at"]})
    try:
        await life.perform(scope, AUTO_CLOSE, account["_id"], form, f"close-{account['_id']}-{_occasion(account)}")
    except (Conflict, NotFound):
        return False
    return True


async def _close_itself(scope: Scope, case: Case, form: SuspensionForm) -> Effect:
    if case.account["suspended_at"] != form.suspended_at:  # resumed meanwhile
        raise Conflict("changed", id=case.account["_id"])
    effect = await standing.CLOSE.decide(scope, case, CloseForm())
    back = sum(posting.amount for posting in effect.postings)
    facts = {"amount": back, "balance": case.member["balance"] + back}
    return replace(effect, tell=partial(_tell_closed, _occasion(case.account), facts))


async def _tell_closed(occasion: str, facts: Mapping[str, Any], scope: Scope, account: Account, plan_name: str) -> None:
    more = {"account": account["username"], "plan": plan_name}
    news = News(account["member_id"], account["_id"], account["username"], occasion, {**more, **facts})
    await notices.tell(scope, "closed", [news])


def _occasion(account: Account) -> str:
    return account["suspended_at"].isoformat() if account["suspended_at"] else ""


def _zone(scope: Scope) -> ZoneInfo:
    return ZoneInfo(scope.tenant["parameters"]["timezone"])


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


AUTO_CLOSE = Act("auto_close", _close_itself)
