"""What was counted: packets by kind, drops by reason, and the same for each device, since the last report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Final

from saas.radius.identify import Nas

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def memory() -> int:
    """The octets of this process that lie in RAM; 0 where the kernel does not tell (proc(5), statm)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0


class DeviceCounters:
    """A device's figures. Seconds since 1970: `last_at` of its last good packet, `dropped_at` of the last one that was
    dropped, for the reason `last_drop`.
    """

    __slots__ = ("accepted", "accounting", "dropped", "dropped_at", "last_at", "last_drop", "rejected", "tenant_id")

    def __init__(self, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self.last_at = 0.0
        self.dropped_at = 0.0
        self.last_drop = ""
        self.accepted = 0
        self.rejected = 0
        self.accounting = 0
        self.dropped: Counter[str] = Counter()


class Counters:
    """A worker's figures since its start. Drop reasons are the stable keys that gate.py lists."""

    def __init__(self) -> None:
        self.received = 0
        self.accepted = 0
        self.rejected = 0
        self.accounting = 0
        self.replayed = 0
        self.dropped: Counter[str] = Counter()
        self._devices: dict[str, DeviceCounters] = {}

    def device(self, nas: Nas) -> DeviceCounters:
        """The figures of a device since they were last taken."""
        found = self._devices.get(nas.id)
        if found is None:
            found = self._devices[nas.id] = DeviceCounters(nas.tenant_id)
        return found

    def drop(self, reason: str) -> None:
        """A packet was dropped."""
        self.dropped[reason] += 1

    def suspect(self, reason: str, suspects: Iterable[Nas], now: float) -> None:
        """The devices that may have sent a dropped packet: their owners can be told."""
        for nas in suspects:
            seen = self.device(nas)
            seen.dropped_at = now
            seen.last_drop = reason
            seen.dropped[reason] += 1

    def take_devices(self) -> dict[str, DeviceCounters]:
        """The devices' figures since the last call, by device id."""
        taken, self._devices = self._devices, {}
        return taken
