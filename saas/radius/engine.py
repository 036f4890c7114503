"""One worker of a pool: it binds the pool's ports, and can serve every tenant of the pool.

    async with Engine(ps, EngineSettings(pool="shared", bind="127.0.0.1", auth_port=1812, acct_port=1813)) as engine:
        ...  # engine.auth_port, engine.acct_port

It ends in order: read no more, finish what is under way, hand over what was noted, let go of the ports.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from saas import __version__, tasks
from saas.errors import Unavailable
from saas.radius.acct import Acct
from saas.radius.auth import REJECT_DELAY, Auth
from saas.radius.coa import Disconnector
from saas.radius.commands import Commands
from saas.radius.counters import Counters
from saas.radius.gate import Gate
from saas.radius.identify import Table
from saas.radius.logins import Logins
from saas.radius.names import INTERVAL, Names
from saas.radius.notes import Notes
from saas.radius.server import Listener
from saas.radius.tokens import Tokens
from saas.radius.tracing import Tracing
from saas.tenants import accounts, engines, journal, nas
from saas.tenants.engines import DeviceCount, EngineReport
from saas.tenants.nas import Device
from saas.tenants.scope import Change, PlatformScope

BEAT: Final = 3.0  # seconds between heartbeats
NOTE: Final = 1.0  # seconds between hand-overs of refusals and unknown devices
RETRY: Final = 1.0  # seconds after a store was away
QUIET: Final = 60.0  # seconds between two words about a store that stays away
PATIENCE: Final = 5.0  # seconds at start until changes must be heard of

_HELLO: Final = "engine"  # the kind of a change by which a worker tests that it hears of changes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where a worker listens and for whom. `public_host` is what devices are told; port 0 takes a free one."""

    pool: str
    bind: str
    auth_port: int
    acct_port: int
    public_host: str = ""
    reject_delay: float = REJECT_DELAY


