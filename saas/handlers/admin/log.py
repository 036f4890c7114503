"""The operation log: who did what, when and from where, and what was there before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.changes import change_lines, changes_brief, changes_text
from saas.handlers.forms import Choices
from saas.handlers.lists import Column, Filter, ListPage
from saas.handlers.log_words import ACTIONS, ACTOR_KINDS, NOUNS
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import audit, chain, operators, platform
from saas.tenants.paging import ListQuery, Page
from saas.tenants.scope import SYSTEM

COLUMNS = (
    Column(N_("Time"), "at", "moment", link="/log/{_id}"),
    Column(N_("Who"), "actor_name"),
    Column(N_("As"), "actor_kind", words=ACTOR_KINDS, role="minor"),
    Column(N_("From where"), "address", "code"),
    Column(N_("What"), "action", words=ACTIONS, role="title"),
    Column(N_("On what"), lambda row: row["target_name"] or row["target"]),
    Column(N_("What it changed"), "changed", role="minor"),
    Column(N_("Number"), lambda row: row["seq"] or None, role="export"),
    Column(N_("Hash"), "hash", role="export"),
)
_ROOM = 24  # characters of a name in a table
_STRANGE = ("tenant", "cloud_account", "pool")  # what only the platform's people act on
_NOUNS = {name: word for name, word in NOUNS.items() if name not in _STRANGE}
_ACTIONS = {name: word for name, word in ACTIONS.items() if name.partition(".")[0] not in _STRANGE}


class Log(ListPage):
    """Every operation, newest first."""

    title = N_("Operation log")
    search = N_("Operator, or the name of what was changed")
    template = "admin/log/list.html"
    export = "operations"
    columns = COLUMNS
    filters = (
        Filter("actor", N_("Who")),
        Filter("noun", N_("Kind of object"), tuple(_NOUNS.items())),
        Filter("action", N_("What"), tuple(_ACTIONS.items())),
        Filter("since", N_("From"), widget="date"),
        Filter("until", N_("To"), widget="date"),
    )
    empty = N_("Nothing has been done yet.")
    hint = N_("Whatever anybody does in the console is written down here.")

    async def choices(self) -> Mapping[str, Choices]:
        """Whoever works here; those who have left are found by the search."""
        people = await operators.listing(self.scope, ListQuery(limit=1000))
        names = [await platform.owner_email(self.ps, self.scope.tenant), *(row["login"] for row in people.rows)]
        return {"actor": [(name, name) for name in (*names, SYSTEM.name)]}

    async def rows(self, query: ListQuery) -> Page:
        """See audit.listing; the export has all of the changes in words, the page as much as fits."""
        found = await audit.listing(self.scope, query)
        names = await audit.names(self.scope, found.rows)
        said, shown = (changes_text, dict) if self.query("format") else (changes_brief, _brief)
        return Page([shown(row) | {"changed": said(self.reader, row, names)} for row in found.rows], found.next)

    async def extra(self) -> Mapping[str, Any]:
        """Where the chain ends."""
        return {"chain": await chain.state(self.scope)}


def _brief(row: Any) -> Any:
    """The entry with so much of a long name, or of an id without a name, as a table has room for."""
    name, id = row["target_name"], row["target"]
    if len(name) > _ROOM:
        return row | {"target_name": f"{name[:_ROOM]}…"}
    return row if name or len(id) < 16 else row | {"target": f"{id[:4]}…{id[-6:]}"}


class Entry(Handler):
    """One operation with what it changed."""

    async def get(self, id: str) -> None:
        """The page."""
        entry = await audit.get(self.scope, id)
        self.page(
            "admin/log/detail.html",
            ACTIONS.get(entry["action"], entry["action"]),
            entry=entry,
            kinds=ACTOR_KINDS,
            changes=change_lines(self.reader, entry, await audit.names(self.scope, [entry])),
            holds=await chain.holds(self.scope, entry),
            list_title=Log.title,
        )


_READ = Permission.AUDIT_READ
ROUTES = [
    Route("/log", Log, {"GET": _READ}, Menu("System", N_("Operation log"), "history", 40)),
    Route("/log/{id}", Entry, {"GET": _READ}),
]
