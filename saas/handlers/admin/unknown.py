"""Devices that knock without being known, as far as they may be the tenant's own: why they get no answer, and adopting
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.errors import Invalid
from saas.handlers.columns import Column
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.handlers.words import UNKNOWN_ADVICE, UNKNOWN_CAUSES
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import adoption
from saas.tenants.paging import ListQuery, Page


class Unknown(ListPage):
    """Unknown devices that may be the tenant's."""

    title = N_("Unknown devices")
    template = "admin/nas/unknown.html"
    sort = "-last_at"
    export = ""
    live = 10
    columns = (
        Column(N_("Source address"), "source", "code", role="title"),
        Column(N_("Identifier"), "identifier", "code"),
        Column(N_("What is wrong, what to do"), "why"),
        Column(N_("Packets"), "count", "number"),
        Column(N_("Last seen"), "last_at", "moment"),
    )
    filters = (Filter("address", N_("My gateway's public address"), widget="text"),)
    empty = N_("Nobody has knocked without being known.")
    hint = N_("A device that sends packets and was not added appears here, to be adopted.")
    wrong = ""  # what was typed in and is no address

    async def rows(self, query: ListQuery) -> Page:
        """See adoption.unknown."""
        typed = query.filters.get("address", "").strip()
        try:
            found = await adoption.unknown(self.ps, self.scope, self.address, typed)
        except Invalid:  # half an address, most likely: the list without it
            self.wrong = typed
            found = await adoption.unknown(self.ps, self.scope, self.address)
        return Page([{**row, "why": self.why(row["cause"])} for row in found], None)

    def why(self, cause: str) -> str:
        """Why it gets no answer, and what to do about it."""
        known = cause if cause in UNKNOWN_CAUSES else "unknown_nas"
        cause, advice = (self.reader(words[known]) for words in (UNKNOWN_CAUSES, UNKNOWN_ADVICE))
        return self.reader(N_("{cause}. {advice}"), cause=cause, advice=advice)

    async def extra(self) -> Mapping[str, Any]:
        """Where the reader is, and how a device is adopted."""
        return {"address": self.address, "wrong": self.wrong, "adopted": adoption.known_by}


ROUTES = [
    Route(
        "/unknown",
        Unknown,
        {"GET": Permission.NAS_READ},
        Menu("Network", N_("Unknown devices"), "alert-triangle", 20),
    ),
]