class Engine:
    """A worker. Use it as an asynchronous context: it serves from entering until leaving."""

    def __init__(self, ps: PlatformScope, settings: EngineSettings) -> None:
        self._ps = ps
        self._settings = settings
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self.counters = Counters()
        self._notes = Notes(settings.pool)
        self._names = Names()
        self._logins = Logins(partial(accounts.login_records, ps))
        tokens = Tokens(ps.keys.key("radius-class"))
        self._auth = Auth(ps, self._logins, tokens, self.counters, self._notes, settings.reject_delay)
        self._acct = Acct(ps, settings.pool, self._logins, tokens, self.counters)
        self._gate = Gate(self.counters, self._notes, {"auth": self._auth, "acct": self._acct})
        self._disconnector = Disconnector(settings.bind)
        self._tracing = Tracing(ps, self._gate, self._disconnector)
        self._commands = Commands(ps, settings.pool, self._gate, self._disconnector)
        self._devices: list[Device] = []
        self._stale = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._started_at = time.time()
        self._last_beat = (self._started_at, 0, 0)

    @property
    def auth_port(self) -> int:
        """The bound authentication port."""
        return self._listeners[0].port

    @property
    def acct_port(self) -> int:
        """The bound accounting port."""
        return self._listeners[1].port

    @property
    def table(self) -> Table:
        """The devices served at present."""
        return self._gate.table

    async def __aenter__(self) -> Self:
        """OSError when a port is taken, Unavailable when the devices cannot be read: then nothing was started."""
        try:
            await self._begin()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            listener.pause()
        await self._auth.drain()
        await self._acct.drain()
        await self._commands.drain()
        await self._hand_over()
        await self._beat("draining")
        await self._end()

    async def _begin(self) -> None:
        settings = self._settings
        self._keep(self._follow_changes)
        with suppress(TimeoutError):  # Redis away: the age of what is cached bounds the harm
            async with asyncio.timeout(PATIENCE):
                await self._subscribed.wait()
        await self._read_devices()
        for kind, port in (("auth", settings.auth_port), ("acct", settings.acct_port)):
            self._listeners.append(Listener(kind, settings.bind, port, self._gate.receive))
        for listener in self._listeners:
            listener.start()
        self._keep(self._refresh)
        self._keep(self._commands.run)
        self._keep(self._tracing.run)
        self._keep(partial(self._every, NOTE, self._hand_over))
        self._keep(partial(self._every, BEAT, partial(self._beat, "running")))
        await self._beat("running")
        _log.info(
            "pool %s on %s: authentication %d, accounting %d",
            settings.pool,
            settings.bind,
            self.auth_port,
            self.acct_port,
        )

    async def _end(self) -> None:
        await tasks.end(self._tasks)
        for listener in self._listeners:
            listener.close()
        self._disconnector.close()

    def _keep(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something for as long as the worker lives, again after it failed."""
        self._tasks.append(asyncio.create_task(self._again(work)))

    async def _again(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        told = -QUIET
        while True:
            try:
                await work()
            except Unavailable as error:
                if time.monotonic() - told >= QUIET:
                    told = time.monotonic()
                    _log.warning("the %s server does not answer", error.data.get("store", "store"))
            except Exception:
                _log.exception("a task of the engine failed and is begun anew")
            await asyncio.sleep(RETRY)

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await work()

    # what changes

    async def _follow_changes(self) -> None:
        """Forget what is told to be stale. Ends when the connection is lost; then everything is suspect."""
        self._subscribed.clear()
        announcing = asyncio.create_task(self._announce())
        try:
            async for change in self._ps.changes():
                self._changed(change)
        finally:
            await tasks.end([announcing])

    async def _announce(self) -> None:
        """Say hello until it is heard: only then is it sure that nothing is missed."""
        while not self._subscribed.is_set():
            with suppress(TimeoutError, Unavailable):
                await self._ps.changed(_HELLO, "", self.worker)
                async with asyncio.timeout(0.05):
                    await self._subscribed.wait()

    def _changed(self, change: Change) -> None:
        if change.kind == _HELLO:
            if change.key == self.worker and not self._subscribed.is_set():
                self._subscribed.set()
                self._logins.clear()
                self._stale.set()
                self._tracing.changed()
        elif change.kind == "account":
            self._logins.account_changed(change.tenant_id, change.key)
        elif change.kind in ("plan", "tenant"):
            self._logins.tenant_changed(change.tenant_id)
        elif change.kind == "trace":
            self._tracing.changed()
        if change.kind in ("nas", "tenant"):
            self._stale.set()

    async def _refresh(self) -> None:
        """Read the devices again when one changed or a while has passed; resolve the host names that are due."""
        while True:
            if await self._names.refresh(self._devices, time.monotonic()):
                self._fill_table()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._stale.wait()
            await self._read_devices()

    async def _read_devices(self) -> None:
        self._stale.clear()
        self._devices = await nas.engine_devices(self._ps, self._settings.pool)
        self._fill_table()

    def _fill_table(self) -> None:
        self._gate.table = Table(self._devices, self._names.addresses())

    # what is told

    async def _hand_over(self) -> None:
        if notes := self._notes.take():
            await journal.note(self._ps, self._settings.pool, notes)

    async def _beat(self, state: str) -> None:
        counters, settings = self.counters, self._settings
        now = time.time()
        then, answered, accounted = self._last_beat
        total = counters.accepted + counters.rejected
        span = max(now - then, 0.001)
        self._last_beat = (now, total, counters.accounting)
        report = EngineReport(
            pool=settings.pool,
            worker=self.worker,
            host=settings.public_host or settings.bind,
            auth_port=self.auth_port,
            acct_port=self.acct_port,
            radsec_port=0,
            state=state,
            version=__version__,
            started_at=self._started_at,
            at=now,
            auth_rate=(total - answered) / span,
            acct_rate=(counters.accounting - accounted) / span,
            accepted=counters.accepted,
            rejected=counters.rejected,
            accounting=counters.accounting,
            dropped=dict(counters.dropped),
        )
        await engines.heartbeat(self._ps, report, _device_counts(counters))


def _device_counts(counters: Counters) -> list[DeviceCount]:
    return [
        DeviceCount(
            tenant_id=seen.tenant_id,
            nas_id=nas_id,
            last_at=seen.last_at,
            accepted=seen.accepted,
            rejected=seen.rejected,
            accounting=seen.accounting,
            dropped=dict(seen.dropped),
        )
        for nas_id, seen in counters.take_devices().items()
    ]
