"""Concurrency: how many sessions an account has open or pending, counted atomically for every worker of a pool.

Each account has a hash in Redis with one field a slot: ``p:<slot token>`` for an accepted login that has not sent its
Accounting Start, ``o:<session key>`` for an open session, ``x:<session key>`` for one that just ended, so that a late
packet does not bring it back. A value is ``<expires><since><lifetime><nas_id>|<calling station>``, the first three with
leading zeros, so that nothing needs to be taken apart to be compared. Every slot lapses by itself: nobody is locked out
for good by a device that never says Stop.

What is asked for many accounts goes to Redis as one JSON array and comes back as one text: both ends read that in C.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from saas.errors import Unavailable
from saas.kv import Kv
from saas.tenants.accounting import AcctEvent, Row, event_key, stale_after
from saas.tenants.fanout import each_tenant
from saas.tenants.scope import PlatformScope, Scope

PENDING = 60  # seconds that an accepted login may take to send its Accounting Start
KICKS = "kicks"  # the stream of sessions that gave way: tenant id and session key, see saas.tenants.kicks
_ENDED = 120  # seconds that packets of an ended session may come late
_DEFAULT_LIFETIME = stale_after(600)  # of a session whose login we never saw
_BUILT = "slots:built"  # there while Redis holds what the sessions say
_BUILT_TTL = 10 * 365 * 86400
_BATCH = 500

_COMMON = """
local call, sub, format = redis.call, string.sub, string.format
local now = tonumber(call('TIME')[1])
local now_text = format('%010d', now)

local function put(key, field, lasts, since, lifetime, device)
  -- joined and not formatted: a format ends at a zero octet in the text of a device
  call('HSET', key, field, format('%010d', now + lasts) .. since .. format('%08d', lifetime) .. device)
  if call('TTL', key) < lasts then call('EXPIRE', key, lasts + 3600) end
end

-- Lua takes no more than 8,000 values from a list at once
local function forget(key, fields)
  for i = 1, #fields, 1000 do call('HDEL', key, unpack(fields, i, math.min(i + 999, #fields))) end
end
"""

# Changes are arrays: key, operation, session key, lifetime (0: as before), device, slot.
TRACK = (
    _COMMON
    + """
-- the pending slot of a login that carried no token here: the one of the same device and calling station
local function pending_of(key, device)
  local flat = call('HGETALL', key)
  for i = 1, #flat, 2 do
    if sub(flat[i], 1, 2) == 'p:' and sub(flat[i + 1], 29) == device then return flat[i], flat[i + 1] end
  end
end

local function live(key, op, sid, lifetime, device, slot)
  local found = call('HMGET', key, 'x:' .. sid, 'o:' .. sid, 'p:' .. slot)
  if found[1] and sub(found[1], 1, 10) > now_text then return end
  local pending, known = found[3] and 'p:' .. slot, found[2] or found[3]
  if not known and op == 'start' then pending, known = pending_of(key, device) end
  if lifetime == 0 then lifetime = known and tonumber(sub(known, 21, 28)) or 0 end
  if lifetime == 0 then lifetime = DEFAULT_LIFETIME end
  if pending then call('HDEL', key, pending) end
  put(key, 'o:' .. sid, lifetime, known and sub(known, 11, 20) or now_text, lifetime, device)
end

local function track(key, op, sid, lifetime, device, slot)
  if op == 'start' or op == 'interim' then
    live(key, op, sid, lifetime, device, slot)
  elseif op == 'free' then
    call('HDEL', key, 'o:' .. sid)
  else
    call('HDEL', key, 'o:' .. sid, 'p:' .. slot)
    put(key, 'x:' .. sid, ENDED, now_text, 0, device)
  end
end

local function track_all(changes)
  for _, change in ipairs(cjson.decode(changes)) do track(unpack(change)) end
end
""".replace("DEFAULT_LIFETIME", str(_DEFAULT_LIFETIME)).replace("ENDED", str(_ENDED))
)
_TRACK_ALONE = TRACK + "track_all(ARGV[1])"

# Requests are arrays: key, slot, device, limit, lifetime, and the tenant's id where the oldest sessions give way to a
# newcomer, "" where they do not. The answer is their counts with commas between them.
_RESERVE = (
    _COMMON
    + """
