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
from collections.abc import Callable, Collection, Coroutine
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
from saas.radius.counters import Counters, memory
from saas.radius.devices import Devices
from saas.radius.gate import Gate, Handler
from saas.radius.identify import Table
from saas.radius.logins import LIMIT as CACHED
from saas.radius.logins import Logins
from saas.radius.notes import Notes
from saas.radius.radsec import LIMITS, Limits, Radsec
from saas.radius.server import Listener
from saas.radius.tokens import Tokens
from saas.radius.tracing import Tracing
from saas.tenants import certificates, engines, journal, login_records, reverse
from saas.tenants.engines import DeviceCount, EngineReport
from saas.tenants.scope import Change, PlatformScope

BEAT: Final = 3.0  # seconds between heartbeats
NOTE: Final = 1.0  # seconds between hand-overs of refusals and unknown devices
RENEW: Final = 86_400.0  # seconds between certificates of the RadSec port, each good for a year
RETRY: Final = 1.0  # seconds after a store was away
QUIET: Final = 60.0  # seconds between two words about a store that stays away
PATIENCE: Final = 5.0  # seconds at start until changes must be heard of

_HELLO: Final = "engine"  # the kind of a change by which a worker tests that it hears of changes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where a worker listens and for whom. `public_host` is what devices are told; port 0 takes a free one.

    Without `radsec_port` there is no RADIUS over TLS. `tenant_rate`: packets a second that one tenant may send to a
    port of this worker, 0 is without limit. `cached_accounts`: how many accounts the worker remembers.
    """

    pool: str
    bind: str
    auth_port: int
    acct_port: int
    public_host: str = ""
    radsec_port: int | None = None
    radsec_limits: Limits = LIMITS
    reject_delay: float = REJECT_DELAY
    tenant_rate: float = 0.0
    cached_accounts: int = CACHED
    dedicated: bool = False  # the pool is one tenant's


class Engine:
    """A worker. Use it as an asynchronous context: it serves from entering until leaving."""

    def __init__(self, ps: PlatformScope, settings: EngineSettings) -> None:
        self._ps = ps
        self._settings = settings
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self.counters = Counters()
        self._notes = Notes(settings.pool)
        self._logins = Logins(partial(login_records.find, ps), settings.cached_accounts)
        tokens = Tokens(ps.keys.key("radius-class"))
        self._auth = Auth(ps, self._logins, tokens, self.counters, self._notes, settings.reject_delay)
        self._acct = Acct(ps, settings.pool, self._logins, tokens, self.counters)
        handlers: dict[str, Handler] = {"auth": self._auth, "acct": self._acct}
        self._gate = Gate(self.counters, self._notes, handlers, settings.tenant_rate)
        self._gate.table = Table(dedicated=settings.dedicated)
        self._radsec = Radsec(self._gate, handlers, self.counters, self._notes, settings.radsec_limits)
        self._devices = Devices(ps, settings.pool, self._gate.table, self._trust)
        self._held: set[tuple[str, str]] = set()
        self._said_at = 0.0
        self._disconnector = Disconnector(settings.bind, connection=self._radsec.connection)
        self._tracing = Tracing(ps, self._gate, self._disconnector)
        self._commands = Commands(ps, settings.pool, self.worker, self._gate, self._radsec, self._disconnector)
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
    def radsec_port(self) -> int:
        """The bound port of RADIUS over TLS, 0 without one."""
        return self._radsec.port

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
        try:
            await self._drain()
        finally:
            await self._end()

    async def _drain(self) -> None:
        for listener in self._listeners:
            listener.pause()
        self._radsec.pause()
        await self._auth.drain()
        await self._acct.drain()
        await self._commands.drain()
        await reverse.hold(self._ps, self.worker, (), self._held)
        await self._hand_over()
        await self._beat("draining")

    async def _begin(self) -> None:
        settings = self._settings
        self._keep(self._follow_changes)
        with suppress(TimeoutError):  # Redis away: the age of what is cached bounds the harm
            async with asyncio.timeout(PATIENCE):
                await self._subscribed.wait()
        await self._devices.read_all()
        for kind, port in (("auth", settings.auth_port), ("acct", settings.acct_port)):
            self._listeners.append(Listener(kind, settings.bind, port, self._gate.receive))
        if settings.radsec_port is not None:
            await self._show_certificate()
            self._radsec.listen(settings.bind, settings.radsec_port)
            self._keep(partial(self._every, RENEW, self._show_certificate))
            self._keep(partial(self._every, NOTE, self._say_held))
            self._keep(self._commands.run_handed)
        for listener in self._listeners:
            listener.start()
        self._keep(self._devices.follow)
        self._keep(self._devices.resolve)
        self._keep(self._commands.run)
        self._keep(self._tracing.run)
        self._keep(partial(self._every, NOTE, self._hand_over))
        self._keep(partial(self._every, BEAT, partial(self._beat, "running")))
        await self._beat("running")
        _log.info(
            "pool %s on %s: authentication %d, accounting %d, RadSec %d",
            settings.pool,
            settings.bind,
            self.auth_port,
            self.acct_port,
            self.radsec_port,
        )

    async def _end(self) -> None:
        await tasks.end(self._tasks)
        await self._radsec.close()
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
                await self._ps.changed(_HELLO, self._settings.pool, self.worker)
                async with asyncio.timeout(0.05):
                    await self._subscribed.wait()

    def _changed(self, change: Change) -> None:
        if change.kind == _HELLO:
            mine = (change.tenant_id, change.key) == (self._settings.pool, self.worker)
            if mine and not self._subscribed.is_set():
                self._subscribed.set()
                self._logins.suspect(time.time())
                self._devices.missed()
                self._tracing.changed()
        elif change.kind == "account":
            self._logins.account_changed(change.tenant_id, change.key)
            self._auth.guard.account_changed(change.tenant_id, change.key)
        elif change.kind in ("plan", "tenant"):
            self._logins.tenant_changed(change.tenant_id)
        elif change.kind == "trace":
            self._tracing.changed()
        self._devices.changed(change)

    async def _trust(self, tenant_ids: Collection[str]) -> None:
        """These tenants' devices were read: what they show down RadSec connections may have changed with them."""
        if self._settings.radsec_port is not None:
            self._radsec.fill(tenant_ids, self.table.devices, await certificates.engine_trust(self._ps, tenant_ids))

    async def _show_certificate(self) -> None:
        host = self._settings.public_host or self._settings.bind
        self._radsec.present(await certificates.server_certificate(self._ps, host))

    async def _say_held(self) -> None:
        """Whose connections are here: at once when that changed, and again before it is forgotten."""
        held = self._radsec.held()
        if held != self._held or time.monotonic() >= self._said_at + BEAT:
            await reverse.hold(self._ps, self.worker, held, self._held - held)
            self._held, self._said_at = held, time.monotonic()

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
            radsec_port=self.radsec_port,
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
            memory=memory(),
            devices=len(self.table.devices),
            logins=len(self._logins),
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
            dropped_at=seen.dropped_at,
            last_drop=seen.last_drop,
        )
        for nas_id, seen in counters.take_devices().items()
    ]
