"""Sessions that gave way to a newcomer are forced off."""

from __future__ import annotations

from saas.tenants import kicks
from saas.tenants.scope import PlatformScope

_WAIT = 1.0  # seconds that a read waits for something to come


async def kick_oldest(ps: PlatformScope) -> int:
    """Force off the next ones; how many."""
    return await kicks.kick_next(ps, _WAIT)
