"""The accounting journal: what a device reports is durable here before it is answered (RFC 2866 section 4.1).

Written by the engines: one group write into the pool's Redis stream or, while Redis is away, one document into the
`journal` collection. Read by the job, oldest first from both, and removed only after it has been applied: after a crash
events are read again, never lost.

A group is JSON: ``[format, [event, …]]``, each event an array of the fields of AcctEvent in their order.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import NamedTuple

import orjson

from saas.errors import Unavailable
from saas.kv import Entry
from saas.tenants import slots
from saas.tenants.accounting import AcctEvent
from saas.tenants.lines import Learnt
from saas.tenants.refusals import Refusal, UnknownNas
from saas.tenants.scope import PlatformScope
from saas.values import new_id

__all__ = ["AcctEvent", "Group", "Note", "Reading", "Refusal", "Unavailable", "UnknownNas"]
__all__ += ["note", "read", "record", "remove"]

Note = Refusal | UnknownNas | Learnt

log = logging.getLogger(__name__)

_FORMAT = 1
_POOLS = "pools"  # the set of pools that have written
_PATIENCE = 1.0  # seconds that Redis gets before the other store is used: devices repeat after three
_STREAM_LIMIT = 64  # groups fetched from a stream at a time
_ENOUGH = 10_000  # events that are read from a stream before they are applied
_FALLBACK_LIMIT = 32
_NOTES = 50  # that are written together: one by one they cost an engine a hundredth of its time
_NOTES_KEPT = 2_000  # such groups
_NOTES_READ = 50

# KEYS: the stream, the set of pools; ARGV: the group, the pool
_RECORD = """
redis.call('XADD', KEYS[1], '*', 'd', ARGV[1])
redis.call('SADD', KEYS[2], ARGV[2])
return 1
"""


class Group(NamedTuple):
    """Events that were written together. `events` is empty and `error` says why when they cannot be read."""

    stream: str  # "" = it lies in the fallback collection
    id: str
    received: float  # of the first event
    events: tuple[AcctEvent, ...]
    data: bytes
    error: str = ""


async def record(
    ps: PlatformScope, pool: str, events: Sequence[AcctEvent], silences: Mapping[str, int] = MappingProxyType({})
) -> None:
    """Make events durable in one write; only then may they be answered. Unavailable when no store takes them.

    `silences` as in slots.track.
    """
    if not events:
        return
    await asyncio.gather(_record(ps, pool, events), _count(ps, pool, events, silences))


async def _record(ps: PlatformScope, pool: str, events: Sequence[AcctEvent]) -> None:
    data = encode(events)
    try:
        await ps.kv.run(_RECORD, [_stream(pool), _POOLS], [data, pool], _PATIENCE)
    except Unavailable:
        await _fall_back(ps, pool, events[0].received, data)
    except Exception:
        log.exception("pool %s: Redis does not take the journal", pool)
        await _fall_back(ps, pool, events[0].received, data)


async def _count(ps: PlatformScope, pool: str, events: Sequence[AcctEvent], silences: Mapping[str, int]) -> None:
    """The events are durable whatever becomes of the slots."""
    try:
        await slots.track(ps, events, silences)
    except Exception:
        log.exception("pool %s: sessions are recorded but not counted", pool)


async def note(ps: PlatformScope, pool: str, notes: Sequence[Note]) -> None:
    """Keep refusals, unknown devices and learnt lines: best effort, bounded, never raises."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await ps.kv.add(_POOLS, pool)
            groups = [_encode_notes(notes[at : at + _NOTES]) for at in range(0, len(notes), _NOTES)]
            await ps.kv.append(_notes(pool), groups, keep=_NOTES_KEPT)
    except (Unavailable, TimeoutError):
        return  # best effort: whoever is refused dials again


class Reading(NamedTuple):
    """The oldest groups in order of arrival. `complete`: when these are applied, all is that was recorded before."""

    groups: list[Group]
    complete: bool


async def read(ps: PlatformScope, wait: float) -> Reading:
    """The oldest groups of every pool; waits up to `wait` seconds for the first. They come again until `remove`.

    While Redis is away, only what lies in the fallback collection.
    """
    streams, full, answered = await _read_streams(ps, wait)
    rows = await ps.db.journal.find(sort=[("_id", 1)], limit=_FALLBACK_LIMIT)
    fallback = [_group("", row["_id"], row["data"], row["received"]) for row in rows]
    if len(fallback) == _FALLBACK_LIMIT:
        full.append(fallback)
    # What lies behind the last group of a source that has more must not be overtaken by other sources.
    horizon = min((source[-1].received for source in full), default=float("inf"))
    groups = [group for group in [*streams, *fallback] if group.received <= horizon]
    return Reading(sorted(groups, key=lambda group: group.received), answered and not full)


