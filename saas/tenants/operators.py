"""Operators and their groups: a group is a set of permissions, an operator has one group."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, TypedDict

from pydantic import Field, StringConstraints

from saas import security
from saas.errors import Conflict, Invalid
from saas.i18n import N_
from saas.permissions import ALL, Permission, granted
from saas.tenants import audit, platform, records, signins
from saas.tenants.forms import Form, Line, Name, OptionalPassword, Username
from saas.tenants.paging import ListQuery, Page, page
from saas.tenants.scope import Scope

GROUP = records.Noun("groups", "group", "grp", "name")
OPERATOR = records.Noun("operators", "operator", "opr", "login")


class Group(TypedDict):
    """`permissions` are keys of saas.permissions. `preset`: of a built-in group the key of PRESETS that says which they
    are in each version; its row holds none. "" for a group of the tenant's own. `plan_ids`: the plans that those of its
    operators may sell who have none of their own, none for all. `permissions_known`: of a group of the tenant's own
    the permissions that there were when it was saved, as far as who saved it could give them.
    """

    _id: str
    tenant_id: str
    name: str
    preset: str
    permissions: list[str]
    permissions_known: list[str]
    plan_ids: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


class Operator(TypedDict):
    """A second-level operator. The super administrator is the cloud account and has no row here.

    `plan_ids`: the plans it may sell, none for those of its group.
    """

    _id: str
    tenant_id: str
    login: str
    name: str
    group_id: str
    plan_ids: list[str]
    password_hash: str
    disabled: bool
    version: int
    created_at: datetime
    updated_at: datetime


class GroupForm(Form):
    """A permission group."""

    name: Name = Field(title=N_("Group name"))
    plan_ids: list[str] = Field(
        default=[],
        max_length=500,
        title=N_("Plans to sell"),
        description=N_("For operators of the group who have no choice of their own. None chosen: all."),
        json_schema_extra={"widget": "plans"},
    )
    permissions: list[Permission] = Field(
        default=[], max_length=200, title=N_("Permissions"), json_schema_extra={"widget": "permissions"}
    )


class OperatorForm(Form):
    """An operator. On a change an empty password keeps the present one."""

    login: Username = Field(title=N_("Login name"), json_schema_extra={"autocomplete": "off"})
    name: Line = Field(default="", title=N_("Real name"))
    group_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        title=N_("Operator group"), json_schema_extra={"widget": "group"}
    )
    plan_ids: list[str] = Field(
        default=[],
        max_length=500,
        title=N_("Plans to sell"),
        description=N_(
            "Accounts are opened, renewed, topped up and moved on these plans only, and cards for them redeemed. None "
            "chosen: those of the group."
        ),
        json_schema_extra={"widget": "plans"},
    )
    password: OptionalPassword = Field(
        default="",
        title=N_("Password"),
        description=N_("At least 8 characters. When changing an operator, empty keeps the present one."),
        json_schema_extra={"widget": "password", "autocomplete": "new-password"},
    )
    disabled: bool = Field(default=False, title=N_("Disabled"), description=N_("Cannot log in, from now on."))


class ProfileForm(Form):
    """What operators set of themselves."""

    name: Line = Field(default="", title=N_("Real name"), json_schema_extra={"autocomplete": "name"})


async def create_group(scope: Scope, form: GroupForm) -> Group:
    """A new group. Taken("name"), Invalid permissions or plans."""
    _within_own(scope, form.permissions)
    await _check_plans(scope, form.plan_ids)
    return _whole(await records.create(scope, GROUP, _group_values(form, ALL)))


async def update_group(scope: Scope, group_id: str, form: GroupForm, version: int | None = None) -> Group:
    """Change a group; its operators have the new permissions at their next click. Taken, Conflict, NotFound.

    A built-in group that is given other permissions is the tenant's own from then on.
    """
    _within_own(scope, form.permissions)
    await _check_plans(scope, form.plan_ids)
    before = await get_group(scope, group_id)
    guard = partial(_group_is_within_own, form.plan_ids)
    preset = before["preset"] if set(form.permissions) == granted(before) else ""
    known = ALL if before["preset"] else scope.permissions.union(before["permissions_known"])
    values = _group_values(form, known, preset)
    return _whole(await records.change(scope, GROUP, group_id, values, version=version, guard=guard))


async def delete_group(scope: Scope, group_id: str) -> None:
    """Remove a group that no operator has. Conflict("in_use") otherwise."""
    await records.remove(scope, GROUP, group_id, guard=_group_is_free)


async def groups(scope: Scope) -> list[Group]:
    """Every group by name."""
    return [_whole(row) for row in await scope.db.groups.find({}, sort=[("name", 1)], limit=500)]


async def get_group(scope: Scope, group_id: str) -> Group:
    """One group. NotFound."""
    return _whole(await scope.db.groups.get(group_id))


async def group_listing(scope: Scope, query: ListQuery) -> Page:
    """Groups. `q` is the beginning of a name."""
    found = await page(scope.db.groups, _begins("name", query.q), query)
    return Page([_whole(row) for row in found.rows], found.next)


async def create(scope: Scope, form: OperatorForm) -> Operator:
    """A new operator. Taken("login"), Invalid group, plans or password, Limit("tier_limit")."""
    _check_password(form, required=True)
    await _check_group(scope, form.group_id, form.plan_ids)
    await _check_plans(scope, form.plan_ids)
    await platform.check_tier(scope, "operators")
    operator: Operator = await records.create(scope, OPERATOR, await _operator_values(form))
    return operator


async def update(scope: Scope, operator_id: str, form: OperatorForm, version: int | None = None) -> Operator:
    """Change an operator; a disabled one or one with a new password is out at once. Taken, Conflict, NotFound."""
    _check_password(form, required=False)
    await _check_group(scope, form.group_id, form.plan_ids)
    await _check_plans(scope, form.plan_ids)
    values = await _operator_values(form)
    operator: Operator = await records.change(
        scope, OPERATOR, operator_id, values, version=version, guard=check_within_own
    )
    if form.disabled or form.password:
        await signins.end_all(scope.services.kv, operator_id)
    return operator


async def rename_own(scope: Scope, form: ProfileForm) -> None:
    """An operator's own real name. NotFound for others than operators."""
    await records.change(scope, OPERATOR, scope.actor.id, form.model_dump(), verb="own_name")


