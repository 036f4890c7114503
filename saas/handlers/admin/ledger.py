"""The ledger: every movement of money. Entries never change; a mistake is reversed by another entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.columns import Row
from saas.handlers.lists import Column, Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.handlers.words import LEDGER_KINDS, METHODS
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import ledger, members, payments
from saas.tenants.paging import ListQuery, Page

BRIEF_ENTRIES = (
    Column(N_("Time"), "at", "moment", link="/payments/{_id}"),
    Column(N_("Kind"), "kind", words=LEDGER_KINDS),
    Column(N_("Amount"), "amount", "money"),
    Column(N_("Balance after"), "after", "money"),
    Column(N_("Note"), "note"),
)


def discount(row: Row) -> int | None:
    """How much less than the list price it was; None where it was not."""
    return row.get("discount") or None


class Ledger(ListPage):
    """Every entry, newest first."""

    title = N_("Ledger")
    template = "admin/payments/ledger.html"
    search = N_("Member name, account or entry key")
    export = "ledger"
    columns = (
        Column(N_("Time"), "at", "moment", link="/payments/{_id}"),
        Column(N_("Member"), "member_login", link="/members/{member_id}", role="title"),
        Column(N_("Kind"), "kind", words=LEDGER_KINDS),
        Column(N_("Amount"), "amount", "money"),
        Column(N_("Balance before"), "before", "money", role="minor"),
        Column(N_("Balance after"), "after", "money"),
        Column(N_("Paid by"), "method", words=METHODS),
        Column(N_("Discount"), discount, "money", role="minor"),
        Column(N_("Note"), "note"),
        Column(N_("By"), "actor_name"),
        Column(N_("Entry key"), "key", "code", role="export"),
    )
    filters = (
        Filter("kind", N_("Kind"), tuple(LEDGER_KINDS.items())),
        Filter("method", N_("Paid by"), tuple(METHODS.items())),
        Filter("since", N_("From"), widget="date"),
        Filter("until", N_("To"), widget="date"),
    )
    empty = N_("No money has moved yet.")
    hint = N_("The first entry comes with an account that is opened or renewed, or with money that is taken.")

    async def rows(self, query: ListQuery) -> Page:
        """See ledger.listing; with the members' names."""
        found = await ledger.listing(self.scope, query)
        logins = await members.logins(self.scope, {row["member_id"] for row in found.rows})
        return Page([row | {"member_login": logins.get(row["member_id"], "")} for row in found.rows], found.next)

    async def extra(self) -> Mapping[str, Any]:
        """What the entries of a name or of some days come to, by kind; of all there are that would take too long."""
        query = self.asked(self.filters)
        if not (query.q or query.filters.get("since") or query.filters.get("until")):
            return {"sums": [], "cut": False, "kinds": LEDGER_KINDS}
        sums, cut = await payments.totals(self.scope, query, tuple(LEDGER_KINDS), by=("kind",))
        sums.sort(key=lambda each: list(LEDGER_KINDS).index(each.kind))
        return {"sums": sums, "cut": cut, "kinds": LEDGER_KINDS}


ROUTES = [
    Route("/ledger", Ledger, {"GET": Permission.LEDGER_READ}, Menu("Finance", N_("Ledger"), "list-details", 30)),
]
