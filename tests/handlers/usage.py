"""Sessions as devices report them, for pages that show them."""

from __future__ import annotations

import time
from typing import Any, cast

from saas.tenants.accounting import AcctEvent
from saas.tenants.apply import apply
from saas.tenants.journal import Group
from saas.tenants.scope import PlatformScope
from saas.tenants.sessions import Session
from tests.world import Business, sessions_of

AGO = 600  # seconds since the sessions began


async def online(ps: PlatformScope, business: Business, number: str, username: str = "alice", **facts: Any) -> Session:
    """An open session that began ten minutes ago: 5 MiB up and 3 GiB down so far, five minutes ago."""
    now = time.time()
    common: dict[str, Any] = {
        "tenant_id": business.id,
        "nas_id": business.nas["_id"],
        "session_id": number,
        "username": username,
        "framed_ip": "10.9.0.2",
        "calling_station_id": "AA-BB-CC-DD-EE-01",
        "source": "203.0.113.7",
        **facts,
    }
    start = AcctEvent(status="start", at=now - AGO, received=now - AGO, **common)
    usage = {"session_time": 300, "input_octets": 5 << 20, "output_octets": 3 << 30, "input_packets": 7}
    interim = AcctEvent(status="interim", at=now - 300, received=now - 300, **usage, **common)
    await apply(ps, [Group("", number, start.received, (start, interim), b"")])
    return await _of(business, number)


async def ended(ps: PlatformScope, business: Business, number: str, cause: str, **facts: Any) -> Session:
    """A session that was online and has ended for a reason of RFC 2866."""
    row = await online(ps, business, number, **facts)
    now = time.time()
    stop = AcctEvent(
        tenant_id=business.id,
        nas_id=row["nas_id"],
        status="stop",
        session_id=number,
        username=row["username"],
        at=now,
        received=now,
        session_time=AGO,
        input_octets=6 << 20,
        output_octets=4 << 30,
        terminate_cause=cause,
    )
    await apply(ps, [Group("", f"{number}-stop", now, (stop,), b"")])
    return await _of(business, number)


async def _of(business: Business, number: str) -> Session:
    (row,) = [row for row in await sessions_of(business.scope.db) if row["acct_session_id"] == number]
    return cast(Session, row)
