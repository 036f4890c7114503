"""Receipts, invoices and credit notes: what was printed as of its issue, numbered without gaps, never changed.

A number is taken in the transaction that adds the document, so that none is lost or given twice. The row holds all
that is printed, so that printing it again gives the same paper whatever has changed since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from saas.errors import Conflict, Taken
from saas.tenants import audit, billing, ledger, plans
from saas.tenants.ledger import LedgerEntry
from saas.tenants.paging import ListQuery, Page, made_between, page, page_of, together
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

Kind = Literal["receipt", "invoice", "credit_note"]
LETTERS: Mapping[Kind, str] = {"receipt": "R", "invoice": "I", "credit_note": "C"}

# Who takes a number waits here for the others of this process: the store would let all but one begin anew.
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class Line(TypedDict):
    """What was sold or paid. Minor units; `tax` is what `amount` includes at `tax_rate` basis points."""

    text: str
    list_price: int
    discount: int
    amount: int
    tax_rate: int
    tax: int


class Document(TypedDict):
    """`subject`: what it is of and issued once for: a payment's id, a purchase, a charge that was taken back.

    `count` numbers the documents of a kind within a `year` of the tenant's `zone`. `of`: the number of the invoice that
    a credit note takes back. `method`: how it was paid, "" where it has not been. `issuer` and `receiver` are texts.
    """

    _id: str
    tenant_id: str
    member_id: str
    agent_id: str | None
    account_id: str
    kind: Kind
    subject: str
    purchase: str
    year: int
    count: int
    number: str
    of: str
    issued_at: datetime
    issued_by: str
    language: str
    zone: str
    currency: str
    issuer: dict[str, str]
    receiver: dict[str, str]
    lines: list[Line]
    total: int
    tax: int
    method: str
    paid_at: datetime | None


async def receipt(scope: Scope, entry_id: str) -> Document:
    """The receipt of a payment, issued now if it has not been. NotFound; Conflict where there is nothing to confirm."""
    entry: LedgerEntry = await scope.db.ledger.get(entry_id)
    if entry["kind"] != "payment" or entry["amount"] <= 0:
        raise Conflict("not_a_payment")
    line = Line(
        text=entry["note"],
        list_price=entry["list_price"] or entry["amount"],
        discount=entry.get("discount", 0),
        amount=entry["amount"],
        tax_rate=0,
        tax=0,
    )
    return await _once(scope, "receipt", entry_id, [entry], lambda tx: _still([entry], [line], tx))


async def invoice(scope: Scope, entry_id: str) -> Document:
    """The invoice of the purchase that an entry belongs to, issued now if it has not been. NotFound, Conflict."""
    entry: LedgerEntry = await scope.db.ledger.get(entry_id)
    entries = await ledger.purchase(scope, entry)
    charges = [each for each in entries if each["kind"] == "charge"]
    if entry.get("reverses") or sum(each["amount"] for each in charges) >= 0:
        raise Conflict("nothing_sold")
    rate = await _plan_rate(scope, entry)
    lines = [_sold(charge, rate) for charge in charges]
    return await _once(
        scope, "invoice", ledger.purchase_key(entry["key"]), entries, lambda tx: _still(charges, lines, tx)
    )


async def credit(tx: Scope, charge: LedgerEntry) -> Document | None:
    """The credit note for a charge that is taken back; None when there was no invoice. Within its transaction."""
    billed = await _of(tx, "invoice", ledger.purchase_key(charge["key"]))
    if billed is None:
        return None
    line = _sold(charge, await _plan_rate(tx, charge))
    return await _issue(tx, "credit_note", charge["_id"], [charge], [_negative(line)], of=billed["number"])


def reversal_key(entry_id: str) -> str:
    """The key of the entry that takes back another one: there can be one only."""
    return f"reverse:{entry_id}:1"


async def get(scope: Scope, document_id: str) -> Document:
    """One document. NotFound."""
    found: Document = await scope.db.documents.get(document_id)
    return found


async def of_purchase(scope: Scope, purchase: str) -> list[Document]:
    """What was issued for a purchase, the oldest first."""
    return await scope.db.documents.find({"purchase": purchase}, sort=[("_id", 1)], limit=100)


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Documents, newest first. Filters: `kind`, `member_id`, the days `since` and `until`.

    `q` is a number, or the name of a member.
    """
    filter: dict[str, Any] = {name: query.filters[name] for name in ("kind", "member_id") if query.filters.get(name)}
    filter |= made_between(query, "doc", scope.tenant["parameters"]["timezone"])
    if not query.q:
        return await page(scope.db.documents, filter, query)
    member = await scope.db.members.one({"login": query.q.lower()}, ["_id"])
    named = [{"number": query.q.upper()}, *([{"member_id": member["_id"]}] if member else [])]
    looks = [together(filter, each) for each in named]
    return await page_of([(scope.db.documents, look) for look in looks if look is not None], query)


