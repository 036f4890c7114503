"""Charging what sessions use, by the hour or the MB: an entry for each report that comes to a minor unit at least.

All of a portion of sessions at once, of all tenants, in the transaction that writes the sessions (tenants.metering): so
each second and each octet is charged once, and the balance is the sum of its entries at every moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from saas.store import Update
from saas.tenants import adjustments, notices
from saas.tenants.ledger import USE, LedgerEntry
from saas.tenants.scope import SYSTEM, PlatformScope
from saas.values import new_id, utcnow

_MEMBER = ("tenant_id", "agent_id", "login", "email", "balance")


class Charge(NamedTuple):
    """What a session's report costs its account's member. `amount` in minor units, above 0; `tax_rate` in basis points.

    `version`: of the session's row, another one with each report. `plan`: its name, `plan_id` its id.
    """

    tenant_id: str
    member_id: str
    account_id: str
    session_id: str
    version: int
    amount: int
    tax_rate: int
    plan: str
    plan_id: str


async def charge(ps: PlatformScope, charges: Sequence[Charge]) -> None:
    """Take charges from balances, with their entries; a balance may fall below nothing. Call it in a transaction."""
    if not charges:
        return
    sums: dict[str, int] = defaultdict(int)
    for each in charges:
        sums[each.member_id] += each.amount
    # first the change, which nobody else can then make before we are done, and then the look
    await ps.db.members.bulk([Update({"_id": who}, {"$inc": {"balance": -sum}}) for who, sum in sums.items()])
    members = await ps.db.members.among(sums, _MEMBER)
    running = {member_id: member["balance"] + sums[member_id] for member_id, member in members.items()}
    entries: list[LedgerEntry] = []
    for each in charges:
        member = members[each.member_id]
        running[each.member_id] -= each.amount
        entries.append(_entry(each, member["agent_id"], running[each.member_id]))
    await ps.db.ledger.insert_many(entries)
    await _tell(ps, members, entries)


def _entry(charge: Charge, agent_id: str | None, after: int) -> LedgerEntry:
    return LedgerEntry(
        _id=new_id("led"),
        tenant_id=charge.tenant_id,
        member_id=charge.member_id,
        agent_id=agent_id,
        account_id=charge.account_id,
        kind="charge",
        amount=-charge.amount,
        before=after + charge.amount,
        after=after,
        list_price=charge.amount,
        discount=0,
        tax_rate=charge.tax_rate,
        method=USE,
        note=charge.plan,
        plan_id=charge.plan_id,
        # no number at the end: each is a purchase of its own
        key=f"use:{charge.session_id}:v{charge.version}",
        actor_kind=SYSTEM.kind,
        actor_id=SYSTEM.id,
        actor_name=SYSTEM.name,
        at=utcnow(),
    )


async def _tell(ps: PlatformScope, members: Mapping[str, Any], entries: Sequence[LedgerEntry]) -> None:
    """Whose balance has ended is looked at; whose has fallen below the tenant's limit is told."""
    own: dict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        own[entry["member_id"]].append(entry)
    tenants = await ps.db.tenants.among({member["tenant_id"] for member in members.values()})
    for member_id, posted in own.items():
        member = members[member_id]
        scope = ps.enter(tenants[member["tenant_id"]], SYSTEM)
        await notices.posted(scope, posted, member)
        if posted[0]["before"] > 0 >= posted[-1]["after"]:
            await adjustments.balance_moved(scope, member_id, posted[0]["before"], posted[-1]["after"])
