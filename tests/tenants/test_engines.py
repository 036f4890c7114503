"""Heartbeats of workers, and what they saw of devices."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from saas.tenants import engines
from saas.tenants.engines import DeviceCount, EngineReport
from saas.tenants.scope import PlatformScope
from saas.values import new_id
from tests.tenants.accounting_events import make_tenant


def report(pool: str, worker: str, ago: float = 0) -> EngineReport:
    now = time.time()
    return EngineReport(
        pool=pool,
        worker=worker,
        host="127.0.0.1",
        auth_port=1812,
        acct_port=1813,
        radsec_port=0,
        state="running",
        version="0.1.0",
        started_at=now - 60,
        at=now - ago,
        auth_rate=12.5,
        dropped={"unknown_nas": 3},
    )


async def test_the_workers_that_live(ps: PlatformScope) -> None:
    pool, other = new_id("pool"), new_id("pool")
    scope = await make_tenant(ps, pool=pool)
    ours = [report(pool, new_id("b")), report(pool, new_id("c"))]
    for each in (*ours, report(pool, new_id("a"), ago=20), report(other, new_id("d"))):
        await engines.heartbeat(ps, each)
    assert await engines.listing(scope) == ours
    assert {pool, other} <= {each.pool for each in await engines.listing(ps)}

    await engines.heartbeat(ps, replace(ours[0], state="draining"))
    assert [each.state for each in await engines.listing(scope)] == ["draining", "running"]


async def test_counts_of_a_device_add_up_over_workers_and_beats(ps: PlatformScope) -> None:
    scope, other = await make_tenant(ps), await make_tenant(ps)
    one = report("shared", new_id("w"))
    first = DeviceCount(scope.tenant_id, "nas_1", 1000.5, 3, 1, 7, {"bad_authenticator": 2})
    second = DeviceCount(scope.tenant_id, "nas_1", 900.25, 1, 0, 0, {"bad_authenticator": 1, "overload": 4})
    theirs = DeviceCount(other.tenant_id, "nas_1", 2000.0, 50)
    await asyncio.gather(engines.heartbeat(ps, one, [first, theirs]), engines.heartbeat(ps, one, [second, second]))
    stats = await engines.device_stats(scope, ["nas_1", "nas_2"])
    assert list(stats) == ["nas_1"]
    seen = stats["nas_1"]
    assert (seen.last_at, seen.accepted, seen.rejected, seen.accounting) == (1000.5, 5, 1, 7)
    assert seen.dropped == {"bad_authenticator": 4, "overload": 8}
    assert seen.since in (1000.5, 900.25)
