"""The platform's own log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from saas.handlers.admin.log import COLUMNS
from saas.handlers.base import Handler
from saas.handlers.changes import change_lines, changes_text
from saas.handlers.lists import Filter, ListPage
from saas.handlers.log_words import ACTIONS, ACTOR_KINDS, NOUNS
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.i18n import N_
from saas.tenants import audit, chain
from saas.tenants.paging import ListQuery, Page


class Log(ListPage):
    """What the platform's people did, and what happened before any tenant was known."""

    title = N_("Platform log")
    search = N_("Who, or the name of what was changed")
    export = "platform-log"
    columns = tuple(replace(each, role="export") if each.value == "changed" else each for each in COLUMNS)
    template = "admin/log/list.html"
    filters = (Filter("noun", N_("Kind of object"), tuple((n, NOUNS[n]) for n in ("tenant", "pool", "cloud_account"))),)
    empty = N_("Nothing has been done yet.")
    hint = N_("Whatever anybody does in the console is written down here.")

    async def rows(self, query: ListQuery) -> Page:
        """See audit.platform_listing."""
        found = await audit.platform_listing(self.ps, query)
        return Page([row | {"changed": changes_text(self.reader, row, {})} for row in found.rows], found.next)

    async def extra(self) -> Mapping[str, Any]:
        """Where the chain ends."""
        return {"chain": await chain.state(self.ps)}


class Entry(Handler):
    """One operation of the platform."""

    async def get(self, id: str) -> None:
        """The page."""
        entry = await audit.platform_get(self.ps, id)
        self.page(
            "admin/log/detail.html",
            ACTIONS.get(entry["action"], entry["action"]),
            entry=entry,
            kinds=ACTOR_KINDS,
            changes=change_lines(self.reader, entry, {}),
            holds=await chain.holds(self.ps, entry),
            list_title=Log.title,
        )


ROUTES = [
    Route("/log", Log, {"GET": SIGNED_IN}, Menu("System", N_("Platform log"), "history", 10)),
    Route("/log/{id}", Entry, {"GET": SIGNED_IN}),
]
