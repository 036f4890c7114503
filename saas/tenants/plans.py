"""Plans: what a tenant sells, and to which version of it an account is held.

What a plan costs and gives is arithmetic (saas.tenants.billing); everything beside is optional and off at first: quota,
hours, bindings, what happens at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from saas.errors import Conflict, Denied, Invalid, Taken
from saas.tenants import attributes, records
from saas.tenants.billing import METERED, Tariff
from saas.tenants.fanout import each_tenant
from saas.tenants.paging import ListQuery, Page, beginning, page
from saas.tenants.plan_form import DAYS, MATTERS, NEEDED, AtEnd, Binding, PlanForm
from saas.tenants.scope import Actor, PlatformScope, Scope

PLAN = records.Noun("plans", "plan", "pln", "name")


_SOLD = {"status": "active"}
_RATES = ("up_rate", "down_rate", "end_up_rate", "end_down_rate")
# What an account keeps of the version it bought: what the subscriber was sold. The rest is the network's.
KEPT = (*Tariff.__annotations__, "up_rate", "down_rate", "concurrency", "counted", "days", "hours_from", "hours_until")


_PORTION = 500  # accounts: whoever writes anything waits for it
_MOST = 10**6  # that are counted
_AT_ONCE = 4  # portions that a change does itself before it leaves the rest to the jobs, and these in a turn


class Settling(TypedDict):
    """A change of a plan that its accounts are being prepared for, in order of their ids.

    `terms`: what those without any take, None: those that have some give them up. `values`: what the plan becomes when
    that is done, None: it is so already. `after`: the last one that was seen to, `done` of `total`. `actor`: who asked.
    """

    open: Literal[True]
    terms: dict[str, Any] | None
    values: dict[str, Any] | None
    after: str
    done: int
    total: int
    actor: dict[str, str]


class Plan(Tariff):
    """A tariff with everything else that is sold with it. Rates in bit/s from the subscriber's side, 0 = not limited.

    `keeps`: accounts keep the version they bought (their `terms`). `renews`: new accounts renew by themselves. Quota is
    of the direction `counted`. `days` empty is every day; `hours_from` and `hours_until` are "HH:MM" on the tenant's
    clock, "" = the day's begin and end. `at_end`: what becomes of a log-in after the plan has ended or its quota is
    used up. `concurrency` 0 is without limit; `nas_ids` empty is every device; `idle_timeout` in seconds, 0 = none.
    `visible`: in self-service. `attributes`: further ones, lines as saas.tenants.attributes has them. `status`:
    "active", "retired" (not sold on). `settling`: a change that is under way.
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
    settling: NotRequired[Settling | None]
    version: int
    created_at: datetime
    updated_at: datetime


async def create(scope: Scope, form: PlanForm) -> Plan:
    """A new plan. Taken name, Invalid devices, Conflict for attributes that cannot be sent."""
    plan: Plan = await records.create(scope, PLAN, await _values(scope, form) | {"status": "active"})
    return plan


class Outlook(NamedTuple):
    """What a form would make of a plan. `before`: as it is, None for a new one; `accounts` have it, and so many
    `sessions` are open under it. `kept`: these accounts keep the tariff that they bought.
    """

    before: Plan | None
    after: Plan
    accounts: int
    sessions: int
    kept: bool


async def outlook(scope: Scope, form: PlanForm, plan_id: str, limit: int) -> Outlook:
    """See what `create`, for the id "", or `update` would do; counted up to `limit`. Raises what these raise."""
    values: Any = await _values(scope, form)
    if not plan_id:
        return Outlook(None, values, 0, 0, False)
    before = await get(scope, plan_id)
    await _check_change(scope, before, values)
    sessions = await scope.db.online.count({"search": plan_id}, limit=limit)
    accounts = await account_count(scope, plan_id, limit)
    return Outlook(before, {**before, **values}, accounts, sessions, _is_kept(before, values))


async def update(scope: Scope, plan_id: str, form: PlanForm, version: int | None = None) -> Plan:
    """Make a new version of a plan; its accounts follow at their next log-in, or keep what they have if it says so.

    Where very many accounts are on it, the jobs finish it: first all of them take the present version with them, then
    the plan changes; or it changes, and they give up what they kept. The plan says `settling` until then.

    As `create`, Conflict("changed"), Conflict("by_use") when its accounts would pay for use all at once, or not any
    more, Conflict("plan_settling") while an earlier change is under way, NotFound.
    """
    values = await _values(scope, form)
    before = await get(scope, plan_id)
    await _check_change(scope, before, values)
    if _is_kept(before, values):
        await _prepare(scope, before, values, version)
    else:
        gives_up = before["keeps"] and not values["keeps"]
        left = {"settling": await _settling(scope, before, None, None)} if gives_up else {}
        known = before["version"] if version is None else version
        await _change(scope, plan_id, "update", values | left, known, _is_settled)
    await _settle_some(scope, [plan_id])
    return await get(scope, plan_id)


