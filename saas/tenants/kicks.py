"""Sessions that gave way to a newcomer, where the plan says that the oldest does: they are forced off.

Which session it is was decided together with the newcomer's slot (saas.tenants.slots), so that two newcomers never
count on the same one. The newcomer does not wait for its end. A device that does not obey reports the session again:
after two minutes it counts anew, and the next newcomer forces it off again.
"""

from __future__ import annotations

import asyncio
import json
import time

from saas.errors import Conflict, NotFound
from saas.kv import Entry
from saas.tenants import disconnects
from saas.tenants.scope import SYSTEM, PlatformScope
from saas.tenants.slots import KICKS

_AT_ONCE = 50
_PATIENCE = 15.0  # seconds that a session's start may take to arrive from the journal


async def kick_next(ps: PlatformScope, wait: float) -> int:
    """Force off the next sessions that gave way, by the actor system; of how many that is over.

    Waits up to `wait` seconds for the first. After a crash they are forced off again. Unavailable.
    """
    entries = (await ps.slots.oldest([KICKS], _AT_ONCE, wait)).get(KICKS, [])
    over = await asyncio.gather(*(_kick(ps, entry) for entry in entries))
    done = [entry.id for entry, ended in zip(entries, over, strict=True) if ended]
    if done:
        await ps.slots.drop(KICKS, done)
    return len(done)


async def _kick(ps: PlatformScope, entry: Entry) -> bool:
    """False when the session is not known yet."""
    tenant_id, key = json.loads(entry.data)
    tenant = await ps.db.tenants.one({"_id": tenant_id})
    if tenant is None:
        return True
    scope = ps.enter(tenant, SYSTEM)
    row = await scope.db.online.one({"key": key}, ["_id"])
    if row is None:
        return time.time() - int(entry.id.partition("-")[0]) / 1000 > _PATIENCE
    try:
        await disconnects.request(scope, row["_id"])
    except (Conflict, NotFound):  # it has ended meanwhile, or somebody forces it off at this moment
        return True
    return True
