"""Concurrency: how many sessions an account has open or pending, counted atomically for every worker of a pool.

Each account has a hash in Redis with one field a slot: ``p:<device>`` for an accepted login that has not sent its
Accounting Start (``p:<token>`` where its station is not known), ``o:<session key>`` for an open session,
``x:<session key>`` for one that just ended, so that a late packet does not bring it back. A value is
``<expires><since><lifetime><device and calling station>``, and the token of a ``p:<device>``; the first three have
leading zeros, so that nothing needs to be taken apart to be compared. Every slot lapses by itself: nobody is locked out
for good by a device that never says Stop.

A login puts its slot, where its device has none, and looks at all others then, by two plain commands. Who is below the
limit with his own slot among them is in, whatever others do meanwhile: they see it. All else the script decides on, one
after the other: who is at the limit; who finds a slot of his device that may not be let in yet, or that lapses soon;
who comes after somebody was refused, so that one who tries all the time keeps nobody out who may come in.

They may be lost, and are rebuilt then from the open sessions; so they need no disk, and have a Redis of their own where
one is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from sys import intern
from types import MappingProxyType
from typing import Any

from saas.errors import Unavailable
from saas.kv import Kv, packed
from saas.tenants import slot_scripts
from saas.tenants.accounting import AcctEvent, Row, event_key, stale_after
from saas.tenants.fanout import each_tenant
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.slot_scripts import KICKS, PENDING, RESERVE, SPARE

__all__ = ["KICKS", "PENDING", "Counted", "SlotRequest"]
__all__ += ["built", "free", "occupied", "rebuild", "rebuild_all", "reserve", "track"]

_BUILT = "slots:built"  # there while Redis holds what the sessions say
_BUILT_TTL = 10 * 365 * 86400
_BATCH = 500
_ENDED = b"00000000"  # the lifetime that the field of an ended session tells
_LITTER = 16  # lapsed fields of a hash that the script is to sweep out
_STATION = 16  # characters of a device and a station that is known
_UNKNOWN_SILENCE = 1860  # seconds, where neither the tenant's nor that of a login is known
_PREFIX = 12  # characters that tokens of one process have in common
PATIENCE = 1.0  # seconds that the counting may take: devices repeat after one or more

_TRACK = slot_scripts.track(_UNKNOWN_SILENCE)
_undecided: set[str] = set()  # tokens of this process whose slots are put, and which the script is asked about


class Counted:
    """An account whose sessions are counted: what is told of it each time, and where it called from last."""

    __slots__ = ("_device", "_nas_id", "_station", "full", "key", "lifetime", "limit", "lives", "tenant")

    def __init__(self, tenant_id: str, account_id: str, limit: int, silence: int, kicks: bool = False) -> None:
        """A session silent for so many seconds no longer counts. `kicks`: at the limit the oldest session gives way, if
        it has begun.
        """
        self.key = _key(tenant_id, account_id)
        self.limit = limit
        self.lifetime = intern(f"{silence:08d}")
        self.tenant = tenant_id if kicks else ""
        self.full = False  # somebody was refused, and nobody let in since
        self.lives = 0  # until this second its hash is known not to lapse
        self._nas_id, self._station, self._device = "", "", _NOWHERE

    def device(self, nas_id: str, calling_station_id: str) -> str:
        """What this station at this device is called."""
        if self._nas_id != nas_id or self._station != calling_station_id:
            self._nas_id, self._station = nas_id, calling_station_id
            self._device = _device(nas_id, calling_station_id)
        return self._device


class SlotRequest:
    """An attempt that has passed every other rule and wants one of the account's sessions."""

    __slots__ = ("account", "device", "slot")

    def __init__(self, account: Counted, slot: str, nas_id: str, calling_station_id: str) -> None:
        """`slot` is a fresh token, unique in the cloud, those of one process the same in their first 12 characters;
        it travels to the device in Class and comes back with accounting. `reserve` changes it where the device has a
        slot already. Without a calling station a device is never taken for one that returns.
        """
        self.account, self.slot = account, slot
        self.device = account.device(nas_id, calling_station_id)

    def field(self) -> str:
        """Where its slot is put."""
        return f"p:{self.device}" if len(self.device) == _STATION else f"p:{self.slot}"

    def commands(self, moments: str) -> str:
        """Put it there, where nothing is, and tell all that the account has. `moments`: when it expires, since when it
        is. Packed by hand, all of it ASCII: that takes half the time.
        """
        account, field = self.account, self.field()
        known = len(self.device) == _STATION
        value = f"{moments}{account.lifetime}{self.device}{self.slot if known else ''}"
        key = f"${len(account.key)}\r\n{account.key}\r\n"
        return (
            f"*4\r\n$6\r\nHSETNX\r\n{key}${len(field)}\r\n{field}\r\n${len(value)}\r\n{value}\r\n"
            f"*2\r\n$5\r\nHVALS\r\n{key}"
        )

    def line(self, put: bool) -> str:
        """What the script is told; `put`: its slot is there, and was not before."""
        account = self.account
        return (
            f"{account.key}\n{self.field()}\n{self.slot}\n{'1' if put else ''}\n{self.device}\n"
            f"{account.limit}\n{account.lifetime}\n{account.tenant}\n"
        )


