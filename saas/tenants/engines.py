"""The RADIUS engines: which workers live, what they say about the devices they serve, how their pools fare."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from saas.errors import Unavailable
from saas.kv import Kv
from saas.tenants.pools import former_pools
from saas.tenants.scope import PlatformScope, Scope
from saas.values import from_epoch, utcnow

log = logging.getLogger(__name__)

_ENGINES = "engines"
_POOLS = "pool_states"
_LIVES = 15  # seconds after its last heartbeat that a worker counts as alive
_SETTLED = timedelta(seconds=10)  # after which a move is known to every worker
_TOLD = 30  # seconds that what a supervisor told of a pool is believed
_FORGOTTEN = 30 * 86400  # seconds
_DROPPED = "dropped:"

# KEYS: the statistics of devices; ARGV: seconds until they are forgotten, then for each [last_at, dropped_at, last_drop
# as the hash has it, {field: to add}].
_ADD = """
for i, key in ipairs(KEYS) do
  local last, dropped, reason, counts = unpack(cjson.decode(ARGV[i + 1]))
  redis.call('HSETNX', key, 'since', math.max(last, dropped))
  if tonumber(redis.call('HGET', key, 'last_at') or 0) < last then redis.call('HSET', key, 'last_at', last) end
  if tonumber(redis.call('HGET', key, 'dropped_at') or 0) < dropped then
    redis.call('HSET', key, 'dropped_at', dropped, 'last_drop', reason)
  end
  for field, count in pairs(counts) do redis.call('HINCRBY', key, field, count) end
  redis.call('EXPIRE', key, ARGV[1])
end
"""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """A worker's heartbeat. Counts are since its start, rates per second over its last beat."""

    pool: str
    worker: str  # unique and stable while it lives: "host:pid"
    host: str  # the address that devices send to
    auth_port: int
    acct_port: int
    radsec_port: int  # 0 = none
    state: str  # "running", "draining"
    version: str
    started_at: float
    at: float
    auth_rate: float = 0.0
    acct_rate: float = 0.0
    accepted: int = 0
    rejected: int = 0
    accounting: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # by reason
    memory: int = 0  # octets of the process that lie in RAM, 0: not known
    devices: int = 0  # that it serves
    logins: int = 0  # accounts in its cache


_FIELDS = frozenset(each.name for each in fields(EngineReport))


@dataclass(frozen=True, slots=True)
class PoolState:
    """How a pool fares on a host at one of its pairs of ports. `state`: "running" or "port_taken"."""

    pool: str
    host: str
    auth_port: int
    acct_port: int
    until: float  # when these ports, former ones, are given up; 0: they are the present ones
    state: str
    taken_port: int  # that another program has, 0: none
    restarts: int  # of workers that died
    at: float


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """What a worker saw of one device since its last beat."""

    tenant_id: str
    nas_id: str
    last_at: float  # of the last good packet
    accepted: int = 0
    rejected: int = 0
    accounting: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # by reason
    dropped_at: float = 0.0  # of the last packet that was dropped
    last_drop: str = ""  # its reason


@dataclass(frozen=True, slots=True)
class DeviceStats:
    """What all workers saw of one device. Counts begin at `since` and are forgotten when it is silent for a month.

    `last_at`: of the last good packet, `dropped_at`: of the last that was dropped, for `last_drop`; 0.0: none yet.
    """

    nas_id: str
    since: float
    last_at: float
    accepted: int
    rejected: int
    accounting: int
    dropped: Mapping[str, int]  # by reason
    dropped_at: float
    last_drop: str


async def heartbeat(ps: PlatformScope, report: EngineReport, devices: Sequence[DeviceCount] = ()) -> None:
    """Tell that a worker lives, every few seconds, and add what it saw of its devices. Best effort, never raises."""
    try:
        await ps.kv.hset(_ENGINES, {_key(report): asdict(report)}, _FORGOTTEN)
        if devices:
            keys = [f"t:{device.tenant_id}:{_stats(device.nas_id)}" for device in devices]
            await ps.kv.run(_ADD, keys, [_FORGOTTEN, *(json.dumps(_counts(device)) for device in devices)])
    except Unavailable:
        log.warning("heartbeat of %s: Redis is away", report.worker)


async def listing(scope: Scope | PlatformScope) -> list[EngineReport]:
    """The workers that live, by pool and name: of the tenant's pool at its present ports, or of every pool."""
    living = await _living(scope.services.kv)
    if isinstance(scope, PlatformScope):
        return living
    former = {(each.auth_port, each.acct_port) for each in await _former(scope)}
    pool = scope.tenant["pool"]
    return [each for each in living if each.pool == pool and (each.auth_port, each.acct_port) not in former]


