"""Moving a tenant to another engine pool, without losing a packet of the devices that still send to the former one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from saas.errors import Conflict
from saas.i18n import N_
from saas.tenants import audit, pools
from saas.tenants.forms import Form
from saas.tenants.platform import Tenant
from saas.tenants.scope import PlatformScope
from saas.values import utcnow


class MoveForm(Form):
    """Where a tenant goes, and how many days its former pool goes on answering for it."""

    pool: Annotated[str, Field(min_length=1, max_length=32)] = Field(
        title=N_("To the pool"), json_schema_extra={"widget": "select"}
    )
    days: int = Field(
        default=pools.GRACE.days,
        ge=0,
        le=90,
        title=N_("Days of transition"),
        description=N_("For so long the former pool goes on answering. 0: not at all."),
    )


async def move_tenant(ps: PlatformScope, tenant_id: str, name: str, grace: timedelta = pools.GRACE) -> Tenant:
    """Let another pool serve a tenant from now on; the present one goes on answering for it for `grace`.

    NotFound; Conflict("same_pool"), Conflict("retired"); Conflict("pool_taken") when it is another tenant's.
    """
    now = utcnow()

    async def write(tx: PlatformScope) -> Tenant:
        tenant: Tenant = await tx.db.tenants.get(tenant_id)
        before = tenant["pool"]
        if before == name:
            raise Conflict("same_pool", field="pool")
        await _admit(tx, await pools.named(tx, name), tenant_id, now)
        left = pools.FormerPool(pool=before, since=now, until=now + grace)
        kept = [each for each in pools.former_pools(tenant, now) if each["pool"] not in (before, name)]
        former = kept + ([left] if grace else [])
        moved: Tenant = await tx.db.tenants.update(tenant_id, {"$set": {"pool": name, "former_pools": former}})
        told = {"pool": name, "until": left["until"]}
        await audit.record_platform(tx, "tenant.move", tenant_id, name=tenant["slug"], before={"pool": before}, **told)
        return moved

    return await _tenant_changed(ps, await ps.transaction(write))


async def end_transition(ps: PlatformScope, tenant_id: str) -> Tenant:
    """Let a tenant's former pools forget it now. NotFound."""

    async def write(tx: PlatformScope) -> Tenant:
        tenant: Tenant = await tx.db.tenants.get(tenant_id)
        was = {"pool": ", ".join(each["pool"] for each in pools.former_pools(tenant, utcnow()))}
        after: Tenant = await tx.db.tenants.update(tenant_id, {"$set": {"former_pools": []}})
        await audit.record_platform(tx, "tenant.end_move", tenant_id, name=tenant["slug"], before=was, pool="")
        return after

    return await _tenant_changed(ps, await ps.transaction(write))


async def _admit(ps: PlatformScope, pool: pools.Pool, tenant_id: str, now: datetime) -> None:
    """Let a tenant into a pool, within a transaction: writing to the pool's row shuts out a concurrent `retire`."""
    if pool["status"] != "active":
        raise Conflict("retired", field="pool")
    if pool["kind"] == "dedicated" and await pools.tenants_of(ps, pool["name"], now) - {tenant_id}:
        raise Conflict("pool_taken", field="pool")
    await ps.db.pools.update_one({"_id": pool["_id"]}, {"$set": {"entered_at": now}})


async def _tenant_changed(ps: PlatformScope, tenant: Tenant) -> Tenant:
    await ps.changed("tenant", tenant["_id"], tenant["slug"])
    return tenant
