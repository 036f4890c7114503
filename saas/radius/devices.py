"""The pool's devices, kept as the store has them: what changes is read alone, everything now and then.

A change of a device reads that device, a change of a tenant its devices, so that the cost of a change does not grow
with the pool. Everything is read at the start, after news may have been missed, and every INTERVAL; that also ends the
service of tenants that were moved to another pool, when their time here is over. Host names are resolved beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from saas.radius.identify import Table
from saas.radius.names import INTERVAL, Names
from saas.tenants import nas
from saas.tenants.nas import Device
from saas.tenants.scope import Change, PlatformScope

Read = Callable[[Collection[str]], Awaitable[None]]


class Devices:
    """Keeps a table right. `changed` and `missed` say what is stale; `follow` and `resolve` run for ever."""

    def __init__(
        self, ps: PlatformScope, pool: str, table: Table, read: Read | None = None, names: Names | None = None
    ) -> None:
        """`read` is told of the tenants whose devices were read; what it raises counts as not read."""
        self._ps = ps
        self._pool = pool
        self._table = table
        self._read = read
        self._names = names or Names()
        self._stale: dict[str, set[str] | None] = {}  # tenant -> its devices; None: all of them
        self._all_stale = False
        self._due = 0.0  # monotonic seconds, when everything is read again
        self._news = asyncio.Event()
        self._new_names = asyncio.Event()

    def changed(self, change: Change) -> None:
        """A device ("nas") or a tenant is stale; other changes are none of ours."""
        if change.kind == "tenant":
            self._stale[change.tenant_id] = None
        elif change.kind == "nas":
            some = self._stale.setdefault(change.tenant_id, set())
            if some is not None:
                some.add(change.key)
        else:
            return
        self._news.set()

    def missed(self) -> None:
        """News may have been missed: everything is suspect."""
        self._all_stale = True
        self._news.set()

    async def follow(self) -> None:
        """Read what is stale, and everything when its time has come. Unavailable: nothing is forgotten, run it again.

        Only one may run, and nothing else may read: what is read later is what holds.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._due - time.monotonic())):
                    await self._news.wait()
            if self._all_stale or time.monotonic() >= self._due:
                await self.read_all()
            else:
                await self._read_stale()

    async def resolve(self) -> None:
        """Resolve the host names that are new or due."""
        while True:
            self._new_names.clear()
            for nas_id in await self._names.refresh(time.monotonic()):
                if known := self._table.devices.get(nas_id):
                    self._table.put(known.device, self._names.addresses(nas_id))
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._new_names.wait()

    async def read_all(self) -> None:
        """Bring the whole table in line. Unavailable."""
        self._news.clear()
        self._stale.clear()
        self._all_stale = False
        try:
            await self._read_everything()
        except BaseException:
            self.missed()
            raise
        self._due = time.monotonic() + INTERVAL

    async def _read_everything(self) -> None:
        known = {nas_id: nas.device for nas_id, nas in self._table.devices.items()}
        before = self._table.tenant_ids()
        seen: set[str] = set()
        async for device in nas.engine_devices(self._ps, self._pool, known):
            seen.add(device.id)
            self._put(device)
        self._remove(known.keys() - seen)
        if self._read is not None:
            await self._read(before | self._table.tenant_ids())

    async def _read_stale(self) -> None:
        self._news.clear()
        stale, self._stale = self._stale, {}
        try:
            for tenant_id, nas_ids in stale.items():
                await self._read_some(tenant_id, nas_ids)
        except BaseException:
            self.missed()  # what was not read yet is not forgotten
            raise

    async def _read_some(self, tenant_id: str, nas_ids: Collection[str] | None) -> None:
        found = await nas.engine_devices_of(self._ps, self._pool, tenant_id, nas_ids)
        for device in found:
            self._put(device)
        before = self._table.ids_of(tenant_id) if nas_ids is None else nas_ids
        self._remove(set(before) - {device.id for device in found})
        if self._read is not None:
            await self._read({tenant_id})

    def _put(self, device: Device) -> None:
        known = self._table.devices.get(device.id)
        if known is not None and known.device == device:
            return
        self._names.put(device)
        self._table.put(device, self._names.addresses(device.id))
        if device.mode == "ddns":
            self._new_names.set()

    def _remove(self, nas_ids: Collection[str]) -> None:
        for nas_id in nas_ids:
            self._names.remove(nas_id)
            self._table.remove(nas_id)
