"""The only writer of balances: append-only entries in integer minor units.

A member's balance is the sum of its entries, always. An entry and the balance change in one transaction; the
idempotency key, unique in the tenant, makes a repeat find the first entry instead of posting a second one. Keys of one
purchase share what stands before their last colon; behind it the entries are numbered. What sessions use is charged in
saas.tenants.usage, which writes entries of the same shape.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from saas.errors import Conflict, NotFound, Taken
from saas.store import Filter, Update
from saas.tenants import adjustments, notices
from saas.tenants.paging import ListQuery, Page, made_between, page_of, together
from saas.tenants.scope import Scope
from saas.values import new_id, normal_username, utcnow

BALANCE = "balance"  # the method of what is paid by the member's balance: no money moves
CARD = "card"  # the method of what a recharge card pays for: its money came in when it was sold
USE = "use"  # the method of what a session is charged for, by the hour or the MB
_PORTION = 1000  # members
_DIGITS = 2  # of the number that an entry has within its purchase
Kind = Literal["payment", "charge", "refund", "gift", "adjustment", "transfer", "opening"]


class LedgerEntry(TypedDict):
    """`amount` > 0 raises the balance, < 0 lowers it; minor units. `method`: "cash" … where money moved, else "".

    `list_price` of what is paid or charged for, and how much less was taken; entries of old have no `discount`.
    `tax_rate`: basis points of the tax in it; of old unknown. `reverses`: the id of the entry that it takes back.
    `plan_id`: what a charge is for; entries of old have none.
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
    tax_rate: NotRequired[int]
    reverses: NotRequired[str]
    plan_id: NotRequired[str]
    method: str
    note: str
    key: str
    actor_kind: str
    actor_id: str
    actor_name: str
    at: datetime


class Posting(NamedTuple):
    """An entry that is still to be posted. With `covered` the balance must not fall below nothing by it."""

    kind: Kind
    amount: int
    note: str = ""
    method: str = ""
    list_price: int = 0
    discount: int = 0
    tax_rate: int = 0
    covered: bool = False
    reverses: str = ""
    plan_id: str = ""


async def post(
    scope: Scope, kind: Kind, amount: int, *, key: str, member_id: str, account_id: str = "", **more: Any
) -> LedgerEntry:
    """Post `amount` to a member's balance, once for each `key`; a repeat returns the entry that is there. `more` as of
    Posting.

    NotFound; Conflict("key_reused"); with `covered` Conflict("balance_too_low") where it would fall below nothing.
    """
    posting = Posting(kind, amount, **more)
    (entry,) = await _post(scope, [(key, posting)], member_id, account_id)
    return entry


async def book(
    scope: Scope, postings: Sequence[Posting], *, key: str, member_id: str, account_id: str
) -> list[LedgerEntry]:
    """Post all of them together, once for each `key`. As `post`."""
    numbered = [(f"{key}:{number}", posting) for number, posting in enumerate(postings, 1)]
    return await _post(scope, numbered, member_id, account_id) if numbered else []


async def _post(
    scope: Scope, numbered: Sequence[tuple[str, Posting]], member_id: str, account_id: str
) -> list[LedgerEntry]:
    """Post what goes together, by keys of which the first tells whether that was done."""

    async def write(tx: Scope) -> list[LedgerEntry]:
        # first the change, which nobody else can then make before we are done, and then the look
        moved = sum(posting.amount for _, posting in numbered)
        if not await tx.db.members.update_one({"_id": member_id}, {"$inc": {"balance": moved}}):
            raise NotFound(id=member_id)
        member = await tx.db.members.get(member_id)
        entries: list[LedgerEntry] = []
        balance = before = member["balance"] - moved
        for key, posting in numbered:
            balance += posting.amount
            if posting.covered and balance < 0:
                raise Conflict("balance_too_low", missing=-balance)
            entries.append(_entry(tx, posting, key, member, account_id, balance))
        await tx.db.ledger.insert_many(entries)
        await notices.posted(tx, entries, member)
        await adjustments.balance_moved(tx, member_id, before, balance)
        return entries

    if done := await _done(scope, numbered, member_id):
        return done
    try:
        return await scope.transaction(write)
    except Taken:  # the same key was posted while we looked: the index is the judge
        if done := await _done(scope, numbered, member_id):
            return done
        raise


