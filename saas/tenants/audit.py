"""The operation log: every change by anyone; who, when, from where, what before and after. Rows never change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from saas.tenants.paging import ListQuery, Page, made_between, page
from saas.tenants.scope import Actor, PlatformScope, Scope
from saas.values import new_id, utcnow

_SECRET = ("password", "secret", "hash", "sealed")
_BOOKKEEPING = {"_id", "tenant_id", "version", "created_at", "updated_at", "search", "settling"}


class Entry(TypedDict):
    """`action` is "noun.verb"; `changes` maps a field to [before, after]; secrets show as "•"."""

    _id: str
    at: datetime
    noun: str
    action: str
    target: str
    target_name: str
    actor_kind: str
    actor_id: str
    actor_name: str
    address: str
    changes: dict[str, list[Any]]


async def record(
    scope: Scope,
    action: str,
    target: str,
    *,
    name: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Log an action on `target` (an id; `name` as people know it). Call it in the transaction of the change."""
    await scope.db.audit.insert(_entry(scope.actor, action, target, name, before, after))


async def record_platform(
    ps: PlatformScope, action: str, target: str, *, name: str = "", before: Mapping[str, Any] | None = None, **data: Any
) -> None:
    """Log an action of the platform itself, or one before any tenant is known. `data` is what it set."""
    await ps.db.platform_audit.insert(_entry(ps.actor, action, target, name, before, data))


async def listing(scope: Scope, query: ListQuery) -> Page:
    """The newest first. Filters: `noun`, `actor` (name), `target` (id), the days `since` and `until`.

    `q` is an actor's name, or the id or the name of what was acted on.
    """
    filter = _filter(query) | made_between(query, "aud", scope.tenant["parameters"]["timezone"])
    return await page(scope.db.audit, filter, query)


async def platform_listing(ps: PlatformScope, query: ListQuery) -> Page:
    """The platform's own log. Filter: `noun`; `q` as for a tenant's."""
    return await page(ps.db.platform_audit, _filter(query), query)


async def get(scope: Scope, entry_id: str) -> Entry:
    """One entry. NotFound."""
    entry: Entry = await scope.db.audit.get(entry_id)
    return entry


async def platform_get(ps: PlatformScope, entry_id: str) -> Entry:
    """One entry of the platform's own log. NotFound."""
    entry: Entry = await ps.db.platform_audit.get(entry_id)
    return entry


def _filter(query: ListQuery) -> dict[str, Any]:
    names = {"noun": "noun", "actor": "actor_name", "target": "target"}
    filter: dict[str, Any] = {field: query.filters[name] for name, field in names.items() if query.filters.get(name)}
    if query.q:
        filter["$or"] = [{field: query.q} for field in ("target", "target_name", "actor_name")]
    return filter


def _entry(
    actor: Actor,
    action: str,
    target: str,
    name: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> Entry:
    return Entry(
        _id=new_id("aud"),
        at=utcnow(),
        noun=action.partition(".")[0],
        action=action,
        target=target,
        target_name=name,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        address=actor.address,
        changes=_changes(before or {}, after or {}),
    )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = [name for name in {**before, **after} if name not in _BOOKKEEPING]
    return {
        name: [_shown(name, before.get(name)), _shown(name, after.get(name))]
        for name in names
        if before.get(name) != after.get(name)
    }


def _shown(name: str, value: Any) -> Any:
    if value is not None and any(word in name for word in _SECRET):
        return "•"
    return value
