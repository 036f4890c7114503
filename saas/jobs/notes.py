"""Refusals and unknown devices: from the engines' notes to the rows that the consoles read."""

from __future__ import annotations

from saas.tenants import journal, refusals
from saas.tenants.scope import PlatformScope

_WAIT = 1.0  # seconds that a read waits for something to come


async def keep_notes(ps: PlatformScope) -> int:
    """Keep the next notes; how many."""
    entries, notes = await journal.read_notes(ps, _WAIT)
    await refusals.keep(ps, notes)
    await journal.remove_notes(ps, entries)
    return len(notes)
