"""Changes to stored data that came with a version, each done once, in order.

A migration is an async function of a PlatformScope that may safely run again after a crash half-way. Append; never
edit or remove one that was released.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from saas.store import Update
from saas.tenants.accounting import session_key
from saas.tenants.scope import PlatformScope
from saas.values import utcnow

Migration = Callable[[PlatformScope], Awaitable[None]]


async def sessions_take_from_quota(ps: PlatformScope) -> None:
    """Sessions say what they took from their accounts, so far nothing; the key of each holds its tenant."""
    nothing = {"charged_octets": 0, "charged_seconds": 0}
    after = ""
    while rows := await ps.db.sessions.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        updates = []
        for row in rows:
            key = session_key(row["tenant_id"], row["nas_id"], row["acct_session_id"], row["username"])
            change = {"key": key, "lasted": row["session_time"], **nothing}
            updates.append(Update({"_id": row["_id"], "lasted": {"$exists": False}}, {"$set": change}))
        await ps.db.sessions.bulk(updates)


MIGRATIONS: Sequence[Migration] = (sessions_take_from_quota,)


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
