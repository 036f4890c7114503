"""Payments: what came in and went out, with list price, discount and what was really paid; taking an entry back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saas.handlers.admin.documents import PAPER_COLUMNS
from saas.handlers.admin.ledger import discount
from saas.handlers.base import Handler
from saas.handlers.columns import Column, Row
from saas.handlers.forms import Choices
from saas.handlers.lists import Filter, ListPage
from saas.handlers.papers import PAID_BY
from saas.handlers.previews import PreviewPage, Sheet
from saas.handlers.routes import Menu, Route
from saas.handlers.words import LEDGER_KINDS, METHODS
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, documents, ledger, members, payments
from saas.tenants.paging import ListQuery, Page
from saas.tenants.scope import Scope

_REVERSED = {"reversed": N_("Taken back"), "reversal": N_("Takes back")}
_KINDS = {**LEDGER_KINDS, **_REVERSED}
_MONEY = {kind: LEDGER_KINDS[kind] for kind in payments.KINDS}
ENTRY_COLUMNS = (
    Column(N_("Time"), "at", "moment", link="/payments/{_id}", role="title"),
    Column(N_("Kind"), "kind", words=LEDGER_KINDS),
    Column(N_("List price"), "list_price", "money", role="minor"),
    Column(N_("Discount"), discount, "money", role="minor"),
    Column(N_("Amount"), "amount", "money"),
    Column(N_("Balance after"), "after", "money"),
    Column(N_("State"), "state", "badge", words=_REVERSED),
)
# What is taken back when an entry alone is.
_ALONE = {
    "payment": N_("The payment alone"),
    "refund": N_("The refund"),
    "charge": N_("The charge"),
}


def _list_price(row: Row) -> int:
    """What it would have cost without a discount; money onto the balance has no other price than itself."""
    return int(row["list_price"] or row["amount"])


def _kind(row: Row) -> str:
    return str(row["state"] or row["kind"])


class Payments(ListPage):
    """Payments and refunds, newest first, with what they come to by method."""

    title = N_("Payments")
    search = N_("Member name, account or entry key")
    template = "admin/payments/list.html"
    export = "payments"
    columns = (
        Column(N_("Time"), "at", "minute", link="/payments/{_id}", role="title"),
        Column(N_("Member"), "member_login", link="/members/{member_id}"),
        Column(N_("Account"), "username", role="minor"),
        Column(N_("Kind"), _kind, "badge", words=_KINDS),
        Column(N_("List price"), _list_price, "money", role="minor"),
        Column(N_("Discount"), discount, "money", role="minor"),
        Column(N_("Paid"), "amount", "money"),
        Column(N_("Paid by"), "method", words=PAID_BY),
        Column(N_("Note"), "note", role="minor"),
        Column(N_("By"), "actor_name"),
        Column(N_("Entry key"), "key", "code", role="export"),
    )
    empty = N_("No money has moved yet.")
    hint = N_("The first entry comes with an account that is opened or renewed, or with money that is taken.")
    filters = (
        Filter("kind", N_("Kind"), tuple(_MONEY.items())),
        Filter("method", N_("Paid by"), tuple(METHODS.items())),
        Filter("actor", N_("By"), widget="text"),
        Filter("since", N_("From"), widget="date"),
        Filter("until", N_("To"), widget="date"),
    )

    async def rows(self, query: ListQuery) -> Page:
        """See payments.listing; with the names of members and accounts, and what was taken back."""
        found = await payments.listing(self.scope, query)
        return Page(await shown(self.scope, found.rows), found.next)

    async def extra(self) -> Mapping[str, Any]:
        """What the list comes to, all its pages together."""
        sums, cut = await payments.totals(self.scope, self.asked(self.filters))
        order = {method: place for place, method in enumerate(PAID_BY)}
        sums.sort(key=lambda each: (each.kind != "payment", order.get(each.method, len(order))))
        return {
            "sums": sums,
            "net": sum(each.amount for each in sums),
            "cut": cut,
            "kinds": LEDGER_KINDS,
            "methods": PAID_BY,
        }


async def shown(scope: Scope, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Entries with what their columns show."""
    logins = await members.logins(scope, {row["member_id"] for row in rows})
    usernames = await accounts.usernames(scope, {row["account_id"] for row in rows if row["account_id"]})
    taken_back = await payments.reversed_by(scope, {row["_id"] for row in rows})
    return [
        {
            **row,
            "member_login": logins.get(row["member_id"], ""),
            "username": usernames.get(row["account_id"], ""),
            "state": "reversed" if row["_id"] in taken_back else "reversal" if row.get("reverses") else "",
        }
        for row in rows
    ]


