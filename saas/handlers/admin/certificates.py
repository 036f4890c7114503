"""Certificates of devices for RADIUS over TLS: issuing, renewing, revoking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.admin.nas import NasDetail, engine_facts
from saas.handlers.certificates import card, issued
from saas.handlers.forms import ConfirmPage
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import certificates, nas


class Issue(NasDetail):
    """A certificate in one click. The answer alone holds the private key."""

    async def post(self, id: str) -> None:
        """Issue one, and show its files."""
        await self.give(await certificates.issue(self.scope, id), await nas.get(self.scope, id))

    async def give(self, bundle: certificates.Bundle, device: nas.Nas) -> None:
        """The card with the files in it, or the whole page."""
        given = issued(bundle, await certificates.server_authority(self.ps), device)
        if not self.htmx:
            await self.show(device, "", given)
            return
        values = await card(self.scope, device, await engine_facts(self.scope), given)
        self.page("admin/nas/certificates.html", device["name"], nas=device, **values)


class Renew(Issue):
    """A successor of a certificate, which goes on for two weeks."""

    async def get(self, id: str) -> None:
        """The device's page: where one is who loads the answer again."""
        await super().get((await certificates.get(self.scope, id))["nas_id"])

    async def post(self, id: str) -> None:
        """Issue the successor, and show its files."""
        old = await certificates.get(self.scope, id)
        await self.give(await certificates.renew(self.scope, id), await nas.get(self.scope, old["nas_id"]))


class Revoke(ConfirmPage):
    """End a certificate."""

    title = N_("Revoke this certificate?")
    text = N_("Connections opened with it are closed at once, and it is never accepted again.")
    submit = N_("Revoke the certificate")
    saved = N_("The certificate is revoked.")
    back = "/nas/{nas}"

    async def subject(self) -> str:
        """The device's name and the number."""
        row = await certificates.get(self.scope, self.part("id"))
        return f"{row['name']} · {row['serial'][:16]}…"

    async def initial(self) -> Mapping[str, Any]:
        """The way back leads to the device."""
        self.path_kwargs["nas"] = (await certificates.get(self.scope, self.part("id")))["nas_id"]
        return {}

    async def act(self) -> str:
        """Revoke it."""
        row = await certificates.revoke(self.scope, self.part("id"))
        return self.url("/nas/{id}", id=row["nas_id"])


_READ, _WRITE = Permission.NAS_READ, Permission.NAS_WRITE
ROUTES = [
    Route("/nas/{id}/certificates", Issue, {"GET": _READ, "POST": _WRITE}),
    Route("/certificates/{id}/renew", Renew, {"GET": _READ, "POST": _WRITE}),
    Route("/certificates/{id}/revoke", Revoke, {"GET": _WRITE, "POST": _WRITE}),
]
