"""Traces: begin one for a device or an account, watch the packets come, download them, end it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.forms import FormPage
from saas.handlers.messages import BadRequest
from saas.handlers.routes import Route
from saas.handlers.words import DROPS
from saas.i18n import N_, Reader
from saas.permissions import Permission
from saas.tenants import accounts, nas, traces
from saas.tenants.traces import Trace, TracedPacket
from saas.values import from_epoch

WAYS: Mapping[str, tuple[str, str]] = {
    "in": (N_("received"), "blue"),
    "out": (N_("sent"), "green"),
    "drop": (N_("dropped"), "red"),
    "skip": (N_("left out"), "gray"),
}


class _Begin(FormPage):
    form = traces.TraceForm
    title = N_("Trace packets")
    template = "admin/traces/begin.html"
    submit = N_("Begin the trace")
    saved = ""

    def at(self, trace: Trace) -> str:
        """The trace's page."""
        return self.url("/traces/{id}", id=trace.id)


class TraceNas(_Begin):
    """All packets of a device."""

    back = "/nas/{id}"

    async def extra(self) -> Mapping[str, Any]:
        """The device's name."""
        device = await nas.get(self.scope, self.part("id"))
        return {"name": device["name"], "of_user": False, "running": await traces.running(self.scope)}

    async def initial(self) -> Mapping[str, Any]:
        """It must be there."""
        await nas.get(self.scope, self.part("id"))
        return {}

    async def save(self, form: traces.TraceForm) -> str:
        """See traces.start_nas."""
        return self.at(await traces.start_nas(self.scope, self.part("id"), form))


class TraceAccount(_Begin):
    """The packets of a user name, on all devices."""

    back = "/accounts/{id}"

    async def extra(self) -> Mapping[str, Any]:
        """The user name."""
        account = await accounts.get(self.scope, self.part("id"))
        return {"name": account["username"], "of_user": True, "running": await traces.running(self.scope)}

    async def initial(self) -> Mapping[str, Any]:
        """It must be there."""
        await accounts.get(self.scope, self.part("id"))
        return {}

    async def save(self, form: traces.TraceForm) -> str:
        """See traces.start_account."""
        return self.at(await traces.start_account(self.scope, self.part("id"), form))


class ShowTrace(Handler):
    """The packets, the newest last; more of them appear as they come."""

    async def get(self, id: str) -> None:
        """The page."""
        trace = await traces.get(self.scope, id)
        self.page(
            "admin/traces/detail.html",
            N_("Trace packets"),
            until=from_epoch(trace.until),
            **await _seen(self, trace, 0),
        )


class MorePackets(Handler):
    """What has come since: the part of the page that asks for itself again and again while the trace runs."""

    async def get(self, id: str) -> None:
        """The part."""
        after = self.query("after", "0")
        if not after.isdigit() or len(after) > 12:
            raise BadRequest()
        trace = await traces.get(self.scope, id)
        self.page("admin/traces/packets.html", N_("Trace packets"), **await _seen(self, trace, int(after)))


class DownloadTrace(Handler):
    """All packets as text."""

    async def get(self, id: str) -> None:
        """The file."""
        trace = await traces.get(self.scope, id)
        lines = [f"# {trace.name}, {self.reader.moment(from_epoch(trace.started_at))}"]
        for packet in await traces.packets(self.scope, id):
            lines += as_text(self.reader, packet)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{id}.txt"')
        self.finish("\n".join(lines) + "\n")


class StopTrace(Handler):
    """End it before its time."""

    async def post(self, id: str) -> None:
        """See traces.stop."""
        await traces.stop(self.scope, id)
        self.done(self.url("/traces/{id}", id=id), N_("The trace is stopped."))


async def _seen(page: Handler, trace: Trace, after: int) -> dict[str, Any]:
    packets = await traces.packets(page.scope, trace.id, after)
    last = packets[-1].number if packets else after
    return {"trace": trace, "packets": packets, "last": last, "ways": WAYS, "clock": clock, "why": why, "shown": shown}


def clock(reader: Reader, packet: TracedPacket) -> str:
    """When it passed, to the millisecond, in the reader's zone."""
    return f"{reader.local(from_epoch(packet.at)):%H:%M:%S}.{int(packet.at * 1000) % 1000:03d}"


def why(reader: Reader, packet: TracedPacket) -> tuple[str, str]:
    """Why a packet was dropped and what to do about it, in words where there are any."""
    reason, advice = DROPS.get(packet.reason, (packet.reason, ""))
    return reader(reason), reader(advice) if advice else ""


def shown(reader: Reader, text: str | None, octets: int) -> str:
    """A value, or how long the one is that is not shown."""
    return reader(N_("not shown, {n} octets"), n=octets) if text is None else text


def as_text(reader: Reader, packet: TracedPacket) -> list[str]:
    """A packet as lines of text."""
    way = reader(WAYS[packet.way][0])
    if packet.skipped:
        return ["", f"{clock(reader, packet)}  {way}: {packet.skipped}"]
    head = f"{clock(reader, packet)}  {way}  {packet.kind}  id {packet.id}  {packet.peer}  {packet.length}"
    reason = [f"    ! {why(reader, packet)[0]} ({packet.reason})"] if packet.reason else []
    return ["", head, *reason, *(f"    {name} = {shown(reader, text, n)}" for name, text, n in packet.attributes)]


_WRITE = Permission.NAS_WRITE
ROUTES = [
    Route("/nas/{id}/trace", TraceNas, {"GET": _WRITE, "POST": _WRITE}),
    Route("/accounts/{id}/trace", TraceAccount, {"GET": _WRITE, "POST": _WRITE}),
    Route("/traces/{id}", ShowTrace, {"GET": _WRITE}),
    Route("/traces/{id}/packets", MorePackets, {"GET": _WRITE}),
    Route("/traces/{id}/text", DownloadTrace, {"GET": _WRITE}),
    Route("/traces/{id}/stop", StopTrace, {"POST": _WRITE}),
]
