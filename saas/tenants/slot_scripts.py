"""What Redis does with the slots of accounts, in Lua; saas/tenants/slots.py tells what a slot is.

A log-in below its account's limit needs none of it: a script costs Redis twice what plain commands do.

Arguments are lines, so many for each request: Lua takes them apart several times faster than JSON. No field may hold
the end of a line. A hash lapses by itself an hour after its last slot would; the field "~" says when, so that the
server need not be asked each time. Values have less than 64 octets: Redis keeps a hash of such ones packed.
"""

from __future__ import annotations

from typing import Final

PENDING: Final = 60  # seconds that an accepted login may take to send its Accounting Start
KICKS: Final = "kicks"  # the stream of sessions that gave way: tenant id and session key, see saas.tenants.kicks
_ENDED = 120  # seconds that packets of an ended session may come late
SPARE: Final = 3600  # seconds that a hash outlives its slots

_COMMON = """
local call, sub, format = redis.call, string.sub, string.format
local now = tonumber(call('TIME')[1])
local moments = {}

-- the moment in so many seconds, ten digits: such texts compare as the numbers do
local function moment(seconds)
  local text = moments[seconds]
  if not text then
    text = format('%010d', now + seconds)
    moments[seconds] = text
  end
  return text
end
local now_text = moment(0)

-- the device and the station that a value tells of; a "|" behind means that the station is not known
local function station(value)
  return sub(value, 29, sub(value, 45, 45) == '|' and 45 or 44)
end

-- `life`: the field "~" of the hash
local function put(key, life, field, lasts, since, lifetime, device)
  local value = moment(lasts) .. since .. lifetime .. device
  if life and life > moment(lasts) then
    call('HSET', key, field, value)
  else
    call('HSET', key, field, value, '~', moment(lasts + SPARE))
    call('EXPIRE', key, lasts + SPARE)
  end
end

-- Lua takes no more than 8,000 values from a list at once
local function forget(key, fields)
  for i = 1, #fields, 1000 do call('HDEL', key, unpack(fields, i, math.min(i + 999, #fields))) end
end
""".replace("SPARE", str(SPARE))

# Changes are lines: key, operation, session key, lifetime (8 digits, zeros: as before), device, slot.
_TRACK = """
-- Where the pending slot of a login is: that of its token, or, of a device that echoes none, that of its station.
local function pending_of(key, device, slot)
  local flat = call('HGETALL', key)
  for i = 1, #flat, 2 do
    if sub(flat[i], 1, 2) == 'p:' then
      local value = flat[i + 1]
      if slot == '' and station(value) == device or slot ~= '' and sub(value, 45) == slot then
        return flat[i], value
      end
    end
  end
end

local function live(key, op, sid, lifetime, device, slot)
  local found = call('HMGET', key, 'x:' .. sid, 'o:' .. sid, 'p:' .. device, 'p:' .. slot, '~')
  if found[1] and sub(found[1], 1, 10) > now_text then return end
  local same = found[3] and slot ~= '' and sub(found[3], 45) == slot
  local pending, known = found[4] and 'p:' .. slot or same and 'p:' .. device, found[2] or found[4] or found[3]
  if not pending and not found[2] and op == 'start' then
    local value
    pending, value = pending_of(key, device, slot)
    known = value or known
  end
  if lifetime == '00000000' then lifetime = known and sub(known, 21, 28) or lifetime end
  if lifetime == '00000000' then lifetime = DEFAULT end
  if pending then call('HDEL', key, pending) end
  put(key, found[5], 'o:' .. sid, tonumber(lifetime), known and sub(known, 11, 20) or now_text, lifetime, device)
end

for key, op, sid, lifetime, device, slot in string.gmatch(ARGV[1], string.rep('([^\\n]*)\\n', 6)) do
  if op == 'start' or op == 'interim' then
    live(key, op, sid, lifetime, device, slot)
  elseif op == 'free' then
    call('HDEL', key, 'o:' .. sid)
  else
    local found = call('HMGET', key, 'p:' .. device, '~')
    local same = found[1] and slot ~= '' and sub(found[1], 45) == slot
    call('HDEL', key, 'o:' .. sid, same and 'p:' .. device or 'p:' .. slot)
    put(key, found[2], 'x:' .. sid, ENDED, now_text, '00000000', device)
  end
end
"""

