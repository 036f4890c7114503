"""Plans: what a tenant sells, and to which version of it an account is held.

What a plan costs and gives is arithmetic (saas.tenants.billing); everything beside is optional and off at first: quota,
hours, bindings, what happens at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from saas.errors import Conflict, Denied, Invalid
from saas.tenants import attributes, records
from saas.tenants.billing import METERED, Tariff
from saas.tenants.paging import ListQuery, Page, beginning, page
from saas.tenants.plan_form import DAYS, MATTERS, NEEDED, AtEnd, Binding, PlanForm
from saas.tenants.scope import Scope

PLAN = records.Noun("plans", "plan", "pln", "name")


_SOLD = {"status": "active"}
_RATES = ("up_rate", "down_rate", "end_up_rate", "end_down_rate")
# What an account keeps of the version it bought: what the subscriber was sold. The rest is the network's.
KEPT = (*Tariff.__annotations__, "up_rate", "down_rate", "concurrency", "counted", "days", "hours_from", "hours_until")


class Plan(Tariff):
    """A tariff with everything else that is sold with it. Rates in bit/s from the subscriber's side, 0 = not limited.

    `keeps`: accounts keep the version they bought (their `terms`). `renews`: new accounts renew by themselves. Quota is
    of the direction `counted`. `days` empty is every day; `hours_from` and `hours_until` are "HH:MM" on the tenant's
    clock, "" = the day's begin and end. `at_end`: what becomes of a log-in after the plan has ended or its quota is
    used up. `concurrency` 0 is without limit; `nas_ids` empty is every device; `idle_timeout` in seconds, 0 = none.
    `visible`: in self-service. `attributes`: further ones, lines as saas.tenants.attributes has them. `status`:
    "active", "retired" (not sold on).
    """

    _id: str
    tenant_id: str
    name: str
    keeps: bool
    renews: bool
    up_rate: int
    down_rate: int
    counted: str
    days: list[str]
    hours_from: str
    hours_until: str
    at_end: AtEnd
    end_pool: str
    end_up_rate: int
    end_down_rate: int
    concurrency: int
    over_limit: str
    idle_timeout: int
    bind_mac: Binding
    bind_vlan: Binding
    address_pool: str
    ipv6_pool: str
    delegated_pool: str
    nas_ids: list[str]
    visible: bool
    attributes: str
    note: str
    status: str
    version: int
    created_at: datetime
    updated_at: datetime


async def create(scope: Scope, form: PlanForm) -> Plan:
    """A new plan. Taken name, Invalid devices, Conflict for attributes that cannot be sent."""
    plan: Plan = await records.create(scope, PLAN, await _values(scope, form) | {"status": "active"})
    return plan


async def update(scope: Scope, plan_id: str, form: PlanForm, version: int | None = None) -> Plan:
    """Make a new version of a plan; its accounts follow at their next log-in, or keep what they have if it says so.

    As `create`, Conflict("changed"), Conflict("by_use"), NotFound.
    """
    values = await _values(scope, form)
    return await _change(scope, plan_id, "update", values, version, partial(_settle, values))


async def set_status(scope: Scope, plan_id: str, status: Literal["active", "retired"]) -> Plan:
    """Retire a plan: nobody can buy it any more, who has it keeps it. Or offer it again."""
    return await _change(scope, plan_id, "retire" if status == "retired" else "offer", {"status": status})


async def delete(scope: Scope, plan_id: str) -> None:
    """Remove a plan that no account has, no card is for and no operator or group is granted.

    Conflict("in_use") otherwise: retire it instead.
    """
    await records.remove(scope, PLAN, plan_id, guard=_is_free)


async def get(scope: Scope, plan_id: str) -> Plan:
    """One plan. NotFound."""
    plan: Plan = await scope.db.plans.get(plan_id)
    return plan


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Plans. Filter: `status`; `q` is the beginning of a name."""
    filter: dict[str, Any] = {}
    if status := query.filters.get("status"):
        filter["status"] = status
    if query.q:
        filter["name"] = beginning(query.q)
    return await page(scope.db.plans, filter, query)


async def names(scope: Scope) -> dict[str, str]:
    """Id -> name of every plan, for choices and columns."""
    rows = await scope.db.plans.find({}, sort=[("name", 1)], limit=5000, fields=["name"])
    return {row["_id"]: row["name"] for row in rows}


async def for_sale(scope: Scope) -> list[Plan]:
    """The plans that the actor can open an account on, by name."""
    found: list[Plan] = await scope.db.plans.find(_SOLD, sort=[("name", 1)], limit=500)
    return [plan for plan in found if may_sell(scope, plan)]


def may_sell(scope: Scope, plan: Plan) -> bool:
    """Whether the actor may sell the plan."""
    return scope.sells is None or plan["_id"] in scope.sells


def check_sale(scope: Scope, plan: Plan) -> None:
    """Denied("plan_not_granted") when the actor may not sell the plan, on sale or not."""
    if not may_sell(scope, plan):
        raise Denied("plan_not_granted", name=plan["name"])


