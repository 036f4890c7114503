"""Accounting events as a device would send them, for the tests of journal, sessions, slots and jobs."""

from __future__ import annotations

import time
from typing import Any

from saas.tenants import apply, journal, quotas
from saas.tenants.journal import AcctEvent
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.sessions import Session
from saas.values import new_id, utcnow
from tests.world import sessions_of

GIGA = 2**32
T0 = float(int(time.time())) - 100_000  # when the tests' sessions began: long ago enough to be told in the past


async def make_tenant(
    ps: PlatformScope, *, pool: str = "shared", interim_interval: int = 300, stale_factor: int = 3
) -> Scope:
    """A tenant with nothing in it but its row."""
    tenant_id = new_id("ten")
    tenant = {
        "_id": tenant_id,
        "tenant_id": tenant_id,
        "slug": tenant_id,
        "owner_id": "own_1",
        "status": "active",
        "pool": pool,
        "parameters": {
            "interim_interval": interim_interval,
            "stale_factor": stale_factor,
            "keep_sessions": 0,
            "notice_interval": 0,
            "notice_hour": 9,
            "max_session_time": 86400,
            "timezone": "Asia/Shanghai",
            "notice_mail": [],
            "notice_days": 3,
            "notice_quota": 80,
        },
    }
    await ps.db.tenants.insert(tenant)
    return ps.enter(tenant, ps.actor)


async def make_account(
    scope: Scope, username: str, member_id: str = "mem_1", agent_id: str | None = None, **values: Any
) -> str:
    """An account's row, as far as accounting reads it; its id."""
    row = {
        "_id": new_id("acc"),
        "username": username,
        "member_id": member_id,
        "agent_id": agent_id,
        "created_at": utcnow(),
        "plan_id": "",
        "status": "normal",
        "suspended_at": None,
        "terms": None,
        "member_name": "",
        "sealed_password": b"",
        "sealed_nt_hash": b"",
        **dict.fromkeys(quotas.LEFT),
    }
    await quotas.insert(scope, [row | values])
    return str(row["_id"])


async def make_limited(scope: Scope, username: str, counted: str = "both", **left: int | None) -> str:
    """An account with these `octets_left` and `seconds_left`, on a plan of its own; its id."""
    plan = await scope.db.plans.insert({"_id": new_id("pln"), "name": new_id("name"), "counted": counted})
    return await make_account(scope, username, plan_id=plan["_id"], **left)


def event(status: str, at: float, /, tenant_id: str = "ten_1", **values: Any) -> AcctEvent:
    """An event `at` seconds after T0; octets come as `down`, `up`."""
    up, down = values.pop("up", None), values.pop("down", None)
    defaults: dict[str, Any] = {
        "nas_id": "nas_1",
        "session_id": "0001",
        "username": "alice",
        "received": T0 + values.pop("received", at),
        "input_octets": up,
        "output_octets": down,
        "framed_ip": "10.0.0.5",
        "calling_station_id": "AA-BB-CC-DD-EE-01",
        "source": "192.0.2.7",
    }
    return AcctEvent(tenant_id=tenant_id, status=status, at=T0 + at, **(defaults | values))


def session(begin: float, *readings: tuple[int, int, int], **values: Any) -> list[AcctEvent]:
    """Start, Interims and Stop of a session; a reading is (session time, up, down), the last one the Stop's."""
    events = [event("start", begin, **values)]
    for seconds, up, down in readings:
        status = "stop" if seconds == readings[-1][0] else "interim"
        cause = "User-Request" if status == "stop" else ""
        events.append(
            event(status, begin + seconds, session_time=seconds, up=up, down=down, terminate_cause=cause, **values)
        )
    return events


async def rows(scope: Scope) -> list[Session]:
    """Every session of the tenant, the earliest start first."""
    return await sessions_of(scope.db)


async def drain(ps: PlatformScope) -> None:
    """Forget what lies in the journal."""
    while groups := (await journal.read(ps, 0.001)).groups:
        await journal.remove(ps, groups)


async def record_and_apply(ps: PlatformScope, *events: AcctEvent) -> int:
    """What engine and job do; how many events were put aside."""
    await journal.record(ps, "shared", events)
    buried = 0
    while groups := (await journal.read(ps, 0.001)).groups:
        buried += await apply.apply(ps, groups)
        await journal.remove(ps, groups)
    return buried
