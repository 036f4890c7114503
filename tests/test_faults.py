"""Stores that hang or whose disk is full, and a job that hangs, while logins and accounting flow.

Known users get in all the time. What is answered is stored, what cannot be stored is not answered and succeeds when the
device repeats it. All recovers by itself; the summary of the run says how long each recovery took.
FAULT_SECONDS=30 makes a fault last longer than the 12 seconds of every day.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pymongo.errors import PyMongoError

from saas import config, embedded
from saas.errors import Unavailable
from saas.store import Store
from saas.tenants import demo
from saas.values import new_id
from tests.service import Service
from tests.support import until
from tests.traffic import LIMITED, Traffic, all_stored, open_limited

SECONDS = float(os.environ.get("FAULT_SECONDS", "12"))
FLOWING = 100  # answered records that show that accounting flows
DISK = 192 << 20  # octets of the disk that gets full

pytestmark = [pytest.mark.crash, pytest.mark.timeout(420 + 4 * SECONDS)]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The whole service, not started."""
    running = Service(tmp_path)
    yield running
    await running.stop()


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """A process that does not get on, and lives."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def pass_by(seconds: float, traffic: Traffic) -> None:
    """The time of a fault, in which both accounts log in again and again."""
    clock = asyncio.get_running_loop().time
    began = clock()

    def over() -> bool:
        known = all(traffic.accepted(name, began + 1) for name in (demo.USERNAME, LIMITED))
        return known and clock() >= began + seconds

    await until(over, "known users get in", seconds + 60)


async def flowing(service: Service) -> Traffic:
    """Traffic of every kind."""
    await service.start()
    await open_limited(service)
    traffic = Traffic(service, patience=60 + 4 * SECONDS)
    traffic.start(demo.USERNAME, LIMITED)
    await until(lambda: traffic.records >= FLOWING and traffic.accepted(LIMITED, 0), "traffic flows")
    traffic.strangers()
    return traffic


async def recovered(service: Service, traffic: Traffic, what: str, record: pytest.FixtureRequest) -> None:
    """Everything works as before, and every answered record is stored; how long that took is told."""
    clock = asyncio.get_running_loop().time
    began, before = clock(), traffic.records
    await until(lambda: traffic.records >= before + FLOWING, f"accounting flows again after {what}", 90)
    flows = clock() - began
    await until(lambda: traffic.accepted(LIMITED, began), f"logins work after {what}")
    await traffic.stop()
    await until(all_stored(service, traffic), "every answered record is stored", 180)
    told = f"{what}: accounting again after {flows:.1f} s, all stored after {clock() - began:.1f} s"
    record.node.user_properties.append(("recovery", told))
    assert not traffic.failed(), "known users get in all the time"


@pytest.mark.parametrize("word", ["secantus", "var/valkey --save", "var/slots --save", "openpns jobs"])
async def test_what_hangs_is_waited_for_by_nobody(service: Service, word: str, request: pytest.FixtureRequest) -> None:
    traffic = await flowing(service)
    (victim,) = service.pids(word)
    with paused(victim):
        await pass_by(SECONDS, traffic)
    await recovered(service, traffic, f"{word} hung for {SECONDS:.0f} s", request)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own, in memory."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """A disk without room for one more octet."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC
        yield
    finally:
        filler.unlink()


async def exhaust(service: Service) -> None:
    """Use up what the document store has of room in its own files, until it refuses a write."""
    settings = config.load(data_dir=service.data)
    async with embedded.stores(settings) as urls:
        store = await Store.open(urls.mongo_url)
        try:
            async with asyncio.timeout(60):
                for number in range(1000):
                    row = {"_id": new_id("ded"), "tenant_id": "nobody", "data": bytes(1 << 20), "error": str(number)}
                    await store.platform().dead_events.insert(row)
        except (PyMongoError, Unavailable, TimeoutError):
            return
        finally:
            store.close()
    pytest.fail("the disk does not get full")


@pytest.mark.parametrize("name", ["mongo", "valkey"])
async def test_a_full_disk_loses_nothing(service: Service, name: str, request: pytest.FixtureRequest) -> None:
    with small_disk(service.data / name):
        traffic = await flowing(service)
        with full(service.data / name):
            if name == "mongo":
                await exhaust(service)
            await pass_by(SECONDS, traffic)
        await recovered(service, traffic, f"the disk of {name} was full for {SECONDS:.0f} s", request)
        await service.stop()
