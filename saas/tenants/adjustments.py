"""Whose open sessions have to be looked at again, because what their account may do has changed.

A row is written in the transaction of the change: by metering when a quota ends, by the ledger when a balance that is
charged by use moves, by acts (tenants.life). `tenants.adjusting` works the rows off.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NotRequired, TypedDict

from saas.store import Update
from saas.tenants.billing import METERED
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

_MOST = 1000  # accounts of a member


class Adjustment(TypedDict):
    """`_id` is the account's. `mark`: another one with each change, so that none is taken for the one before.

    `since`: sessions that began before it are held to what was before; without it the engines alone have to know.
    `told_at`: when they were told. `next_at`: when it is looked at next; `tries`: how often a device had to be asked
    again.
    """

    _id: str
    tenant_id: str
    mark: str
    since: NotRequired[datetime]
    told_at: datetime | None
    next_at: datetime
    tries: int


def marked(account_id: str, held: bool = True, **fence: str) -> Update:
    """What is to be written when an account has changed; `held`: its open sessions are held to something else now."""
    now = utcnow()
    values: dict[str, Any] = {"mark": new_id("adj"), "told_at": None, "next_at": now, "tries": 0}
    return Update({"_id": account_id, **fence}, {"$set": values | ({"since": now} if held else {})}, upsert=True)


async def mark(tx: Scope, account_id: str) -> None:
    """An account's open sessions are held to something else now."""
    await tx.db.adjustments.bulk([marked(account_id)])


async def balance_moved(tx: Scope, member_id: str, before: int, after: int) -> None:
    """A member's balance has changed: accounts that are charged by use can do more or less with it now."""
    found = await tx.db.accounts.find({"member_id": member_id}, limit=_MOST, fields=["plan_id", "terms.kind"])
    plans = await tx.db.plans.among((account["plan_id"] for account in found), ["kind"])
    by_use = [
        account["_id"]
        for account in found
        if (account.get("terms") or plans.get(account["plan_id"], {})).get("kind") in METERED
    ]
    held = (before > 0) != (after > 0)
    await tx.db.adjustments.bulk([marked(account_id, held) for account_id in by_use])
