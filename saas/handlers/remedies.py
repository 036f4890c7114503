"""What puts right what stands in the way of an account: for each rule of the verdict the pages that do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from saas.handlers.base import Handler
from saas.handlers.verdicts import ATTEMPTS
from saas.i18n import N_
from saas.tenants.billing import METERED
from saas.tenants.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Remedy:
    """A button. `dialog`: it asks first, in a dialog."""

    title: str
    href: str
    icon: str
    dialog: bool = False


@dataclass(frozen=True, slots=True)
class _Page:
    """A page that puts something right; its id is that of what its path begins with."""

    path: str
    title: str
    icon: str
    dialog: bool = False


_RENEW = _Page("/accounts/{id}/renew", N_("Renew the account"), "refresh")
_ADD = _Page("/accounts/{id}/add", N_("Top up traffic or time"), "plus")
_PLAN = _Page("/accounts/{id}/plan", N_("Change the plan"), "tag")
_MONEY = _Page("/members/{id}/top-up", N_("Take money"), "cash")
_RELEASE = _Page("/accounts/{id}/release", N_("Release the binding"), "plug-connected-x", dialog=True)
_PASSWORD = _Page("/accounts/{id}/password", N_("Change the password"), "key")
_DEVICE = _Page("/nas/{id}", N_("See the device"), "router")
_PAGES: Mapping[str, tuple[_Page, ...]] = {
    "pending": (_Page("/accounts/{id}/activate", N_("Activate"), "bolt"),),
    "suspended": (_Page("/accounts/{id}/resume", N_("Resume"), "bolt"),),
    "closed": (_Page("/accounts/open", N_("Quick open"), "user-plus"),),
    "nas": (_Page("/plans/{id}/edit", N_("Bind the plan to the device"), "router"), _PLAN),
    "expiry": (_RENEW,),
    "quota": (_ADD, _RENEW),
    "balance": (_MONEY,),
    "window": (_PLAN,),
    "mac": (_RELEASE,),
    "vlan": (_RELEASE,),
    "concurrency": (_Page("/sessions/{id}/disconnect", N_("Force the oldest off"), "plug-connected-x", dialog=True),),
    "password": (_PASSWORD,),
    "guarded": (_PASSWORD,),
    "method": (_DEVICE,),
    "eap": (_DEVICE,),
}


def remedies(page: Handler, verdict: Verdict, reason: str) -> list[Remedy]:
    """The buttons for a reason (a rule that failed, or what log-ins fail of), as far as the reader may press them."""
    account, refusals = verdict.account, verdict.refusals
    ids = {
        "accounts": account["_id"],
        "members": account["member_id"],
        "plans": account["plan_id"],
        "nas": refusals[0]["nas_id"] if refusals else "",
        "sessions": verdict.open[-1]["_id"] if verdict.open else "",
    }
    found = _PAGES.get(account["status"] if reason == "status" else reason, ())
    by_use = verdict.plan["kind"] in METERED
    helpful = [each for each in found if page.linked(each.path) and not (by_use and each in (_RENEW, _ADD))]
    about = [(each, {"id": ids[each.path.split("/")[1]]} if "{id}" in each.path else {}) for each in helpful]
    return [
        Remedy(each.title, page.url(each.path, **whose), each.icon, each.dialog)
        for each, whose in about
        if all(whose.values())
    ]


def hindrance(verdict: Verdict) -> str:
    """What the first line of the page is about: the rule that failed, or what log-ins fail of; "" if nothing."""
    decision = verdict.decision
    if decision.restricted:
        return decision.restricted
    if not decision.accepted:
        return decision.failed.name
    since = verdict.refused_since
    return since[0]["reason"] if since and since[0]["reason"] in ATTEMPTS else ""


def failed(verdict: Verdict) -> set[str]:
    """The rules that failed, and what the first line is about."""
    return {hindrance(verdict), *(rule.name for rule in verdict.decision.rules if not rule.passed)} - {""}
