"""The daily proof that every balance is the sum of its entries, and what it found."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any, TypedDict

from saas.tenants import ledger, members
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

log = logging.getLogger(__name__)
_LISTED = 100


class Difference(TypedDict):
    """A balance (None: no such member) and the sum of the entries, in minor units."""

    member_id: str
    login: str
    balance: int | None
    entries: int


class Proof(TypedDict):
    """What was compared at `at`, in `took` seconds; how many balances were wrong, and the first hundred of them."""

    _id: str
    tenant_id: str
    at: datetime
    took: float
    members: int
    entries: int
    wrong: int
    differences: list[Difference]


async def prove(scope: Scope) -> Proof:
    """Compare every balance with its entries, and keep the outcome."""
    begun = time.monotonic()
    compared = entries = 0
    wrong: list[tuple[str, int | None, int]] = []
    async for portion in ledger.prove(scope):
        compared, entries = compared + portion.members, entries + portion.entries
        wrong += portion.differences
    logins = await members.logins(scope, {member_id for member_id, _, _ in wrong[:_LISTED]})
    proof: Proof = await scope.db.proofs.insert(
        {
            "_id": new_id("prf"),
            "at": utcnow(),
            "took": time.monotonic() - begun,
            "members": compared,
            "entries": entries,
            "wrong": len(wrong),
            "differences": [
                Difference(member_id=member_id, login=logins.get(member_id, ""), balance=balance, entries=total)
                for member_id, balance, total in wrong[:_LISTED]
            ],
        }
    )
    if wrong:
        log.error("tenant %s: %d balances are not the sum of their entries", scope.tenant_id, len(wrong))
    return proof


async def prove_due(scope: Scope, run: Occasion) -> int:
    """The day's proof; how many balances it compared."""
    return (await prove(scope))["members"]


async def latest(scope: Scope, count: int = 10) -> list[Any]:
    """The last proofs, the newest first."""
    return await scope.db.proofs.find({}, limit=count)
