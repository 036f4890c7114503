"""The cast of the tests: two businesses that know nothing of each other, with the same names on purpose.

Acme and Zeta each have an owner, an operator of the group with every permission, a device, a plan, and an account
"alice". What a test does in one must leave the other as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from saas.permissions import ALL
from saas.store import Database
from saas.tenants import accounts, login, nas, operators, plans, platform, quotas
from saas.tenants.scope import Actor, PlatformScope, Scope

PASSWORD = "correct-horse"
USERNAME = "alice"
USER_PASSWORD = "alice-secret"
NAS_SECRET = "shared-secret"


@dataclass(frozen=True, slots=True)
class Business:
    """One tenant and its people. `scope` is the owner's."""

    scope: Scope
    email: str
    operator: operators.Operator
    nas: nas.Nas
    plan: plans.Plan
    account: accounts.Account

    @property
    def slug(self) -> str:
        return str(self.scope.tenant["slug"])

    @property
    def id(self) -> str:
        return self.scope.tenant_id


@dataclass(frozen=True, slots=True)
class World:
    """Two businesses on one platform."""

    ps: PlatformScope
    acme: Business
    zeta: Business


async def make_world(ps: PlatformScope) -> World:
    """A fresh cast; short names and addresses are new each time, so that tests share the stores."""
    return World(ps, await make_business(ps, "acme"), await make_business(ps, "zeta"))


async def make_business(ps: PlatformScope, name: str, system_name: str = "") -> Business:
    """A tenant of the tier without limits."""
    slug = f"{name}-{secrets.token_hex(4)}"
    email = f"{slug}@example.com"
    owner = await platform.create_cloud_account(ps, platform.OwnerForm(email=email, password=PASSWORD))
    form = platform.TenantForm(system_name=system_name or name.title(), slug=slug)
    tenant = await platform.create_tenant(ps, form, owner["_id"], tier="business")
    scope = ps.enter(tenant, Actor("owner", owner["_id"], email, "192.0.2.1"), ALL)
    manager = next(group for group in await operators.groups(scope) if set(group["permissions"]) == ALL)
    person = operators.OperatorForm(login="bob", password=PASSWORD, group_id=manager["_id"])
    operator = await operators.create(scope, person)
    device = await nas.create(scope, nas.NasForm(name="East gate", vendor="mikrotik", secret=NAS_SECRET))
    plan = await plans.create(scope, plans.PlanForm.model_validate({"name": "Monthly", "price": "30.00"}))
    opening = accounts.QuickOpenForm(username=USERNAME, password=USER_PASSWORD, plan_id=plan["_id"], name="Alice")
    account, _ = await accounts.quick_open(scope, opening, f"open-{slug}")
    return Business(scope, email, operator, device, plan, account)


async def set_account(scope: Scope, account_id: str, **values: Any) -> None:
    """Change fields of an account past every operation: as it would be after some time, or by a fault."""
    await scope.db.accounts.update(account_id, {"$set": await quotas.change(scope, account_id, values)})


async def sessions_of(db: Database, fields: Sequence[str] | None = None) -> list[Any]:
    """Every session behind a fence, open or ended, the earliest start first."""
    found = [await table.find({}, limit=1_000_000, fields=fields) for table in (db.online, db.sessions)]
    return sorted((row for rows in found for row in rows), key=lambda row: row.get("started_at", row["_id"]))


async def signed_in(ps: PlatformScope, business: Business) -> str:
    """The token of the owner's session; the log-in itself, which counts attempts, is left out."""
    account = await ps.db.cloud_accounts.one({"email": business.email})
    return await login.open_session(ps, login.session_of(account, "192.0.2.1"))
