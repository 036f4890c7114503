"""A worker's life: it says that it lives, hears of changes, ends in order; and its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from saas.radius import supervisor
from saas.radius.engine import Engine
from saas.tenants import engines, journal
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST, Wire, engine_settings, gateway_to
from tests.support import free_ports, until
from tests.world import USER_PASSWORD, USERNAME, World


async def reports(ps: PlatformScope, worker: Engine) -> list[engines.EngineReport]:
    return [report for report in await engines.listing(ps) if report.worker == worker.worker]


@pytest.mark.usefixtures("unlimited")
async def test_a_worker_says_that_it_lives_and_what_it_did(ps: PlatformScope, world: World) -> None:
    async with Engine(ps, engine_settings(public_host="radius.example.net")) as worker:
        (report,) = await reports(ps, worker)
        assert (report.host, report.auth_port, report.acct_port) == (
            "radius.example.net",
            worker.auth_port,
            worker.acct_port,
        )
        assert report.state == "running"
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


# the supervisor, with workers that only write down that they live

_WORKER = """
import asyncio, os, signal, sys
sys.path.insert(0, os.getcwd())
from saas.radius.supervisor import watch_parent
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    watch_parent(stop)
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    await stop.wait()
    os.unlink(os.path.join(sys.argv[1], str(os.getpid())))
asyncio.run(main())
"""

_SUPERVISOR = """
import asyncio, sys
from saas.radius import supervisor
asyncio.run(supervisor.run(sys.argv[1:], 2, asyncio.Event(), []))
"""

ROOT = Path(__file__).parents[2]


def living(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


def command(folder: Path) -> list[str]:
    return [sys.executable, "-c", _WORKER, str(folder)]


async def test_workers_are_started_and_ended(tmp_path: Path) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(supervisor.run(command(tmp_path), 2, stop, [(HOST, free_ports(1)[0])]))
    await until(lambda: len(living(tmp_path)) == 2, "two workers live")
    stop.set()
    await running
    assert living(tmp_path) == set()


async def test_a_dead_worker_is_replaced(tmp_path: Path, expect_log: object) -> None:
    assert callable(expect_log)
    expect_log("ended with status -9 and is replaced")
    stop = asyncio.Event()
    running = asyncio.create_task(supervisor.run(command(tmp_path), 1, stop, []))
    await until(lambda: living(tmp_path), "a worker lives")
    (first,) = living(tmp_path)
    os.kill(first, signal.SIGKILL)
    await until(lambda: living(tmp_path) - {first}, "another one lives")
    stop.set()
    await running
    assert living(tmp_path) == {first}, "the killed one could not tidy up, the other one did"


async def test_workers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    boss = await asyncio.create_subprocess_exec(sys.executable, "-c", _SUPERVISOR, *command(folder), cwd=ROOT)
    await until(lambda: len(living(folder)) == 2, "two workers live")
    boss.kill()
    await boss.wait()
    await until(lambda: not living(folder), "they ended by themselves")


async def test_a_port_of_another_program_is_told_before_any_worker_starts(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        with pytest.raises(OSError, match="in use"):
            await supervisor.run(command(tmp_path), 1, asyncio.Event(), [taken.getsockname()])
    assert living(tmp_path) == set()