async def reserve(ps: PlatformScope, requests: Sequence[SlotRequest]) -> list[int] | None:
    """Count each account's sessions of other devices, and take a pending slot where that is below the limit.

    The answers are what LoginRequest.sessions wants: at or above the limit nothing was reserved. Sessions from one
    calling station at one NAS count once, and those that gave way no longer. None: Redis is away, nothing was counted.
    """
    try:
        return await _reserve(ps.slots, requests) if requests else []
    except Unavailable:
        return None


async def occupied(scope: Scope, account_id: str, nas_id: str = "", calling_station_id: str = "") -> int | None:
    """How many sessions would count against a login of this device now; None when Redis is away. Reserves nothing."""
    kv = scope.services.counting
    try:
        moment = _text(await kv.now()).encode()
        [values] = await kv.many(packed("HVALS", _key(scope.tenant_id, account_id)), 1, PATIENCE)
    except Unavailable:
        return None
    return _look(values, moment, _device(nas_id, calling_station_id).encode()).count


async def track(
    ps: PlatformScope, events: Sequence[AcctEvent], silences: Mapping[str, int] = MappingProxyType({})
) -> None:
    """Let events take effect on the slots of known accounts. Best effort: slots lapse, or are rebuilt.

    `silences`: after how many seconds of it a tenant's sessions no longer count; of the others it is as at the login.
    """
    await _quietly(ps.slots, _of_events(events, silences))


async def free(scope: Scope, rows: Sequence[Row]) -> None:
    """Sessions that we closed ourselves no longer count; an interim update brings one back. Best effort."""
    changes = [_of_row(scope.tenant_id, row, "free", 0) for row in rows if row["account_id"]]
    await _quietly(scope.services.counting, changes)


async def built(ps: PlatformScope) -> bool:
    """False after Redis lost its data: then `rebuild_all`."""
    return bool(await ps.slots.get(_BUILT))


async def rebuild_all(ps: PlatformScope) -> int:
    """Rebuild the slots of every tenant; of how many."""
    done, after = 0, ""
    while tenants := await ps.db.tenants.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=_BATCH, fields=["_id"]):
        after = tenants[-1]["_id"]
        done += await each_tenant(ps, "slots", {row["_id"]: None for row in tenants}, lambda scope, _: rebuild(scope))
    await ps.slots.put(_BUILT, True, _BUILT_TTL)
    return done


async def rebuild(scope: Scope) -> int:
    """Count every open session of the tenant again; those that are counted already stay so. Unavailable."""
    lifetime = stale_after(scope.tenant["parameters"])
    after = ""
    while True:
        rows = await scope.db.online.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=_BATCH)
        changes = [_of_row(scope.tenant_id, row, "interim", lifetime) for row in rows if row["account_id"]]
        if changes:
            await scope.services.counting.run(_TRACK, [], ["".join(changes)])
        if len(rows) < _BATCH:
            return 1
        after = rows[-1]["_id"]


def _key(tenant_id: str, account_id: str) -> str:
    return f"t:{tenant_id}:slots:{account_id}"


def _device(nas_id: str, calling_station_id: str) -> str:
    """A device and a station at it in 16 characters, and "|" behind them where the station is not known."""
    digest = blake2b(f"{nas_id}|{calling_station_id}".encode(), digest_size=8).hexdigest()
    return digest if calling_station_id else f"{digest}|"


_NOWHERE = _device("", "")


def _text(moment: float) -> str:
    return f"{int(moment):010d}"


def _change(tenant_id: str, account_id: str, op: str, session: str, lifetime: int, device: str, slot: str) -> str:
    return f"{_key(tenant_id, account_id)}\n{op}\n{session}\n{lifetime:08d}\n{device}\n{slot}\n"


def _of_events(events: Sequence[AcctEvent], silences: Mapping[str, int]) -> list[str]:
    return [
        _change(
            event.tenant_id,
            event.account_id,
            event.status,
            event_key(event),
            silences.get(event.tenant_id, 0),
            _device(event.nas_id, event.calling_station_id),
            event.slot,
        )
        for event in events
        if event.account_id and event.status not in ("on", "off")
    ]


