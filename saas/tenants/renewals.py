"""Accounts that renew by themselves: from their member's balance, shortly before their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from saas.errors import Conflict, NotFound
from saas.tenants import billing, life, notices, plans, purchases, quotas
from saas.tenants.accounts import Account
from saas.tenants.forms import Form
from saas.tenants.ledger import BALANCE
from saas.tenants.life import Act, Case, Effect, refuse
from saas.tenants.notices import News
from saas.tenants.paging import portions
from saas.tenants.plans import Plan
from saas.tenants.purchases import RenewForm
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope

TRIED_FOR = timedelta(days=7)  # after the end; who tops up later renews by hand


class EndForm(Form):
    """The end that is to be put off."""

    expires_at: datetime | None


async def renew_due(scope: Scope, run: Occasion) -> int:
    """Renew by one unit what ends within the tenant's hours, and what had not been paid for when it ended; how many.

    Whose balance does not suffice, and whose plan is not on sale any more, is told so once for each date of expiry.
    """
    until = run.now + timedelta(hours=scope.tenant["parameters"]["renew_hours"])
    renewed = 0
    async for rows in portions(scope.db.accounts, "expires_at", run.since - TRIED_FOR, until, {"renews": True}):
        normal = await quotas.join(scope.db, [row for row in rows if row["status"] == "normal"])
        due = [row for row in normal if not _waits_for_next_plan(row, run.now)]
        renewed += await _renew_all(scope, due, run.now)
    return renewed


async def price(scope: Scope, account: Account, plan: Plan, now: datetime) -> int | None:
    """What the next renewal of an account on this plan costs, minor units; None when its plan is not on sale."""
    bought = await purchases.renewed_plan(scope, account, plan, now)
    return billing.price_of(bought, 1) if bought["status"] == "active" else None


def _waits_for_next_plan(account: Account, now: datetime) -> bool:
    """A change at expiry is of the first purchase after the end: one before it would put it off."""
    return bool(account["next_plan_id"]) and not billing.is_over(account, now)


async def _renew_all(scope: Scope, accounts: Sequence[Account], now: datetime) -> int:
    sold = await scope.db.plans.among(row["plan_id"] for row in accounts)
    members = await scope.db.members.among((row["member_id"] for row in accounts), ["balance"])
    renewed, unpaid, refused = 0, [], []
    for row in accounts:
        plan = plans.in_force(sold[row["plan_id"]], row)
        asked = await price(scope, row, plan, now)
        facts = {"account": row["username"], "plan": plan["name"], "expires": row["expires_at"]}
        if asked is None:
            refused.append(_news(row, facts))
            continue
        # looked at before the account is: most of those that are due again and again have not been topped up
        missing = asked - members[row["member_id"]]["balance"]
        if missing <= 0:
            missing = await _renew(scope, row)
            renewed += missing == 0
        if missing > 0:
            unpaid.append(_news(row, {**facts, "amount": asked, "missing": missing}))
    await notices.tell(scope, "renewal_unpaid", unpaid)
    await notices.tell(scope, "renewal_refused", refused)
    return renewed


async def _renew(scope: Scope, account: Account) -> int:
    """Renew it, once for each date of expiry. 0: done; else what is missing from the balance, -1: no longer to be."""
    attempt = f"renew-{account['_id']}-{_occasion(account)}"
    try:
        await life.perform(scope, AUTO_RENEW, account["_id"], EndForm(expires_at=account["expires_at"]), attempt)
    except (Conflict, NotFound) as error:
        return int(error.data.get("missing", -1))
    return 0


async def _renew_itself(scope: Scope, case: Case, form: EndForm) -> Effect:
    refuse(case, "pending", "suspended", "closed")
    if case.account["expires_at"] != form.expires_at:  # somebody was faster
        raise Conflict("changed", id=case.account["_id"])
    plan = await purchases.renewed_plan(scope, case.account, case.plan, case.now)
    if not case.account["renews"] or plan["status"] != "active":
        raise Conflict("renews_not", name=case.account["username"])
    effect = await purchases.RENEW.decide(scope, case, RenewForm(method=BALANCE))
    paid = -sum(posting.amount for posting in effect.postings)
    facts = {"plan": plan["name"], "amount": paid, "balance": case.member["balance"] - paid}
    return replace(effect, tell=partial(_tell_renewed, _occasion(case.account), facts))


async def _tell_renewed(
    occasion: str, facts: Mapping[str, Any], scope: Scope, account: Account, plan_name: str
) -> None:
    more = {"account": account["username"], "expires": account["expires_at"]}
    news = News(account["member_id"], account["_id"], account["username"], occasion, {**more, **facts})
    await notices.tell(scope, "renewed", [news])


async def _begin(scope: Scope, case: Case, form: Form) -> Effect:
    refuse(case, "closed")
    if not (case.plan["bundle_months"] or case.plan["valid_days"]):
        raise Conflict("never_ends", name=case.plan["name"])
    return Effect({"renews": True})


async def _end(scope: Scope, case: Case, form: Form) -> Effect:
    return Effect({"renews": False})


def _occasion(account: Account) -> str:
    return account["expires_at"].isoformat() if account["expires_at"] else ""


def _news(account: Account, facts: Mapping[str, Any]) -> News:
    return News(account["member_id"], account["_id"], account["username"], _occasion(account), facts)


AUTO_RENEW = Act("auto_renew", _renew_itself)
RENEWS = Act("renews", _begin)
RENEWS_NOT = Act("renews_not", _end)
