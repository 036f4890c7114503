"""The worker processes of this host: one crew for each pool and its ports, as the pools' rows say.

What the rows say is read at the start, when a pool is told to have changed, and every few seconds in case that was not
heard. A crew that is new is started before one that is no longer wanted is ended, and no other crew notices. A worker
that dies is replaced, ever more slowly when it dies at once. A pool whose port another program has is told in the log
and on the platform's page, and tried again; the others go on.

Each worker is a process of its own that binds the same ports. It knows by its standard input that the supervisor is
gone, so that no worker outlives it, however it died.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from socket import SOCK_DGRAM, SOCK_STREAM
from typing import Final

from saas import tasks
from saas.errors import Unavailable
from saas.radius.server import probe
from saas.tenants import engines, pools
from saas.tenants.engines import PoolState
from saas.tenants.pools import Ports, Service
from saas.tenants.scope import PlatformScope

GRACE: Final = 15.0  # seconds that a worker has to finish what is under way
PAUSE: Final = 1.0  # seconds before a dead worker is replaced; doubled each time that one dies at once
LONGEST_PAUSE: Final = 30.0
STEADY: Final = 10.0  # seconds that a worker has lived when it did not die at once
POLL: Final = 10.0  # seconds between two looks at the pools when nothing was told

_log = logging.getLogger(__name__)

Key = tuple[str, Ports]
Command = Callable[[Service], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Where:
    """This host's label, the address that workers bind, and limits: `only` one pool, `workers` in place of a pool's."""

    host: str
    bind: str
    only: str = ""
    workers: int = 0


class Supervisor:
    """Keeps the crews of a host. `command` makes a worker's command line; it must serve until SIGTERM or until
    `watch_parent` tells it. `environment` replaces the inherited one.
    """

    def __init__(
        self, ps: PlatformScope, where: Where, command: Command, environment: Mapping[str, str] | None = None
    ) -> None:
        self._ps = ps
        self._where = where
        self._command = command
        self._environment = environment
        self._crews: dict[Key, Crew] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._taken: dict[Key, int] = {}  # the port that another program has
        self._idle = False  # there is no pool to be served, and that was said
        self._news = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then end every worker in order.

        OSError when the ports of every pool are taken at the start: there is nothing to go on with.
        """
        following = asyncio.create_task(self._follow())
        stopped = asyncio.create_task(stop.wait())
        try:
            await self._look()
            if self._taken and not self._crews:
                raise self._port_error()
            while not stop.is_set():
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait([news, stopped], timeout=POLL, return_when=asyncio.FIRST_COMPLETED)
                await tasks.end([news])
                if not stop.is_set():
                    await self._look_again()
        finally:
            await tasks.end([following, stopped])
            self._end([*self._crews])
            if self._ending:
                await asyncio.wait(self._ending)

    def _end(self, keys: Sequence[Key]) -> None:
        """Let crews end by themselves: that takes as long as their last answers, and nobody waits for it."""
        for key in keys:
            task = asyncio.create_task(self._crews.pop(key).end())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _follow(self) -> None:
        """Note that a pool was told to have changed. While that cannot be heard, looking now and then must do."""
        while True:
            with suppress(Unavailable):
                async for change in self._ps.changes():
                    if change.kind == "pool":
                        self._news.set()
            await asyncio.sleep(PAUSE)

    async def _look_again(self) -> None:
        """Whatever goes wrong with a look, the workers go on, and the next look may go well."""
        try:
            await self._look()
        except Exception:
            _log.exception("the pools could not be looked at")

    async def _look(self) -> None:
        """Bring the crews in line with the pools. While the store is away everything stays as it is."""
        self._news.clear()
        try:
            wanted = await pools.services(self._ps, self._where.host, self._where.only)
        except Unavailable:
            return
        if not wanted and not self._idle:
            _log.warning("no pool is to be served by host %s", self._where.host)
        self._idle = not wanted
        by_key = {(service.pool, service.ports): service for service in wanted}
        for key, service in by_key.items():
            self._serve(key, service)
        self._taken = {key: port for key, port in self._taken.items() if key in by_key}
        self._end([key for key in self._crews if key not in by_key])
        await self._tell(by_key)

    def _serve(self, key: Key, service: Service) -> None:
        crew = self._crews.get(key)
        if crew is None:
            port = self._taken_port(service)
            if port:
                if self._taken.get(key) != port:
                    _log.error("pool %s is not served: another program has port %d", service.pool, port)
                self._taken[key] = port
                return
            self._taken.pop(key, None)
            crew = self._crews[key] = Crew(service.pool, self._command(service), self._environment)
        crew.resize(self._where.workers or service.workers)

    def _taken_port(self, service: Service) -> int:
        """The first of the ports that is neither free nor our own workers' of this pool; 0 when there is none."""
        ours = {port for pool, ports in self._crews if pool == service.pool for port in ports}
        auth, acct, radsec = service.ports
        for port, kind in ((auth, SOCK_DGRAM), (acct, SOCK_DGRAM), (radsec, SOCK_STREAM)):
            try:
                if port and port not in ours:
                    probe(self._where.bind, port, kind)
            except OSError as error:
                _log.debug("port %d: %s", port, error)
                return port
        return 0

    def _port_error(self) -> OSError:
        said = ", ".join(f"{port} (pool {pool})" for (pool, _), port in self._taken.items())
        return OSError(errno.EADDRINUSE, f"Port {said} cannot be listened on: another program has it")

    async def _tell(self, wanted: Mapping[Key, Service]) -> None:
        now = time.time()
        await engines.tell_pools(
            self._ps,
            [
                PoolState(
                    pool=service.pool,
                    host=self._where.host,
                    auth_port=service.ports.auth,
                    acct_port=service.ports.acct,
                    until=service.until.timestamp() if service.until else 0.0,
                    state="port_taken" if key in self._taken else "running",
                    taken_port=self._taken.get(key, 0),
                    restarts=self._crews[key].restarts if key in self._crews else 0,
                    at=now,
                )
                for key, service in wanted.items()
            ],
        )


