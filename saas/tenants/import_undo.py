"""Taking an import back: the accounts that nobody has used or changed since, and the members that came with them.

What was touched stays, and the row says why. The ledger forgets nothing: an opening balance is taken back by an entry
of its own, and only then does its member go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from saas.store import Delete, Table, Update
from saas.tenants import import_parts, imports, ledger
from saas.tenants.import_cells import Problem
from saas.tenants.imports import Import, ImportRow
from saas.tenants.ledger import Opening
from saas.tenants.scope import Scope
from saas.values import utcnow

_FIRST = 1  # the version of a row that nobody changed


async def portion(scope: Scope, run: Import) -> int:
    """Take the next part back; how many rows it has."""
    rows = [row for row in await imports.rows_of(scope, run["_id"], run["at"]) if row["state"] in ("done", "kept")]
    last = run["at"] + 1 >= run["parts"]

    async def write(tx: Scope) -> bool:
        kept = await _touched(tx, run, rows)
        gone = [row for row in rows if row["_id"] not in kept]
        fields: dict[str, Any] = {"at": run["at"] + 1, "updated_at": utcnow()}
        if last:
            fields |= {"state": "undone", "open": False}
        as_it_was = {"_id": run["_id"], "open": True, "phase": "undo", "at": run["at"], "version": run["version"]}
        counted = {"removed": len(gone), "kept": len(kept)}
        if not await tx.db.imports.update_one(as_it_was, {"$set": fields, "$inc": counted}):
            return False
        await _remove(tx, run, gone)
        await tx.db.import_rows.bulk([_outcome(row, kept.get(row["_id"])) for row in rows])
        return True

    if await scope.transaction(write) and last:
        await import_parts.forget(scope, run["_id"])
        await tell(scope)
    return max(1, len(rows))


async def tell(scope: Scope) -> None:
    """Let whoever keeps accounts in mind forget the tenant's: one message, however many there are."""
    await scope.changed("tenant", scope.tenant["slug"])


def _outcome(row: ImportRow, reason: str | None) -> Update:
    if reason is None:
        return Update({"_id": row["_id"]}, {"$set": {"state": "undone"}})
    problems = [asdict(Problem("username", reason, row["username"]))]
    return Update({"_id": row["_id"]}, {"$set": {"state": "kept", "problems": problems}})


async def _touched(tx: Scope, run: Import, rows: Sequence[ImportRow]) -> dict[str, str]:
    """Row's id -> why it stays, a code."""
    ids = [row["account_id"] for row in rows]
    found = await tx.db.accounts.among(ids, ["version"])
    used = await _have(tx.db.online, "account_id", ids) | await _have(tx.db.sessions, "account_id", ids)
    booked = await _have(tx.db.ledger, "account_id", ids)
    people = await _changed_members(tx, run, {row["member_id"] for row in rows if row["own"]})
    kept: dict[str, str] = {}
    for row in rows:
        account = found.get(row["account_id"])
        if account is None:  # somebody deleted it by hand
            continue
        if row["account_id"] in used:
            kept[row["_id"]] = "used_since"
        elif row["account_id"] in booked or people.get(row["member_id"]) == "booked_since":
            kept[row["_id"]] = "booked_since"
        elif account["version"] != _FIRST or row["member_id"] in people:
            kept[row["_id"]] = "changed_since"
    return kept


async def _changed_members(tx: Scope, run: Import, ids: set[str]) -> dict[str, str]:
    """Those of the members that somebody changed or booked something for."""
    found = await tx.db.members.among(ids, ["version"])
    changed = {member_id: "changed_since" for member_id, row in found.items() if row["version"] != _FIRST}
    counted = await _have(tx.db.ledger, "member_id", ids)
    ours = {imports.opening_key(run["_id"], member_id): member_id for member_id in ids}
    openings = await _openings(tx, ours)
    counted -= Counter(entry["member_id"] for entry in openings)
    return changed | dict.fromkeys(+counted, "booked_since")


async def _have(table: Table, field: str, ids: Iterable[str]) -> Counter[str]:
    """How many rows each of these has."""
    match, group = {field: {"$in": sorted(ids)}}, {"_id": f"${field}", "n": {"$sum": 1}}
    rows = await table.aggregate([{"$match": match}, {"$group": group}])
    return Counter({row["_id"]: int(row["n"]) for row in rows})


async def _openings(tx: Scope, keys: Iterable[str]) -> list[ledger.LedgerEntry]:
    wanted = sorted(keys)
    return await tx.db.ledger.find({"key": {"$in": wanted}}, limit=len(wanted)) if wanted else []


async def _remove(tx: Scope, run: Import, rows: Sequence[ImportRow]) -> None:
    """Take accounts away, and those members of the import that have no other."""
    ids = [row["account_id"] for row in rows]
    if not ids:
        return
    await tx.db.accounts.bulk([Delete(account_id, _FIRST) for account_id in ids])
    await tx.db.quotas.delete_many({"_id": {"$in": ids}})
    own = {row["member_id"] for row in rows if row["own"]}
    empty = own - (await _have(tx.db.accounts, "member_id", own)).keys()
    people: Mapping[str, Any] = await tx.db.members.among(empty)
    keys = [imports.opening_key(run["_id"], member_id) for member_id in people]
    back = [
        Opening(entry["member_id"], -entry["amount"], f"{entry['key']}:undo", run["file"], entry["_id"])
        for entry in await _openings(tx, keys)
    ]
    await ledger.open_balances(tx, back)
    await tx.db.members.bulk([Delete(member_id, _FIRST) for member_id in people])
