"""Concurrency: how many sessions an account has open or pending, counted atomically for every worker of a pool.

Each account has a hash in Redis with one field a slot: ``p:<slot token>`` for an accepted login that has not sent its
Accounting Start, ``o:<session key>`` for an open session, ``x:<session key>`` for one that just ended, so that a late
packet does not bring it back. A value is ``expires|lifetime|nas_id|slot token|calling station``. Every slot lapses by
itself: nobody is locked out for good by a device that never says Stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from saas.errors import Unavailable
from saas.kv import Kv
from saas.tenants.accounting import AcctEvent, Row, event_key, stale_after
from saas.tenants.fanout import each_tenant
from saas.tenants.scope import PlatformScope, Scope

PENDING = 60  # seconds that an accepted login may take to send its Accounting Start
_ENDED = 120  # seconds that packets of an ended session may come late
_DEFAULT_LIFETIME = stale_after(600)  # of a session whose login we never saw
_BUILT = "slots:built"  # there while Redis holds what the sessions say
_BUILT_TTL = 10 * 365 * 86400
_BATCH = 500

_COMMON = """
local now = tonumber(redis.call('TIME')[1])

local function parse(value)
  local expires, lifetime, nas, slot, calling = string.match(value, '^(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
  return tonumber(expires), tonumber(lifetime), nas, slot, calling
end

local function put(key, field, lasts, lifetime, nas, slot, calling)
  redis.call('HSET', key, field, table.concat({now + lasts, lifetime, nas, slot, calling}, '|'))
  if redis.call('TTL', key) < lasts then redis.call('EXPIRE', key, lasts) end
end

-- Lua takes no more than 8,000 values from a list at once
local function forget(key, fields)
  for i = 1, #fields, 1000 do
    redis.call('HDEL', key, unpack(fields, i, math.min(i + 999, #fields)))
  end
end

-- the pending slot of a login that carried no token here: the one of the same device and calling station
local function pending_of(key, nas, calling)
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, 2) == 'p:' then
      local _, _, its_nas, _, its_calling = parse(flat[i + 1])
      if its_nas == nas and its_calling == calling then return flat[i], flat[i + 1] end
    end
  end
end

local function live(key, op, sid, lifetime, nas, slot, calling)
  local ended = redis.call('HGET', key, 'x:' .. sid)
  if ended and parse(ended) > now then return end
  local pending, old = 'p:' .. slot, redis.call('HGET', key, 'o:' .. sid)
  local known = old or (slot ~= '' and redis.call('HGET', key, pending))
  if not known and op == 'start' then pending, known = pending_of(key, nas, calling) end
  if known and lifetime == 0 then lifetime = select(2, parse(known)) end
  if lifetime == 0 then lifetime = DEFAULT_LIFETIME end
  if pending then redis.call('HDEL', key, pending) end
  put(key, 'o:' .. sid, lifetime, lifetime, nas, slot, calling)
end

local function track(key, op, sid, lifetime, nas, slot, calling)
  if op == 'release' then
    redis.call('HDEL', key, 'p:' .. slot)
    return
  end
  if op == 'start' or op == 'interim' then
    live(key, op, sid, tonumber(lifetime), nas, slot, calling)
    return
  end
  redis.call('HDEL', key, 'o:' .. sid)
  if op == 'stop' then
    if slot ~= '' then redis.call('HDEL', key, 'p:' .. slot) end
    put(key, 'x:' .. sid, ENDED, 0, nas, slot, calling)
  end
end
""".replace("DEFAULT_LIFETIME", str(_DEFAULT_LIFETIME)).replace("ENDED", str(_ENDED))

# KEYS: the account of each change, from `first_key` on; ARGV: six values a change, from `first_arg` on.
TRACK = (
    _COMMON
    + """
local function track_all(first_key, first_arg)
  for i = first_key, #KEYS do
    local a = first_arg + (i - first_key) * 6
    track(KEYS[i], ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5])
  end
end
"""
)
_TRACK_ALONE = TRACK + "track_all(1, 1)"

_RESERVE = (
    _COMMON
    + """
local function look(key, mine)
  local count, seen, gone, own = 0, {}, {}, {}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local expires, _, nas, _, calling = parse(flat[i + 1])
    local device, kind = nas .. '|' .. calling, string.sub(flat[i], 1, 1)
    if expires <= now then
      gone[#gone + 1] = flat[i]
    elseif kind ~= 'x' and calling ~= '' and device == mine then
      if kind == 'p' then own[#own + 1] = flat[i] end
    elseif kind ~= 'x' and not seen[device] then
      count, seen[device] = count + 1, calling ~= ''
    end
  end
  forget(key, gone)
  return count, own
end

local answers = {}
for i, key in ipairs(KEYS) do
  local a = (i - 1) * 5
  local slot, nas, calling, limit, lifetime = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], tonumber(ARGV[a + 4]), ARGV[a + 5]
  local count, own = look(key, nas .. '|' .. calling)
  if count < limit then
    forget(key, own)
    put(key, 'p:' .. slot, PENDING, lifetime, nas, slot, calling)
  end
  answers[i] = count
end
return answers
""".replace("PENDING", str(PENDING))
)


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """An attempt that has passed every other rule and wants one of the account's sessions.

    `slot` is a fresh random token; it travels to the device in Class and comes back with accounting.
    """

    tenant_id: str
    account_id: str
    slot: str
    nas_id: str
    calling_station_id: str  # "" = unknown: such a device is never taken for one that returns
    limit: int  # 0 = unlimited
    interim_interval: int  # seconds; a session silent for three of them no longer counts


async def reserve(ps: PlatformScope, requests: Sequence[SlotRequest]) -> list[int | None]:
    """Count each account's sessions of other devices, and take a pending slot where that is below the limit.

    The answers are what LoginRequest.sessions wants: at or above the limit nothing was reserved. Sessions from one
    calling station at one NAS count once. None: Redis is away, nothing was counted. An unlimited account is not
    counted: 0.
    """
    limited = [request for request in requests if request.limit]
    try:
        counts = await ps.kv.run(_RESERVE, *_reserve_call(limited)) if limited else []
    except Unavailable:
        return [None if request.limit else 0 for request in requests]
    answers = iter(counts)
    return [int(next(answers)) if request.limit else 0 for request in requests]


async def release(ps: PlatformScope, requests: Sequence[SlotRequest]) -> None:
    """Give pending slots back, of logins that were refused after all. Best effort: they lapse anyway."""
    changes = [(_key(r.tenant_id, r.account_id), ("release", "", 0, r.nas_id, r.slot, "")) for r in requests]
    await _quietly(ps.kv, *_call(changes))


async def occupied(scope: Scope, account_id: str, nas_id: str = "", calling_station_id: str = "") -> int | None:
    """How many sessions would count against a login of this device now; None when Redis is away. Reserves nothing."""
    look = SlotRequest(scope.tenant_id, account_id, "", nas_id, calling_station_id, -1, 0)
    try:
        counts = await scope.services.kv.run(_RESERVE, *_reserve_call([look]))
    except Unavailable:
        return None
    return int(counts[0])


def track_call(events: Sequence[AcctEvent]) -> tuple[list[str], list[str | int]]:
    """Keys and arguments for `track_all` of TRACK: what these events do to the slots of known accounts."""
    return _call([_of_event(event) for event in events if event.account_id and event.status not in ("on", "off")])


async def track(ps: PlatformScope, events: Sequence[AcctEvent]) -> None:
    """Let events that were journalled while Redis was away take effect. Best effort."""
    await _quietly(ps.kv, *track_call(events))


async def free(scope: Scope, rows: Sequence[Row]) -> None:
    """Sessions that we closed ourselves no longer count; an interim update brings one back. Best effort."""
    changes = [_of_row(scope.tenant_id, row, "free", 0) for row in rows if row["account_id"]]
    await _quietly(scope.services.kv, *_call(changes))


async def built(ps: PlatformScope) -> bool:
    """False after Redis lost its data: then `rebuild_all`."""
    return bool(await ps.kv.get(_BUILT))


async def rebuild_all(ps: PlatformScope) -> int:
    """Rebuild the slots of every tenant; of how many."""
    done, after = 0, ""
    while tenants := await ps.db.tenants.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=_BATCH, fields=["_id"]):
        after = tenants[-1]["_id"]
        done += await each_tenant(ps, "slots", {row["_id"]: None for row in tenants}, lambda scope, _: rebuild(scope))
    await ps.kv.put(_BUILT, True, _BUILT_TTL)
    return done


async def rebuild(scope: Scope) -> int:
    """Count every open session of the tenant again; those that are counted already stay so. Unavailable."""
    lifetime = stale_after(scope.tenant["parameters"]["interim_interval"])
    after = ""
    while True:
        filter = {"open": True, "_id": {"$gt": after}}
        rows = await scope.db.sessions.find(filter, sort=[("_id", 1)], limit=_BATCH)
        changes = [_of_row(scope.tenant_id, row, "interim", lifetime) for row in rows if row["account_id"]]
        if changes:
            await scope.services.kv.run(_TRACK_ALONE, *_call(changes))
        if len(rows) < _BATCH:
            return 1
        after = rows[-1]["_id"]


# the account's key; operation, session key, lifetime (0: as before), nas_id, slot token, calling station
Change = tuple[str, tuple[str, str, int, str, str, str]]


def _key(tenant_id: str, account_id: str) -> str:
    return f"t:{tenant_id}:slots:{account_id}"


def _of_event(event: AcctEvent) -> Change:
    values = (event.status, event_key(event), 0, event.nas_id, event.slot, event.calling_station_id)
    return _key(event.tenant_id, event.account_id), values


def _of_row(tenant_id: str, row: Row, op: str, lifetime: int) -> Change:
    return _key(tenant_id, row["account_id"]), (op, row["key"], lifetime, row["nas_id"], "", row["calling_station_id"])


def _reserve_call(requests: Sequence[SlotRequest]) -> tuple[list[str], list[str | int]]:
    keys = [_key(request.tenant_id, request.account_id) for request in requests]
    args: list[str | int] = []
    for request in requests:
        lifetime = stale_after(request.interim_interval)
        args += (request.slot, request.nas_id, request.calling_station_id, request.limit, lifetime)
    return keys, args


def _call(changes: Sequence[Change]) -> tuple[list[str], list[str | int]]:
    args: list[str | int] = [value for _, values in changes for value in values]
    return [key for key, _ in changes], args


async def _quietly(kv: Kv, keys: list[str], args: list[str | int]) -> None:
    if not keys:
        return
    try:
        await kv.run(_TRACK_ALONE, keys, args)
    except Unavailable:
        return  # Redis is away: the slots are rebuilt or lapse