async def settle(scope: Scope, plan_id: str) -> int:
    """See to the next portion of the accounts of a plan that is changing; how many. 0: the change is whole."""

    async def write(tx: Scope) -> tuple[int, bool]:
        plan = await get(tx, plan_id)
        settling = plan.get("settling")
        if not settling:
            return 0, False
        where = {"plan_id": plan_id, "_id": {"$gt": settling["after"]}}
        rows = await tx.db.accounts.find(where, sort=[("_id", 1)], limit=_PORTION, fields=["_id"])
        if not rows:
            await _finish(tx, plan, settling)
            return 0, True
        portion = {"plan_id": plan_id, "_id": {"$gt": settling["after"], "$lte": rows[-1]["_id"]}}
        owed = {"terms": None if settling["terms"] else {"$ne": None}}
        await tx.db.accounts.update_many({**portion, **owed}, {"$set": {"terms": settling["terms"]}})
        far = {"settling.after": rows[-1]["_id"], "settling.done": settling["done"] + len(rows)}
        await tx.db.plans.update_one({"_id": plan_id}, {"$set": far})
        return len(rows), False

    done, changed = await scope.transaction(write)
    if changed:
        await scope.changed("plan", plan_id)
    return done


async def settle_all(ps: PlatformScope) -> int:
    """The next portions of every plan that is changing; how many accounts."""
    rows = await ps.db.plans.find({"settling.open": True}, sort=[("_id", 1)], limit=1000, fields=["tenant_id"])
    work: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        work[row["tenant_id"]].append(row["_id"])

    return await each_tenant(ps, "plans", work, _settle_some)


def newcomers_terms(plan: Plan) -> dict[str, Any] | None:
    """The terms of an account that comes to the plan now: while it is changing, those of the present version."""
    settling = plan.get("settling")
    return settling["terms"] if settling else None


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
    kept: Plan = {**plan, **(account.get("terms") or {})}
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


async def _settle_some(scope: Scope, plan_ids: Sequence[str]) -> int:
    """The next portions of some plans; how many accounts."""
    done = 0
    for plan_id in plan_ids:
        for _ in range(_AT_ONCE):
            portion = await settle(scope, plan_id)
            done += portion
            if not portion:
                break
    return done


def _is_kept(before: Plan, values: Mapping[str, Any]) -> bool:
    """Whether accounts keep the tariff that changes."""
    return values["keeps"] and any(before[name] != values[name] for name in KEPT)  # type: ignore[literal-required]


async def _check_change(scope: Scope, plan: Plan, values: Mapping[str, Any]) -> None:
    """What speaks against a change: one at a time, and what accounts have of use would be lost."""
    await _is_settled(scope, plan)
    if (plan["kind"] in METERED) != (values["kind"] in METERED) and await account_count(scope, plan["_id"], 1):
        raise Conflict("by_use", field="kind")
    same = await scope.db.plans.one({"name": values["name"]}, ["name"])
    if same and same["_id"] != plan["_id"]:
        raise Taken("name")


async def _prepare(scope: Scope, plan: Plan, values: dict[str, Any], version: int | None) -> None:
    """Let the accounts take the present version with them; the plan changes when they have."""
    kept = {name: plan[name] for name in (*KEPT, "version")}  # type: ignore[literal-required]
    unchanged = {"_id": plan["_id"], "version": plan["version"], "settling": None}
    change = {"$set": {"settling": await _settling(scope, plan, kept, values)}}
    if version not in (None, plan["version"]) or not await scope.db.plans.update_one(unchanged, change):
        raise Conflict("changed", id=plan["_id"])


async def _is_settled(scope: Scope, plan: Plan) -> None:
    if plan.get("settling"):
        raise Conflict("plan_settling", name=plan["name"])


async def _finish(scope: Scope, plan: Plan, settling: Settling) -> None:
    """Let the plan become what it was to be, in the name of whoever asked. A name that was taken since it leaves."""
    await scope.db.plans.update_one({"_id": plan["_id"]}, {"$set": {"settling": None}})
    if values := settling["values"]:
        if values["name"] != plan["name"] and await scope.db.plans.one({"name": values["name"]}, ["_id"]):
            values = {**values, "name": plan["name"]}
        await records.change(replace(scope, actor=Actor(**settling["actor"])), PLAN, plan["_id"], values)


async def _settling(scope: Scope, plan: Plan, terms: dict[str, Any] | None, values: dict[str, Any] | None) -> Settling:
    total = await account_count(scope, plan["_id"], _MOST)
    return Settling(open=True, terms=terms, values=values, after="", done=0, total=total, actor=asdict(scope.actor))


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
