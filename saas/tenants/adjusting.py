"""Open sessions follow what their account may do: they are forced off, slowed down, or given the plan's speed again.

What has changed says `adjustments`. Engines are told first; a log-in that was under way meanwhile may still have been
judged by what was before, so each account is looked at once more. A device that does not answer is asked again, less
and less often, until the session is right or has ended.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from saas.errors import Conflict, NotFound, Unavailable
from saas.tenants import device_types, disconnects, login_records
from saas.tenants.access import LoginRecord, LoginRequest, decide
from saas.tenants.adjustments import Adjustment
from saas.tenants.device_types import DeviceType
from saas.tenants.disconnects import Disconnect
from saas.tenants.fanout import each_tenant
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.sessions import Session
from saas.values import utcnow

_PORTION = 500  # rows
_OF_TENANT = 40  # rows, so that silent devices of one do not keep the others waiting
_SESSIONS = 1000
_AT_ONCE = 8  # requests to the devices of a tenant
_UNDER_WAY = timedelta(seconds=5)  # from an engine's decision to the session's start
_SETTLED = timedelta(seconds=15)  # until every log-in that was under way has become a session
_PATIENCE = timedelta(seconds=75)  # how long an acknowledged Disconnect may take to show
_FIRST, _LAST = timedelta(seconds=5), timedelta(minutes=10)  # until a device is asked again

Outcome = Literal["right", "closing", "again"]


async def adjust_due(ps: PlatformScope) -> int:
    """Look at the next accounts whose time has come; how many. Unavailable."""
    rows = await ps.db.adjustments.find({"next_at": {"$lt": utcnow()}}, sort=[("next_at", 1)], limit=_PORTION)
    by_tenant: dict[str, list[Adjustment]] = defaultdict(list)
    for row in rows:
        if len(by_tenant[row["tenant_id"]]) < _OF_TENANT:
            by_tenant[row["tenant_id"]].append(row)
    return await each_tenant(ps, "adjustments", by_tenant, partial(_adjust_or_wait, ps))


async def _adjust_or_wait(ps: PlatformScope, scope: Scope, rows: Sequence[Adjustment]) -> int:
    """What fails is tried again in a while: an error is no reason to do nothing else."""
    try:
        return await _adjust(ps, scope, rows)
    except Unavailable:
        raise
    except Exception:
        later = {"$set": {"next_at": utcnow() + _LAST}}
        await scope.db.adjustments.update_many({"_id": {"$in": [row["_id"] for row in rows]}}, later)
        raise


async def _adjust(ps: PlatformScope, scope: Scope, rows: Sequence[Adjustment]) -> int:
    ids = [row["_id"] for row in rows]
    accounts = await scope.db.accounts.among(ids, ["username"])
    for row in rows:
        if not row["told_at"] and row["_id"] in accounts:
            await scope.changed("account", accounts[row["_id"]]["username"])
    now = utcnow()
    found = await login_records.find(ps, [(scope.tenant_id, account["username"]) for account in accounts.values()])
    records = {record.account_id: record for record in found.values()}
    online: list[Session] = await scope.db.online.find({"account_id": {"$in": ids}}, limit=_SESSIONS)
    vendors = await scope.db.nas.among((session["nas_id"] for session in online), ["vendor"])
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(row: Adjustment) -> None:
        told_at = row["told_at"] or now
        until = max(row["since"], told_at) + _UNDER_WAY if "since" in row else None
        record = records.get(row["_id"])
        own = [session for session in online if session["account_id"] == row["_id"]] if record else []
        async with gate:
            outcomes = [
                await _hold(scope, record, session, vendors.get(session["nas_id"]), until)
                for session in own
                if record is not None
            ]
        await _finish(scope, row, told_at, outcomes)

    await asyncio.gather(*(one(row) for row in rows))
    return len(rows)


async def _finish(scope: Scope, row: Adjustment, told_at: datetime, outcomes: Sequence[Outcome]) -> None:
    """When it is looked at again, or that it is done; another change meanwhile stands as it is."""
    now, same = utcnow(), {"_id": row["_id"], "mark": row["mark"]}
    values: dict[str, Any] = {"told_at": told_at}
    if "again" in outcomes:
        wait = min(_FIRST * 2 ** min(row["tries"], 10), _LAST)
        values |= {"next_at": now + wait, "tries": row["tries"] + 1}
    elif "closing" in outcomes:
        values["next_at"] = now + _PATIENCE
    elif now < told_at + _SETTLED:
        values["next_at"] = told_at + _SETTLED
    else:
        await scope.db.adjustments.delete_many(same)
        return
    await scope.db.adjustments.update_one(same, {"$set": values})


async def _hold(
    scope: Scope, record: LoginRecord, session: Session, device: Mapping[str, Any] | None, until: datetime | None
) -> Outcome:
    """Hold a session to what its account may do now; one that began after `until` was held to that from the start."""
    if session["closing_at"]:
        return "closing"
    vendor = device["vendor"] if device else ""
    kind = device_types.device_type(vendor)
    request = LoginRequest(session["nas_id"], None, utcnow().timestamp(), None, True, None, vendor)
    decision = decide(request, record)
    if decision.reason:
        return await _end(scope, session, kind)
    if until is None or session["started_at"] >= until:
        return "right"
    if not decision.restricted:
        return await _speed(scope, session, kind, (record.up_rate, record.down_rate), or_end=False)
    if record.at_end == "pool":
        return await _end(scope, session, kind)
    return await _speed(scope, session, kind, (record.end_up_rate, record.end_down_rate), or_end=True)


async def _end(scope: Scope, session: Session, kind: DeviceType) -> Outcome:
    if not kind.disconnect:
        return "right"
    try:
        attempt = await disconnects.request(scope, session["_id"])
    except (Conflict, NotFound) as error:
        return _refused(error)
    if attempt["result"] == "ack":
        return "closing"
    return "right" if attempt["result"] == "unsupported" or disconnects.is_gone(attempt) else "again"


async def _speed(
    scope: Scope, session: Session, kind: DeviceType, speed: disconnects.Speed, *, or_end: bool
) -> Outcome:
    """Another speed; where the device cannot do that, the session ends if it must not go on as it is."""
    if disconnects.own_speed(session) == speed:
        return "right"
    attempt: Disconnect | None = None
    if kind.live:
        try:
            attempt = await disconnects.change_speed(scope, session["_id"], speed)
        except (Conflict, NotFound) as error:
            return _refused(error)
    if attempt is None or attempt["result"] in ("nak", "unsupported"):
        gone = attempt is not None and disconnects.is_gone(attempt)
        return await _end(scope, session, kind) if or_end and not gone else "right"
    return "right" if attempt["result"] == "ack" else "again"


def _refused(error: Conflict | NotFound) -> Outcome:
    """It has ended meanwhile, or somebody asks the device at this moment."""
    return "again" if error.code == "in_progress" else "right"
