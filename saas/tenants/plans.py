"""Plans: what a tenant sells. So far prepaid monthly: a price for each month, paid before."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field, StringConstraints

from saas.errors import Conflict, Invalid
from saas.i18n import N_
from saas.tenants import records
from saas.tenants.forms import Form, Money, Name, Note
from saas.tenants.paging import ListQuery, Page, page
from saas.tenants.scope import Scope

Rate = Annotated[Decimal, Field(ge=0, le=100_000, max_digits=8, decimal_places=3)]  # Mbit/s
PoolName = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9._\-]*$")]


PLAN = records.Noun("plans", "plan", "pln", "name")


class Plan(TypedDict):
    """`price` in minor units a month; rates in bit/s from the subscriber's side, 0 = not limited.

    `concurrency` 0 is without limit; `nas_ids` empty is every device. `status`: "active", "retired" (not sold on).
    """

    _id: str
    tenant_id: str
    name: str
    kind: str
    price: int
    up_rate: int
    down_rate: int
    concurrency: int
    address_pool: str
    nas_ids: list[str]
    note: str
    status: str
    version: int
    created_at: datetime
    updated_at: datetime


class PlanForm(Form):
    """Everything one sets of a plan; rates in Mbit/s."""

    name: Name = Field(title=N_("Plan name"))
    kind: Literal["prepaid_monthly"] = Field(default="prepaid_monthly", title=N_("Policy"))
    price: Money = Field(title=N_("Price per month"))
    up_rate: Rate = Field(default=Decimal(0), title=N_("Upload (Mbps)"), description=N_("0: not limited."))
    down_rate: Rate = Field(default=Decimal(0), title=N_("Download (Mbps)"), description=N_("0: not limited."))
    concurrency: int = Field(
        default=1, ge=0, le=1000, title=N_("Concurrency limit"), description=N_("Sessions at a time. 0: not limited.")
    )
    address_pool: PoolName = Field(
        default="", title=N_("Address pool"), description=N_("Name of a pool on the device. Empty: the device's own.")
    )
    nas_ids: list[str] = Field(
        default=[],
        max_length=500,
        title=N_("NAS devices"),
        description=N_("Where this plan may be used. None chosen: everywhere."),
        json_schema_extra={"widget": "nas"},
    )
    note: Note = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea"})


async def create(scope: Scope, form: PlanForm) -> Plan:
    """A new plan. Taken name, Invalid devices."""
    plan: Plan = await records.create(scope, PLAN, await _values(scope, form) | {"status": "active"})
    return plan


async def update(scope: Scope, plan_id: str, form: PlanForm, version: int | None = None) -> Plan:
    """Change a plan; its accounts follow at their next log-in. Taken, Conflict("changed"), NotFound."""
    return await _change(scope, plan_id, "update", await _values(scope, form), version)


async def set_status(scope: Scope, plan_id: str, status: Literal["active", "retired"]) -> Plan:
    """Retire a plan: nobody can buy it any more, who has it keeps it. Or offer it again."""
    return await _change(scope, plan_id, "retire" if status == "retired" else "offer", {"status": status})


async def delete(scope: Scope, plan_id: str) -> None:
    """Remove a plan that no account has. Conflict("in_use") otherwise: retire it instead."""
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
        filter["name"] = {"$gte": query.q, "$lt": query.q + "\uffff"}
    return await page(scope.db.plans, filter, query)


async def names(scope: Scope) -> dict[str, str]:
    """Id -> name of every plan, for choices and columns."""
    rows = await scope.db.plans.find({}, sort=[("name", 1)], limit=5000, fields=["name"])
    return {row["_id"]: row["name"] for row in rows}


async def for_sale(scope: Scope) -> list[Plan]:
    """The plans that an account can be opened on, by name."""
    return await scope.db.plans.find({"status": "active"}, sort=[("name", 1)], limit=500)


async def bound_to(scope: Scope, nas_id: str) -> list[Plan]:
    """The plans that name this device, by name."""
    return await scope.db.plans.find({"nas_ids": nas_id}, sort=[("name", 1)], limit=500)


async def account_count(scope: Scope, plan_id: str, limit: int = 1000) -> int:
    """How many accounts have the plan, counted no further than `limit`."""
    return await scope.db.accounts.count({"plan_id": plan_id}, limit=limit)


def form_of(plan: Plan) -> dict[str, Any]:
    """A plan as PlanForm takes it: money and rates as decimals."""
    values: dict[str, Any] = {name: plan[name] for name in PlanForm.model_fields}  # type: ignore[literal-required]
    return values | {"up_rate": mbps(plan["up_rate"]), "down_rate": mbps(plan["down_rate"])}


def mbps(bits: int) -> Decimal:
    """bit/s as Mbit/s: 2_500_000 -> 2.5."""
    return Decimal(bits) / 1_000_000


async def _values(scope: Scope, form: PlanForm) -> dict[str, Any]:
    known = await scope.db.nas.find({"_id": {"$in": form.nas_ids}}, limit=500, fields=["_id"]) if form.nas_ids else []
    if len(known) != len(set(form.nas_ids)):
        raise Invalid({"nas_ids": "bad_choice"})
    return form.model_dump() | {
        "nas_ids": sorted(set(form.nas_ids)),
        "up_rate": int(form.up_rate * 1_000_000),
        "down_rate": int(form.down_rate * 1_000_000),
    }


async def _is_free(scope: Scope, plan: Plan) -> None:
    if await scope.db.accounts.count({"plan_id": plan["_id"]}, limit=1):
        raise Conflict("in_use", name=plan["name"])


async def _change(scope: Scope, plan_id: str, verb: str, values: dict[str, Any], version: int | None = None) -> Plan:
    plan: Plan = await records.change(scope, PLAN, plan_id, values, verb=verb, version=version)
    await scope.changed("plan", plan_id)
    return plan
