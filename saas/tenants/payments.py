"""Money that came in and went out: lists, totals, and entries that are taken back by a counter-entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from saas.errors import Conflict, Taken
from saas.i18n import N_
from saas.tenants import audit, documents, ledger
from saas.tenants.forms import Form, Note
from saas.tenants.ledger import LedgerEntry
from saas.tenants.paging import ListQuery, Page
from saas.tenants.scope import Scope
from saas.values import first_id

KINDS = ("payment", "refund")
REVERSIBLE = (*KINDS, "charge")
# the acts that change what was paid for a term
BUYING = ("renew", "auto_renew", "redeem", "add", "change_plan", "close", "auto_close")
_SUMMED = 100_000  # entries at most that a total is of


class ReverseForm(Form):
    """What is taken back: the entry alone, or a payment and its charge; and why."""

    what: Literal["entry", "sale"] = Field(default="entry", title=N_("What is taken back"))
    note: Annotated[Note, Field(min_length=1)] = Field(title=N_("Why"), json_schema_extra={"widget": "textarea"})


class Total(NamedTuple):
    """Entries of one kind and method. Minor units; `list_price` and `discount` of what was paid for."""

    kind: str
    method: str
    entries: int
    list_price: int
    discount: int
    amount: int


class Preview(NamedTuple):
    """What reversing would do: the entries taken back, the member's balance before and after, and whether an invoice
    gets a credit note.
    """

    entries: list[LedgerEntry]
    balance: int
    balance_after: int
    credited: bool


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Payments and refunds, newest first. Filters and `q` as of ledger.listing, and `actor` (name)."""
    return await ledger.listing(scope, query, KINDS)


async def totals(
    scope: Scope, query: ListQuery, kinds: Sequence[str] = KINDS, by: Sequence[str] = ("kind", "method")
) -> tuple[list[Total], bool]:
    """What the entries of the list come to, the largest first; and whether it is only the newest 100,000 of them.

    `by`: what has a total of its own, a kind, or a kind and method.
    """
    names = ("entries", "list_price", "discount", "amount")
    group: dict[str, Any] = {"_id": {name: f"${name}" for name in by}, "entries": {"$sum": 1}}
    group |= {name: {"$sum": f"${name}"} for name in names[1:]}
    sums: Counter[tuple[str, str, str]] = Counter()
    cut = False
    for filter in await ledger.looks(scope, query, kinds, apart=True):
        newest: list[dict[str, Any]] = [{"$match": filter}, {"$sort": {"_id": -1}}, {"$limit": _SUMMED}]
        rows = await scope.db.ledger.aggregate([*newest, {"$group": group}])
        cut |= sum(row["entries"] for row in rows) >= _SUMMED
        for row in rows:
            of = row["_id"]["kind"], row["_id"].get("method", "")
            sums.update({(*of, name): int(row[name]) for name in names})
    parts = dict.fromkeys((kind, method) for kind, method, _ in sums)
    found = [Total(kind, method, *(sums[kind, method, name] for name in names)) for kind, method in parts]
    return sorted(found, key=lambda each: -abs(each.amount)), cut


async def get(scope: Scope, entry_id: str) -> LedgerEntry:
    """One entry, of any kind. NotFound."""
    entry: LedgerEntry = await scope.db.ledger.get(entry_id)
    return entry


async def reversed_by(scope: Scope, ids: set[str]) -> dict[str, LedgerEntry]:
    """Of some entries those that were taken back, with the entries that did it."""
    keys = [documents.reversal_key(entry_id) for entry_id in sorted(ids)]
    rows = await scope.db.ledger.find({"key": {"$in": keys}}, limit=len(keys)) if keys else []
    return {row["reverses"]: row for row in rows}


async def charge_of(scope: Scope, payment: LedgerEntry) -> LedgerEntry | None:
    """The charge that a payment was made for: the one that its purchase has for the same sum."""
    if payment["kind"] != "payment":
        return None
    entries = await ledger.purchase(scope, payment)
    return next((e for e in entries if e["kind"] == "charge" and e["amount"] == -payment["amount"]), None)


