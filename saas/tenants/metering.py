"""What sessions take from their account: octets and seconds of its quota, or money for them, each once.

A session's totals only ever grow, and its row says by its version that nobody else has written it. So what it takes is
how much it grew, and is written together with the row in one transaction: whatever part of the journal is applied
again, by whomever, takes nothing twice. Usage counts from the moment at which the account has a limit. An account's
`octets_left` and `seconds_left`, and a balance, may fall below zero by what flowed within an interim interval. When
little is left, or nothing, the moment is noted in the account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from saas.store import Update
from saas.tenants import adjustments, billing, quotas, usage
from saas.tenants.accounting import Row
from saas.tenants.scope import PlatformScope
from saas.values import utcnow

OF_PLAN = ("name", "kind", "price", "tax_rate", "counted")
FIELDS = ("plan_id", *(f"terms.{name}" for name in OF_PLAN[1:]))  # of an account, beside what is left to it
_LEFT = {"octets": "octets_left", "seconds": "seconds_left"}
_UNIT = {"per_hour": "seconds", "per_mb": "octets"}
_COUNTERS = ("input_octets", "output_octets", "lasted")
_NONE: Row = {"account_id": "", **dict.fromkeys(_COUNTERS, 0)}


def payer(account: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any] | None:
    """An account with what it pays by, as `take` needs it; None when nothing is taken from it.

    `account` with FIELDS and what is left to it, `plan` with OF_PLAN, as it is for all.
    """
    by = {**plan, **(account.get("terms") or {})}
    if by.get("kind") in billing.METERED or any(account.get(left) is not None for left in _LEFT.values()):
        return {**account, "by": by}
    return None


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
    ps: PlatformScope, before: Mapping[str, Row], rows: Sequence[Row], payers: Mapping[str, Mapping[str, Any]]
) -> None:
    """Take what sessions grew by from the accounts that pay (by id), within a transaction that read them.

    The rows say afterwards what was taken, and are to be written in the same transaction.
    """
    taken: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_LEFT, 0))
    charges: list[usage.Charge] = []
    for row in rows:
        account = payers.get(row["account_id"])
        if account is None:
            continue
        grown = growth(before.get(row["_id"]), row, account["by"].get("counted", "both"))
        if unit := _UNIT.get(account["by"].get("kind", "")):
            charges += _charged(row, account, unit, grown[unit])
            continue
        for name, amount in grown.items():
            if account.get(_LEFT[name]) is not None:
                row[f"charged_{name}"] += amount
                taken[account["_id"]][name] += amount
    await _write(ps, payers, taken)
    await usage.charge(ps, charges)


def _charged(row: Row, account: Mapping[str, Any], unit: str, amount: int) -> list[usage.Charge]:
    """What a session costs that has used so many seconds or octets more; nothing below a minor unit."""
    by, name = account["by"], f"charged_{unit}"
    cost = billing.metered(by, row[name], row[name] + amount)
    row[name] += amount
    if not cost:
        return []
    row["charged_amount"] = row.get("charged_amount", 0) + cost
    charged = usage.Charge(
        tenant_id=row["tenant_id"],
        member_id=account["member_id"],
        account_id=account["_id"],
        session_id=row["_id"],
        version=row["version"],
        amount=cost,
        tax_rate=by["tax_rate"],
        plan=by["name"],
        plan_id=account["plan_id"],
    )
    return [charged]


async def _write(
    ps: PlatformScope, accounts: Mapping[str, Mapping[str, Any]], taken: Mapping[str, Mapping[str, int]]
) -> None:
    updates: list[Update] = []
    passed: list[Update] = []
    fallen: list[Update] = []
    for account_id, amounts in taken.items():
        account = accounts[account_id]
        minus = {_LEFT[name]: -amount for name, amount in amounts.items() if amount}
        marks = [(left, mark) for left in minus for mark in (0, account.get(quotas.LOW[left]) or 0)]
        reached = {mark for left, mark in marks if account[left] > mark >= account[left] + minus[left]}
        if 0 in reached:
            fallen.append(adjustments.marked(account_id, tenant_id=account["tenant_id"]))
        if reached:
            passed.append(Update({"_id": account_id}, {"$set": {"fallen_at": utcnow()}}))  # reminders.py tells of it
        if minus:
            updates.append(Update({"_id": account_id}, {"$inc": minus}))
    await ps.db.quotas.bulk(updates, ordered=False)
    await ps.db.accounts.bulk(passed, ordered=False)
    await ps.db.adjustments.bulk(fallen, ordered=False)
