"""From the engines' notes to rows: refusals and unknown devices for the consoles, lines that were learnt."""

from __future__ import annotations

from saas.tenants import journal, lines, refusals
from saas.tenants.scope import PlatformScope

_WAIT = 1.0  # seconds that a read waits for something to come


async def keep_notes(ps: PlatformScope) -> int:
    """Keep the next notes; how many."""
    entries, notes = await journal.read_notes(ps, _WAIT)
    await lines.learn(ps, [note for note in notes if isinstance(note, lines.Learnt)])
    await refusals.keep(ps, [note for note in notes if not isinstance(note, lines.Learnt)])
    await journal.remove_notes(ps, entries)
    return len(notes)
