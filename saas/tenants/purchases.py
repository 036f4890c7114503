"""What is bought for an account: renewals, additions, another plan."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import Field

from saas.errors import Conflict, Invalid
from saas.i18n import N_
from saas.tenants import activations, billing, ledger, plans
from saas.tenants.accounts import MAX_UNITS, PAY_METHODS, Account, Units
from saas.tenants.forms import Form, Money
from saas.tenants.ledger import Posting
from saas.tenants.life import Act, Case, Effect, refuse
from saas.tenants.plan_form import GB, HOUR
from saas.tenants.plans import Plan
from saas.tenants.scope import Scope

METHODS: dict[str, Any] = {**PAY_METHODS, ledger.BALANCE: N_("Balance")}
Method = Literal["cash", "wechat", "alipay", "transfer", "balance"]
_NOW: dict[str, Any] = {"when": ("when", "now")}


class UnitsForm(Form):
    """How much more of the plan, at its price, and how it is paid."""

    units: Units = Field(default=1, title=N_("Quantity"), description=N_("How many months, or how many bundles."))
    method: Method = Field(default="cash", title=N_("Paid by"), json_schema_extra={"labels": METHODS})


class RenewForm(UnitsForm):
    """The same, for what was agreed on."""

    paid: Money | None = Field(
        default=None, title=N_("Received"), description=N_("Less than the price is a discount. Empty: the price.")
    )


class AdditionForm(Form):
    """More of what the plan limits, for any price; for none it is a gift."""

    octets: int = Field(
        default=0, ge=0, le=10**6 * GB, title=N_("Traffic"), json_schema_extra={"scale": GB, "unit": "GB"}
    )
    seconds: int = Field(
        default=0,
        ge=0,
        le=10**5 * HOUR,
        title=N_("Online time"),
        json_schema_extra={"scale": HOUR, "unit": N_("hours")},
    )
    days: int = Field(default=0, ge=0, le=1100, title=N_("Validity"), json_schema_extra={"unit": N_("days")})
    price: Money = Field(default=0, title=N_("Price"), description=N_("0: a gift."))
    method: Method = Field(default="cash", title=N_("Paid by"), json_schema_extra={"labels": METHODS})


class NewPlanForm(Form):
    """Which plan from when on; now, also how much of it is bought beside what the rest is turned into."""

    plan_id: str = Field(min_length=1, max_length=64, title=N_("New plan"), json_schema_extra={"widget": "plan"})
    when: Literal["now", "expiry"] = Field(
        default="now",
        title=N_("Takes effect"),
        json_schema_extra={
            "labels": {"now": N_("Now; the rest is converted"), "expiry": N_("The first renewal after expiry")}
        },
    )
    units: int = Field(
        default=0,
        ge=0,
        le=MAX_UNITS,
        title=N_("Buy in addition"),
        description=N_("Months or bundles of the new plan. 0: only the rest is converted."),
        json_schema_extra=_NOW,
    )
    method: Method = Field(default="cash", title=N_("Paid by"), json_schema_extra={"labels": METHODS, **_NOW})


class ChangePlanForm(NewPlanForm):
    """The same, for what was agreed on."""

    paid: Money | None = Field(
        default=None,
        title=N_("Received"),
        description=N_("Less than the price is a discount. Empty: the price."),
        json_schema_extra=_NOW,
    )


class _Purchase(NamedTuple):
    """Units of a plan, how they are paid, and what is booked for them."""

    plan: Plan
    units: int
    paid: int
    postings: tuple[Posting, ...]

    def on(self, holding: billing.Holding, case: Case) -> billing.Holding:
        """What the account has afterwards."""
        return billing.bought(self.plan, self.units, holding, self.paid, case.now, case.zone)


async def _renew(scope: Scope, case: Case, form: RenewForm) -> Effect:
    refuse(case, "closed")
    plan = await renewed_plan(scope, case.account, case.plan, case.now)
    plans.check_sale(scope, plan)
    _check_sells(plan)
    return _renewed(case, _purchase(plan, form.units, form.paid, form.method))


async def _add(scope: Scope, case: Case, form: AdditionForm) -> Effect:
    refuse(case, "pending", "closed")
    plans.check_sale(scope, case.plan)
    account = case.account
    limits: dict[str, Any] = {"octets": account["octets_left"], "seconds": account["seconds_left"]}
    limits["days"] = account["expires_at"] or (True if account["term"]["waits"] else None)
    asked = [name for name in limits if getattr(form, name)]
    if not asked:
        raise Invalid(dict.fromkeys(limits, "nothing_asked"))
    if useless := [name for name in asked if limits[name] is None]:
        raise Invalid(dict.fromkeys(useless, "not_limited"))
    holding = billing.topped_up(account, form.octets, form.seconds, form.days, form.price, case.now, case.zone)
    plan = case.plan
    sale = ledger.sale(form.price, form.price, form.method, f"{plan['name']} +", plan["tax_rate"], plan["_id"])
    return Effect({**holding}, sale)


async def _change_plan(scope: Scope, case: Case, form: ChangePlanForm) -> Effect:
    refuse(case, "pending", "closed")
    plan = await plans.sold(scope, form.plan_id)
    if plan is None:
        raise Invalid({"plan_id": "bad_choice"})
    plans.check_sale(scope, plan)
    if plan["_id"] == case.account["plan_id"] and case.account["terms"] is None:
        raise Conflict("same_plan", field="plan_id")
    if form.when == "expiry":
        return Effect({"next_plan_id": plan["_id"]})
    return _changed(case, plan, _purchase(plan, form.units, form.paid, form.method) if form.units else None)


def prepaid(case: Case, plan: Plan, units: int, paid: int, *, change: bool) -> Effect:
    """What a card does that was bought for `paid`: it renews an account that has the plan, or is to have it now.

    With `change` it turns the rest of another plan into this one. Conflict("card_other_plan") without,
    Conflict("nothing_to_buy") for a plan that neither ends nor runs out.
    """
    refuse(case, "closed")
    if plan["_id"] == case.account["plan_id"]:
        plan = case.plan
    _check_sells(plan)
    sale = ledger.sale(paid, paid, ledger.CARD, f"{plan['name']} × {units}", plan_id=plan["_id"])
    purchase = _Purchase(plan, units, paid, sale)
    planned = plan["_id"] == case.account["next_plan_id"] and billing.is_over(case.account, case.now)
    if plan is case.plan or planned:
        return _renewed(case, purchase)
    if not change:
        raise Conflict("card_other_plan", name=plan["name"])
    refuse(case, "pending")
    return _changed(case, plan, purchase)


async def _keep_plan(scope: Scope, case: Case, form: Form) -> Effect:
    refuse(case, "closed")
    if not case.account["next_plan_id"]:
        raise Conflict("nothing_planned", name=case.account["username"])
    return Effect({"next_plan_id": ""})


async def renewed_plan(scope: Scope, account: Account, plan: Plan, now: datetime) -> Plan:
    """What a renewal buys: the account's `plan`, or that which was chosen for the time after the end, if that has come
    and the plan is still on sale.
    """
    planned = account["next_plan_id"]
    return (await plans.sold(scope, planned) if planned and billing.is_over(account, now) else None) or plan


def _check_sells(plan: Plan) -> None:
    if not plans.runs_out(plan):
        raise Conflict("nothing_to_buy", name=plan["name"])


def _renewed(case: Case, purchase: _Purchase) -> Effect:
    """More of the plan that the account has, or the first term of the one that it was to have after the end."""
    if purchase.plan["_id"] == case.account["plan_id"]:
        holding = purchase.on(case.account, case)
        waits = case.account["status"] == "pending" and not case.account.get("activates_at")
        return activations.active(case, holding, purchase.postings) if waits else Effect({**holding}, purchase.postings)
    nothing = billing.Holding({**billing.empty(case.now), "expires_at": case.now})
    return Effect({**_on_plan(purchase.plan), **purchase.on(nothing, case)}, purchase.postings)


def _changed(case: Case, plan: Plan, purchase: _Purchase | None) -> Effect:
    """Over to another plan: the rest is turned into it, and what is bought comes on top."""
    holding, postings = _turned(case, plan, billing.unused(case.account, case.now))
    if purchase:
        holding, postings = purchase.on(holding, case), (*postings, *purchase.postings)
    return Effect({**_on_plan(plan), **holding}, postings)


def _on_plan(plan: Plan) -> dict[str, Any]:
    """An account's fields when it goes over to a plan, in its present version."""
    return {"plan_id": plan["_id"], "terms": plans.newcomers_terms(plan), "next_plan_id": ""}


