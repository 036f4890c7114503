"""Dynamic DNS names of devices, resolved beside the path of packets.

What a name stood for until the last resolution is good for one more interval: a device's packets may arrive before
the new address is known everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
    """The names of the devices in mode "ddns", and their addresses, now and before."""

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, _Name] = {}

    def put(self, device: Device) -> None:
        """Take up a device, or what became of it. A new name is due at once, and the old one's addresses are gone."""
        if device.mode != "ddns" or not device.ddns:
            self.remove(device.id)
        elif device.id not in self._known or self._known[device.id].name != device.ddns:
            self._known[device.id] = _Name(device.ddns)

    def remove(self, nas_id: str) -> None:
        """Forget a device, if it is there."""
        self._known.pop(nas_id, None)

    def addresses(self, nas_id: str) -> frozenset[str]:
        """Every address of a device that is good at present; none for what is not in mode "ddns"."""
        name = self._known.get(nas_id)
        return name.now | name.before if name is not None else frozenset()

    async def refresh(self, now: float) -> list[str]:
        """Resolve the names that are due at `now` (any clock, seconds); the devices whose addresses have changed.

        A name that does not resolve keeps its last addresses.
        """
        due = [(nas_id, name) for nas_id, name in self._known.items() if now - name.at >= INTERVAL]
        gate = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(self._found(name.name, gate) for _, name in due))
        changed: list[str] = []
        for (nas_id, last), fresh in zip(due, found, strict=True):
            if self._known.get(nas_id) is not last:  # another name by now, or gone
                continue
            before = self.addresses(nas_id)
            self._known[nas_id] = _Name(last.name, fresh or last.now, last.now, now)
            if self.addresses(nas_id) != before:
                changed.append(nas_id)
        return changed

    async def _found(self, name: str, gate: asyncio.Semaphore) -> frozenset[str]:
        async with gate:
            return await self._resolve(name)
