"""Who is online now: a list that keeps itself up to date, and the ways to end a session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tornado.iostream import StreamClosedError

from saas import tasks
from saas.errors import Invalid
from saas.handlers.admin.sessions import its_filters, shown
from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.forms import Choices, FormPage
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import nas, sessions
from saas.tenants.paging import ListQuery, Page
from saas.tenants.watching import Watch

_AT_MOST, _AT_LEAST = 2.0, 8.0  # seconds between two news, and how long there may be none after that


class Online(ListPage):
    """Every open session."""

    title = N_("Online users")
    template = "admin/online/list.html"
    search = N_("Account, IP address or MAC")
    export = "online"
    news = "/online/changes"
    columns = (
        Column(N_("Account"), "username", link="/sessions/{_id}", role="title"),
        Column(N_("State"), "state", "status"),
        Column(N_("Plan"), "plan", role="minor"),
        Column(N_("Device"), "device"),
        Column(N_("Address"), "framed_ip", "code"),
        Column(N_("Calling station"), "calling_station_id", "code", role="extra"),
        Column(N_("Online since"), "started_at", "minute", role="extra"),
        Column(N_("Duration"), "seconds", "duration"),
        Column(N_("Upload"), "input_octets", "octets"),
        Column(N_("Download"), "output_octets", "octets"),
        Column(N_("Up now"), lambda row: row.get("input_rate") or None, "rate"),
        Column(N_("Down now"), lambda row: row.get("output_rate") or None, "rate"),
        Column(N_("Last update"), "seen_at", "moment", role="minor"),
    )
    filters = (Filter("nas_id", N_("Device")), Filter("plan_id", N_("Plan")))
    empty = N_("Nobody is online.")
    hint = N_("Whoever logs in appears here as soon as his device reports an Accounting Start.")

    async def choices(self) -> Mapping[str, Choices]:
        """The devices and the plans."""
        return await its_filters(self.scope)

    async def rows(self, query: ListQuery) -> Page:
        """See sessions.listing."""
        online = ListQuery(query.q, {**query.filters, "state": "online"}, query.sort, query.after, query.limit)
        found = await sessions.listing(self.scope, online)
        return Page(await shown(self, found.rows), found.next)


class Changes(Handler):
    """Server-sent events (WHATWG HTML section 9.2): "changed" whenever the list may look different by now.

    At most one in two seconds. It comes every ten seconds anyway: news may get lost, and sessions last longer.
    """

    def initialize(self, route: Route) -> None:
        """As every page."""
        super().initialize(route)
        self._gone = asyncio.Event()

    async def get(self) -> None:
        """News until the reader goes."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("X-Accel-Buffering", "no")  # a proxy in between must not gather them
        watch: Watch = self.settings["watch"]
        async with watch.of(self.scope.tenant_id) as changed:
            with suppress(StreamClosedError):
                while not self._gone.is_set():
                    changed.clear()
                    self.write("event: changed\ndata: \n\n")
                    await self.flush()
                    await self._either(self._gone, within=_AT_MOST)
                    await self._either(self._gone, changed, within=_AT_LEAST)

    async def head(self, **parts: str) -> None:
        """The head alone: the answer to GET has no end."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")

    def on_connection_close(self) -> None:
        """The reader has gone, or the server ends."""
        self._gone.set()

    async def _either(self, *events: asyncio.Event, within: float) -> None:
        waiting = [asyncio.create_task(event.wait()) for event in events]
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        await tasks.end(waiting)


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
    Route("/online/changes", Changes, {"GET": Permission.SESSIONS_READ}),
    Route("/online/clear", Clear, {"GET": _DISCONNECT, "POST": _DISCONNECT}),
]