-- What counts against a login: neither its own device, where the station is known, nor the slot that it has already.
local function look(key, flat, mine, slot)
  local count, seen, gone, own, returns = 0, {}, {}, {}, sub(mine, -1) ~= '|'
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local kind, device = sub(field, 1, 1), sub(value, 29)
    if sub(value, 1, 10) <= now_text then
      gone[#gone + 1] = field
    elseif kind ~= 'x' and (returns and device == mine or field == slot) then
      if kind == 'p' then own[#own + 1] = field end
    elseif kind ~= 'x' and not seen[device] then
      count, seen[device] = count + 1, sub(device, -1) ~= '|'
    end
  end
  forget(key, gone)
  return count, own
end

-- The oldest sessions give their slots up, those of `surplus` devices, and go on the list of what is to be forced off.
-- A login whose session has not begun cannot be forced off and keeps its slot. Whether there were enough.
local function make_room(key, flat, mine, surplus, tenant)
  local devices, order, pending = {}, {}, {}
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local kind, device, since = sub(field, 1, 1), sub(value, 29), sub(value, 11, 20)
    local unit, lives = sub(device, -1) ~= '|' and device or field, sub(value, 1, 10) > now_text
    if lives and kind == 'p' then pending[unit] = true end
    if lives and kind == 'o' and (unit == field or device ~= mine) then
      if not devices[unit] then
        devices[unit] = {since = since}
        order[#order + 1] = unit
      end
      local found = devices[unit]
      if since < found.since then found.since = since end
      found[#found + 1] = {field, device}
    end
  end
  local going = {}
  for _, unit in ipairs(order) do
    if not pending[unit] then going[#going + 1] = unit end
  end
  if #going < surplus then return false end
  table.sort(going, function(a, b) return devices[a].since < devices[b].since end)
  for n = 1, surplus do
    for _, session in ipairs(devices[going[n]]) do
      local sid = sub(session[1], 3)
      call('HDEL', key, session[1])
      put(key, 'x:' .. sid, ENDED, now_text, 0, session[2])
      call('XADD', 'KICKS', 'MAXLEN', '~', 10000, '*', 'd', cjson.encode({tenant, sid}))
    end
  end
  return true
end

local answers = {}
for i, request in ipairs(cjson.decode(ARGV[1])) do
  local key, slot, device, limit, lifetime, kicks = unpack(request)
  local flat = call('HGETALL', key)
  local count, own = look(key, flat, device, 'p:' .. slot)
  if count >= limit and kicks ~= '' and make_room(key, flat, device, count - limit + 1, kicks) then
    count = limit - 1
  end
  if count < limit then
    forget(key, own)
    put(key, 'p:' .. slot, PENDING, now_text, lifetime, device)
  end
  answers[i] = count
end
return table.concat(answers, ',')
""".replace("PENDING", str(PENDING))
    .replace("ENDED", str(_ENDED))
    .replace("KICKS", KICKS)
)


class SlotRequest(NamedTuple):
    """An attempt that has passed every other rule and wants one of the account's sessions.

    `slot` is a fresh token, unique in the cloud; it travels to the device in Class and comes back with accounting.
    """

    tenant_id: str
    account_id: str
    slot: str
    nas_id: str
    calling_station_id: str  # "" = unknown: such a device is never taken for one that returns
    limit: int  # 0 = unlimited
    interim_interval: int  # seconds; a session silent for three of them no longer counts
    kicks: bool = False  # at the limit the oldest session gives way, if it has begun


async def reserve(ps: PlatformScope, requests: Sequence[SlotRequest]) -> list[int | None]:
    """Count each account's sessions of other devices, and take a pending slot where that is below the limit.

    The answers are what LoginRequest.sessions wants: at or above the limit nothing was reserved. Sessions from one
    calling station at one NAS count once, and those that gave way (`kicks`) no longer. None: Redis is away, nothing was
    counted. An unlimited account is not counted: 0.
    """
    limited = [request for request in requests if request.limit]
    try:
        counts = await _reserve(ps.kv, limited) if limited else []
    except Unavailable:
        return [None if request.limit else 0 for request in requests]
    answers = iter(counts)
    return [next(answers) if request.limit else 0 for request in requests]


async def occupied(scope: Scope, account_id: str, nas_id: str = "", calling_station_id: str = "") -> int | None:
    """How many sessions would count against a login of this device now; None when Redis is away. Reserves nothing."""
    look = SlotRequest(scope.tenant_id, account_id, "", nas_id, calling_station_id, -1, 0)
    try:
        return (await _reserve(scope.services.kv, [look]))[0]
    except Unavailable:
        return None


def changes_of(events: Sequence[AcctEvent]) -> str:
    """The argument for `track_all` of TRACK: what these events do to the slots of known accounts."""
    return json.dumps(_of_events(events))


async def track(ps: PlatformScope, events: Sequence[AcctEvent]) -> None:
    """Let events that were journalled while Redis was away take effect. Best effort."""
    await _quietly(ps.kv, _of_events(events))


async def free(scope: Scope, rows: Sequence[Row]) -> None:
    """Sessions that we closed ourselves no longer count; an interim update brings one back. Best effort."""
    changes = [_of_row(scope.tenant_id, row, "free", 0) for row in rows if row["account_id"]]
    await _quietly(scope.services.kv, changes)


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
            await scope.services.kv.run(_TRACK_ALONE, [], [json.dumps(changes)])
        if len(rows) < _BATCH:
            return 1
        after = rows[-1]["_id"]


Change = tuple[str, str, str, int, str, str]  # as TRACK takes them


def _key(tenant_id: str, account_id: str) -> str:
    return f"t:{tenant_id}:slots:{account_id}"


def _of_events(events: Sequence[AcctEvent]) -> list[Change]:
    return [
        (
            _key(event.tenant_id, event.account_id),
            event.status,
            event_key(event),
            0,
            f"{event.nas_id}|{event.calling_station_id}",
            event.slot,
        )
        for event in events
        if event.account_id and event.status not in ("on", "off")
    ]


def _of_row(tenant_id: str, row: Row, op: str, lifetime: int) -> Change:
    device = f"{row['nas_id']}|{row['calling_station_id']}"
    return _key(tenant_id, row["account_id"]), op, row["key"], lifetime, device, ""


async def _reserve(kv: Kv, requests: Sequence[SlotRequest]) -> list[int]:
    asked = [
        (
            _key(request.tenant_id, request.account_id),
            request.slot,
            f"{request.nas_id}|{request.calling_station_id}",
            request.limit,
            stale_after(request.interim_interval),
            request.tenant_id if request.kicks else "",
        )
        for request in requests
    ]
    answer = await kv.run(_RESERVE, [], [json.dumps(asked)])
    return [int(count) for count in answer.split(b",")]


async def _quietly(kv: Kv, changes: Sequence[Change]) -> None:
    if not changes:
        return
    try:
        await kv.run(_TRACK_ALONE, [], [json.dumps(changes)])
    except Unavailable:
        return  # Redis is away: the slots are rebuilt or lapse
