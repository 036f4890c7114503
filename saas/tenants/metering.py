"""What sessions take from their account's quota: octets and seconds, each once.

A session's totals only ever grow, and its row says by its version that nobody else has written it. So what it takes is
how much it grew, and is written together with the row in one transaction: whatever part of the journal is applied
again, by whomever, takes nothing twice. Usage counts from the moment at which the account has a limit. An account's
`octets_left` and `seconds_left` may fall below zero by what flowed within an interim interval. When they become low, or
nothing, the moment is left in the account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from saas.errors import Unavailable
from saas.store import Update
from saas.tenants import quotas
from saas.tenants.accounting import Row
from saas.tenants.scope import PlatformScope
from saas.values import utcnow

FIELDS = ("plan_id", "terms.counted")  # of an account, beside what is left to it
_LEFT = {"octets": "octets_left", "seconds": "seconds_left"}
_COUNTERS = ("input_octets", "output_octets", "lasted")
_NONE: Row = {"account_id": "", **dict.fromkeys(_COUNTERS, 0)}

Fallen = set[tuple[str, str]]  # tenant and user name of accounts that have nothing left


def is_limited(account: Mapping[str, Any]) -> bool:
    """Whether what the account uses is taken from anything."""
    return any(account.get(left) is not None for left in _LEFT.values())


def has_grown(before: Row | None, row: Row) -> bool:
    """Whether a session has used anything since it was read, or of another account than then."""
    old = before if before is not None and before["account_id"] == row["account_id"] else _NONE
    return any(row[name] != old[name] for name in _COUNTERS)


def growth(before: Row | None, row: Row, counted: str) -> dict[str, int]:
    """By how much a session grew: {"octets", "seconds"}; `counted`: "both", "down" or "up", of the subscriber.

    A session whose account has just become known takes all of it.
    """
    old = before if before is not None and before["account_id"] == row["account_id"] else _NONE
    up, down = (row[name] - old[name] for name in ("input_octets", "output_octets"))
    octets = {"both": up + down, "up": up, "down": down}[counted]
    return {"octets": octets, "seconds": row["lasted"] - old["lasted"]}


async def take(
    ps: PlatformScope, before: Mapping[str, Row], rows: Sequence[Row], accounts: Mapping[str, Mapping[str, Any]]
) -> Fallen:
    """Take what sessions grew by from the accounts that have limits (by id, with FIELDS and what is left), within a
    transaction that read them.

    The rows say afterwards what was taken, and are to be written in the same transaction.
    """
    metered = [row for row in rows if row["account_id"] in accounts]
    if not metered:
        return set()
    counted = await _counted(ps, {accounts[row["account_id"]]["plan_id"] for row in metered})
    taken: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_LEFT, 0))
    for row in metered:
        account = accounts[row["account_id"]]
        direction = (account.get("terms") or {}).get("counted") or counted.get(account["plan_id"], "both")
        for name, amount in growth(before.get(row["_id"]), row, direction).items():
            if account.get(_LEFT[name]) is not None:
                row[f"charged_{name}"] += amount
                taken[account["_id"]][name] += amount
    return await _write(ps, accounts, taken)


async def tell(ps: PlatformScope, fallen: Fallen) -> None:
    """Let the engines forget the cached records of accounts that have nothing left. Best effort: they age."""
    try:
        for tenant_id, username in fallen:
            await ps.changed("account", tenant_id, username)
    except Unavailable:
        return


async def _counted(ps: PlatformScope, plan_ids: set[str]) -> dict[str, str]:
    found = await ps.db.plans.among(plan_ids, ["counted"])
    return {plan_id: plan.get("counted", "both") for plan_id, plan in found.items()}


async def _write(
    ps: PlatformScope, accounts: Mapping[str, Mapping[str, Any]], taken: Mapping[str, Mapping[str, int]]
) -> Fallen:
    updates: list[Update] = []
    passed: list[Update] = []
    fallen: Fallen = set()
    for account_id, amounts in taken.items():
        account = accounts[account_id]
        minus = {_LEFT[name]: -amount for name, amount in amounts.items() if amount}
        marks = [(left, mark) for left in minus for mark in (0, account.get(quotas.LOW[left]) or 0)]
        reached = {mark for left, mark in marks if account[left] > mark >= account[left] + minus[left]}
        if 0 in reached:
            fallen.add((account["tenant_id"], account["username"]))
        if reached:
            passed.append(Update({"_id": account_id}, {"$set": {"fallen_at": utcnow()}}))  # reminders.py tells of it
        if minus:
            updates.append(Update({"_id": account_id}, {"$inc": minus}))
    await ps.db.quotas.bulk(updates, ordered=False)
    await ps.db.accounts.bulk(passed, ordered=False)
    return fallen
