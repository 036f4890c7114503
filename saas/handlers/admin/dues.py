"""Reports of what is due: whose plan ends or has ended, and who is in arrears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from saas.handlers import charts, tariffs
from saas.handlers.admin.accounts import shown
from saas.handlers.admin.members import COLUMNS, counted
from saas.handlers.admin.reports import Total
from saas.handlers.columns import Column, Row
from saas.handlers.forms import Choices
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, members, plans
from saas.tenants.accounts import ENDS
from saas.tenants.paging import ListQuery, Page

_DAYS = 30  # that are drawn
_BARS = 20  # members that are drawn


class _Due(ListPage):
    """A list with its sums and its chart."""

    template = "admin/reports/due.html"
    kinds: ClassVar[Sequence[tuple[str, str]]] = (
        (N_("Ending"), "/reports/ending"),
        (N_("Arrears"), "/reports/arrears"),
    )

    def siblings(self) -> list[tuple[str, str, bool]]:
        """Title, address and whether it is shown, of those that the reader may see."""
        known = [(title, path) for title, path in self.kinds if self.can(path)]
        return [(title, self.url(path), path == self.route.path) for title, path in known]


class Ending(_Due):
    """Accounts whose plan ends soon or is over, whom to call, and what a renewal costs them."""

    title = N_("Ending plans")
    export = "ending"
    sort = "expires_at"
    columns = (
        Column(N_("Account"), "username", link="/accounts/{_id}", role="title"),
        Column(N_("Real name"), "member_name", link="/members/{member_id}"),
        Column(N_("Mobile"), "mobile"),
        Column(N_("Plan"), "plan_name"),
        Column(N_("Price"), "costs"),
        Column(N_("Expires"), "expires_at", "day", sort="expires_at"),
        Column(N_("Automatic renewal"), "renews", words={"True": N_("on"), "False": N_("off")}),
        Column(N_("Balance"), "balance", "money"),
    )
    filters = (
        Filter("expires", N_("Expires"), (("month", ENDS["month"]), ("past", ENDS["past"])), unset=ENDS["week"]),
        Filter("plan_id", N_("Plan")),
    )
    empty = N_("No plan ends in this time.")
    hint = N_("Choose another time above.")

    async def choices(self) -> Mapping[str, Choices]:
        """The plans."""
        return {"plan_id": list((await plans.names(self.scope)).items())}

    async def rows(self, query: ListQuery) -> Page:
        """Accounts that are normal and end within the chosen time, a week if none is."""
        filters = {"expires": "week", **query.filters, "status": "normal"}
        found = await accounts.listing(self.scope, replace(query, filters=filters))
        return Page(await self._told(found.rows), found.next)

    async def extra(self) -> Mapping[str, Any]:
        """The ends of the next days, as sums and as bars."""
        ends = await accounts.ends_by_day(self.scope, _DAYS)
        days = [{"day": day, "count": count} for day, count in ends]
        drawn = [(N_("Accounts"), "count", "number")]
        sums = ((N_("Today"), 1), (N_("Within 7 days"), 7), (N_("Within 30 days"), 30))
        totals = [self._total(title, sum(count for _, count in ends[:reach])) for title, reach in sums]
        chart = charts.bars(self.reader, N_("Accounts by the day of their end"), days, Column("", "day", "day"), drawn)
        return {"totals": totals, "chart": chart if any(n for _, n in ends) else None, "kinds": self.siblings()}

    def _total(self, title: str, count: int) -> Total:
        return Total(title, self.reader.number(count), "", "calendar", "blue" if count else "gray")

    async def _told(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        mobiles = await members.mobiles(self.scope, {row["member_id"] for row in rows})
        sold = await self.scope.db.plans.among({row["plan_id"] for row in rows})
        return [
            {
                **row,
                "mobile": mobiles.get(row["member_id"], ""),
                "costs": tariffs.price(self.reader, plans.in_force(sold[row["plan_id"]], row)),
            }
            for row in await shown(self, rows)
        ]


class Arrears(_Due):
    """Members whose balance is below zero, the deepest first."""

    title = N_("Arrears")
    export = "arrears"
    sort = "balance"
    columns = COLUMNS
    empty = N_("Nobody is in arrears.")
    hint = N_("Whoever uses more than he has paid for is listed here.")

    async def rows(self, query: ListQuery) -> Page:
        """See members.listing; with the number of each one's accounts."""
        found = await members.listing(self.scope, replace(query, filters={"owes": "yes"}))
        self.found = await counted(self, found.rows)
        return Page(self.found, found.next)

    async def extra(self) -> Mapping[str, Any]:
        """How much in all, and the rows of this page as bars."""
        count, owed = await members.arrears(self.scope)
        totals = [
            Total(N_("Members in arrears"), self.reader.number(count), "", "users", "red" if count else "gray"),
            Total(N_("Owed in all"), self.reader.money(owed), "", "cash", "red" if owed else "gray"),
        ]
        drawn = [(N_("Arrears"), "owed", "money")]
        rows = [row | {"owed": -row["balance"]} for row in self.found[:_BARS]]
        chart = charts.bars(self.reader, self.title, rows, self.columns[0], drawn) if len(rows) > 1 else None
        return {"totals": totals, "chart": chart, "kinds": self.siblings()}


ROUTES = [
    Route(
        "/reports/ending",
        Ending,
        {"GET": Permission.ACCOUNTS_READ},
        Menu("Reports", N_("Ending and arrears"), "calendar", 50),
    ),
    Route("/reports/arrears", Arrears, {"GET": Permission.MEMBERS_READ}),
]
