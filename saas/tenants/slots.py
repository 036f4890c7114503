"""Concurrency: how many sessions an account has open or pending, counted atomically for every worker of a pool.

Each account has a hash in Redis with one field a slot: ``p:<slot token>`` for an accepted login that has not sent its
Accounting Start, ``o:<session key>`` for an open session, ``x:<session key>`` for one that just ended, so that a late
packet does not bring it back. A value is ``<expires><since><lifetime><device and calling station>``, the first three
with leading zeros, so that nothing needs to be taken apart to be compared. Every slot lapses by itself: nobody is
locked out for good by a device that never says Stop.

They may be lost, and are rebuilt then from the open sessions; so they need no disk, and have a Redis of their own where
one is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from saas.errors import Unavailable
from saas.kv import Kv
from saas.tenants import slot_scripts
from saas.tenants.accounting import AcctEvent, Row, event_key, stale_after
from saas.tenants.fanout import each_tenant
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.slot_scripts import KICKS, PENDING, RESERVE

__all__ = ["KICKS", "PENDING", "Counted", "SlotRequest"]
__all__ += ["built", "free", "occupied", "rebuild", "rebuild_all", "reserve", "track"]

_BUILT = "slots:built"  # there while Redis holds what the sessions say
_BUILT_TTL = 10 * 365 * 86400
_BATCH = 500
PATIENCE = 1.0  # seconds that the counting may take: devices repeat after one or more

_TRACK = slot_scripts.track(stale_after(600))


class Counted:
    """An account whose sessions are counted: what the script is told of it each time, and where it called from last."""

    __slots__ = ("_device", "_nas_id", "_station", "head", "tail")

    def __init__(self, tenant_id: str, account_id: str, limit: int, interim_interval: int, kicks: bool = False) -> None:
        """A session silent for three intervals, in seconds, no longer counts. `kicks`: at the limit the oldest session
        gives way, if it has begun.
        """
        self.head = f"{_key(tenant_id, account_id)}\n"
        self.tail = f"\n{limit}\n{stale_after(interim_interval):08d}\n{tenant_id if kicks else ''}\n"
        self._nas_id, self._station, self._device = "", "", _device("", "")

    def device(self, nas_id: str, calling_station_id: str) -> str:
        """What the script calls this station at this device."""
        if self._nas_id != nas_id or self._station != calling_station_id:
            self._nas_id, self._station = nas_id, calling_station_id
            self._device = _device(nas_id, calling_station_id)
        return self._device


class SlotRequest:
    """An attempt that has passed every other rule and wants one of the account's sessions."""

    __slots__ = ("line",)

    def __init__(self, account: Counted, slot: str, nas_id: str, calling_station_id: str) -> None:
        """`slot` is a fresh token, unique in the cloud; it travels to the device in Class and comes back with
        accounting. Without a calling station a device is never taken for one that returns.
        """
        self.line = f"{account.head}{slot}\n{account.device(nas_id, calling_station_id)}{account.tail}"


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
    look = SlotRequest(Counted(scope.tenant_id, account_id, -1, 0), "", nas_id, calling_station_id)
    try:
        return (await _reserve(scope.services.counting, [look]))[0]
    except Unavailable:
        return None


async def track(ps: PlatformScope, events: Sequence[AcctEvent]) -> None:
    """Let events take effect on the slots of known accounts. Best effort: slots lapse, or are rebuilt."""
    await _quietly(ps.slots, _of_events(events))


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
    lifetime = stale_after(scope.tenant["parameters"]["interim_interval"])
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


def _change(tenant_id: str, account_id: str, op: str, session: str, lifetime: int, device: str, slot: str) -> str:
    return f"{_key(tenant_id, account_id)}\n{op}\n{session}\n{lifetime:08d}\n{device}\n{slot}\n"


def _of_events(events: Sequence[AcctEvent]) -> list[str]:
    return [
        _change(
            event.tenant_id,
            event.account_id,
            event.status,
            event_key(event),
            0,
            _device(event.nas_id, event.calling_station_id),
            event.slot,
        )
        for event in events
        if event.account_id and event.status not in ("on", "off")
    ]


def _of_row(tenant_id: str, row: Row, op: str, lifetime: int) -> str:
    device = _device(row["nas_id"], row["calling_station_id"])
    return _change(tenant_id, row["account_id"], op, row["key"], lifetime, device, "")


async def _reserve(kv: Kv, requests: Sequence[SlotRequest]) -> list[int]:
    answer = await kv.run(RESERVE, [], ["".join([request.line for request in requests])], PATIENCE)
    return [int(count) for count in answer.split(b",")]


async def _quietly(kv: Kv, changes: Sequence[str]) -> None:
    if not changes:
        return
    try:
        await kv.run(_TRACK, [], ["".join(changes)], PATIENCE)
    except Unavailable:
        return  # Redis is away: the slots are rebuilt or lapse
