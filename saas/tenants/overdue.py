"""Sessions whose time is over on devices that do not end them: types that must be told a longer Session-Timeout than
the session has (device_types.least_timeout). They are forced off instead, with the attempt on record as any other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from saas.errors import Conflict, NotFound
from saas.tenants import device_types, disconnects, login_records
from saas.tenants.access import MAX_TIMEOUT, LoginRecord, LoginRequest, decide
from saas.tenants.fanout import each_tenant
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.sessions import Session
from saas.values import utcnow

TYPES = tuple(key for key, kind in device_types.TYPES.items() if kind.disconnect and kind.least_timeout > 1)

_DEVICES = 50  # a portion
_PAGE = 500  # sessions
_AT_ONCE = 8  # requests to the devices of a tenant
_AT_MOST = 100  # requests to the devices of a tenant, a portion
_AGAIN = 300.0  # seconds until a device that did not end a session is asked again


async def end_overdue(ps: PlatformScope, kind: str, after: str = "") -> tuple[int, str]:
    """Force off what is over on the next devices of a type, those behind the id `after`: (how many, the last device's
    id). "" as the id: that was the end, begin anew. Doing it twice at once asks each device once.
    """
    devices = await ps.db.nas.find(
        {"vendor": kind, "_id": {"$gt": after}}, sort=[("_id", 1)], limit=_DEVICES, fields=["tenant_id"]
    )
    by_tenant: dict[str, list[str]] = defaultdict(list)
    for device in devices:
        by_tenant[device["tenant_id"]].append(device["_id"])
    ended = await each_tenant(ps, "overdue sessions", by_tenant, partial(_end_of_tenant, ps))
    return ended, devices[-1]["_id"] if len(devices) == _DEVICES else ""


def allowed_until(session: Session, record: LoginRecord) -> datetime | None:
    """When a session has to end: as if it began now as it did then, by what the account is today. None: never."""
    request = LoginRequest(
        nas_id=session["nas_id"],
        calling_station_id=session["calling_station_id"],
        now=session["started_at"].timestamp(),
        credentials=None,
        tenant_active=True,
        sessions=None,
    )
    seconds = decide(request, record).session_timeout
    return None if seconds >= MAX_TIMEOUT else session["started_at"] + timedelta(seconds=seconds)


async def _end_of_tenant(ps: PlatformScope, scope: Scope, nas_ids: Sequence[str]) -> int:
    due: list[Session] = []
    for nas_id in nas_ids:
        after = ""
        while len(due) < _AT_MOST:
            filter = {"nas_id": nas_id, "_id": {"$gt": after}}
            rows = await scope.db.online.find(filter, sort=[("_id", 1)], limit=_PAGE)
            due += await _due(scope, await _over(ps, scope, rows), _AT_MOST - len(due))
            if len(rows) < _PAGE:
                break
            after = rows[-1]["_id"]
    gate = asyncio.Semaphore(_AT_ONCE)
    return sum(await asyncio.gather(*(_end(scope, session, gate) for session in due)))


async def _over(ps: PlatformScope, scope: Scope, rows: Sequence[Session]) -> list[Session]:
    """Those of the sessions that have to end."""
    keys = {(scope.tenant_id, row["username"]) for row in rows if row["account_id"]}
    records = await login_records.find(ps, sorted(keys))
    over = []
    for row in rows:
        record = records.get((scope.tenant_id, row["username"]))
        until = allowed_until(row, record) if record and record.account_id == row["account_id"] else None
        if until is not None and until <= utcnow():
            over.append(row)
    return over


async def _due(scope: Scope, over: Sequence[Session], limit: int) -> list[Session]:
    """The first of them that nobody has asked for a while; those that do not end must not stand in others' way."""
    due: list[Session] = []
    for row in over:
        if len(due) == limit:
            break
        hits, _ = await scope.kv.hit(f"overdue:{row['_id']}", _AGAIN)
        if hits == 1:
            due.append(row)
    return due


async def _end(scope: Scope, session: Session, gate: asyncio.Semaphore) -> int:
    """Ask for one session's end; 1 when it was asked."""
    async with gate:
        try:
            await disconnects.request(scope, session["_id"])
        except (Conflict, NotFound):  # it has ended meanwhile, or somebody else asks
            return 0
        return 1
