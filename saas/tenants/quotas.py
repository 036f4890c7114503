"""What is left to accounts of octets and seconds, each in a row of its own beside the account's.

Every report of a session writes these two figures. An account's row is large and stands in many indexes; theirs is
small and stands in none. Each account has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saas.store import Database

LEFT = ("octets_left", "seconds_left")  # None: not limited; below 0 by what one interim interval carried
_OWNERS = ("member_id", "agent_id")  # as the account has them, for the fence


async def insert(db: Database, accounts: Sequence[Mapping[str, Any]]) -> None:
    """Add accounts, each with its row here. Call it in a transaction. Taken."""
    await db.accounts.insert_many([{name: row[name] for name in row if name not in LEFT} for row in accounts])
    await db.quotas.insert_many([{name: row[name] for name in ("_id", *_OWNERS, *LEFT)} for row in accounts])


async def join(db: Database, accounts: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Accounts with what is left to them, and whose they are at this moment."""
    left = await db.quotas.among((account["_id"] for account in accounts), (*LEFT, *_OWNERS))
    return [{**account, **left.get(account["_id"], {})} for account in accounts]


async def change(db: Database, account_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Write what of an account's changes lies here; the changes of its own row. Call it in a transaction."""
    mine = {name: value for name, value in changes.items() if name in LEFT or name in _OWNERS}
    if mine:
        await db.quotas.update_one({"_id": account_id}, {"$set": mine})
    return {name: value for name, value in changes.items() if name not in LEFT}
