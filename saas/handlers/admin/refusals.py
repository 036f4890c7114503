"""Log-ins that were refused: who, where, why, how often."""

from __future__ import annotations

from collections.abc import Mapping

from saas.handlers.columns import Column
from saas.handlers.forms import Choices
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.handlers.words import REASONS
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import nas, refusals
from saas.tenants.paging import ListQuery, Page


class Refusals(ListPage):
    """A line for each user, device, reason and hour, the last one first."""

    title = N_("Refused log-ins")
    search = N_("User name")
    export = "refusals"
    sort = "-last_at"
    columns = (
        Column(N_("User name"), "username", link="/accounts/{account_id}", role="title"),
        Column(N_("Why"), "reason", words=REASONS),
        Column(N_("Times"), "count", "number"),
        Column(N_("Device"), "device"),
        Column(N_("Calling station"), "calling_station_id", "code", role="minor"),
        Column(N_("Method"), "method", "code", role="minor"),
        Column(N_("Last time"), "last_at", "moment", sort="last_at"),
    )
    filters = (
        Filter("reason", N_("Why"), tuple(REASONS.items())),
        Filter("nas_id", N_("Device")),
        Filter("since", N_("From"), widget="date"),
    )
    empty = N_("No log-in was refused.")
    hint = N_("If somebody cannot log in and is not here, his device does not reach us: see the unknown devices.")

    async def choices(self) -> Mapping[str, Choices]:
        """The devices."""
        return {"nas_id": list((await nas.names(self.scope)).items())}

    async def rows(self, query: ListQuery) -> Page:
        """See refusals.listing; with the devices' names."""
        found = await refusals.listing(self.scope, query)
        devices = await nas.names(self.scope) if found.rows else {}
        return Page([row | {"device": devices.get(row["nas_id"], "")} for row in found.rows], found.next)


_READ = Permission.SESSIONS_READ
ROUTES = [
    Route("/refusals", Refusals, {"GET": _READ}, Menu("Subscribers", N_("Refused log-ins"), "shield-lock", 70)),
]
