"""Traces: the packets of one device or one user, in words and without secrets, for some minutes.

A console starts one; the workers hear of it by a change of the kind "trace" and hand over what they see. The last
packets are kept in Redis, and all of it is forgotten an hour after the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from saas.errors import Conflict, NotFound
from saas.i18n import N_
from saas.tenants import accounts, audit, nas
from saas.tenants.forms import Form
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id

KEPT = 500  # packets of a trace, the last ones
AT_ONCE = 3  # traces of a tenant

_READABLE = 3600  # seconds after its end
_RUNNING = "traces"  # a hash of those that run, of all tenants: what workers look for

# KEYS: list, counter; ARGV: seconds, how many to keep, entries. Each entry is stored behind its number.
_ADD = """
for i = 3, #ARGV do
  redis.call('RPUSH', KEYS[1], redis.call('INCR', KEYS[2]) .. ' ' .. ARGV[i])
end
redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
"""
# KEYS: list, counter; ARGV: the number of the last entry known. The entries behind it.
_READ = """
local new = tonumber(redis.call('GET', KEYS[2]) or 0) - tonumber(ARGV[1])
if new <= 0 then return {} end
return redis.call('LRANGE', KEYS[1], -new, -1)
"""


@dataclass(frozen=True, slots=True)
class Trace:
    """What is traced: a device (`nas_id`) or a user name, the other is "". Times in seconds since 1970."""

    id: str
    tenant_id: str
    nas_id: str
    username: str
    name: str  # as people know it
    by: str  # who started it
    started_at: float
    until: float

    @property
    def running(self) -> bool:
        """Whether packets still come."""
        return self.until > time.time()


@dataclass(frozen=True, slots=True)
class TracedPacket:
    """One packet, or word of some that were left out (`skipped`). `way`: "in" from the device, "out" to it, "drop" came
    and was not answered for `reason`, one of the engine's drop reasons. `attributes`: (name, text, octets); a text of
    None is not shown, for it may be secret. `number` counts from 1.
    """

    at: float
    way: str
    peer: str = ""  # the device's address and port
    kind: str = ""  # the RFC's name of its code
    id: int = 0
    length: int = 0  # octets
    reason: str = ""
    attributes: Sequence[tuple[str, str | None, int]] = ()
    hidden: bool = False  # not proven to be of the tenant's device: only what says so is shown
    skipped: int = 0
    number: int = 0


class TraceForm(Form):
    """For how long."""

    minutes: int = Field(
        default=10,
        ge=1,
        le=60,
        title=N_("Minutes"),
        description=N_("Up to 60. The last 500 packets are kept, and all of them are forgotten an hour after the end."),
    )


async def start_nas(scope: Scope, nas_id: str, form: TraceForm) -> Trace:
    """Trace a device. The running trace of it, if there is one. NotFound, Conflict("too_many_traces")."""
    device = await nas.get(scope, nas_id)
    return await _start(scope, device["name"], form, nas_id=nas_id)


async def start_account(scope: Scope, account_id: str, form: TraceForm) -> Trace:
    """Trace an account's user name on all devices. See `start_nas`."""
    account = await accounts.get(scope, account_id)
    return await _start(scope, account["username"], form, username=account["username"])


async def stop(scope: Scope, trace_id: str) -> None:
    """End a trace now; what it has seen stays readable. NotFound."""
    trace = await get(scope, trace_id)
    if not trace.running:
        return
    await audit.record(scope, "trace.stop", trace_id, name=trace.name)
    await scope.kv.put(_meta(trace_id), asdict(trace) | {"until": time.time()}, _READABLE)
    await scope.services.kv.hdel(_RUNNING, trace_id)
    await scope.changed("trace", trace_id)


async def get(scope: Scope, trace_id: str) -> Trace:
    """One trace, also when it has ended a while ago. NotFound."""
    found = await scope.kv.get(_meta(trace_id))
    if found is None:
        raise NotFound(id=trace_id)
    return Trace(**found)


async def running(scope: Scope) -> list[Trace]:
    """The traces that run, the newest last."""
    return [trace for trace in await _all(scope) if trace.tenant_id == scope.tenant_id]


async def packets(scope: Scope, trace_id: str, after: int = 0) -> list[TracedPacket]:
    """What was seen since the packet of this number, the newest last. NotFound."""
    await get(scope, trace_id)
    lines = await scope.services.kv.run(_READ, _packets(scope.tenant_id, trace_id), [after])
    return [_packet(line) for line in lines]


async def active(ps: PlatformScope) -> list[Trace]:
    """The traces that run, of all tenants."""
    return await _all(ps)


async def add(ps: PlatformScope, trace: Trace, seen: Sequence[TracedPacket]) -> None:
    """Hand over what a worker saw, in the order in which it happened."""
    ttl = max(1, int(trace.until - time.time())) + _READABLE
    entries = [json.dumps(asdict(packet)) for packet in seen]
    await ps.kv.run(_ADD, _packets(trace.tenant_id, trace.id), [ttl, KEPT, *entries])


async def _start(scope: Scope, name: str, form: TraceForm, nas_id: str = "", username: str = "") -> Trace:
    others = await running(scope)
    same = [trace for trace in others if (trace.nas_id, trace.username) == (nas_id, username)]
    if same:
        return same[0]
    if len(others) >= AT_ONCE:
        raise Conflict("too_many_traces", limit=AT_ONCE)
    now = time.time()
    until = now + form.minutes * 60
    trace = Trace(new_id("trc"), scope.tenant_id, nas_id, username, name, scope.actor.name, now, until)
    after = {"minutes": form.minutes, "nas_id": nas_id, "username": username}
    await audit.record(scope, "trace.start", trace.id, name=name, after={k: v for k, v in after.items() if v})
    await scope.kv.put(_meta(trace.id), asdict(trace), form.minutes * 60 + _READABLE)
    await scope.services.kv.hset(_RUNNING, {trace.id: asdict(trace)}, 2 * _READABLE)
    await scope.changed("trace", trace.id)
    return trace


async def _all(scope: Scope | PlatformScope) -> list[Trace]:
    """Those that run; those that have run out are taken off the list."""
    kv = scope.services.kv
    found = [Trace(**values) for values in (await kv.hgetall(_RUNNING)).values()]
    if over := [trace.id for trace in found if not trace.running]:
        await kv.hdel(_RUNNING, *over)
    return sorted((trace for trace in found if trace.running), key=lambda trace: trace.id)


def _meta(trace_id: str) -> str:
    return f"trace:{trace_id}"


def _packets(tenant_id: str, trace_id: str) -> list[str]:
    key = f"t:{tenant_id}:trace:{trace_id}"
    return [f"{key}:packets", f"{key}:count"]


def _packet(line: bytes) -> TracedPacket:
    number, _, text = line.partition(b" ")
    values: dict[str, Any] = json.loads(text)
    attributes = [tuple(each) for each in values.pop("attributes")]
    return TracedPacket(**values | {"attributes": attributes, "number": int(number)})
