"""The only writer of balances: append-only entries in integer minor units.

A member's balance is the sum of its entries, always. An entry and the balance change in one transaction; the
idempotency key, unique in the tenant, makes a repeat find the first entry instead of posting a second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from saas.errors import Conflict, Taken
from saas.tenants import notices
from saas.tenants.paging import ListQuery, Page, made_between, page
from saas.tenants.scope import Scope
from saas.values import new_id, normal_username, utcnow

BALANCE = "balance"  # the method of what is paid by the member's balance: no money moves
CARD = "card"  # the method of what a recharge card pays for: its money came in when it was sold
Kind = Literal["payment", "charge", "refund", "gift", "adjustment", "transfer"]


class LedgerEntry(TypedDict):
    """`amount` > 0 raises the balance, < 0 lowers it; minor units. `method`: "cash" … where money moved, else "".

    `list_price` of what is paid or charged for, and how much less was taken; entries of old have no `discount`.
    """

    _id: str
    tenant_id: str
    member_id: str
    agent_id: str | None
    account_id: str
    kind: Kind
    amount: int
    before: int
    after: int
    list_price: int
    discount: NotRequired[int]
    method: str
    note: str
    key: str
    actor_kind: str
    actor_id: str
    actor_name: str
    at: datetime


async def post(
    scope: Scope,
    kind: Kind,
    amount: int,
    *,
    key: str,
    member_id: str,
    account_id: str = "",
    list_price: int = 0,
    discount: int = 0,
    method: str = "",
    note: str = "",
    covered: bool = False,
) -> LedgerEntry:
    """Post `amount` to a member's balance, once for each `key`; a repeat returns the entry that is there.

    Conflict("key_reused") when the key was used for something else; with `covered` Conflict("balance_too_low") when the
    balance would fall below nothing; NotFound without the member.
    """
    if existing := await posted(scope, key):
        return _same(existing, kind, amount, member_id)

    async def write(tx: Scope) -> LedgerEntry:
        member = await tx.db.members.update(member_id, {"$inc": {"balance": amount}})
        if covered and member["balance"] < 0:
            raise Conflict("balance_too_low", missing=-member["balance"])
        entry = LedgerEntry(
            _id=new_id("led"),
            tenant_id=tx.tenant_id,
            member_id=member_id,
            agent_id=member["agent_id"],
            account_id=account_id,
            kind=kind,
            amount=amount,
            before=member["balance"] - amount,
            after=member["balance"],
            list_price=list_price,
            discount=discount,
            method=method,
            note=note,
            key=key,
            actor_kind=tx.actor.kind,
            actor_id=tx.actor.id,
            actor_name=tx.actor.name,
            at=utcnow(),
        )
        await tx.db.ledger.insert(entry)
        await notices.posted(tx, entry, member)
        return entry

    try:
        return await scope.transaction(write)
    except Taken:  # the same key was posted while we looked: the index is the judge
        found = await posted(scope, key)
        if found is None:
            raise
        return _same(found, kind, amount, member_id)


class Posting(NamedTuple):
    """An entry that is still to be posted; `covered` as in `post`."""

    kind: Kind
    amount: int
    note: str = ""
    method: str = ""
    list_price: int = 0
    discount: int = 0
    covered: bool = False


def sale(list_price: int, paid: int, method: str, note: str) -> tuple[Posting, ...]:
    """What is booked when something is sold: the money that comes in, unless the balance pays, and the charge."""
    if not list_price:
        return ()
    entry = partial(Posting, note=note, list_price=list_price, discount=list_price - paid)
    if method == BALANCE:
        return (entry("charge", -paid, covered=True),)
    return entry("payment", paid, method=method), entry("charge", -paid)


async def book(scope: Scope, postings: Sequence[Posting], *, key: str, member_id: str, account_id: str) -> None:
    """Post all of them, once for each `key`. As `post`; call it in a transaction."""
    for number, posting in enumerate(postings, 1):
        await post(scope, **posting._asdict(), key=f"{key}:{number}", member_id=member_id, account_id=account_id)


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Entries, newest first. Filters: `member_id`, `account_id`, `kind`, `method`, and the days `since` and `until`.

    `q` is a whole entry key, or the name of an account or a member.
    """
    wanted = ("member_id", "account_id", "kind", "method")
    filter: dict[str, Any] = {name: query.filters[name] for name in wanted if query.filters.get(name)}
    filter |= made_between(query, "led", scope.tenant["parameters"]["timezone"])
    if query.q:
        filter["$or"] = [{"key": query.q}, *await _of_name(scope, query.q)]
    return await page(scope.db.ledger, filter, query)


async def _of_name(scope: Scope, name: str) -> list[dict[str, str]]:
    """What an entry of the account or the member of this name has."""
    account = await scope.db.accounts.one({"username": normal_username(name)}, ["_id"])
    member = await scope.db.members.one({"login": name.lower()}, ["_id"])
    found = [("account_id", account), ("member_id", member)]
    return [{field: row["_id"]} for field, row in found if row]


async def differences(scope: Scope) -> list[str]:
    """Members whose balance is not the sum of their entries, as sentences. Empty when the books are right."""
    sums = await scope.db.ledger.aggregate([{"$group": {"_id": "$member_id", "sum": {"$sum": "$amount"}}}])
    booked = {row["_id"]: int(row["sum"]) for row in sums}
    wrong: list[str] = []
    after = ""
    while members := await scope.db.members.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = members[-1]["_id"]
        for member in members:
            total = booked.pop(member["_id"], 0)
            if member["balance"] != total:
                wrong.append(f"member {member['_id']}: balance {member['balance']}, entries {total}")
    return wrong + [f"entries of {sum_} for {member_id}, who does not exist" for member_id, sum_ in booked.items()]


async def posted(scope: Scope, key: str) -> LedgerEntry | None:
    """The entry of a key; None when there is none."""
    entry: LedgerEntry | None = await scope.db.ledger.one({"key": key})
    return entry


def _same(entry: LedgerEntry, kind: Kind, amount: int, member_id: str) -> LedgerEntry:
    if (entry["kind"], entry["amount"], entry["member_id"]) != (kind, amount, member_id):
        raise Conflict("key_reused", key=entry["key"])
    return entry
