"""The keeper of the embedded stores of one data folder: ``python -m saas.keeper DATA_DIR mongo valkey``.

Started by the first user (saas/embedded.py tells what they agree on). It takes over the servers that a killed keeper
left, starts those that are missing, starts one again that died, and ends all when no user is left.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saas.embedded import KINDS, POLL, START, Kind, StoresError, answers, lock, open_lock, recorded, refuses, until

log = logging.getLogger(__name__)

STOP = 15.0  # seconds that a server may take to end by itself
READY = b"ready"  # what the starter is told when the servers answer
LOG_SIZE = 10 << 20  # octets after which a log is set aside when its server starts


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _runs(pid: int, kind: Kind, folder: Path) -> bool:
    """Whether a process is the server of this folder (Linux: by what the kernel tells of it in /proc)."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(folder) and kind.word in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _running(kind: Kind, folder: Path) -> Iterator[int]:
    """Every process that is a server of this folder; there may be one that no record tells of."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return (pid for pid in numbers if _runs(pid, kind, folder))


@dataclass(slots=True)
class Server:
    """A server that runs, or did. `process` is None for one that an earlier keeper started."""

    kind: Kind
    folder: Path
    port: int
    pid: int
    process: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        """Asking collects the exit status of one that ended."""
        return _runs(self.pid, self.kind, self.folder) if self.process is None else self.process.poll() is None

    async def stop(self, numbers: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL)) -> None:
        """End it: gracefully, or after a while by force."""
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
            if await until(lambda: not self.alive(), STOP):
                return


async def _start(kind: Kind, data_dir: Path, port: int) -> Server:
    """A server that answers on this port. StoresError with its last words."""
    folder, logfile = data_dir / kind.name, data_dir / "log" / f"{kind.name}.log"
    folder.mkdir(mode=0o700, exist_ok=True)
    if logfile.exists() and logfile.stat().st_size > LOG_SIZE:
        logfile.rename(logfile.with_suffix(".log.1"))
    with logfile.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            kind.command(port, folder), cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    server = Server(kind, folder, port, process.pid, process)
    try:
        if await _comes_up(server):
            return server
    except asyncio.CancelledError:
        await server.stop()
        raise
    await server.stop()
    raise StoresError(f"The embedded {kind.title} did not start: {_last_words(logfile, begin)} (more in {logfile}).")


async def _comes_up(server: Server) -> bool:
    deadline = asyncio.get_running_loop().time() + START
    while server.alive() and asyncio.get_running_loop().time() < deadline:
        if await answers(server.kind, server.port):
            return True
        await asyncio.sleep(POLL / 2)
    return False


def _last_words(logfile: Path, begin: int) -> str:
    lines = logfile.read_bytes()[begin:].decode(errors="replace").split("\n")
    return " / ".join([line.strip() for line in lines if line.strip()][-2:]) or "it wrote nothing"


async def _start_anywhere(kind: Kind, data_dir: Path) -> Server:
    for _ in range(3):
        try:
            return await _start(kind, data_dir, _free_port())
        except StoresError as error:
            if "in use" not in str(error):  # by whoever took the free port in the meantime
                raise
    return await _start(kind, data_dir, _free_port())


async def _adopt(kind: Kind, data_dir: Path, old: dict[str, Any]) -> Server | None:
    """The server that a killed keeper left, when it answers; any other one over the same data is ended."""
    adopted = None
    for pid in _running(kind, data_dir / kind.name):
        known = old if old.get("pid") == pid else {}
        server = Server(kind, data_dir / kind.name, known.get("port", 0), pid)
        if server.port and await answers(kind, server.port):
            adopted = server
        else:  # what does not answer has nothing to finish, and may not even hear a polite signal
            await server.stop([signal.SIGKILL])
    return adopted


class Keeper:
    """Looks after the servers of one data folder."""

    def __init__(self, data_dir: Path, kinds: Sequence[Kind]) -> None:
        self.data_dir = data_dir
        self.kinds = kinds
        self.servers: dict[str, Server] = {}
        self.users = open_lock(data_dir / "stores.users")
        self.ending = asyncio.Event()

    async def start(self) -> None:
        """Take over what runs, start what does not, record where."""
        old = recorded(self.data_dir).get("servers", {})
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(self._bring_up(kind, old.get(kind.name, {})))
        self._record()

    async def _bring_up(self, kind: Kind, old: dict[str, Any]) -> None:
        server = await _adopt(kind, self.data_dir, old)
        if kind in self.kinds:
            self.servers[kind.name] = server or await _start_anywhere(kind, self.data_dir)
        elif server:
            await server.stop()

    async def keep(self) -> None:
        """Until no user is left, or someone ends the keeper."""
        while not self.ending.is_set() and not lock(self.users, fcntl.LOCK_EX):
            for name, server in self.servers.items():
                if await refuses(server.kind, server.port):
                    log.warning("the embedded %s refuses to work", server.kind.title)
                    await server.stop([signal.SIGKILL])
                if not server.alive():
                    log.warning("the embedded %s died and is started again", server.kind.title)
                    await self._restart(name, server)
            await asyncio.sleep(5 * POLL)

    async def _restart(self, name: str, dead: Server) -> None:
        """On the same port, which its users know; tried again for as long as there are users."""
        try:
            self.servers[name] = await _start(dead.kind, self.data_dir, dead.port)
            self._record()
        except StoresError as error:
            log.error("%s", error)

    async def stop(self) -> None:
        """End the servers and the record of them."""
        await asyncio.gather(*(server.stop() for server in self.servers.values()))
        (self.data_dir / "stores.json").unlink(missing_ok=True)

    def _record(self) -> None:
        servers = {name: {"port": server.port, "pid": server.pid} for name, server in self.servers.items()}
        draft = self.data_dir / f".stores.json.{os.getpid()}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"keeper": os.getpid(), "servers": servers}, file)
        draft.rename(self.data_dir / "stores.json")


async def _keep(data_dir: Path, kinds: Sequence[Kind], outcome: int) -> None:
    """A keeper's life. Writes the outcome of the start: READY, or a sentence that says why not."""
    mine = open_lock(data_dir / "stores.keeper")
    # a user that looks whether there is a keeper holds the lock for an instant: hence more than one try
    if not await until(lambda: lock(mine, fcntl.LOCK_EX), 5 * POLL):
        os.write(outcome, READY)
        return
    os.ftruncate(mine, 0)
    os.pwrite(mine, str(os.getpid()).encode(), 0)
    keeper = Keeper(data_dir, kinds)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, keeper.ending.set)
    try:
        await keeper.start()
        os.write(outcome, READY)
        os.close(outcome)
        await keeper.keep()
    except* StoresError as failed:
        log.error("%s", failed.exceptions[0])
        os.write(outcome, str(failed.exceptions[0]).encode())
    finally:
        await keeper.stop()


def main() -> int:
    """Fork the keeper and stay until its servers answer, so that the exit status tells what came of it."""
    data_dir, names = Path(sys.argv[1]), sys.argv[2:]
    (data_dir / "log").mkdir(mode=0o700, exist_ok=True)
    told, outcome = os.pipe()
    if os.fork():
        os.close(outcome)
        with open(told, "rb") as pipe:
            said = pipe.read()
        if said != READY:
            sys.stderr.write(said.decode() or f"The keeper of the embedded stores ended; see {data_dir / 'log'}.")
        return int(said != READY)
    os.close(told)
    # uvloop leaves its child a copy of the pipe that it then reads to the end: nobody else may keep one
    os.closerange(3, outcome)
    os.closerange(outcome + 1, 1024)
    logfile = os.open(data_dir / "log" / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(logfile, number)
    logging.basicConfig(format="%(asctime)s %(message)s")
    asyncio.run(_keep(data_dir, [kind for kind in KINDS if kind.name in names], outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main())
