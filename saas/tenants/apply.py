"""From the journal to the sessions: events in order of arrival, in bulk for each tenant, each counted once.

Applying again changes nothing, and two appliers at once do no harm: rows are written only if they are still what was
read. An event that cannot be applied goes to `dead_events` with its error, and stops neither its tenant nor others.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from saas.errors import Conflict, Unavailable
from saas.tenants import accounting, sessions, slots
from saas.tenants.accounting import AcctEvent, Row
from saas.tenants.fanout import each_tenant
from saas.tenants.journal import Group, encode
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id, utcnow

log = logging.getLogger(__name__)

_ATTEMPTS = 20
_ROWS_A_KEY = 20  # recent sessions of a reused id that are looked at
_STALE_BATCH = 500
_ACCOUNT = ("_id", "username", "member_id", "agent_id")


async def apply(ps: PlatformScope, groups: Sequence[Group]) -> int:
    """Let groups take effect; how many events could not and were put aside. Unavailable: repeat all of it."""
    buried = 0
    for group in groups:
        if group.error:
            await _bury(ps, "", group.data, group.error)
            buried += 1
    by_tenant: dict[str, list[AcctEvent]] = defaultdict(list)
    for group in groups:
        for event in group.events:
            by_tenant[event.tenant_id].append(event)
    for tenant_id in await _gone(ps, by_tenant):
        for event in by_tenant.pop(tenant_id):
            await _bury(ps, tenant_id, encode([event]), "no such tenant")
            buried += 1
    buried += await each_tenant(ps, "accounting", by_tenant, partial(_apply_or_bury, ps))
    await slots.track(ps, [event for group in groups if not group.stream for event in group.events])
    return buried


async def close_stale(ps: PlatformScope, before: datetime) -> int:
    """End the sessions that have been silent too long by `before`; how many.

    `before` is a moment whose events have all been applied: what waits in the journal may show that a session lives.
    """
    closed, after = 0, datetime.min.replace(tzinfo=before.tzinfo)
    while True:
        filter = {"open": True, "stale_at": {"$gt": after, "$lt": before}}
        rows = await ps.db.sessions.find(filter, sort=[("stale_at", 1)], limit=_STALE_BATCH)
        by_tenant: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_tenant[row["tenant_id"]].append(row)
        closed += await each_tenant(ps, "stale sessions", by_tenant, _close_stale_of)
        if len(rows) < _STALE_BATCH:
            return closed
        after = rows[-1]["stale_at"]


async def _gone(ps: PlatformScope, by_tenant: Mapping[str, Any]) -> set[str]:
    """The tenants that do not exist."""
    found = await ps.db.tenants.find({"_id": {"$in": list(by_tenant)}}, limit=len(by_tenant) or 1, fields=["_id"])
    return by_tenant.keys() - {tenant["_id"] for tenant in found}


async def _apply_or_bury(ps: PlatformScope, scope: Scope, events: list[AcctEvent]) -> int:
    try:
        await _apply_events(scope, events)
        return 0
    except Unavailable:
        raise
    except Exception:
        log.exception("tenant %s: its events are applied one by one", scope.tenant_id)
    return sum([await _apply_one(ps, scope, event) for event in events])


async def _apply_one(ps: PlatformScope, scope: Scope, event: AcctEvent) -> int:
    try:
        await _apply_events(scope, [event])
        return 0
    except Unavailable:
        raise
    except Exception as error:
        log.exception("tenant %s: an event of device %s is put aside", scope.tenant_id, event.nas_id)
        await _bury(ps, scope.tenant_id, encode([event]), f"{type(error).__name__}: {error}")
        return 1


async def _bury(ps: PlatformScope, tenant_id: str, data: bytes, error: str) -> None:
    """Put an event aside. Unavailable when even that fails: it must stay in the journal."""
    row = {"_id": new_id("ded"), "tenant_id": tenant_id, "data": data, "error": error, "created_at": utcnow()}
    try:
        await ps.db.dead_events.insert(row)
    except Exception as failure:
        raise Unavailable(store="mongo") from failure


async def _apply_events(scope: Scope, events: Sequence[AcctEvent]) -> None:
    """Sessions' events in bulk, between the moments at which a device says that it has none left."""
    batch: list[AcctEvent] = []
    for event in events:
        if event.status not in ("on", "off"):
            batch.append(event)
            continue
        await _apply_to_sessions(scope, batch)
        batch = []
        _, at = accounting.span(event)
        await sessions.close_of_nas(scope, event.nas_id, at, "NAS-Reboot", event.status)
    await _apply_to_sessions(scope, batch)


async def _apply_to_sessions(scope: Scope, events: Sequence[AcctEvent]) -> None:
    for _ in range(_ATTEMPTS):
        if not events or await _try(scope, events):
            return
    raise Conflict("changed")


async def _try(scope: Scope, events: Sequence[AcctEvent]) -> bool:
    """Read the sessions concerned, let the events take effect, write: False when another writer was in between."""
    keys = sorted({accounting.event_key(event) for event in events})
    known = await scope.db.sessions.find({"key": {"$in": keys}}, limit=len(keys) * _ROWS_A_KEY)
    before = {row["_id"]: dict(row) for row in known}
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in known:
        by_key[row["key"]].append(row)
    claims: dict[str, str] = {}  # account ids that events carry, by session id
    interval = scope.tenant["parameters"]["interim_interval"]
    for event in events:
        row = _take(by_key[accounting.event_key(event)], event, interval)
        if event.account_id:
            claims[row["_id"]] = event.account_id
    rows = [row for found in by_key.values() for row in found]
    await _own(scope, rows, claims)
    return await sessions.save(scope, before, rows)


def _take(rows: list[Row], event: AcctEvent, interval: int) -> Row:
    """Let an event take effect on one of its key's rows, or on a new one; the one concerned."""
    row = accounting.match(rows, event)
    if row is None:
        row = accounting.begin(event)
        rows.append(row)
    else:
        accounting.fold(row, event)
    row["stale_at"] = accounting.stale_at(row, interval)
    row["search"] = accounting.search_texts(row)
    newest = max(rows, key=lambda each: each["started_at"])
    for other in rows:
        if other["open"] and other is not newest:  # a device has one session under an id at a time
            accounting.close(other, other["seen_at"], "Lost-Carrier", "reused")
    return row


async def _own(scope: Scope, rows: Sequence[Row], claims: Mapping[str, str]) -> None:
    """Say whose sessions these are, where it is not known yet: by the claimed account, else by the user name."""
    ownerless = [row for row in rows if not row["account_id"]]
    wanted = sorted({claims[row["_id"]] for row in ownerless if row["_id"] in claims})
    by_id = await _accounts(scope, "_id", wanted)
    names = sorted({row["username"] for row in ownerless if claims.get(row["_id"]) not in by_id})
    by_name = await _accounts(scope, "username", names)
    for row in ownerless:
        account = by_id.get(claims.get(row["_id"], "")) or by_name.get(row["username"])
        if account is not None:
            row |= {"account_id": account["_id"], "member_id": account["member_id"], "agent_id": account["agent_id"]}


async def _accounts(scope: Scope, field: str, values: list[str]) -> dict[str, Any]:
    if not values:
        return {}
    found = await scope.db.accounts.find({field: {"$in": values}}, limit=len(values), fields=_ACCOUNT)
    return {account[field]: account for account in found}


async def _close_stale_of(scope: Scope, rows: list[Row]) -> int:
    """Rows that changed since they were read are left for the next time."""
    done = await sessions.close(scope, rows, lambda row: row["seen_at"], "Lost-Carrier", "stale")
    return len(rows) if done else 0
