"""Who is online now: a list that keeps itself up to date, and the ways to end a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.errors import Invalid
from saas.handlers.admin.sessions import shown
from saas.handlers.columns import Column
from saas.handlers.forms import Choices, FormPage
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import nas, sessions
from saas.tenants.paging import ListQuery, Page


class Online(ListPage):
    """Every open session."""

    title = N_("Online users")
    template = "admin/online/list.html"
    search = N_("Account, IP address or MAC")
    export = "online"
    live = 5
    columns = (
        Column(N_("Account"), "username", link="/sessions/{_id}", role="title"),
        Column(N_("State"), "state", "status"),
        Column(N_("Device"), "device"),
        Column(N_("Address"), "framed_ip", "code"),
        Column(N_("Calling station"), "calling_station_id", "code", role="minor"),
        Column(N_("Online since"), "started_at", "minute", role="minor"),
        Column(N_("Duration"), "seconds", "duration"),
        Column(N_("Upload"), "input_octets", "octets"),
        Column(N_("Download"), "output_octets", "octets"),
        Column(N_("Last update"), "seen_at", "moment", role="minor"),
    )
    filters = (Filter("nas_id", N_("Device")),)
    empty = N_("Nobody is online.")
    hint = N_("Whoever logs in appears here as soon as his device reports an Accounting Start.")

    async def choices(self) -> Mapping[str, Choices]:
        """The devices."""
        return {"nas_id": list((await nas.names(self.scope)).items())}

    async def rows(self, query: ListQuery) -> Page:
        """See sessions.listing."""
        online = ListQuery(query.q, {**query.filters, "state": "online"}, query.sort, query.after, query.limit)
        found = await sessions.listing(self.scope, online)
        return Page(await shown(self, found.rows), found.next)


class Clear(FormPage):
    """Take a device's sessions for ended, in our books only."""

    form = sessions.ClearForm
    title = N_("Clear a device's rows")
    template = "admin/online/clear.html"
    submit = N_("Clear the rows")
    saved = ""
    back = "/online"

    async def initial(self) -> Mapping[str, Any]:
        """The device that the list was filtered by."""
        return {"nas_id": self.query("nas_id")}

    async def choices(self) -> Mapping[str, Choices]:
        """The devices."""
        return {"nas_id": list((await nas.names(self.scope)).items())}

    async def save(self, form: sessions.ClearForm) -> str:
        """See sessions.clear_nas."""
        if form.nas_id not in await nas.names(self.scope):
            raise Invalid({"nas_id": "bad_choice"})
        count = await sessions.clear_nas(self.scope, form.nas_id)
        text = N_("Rows cleared: {count}. Whoever is still online comes back with the next update.")
        self.flash("success", self.reader(text, count=count))
        return self.url("/online")


_DISCONNECT = Permission.SESSIONS_DISCONNECT
ROUTES = [
    Route(
        "/online", Online, {"GET": Permission.SESSIONS_READ}, Menu("Subscribers", N_("Online users"), "activity", 50)
    ),
    Route("/online/clear", Clear, {"GET": _DISCONNECT, "POST": _DISCONNECT}),
]
