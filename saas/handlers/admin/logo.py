"""The logo that stands on what a tenant prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.errors import NotFound
from saas.handlers.base import Handler
from saas.handlers.forms import ConfirmPage, FormPage
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import logos


class Logo(FormPage):
    """The logo, and another one."""

    form = logos.LogoForm
    title = N_("Logo")
    template = "admin/parameters/logo.html"
    submit = N_("Use this picture")
    saved = N_("The logo is saved. What is issued from now on bears it.")
    back = "/parameters"

    async def extra(self) -> Mapping[str, Any]:
        """Which one is in use."""
        return {"logo": self.scope.tenant["parameters"]["logo"]}

    async def save(self, form: logos.LogoForm) -> str:
        """See logos.replace."""
        await logos.replace(self.scope, form)
        return self.url("/parameters/logo")


class RemoveLogo(ConfirmPage):
    """Print none any more."""

    title = N_("Remove the logo?")
    text = N_("What was issued keeps it.")
    submit = N_("Remove")
    back = "/parameters/logo"

    async def subject(self) -> str:
        """The system's name."""
        return str(self.scope.tenant["parameters"]["system_name"])

    async def act(self) -> str:
        """See logos.remove."""
        await logos.remove(self.scope)
        return self.url("/parameters/logo")


class Picture(Handler):
    """The picture itself."""

    async def get(self) -> None:
        """As PNG. NotFound when there is none."""
        png = await logos.png(self.scope, self.scope.tenant["parameters"]["logo"])
        if png is None:
            raise NotFound()
        self.set_header("Content-Type", "image/png")
        self.finish(png)


_READ, _WRITE = Permission.PARAMETERS_READ, Permission.PARAMETERS_WRITE
ROUTES = [
    Route("/parameters/logo", Logo, {"GET": _WRITE, "POST": _WRITE}),
    Route("/parameters/logo/remove", RemoveLogo, {"GET": _WRITE, "POST": _WRITE}),
    Route("/parameters/logo/picture", Picture, {"GET": _READ}),
]
