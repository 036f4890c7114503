"""Dynamic DNS names of devices, resolved beside the path of packets.

What a name stood for until the last resolution is good for one more interval: a device's packets may arrive before
the new address is known everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from saas import outbound
from saas.tenants.nas import Device

INTERVAL: Final = 60.0  # seconds
AT_ONCE: Final = 16
PATIENCE: Final = 5.0  # seconds for one name


Resolve = Callable[[str], Awaitable[frozenset[str]]]


class _Name(NamedTuple):
    name: str
    now: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    at: float = -INTERVAL


async def resolve(name: str) -> frozenset[str]:
    """The addresses of a host name in normal spelling; none when it does not resolve in time."""
    return await outbound.resolve(name, PATIENCE)


class Names:
    """Device id -> the addresses of its name, now and before."""

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, _Name] = {}

    def addresses(self) -> dict[str, frozenset[str]]:
        """Device id -> every address that is good at present."""
        return {nas_id: name.now | name.before for nas_id, name in self._known.items()}

    async def refresh(self, devices: Iterable[Device], now: float) -> bool:
        """Resolve the names that are new or due at `now` (any clock, seconds); whether any address changed.

        A name that does not resolve keeps its last addresses.
        """
        before = self.addresses()
        named = {device.id: device.ddns for device in devices if device.mode == "ddns" and device.ddns}
        self._known = {nas_id: self._entry(nas_id, name) for nas_id, name in named.items()}
        due = [(nas_id, name) for nas_id, name in self._known.items() if now - name.at >= INTERVAL]
        gate = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(self._found(name.name, gate) for _, name in due))
        for (nas_id, last), fresh in zip(due, found, strict=True):
            self._known[nas_id] = _Name(last.name, fresh or last.now, last.now, now)
        return self.addresses() != before

    def _entry(self, nas_id: str, name: str) -> _Name:
        known = self._known.get(nas_id)
        return known if known is not None and known.name == name else _Name(name)

    async def _found(self, name: str, gate: asyncio.Semaphore) -> frozenset[str]:
        async with gate:
            return await self._resolve(name)
