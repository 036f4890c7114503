"""What devices reported, as the jobs would apply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from saas.tenants import apply, journal
from saas.tenants.scope import PlatformScope
from tests.support import until
from tests.world import Business, sessions_of


@dataclass(frozen=True, slots=True)
class Reports:
    """The sessions of a business."""

    ps: PlatformScope
    business: Business

    async def sessions(self) -> list[Any]:
        """All of them, after applying what was reported until now."""
        reading = await journal.read(self.ps, 0.05)
        await apply.apply(self.ps, reading.groups)
        await journal.remove(self.ps, reading.groups)
        return await sessions_of(self.business.scope.db)

    async def session(self, *, open: bool, octets: int = 0) -> Any:
        """The first that is open, or that has ended, once it was reported with so many octets to the subscriber."""

        async def look() -> Any:
            rows = await self.sessions()
            return next((row for row in rows if row["open"] is open and row["output_octets"] >= octets), None)

        return await until(look, f"the gateway reports {'a session' if open else 'the end of the session'}")