def _turned(case: Case, plan: Plan, rest: int) -> tuple[billing.Holding, tuple[Posting, ...]]:
    """What the rest of a term is turned into, and what is booked: it is given back, and charged for the new plan."""
    note = f"{case.plan['name']} → {plan['name']}"
    back = (Posting("charge", rest, note, tax_rate=case.plan["tax_rate"], plan_id=case.plan["_id"]),) if rest else ()
    if billing.price_of(plan, 1):
        spent = (Posting("charge", -rest, note, tax_rate=plan["tax_rate"], plan_id=plan["_id"]),) if rest else ()
        return billing.converted(rest, plan, case.now, case.zone), back + spent
    ends = case.now if plan["bundle_months"] or plan["valid_days"] else None
    return billing.Holding({**billing.empty(case.now), "expires_at": ends}), back


def _purchase(plan: Plan, units: int, paid: int | None, method: str) -> _Purchase:
    price = billing.price_of(plan, units)
    received = price if paid is None else paid
    if received > price:
        raise Invalid({"paid": "above_price"})
    sale = ledger.sale(price, received, method, f"{plan['name']} × {units}", plan["tax_rate"], plan["_id"])
    return _Purchase(plan, units, received, sale)


RENEW = Act("renew", _renew)
ADD = Act("add", _add)
CHANGE_PLAN = Act("change_plan", _change_plan)
KEEP_PLAN = Act("keep_plan", _keep_plan)
