"""A worker's life: it says that it lives, hears of changes, ends in order."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from saas.radius.engine import Engine
from saas.tenants import engines, journal
from saas.tenants.platform import SHARED_POOL
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, Wire, engine_settings, gateway_to
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, World


async def reports(ps: PlatformScope, worker: Engine) -> list[engines.EngineReport]:
    mine = (SHARED_POOL, worker.worker)
    return [report for report in await engines.listing(ps) if (report.pool, report.worker) == mine]


@pytest.mark.usefixtures("unlimited")
async def test_a_worker_says_that_it_lives_and_what_it_did(ps: PlatformScope, world: World) -> None:
    async with Engine(ps, engine_settings(public_host="radius.example.net")) as worker:
        (report,) = await reports(ps, worker)
        assert (report.host, report.auth_port, report.acct_port) == (
            "radius.example.net",
            worker.auth_port,
            worker.acct_port,
        )
        assert (report.state, report.devices) == ("running", len(worker.table.devices))
        assert report.memory > 2**20
        async with gateway_to(worker, world.acme) as device:
            await device.pap(USERNAME, USER_PASSWORD)
            await device.pap(USERNAME, "wrong-password")
            await device.accounting("start", USERNAME, "s1")
        wire = Wire(worker, world.acme)
        wire.send(b"noise")
        assert await wire.silent_before_alive()
        wire.socket.close()
    (report,) = await reports(ps, worker)
    assert (report.state, report.accepted, report.rejected, report.accounting) == ("draining", 1, 1, 1)
    assert report.dropped == {"too_short": 1}
    assert report.logins == 1
    nas_id = world.acme.nas["_id"]
    stats = (await engines.device_stats(world.acme.scope, [nas_id]))[nas_id]
    assert (stats.accepted, stats.rejected, stats.accounting) == (1, 1, 1)


async def test_a_taken_port_is_told_and_leaves_nothing_behind(ps: PlatformScope) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        with pytest.raises(OSError, match="in use"):
            async with Engine(ps, engine_settings(acct_port=taken.getsockname()[1])):
                pytest.fail("it must not start")


async def test_what_is_under_way_is_finished_before_it_ends(ps: PlatformScope, world: World) -> None:
    async with AsyncExitStack() as stack:
        async with Engine(ps, engine_settings()) as worker:
            device = await stack.enter_async_context(gateway_to(worker, world.acme, timeout=30.0, tries=1))
            report = asyncio.create_task(device.accounting("start", USERNAME, "last"))
            await until(lambda: worker.counters.received, "the report is taken")
        await report
    reading = await journal.read(ps, 0.05)
    assert "last" in {event.session_id for group in reading.groups for event in group.events}
