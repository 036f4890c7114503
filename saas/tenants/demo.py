"""Data to look at and to measure with: the demo tenant, and deterministic datasets of any size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from saas.tenants import accounts, members, nas, plans, platform, quotas
from saas.tenants.scope import SYSTEM, PlatformScope, Scope

SLUG = "demo"
EMAIL = "demo@example.com"
PASSWORD = "demo-password"
NAS_IDENTIFIER = "nas-demo"
NAS_SECRET = "demo-secret"
USERNAME = "alice"
USER_PASSWORD = "alice-password"
EXPIRES = datetime(2100, 1, 1, tzinfo=UTC)  # of a dataset's accounts: far away, and yet looked at by every log-in
QUOTA = 2**50  # octets
_CHUNK = 1000
_EACH = 10  # accounts of one member


@dataclass(frozen=True, slots=True)
class Dataset:
    """`tenants` t0000…, `nas` devices in all, spread evenly, `accounts` in each tenant; `concurrency` 0: no limit."""

    tenants: int
    nas: int
    accounts: int
    concurrency: int = 0


async def demo_tenant(ps: PlatformScope) -> Scope:
    """The demo tenant with a device, a plan and an account; made when it is not there."""
    tenant = await platform.tenant_by_slug(ps, SLUG)
    if tenant is None:
        owner = await ps.db.cloud_accounts.one({"email": EMAIL})
        if owner is None:
            form = platform.OwnerForm(email=EMAIL, password=PASSWORD)
            owner = await platform.create_cloud_account(ps, form)
        names = platform.TenantForm(system_name="OpenPNS Demo", slug=SLUG)
        tenant = await platform.create_tenant(ps, names, owner["_id"], tier="business")
    scope = ps.enter(tenant, SYSTEM)
    if await scope.db.nas.one({"identifier": NAS_IDENTIFIER}) is None:
        await nas.create(
            scope,
            nas.NasForm(
                name="Demo gateway",
                vendor="standard",
                mode="ip",  # so that a bare radclient on this machine is known, whatever it calls itself
                address="127.0.0.1",
                identifier=NAS_IDENTIFIER,
                secret=NAS_SECRET,
            ),
        )
    plan = await scope.db.plans.one({"name": "VPN 20M"})
    if plan is None:
        plan = await plans.create(
            scope,
            plans.PlanForm.model_validate(
                {"name": "VPN 20M", "price": "30.00", "up_rate": "10", "down_rate": "20", "concurrency": 0}
            ),
        )
    if await scope.db.accounts.one({"username": USERNAME}) is None:
        form_ = accounts.QuickOpenForm(
            username=USERNAME, password=USER_PASSWORD, plan_id=plan["_id"], units=12, name="Alice"
        )
        await accounts.quick_open(scope, form_, "demo")
    return scope


async def fill(ps: PlatformScope, size: Dataset) -> None:
    """Make the dataset's tenants, devices and accounts in bulk; what is there already stays as it is.

    Devices nas-0000… with secrets secret-0000…, any source address; accounts u000000… with passwords p000000…, on a
    plan with a quota that nobody uses up, paid for until EXPIRES.
    """
    form = platform.OwnerForm(email="datasets@example.com", password=PASSWORD)
    owner = await ps.db.cloud_accounts.one({"email": form.email}) or await platform.create_cloud_account(ps, form)
    for number in range(size.tenants):
        slug = f"t{number:04d}"
        tenant = await platform.tenant_by_slug(ps, slug)
        if tenant is None:
            names = platform.TenantForm(system_name=f"Tenant {number:04d}", slug=slug)
            tenant = await platform.create_tenant(ps, names, owner["_id"], tier="business")
        scope = ps.enter(tenant, SYSTEM)
        await _devices(scope, [k for k in range(size.nas) if k % size.tenants == number])
        plan_id = await _plan(scope, size.concurrency)
        await _accounts(scope, plan_id, size.accounts)


async def _plan(scope: Scope, concurrency: int) -> str:
    name = f"Measure {concurrency}"
    plan = await scope.db.plans.one({"name": name})
    if plan is None:
        plan = await plans.create(scope, plans.PlanForm(name=name, price=0, concurrency=concurrency))
    return str(plan["_id"])


async def _devices(scope: Scope, numbers: list[int]) -> None:
    there = {row["identifier"] for row in await scope.db.nas.find({}, limit=100_000, fields=["identifier"])}
    for number in numbers:
        identifier = f"nas-{number:04d}"
        if identifier not in there:
            form = nas.NasForm(name=identifier, vendor="standard", identifier=identifier, secret=f"secret-{number:04d}")
            await nas.create(scope, form)


async def _accounts(scope: Scope, plan_id: str, count: int) -> None:
    """Accounts, a thousand a write; every ten of them are one member's."""
    last = await scope.db.accounts.find({"plan_id": plan_id}, limit=1, fields=["username"])
    start = int(last[0]["username"][1:]) + 1 if last else 0
    person = await scope.db.members.one({"login": _username(start // _EACH * _EACH)})
    for begin in range(start, count, _CHUNK):
        people: list[Any] = []
        rows: list[dict[str, Any]] = []
        for number in range(begin, min(begin + _CHUNK, count)):
            username = _username(number)
            if number % _EACH == 0:
                person = members.new_member(username, name="", mobile="", note="", password_hash=None)
                people.append(person)
            account = accounts.new_account(scope, person, plan_id, username, f"p{number:06d}")
            rows.append(account | {"expires_at": EXPIRES, "octets_left": QUOTA})
        await scope.transaction(partial(_insert, people, rows))


def _username(number: int) -> str:
    return f"u{number:06d}"


async def _insert(people: list[dict[str, Any]], rows: list[dict[str, Any]], scope: Scope) -> None:
    if people:
        await scope.db.members.insert_many(people)
    await quotas.insert(scope, rows)
