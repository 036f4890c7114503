"""What a device does not end by itself when its time is over."""

from __future__ import annotations

from saas.tenants import overdue
from saas.tenants.scope import PlatformScope


class Overdue:
    """Goes round the devices of the types concerned, a portion at a time; it remembers how far it came."""

    def __init__(self) -> None:
        self._after = dict.fromkeys(overdue.TYPES, "")

    async def end(self, ps: PlatformScope) -> int:
        """Force off what is over on the next devices; how many sessions."""
        ended = 0
        for kind, after in self._after.items():
            count, self._after[kind] = await overdue.end_overdue(ps, kind, after)
            ended += count
        return ended
