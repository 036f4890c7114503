"""The operation log: every change by anyone; who, when, from where, what before and after. Rows never change, but that
each gets its number and hash a moment later (chain.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypedDict

from saas.tenants.paging import ListQuery, Page, made_between, page_of, together
from saas.tenants.scope import Actor, PlatformScope, Scope
from saas.values import new_id, utcnow

_SECRET = ("password", "secret", "hash", "sealed", "codes")
# What changes point at by ids that begin so: its collection, and the field people know it by.
_NAMED = {
    "acc_": ("accounts", "username"),
    "grp_": ("groups", "name"),
    "mem_": ("members", "login"),
    "nas_": ("nas", "name"),
    "opr_": ("operators", "login"),
    "pln_": ("plans", "name"),
}
_BOOKKEEPING = {"_id", "tenant_id", "version", "created_at", "updated_at", "search", "settling", "permissions_known"}


class Entry(TypedDict):
    """`action` is "noun.verb"; `changes` maps a field to [before, after]; secrets show as "•".

    `seq` and `hash` are the entry's place in the chain, 0 and "" until it has one.
    """

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
    seq: int
    hash: str


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
    """The newest first. Filters: `noun`, `action`, `actor` (name), `target` (id), the days `since` and `until`.

    `q` is an actor's name, or the id or the name of what was acted on.
    """
    within = made_between(query, "aud", scope.tenant["parameters"]["timezone"])
    return await page_of([(scope.db.audit, filter | within) for filter in _filters(query)], query)


async def platform_listing(ps: PlatformScope, query: ListQuery) -> Page:
    """The platform's own log. Filters: `noun`, `action`; `q` as for a tenant's."""
    return await page_of([(ps.db.platform_audit, filter) for filter in _filters(query)], query)


async def names(scope: Scope, entries: Iterable[Entry]) -> dict[str, str]:
    """Id -> name of what the changes of entries point at, as far as it is still there."""
    wanted = {text for entry in entries for pair in entry["changes"].values() for text in _texts(pair)}
    found: dict[str, str] = {}
    for kind, (table, name) in _NAMED.items():
        rows = await getattr(scope.db, table).among((id for id in wanted if id.startswith(kind)), [name])
        found |= {row_id: str(row[name]) for row_id, row in rows.items()}
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


async def get(scope: Scope, entry_id: str) -> Entry:
    """One entry. NotFound."""
    entry: Entry = await scope.db.audit.get(entry_id)
    return entry


async def platform_get(ps: PlatformScope, entry_id: str) -> Entry:
    """One entry of the platform's own log. NotFound."""
    entry: Entry = await ps.db.platform_audit.get(entry_id)
    return entry


def _filters(query: ListQuery) -> list[dict[str, Any]]:
    """Of the looks for what is asked: an index has each."""
    names = {"noun": "noun", "action": "action", "actor": "actor_name", "target": "target"}
    filter: dict[str, Any] = {field: query.filters[name] for name, field in names.items() if query.filters.get(name)}
    if not query.q:
        return [filter]
    looks = [together(filter, {field: query.q}) for field in ("target", "target_name", "actor_name")]
    return [dict(each) for each in looks if each is not None]


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
        seq=0,
        hash="",
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
    return {inner: _shown(inner, held) for inner, held in value.items()} if isinstance(value, Mapping) else value