async def repoint_by(scope: Scope) -> datetime | None:
    """Until when the tenant's devices can be left as they are: its pool, or the pool's ports, have changed."""
    untils = [from_epoch(each.until) for each in await _former(scope)]
    untils += [each["until"] for each in former_pools(scope.tenant, utcnow())]
    return min(untils, default=None)


async def commanded_pool(scope: Scope) -> str:
    """The pool whose workers know the tenant's devices and can be asked to send them something.

    That is the tenant's own. After a move it is the one left last, until the new pool's workers have surely heard of
    the tenant, and for as long as none of them lives.
    """
    now = utcnow()
    own = str(scope.tenant["pool"])
    former = former_pools(scope.tenant, now)
    if not former:
        return own
    left = former[-1]
    running = {report.pool for report in await _living(scope.services.kv) if report.state == "running"}
    settled = now - left["since"] > _SETTLED and own in running
    return own if settled or left["pool"] not in running else left["pool"]


async def _former(scope: Scope) -> list[PoolState]:
    """What is told of the former ports of the tenant's pool."""
    states = await _states(scope.services.kv)
    return [each for each in states if each.until and each.pool == scope.tenant["pool"]]


async def _living(kv: Kv) -> list[EngineReport]:
    found = [_report(values) for values in (await kv.hgetall(_ENGINES)).values()]
    now = time.time()
    if long_gone := [_key(report) for report in found if report.at < now - _FORGOTTEN]:
        await kv.hdel(_ENGINES, *long_gone)
    living = [report for report in found if report.at > now - _LIVES]
    return sorted(living, key=lambda report: (report.pool, report.worker))


async def tell_pools(ps: PlatformScope, states: Sequence[PoolState]) -> None:
    """Tell how the pools of a host fare. Best effort, never raises."""
    if states:
        try:
            told = {f"{each.host}/{each.pool}/{each.auth_port}/{each.acct_port}": asdict(each) for each in states}
            await ps.kv.hset(_POOLS, told, _FORGOTTEN)
        except Unavailable:
            log.warning("the state of %d pools is not told: Redis is away", len(states))


async def pool_states(ps: PlatformScope) -> list[PoolState]:
    """How pools fared on each host a moment ago, by pool and host."""
    return await _states(ps.kv)


async def _states(kv: Kv) -> list[PoolState]:
    found = await kv.hgetall(_POOLS)
    old = [name for name, values in found.items() if values["at"] < time.time() - _TOLD]
    if old:
        await kv.hdel(_POOLS, *old)
    states = [PoolState(**values) for name, values in found.items() if name not in old]
    return sorted(states, key=lambda state: (state.pool, state.host, state.until, state.auth_port))


async def device_stats(scope: Scope, nas_ids: Sequence[str]) -> dict[str, DeviceStats]:
    """By device id, for those that were heard of."""
    found = await asyncio.gather(*(scope.kv.hgetall(_stats(nas_id)) for nas_id in nas_ids))
    stats = [_stats_of(nas_id, fields) for nas_id, fields in zip(nas_ids, found, strict=True)]
    return {each.nas_id: each for each in stats if each is not None}


def _key(report: EngineReport) -> str:
    return f"{report.pool}/{report.worker}"


def _report(values: Mapping[str, Any]) -> EngineReport:
    """What a worker of a later version tells beyond what is known here is left out."""
    return EngineReport(**{name: value for name, value in values.items() if name in _FIELDS})


def _stats(nas_id: str) -> str:
    return f"nas:{nas_id}"


def _counts(device: DeviceCount) -> list[Any]:
    """The moments of the last packets, and what to add."""
    counts = {"accepted": device.accepted, "rejected": device.rejected, "accounting": device.accounting}
    counts |= {_DROPPED + reason: count for reason, count in device.dropped.items()}
    moments = [device.last_at, device.dropped_at, json.dumps(device.last_drop)]
    return [*moments, {field: count for field, count in counts.items() if count}]


def _stats_of(nas_id: str, fields: Mapping[str, Any]) -> DeviceStats | None:
    if not fields:
        return None
    return DeviceStats(
        nas_id,
        since=fields["since"],
        last_at=fields.get("last_at", 0.0),
        accepted=fields.get("accepted", 0),
        rejected=fields.get("rejected", 0),
        accounting=fields.get("accounting", 0),
        dropped={name.removeprefix(_DROPPED): n for name, n in fields.items() if name.startswith(_DROPPED)},
        dropped_at=fields.get("dropped_at", 0.0),
        last_drop=fields.get("last_drop", ""),
    )
