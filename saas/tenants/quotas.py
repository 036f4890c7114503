"""What is left to accounts of octets and seconds, each in a row of its own beside the account's.

Every report of a session writes these two figures. An account's row is large and stands in many indexes; theirs is
small and stands in none. Each account has one. Beside them stands where what is left counts as low, of what the term
gave, so that whoever writes a report notices it without asking anybody: it is set whenever the term changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saas.store import Database
from saas.tenants.scope import Scope

LEFT = ("octets_left", "seconds_left")  # None: not limited; below 0 by what one interim interval carried
LOW = {"octets_left": "octets_low", "seconds_left": "seconds_low"}  # None: nobody is to be told
METERED = (*LEFT, *LOW.values())
_OWNERS = ("member_id", "agent_id")  # as the account has them, for the fence


async def insert(scope: Scope, accounts: Sequence[Mapping[str, Any]]) -> None:
    """Add accounts, each with its row here. Call it in a transaction. Taken."""
    own = [{name: row[name] for name in ("_id", *_OWNERS, *LEFT)} | _low(scope, row) for row in accounts]
    await scope.db.accounts.insert_many([{name: row[name] for name in row if name not in LEFT} for row in accounts])
    await scope.db.quotas.insert_many(own)


async def join(db: Database, accounts: Sequence[Mapping[str, Any]], fields: Sequence[str] = LEFT) -> list[Any]:
    """Accounts with what is left to them (`fields` of METERED), and whose they are at this moment."""
    left = await db.quotas.among((account["_id"] for account in accounts), (*fields, *_OWNERS))
    return [{**account, **left.get(account["_id"], {})} for account in accounts]


async def change(scope: Scope, account_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Write what of an account's changes lies here; the changes of its own row. Call it in a transaction."""
    mine = {name: value for name, value in changes.items() if name in LEFT or name in _OWNERS} | _low(scope, changes)
    if mine:
        await scope.db.quotas.update_one({"_id": account_id}, {"$set": mine})
    return {name: value for name, value in changes.items() if name not in LEFT}


def low(term: Mapping[str, Any], percent: int) -> dict[str, int | None]:
    """What is left of a term when `percent` of what it gave is used, 0: nobody is to be told."""
    given = {"octets_low": term["octets"], "seconds_low": term["seconds"]}
    return {name: amount * (100 - percent) // 100 if amount and percent else None for name, amount in given.items()}


def _low(scope: Scope, row: Mapping[str, Any]) -> dict[str, int | None]:
    return low(row["term"], scope.tenant["parameters"]["notice_quota"]) if "term" in row else {}
