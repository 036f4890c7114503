"""The operation log: who did what, when and from where, and what was there before."""

from __future__ import annotations

from saas.handlers.base import Handler
from saas.handlers.changes import CHANGE_COLUMNS, change_lines
from saas.handlers.lists import Column, Filter, ListPage
from saas.handlers.log_words import ACTIONS, ACTOR_KINDS, NOUNS
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import audit, nas, plans
from saas.tenants.paging import ListQuery, Page

COLUMNS = (
    Column(N_("Time"), "at", "moment", link="/log/{_id}"),
    Column(N_("Who"), "actor_name"),
    Column(N_("As"), "actor_kind", words=ACTOR_KINDS, role="minor"),
    Column(N_("From where"), "address", "code"),
    Column(N_("What"), "action", words=ACTIONS, role="title"),
    Column(N_("On what"), lambda row: row["target_name"] or row["target"]),
)
# What a tenant's own people act on.
_NOUNS = {name: word for name, word in NOUNS.items() if name not in ("tenant", "cloud_account")}


class Log(ListPage):
    """Every operation, newest first."""

    title = N_("Operation log")
    search = N_("Operator, or the name of what was changed")
    export = "operations"
    columns = COLUMNS
    filters = (
        Filter("noun", N_("Kind of object"), tuple(_NOUNS.items())),
        Filter("since", N_("From"), widget="date"),
        Filter("until", N_("To"), widget="date"),
    )
    empty = N_("Nothing has been done yet.")

    async def rows(self, query: ListQuery) -> Page:
        """See audit.listing."""
        return await audit.listing(self.scope, query)


class Entry(Handler):
    """One operation with what it changed."""

    async def get(self, id: str) -> None:
        """The page."""
        entry = await audit.get(self.scope, id)
        names = await plans.names(self.scope) | await nas.names(self.scope)
        self.page(
            "admin/log/detail.html",
            ACTIONS.get(entry["action"], entry["action"]),
            entry=entry,
            kinds=ACTOR_KINDS,
            columns=CHANGE_COLUMNS,
            changes=change_lines(self.reader, entry, names),
            list_title=Log.title,
        )


_READ = Permission.AUDIT_READ
ROUTES = [
    Route("/log", Log, {"GET": _READ}, Menu("System", N_("Operation log"), "history", 40)),
    Route("/log/{id}", Entry, {"GET": _READ}),
]