async def delete(scope: Scope, operator_id: str) -> None:
    """Remove an operator; the operation log keeps the name. NotFound."""
    await records.remove(scope, OPERATOR, operator_id, guard=check_within_own)
    await scope.db.factors.delete_many({"_id": operator_id})
    await signins.end_all(scope.services.kv, operator_id)


async def sessions(scope: Scope, operator_id: str) -> list[signins.Signin]:
    """The sessions of an operator, the last used first. NotFound."""
    await get(scope, operator_id)
    return await signins.listing(scope.services.kv, operator_id)


async def end_sessions(scope: Scope, operator_id: str) -> None:
    """Log an operator out everywhere. NotFound, Invalid as for changing the operator."""
    operator = await get(scope, operator_id)
    await check_within_own(scope, operator)
    await signins.end_all(scope.services.kv, operator_id)
    await audit.record(scope, "operator.sign_out", operator_id, name=operator["login"])


async def get(scope: Scope, operator_id: str) -> Operator:
    """One operator. NotFound."""
    operator: Operator = await scope.db.operators.get(operator_id)
    return operator


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Operators. Filter: `group_id`; `q` is the beginning of an account."""
    filter = _begins("login", query.q.lower())
    if group_id := query.filters.get("group_id"):
        filter["group_id"] = group_id
    return await page(scope.db.operators, filter, query)


def sells(plan_ids: Sequence[str], group: Mapping[str, Any]) -> frozenset[str] | None:
    """The plans that an operator may sell, None for all: those that were granted to him, if any, else to his group."""
    return frozenset(plan_ids or group["plan_ids"]) or None


def _begins(field: str, q: str) -> dict[str, Any]:
    return {field: {"$gte": q, "$lt": q + "\uffff"}} if q else {}


def _whole(row: Group) -> Group:
    """A group with what it grants now."""
    return {**row, "permissions": sorted(granted(row))}


def _group_values(form: GroupForm, known: Iterable[str], preset: str = "") -> dict[str, Any]:
    return {
        "name": form.name,
        "preset": preset,
        "permissions": [] if preset else sorted(set(form.permissions)),
        "permissions_known": [] if preset else sorted(known),
        "plan_ids": sorted(set(form.plan_ids)),
    }


def _within_own(scope: Scope, permissions: Iterable[str]) -> None:
    """Nobody can give, or take from, others what he does not have himself."""
    if not set(permissions) <= scope.permissions:
        raise Invalid({"permissions": "beyond_own"})


async def _group_is_within_own(plan_ids: Sequence[str], scope: Scope, group: Group) -> None:
    """Before it gets these plans: where they change, they do so for operators whom nobody looks at here."""
    _within_own(scope, granted(group))
    if set(plan_ids) != set(group["plan_ids"]):
        for each in (plan_ids, group["plan_ids"]):
            _check_sells(scope, frozenset(each) or None)


async def _group_is_free(scope: Scope, group: Group) -> None:
    _within_own(scope, granted(group))
    if await scope.db.operators.count({"group_id": group["_id"]}, limit=1):
        raise Conflict("in_use", name=group["name"])


async def check_within_own(scope: Scope, operator: Operator) -> None:
    """Invalid for who goes beyond what the actor may do himself."""
    await _check_group(scope, operator["group_id"], operator["plan_ids"])


async def _check_plans(scope: Scope, plan_ids: list[str]) -> None:
    wanted = sorted(set(plan_ids))
    known = await scope.db.plans.find({"_id": {"$in": wanted}}, limit=len(wanted), fields=["_id"]) if wanted else []
    if len(known) != len(wanted):
        raise Invalid({"plan_ids": "bad_choice"})


def _check_sells(scope: Scope, sold: frozenset[str] | None) -> None:
    """Nobody can let others sell, or keep from selling, what he may not sell himself."""
    if scope.sells is not None and (sold is None or not sold <= scope.sells):
        raise Invalid({"plan_ids": "beyond_own"})


async def _check_group(scope: Scope, group_id: str, plan_ids: Sequence[str]) -> None:
    """Whether the actor may have to do with an operator of the group who was granted these plans."""
    group = await scope.db.groups.one({"_id": group_id})
    if group is None:
        raise Invalid({"group_id": "bad_choice"})
    if not granted(group) <= scope.permissions:
        raise Invalid({"group_id": "beyond_own"})
    _check_sells(scope, sells(plan_ids, group))


def _check_password(form: OperatorForm, *, required: bool) -> None:
    if required and not form.password:
        raise Invalid({"password": "missing"})
    if form.password and len(form.password) < 8:
        raise Invalid({"password": "too_short"})


async def _operator_values(form: OperatorForm) -> dict[str, Any]:
    values: dict[str, Any] = form.model_dump(exclude={"password"}) | {"plan_ids": sorted(set(form.plan_ids))}
    if form.password:
        values["password_hash"] = await asyncio.to_thread(security.hash_password, form.password)
    return values
