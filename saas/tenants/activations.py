"""Accounts that were opened ahead: they are pending, let nobody in, and their time waits until they are active.

One that is paid for becomes active on its day or when somebody activates it, one that is not with its first purchase.
"""

from __future__ import annotations

from typing import Any

from saas.errors import Conflict, NotFound
from saas.tenants import billing, life, notices, plans
from saas.tenants.accounts import Account
from saas.tenants.forms import Form
from saas.tenants.ledger import Posting
from saas.tenants.life import Act, Case, Effect
from saas.tenants.paging import portions
from saas.tenants.plans import Plan
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import from_epoch

_EVER = from_epoch(0)


async def activate_due(scope: Scope, run: Occasion) -> int:
    """Activate the accounts whose day has come; how many."""
    done = 0
    async for rows in portions(scope.db.accounts, "activates_at", _EVER, run.now):
        for row in rows:
            try:
                await life.perform(scope, ACTIVATE, row["_id"], Form(), f"activate-{row['_id']}")
                done += 1
            except (Conflict, NotFound):  # done by hand, closed or deleted meanwhile
                continue
    return done


def active(case: Case, holding: billing.Holding, postings: tuple[Posting, ...] = ()) -> Effect:
    """A pending account with this holding becomes active, and its member is told: its time begins, unless its plan lets
    it wait for the first log-in. On its day that counts from there, however late the run.
    """
    at = min(case.account.get("activates_at") or case.at, case.at)
    changes: dict[str, Any] = {"status": "normal", "activates_at": None}
    begins = holding["term"]["waits"] and case.plan["starts"] == "opening"
    begun: Any = billing.begun(holding, at, case.zone) if begins else holding
    changes |= {name: begun[name] for name in billing.Holding.__annotations__}
    return Effect(changes, postings, tell=notices.activated)


async def _activate(scope: Scope, case: Case, form: Form) -> Effect:
    if case.account["status"] != "pending":
        raise Conflict("not_pending", name=case.account["username"])
    if not _is_bought(case.account, case.plan):
        raise Conflict("nothing_bought", name=case.account["username"])
    return active(case, case.account)


def _is_bought(account: Account, plan: Plan) -> bool:
    """Whether it has something of its plan, as far as the plan sells anything."""
    term, limits = account["term"], (account["octets_left"], account["seconds_left"])
    return not plans.runs_out(plan) or bool(term["months"] or term["days"]) or any(left is not None for left in limits)


ACTIVATE = Act("activate", _activate)