class Crew:
    """The workers of a pool at some ports; all run the same command."""

    def __init__(self, pool: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.restarts = 0
        self._pool = pool
        self._command = command
        self._environment = environment
        self._keepers: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    def resize(self, workers: int) -> None:
        """Start what is missing; let go of the surplus, which ends in order while the others go on."""
        while len(self._keepers) < workers:
            stop = asyncio.Event()
            self._keepers.append((stop, asyncio.create_task(self._keep(stop))))
        for stop, keeper in self._keepers[workers:]:
            stop.set()
            self._leaving.add(keeper)
            keeper.add_done_callback(self._leaving.discard)
        del self._keepers[workers:]

    async def end(self) -> None:
        """End all workers in order."""
        self.resize(0)
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _keep(self, stop: asyncio.Event) -> None:
        pause = 0.0
        while not stop.is_set():
            born = time.monotonic()
            end = await self._run(stop)
            if stop.is_set():
                return
            self.restarts += 1
            pause = pause_after(time.monotonic() - born, pause)
            _log.error("pool %s: %s and is replaced", self._pool, end)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()

    async def _run(self, stop: asyncio.Event) -> str:
        """One worker, until it dies or `stop` is set; how it ended."""
        try:
            worker = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, env=self._environment, start_new_session=True
            )
        except OSError as error:  # no memory, no more processes: that may pass
            return f"a worker could not be started ({error.strerror})"
        await _until_dead_or_stopped(worker, stop)
        return f"worker {worker.pid} ended with status {worker.returncode}"


def pause_after(lived: float, last: float) -> float:
    """Seconds until a worker that lived so long is replaced; `last`: the pause before this one, 0 at first."""
    return PAUSE if lived >= STEADY or not last else min(2 * last, LONGEST_PAUSE)


def watch_parent(stop: asyncio.Event) -> None:
    """In a worker: set `stop` when the supervisor is gone, which is when standard input ends."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

    loop.add_reader(sys.stdin.fileno(), readable)


async def _until_dead_or_stopped(worker: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    dead = asyncio.create_task(worker.wait())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([dead, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not dead.done():
            worker.terminate()
            if not (await asyncio.wait([dead], timeout=GRACE))[0]:
                worker.kill()
                await dead
    finally:
        stopped.cancel()