async def remove(ps: PlatformScope, groups: Sequence[Group]) -> None:
    """Forget groups that have been applied."""
    for stream in {group.stream for group in groups if group.stream}:
        await ps.kv.drop(stream, [group.id for group in groups if group.stream == stream])
    fallback = [group.id for group in groups if not group.stream]
    if fallback:
        await ps.db.journal.delete_many({"_id": {"$in": fallback}})


async def read_notes(ps: PlatformScope, wait: float) -> tuple[dict[str, list[Entry]], list[Note]]:
    """Notes to keep, and the entries that hold them, for `remove_notes`."""
    entries = await ps.kv.oldest([_notes(pool) for pool in await pools(ps)], _NOTES_READ, wait)
    return entries, [note for found in entries.values() for entry in found for note in _decode_notes(entry.data)]


async def remove_notes(ps: PlatformScope, entries: dict[str, list[Entry]]) -> None:
    """Forget notes that have been kept."""
    for stream, found in entries.items():
        await ps.kv.drop(stream, [entry.id for entry in found])


async def pools(ps: PlatformScope) -> list[str]:
    """The pools that have written anything."""
    return await ps.kv.members(_POOLS)


async def backlog(ps: PlatformScope) -> int:
    """How many groups wait to be applied; counted up to 10,000 in the fallback collection."""
    waiting = [await ps.kv.length(_stream(pool)) for pool in await pools(ps)]
    return sum(waiting) + await ps.db.journal.count()


def encode(events: Sequence[AcctEvent]) -> bytes:
    """A group as it is stored. orjson is many times faster than json, but takes no half characters or huge numbers:
    what is odd must not stop what it came with.
    """
    group = [_FORMAT, [tuple(event) for event in events]]
    try:
        return orjson.dumps(group)
    except TypeError:
        return json.dumps(group).encode()


def decode(data: bytes) -> tuple[AcctEvent, ...]:
    """The events of a stored group. ValueError or TypeError when it is none."""
    try:
        version, rows = orjson.loads(data)
    except orjson.JSONDecodeError:
        version, rows = json.loads(data)
    if version != _FORMAT:
        raise ValueError(f"format {version}")
    return tuple([AcctEvent(*row) for row in rows])


async def _fall_back(ps: PlatformScope, pool: str, received: float, data: bytes) -> None:
    try:
        await ps.db.journal.insert({"_id": new_id("jnl"), "pool": pool, "received": received, "data": data})
    except Exception as error:  # whatever it was: it is not on record, and nobody may answer
        raise Unavailable(store="mongo") from error


def _stream(pool: str) -> str:
    return f"pool:{pool}:acct"


def _notes(pool: str) -> str:
    return f"pool:{pool}:notes"


async def _read_streams(ps: PlatformScope, wait: float) -> tuple[list[Group], list[list[Group]], bool]:
    """The groups of all streams, the streams that may have more, and whether Redis answered at all."""
    try:
        found = await ps.kv.oldest([_stream(pool) for pool in await pools(ps)], _STREAM_LIMIT, wait)
        sources = [await _read_stream(ps, name, entries) for name, entries in found.items()]
    except Unavailable:
        await asyncio.sleep(wait)
        return [], [], False
    return [group for source, _ in sources for group in source], [source for source, more in sources if more], True


async def _read_stream(ps: PlatformScope, name: str, entries: list[Entry]) -> tuple[list[Group], bool]:
    """The stream's first groups until it is enough, and whether there may be more; `entries` are the first of all."""
    groups: list[Group] = []
    events = 0
    while True:
        for entry in entries:
            if events >= _ENOUGH:
                return groups, True
            groups.append(_group(name, entry.id, entry.data))
            events += len(groups[-1].events)
        if len(entries) < _STREAM_LIMIT:
            return groups, False
        entries = (await ps.kv.oldest([name], _STREAM_LIMIT, 0, groups[-1].id)).get(name, [])


def _group(stream: str, group_id: str, data: bytes, received: float = 0.0) -> Group:
    try:
        events = decode(data)
    except (ValueError, TypeError) as error:
        return Group(stream, group_id, received, (), data, f"{type(error).__name__}: {error}")
    return Group(stream, group_id, events[0].received, events, data)


_KINDS: dict[str, type[Note]] = {kind.__name__: kind for kind in (Refusal, UnknownNas, Learnt)}


def _encode_notes(notes: Sequence[Note]) -> bytes:
    """A group: ``[[kind, {field: value}], …]``. As with events, what is odd must not stop what it came with."""
    named = [[type(note).__name__, note] for note in notes]
    try:
        return orjson.dumps(named)
    except TypeError:
        return json.dumps(named, default=asdict).encode()


def _decode_notes(data: bytes) -> list[Note]:
    """None for what another version wrote: notes are best effort."""
    try:
        return [_KINDS[kind](**values) for kind, values in json.loads(data)]
    except (KeyError, TypeError, ValueError):
        return []
