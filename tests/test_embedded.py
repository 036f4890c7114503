"""The embedded stores: shared, kept alive, ended, and nothing lost whoever is killed.

A *user* here is a process of its own that says the URLs when it has them and stays until it is told to leave.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
from pymongo import AsyncMongoClient

from saas.config import Settings, load
from saas.embedded import StoresError, StoreUrls, stores
from tests.support import until

pytestmark = pytest.mark.slow

USER = """
import asyncio, sys, uvloop
from saas.config import load
from saas.embedded import stores

async def main():
    async with stores(load(data_dir=sys.argv[1])) as urls:
        print(*urls, flush=True)
        told = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, told.set)
        await told.wait()

asyncio.Runner(loop_factory=uvloop.new_event_loop if "uvloop" in sys.argv else None).run(main())
"""


class User:
    """A process that uses the stores of a folder."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, folder: Path, loop: str = "asyncio") -> User:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-c", USER, str(folder), loop)
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, start_new_session=True))

    async def urls(self) -> StoreUrls:
        """Waits until it has them."""
        assert self.process.stdout
        async with asyncio.timeout(60):
            return StoreUrls(*(await self.process.stdout.readline()).decode().split())

    async def leave(self) -> None:
        """Let it end by itself."""
        await self.process.communicate(b"\n")
        assert self.process.returncode == 0

    async def kill(self) -> None:
        self.process.kill()
        await self.process.communicate()


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A data folder; nothing of it may be running in the end."""
    yield tmp_path
    await until(lambda: not running(tmp_path), f"every process over {tmp_path} has ended")


@pytest.fixture
def settings(folder: Path) -> Settings:
    return load(data_dir=folder)


def running(folder: Path) -> set[int]:
    """The servers and keepers over a folder, by what the kernel tells of every process."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            inside = folder in Path(os.readlink(entry / "cwd")).parents
            keeps = f"saas.keeper\0{folder}\0".encode() in (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if inside or keeps:
            found.add(int(entry.name))
    return found


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stores.json").read_text())
    return found


def pids(folder: Path) -> dict[str, int]:
    return {name: server["pid"] for name, server in record(folder)["servers"].items()}


def locked(path: Path) -> bool:
    """Whether someone holds a lock of the file that leaves no room for another."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def write(urls: StoreUrls, value: int) -> None:
    """One row and one key, answered."""
    async with AsyncMongoClient(urls.mongo_url) as mongo, redis.from_url(urls.redis_url) as kv:
        await mongo.test.rows.insert_one({"value": value})
        await kv.rpush("rows", value)


async def written(urls: StoreUrls) -> tuple[list[int], list[int]]:
    """What both stores hold."""
    async with AsyncMongoClient(urls.mongo_url) as mongo, redis.from_url(urls.redis_url) as kv:
        rows = [row["value"] async for row in mongo.test.rows.find().sort("value")]
        return rows, [int(value) for value in await kv.lrange("rows", 0, -1)]


async def test_given_urls_are_used_and_nothing_is_started(folder: Path) -> None:
    given = load(data_dir=folder, mongo_url="mongodb://one:1/", redis_url="redis://two:2/")
    async with stores(given) as urls:
        assert urls == ("mongodb://one:1/", "redis://two:2/", "redis://two:2/"), "slots are where the rest is"
        assert not running(folder)
    assert list(folder.iterdir()) == [folder / "secret.key"]


async def test_only_what_is_not_given_is_started(folder: Path) -> None:
    async with stores(load(data_dir=folder, mongo_url="mongodb://one:1/")) as urls:
        assert urls.mongo_url == "mongodb://one:1/"
        assert set(pids(folder)) == {"valkey", "slots"}
        with pytest.raises(StoresError, match="run without the embedded MongoDB for another command"):
            async with stores(load(data_dir=folder)):
                pass
        async with redis.from_url(urls.redis_url) as kv:
            assert await kv.ping()


async def test_the_data_are_there_again_at_the_next_start(settings: Settings, folder: Path) -> None:
    async with stores(settings) as urls:
        await write(urls, 1)
        assert oct((folder / "stores.json").stat().st_mode & 0o777) == "0o600"
    assert not running(folder) and not (folder / "stores.json").exists()
    async with stores(settings) as urls:
        assert await written(urls) == ([1], [1])


async def test_commands_that_start_together_share_their_servers(folder: Path) -> None:
    users = [await User.start(folder) for _ in range(3)]
    first, *others = [await user.urls() for user in users]
    assert others == [first, first]
    assert len(running(folder)) == 4  # the keeper and three servers
    for user in users[:2]:
        await user.leave()
    await write(first, 1)
    await users[2].leave()
    assert not running(folder)


async def test_a_worker_on_uvloop_can_start_them_too(folder: Path) -> None:
    user = await User.start(folder, "uvloop")
    assert (await user.urls()).redis_url
    await user.leave()


async def test_who_comes_while_the_stores_are_ending_gets_new_ones(settings: Settings, folder: Path) -> None:
    first = AsyncExitStack()
    await write(await first.enter_async_context(stores(settings)), 1)
    leaving = asyncio.create_task(first.aclose())
    await until(lambda: locked(folder / "stores.users"), "the keeper has begun to end the servers")
    async with stores(settings) as urls:
        assert await written(urls) == ([1], [1])
    await leaving


async def test_a_start_that_fails_is_one_sentence_and_leaves_nothing_running(settings: Settings, folder: Path) -> None:
    (folder / "valkey" / "appendonlydir").mkdir(parents=True)
    (folder / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("not a manifest")
    with pytest.raises(StoresError) as caught:
        async with stores(settings):
            pass
    sentence = str(caught.value)
    assert sentence.startswith("The embedded Valkey did not start: ") and "\n" not in sentence
    assert str(folder / "log" / "valkey.log") in sentence
    assert not running(folder)


@pytest.mark.crash
async def test_a_user_that_is_killed_keeps_nothing_alive(folder: Path) -> None:
    user = await User.start(folder)
    await write(await user.urls(), 1)
    await user.kill()
    await until(lambda: not running(folder), "the keeper has ended the servers")


@pytest.mark.crash
@pytest.mark.parametrize("name", ["mongo", "valkey"])
async def test_a_server_that_is_killed_comes_back_with_every_answered_write(
    settings: Settings, folder: Path, name: str
) -> None:
    async with stores(settings) as urls:
        for value in range(20):
            await write(urls, value)
        old = pids(folder)[name]
        os.kill(old, signal.SIGKILL)
        await until(lambda: pids(folder)[name] != old, "the server runs again")
        assert await written(urls) == (list(range(20)), list(range(20)))


@pytest.mark.crash
async def test_a_keeper_that_is_killed_is_replaced_and_its_servers_go_on(settings: Settings, folder: Path) -> None:
    async with stores(settings) as urls:
        old, servers = record(folder)["keeper"], pids(folder)
        os.kill(old, signal.SIGKILL)
        await write(urls, 1)
        await until(lambda: record(folder)["keeper"] != old, "another keeper is there")
        assert pids(folder) == servers
        assert await written(urls) == ([1], [1])
        os.kill(servers["valkey"], signal.SIGKILL)
        await until(lambda: pids(folder)["valkey"] != servers["valkey"], "the new keeper looks after the servers")
    assert not running(folder)


@pytest.mark.crash
async def test_servers_without_keeper_and_users_are_adopted(settings: Settings, folder: Path) -> None:
    user = await User.start(folder)
    await write(await user.urls(), 1)
    servers = pids(folder)
    os.kill(record(folder)["keeper"], signal.SIGKILL)
    await user.kill()
    assert running(folder) >= set(servers.values())
    async with stores(settings) as urls:
        assert pids(folder) == servers
        assert await written(urls) == ([1], [1])
    assert not running(folder)


@pytest.mark.crash
async def test_servers_that_no_record_tells_of_are_replaced(settings: Settings, folder: Path) -> None:
    user = await User.start(folder)
    await write(await user.urls(), 1)
    servers = pids(folder)
    os.kill(record(folder)["keeper"], signal.SIGKILL)
    await user.kill()
    (folder / "stores.json").unlink()
    async with stores(settings) as urls:
        assert not set(pids(folder).values()) & set(servers.values())
        assert len(running(folder)) == 4
        assert await written(urls) == ([1], [1])


@pytest.mark.crash
async def test_everything_is_killed_at_once(settings: Settings, folder: Path) -> None:
    user = await User.start(folder)
    urls = await user.urls()
    for value in range(20):
        await write(urls, value)
    for pid in running(folder):
        os.kill(pid, signal.SIGKILL)
    await user.kill()
    async with stores(settings) as urls:
        assert await written(urls) == (list(range(20)), list(range(20)))


@pytest.mark.crash
async def test_a_server_that_hangs_is_replaced_by_the_next_keeper(settings: Settings, folder: Path) -> None:
    user = await User.start(folder)
    await write(await user.urls(), 1)
    hung = pids(folder)["valkey"]
    os.kill(record(folder)["keeper"], signal.SIGKILL)
    await user.kill()
    os.kill(hung, signal.SIGSTOP)
    async with stores(settings) as urls:
        assert pids(folder)["valkey"] != hung
        assert await written(urls) == ([1], [1])


@pytest.mark.crash
async def test_a_keeper_that_is_asked_to_end_ends_its_servers(folder: Path) -> None:
    user = await User.start(folder)
    await user.urls()
    old = record(folder)["keeper"]
    os.kill(old, signal.SIGTERM)
    await until(lambda: running(folder) and old not in running(folder), "it ended and the user had another one started")
    await user.leave()


@pytest.mark.crash
async def test_ctrl_c_in_a_terminal_ends_its_users_only(settings: Settings, folder: Path) -> None:
    user = await User.start(folder)
    urls = await user.urls()
    async with stores(settings) as mine:
        assert mine == urls
        os.killpg(user.process.pid, signal.SIGINT)
        await user.process.communicate()
        await write(urls, 1)
