"""From the journal to the sessions, and what follows from silence."""

from __future__ import annotations

import asyncio
from datetime import datetime

from saas.tenants import apply, journal, slots, watching
from saas.tenants.known import Known
from saas.tenants.scope import PlatformScope
from saas.values import utcnow

_WAIT = 1.0  # seconds that a read waits for something to come
_GATHER = 0.3  # seconds of events that share a transaction while there is no backlog


class Accounting:
    """The jobs around the journal. They share up to which moment all has been applied, and what need not be asked."""

    def __init__(self) -> None:
        self._applied_until: datetime | None = None
        self._known = Known()

    async def apply_journal(self, ps: PlatformScope) -> int:
        """Apply the next groups of the journal, then forget them; how many events."""
        begun = utcnow()
        reading = await journal.read(ps, _WAIT)
        await apply.apply(ps, reading.groups, self._known)
        await journal.remove(ps, reading.groups)
        await watching.tell(ps.kv, {event.tenant_id for group in reading.groups for event in group.events})
        if reading.complete:
            self._applied_until = begun
            await asyncio.sleep(_GATHER)
        return sum(len(group.events) for group in reading.groups)

    async def hear_changes(self, ps: PlatformScope) -> int:
        """Forget what has changed; how much did."""
        return await self._known.hear(ps, _WAIT)

    async def close_stale(self, ps: PlatformScope) -> int:
        """End the sessions that are silent, as far as the journal has been read; how many."""
        return await apply.close_stale(ps, self._applied_until) if self._applied_until else 0

    async def check_slots(self, ps: PlatformScope) -> int:
        """Count the open sessions anew when Redis has lost its count; of how many tenants."""
        return 0 if await slots.built(ps) else await slots.rebuild_all(ps)