class Payment(Handler):
    """One entry: what it was for, the whole purchase, its papers."""

    async def get(self, id: str) -> None:
        """The page."""
        entry = await payments.get(self.scope, id)
        entries = await ledger.purchase(self.scope, entry)
        back = await payments.reversed_by(self.scope, {each["_id"] for each in entries})
        issued = await documents.of_purchase(self.scope, ledger.purchase_key(entry["key"]))
        whole = await shown(self.scope, [*entries, *back.values()])
        self.page(
            "admin/payments/detail.html",
            self.reader(LEDGER_KINDS[entry["kind"]]),
            entry=next(row for row in whole if row["_id"] == id),
            discount=discount(entry),
            entries=whole,
            entry_columns=ENTRY_COLUMNS,
            reversal=back.get(id),
            issued=issued if self.can("/documents/{id}") else [],
            paper_columns=PAPER_COLUMNS,
            papers={paper["kind"] for paper in issued if paper["kind"] != "receipt" or paper["subject"] == id},
            sold=any(each["kind"] == "charge" and each["amount"] < 0 for each in entries),
            kinds=LEDGER_KINDS,
            methods=PAID_BY,
            reversible=entry["kind"] in payments.REVERSIBLE and not entry.get("reverses") and id not in back,
        )


class Reverse(PreviewPage):
    """Take an entry back: how much of the sale, why, and what it does and does not do."""

    form = payments.ReverseForm
    title = N_("Take back")
    template = "admin/payments/reverse.html"
    back = "/payments/{id}"
    submit = N_("Take back")
    saved = N_("Taken back by an entry of its own.")
    unseen = ("note",)
    creates = True

    async def choices(self) -> Mapping[str, Choices]:
        """With the charge only where there is one."""
        entry = await payments.get(self.scope, self.part("id"))
        alone = [("entry", _ALONE.get(entry["kind"], LEDGER_KINDS[entry["kind"]]))]
        sale = [("sale", N_("The payment and its charge"))]
        return {"what": alone + (sale if await payments.charge_of(self.scope, entry) else [])}

    async def initial(self) -> Mapping[str, Any]:
        """No values; an entry that can be taken back."""
        await payments.get(self.scope, self.part("id"))
        return {}

    async def extra(self) -> Mapping[str, Any]:
        """The entry, and what would be done."""
        sheet, refusal = await self.preview()
        return {"entry": await payments.get(self.scope, self.part("id")), "sheet": sheet, "refusal": refusal}

    async def look(self, form: payments.ReverseForm) -> Sheet:
        """See payments.preview."""
        found = await payments.preview(self.scope, self.part("id"), form)
        money = self.reader.money
        notes = [
            self.reader(N_("Dates, traffic and time of the account stay as they are. To end it, close the account.")),
            *([self.reader(N_("The invoice gets a credit note."))] if found.credited else []),
        ]
        if found.balance_after < 0:
            owes = N_("The member owes {amount} afterwards: what was bought stays charged.")
            notes.insert(0, self.reader(owes, amount=money(-found.balance_after)))
        lines = [(LEDGER_KINDS[entry["kind"]], money(entry["amount"]), money(0)) for entry in found.entries]
        lines.append((N_("Balance"), money(found.balance), money(found.balance_after)))
        return Sheet("", "", lines, notes)

    async def save(self, form: payments.ReverseForm) -> str:
        """See payments.reverse."""
        await payments.reverse(self.scope, self.part("id"), form)
        return self.url("/payments/{id}", id=self.part("id"))


class IssueReceipt(Handler):
    """The receipt of a payment."""

    async def post(self, id: str) -> None:
        """Issue it, or find the one that was issued."""
        paper = await documents.receipt(self.scope, id)
        self.done(self.url("/documents/{id}", id=paper["_id"]))


class IssueInvoice(Handler):
    """The invoice of the purchase that an entry belongs to."""

    async def post(self, id: str) -> None:
        """Issue it, or find the one that was issued."""
        paper = await documents.invoice(self.scope, id)
        self.done(self.url("/documents/{id}", id=paper["_id"]))


_READ, _REVERSE, _ISSUE = Permission.LEDGER_READ, Permission.LEDGER_REVERSE, Permission.DOCUMENTS_WRITE
ROUTES = [
    Route("/payments", Payments, {"GET": _READ}, Menu("Finance", N_("Payments"), "cash", 10)),
    Route("/payments/{id}", Payment, {"GET": _READ}),
    Route("/payments/{id}/reverse", Reverse, {"GET": _REVERSE, "POST": _REVERSE}),
    Route("/payments/{id}/receipt", IssueReceipt, {"POST": _ISSUE}),
    Route("/payments/{id}/invoice", IssueInvoice, {"POST": _ISSUE}),
]