def _of_row(tenant_id: str, row: Row, op: str, lifetime: int) -> str:
    device = _device(row["nas_id"], row["calling_station_id"])
    return _change(tenant_id, row["account_id"], op, row["key"], lifetime, device, "")


class _Sight:
    """What a login sees: sessions that count against it, fields that lapsed, the pending slot that its device has."""

    __slots__ = ("count", "lapsed", "own")

    def __init__(self) -> None:
        self.count, self.lapsed, self.own = 0, 0, b""


async def _reserve(kv: Kv, requests: Sequence[SlotRequest]) -> list[int]:
    now = int(await kv.now())
    full = [request.account.full for request in requests]  # may change while we wait
    plain = [request for request, asks in zip(requests, full, strict=True) if not asks]
    answers = await _put(kv, plain, now) if plain else []
    moment, young = _text(now).encode(), _text(now - PENDING // 2).encode()
    counts: list[int] = []
    asking: list[tuple[int, SlotRequest, bool]] = []
    place = 0
    for index, request in enumerate(requests):
        if full[index]:
            asking.append((index, request, False))
            counts.append(0)
            continue
        put = answers[place] == 1
        sight = _look(answers[place + 1], moment, request.device.encode())
        place += 2
        if len(request.device) != _STATION:
            sight.count -= 1  # its own
        counts.append(sight.count)
        at_once = sight.count < request.account.limit and sight.lapsed < _LITTER
        if not at_once or not (put or _share(request, sight.own, young)):
            asking.append((index, request, put))
    if asking:
        await _ask(kv, asking, counts)
    return counts


async def _put(kv: Kv, requests: Sequence[SlotRequest], now: int) -> list[Any]:
    """Put the slot of each and look at all that its account has: two answers each, and some that tell nothing."""
    moments = f"{_text(now + PENDING)}{_text(now)}"
    commands: list[str] = []
    aging: list[Counted] = []
    for request in requests:
        commands.append(request.commands(moments))
        if request.account.lives < now + PENDING:
            aging.append(request.account)
    octets, count = "".join(commands).encode(), 2 * len(requests)
    for account in aging:  # whichever applies: the hash lives as long as it did, or that long
        octets += packed("EXPIRE", account.key, PENDING + SPARE, "NX") + packed(
            "EXPIRE", account.key, PENDING + SPARE, "GT"
        )
        count += 2
    answers = await kv.many(octets, count, PATIENCE)
    for account in aging:
        account.lives = now + PENDING + SPARE
    return answers


def _share(request: SlotRequest, own: bytes, young: bytes) -> bool:
    """Whether the pending slot that the device has already serves this login too: one that is in, as we know for sure
    of our own alone, and does not lapse soon.
    """
    token = own[28 + _STATION :].decode()
    if own[10:20] <= young or token[:_PREFIX] != request.slot[:_PREFIX] or token in _undecided:
        return False
    request.slot = token
    return True


async def _ask(kv: Kv, asking: Sequence[tuple[int, SlotRequest, bool]], counts: list[int]) -> None:
    """Let the script decide on these, each with its place in `counts`."""
    tokens = {request.slot for _, request, put in asking if put}
    _undecided.update(tokens)
    try:
        text = "".join([request.line(put) for _, request, put in asking])
        answer = await kv.run(RESERVE, [], [text], PATIENCE)
    finally:
        _undecided.difference_update(tokens)
    for (index, request, _), count in zip(asking, answer.split(b","), strict=True):
        counts[index] = int(count)
        request.account.full = counts[index] >= request.account.limit


def _look(values: Sequence[bytes], moment: bytes, mine: bytes) -> _Sight:
    """What a login of the device `mine` sees in a hash; where its station is not known, its own slot counts."""
    sight = _Sight()
    seen: list[bytes] = []
    for value in values:
        if value[:10] <= moment:
            sight.lapsed += 1
        elif value[20:28] == _ENDED or len(value) < 28 + _STATION:  # the latter: until when the hash lives
            continue
        elif value[28 + _STATION : 29 + _STATION] == b"|":
            sight.count += 1
        else:
            device = value[28 : 28 + _STATION]
            if device == mine:
                sight.own = value if len(value) > 28 + _STATION else sight.own
            elif device not in seen:
                seen.append(device)
                sight.count += 1
    return sight


async def _quietly(kv: Kv, changes: Sequence[str]) -> None:
    if not changes:
        return
    try:
        await kv.run(_TRACK, [], ["".join(changes)], PATIENCE)
    except Unavailable:
        return  # Redis is away: the slots are rebuilt or lapse
