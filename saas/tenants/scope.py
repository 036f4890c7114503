"""Who acts, in which tenant, over which rows.

A Scope is born in three places only: handlers/base.py, radius (through PlatformScope.tenant), the jobs runner. It
carries the fence, so that an operation given a Scope cannot reach another tenant's rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from saas.kv import Change, Kv, TenantKv
from saas.outbound import Mailer, Poster
from saas.permissions import ALL, Permission
from saas.security import Keys
from saas.store import Database, Store

T = TypeVar("T")

__all__ = ["SYSTEM", "Actor", "Change", "PlatformScope", "Scope", "Services", "platform_scope"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `kind`: "owner", "operator", "agent", "member", "platform" or "system"; `address`: where from."""

    kind: str
    id: str
    name: str
    address: str = ""


SYSTEM = Actor("system", "system", "system")


@dataclass(frozen=True, slots=True)
class Services:
    """What a process holds once: the stores and the keys.

    `slots`: where concurrency is counted, if not in `kv`. What is there may be lost; then it is counted again.
    """

    store: Store
    kv: Kv
    keys: Keys
    mailer: Mailer = field(default_factory=Mailer)
    slots: Kv | None = None
    poster: Poster = field(default_factory=Poster)

    @property
    def counting(self) -> Kv:
        """Redis as far as concurrency is counted."""
        return self.slots or self.kv


@dataclass(frozen=True, slots=True)
class Scope:
    """An actor in one tenant. `tenant` is the tenant's row; `sells`: ids of the plans it may sell, None for all."""

    services: Services
    tenant: Mapping[str, Any]
    actor: Actor
    permissions: frozenset[Permission]
    db: Database
    sells: frozenset[str] | None = None

    @property
    def tenant_id(self) -> str:
        """The tenant's id."""
        return str(self.tenant["_id"])

    @property
    def kv(self) -> TenantKv:
        """The tenant's keys in Redis."""
        return self.services.kv.tenant(self.tenant_id)

    async def transaction(self, work: Callable[[Scope], Awaitable[T]]) -> T:
        """Run `work` with a scope whose writes happen together or not at all; it may run more than once."""
        return await self.db.transaction(lambda db: work(replace(self, db=db)))

    async def changed(self, kind: str, key: str) -> None:
        """Tell every process that a cached row of this tenant is stale."""
        await self.services.kv.publish_change(kind, self.tenant_id, key)

    def seal(self, secret: str) -> bytes:
        """Encrypt a secret for this tenant."""
        return self.services.keys.seal(self.tenant_id, secret)

    def unseal(self, sealed: bytes) -> str:
        """Decrypt a secret of this tenant."""
        return self.services.keys.unseal(self.tenant_id, sealed)


@dataclass(frozen=True, slots=True)
class PlatformScope:
    """The platform itself: no fence. Another type than Scope on purpose, so that neither passes for the other."""

    services: Services
    actor: Actor
    db: Database

    @property
    def kv(self) -> Kv:
        """Redis, all of it but the slots."""
        return self.services.kv

    @property
    def slots(self) -> Kv:
        """Redis as far as concurrency is counted."""
        return self.services.counting

    @property
    def keys(self) -> Keys:
        """The installation's keys."""
        return self.services.keys

    async def transaction(self, work: Callable[[PlatformScope], Awaitable[T]]) -> T:
        """Run `work` with a scope whose writes happen together or not at all; it may run more than once."""
        return await self.db.transaction(lambda db: work(replace(self, db=db)))

    async def changed(self, kind: str, tenant_id: str, key: str) -> None:
        """Tell every process that a cached row is stale."""
        await self.services.kv.publish_change(kind, tenant_id, key)

    def changes(self) -> AsyncIterator[Change]:
        """What is told by `changed` from now on, for ever. Unavailable when the connection is lost."""
        return self.services.kv.changes()

    def enter(
        self,
        tenant: Mapping[str, Any],
        actor: Actor,
        permissions: frozenset[Permission] = ALL,
        sells: frozenset[str] | None = None,
    ) -> Scope:
        """The scope of an actor in a tenant; `tenant` is its row. Within a transaction it is part of that."""
        fenced = self.db.behind({"tenant_id": str(tenant["_id"])})
        return Scope(self.services, tenant, actor, permissions, fenced, sells)


def platform_scope(services: Services, actor: Actor = SYSTEM) -> PlatformScope:
    """The scope of the platform, or of what runs by itself."""
    return PlatformScope(services, actor, services.store.platform())
