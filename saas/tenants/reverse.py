"""Which worker holds a device's RadSec connection: so that a command reaches the device down it, whichever worker took
the command (draft-ietf-radext-reverse-coa).

A worker says it again and again; what a dead one held is forgotten after `KEPT` seconds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict
from typing import Final

from saas.errors import Unavailable
from saas.tenants import disconnects
from saas.tenants.disconnects import Command
from saas.tenants.scope import PlatformScope

log = logging.getLogger(__name__)

KEPT: Final = 12  # seconds
_QUEUED: Final = 60  # seconds that a command waits in a queue at most

# KEYS: devices; ARGV: the worker as JSON, milliseconds, how many of the first keys it holds; it lost the others.
_SAY = """
local held = tonumber(ARGV[3])
for i, key in ipairs(KEYS) do
  if i <= held then redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
  elseif redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""

Device = tuple[str, str]  # tenant and device


async def hold(ps: PlatformScope, worker: str, held: Collection[Device], lost: Collection[Device]) -> None:
    """Say whose connections a worker holds, and whose it does no more. Best effort, never raises."""
    keys = [_key(*device) for device in (*held, *lost)]
    try:
        if keys:
            await ps.kv.run(_SAY, keys, [json.dumps(worker), KEPT * 1000, len(held)])
    except Unavailable:
        log.warning("the connections of %s are not known to others: Redis is away", worker)


async def holder(ps: PlatformScope, tenant_id: str, nas_id: str) -> str:
    """The worker that holds the device's connection; "" when none does, or when it cannot be told."""
    try:
        return str(await ps.kv.get(_key(tenant_id, nas_id)) or "")
    except Unavailable:
        return ""


async def hand_on(ps: PlatformScope, worker: str, command: Command) -> bool:
    """Give a command to another worker; False when it cannot be given."""
    try:
        await ps.kv.push(_queue(worker), json.dumps(asdict(command)).encode(), _QUEUED)
    except Unavailable:
        return False
    return True


def commands(ps: PlatformScope, worker: str) -> AsyncIterator[Command]:
    """What other workers hand on to this one. See disconnects.commands."""
    return disconnects.taken(ps, _queue(worker))


def _key(tenant_id: str, nas_id: str) -> str:
    return f"t:{tenant_id}:radsec:{nas_id}"


def _queue(worker: str) -> str:
    return f"worker:{worker}:commands"
