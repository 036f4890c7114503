"""Sessions: who was online, from when to when, how much, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.causes import TERMINATE_CAUSES
from saas.handlers.columns import Column, Row
from saas.handlers.disconnects import KINDS, kind_of, outcome
from saas.handlers.forms import Choices
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.handlers.words import SESSION_FLAGS, START_SOURCES, STOP_SOURCES
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import disconnects, nas, plans, sessions
from saas.tenants.paging import ListQuery, Page
from saas.tenants.scope import Scope

BRIEF_SESSIONS = (
    Column(N_("From"), "started_at", "moment", link="/sessions/{_id}"),
    Column(N_("Device"), "device"),
    Column(N_("Address"), "framed_ip", "code", role="minor"),
    Column(N_("Duration"), "seconds", "duration"),
    Column(N_("Upload"), "input_octets", "octets"),
    Column(N_("Download"), "output_octets", "octets"),
    Column(N_("Why it ended"), "ending"),
)


class Sessions(ListPage):
    """Every session, newest first; open ones too."""

    title = N_("Sessions")
    template = "admin/sessions/list.html"
    search = N_("Account, IP address or MAC")
    export = "sessions"
    columns = (
        Column(N_("Account"), "username", link="/sessions/{_id}", role="title"),
        Column(N_("Plan"), "plan", role="extra"),
        Column(N_("Device"), "device"),
        Column(N_("Address"), "framed_ip", "code"),
        Column(N_("Calling station"), "calling_station_id", "code", role="minor"),
        Column(N_("From"), "started_at", "moment"),
        Column(N_("To"), "stopped_at", "moment", role="minor"),
        Column(N_("Duration"), "seconds", "duration"),
        Column(N_("Upload"), "input_octets", "octets"),
        Column(N_("Download"), "output_octets", "octets"),
        Column(N_("Why it ended"), "ending"),
    )
    filters = (
        Filter("state", N_("State"), (("online", N_("Online")), ("ended", N_("Ended")))),
        Filter("nas_id", N_("Device")),
        Filter("plan_id", N_("Plan")),
        Filter("since", N_("From"), widget="date"),
        Filter("until", N_("To"), widget="date"),
    )
    empty = N_("No sessions yet. The first appears when a device reports an Accounting Start.")

    async def choices(self) -> Mapping[str, Choices]:
        """The devices and the plans."""
        return await its_filters(self.scope)

    async def rows(self, query: ListQuery) -> Page:
        """See sessions.listing."""
        found = await sessions.listing(self.scope, query)
        return Page(await shown(self, found.rows), found.next)


async def its_filters(scope: Scope) -> dict[str, Choices]:
    """What a list of sessions can be filtered by: the devices and the plans."""
    known = {"nas_id": await nas.names(scope), "plan_id": await plans.names(scope)}
    return {name: list(names.items()) for name, names in known.items()}


async def shown(page: Handler, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Sessions with what their columns show: the device's name, the seconds so far, how they ended, their state."""
    devices = await nas.names(page.scope) if rows else {}
    tariffs = await plans.names(page.scope) if rows else {}
    return [
        {
            **row,
            "device": devices.get(row["nas_id"], ""),
            "plan": tariffs.get(row.get("plan_id", ""), ""),
            "seconds": sessions.seconds(row),  # type: ignore[arg-type]
            "ending": ending(page, row),
            "state": state_of(row),
        }
        for row in rows
    ]


def state_of(session: Row) -> str:
    """online, closing (the device has acknowledged, its Stop has not come yet) or ended."""
    if not session["open"]:
        return "ended"
    return "closing" if session["closing_at"] else "online"


def ending(page: Handler, session: Row) -> str:
    """Why a session ended, in words; "" while it is open."""
    cause = session["terminate_cause"]
    if session["open"]:
        return ""
    return page.reader(TERMINATE_CAUSES.get(cause, cause) or STOP_SOURCES.get(session["stop_source"], ""))


class Session(Handler):
    """One session with everything that is stored of it."""

    async def get(self, id: str) -> None:
        """The page."""
        session = await sessions.get(self.scope, id)
        (row,) = await shown(self, [session])
        attempts = await disconnects.history(self.scope, id)
        self.page(
            "admin/sessions/detail.html",
            session["username"],
            session=row,
            start_sources=START_SOURCES,
            stop_sources=STOP_SOURCES,
            flags=[SESSION_FLAGS.get(flag, flag) for flag in session["flags"]],
            attempts=[
                (attempt, KINDS[kind_of(attempt)], outcome(self.reader, disconnects.to_dict(attempt)))
                for attempt in attempts
            ],
            plan=await disconnects.plan_speed(self.scope, session),
            given=disconnects.own_speed(session),
        )


class ForceOff(Handler):
    """Ask a device to end a session: the question, then the device's answer in plain words."""

    title = N_("Force off")

    async def get(self, id: str) -> None:
        """The question."""
        await self._draw(await sessions.get(self.scope, id))

    async def post(self, id: str) -> None:
        """Ask the device, wait for its answer of a few seconds. See disconnects.request."""
        attempt = await disconnects.request(self.scope, id)
        await self._draw(await sessions.get(self.scope, id), answer=outcome(self.reader, attempt), attempt=attempt)

    async def _draw(self, session: sessions.Session, **answer: Any) -> None:
        (row,) = await shown(self, [session])
        kind = await disconnects.device_type(self.scope, session)
        context = {"answer": None, "attempt": None, "kind": kind, **answer}
        self.page("admin/sessions/disconnect.html", self.title, session=row, **context)


_READ, _DISCONNECT = Permission.SESSIONS_READ, Permission.SESSIONS_DISCONNECT
ROUTES = [
    Route("/sessions", Sessions, {"GET": _READ}, Menu("Subscribers", N_("Sessions"), "history", 60)),
    Route("/sessions/{id}", Session, {"GET": _READ}),
    Route("/sessions/{id}/disconnect", ForceOff, {"GET": _DISCONNECT, "POST": _DISCONNECT}),
]