# Of those whom the plain commands cannot let in. Requests are lines: key, the slot's field, its token, "1" where the
# plain commands have put it, device, limit, lifetime (8 digits), and the tenant's id where the oldest sessions give way
# to a newcomer, "" where they do not. The answer is their counts with commas between them. Others who ask may have put
# their slots as well: so somebody who is refused is told of what is open, and of the limit at least.
_RESERVE = """
local none = {}  -- stays empty

local function add(list, value)
  if list == none then return {value} end
  list[#list + 1] = value
  return list
end

-- What counts against a login, and how much of it is open: neither its own device, where the station is known, nor the
-- slot that it has already.
local function look(key, flat, mine, own_field)
  local count, open, life, seen, gone, own, returns = 0, 0, nil, {}, none, none, sub(mine, -1) ~= '|'
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local kind, device = sub(field, 1, 1), station(value)
    if kind == '~' then
      life = value
    elseif sub(value, 1, 10) <= now_text then
      gone = add(gone, field)
    elseif kind ~= 'x' and (returns and device == mine or field == own_field) then
      if kind == 'p' then own = add(own, field) end
    elseif kind ~= 'x' and not seen[device] then
      count, seen[device] = count + 1, sub(device, -1) ~= '|'
      if kind == 'o' then open = open + 1 end
    end
  end
  forget(key, gone)
  return count, open, own, life
end

-- The oldest sessions give their slots up, those of `surplus` devices, and go on the list of what is to be forced off.
-- A login whose session has not begun cannot be forced off and keeps its slot. Whether there were enough.
local function make_room(key, flat, life, mine, surplus, tenant)
  local devices, order, pending = {}, {}, {}
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local kind, device, since = sub(field, 1, 1), station(value), sub(value, 11, 20)
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
      put(key, life, 'x:' .. sid, ENDED, now_text, '00000000', session[2])
      call('XADD', 'KICKS', 'MAXLEN', '~', 10000, '*', 'd', cjson.encode({tenant, sid}))
    end
  end
  return true
end

local line = string.rep('([^\\n]*)\\n', 8)
for key, field, slot, put_before in string.gmatch(ARGV[1], line) do  -- it keeps nobody out before it is decided on
  if put_before ~= '' and (field == 'p:' .. slot or sub(call('HGET', key, field) or '', 45) == slot) then
    call('HDEL', key, field)
  end
end
local answers = {}
for key, field, slot, _, device, limit, lifetime, kicks in string.gmatch(ARGV[1], line) do
  local flat = call('HGETALL', key)
  local count, open, own, life = look(key, flat, device, field)
  limit = tonumber(limit)
  if count >= limit and kicks ~= '' and make_room(key, flat, life, device, count - limit + 1, kicks) then
    count = limit - 1
  end
  if count < limit then
    forget(key, own)
    put(key, life, field, PENDING, now_text, lifetime, field == 'p:' .. slot and device or device .. slot)
  else
    count = math.max(limit, open)
  end
  answers[#answers + 1] = count
end
return table.concat(answers, ',')
"""


def track(default_lifetime: int) -> str:
    """The script that follows accounting; `default_lifetime` in seconds, of a session whose login was never seen."""
    return _COMMON + _TRACK.replace("DEFAULT", f"'{default_lifetime:08d}'").replace("ENDED", str(_ENDED))


RESERVE: Final = _COMMON + (
    _RESERVE.replace("PENDING", str(PENDING)).replace("ENDED", str(_ENDED)).replace("KICKS", KICKS)
)
