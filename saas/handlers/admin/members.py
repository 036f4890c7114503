"""Members: the people who subscribe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saas.handlers.admin.accounts import BRIEF_COLUMNS, shown
from saas.handlers.admin.ledger import BRIEF_ENTRIES
from saas.handlers.base import Handler
from saas.handlers.columns import Column, Row
from saas.handlers.forms import FormPage
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, ledger, members
from saas.tenants.paging import ListQuery, Page

COLUMNS = (
    Column(N_("Member"), "login", link="/members/{_id}", role="title"),
    Column(N_("Real name"), "name"),
    Column(N_("Mobile"), "mobile"),
    Column(N_("Balance"), "balance", "money", sort="balance"),
    Column(N_("Accounts"), "accounts", "number"),
)


class Members(ListPage):
    """Every member of the tenant."""

    title = N_("Members")
    search = N_("Member name, real name or mobile")
    export = "members"
    columns = (*COLUMNS, Column(N_("Since"), "created_at", "day", role="minor"))
    orders = {"owes": "balance"}
    tabs = ((N_("In arrears"), {"owes": "yes", "sort": "balance"}),)
    filters = (Filter("owes", N_("Balance"), (("yes", N_("In arrears")),)),)
    empty = N_("No members yet. Opening an account makes one.")
    create = ("/accounts/open", N_("Quick open"))

    async def rows(self, query: ListQuery) -> Page:
        """See members.listing; with the number of each one's accounts."""
        found = await members.listing(self.scope, query)
        return Page(await counted(self, found.rows), found.next)


async def counted(page: Handler, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Members with the number of each one's accounts."""
    counts = await accounts.counts(page.scope, [row["_id"] for row in rows])
    return [{**row, "accounts": counts.get(row["_id"], 0)} for row in rows]


class Member(Handler):
    """One member: particulars, balance, accounts, ledger."""

    async def get(self, id: str) -> None:
        """The page."""
        member = await members.get(self.scope, id)
        of_member = {"member_id": id}
        own = await accounts.listing(self.scope, ListQuery(filters=of_member, limit=20))
        booked: list[Any] = []
        if self.can("/ledger"):
            booked = (await ledger.listing(self.scope, ListQuery(filters=of_member, limit=10))).rows
        self.page(
            "admin/members/detail.html",
            member["login"],
            member=member,
            accounts=await shown(self, own.rows),
            account_columns=BRIEF_COLUMNS,
            more_accounts=own.next is not None,
            entries=booked,
            entry_columns=BRIEF_ENTRIES,
        )


class EditMember(FormPage):
    """Change a member's particulars."""

    form = members.MemberForm
    title = N_("Edit member")
    template = "admin/members/edit.html"
    back = "/members/{id}"

    async def initial(self) -> Mapping[str, Any]:
        """The stored member."""
        return await members.get(self.scope, self.part("id"))

    async def extra(self) -> Mapping[str, Any]:
        """Whom the form is about."""
        return {"member": await members.get(self.scope, self.part("id"))}

    async def save(self, form: members.MemberForm) -> str:
        """See members.update."""
        member = await members.update(self.scope, self.part("id"), form, self.version)
        return self.url("/members/{id}", id=member["_id"])


ROUTES = [
    Route("/members", Members, {"GET": Permission.MEMBERS_READ}, Menu("Subscribers", N_("Members"), "users", 30)),
    Route("/members/{id}", Member, {"GET": Permission.MEMBERS_READ}),
    Route("/members/{id}/edit", EditMember, {"GET": Permission.MEMBERS_WRITE, "POST": Permission.MEMBERS_WRITE}),
]
