"""Plans: what a tenant sells. So far prepaid monthly: a price for each month, paid before.

Everything beside price and speed is optional and off at first: quota, hours, bindings, what happens at the end.
"""

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
Clock = Annotated[str, StringConstraints(max_length=5, pattern=r"^$|^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Binding = Literal["off", "given", "learn"]
AtEnd = Literal["reject", "pool", "slow"]

GB = 2**30  # octets
HOUR = 3600  # seconds
DAYS: dict[str, Any] = {
    "mon": N_("Monday"),
    "tue": N_("Tuesday"),
    "wed": N_("Wednesday"),
    "thu": N_("Thursday"),
    "fri": N_("Friday"),
    "sat": N_("Saturday"),
    "sun": N_("Sunday"),
}
COUNTED: dict[str, Any] = {"both": N_("Upload and download"), "down": N_("Download only"), "up": N_("Upload only")}
BINDINGS: dict[str, Any] = {
    "off": N_("Not bound"),
    "given": N_("Only where one is entered"),
    "learn": N_("Learnt at the first log-in"),
}
AT_END: dict[str, Any] = {
    "reject": N_("The log-in is refused"),
    "pool": N_("Let in, in another address pool"),
    "slow": N_("Let in, at a low speed"),
}
OVER_LIMIT: dict[str, Any] = {
    "reject": N_("The newcomer is refused"),
    "kick_oldest": N_("The oldest session is forced off"),
}
_RATES = ("up_rate", "down_rate", "end_up_rate", "end_down_rate")
_QUOTA, _HOURS, _END = N_("Quota"), N_("Hours"), N_("When it has run out")
_SESSIONS, _ADDRESSES = N_("Sessions and bindings"), N_("Addresses")


PLAN = records.Noun("plans", "plan", "pln", "name")


class Plan(TypedDict):
    """`price` in minor units a month; rates in bit/s from the subscriber's side, 0 = not limited.

    `octets` and `seconds` are what a month gives, 0 = not limited, of the direction `counted`. `days` empty is every
    day; `hours_from` and `hours_until` are "HH:MM" on the tenant's clock, "" = the day's begin and end. `at_end`: what
    becomes of a log-in after the plan has ended or its quota is used up. `concurrency` 0 is without limit; `nas_ids`
    empty is every device; `idle_timeout` in seconds, 0 = none. `status`: "active", "retired" (not sold on).
    """

    _id: str
    tenant_id: str
    name: str
    kind: str
    price: int
    up_rate: int
    down_rate: int
    octets: int
    seconds: int
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
    nas_ids: list[str] = Field(
        default=[],
        max_length=500,
        title=N_("NAS devices"),
        description=N_("Where this plan may be used. None chosen: everywhere."),
        json_schema_extra={"widget": "nas"},
    )
    octets: int = Field(
        default=0,
        ge=0,
        le=10**6 * GB,
        title=N_("Traffic a month"),
        description=N_("0: not limited."),
        json_schema_extra={"group": _QUOTA, "scale": GB, "unit": "GB"},
    )
    counted: Literal["both", "down", "up"] = Field(
        default="both", title=N_("Traffic that counts"), json_schema_extra={"group": _QUOTA, "labels": COUNTED}
    )
    seconds: int = Field(
        default=0,
        ge=0,
        le=10**5 * HOUR,
        title=N_("Online time a month"),
        description=N_("0: not limited."),
        json_schema_extra={"group": _QUOTA, "scale": HOUR, "unit": N_("hours")},
    )
    days: list[Day] = Field(
        default=[],
        max_length=7,
        title=N_("Days"),
        description=N_("None chosen: every day. Hours over midnight belong to the day on which they begin."),
        json_schema_extra={"group": _HOURS, "labels": DAYS},
    )
    hours_from: Clock = Field(default="", title=N_("From"), json_schema_extra={"group": _HOURS, "placeholder": "18:00"})
    hours_until: Clock = Field(
        default="",
        title=N_("Until"),
        description=N_("In the time zone of the parameters. Not later than the begin: until the next day."),
        json_schema_extra={"group": _HOURS, "placeholder": "24:00"},
    )
    at_end: AtEnd = Field(
        default="reject",
        title=N_("Log-ins after the end"),
        description=N_(
            "When the plan has ended or its quota is used up. What cannot do it refuses anyway: OpenVPN and strongSwan "
            "both, pppd and hotspots the pool."
        ),
        json_schema_extra={"group": _END, "labels": AT_END},
    )
    end_pool: PoolName = Field(
        default="",
        title=N_("Pool after the end"),
        description=N_("The device decides what can be reached from this pool; fixed addresses are not given then."),
        json_schema_extra={"group": _END},
    )
    end_up_rate: Rate = Field(
        default=Decimal(0), title=N_("Upload after the end (Mbps)"), json_schema_extra={"group": _END}
    )
    end_down_rate: Rate = Field(
        default=Decimal(0), title=N_("Download after the end (Mbps)"), json_schema_extra={"group": _END}
    )
    over_limit: Literal["reject", "kick_oldest"] = Field(
        default="reject",
        title=N_("Above the concurrency limit"),
        json_schema_extra={"group": _SESSIONS, "labels": OVER_LIMIT},
    )
    idle_timeout: int = Field(
        default=0,
        ge=0,
        le=86400,
        title=N_("End a session idle for (seconds)"),
        description=N_("0: never."),
        json_schema_extra={"group": _SESSIONS},
    )
    bind_mac: Binding = Field(
        default="off", title=N_("Bind to the MAC address"), json_schema_extra={"group": _SESSIONS, "labels": BINDINGS}
    )
    bind_vlan: Binding = Field(
        default="off", title=N_("Bind to the VLAN"), json_schema_extra={"group": _SESSIONS, "labels": BINDINGS}
    )
    address_pool: PoolName = Field(
        default="",
        title=N_("Address pool"),
        description=N_("Name of a pool on the device. Empty: the device's own."),
        json_schema_extra={"group": _ADDRESSES},
    )
    ipv6_pool: PoolName = Field(default="", title=N_("IPv6 prefix pool"), json_schema_extra={"group": _ADDRESSES})
    delegated_pool: PoolName = Field(
        default="",
        title=N_("Pool of delegated IPv6 prefixes"),
        description=N_("From which the subscriber's router gets the prefix of its own network."),
        json_schema_extra={"group": _ADDRESSES},
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
    return values | {name: mbps(values[name]) for name in _RATES}


def allowance(plan: Plan, months: int) -> dict[str, int | None]:
    """What months of the plan give an account: its `octets_left` and `seconds_left`, None = not limited."""
    return {
        "octets_left": plan["octets"] * months if plan["octets"] else None,
        "seconds_left": plan["seconds"] * months if plan["seconds"] else None,
    }


def mbps(bits: int) -> Decimal:
    """bit/s as Mbit/s: 2_500_000 -> 2.5."""
    return Decimal(bits) / 1_000_000


async def _values(scope: Scope, form: PlanForm) -> dict[str, Any]:
    _check_end(form)
    known = await scope.db.nas.find({"_id": {"$in": form.nas_ids}}, limit=500, fields=["_id"]) if form.nas_ids else []
    if len(known) != len(set(form.nas_ids)):
        raise Invalid({"nas_ids": "bad_choice"})
    return form.model_dump() | {
        "nas_ids": sorted(set(form.nas_ids)),
        "days": [day for day in DAYS if day in form.days],
        **{name: int(getattr(form, name) * 1_000_000) for name in _RATES},
    }


def _check_end(form: PlanForm) -> None:
    """Who is let in after the end is held to something: a pool with a name, or a speed in both directions."""
    wrong: dict[str, str] = {}
    if form.at_end == "pool" and not form.end_pool:
        wrong["end_pool"] = "missing"
    if form.at_end == "slow":
        wrong = {name: "missing" for name in ("end_up_rate", "end_down_rate") if not getattr(form, name)}
    if wrong:
        raise Invalid(wrong)


async def _is_free(scope: Scope, plan: Plan) -> None:
    if await scope.db.accounts.count({"plan_id": plan["_id"]}, limit=1):
        raise Conflict("in_use", name=plan["name"])


async def _change(scope: Scope, plan_id: str, verb: str, values: dict[str, Any], version: int | None = None) -> Plan:
    plan: Plan = await records.change(scope, PLAN, plan_id, values, verb=verb, version=version)
    await scope.changed("plan", plan_id)
    return plan
