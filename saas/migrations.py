"""Changes to stored data that came with a version, each done once, in order.

A migration is an async function of a PlatformScope that may safely run again after a crash half-way. Append; never
edit or remove one that was released.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from saas.tenants.scope import PlatformScope
from saas.values import utcnow

Migration = Callable[[PlatformScope], Awaitable[None]]

MIGRATIONS: Sequence[Migration] = ()


async def migrate(ps: PlatformScope, migrations: Sequence[Migration] = MIGRATIONS) -> list[str]:
    """Do what has not been done here; the names of what was."""
    done = {row["_id"] for row in await ps.db.migrations.find({}, limit=10_000)}
    names: list[str] = []
    for migration in migrations:
        name = migration.__name__
        if name not in done:
            await migration(ps)
            await ps.db.migrations.insert({"_id": name, "at": utcnow()})
            names.append(name)
    return names
