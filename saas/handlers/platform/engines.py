"""The RADIUS engines of every pool, and who knocks at them without being known."""

from __future__ import annotations

from saas.handlers.base import Handler
from saas.handlers.lists import Column, Filter, ListPage
from saas.handlers.reports import POOL_COLUMNS, engine_rows
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.handlers.words import UNKNOWN_CAUSES
from saas.i18n import N_
from saas.tenants import engines, refusals
from saas.tenants.paging import ListQuery, Page


class Engines(Handler):
    """Every worker that lives, pool by pool."""

    async def get(self) -> None:
        """The page; it draws itself anew every few seconds."""
        self.page(
            "platform/engines.html",
            N_("RADIUS engines"),
            engines=engine_rows(self.reader, await engines.listing(self.ps)),
            columns=POOL_COLUMNS,
        )


class Unknown(ListPage):
    """Packets that belong to no device, or prove no knowledge of its secret."""

    title = N_("Unknown devices")
    search = N_("Source address or identifier")
    export = "unknown-devices"
    sort = "-last_at"
    columns = (
        Column(N_("Source address"), "source", "code", role="title"),
        Column(N_("Identifier"), "identifier", "code"),
        Column(N_("What it did"), "cause", words=UNKNOWN_CAUSES),
        Column(N_("Packets"), "count", "number"),
        Column(N_("First seen"), "first_at", "moment", role="minor"),
        Column(N_("Last seen"), "last_at", "moment"),
        Column(N_("Pool"), "pool", "code"),
    )
    filters = (Filter("pool", N_("Pool"), widget="text"),)
    empty = N_("Nobody has knocked without being known.")
    hint = N_("A device that sends packets and belongs to no tenant appears here.")

    async def rows(self, query: ListQuery) -> Page:
        """See refusals.unknown_listing."""
        return await refusals.unknown_listing(self.ps, query)


ROUTES = [
    Route("/engines", Engines, {"GET": SIGNED_IN}, Menu("Network", N_("RADIUS engines"), "server", 10)),
    Route("/unknown", Unknown, {"GET": SIGNED_IN}, Menu("Network", N_("Unknown devices"), "alert-triangle", 20)),
]
