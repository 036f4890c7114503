"""The operation log as a chain: each entry has a number and a hash over the one before it and all that it holds itself.

Entries are chained a moment after they were written, by a job, a portion in one transaction with the chain's end. In
the transaction of each operation that would be one row for which every write of a tenant has to wait: measured, see
docs/architecture.md. Until then an entry has the number 0, and its removal would not be noticed.

The hash is keyed with the installation's secret key: whoever can write to the store alone cannot make a chain that
fits. He could take away the newest entries together with the head; hence the head is shown, to be noted elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypedDict

from saas.errors import Conflict
from saas.store import Table, Update
from saas.tenants.fanout import each_tenant
from saas.tenants.schedules import Occasion
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow

Home = Scope | PlatformScope  # whose log: a tenant's, or the platform's own
PORTION = 500
PATIENCE = timedelta(minutes=10)  # after which an entry that is not chained is a fault
_PLATFORM = "platform"
_CHECKED = timedelta(days=1)  # after which the platform's chain is looked at again


class Broken(Exception):
    """The platform's chain is not whole: a job that fails, so that its page says so."""


class Head(TypedDict):
    """Where a chain ends. `checked_at` and `fault` are of the last nightly check: when, None before it, and the number
    where the chain breaks, 0 for nowhere.
    """

    _id: str
    seq: int
    hash: str
    at: datetime
    checked_at: datetime | None
    fault: int


class State(NamedTuple):
    """`head` is None before the first entry; `waiting`: entries that are not chained yet, counted up to a thousand."""

    head: Head | None
    waiting: int


async def link_waiting(ps: PlatformScope) -> int:
    """Chain the next entries that wait, of all tenants and of the platform; how many."""
    found = await ps.db.audit.find({"seq": 0}, sort=[("_id", 1)], limit=PORTION, fields=["tenant_id"])
    tenants = dict.fromkeys((row["tenant_id"] for row in found), None)
    return await _link(ps) + await each_tenant(ps, "operation log", tenants, lambda scope, _: _link(scope))


async def _link(home: Home) -> int:
    """One portion of one log. Two at once: the later one's transaction is repeated, and finds less to do."""

    async def write(tx: Any) -> int:
        rows = await _log(tx).find({"seq": 0}, sort=[("_id", 1)], limit=PORTION)
        if not rows:
            return 0
        head = await tx.db.audit_heads.one({"_id": _name(tx)})
        seq, last = (head["seq"], head["hash"]) if head else (0, "")
        updates = []
        for row in rows:
            seq, last = seq + 1, _hash(tx, last, {**row, "seq": seq + 1})
            updates.append(Update({"_id": row["_id"], "seq": 0}, {"$set": {"seq": seq, "hash": last}}))
        if await _log(tx).bulk(updates) != len(rows):
            raise Conflict("changed", id=_name(tx))
        end = {"seq": seq, "hash": last, "at": utcnow()}
        if head:
            await tx.db.audit_heads.update_one({"_id": _name(tx)}, {"$set": end})
        else:
            await tx.db.audit_heads.insert({"_id": _name(tx), "checked_at": None, "fault": 0, **end, **_of(tx)})
        return len(rows)

    return await home.transaction(write)


async def state(home: Home) -> State:
    """Where the log's chain ends, and how much is not chained yet."""
    head = await home.db.audit_heads.one({"_id": _name(home)})
    return State(head, await _log(home).count({"seq": 0}, limit=1000))


async def holds(home: Home, entry: Mapping[str, Any]) -> bool | None:
    """Whether an entry still fits to the one before it; None while it is not chained."""
    if not entry["seq"]:
        return None
    before = await _log(home).one({"seq": entry["seq"] - 1}) if entry["seq"] > 1 else {"hash": ""}
    return before is not None and _hash(home, before["hash"], entry) == entry["hash"]


async def faults(home: Home) -> list[str]:
    """What is wrong with the chain, a sentence each: the first broken entry, and what waits too long."""
    broken = await _broken(home)
    wrong = [f"operation log: {broken[1]}"] if broken else []
    for row in await _log(home).find({"seq": 0}, sort=[("_id", 1)], limit=1):
        if utcnow() - row["at"] > PATIENCE:
            wrong.append(f"operation log: entry {row['_id']} is still not chained; do the jobs run?")
    return wrong


async def check_due(scope: Scope, run: Occasion) -> int:
    """The night's check, kept for the log's page; how many entries it saw."""
    head = await scope.db.audit_heads.one({"_id": _name(scope)})
    if head is None:
        return 0
    await _check(scope, run.now)
    return int(head["seq"])


async def check_platform(ps: PlatformScope) -> int:
    """The same of the platform's own log, once a day; how many entries it saw. Broken, for as long as it is."""
    head: Head | None = await ps.db.audit_heads.one({"_id": _name(ps)})
    if head is None:
        return 0
    now, fault, seen = utcnow(), head["fault"], 0
    if head["checked_at"] is None or now - head["checked_at"] >= _CHECKED:
        fault, seen = await _check(ps, now), head["seq"]
    if fault:
        raise Broken(f"the chain of the platform log breaks at number {fault}")
    return seen


async def _check(home: Home, now: datetime) -> int:
    """Look at the whole chain and keep what was found: the number where it breaks, 0 for nowhere."""
    broken = await _broken(home)
    fault = broken[0] if broken else 0
    await home.db.audit_heads.update_one({"_id": _name(home)}, {"$set": {"checked_at": now, "fault": fault}})
    return fault


async def _broken(home: Home) -> tuple[int, str] | None:
    """The first number where the chain is not whole, and why; None when it is whole. It may grow meanwhile."""
    newest = await _log(home).find({"seq": {"$gt": 0}}, sort=[("seq", -1)], limit=1, fields=["seq"])
    head = await home.db.audit_heads.one({"_id": _name(home)})
    seq, last, end = 0, "", head["seq"] if head else 0
    if newest and newest[0]["seq"] > end:
        return end + 1, f"number {newest[0]['seq']} stands behind its end, number {end}"
    # "$lte" would leave the last one out on a server that walks an index with more fields behind
    while rows := await _log(home).find({"seq": {"$gt": seq, "$lt": end + 1}}, sort=[("seq", 1)], limit=PORTION):
        for row in rows:
            if row["seq"] != seq + 1:
                return seq + 1, f"number {seq + 1} is missing"
            if _hash(home, last, row) != row["hash"]:
                return row["seq"], f"entry {row['_id']}, number {row['seq']}, was changed"
            seq, last = row["seq"], row["hash"]
    whole = not head or (seq, last) == (end, head["hash"])
    return None if whole else (end, f"its end, number {end}, is missing")


def _hash(home: Home, before: str, entry: Mapping[str, Any]) -> str:
    """Of the hash before it, and of an entry as it is stored: its fields by name, times in milliseconds."""
    content = json.dumps({**entry, "hash": before}, sort_keys=True, separators=(",", ":"), default=_plain)
    keys = home.keys if isinstance(home, PlatformScope) else home.services.keys
    return keys.sign(f"audit:{_name(home)}", content.encode()).hex()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"ms": round(value.timestamp() * 1000)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"{type(value).__name__} in an entry of the log")


def _log(home: Home) -> Table:
    return home.db.platform_audit if isinstance(home, PlatformScope) else home.db.audit


def _name(home: Home) -> str:
    """The id of the chain's head."""
    return _PLATFORM if isinstance(home, PlatformScope) else home.tenant_id


def _of(home: Home) -> dict[str, str]:
    """What a head is stamped with where no fence does it."""
    return {"tenant_id": ""} if isinstance(home, PlatformScope) else {}