def _entry(
    scope: Scope, posting: Posting, key: str, member: Mapping[str, Any], account_id: str, after: int
) -> LedgerEntry:
    entry = LedgerEntry(
        _id=new_id("led"),
        tenant_id=scope.tenant_id,
        member_id=member["_id"],
        agent_id=member["agent_id"],
        account_id=account_id,
        kind=posting.kind,
        amount=posting.amount,
        before=after - posting.amount,
        after=after,
        list_price=posting.list_price,
        discount=posting.discount,
        tax_rate=posting.tax_rate,
        method=posting.method,
        note=posting.note,
        reverses=posting.reverses,
        plan_id=posting.plan_id,
        key=key,
        actor_kind=scope.actor.kind,
        actor_id=scope.actor.id,
        actor_name=scope.actor.name,
        at=utcnow(),
    )
    return entry


async def _done(scope: Scope, numbered: Sequence[tuple[str, Posting]], member_id: str) -> list[LedgerEntry]:
    """What was posted by these keys. Conflict("key_reused") when that was something else."""
    if await posted(scope, numbered[0][0]) is None:
        return []
    found = [await posted(scope, key) for key, _ in numbered]
    for entry, (key, posting) in zip(found, numbered, strict=True):
        wanted = (posting.kind, posting.amount, member_id)
        if entry is None or (entry["kind"], entry["amount"], entry["member_id"]) != wanted:
            raise Conflict("key_reused", key=key)
    return [entry for entry in found if entry]


def sale(
    list_price: int, paid: int, method: str, note: str, tax_rate: int = 0, plan_id: str = ""
) -> tuple[Posting, ...]:
    """What is booked when something is sold: the money that comes in, unless the balance pays, and the charge."""
    if not list_price:
        return ()
    entry = partial(Posting, note=note, list_price=list_price, discount=list_price - paid, tax_rate=tax_rate)
    if method == BALANCE:
        return (entry("charge", -paid, plan_id=plan_id, covered=True),)
    return entry("payment", paid, method=method), entry("charge", -paid, plan_id=plan_id)


class Opening(NamedTuple):
    """What a member brought along from elsewhere: the `amount` with which its balance begins, or its taking back.

    `key` is the entry's; `reverses` the entry that is taken back.
    """

    member_id: str
    amount: int
    key: str
    note: str = ""
    reverses: str = ""


async def open_balances(tx: Scope, openings: Sequence[Opening]) -> None:
    """Post opening balances, each member's at most once, all together; nobody is told. Call it in a transaction. Taken
    for a key that is used.
    """
    if not openings:
        return
    changes = [Update({"_id": each.member_id}, {"$inc": {"balance": each.amount}}) for each in openings]
    await tx.db.members.bulk(changes)
    members = await tx.db.members.among(each.member_id for each in openings)
    entries = [
        _entry(
            tx,
            Posting("opening", each.amount, each.note, reverses=each.reverses),
            each.key,
            members[each.member_id],
            "",
            members[each.member_id]["balance"],
        )
        for each in openings
    ]
    await tx.db.ledger.insert_many(entries)


async def listing(scope: Scope, query: ListQuery, kinds: Sequence[str] = ()) -> Page:
    """Entries, newest first, of all `kinds` or of some. Filters: `member_id`, `account_id`, `kind`, `method`, `actor`
    (name), and the days `since` and `until`.

    `q` is a whole entry key, or the name of an account or a member.
    """
    return await page_of([(scope.db.ledger, filter) for filter in await looks(scope, query, kinds)], query)


async def looks(scope: Scope, query: ListQuery, kinds: Sequence[str] = (), *, apart: bool = False) -> list[Filter]:
    """The filters of a list: a kind each, as indexes have them. `apart`: each entry is found by one alone, for sums."""
    names = {"member_id": "member_id", "account_id": "account_id", "kind": "kind", "method": "method"}
    names["actor"] = "actor_name"
    filter: dict[str, Any] = {field: query.filters[name] for name, field in names.items() if query.filters.get(name)}
    filter |= made_between(query, "led", scope.tenant["parameters"]["timezone"])
    named = await _named(scope, query.q, apart) if query.q else [{}]
    wanted: list[Filter] = [{"kind": kind} for kind in kinds if filter.get("kind", kind) == kind] if kinds else [{}]
    found = [together({**filter, **kind}, name) for kind in wanted for name in named]
    return [each for each in found if each is not None]


