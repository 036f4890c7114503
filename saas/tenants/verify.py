"""Every invariant of the stored data, looked at row by row. Read only."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from saas.security import Unsealable
from saas.store import Table
from saas.tenants import chain, factors, ledger, nas
from saas.tenants.scope import SYSTEM, PlatformScope, Scope
from saas.values import normal_username

Check = Callable[[Scope], Awaitable[list[str]]]


async def verify(ps: PlatformScope) -> AsyncIterator[str]:
    """Each broken invariant as a sentence that begins with the tenant's short name."""
    pools = {row["name"] async for row in _rows(ps.db.pools) if row["status"] == "active"}
    async for owned in _rows(ps.db.tenants):
        scope = ps.enter(owned, SYSTEM)
        if owned["pool"] not in pools:
            yield f"{owned['slug']}: its pool {owned['pool']} does not exist or is retired"
        if await ps.db.cloud_accounts.one({"_id": owned["owner_id"]}) is None:
            yield f"{owned['slug']}: its owner {owned['owner_id']} does not exist"
        for check in CHECKS:
            for sentence in await check(scope):
                yield f"{owned['slug']}: {sentence}"
    for sentence in await _factors(ps):
        yield sentence
    for sentence in await chain.faults(ps):
        yield f"platform: {sentence}"
    async for event in _rows(ps.db.dead_events):
        yield f"accounting event {event['_id']} of {event['tenant_id'] or 'nobody'} was put aside: {event['error']}"


async def _factors(ps: PlatformScope) -> list[str]:
    """Second factors are of people who exist, and open."""
    wrong: list[str] = []
    async for factor in _rows(ps.db.factors):
        owner = ps.db.operators if factor["tenant_id"] else ps.db.cloud_accounts
        if await owner.one({"_id": factor["_id"]}, ["_id"]) is None:
            wrong.append(f"second factor {factor['_id']}: there is no such person")
        elif not factors.opens(ps, factor):
            wrong.append(f"second factor {factor['_id']}: it cannot be unsealed with this secret key")
    return wrong


async def _accounts(scope: Scope) -> list[str]:
    """Accounts have a plan, a member and a quota, a normal name, secrets that open, a clock that fits."""
    wrong: list[str] = []
    plans = {row["_id"] async for row in _rows(scope.db.plans)}
    members = {row["_id"] async for row in _rows(scope.db.members)}
    quotas = {row["_id"]: row["member_id"] async for row in _rows(scope.db.quotas)}
    async for row in _rows(scope.db.accounts):
        quota = quotas.pop(row["_id"], None)
        if row["plan_id"] not in plans:
            wrong.append(f"account {row['_id']}: plan {row['plan_id']} does not exist")
        if row["member_id"] not in members:
            wrong.append(f"account {row['_id']}: member {row['member_id']} does not exist")
        elif quota != row["member_id"]:
            wrong.append(f"account {row['_id']}: its quota is missing, or another member's")
        if (row["status"] == "suspended") != (row["suspended_at"] is not None):
            wrong.append(f"account {row['_id']}: it is {row['status']}, and its clock says otherwise")
        if row["username"] != normal_username(row["username"]):
            wrong.append(f"account {row['_id']}: its name is not in the normal spelling")
        if not _opens(scope, row["sealed_password"]) or not _opens(scope, row["sealed_nt_hash"]):
            wrong.append(f"account {row['_id']}: its password cannot be unsealed with this secret key")
    return wrong + [f"quota {account_id}: there is no such account" for account_id in quotas]


async def _devices(scope: Scope) -> list[str]:
    """Devices have an identifier and a secret that opens."""
    wrong: list[str] = []
    async for row in _rows(scope.db.nas):
        if not row["identifier"]:
            wrong.append(f"device {row['_id']}: no identifier")
        if row["vendor"] not in nas.VENDORS:
            wrong.append(f"device {row['_id']}: unknown type {row['vendor']}")
        if not _opens(scope, row["sealed_secret"]):
            wrong.append(f"device {row['_id']}: its secret cannot be unsealed with this secret key")
    return wrong


async def _certificates(scope: Scope) -> list[str]:
    """Certificates are of devices that exist, and the key of the authority that issues them opens."""
    devices = {row["_id"] async for row in _rows(scope.db.nas)}
    lost = [row async for row in _rows(scope.db.certificates) if row["nas_id"] not in devices]
    shut = [row async for row in _rows(scope.db.authorities) if not _opens(scope, row["sealed_key"])]
    return [
        *(f"certificate {row['_id']}: device {row['nas_id']} does not exist" for row in lost),
        *(f"authority {row['_id']}: its key cannot be unsealed with this secret key" for row in shut),
    ]


async def _operators(scope: Scope) -> list[str]:
    """Every operator has a group of the tenant."""
    groups = {row["_id"] async for row in _rows(scope.db.groups)}
    lost = [row async for row in _rows(scope.db.operators) if row["group_id"] not in groups]
    return [f"operator {row['_id']}: group {row['group_id']} does not exist" for row in lost]


