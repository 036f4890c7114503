"""What came of a device, and mending with a click what its finding says."""

from __future__ import annotations

from saas.handlers.admin.nas import finding_of
from saas.handlers.base import Handler
from saas.handlers.disconnects import probed
from saas.handlers.forms import ConfirmPage
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import device_types, findings, nas, probes


class NasState(Handler):
    """The finding by itself: asked for again and again until the device works."""

    async def get(self, id: str) -> None:
        """The part of the page."""
        device = await nas.get(self.scope, id)
        self.page("admin/nas/state.html", device["name"], nas=device, **await finding_of(self, device))


class Adopt(Handler):
    """Take what knocks for this device."""

    async def post(self, id: str) -> None:
        """Let the device be known by it."""
        device = await nas.get(self.scope, id)
        await findings.adopt(self.ps, self.scope, device, self.query("unknown"), self.address, self.query("address"))
        self.done(self.url("/nas/{id}", id=id), N_("The device is known by it now. Wait for its next packet."))


class Probe(Handler):
    """Whether sessions there can be ended, tried out."""

    async def post(self, id: str) -> None:
        """The card with the device's answer."""
        device = await nas.get(self.scope, id)
        result = await probes.probe(self.scope, id)
        kind = device_types.device_type(device["vendor"])
        answer = probed(self.reader, result)
        self.page("admin/nas/probe.html", device["name"], nas=device, kind=kind, answer=answer, result=result)


class AllowUnsigned(ConfirmPage):
    """Answer a device that cannot send a Message-Authenticator."""

    title = N_("Answer it without Message-Authenticator?")
    text = N_(
        "Whoever can change packets on the way between the device and this service could then let himself in. Do it "
        "only for a device that cannot send it, and give that a fixed address."
    )
    submit = N_("Answer it without")
    saved = N_("Saved. Wait for its next packet.")
    back = "/nas/{id}"

    async def subject(self) -> str:
        """The device's name."""
        return (await nas.get(self.scope, self.part("id")))["name"]

    async def act(self) -> str:
        """Change the device."""
        await findings.allow_unsigned(self.scope, await nas.get(self.scope, self.part("id")))
        return self.url("/nas/{id}", id=self.part("id"))


_READ, _WRITE = Permission.NAS_READ, Permission.NAS_WRITE
ROUTES = [
    Route("/nas/{id}/state", NasState, {"GET": _READ}),
    Route("/nas/{id}/adopt", Adopt, {"POST": _WRITE}),
    Route("/nas/{id}/probe", Probe, {"POST": _WRITE}),
    Route("/nas/{id}/unsigned", AllowUnsigned, {"GET": _WRITE, "POST": _WRITE}),
]