async def preview(scope: Scope, entry_id: str, form: ReverseForm) -> Preview:
    """What `reverse` would do at this moment. NotFound, and the Conflict that speaks against it."""
    entries = await _to_reverse(scope, entry_id, form.what)
    member = await scope.db.members.get(entries[0]["member_id"])
    issued = await documents.of_purchase(scope, ledger.purchase_key(entries[0]["key"]))
    credited = any(e["kind"] == "charge" for e in entries) and any(d["kind"] == "invoice" for d in issued)
    balance = member["balance"]
    return Preview(entries, balance, balance - sum(entry["amount"] for entry in entries), credited)


async def reverse(scope: Scope, entry_id: str, form: ReverseForm) -> list[LedgerEntry]:
    """Take an entry back by a counter-entry of the same kind, with its charge if the form says so; each once for ever.

    NotFound; Conflict("is_reversed"), ("is_reversal"), ("not_reversible"), or ("bought_since") for a charge after which
    more was bought for the account: what was paid for its term is known of the last purchase only.
    """

    async def write(tx: Scope) -> list[LedgerEntry]:
        return [await _take_back(tx, entry, form.note) for entry in await _to_reverse(tx, entry_id, form.what)]

    try:
        return await scope.transaction(write)
    except Taken:  # somebody else took it back, or the first number of the year, while we looked
        return await scope.transaction(write)


async def _to_reverse(scope: Scope, entry_id: str, what: str) -> list[LedgerEntry]:
    entry = await get(scope, entry_id)
    charge = await charge_of(scope, entry) if what == "sale" else None
    entries = [entry] if charge is None else [entry, charge]
    if entry.get("reverses"):
        raise Conflict("is_reversal")
    if entry["kind"] not in REVERSIBLE or (entry["kind"] == "charge" and entry["amount"] >= 0):
        raise Conflict("not_reversible")
    if await reversed_by(scope, {each["_id"] for each in entries}):
        raise Conflict("is_reversed")
    for each in entries:
        if _of_term(each) and await _bought_since(scope, each):
            raise Conflict("bought_since")
    return entries


def _of_term(entry: LedgerEntry) -> bool:
    """Whether it was charged for a term, and not for what sessions used."""
    return entry["kind"] == "charge" and entry["method"] != ledger.USE


async def _bought_since(scope: Scope, charge: LedgerEntry) -> bool:
    after = {"$gt": first_id("dee", charge["at"]), "$ne": ledger.purchase_key(charge["key"])}
    filter = {"account_id": charge["account_id"], "verb": {"$in": list(BUYING)}, "_id": after}
    return charge["account_id"] != "" and await scope.db.deeds.one(filter, ["_id"]) is not None


async def _take_back(tx: Scope, entry: LedgerEntry, note: str) -> LedgerEntry:
    back = await ledger.post(
        tx,
        entry["kind"],
        -entry["amount"],
        key=documents.reversal_key(entry["_id"]),
        member_id=entry["member_id"],
        account_id=entry["account_id"],
        list_price=-entry["list_price"],
        discount=-entry.get("discount", 0),
        tax_rate=entry.get("tax_rate", 0),
        plan_id=entry.get("plan_id", ""),
        method=entry["method"],
        note=note,
        reverses=entry["_id"],
    )
    if entry["kind"] == "charge":
        await documents.credit(tx, entry)
    if _of_term(entry):
        await _unpaid(tx, entry)
    told: dict[str, Any] = {"before": {"balance": back["before"]}, "after": {"balance": back["after"], "note": note}}
    await audit.record(tx, f"{entry['kind']}.reverse", entry["_id"], name=entry["key"], **told)
    return back


async def _unpaid(tx: Scope, charge: LedgerEntry) -> None:
    """What is given back at closing is a share of what was paid for the term: a charge taken back is not in it."""
    account = await tx.db.accounts.one({"_id": charge["account_id"]})
    if account:
        paid = max(0, account["term"]["paid"] + charge["amount"])
        await tx.db.accounts.update(account["_id"], {"$set": {"term": account["term"] | {"paid": paid}}})