async def _once(
    scope: Scope,
    kind: Kind,
    subject: str,
    entries: Sequence[LedgerEntry],
    lines: Callable[[Scope], Awaitable[list[Line]]],
) -> Document:
    """The document of a subject: the one that is there, or a new one."""

    async def write(tx: Scope) -> Document:
        known = await _of(tx, kind, subject)
        return known or await _issue(tx, kind, subject, entries, await lines(tx))

    async with _turns.setdefault(f"{scope.tenant_id}:{kind}", asyncio.Lock()):
        try:
            return await scope.transaction(write)
        except Taken:  # another process was faster, with this document or with the first number of the year
            return await scope.transaction(write)


async def _of(scope: Scope, kind: Kind, subject: str) -> Document | None:
    found: Document | None = await scope.db.documents.one({"kind": kind, "subject": subject})
    return found


async def _still(entries: Sequence[LedgerEntry], lines: list[Line], tx: Scope) -> list[Line]:
    """The lines, unless one of the entries has been taken back."""
    keys = [reversal_key(entry["_id"]) for entry in entries]
    if await tx.db.ledger.one({"key": {"$in": keys}}, ["_id"]):
        raise Conflict("is_reversed")
    return lines


async def _issue(
    tx: Scope, kind: Kind, subject: str, entries: Sequence[LedgerEntry], lines: list[Line], of: str = ""
) -> Document:
    """Add a document under the next number, and log it."""
    now = utcnow()
    own = tx.tenant["parameters"]
    member = await tx.db.members.get(entries[0]["member_id"])
    account = await tx.db.accounts.one({"_id": entries[0]["account_id"]}, ["username"])
    paid = next((entry for entry in entries if entry["kind"] == "payment"), None)
    year = now.astimezone(ZoneInfo(own["timezone"])).year
    count = await _next_number(tx, kind, year)
    issued: Document = await tx.db.documents.insert(
        Document(
            _id=new_id("doc"),
            tenant_id=tx.tenant_id,
            member_id=member["_id"],
            agent_id=member["agent_id"],
            account_id=entries[0]["account_id"],
            kind=kind,
            subject=subject,
            purchase=ledger.purchase_key(entries[0]["key"]),
            year=year,
            count=count,
            number=f"{own['number_prefix']}{LETTERS[kind]}{year}-{count:06d}".upper(),
            of=of,
            issued_at=now,
            issued_by=tx.actor.name,
            language=own["locale"] if member["language"] == "system" else member["language"],
            zone=own["timezone"],
            currency=own["currency"],
            issuer=_issuer(own),
            receiver={
                "name": member["name"],
                "login": member["login"],
                "account": account["username"] if account else "",
            },
            lines=lines,
            total=sum(line["amount"] for line in lines),
            tax=sum(line["tax"] for line in lines),
            method=paid["method"] if paid else ledger.BALANCE if kind == "invoice" else "",
            paid_at=paid["at"] if paid else None,
        )
    )
    await audit.record(tx, "document.issue", issued["_id"], name=issued["number"])
    return issued


def _issuer(own: Mapping[str, Any]) -> dict[str, str]:
    fields = {"address": "postal_address", "tax_id": "tax_id", "phone": "phone", "footer": "paper_footer"}
    return {
        "name": own["legal_name"] or own["system_name"],
        "logo": own["logo"],
        **{name: own[parameter] for name, parameter in fields.items()},
    }


async def _next_number(tx: Scope, kind: Kind, year: int) -> int:
    series = f"{tx.tenant_id}:{kind}:{year}"
    await tx.db.counters.update_one({"_id": series}, {"$inc": {"last": 1}}, upsert=True)
    return int((await tx.db.counters.get(series))["last"])


async def _plan_rate(scope: Scope, entry: LedgerEntry) -> int:
    """The tax rate of the account's plan: for entries of old, which do not say theirs."""
    account = await scope.db.accounts.one({"_id": entry["account_id"]})
    if account is None:
        return 0
    return plans.in_force(await plans.get(scope, account["plan_id"]), account)["tax_rate"]


def _sold(charge: LedgerEntry, rate_of_old: int) -> Line:
    rate = charge.get("tax_rate", rate_of_old)
    return Line(
        text=charge["note"],
        list_price=charge["list_price"] if charge["amount"] < 0 and charge["list_price"] else -charge["amount"],
        discount=charge.get("discount", 0),
        amount=-charge["amount"],
        tax_rate=rate,
        tax=billing.tax_in(-charge["amount"], rate),
    )


def _negative(line: Line) -> Line:
    amounts: Any = {name: -line[name] for name in ("list_price", "discount", "amount", "tax")}
    return Line(**{**line, **amounts})
