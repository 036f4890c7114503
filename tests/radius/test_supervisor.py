"""The workers of a host: started, replaced, ended in order, as the pools say; with workers that only say they live."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from saas.errors import Unavailable
from saas.radius import supervisor
from saas.radius.supervisor import Crew, Supervisor, Where, pause_after
from saas.tenants import engines, pools
from saas.tenants.pools import Pool, PoolForm, PortsForm, Service, WorkersForm
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import HOST
from tests.support import free_ports, until

pytestmark = pytest.mark.slow

# It leaves a file "<pool>-<auth port>-<pid>" for as long as it lives.
_WORKER = """
import asyncio, os, signal, sys
sys.path.insert(0, os.getcwd())
from saas.radius.supervisor import watch_parent
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    watch_parent(stop)
    file = f"{sys.argv[1]}-{os.getpid()}"
    open(file, "w").close()
    await stop.wait()
    os.unlink(file)
asyncio.run(main())
"""

_BOSS = """
import asyncio, sys
from saas.radius.supervisor import Crew
async def main():
    crew = Crew("p", sys.argv[1:])
    crew.resize(2)
    await asyncio.Event().wait()
asyncio.run(main())
"""

ROOT = Path(__file__).parents[2]


def command(folder: Path, name: str = "p-0") -> list[str]:
    return [sys.executable, "-c", _WORKER, str(folder / name)]


def living(folder: Path) -> set[int]:
    """The process ids of the workers."""
    return {int(path.name.rpartition("-")[2]) for path in folder.iterdir()}


def crews(folder: Path) -> Counter[str]:
    """How many workers live of each "pool-port"."""
    return Counter(path.name.rpartition("-")[0] for path in folder.iterdir())


# one crew


async def test_workers_are_started_and_ended(tmp_path: Path) -> None:
    crew = Crew("p", command(tmp_path))
    crew.resize(2)
    await until(lambda: len(living(tmp_path)) == 2, "two workers live")
    await crew.end()
    assert living(tmp_path) == set()


async def test_a_crew_grows_and_shrinks_around_the_others(tmp_path: Path) -> None:
    crew = Crew("p", command(tmp_path))
    crew.resize(1)
    (first,) = await until(lambda: living(tmp_path), "a worker lives")
    crew.resize(3)
    await until(lambda: len(living(tmp_path)) == 3, "three workers live")
    crew.resize(1)
    await until(lambda: living(tmp_path) == {first}, "the first one goes on alone")
    assert crew.restarts == 0
    await crew.end()


async def test_a_dead_worker_is_replaced_and_the_other_one_left_alone(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("pool p: worker .* ended with status -9 and is replaced")
    crew = Crew("p", command(tmp_path))
    crew.resize(2)
    await until(lambda: len(living(tmp_path)) == 2, "two workers live")
    killed, other = living(tmp_path)
    os.kill(killed, signal.SIGKILL)
    await until(lambda: len(living(tmp_path) - {killed, other}) == 1, "another one lives")
    assert other in living(tmp_path) and crew.restarts == 1
    await crew.end()
    assert living(tmp_path) == {killed}, "the killed one could not tidy up, the others did"


def test_the_pause_before_a_replacement_grows_only_when_workers_die_at_once() -> None:
    pause, pauses = 0.0, []
    for _ in range(8):
        pause = pause_after(0.1, pause)
        pauses.append(pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pause_after(supervisor.STEADY, 30.0) == supervisor.PAUSE
    assert pause_after(3600, 0.0) == supervisor.PAUSE


async def test_a_worker_that_cannot_be_started_is_tried_again(expect_log: Callable[[str], None]) -> None:
    expect_log("pool p: a worker could not be started .* and is replaced")
    crew = Crew("p", ["/nonexistent"])
    crew.resize(1)
    await until(lambda: crew.restarts >= 2, "it was tried again")
    await crew.end()


async def test_workers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    boss = await asyncio.create_subprocess_exec(sys.executable, "-c", _BOSS, *command(tmp_path), cwd=ROOT)
    await until(lambda: len(living(tmp_path)) == 2, "two workers live")
    boss.kill()
    await boss.wait()
    await until(lambda: not living(tmp_path), "they ended by themselves")


# the crews of a host


class Host:
    """A supervisor of a host of its own name, its workers in a folder, and the pools that name it."""

    def __init__(self, ps: PlatformScope, folder: Path) -> None:
        self.ps = ps
        self.folder = folder
        self.label = f"host-{secrets.token_hex(6)}"

    async def pool(self, workers: int = 1) -> Pool:
        """A new pool of this host."""
        auth, acct = free_ports(2)
        form = PoolForm(
            name=f"p{secrets.token_hex(6)}", host=self.label, auth_port=auth, acct_port=acct, workers=workers
        )
        return await pools.create(self.ps, form)

    @asynccontextmanager
    async def running(self, only: str = "", workers: int = 0) -> AsyncIterator[None]:
        """The supervisor, until leaving."""

        def worker(service: Service) -> list[str]:
            return command(self.folder, f"{service.pool}-{service.ports.auth}")

        stop = asyncio.Event()
        boss = Supervisor(self.ps, Where(self.label, HOST, only, workers), worker)
        task = asyncio.create_task(boss.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    def works(self, *wanted: tuple[Pool, int]) -> Callable[[], bool]:
        """Whether exactly these pools have so many workers, at their ports."""
        names = {f"{pool['name']}-{pool['auth_port']}": count for pool, count in wanted}
        return lambda: crews(self.folder) == names


@pytest.fixture
def host(alone: PlatformScope, tmp_path: Path) -> Host:
    return Host(alone, tmp_path)


async def test_every_pool_of_the_host_has_its_workers(host: Host) -> None:
    one, two = await host.pool(), await host.pool(workers=2)
    await Host(host.ps, host.folder).pool()
    async with host.running():
        await until(host.works((one, 1), (two, 2)), "both pools are served, and not the other host's")
    assert not living(host.folder)


async def test_one_pool_alone_and_workers_as_this_host_wants(host: Host) -> None:
    one, _ = await host.pool(), await host.pool()
    async with host.running(only=one["name"], workers=2):
        await until(host.works((one, 2)), "one pool is served, by two workers")


async def test_what_changes_in_one_pool_leaves_the_workers_of_others(host: Host) -> None:
    one, two = await host.pool(), await host.pool(workers=2)
    async with host.running():
        await until(host.works((one, 1), (two, 2)), "both are served")
        before = living(host.folder)
        await pools.update(host.ps, one["_id"], WorkersForm(workers=2))
        await until(host.works((one, 2), (two, 2)), "one has two workers")
        three = await host.pool()
        await until(host.works((one, 2), (two, 2), (three, 1)), "the new pool is served")
        assert before < living(host.folder)
        await pools.retire(host.ps, three["_id"])
        await until(host.works((one, 2), (two, 2)), "the retired one is served no more")
        assert before < living(host.folder)


async def test_new_ports_first_then_the_old_ones_for_a_while(host: Host) -> None:
    pool = await host.pool()
    auth, acct = free_ports(2)
    async with host.running():
        await until(host.works((pool, 1)), "it is served")
        before = living(host.folder)
        now = await pools.update(host.ps, pool["_id"], PortsForm(auth_port=auth, acct_port=acct))
        await until(host.works((pool, 1), (now, 1)), "it is served on both")
        assert before < living(host.folder), "nobody was restarted"
        await pools.end_former_ports(host.ps, pool["_id"])
        await until(host.works((now, 1)), "only the new ports are left")


async def test_one_port_changes_while_the_other_is_in_use_by_our_own_workers(host: Host) -> None:
    """The new workers bind the port that the old ones hold: that is no other program."""
    pool = await host.pool()
    (acct,) = free_ports(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:  # as an old worker would
        async with host.running():
            await until(host.works((pool, 1)), "it is served")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            ours.bind((HOST, pool["auth_port"]))
            await pools.update(host.ps, pool["_id"], PortsForm(auth_port=pool["auth_port"], acct_port=acct))
            await until(host.works((pool, 2)), "the new ports are served too")


async def state(host: Host, pool: Pool) -> tuple[str, int]:
    found = [each for each in await engines.pool_states(host.ps) if each.pool == pool["name"]]
    return (found[0].state, found[0].taken_port) if found else ("", 0)


def is_told(host: Host, pool: Pool, *told: str | int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await state(host, pool) == told

    return look


async def test_a_taken_port_stops_no_other_pool_and_is_tried_again(
    host: Host, expect_log: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "POLL", 0.1)
    one, two = await host.pool(), await host.pool()
    expect_log(f"pool {two['name']} is not served: another program has port {two['acct_port']}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, two["acct_port"]))
        async with host.running():
            await until(host.works((one, 1)), "the first one is served")
            await until(is_told(host, two, "port_taken", two["acct_port"]), "it is told")
            assert await state(host, one) == ("running", 0)
            taken.close()
            await until(host.works((one, 1), (two, 1)), "both are served")
            await until(is_told(host, two, "running", 0), "it is told")


async def test_when_nothing_can_be_served_at_the_start_it_says_so_and_ends(
    host: Host, expect_log: Callable[[str], None]
) -> None:
    pool = await host.pool()
    expect_log("another program has port")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, pool["auth_port"]))
        with pytest.raises(OSError, match=re.escape(f"Port {pool['auth_port']} (pool {pool['name']}) cannot")):
            async with host.running():
                pass
    assert not living(host.folder)


async def test_without_any_pool_it_says_so_and_waits_for_one(host: Host, expect_log: Callable[[str], None]) -> None:
    expect_log(f"no pool is to be served by host {host.label}")
    async with host.running():
        pool = await host.pool()
        await until(host.works((pool, 1)), "the new pool is served")


async def test_news_that_was_not_heard_is_noticed_all_the_same(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "POLL", 0.1)
    pool = await host.pool()
    async with host.running():
        await until(host.works((pool, 1)), "it is served")
        await host.ps.db.pools.update(pool["_id"], {"$set": {"workers": 2}})
        await until(host.works((pool, 2)), "it has two workers")


async def test_what_goes_wrong_with_a_look_ends_no_worker(
    host: Host, monkeypatch: pytest.MonkeyPatch, expect_log: Callable[[str], None]
) -> None:
    expect_log("the pools could not be looked at")
    monkeypatch.setattr(supervisor, "POLL", 0.1)
    pool = await host.pool()
    failures = []

    async def fail(*words: object) -> list[Service]:
        failures.append(words)
        raise ZeroDivisionError if len(failures) % 2 else Unavailable(store="mongo")

    async with host.running():
        await until(host.works((pool, 1)), "it is served")
        before = living(host.folder)
        with monkeypatch.context() as patch:
            patch.setattr(pools, "services", fail)
            await until(lambda: len(failures) >= 4, "it was looked at in vain")
        assert living(host.folder) == before
        await pools.update(host.ps, pool["_id"], WorkersForm(workers=2))
        await until(host.works((pool, 2)), "it goes on")