async def _sessions(scope: Scope) -> list[str]:
    """A session lies where it belongs, and has an end if it has ended; none took more than it used."""
    wrong = [f"session {row['_id']}: online, and closed" async for row in _rows(scope.db.online) if not row["open"]]
    async for row in _rows(scope.db.sessions):
        if row["open"] or row["stopped_at"] is None:
            wrong.append(f"session {row['_id']}: closed without an end")
    for table in (scope.db.online, scope.db.sessions):
        async for row in _rows(table):
            wrong += [f"session {row['_id']}: {fault}" for fault in _miscounted(row)]
    return wrong


def _miscounted(row: Any) -> Iterator[str]:
    if row["input_octets"] < 0 or row["output_octets"] < 0:
        yield "negative octets"
    octets, seconds = row["charged_octets"], row["charged_seconds"]
    if not 0 <= octets <= row["input_octets"] + row["output_octets"] or not 0 <= seconds <= row["lasted"]:
        yield f"took {octets} octets and {seconds} seconds, which is not what it used"
    if (octets or seconds) and not row["account_id"]:
        yield "took from a quota without belonging to an account"


async def _cards(scope: Scope) -> list[str]:
    """Batches have all their cards, codes that wait can be unsealed, and what used cards did stands in the books."""
    wrong: list[str] = []
    async for batch in _rows(scope.db.card_batches):
        there = await scope.db.cards.count({"batch_id": batch["_id"]})
        if there != batch["count"]:
            wrong.append(f"batch {batch['_id']}: {there} cards of {batch['count']}")
        if (await scope.db.card_codes.one({"_id": batch["_id"]}) is None) != (batch["codes_taken_at"] is not None):
            wrong.append(f"batch {batch['_id']}: its codes are neither waiting nor taken out")
    async for row in _rows(scope.db.card_codes):
        if not _opens(scope, row["sealed"]):
            wrong.append(f"batch {row['_id']}: its codes cannot be unsealed with this secret key")
    after = ""
    while cards := await scope.db.cards.find({"state": "used", "_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = cards[-1]["_id"]
        done = await _keys(scope.db.deeds, [card["attempt"] for card in cards])
        done |= await _keys(scope.db.ledger, [f"card:{card['_id']}:1" for card in cards])
        idle = [card for card in cards if not done & {card["attempt"], f"card:{card['_id']}:1"}]
        wrong += [f"card {card['_id']}: used, and nothing was done for it" for card in idle]
    return wrong


async def _keys(table: Table, keys: list[str]) -> set[str]:
    """Those of the keys that rows have."""
    rows = await table.find({"key": {"$in": keys}}, sort=[("key", 1)], limit=len(keys), fields=["key"])
    return {row["key"] for row in rows}


async def _numbers(scope: Scope) -> list[str]:
    """Every series of papers goes from 1 to the last number that was taken, without gaps."""
    wrong: list[str] = []
    async for series in _rows(scope.db.counters):
        _, kind, year = series["_id"].split(":")
        issued = await scope.db.documents.count({"kind": kind, "year": int(year)}, limit=series["last"] + 1)
        if issued != series["last"]:
            wrong.append(f"{kind}s of {year}: {issued} were issued, and the last number is {series['last']}")
    return wrong


async def _bulk_runs(scope: Scope) -> list[str]:
    """The counts of a run that is over are those of its rows; one that has ended well has done them all."""
    wrong: list[str] = []
    states: Counter[tuple[str, str]] = Counter()
    async for row in _rows(scope.db.bulk_results):
        states[row["run_id"], row["state"]] += 1
    ended = [run async for run in _rows(scope.db.bulk_runs) if not run["open"]]
    for run in ended:
        for state in ("ok", "refused"):
            if states[run["_id"], state] != run[state]:
                wrong.append(f"bulk run {run['_id']}: {run[state]} {state}, its rows say {states[run['_id'], state]}")
        if run["state"] == "done" and run["ok"] + run["refused"] != run["total"]:
            wrong.append(f"bulk run {run['_id']}: it has ended with {run['total']} accounts, not all of them done")
    return wrong


async def _imports(scope: Scope) -> list[str]:
    """The counts of an import at which nobody is are those of its rows."""
    wrong: list[str] = []
    states: Counter[tuple[str, str]] = Counter()
    async for row in _rows(scope.db.import_rows):
        states[row["import_id"], row["state"]] += 1
    for run in [run async for run in _rows(scope.db.imports) if not run["open"]]:
        said = {"bad": run["bad"], "refused": run["refused"], "undone": run["removed"]}
        said["done"] = run["done"] - run["removed"] - states[run["_id"], "kept"]
        for state, count in said.items():
            if states[run["_id"], state] != count:
                wrong.append(f"import {run['_id']}: {count} {state}, its rows say {states[run['_id'], state]}")
    return wrong


CHECKS: tuple[Check, ...] = (
    _accounts,
    _devices,
    _certificates,
    _operators,
    _sessions,
    _cards,
    _numbers,
    _bulk_runs,
    _imports,
    ledger.differences,
    chain.faults,
)


async def _rows(table: Table) -> AsyncIterator[Any]:
    """Every row, a thousand at a time."""
    after = ""
    while rows := await table.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        for row in rows:
            yield row
        after = rows[-1]["_id"]


def _opens(scope: Scope, sealed: bytes) -> bool:
    try:
        scope.unseal(sealed)
    except Unsealable:
        return False
    return True
