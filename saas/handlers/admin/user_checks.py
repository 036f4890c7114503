"""What of a log-in is checked at a device: a page of its own, because it may let in strangers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.forms import FormPage
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import nas, user_checks


class UserCheck(FormPage):
    """The question, with the device's name to be typed where less is checked than before."""

    form = user_checks.UserCheckForm
    template = "admin/nas/user_check.html"
    title = N_("User check")
    saved = N_("Saved. It holds from the next log-in on.")
    back = "/nas/{id}"

    async def initial(self) -> Mapping[str, Any]:
        """What is checked now."""
        device = await nas.get(self.scope, self.part("id"))
        return {"user_check": device["user_check"], "version": device["version"]}

    async def extra(self) -> Mapping[str, Any]:
        """Whose it is."""
        return {"device": await nas.get(self.scope, self.part("id"))}

    async def save(self, form: user_checks.UserCheckForm) -> str:
        """Change it, unless someone else did."""
        await user_checks.change(self.scope, self.part("id"), form, self.version)
        return self.url(self.back, id=self.part("id"))


_WRITE = Permission.NAS_WRITE
ROUTES = [Route("/nas/{id}/user-check", UserCheck, {"GET": _WRITE, "POST": _WRITE})]