async def _named(scope: Scope, text: str, apart: bool) -> list[Filter]:
    """Filters for the entry of this key; else for those of the member and the account of this name."""
    if await scope.db.ledger.one({"key": text}, ["_id"]):
        return [{"key": text}]
    account = await scope.db.accounts.one({"username": normal_username(text)}, ["_id"])
    member = await scope.db.members.one({"login": text.lower()}, ["_id"])
    of_member: list[Filter] = [{"member_id": member["_id"]}] if member else []
    if not account:
        return of_member
    others = {"account_id": account["_id"]} | ({"member_id": {"$ne": member["_id"]}} if member and apart else {})
    return [*of_member, others]


class Proof(NamedTuple):
    """What comparing some members with their entries came to; of what differs (member's id, balance, sum of entries).

    A balance of None: there are entries, and no such member. Such entries are right if they come to nothing.
    """

    members: int
    entries: int
    differences: list[tuple[str, int | None, int]]


async def prove(scope: Scope) -> AsyncIterator[Proof]:
    """Compare every balance with the sum of its entries, a portion of members at a time."""
    after = ""
    while True:
        members = await scope.db.members.find(
            {"_id": {"$gt": after}}, sort=[("_id", 1)], limit=_PORTION, fields=["balance"]
        )
        last = members[-1]["_id"] if len(members) == _PORTION else ""
        # an upper bound that excludes: not every server finds what equals a bound within an index of several fields
        within = {"$gt": after} | ({"$lt": f"{last}\0"} if last else {})
        rows = await _sums(scope, {"member_id": within})
        sums = {row["_id"]: int(row["sum"]) for row in rows}
        balances = {member["_id"]: int(member["balance"]) for member in members}
        suspects = [one for one in {**balances, **sums} if balances.get(one, 0) != sums.get(one, 0)]
        found = [await scope.transaction(partial(_compared, member_id=each)) for each in suspects]
        wrong = [each for each in found if (each[1] or 0) != each[2]]
        yield Proof(len(members), sum(int(row["entries"]) for row in rows), wrong)
        if not last:
            return
        after = last


async def differences(scope: Scope) -> list[str]:
    """Members whose balance is not the sum of their entries, as sentences. Empty when the books are right."""
    return [
        f"member {member_id}: balance {balance}, entries {total}"
        if balance is not None
        else f"entries of {total} for {member_id}, who does not exist"
        async for proof in prove(scope)
        for member_id, balance, total in proof.differences
    ]


async def _sums(scope: Scope, filter: Mapping[str, Any]) -> list[Any]:
    group = {"_id": "$member_id", "sum": {"$sum": "$amount"}, "entries": {"$sum": 1}}
    return await scope.db.ledger.aggregate([{"$match": filter}, {"$group": group}])


async def _compared(tx: Scope, member_id: str) -> tuple[str, int | None, int]:
    """A member's balance and the sum of the entries, both of one moment: between two looks money may have moved."""
    member = await tx.db.members.one({"_id": member_id}, ["balance"])
    rows = await _sums(tx, {"member_id": member_id})
    return member_id, int(member["balance"]) if member else None, int(rows[0]["sum"]) if rows else 0


def purchase_key(key: str) -> str:
    """What the keys of a purchase's entries begin with; a key that bears no number is a purchase of its own."""
    head, _, number = key.rpartition(":")
    return head if head and number.isdigit() and len(number) <= _DIGITS else key


async def purchase(scope: Scope, entry: LedgerEntry) -> list[LedgerEntry]:
    """The entries of the purchase that an entry belongs to, as they were posted."""
    head = purchase_key(entry["key"])
    if head == entry["key"]:
        return [entry]
    filter = {"key": {"$gte": f"{head}:", "$lt": f"{head};"}, "member_id": entry["member_id"]}
    found: list[LedgerEntry] = await scope.db.ledger.find(filter, sort=[("_id", 1)], limit=10**_DIGITS)
    return found


async def posted(scope: Scope, key: str) -> LedgerEntry | None:
    """The entry of a key; None when there is none."""
    entry: LedgerEntry | None = await scope.db.ledger.one({"key": key})
    return entry
