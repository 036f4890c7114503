"""What was refused, and who knocked without being known: kept so that a person can be told why.

Repeats are counted, not listed: one row for each user, device, reason and hour; one for each unknown device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from saas.store import Update
from saas.tenants.fanout import each_tenant
from saas.tenants.paging import ListQuery, Page, midnight, page, page_of
from saas.tenants.scope import PlatformScope, Scope
from saas.values import from_epoch, new_id

_HOUR = 3600
_UNKNOWN_KEPT = 1000  # unknown devices a pool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A login that was refused. `reason` is the failed rule's name and `data` its facts (access.Rule)."""

    tenant_id: str
    nas_id: str
    username: str
    account_id: str  # "" = no such account
    reason: str
    data: Mapping[str, Any]
    method: str  # "pap", "chap", "mschapv1", "mschapv2", "eap-mschapv2", "eap-md5", "eap"; "" = none that we know
    calling_station_id: str
    source: str  # the packet's source address
    at: float  # seconds since 1970, UTC


@dataclass(frozen=True, slots=True)
class UnknownNas:
    """Packets that belong to no device, or prove no knowledge of its secret."""

    pool: str
    source: str
    identifier: str  # NAS-Identifier, "" = none sent
    cause: str  # "unknown_nas", "bad_authenticator", "missing_message_authenticator" …
    count: int  # packets since the last note
    at: float  # seconds since 1970, UTC, of the last one


class RefusalRow(TypedDict):
    """Refusals of one user at one device for one reason within an hour; facts and circumstances are of the last one."""

    _id: str
    tenant_id: str
    username: str
    account_id: str
    nas_id: str
    reason: str
    hour: datetime
    count: int
    first_at: datetime
    last_at: datetime
    data: dict[str, Any]
    method: str
    calling_station_id: str
    source: str


async def listing(scope: Scope, query: ListQuery) -> Page:
    """The newest first by `query.sort` "-last_at". Filters: `username`, `nas_id`, `reason`, and the day `since`; `q` is
    a user name.
    """
    names = ("username", "nas_id", "reason")
    filter: dict[str, Any] = {name: query.filters[name] for name in names if query.filters.get(name)}
    if since := midnight(query.filters.get("since", ""), "since", scope.tenant["parameters"]["timezone"]):
        filter["last_at"] = {"$gte": since}
    if query.q:
        filter["username"] = query.q.strip().lower()
    return await page(scope.db.refusals, filter, query)


async def last_of(scope: Scope, username: str, limit: int = 5) -> list[RefusalRow]:
    """The last refusals of a user name, the newest first."""
    return await scope.db.refusals.find({"username": username}, sort=[("last_at", -1)], limit=limit)


async def unknown_listing(ps: PlatformScope, query: ListQuery) -> Page:
    """Unknown devices. Filters: `pool`; `q` is a source address or an identifier, in full."""
    filter: dict[str, Any] = {"pool": query.filters["pool"]} if query.filters.get("pool") else {}
    named = [{"source": query.q}, {"identifier": query.q}] if query.q else [{}]
    return await page_of([(ps.db.unknown_nas, filter | each) for each in named], query)


async def keep(ps: PlatformScope, notes: Iterable[Refusal | UnknownNas]) -> None:
    """Add notes to the rows. What fails for one tenant is logged, and its notes are lost."""
    by_tenant: dict[str, list[Refusal]] = {}
    unknown: list[UnknownNas] = []
    for note in notes:
        if isinstance(note, UnknownNas):
            unknown.append(note)
        else:
            by_tenant.setdefault(note.tenant_id, []).append(note)
    await each_tenant(ps, "refusals", by_tenant, _keep_refusals)
    await _keep_unknown(ps, unknown)


async def _keep_refusals(scope: Scope, found: Sequence[Refusal]) -> int:
    grouped: dict[tuple[Any, ...], list[Refusal]] = {}
    for refusal in found:
        hour = int(refusal.at // _HOUR * _HOUR)
        grouped.setdefault((refusal.username, refusal.nas_id, refusal.reason, hour), []).append(refusal)
    return await scope.db.refusals.bulk([_refusal_update(*item) for item in grouped.items()], ordered=False)


async def _keep_unknown(ps: PlatformScope, notes: Sequence[UnknownNas]) -> None:
    """Of each pool only the last thousand stay."""
    grouped: dict[tuple[str, str, str], list[UnknownNas]] = {}
    for note in notes:
        grouped.setdefault((note.pool, note.source, note.identifier), []).append(note)
    await ps.db.unknown_nas.bulk([_unknown_update(*item) for item in grouped.items()], ordered=False)
    for pool in {pool for pool, _, _ in grouped}:
        surplus = await ps.db.unknown_nas.find({"pool": pool}, sort=[("last_at", -1)], limit=_UNKNOWN_KEPT + 1)
        if len(surplus) > _UNKNOWN_KEPT:
            await ps.db.unknown_nas.delete_many({"pool": pool, "last_at": {"$lte": surplus[-1]["last_at"]}})


def _refusal_update(key: tuple[Any, ...], found: Sequence[Refusal]) -> Update:
    username, nas_id, reason, hour = key
    last = max(found, key=lambda refusal: refusal.at)
    where = {"username": username, "nas_id": nas_id, "reason": reason, "hour": from_epoch(hour)}
    facts = {
        "account_id": last.account_id,
        "data": dict(last.data),
        "method": last.method,
        "calling_station_id": last.calling_station_id,
        "source": last.source,
    }
    return Update(where, _counted("ref", found, len(found), facts), upsert=True)


def _unknown_update(key: tuple[str, str, str], found: Sequence[UnknownNas]) -> Update:
    where = dict(zip(("pool", "source", "identifier"), key, strict=True))
    last = max(found, key=lambda note: note.at)
    return Update(where, _counted("unk", found, sum(note.count for note in found), {"cause": last.cause}), upsert=True)


def _counted(kind: str, found: Sequence[Refusal | UnknownNas], count: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    """An upsert that counts on."""
    moments = [from_epoch(each.at) for each in found]
    return {
        "$inc": {"count": count},
        "$set": facts,
        "$max": {"last_at": max(moments)},
        "$setOnInsert": {"_id": new_id(kind), "first_at": min(moments)},
    }