def check_price(shown: int | None, now: int) -> None:
    """Conflict("price_changed") when another sum was shown (None: none was) than what is to pay now, minor units."""
    if shown not in (None, now):
        raise Conflict("price_changed", shown=shown, now=now)


async def sold(scope: Scope, plan_id: str) -> Plan | None:
    """A plan that can be bought; None when there is none, or it is not for sale."""
    plan: Plan | None = await scope.db.plans.one({"_id": plan_id, **_SOLD})
    return plan


def runs_out(plan: Plan) -> bool:
    """Whether it ends or runs out, so that more of it can be bought."""
    return any((plan["bundle_months"], plan["valid_days"], plan["octets"], plan["seconds"]))


async def bound_to(scope: Scope, nas_id: str) -> list[Plan]:
    """The plans that name this device, by name."""
    return await scope.db.plans.find({"nas_ids": nas_id}, sort=[("name", 1)], limit=500)


async def account_count(scope: Scope, plan_id: str, limit: int = 1000) -> int:
    """How many accounts have the plan, counted no further than `limit`."""
    return await scope.db.accounts.count({"plan_id": plan_id}, limit=limit)


def form_of(plan: Plan) -> dict[str, Any]:
    """A plan as PlanForm takes it: money and rates as decimals."""
    values: dict[str, Any] = {name: plan[name] for name in PlanForm.model_fields}  # type: ignore[literal-required]
    return values | {name: mbps(values[name]) for name in _RATES}


def in_force(plan: Plan, account: Mapping[str, Any]) -> Plan:
    """The plan as it holds for an account: in the version that the account keeps, or as it is."""
    kept: Plan = {**plan, **(account["terms"] or {})}
    return kept


def mbps(bits: int) -> Decimal:
    """bit/s as Mbit/s: 2_500_000 -> 2.5."""
    return Decimal(bits) / 1_000_000


async def _values(scope: Scope, form: PlanForm) -> dict[str, Any]:
    _check_policy(form)
    _check_end(form)
    known = await scope.db.nas.find({"_id": {"$in": form.nas_ids}}, limit=500, fields=["_id"]) if form.nas_ids else []
    if len(known) != len(set(form.nas_ids)):
        raise Invalid({"nas_ids": "bad_choice"})
    return form.model_dump() | {
        **{name: type(getattr(form, name))() for name, kinds in MATTERS.items() if form.kind not in kinds},
        **({"bundle_months": 1} if form.kind == "prepaid_monthly" else {}),
        "nas_ids": sorted(set(form.nas_ids)),
        "attributes": attributes.normal(form.attributes),
        "days": [day for day in DAYS if day in form.days],
        **{name: int(getattr(form, name) * 1_000_000) for name in _RATES},
    }


def _check_policy(form: PlanForm) -> None:
    """A policy has what it sells."""
    if (name := NEEDED.get(form.kind)) and not getattr(form, name):
        raise Invalid({name: "missing"})


def _check_end(form: PlanForm) -> None:
    """Who is let in after the end is held to something: a pool with a name, or a speed in both directions."""
    wrong: dict[str, str] = {}
    if form.at_end == "pool" and not form.end_pool:
        wrong["end_pool"] = "missing"
    if form.at_end == "slow":
        wrong = {name: "missing" for name in ("end_up_rate", "end_down_rate") if not getattr(form, name)}
    if wrong:
        raise Invalid(wrong)


async def _settle(values: Mapping[str, Any], scope: Scope, plan: Plan) -> None:
    """Before a plan changes: its accounts take the present version with them, or give up the one they kept.

    Conflict("by_use") when they would pay for use all at once, or not any more: what they have of it would be lost.
    """
    if (plan["kind"] in METERED) != (values["kind"] in METERED) and await account_count(scope, plan["_id"], 1):
        raise Conflict("by_use", field="kind")
    if not values["keeps"]:
        await scope.db.accounts.update_many({"plan_id": plan["_id"], "terms": {"$ne": None}}, {"$set": {"terms": None}})
    elif any(plan[name] != values[name] for name in KEPT):  # type: ignore[literal-required]
        kept = {name: plan[name] for name in (*KEPT, "version")}  # type: ignore[literal-required]
        await scope.db.accounts.update_many({"plan_id": plan["_id"], "terms": None}, {"$set": {"terms": kept}})


async def _is_free(scope: Scope, plan: Plan) -> None:
    # an operator whose last granted plan went away might sell all
    uses = [(scope.db.accounts, "plan_id"), (scope.db.card_batches, "plan_id")]
    uses += [(scope.db.operators, "plan_ids"), (scope.db.groups, "plan_ids")]
    for table, field in uses:
        if await table.count({field: plan["_id"]}, limit=1):
            raise Conflict("in_use", name=plan["name"])


async def _change(
    scope: Scope,
    plan_id: str,
    verb: str,
    values: dict[str, Any],
    version: int | None = None,
    guard: records.Guard = records.unguarded,
) -> Plan:
    plan: Plan = await records.change(scope, PLAN, plan_id, values, verb=verb, version=version, guard=guard)
    await scope.changed("plan", plan_id)
    return plan
