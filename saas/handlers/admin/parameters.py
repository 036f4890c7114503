"""Parameters: what a tenant sets for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.forms import Choices, FormPage
from saas.handlers.routes import Menu, Route
from saas.i18n import LANGUAGES, N_
from saas.permissions import Permission
from saas.tenants import parameters


class Parameters(FormPage):
    """Every parameter with its effect; read only for who may not change them."""

    form = parameters.ParametersForm
    title = N_("Parameters")
    template = "admin/parameters/form.html"
    saved = N_("The parameters are saved.")

    async def initial(self) -> Mapping[str, Any]:
        """The parameters as they are."""
        tenant = self.scope.tenant
        return tenant["parameters"] | {"version": tenant["version"]}

    async def choices(self) -> Mapping[str, Choices]:
        """Languages by their own names, and time zones."""
        return {"locale": tuple(LANGUAGES.items()), "timezone": [(zone, zone) for zone in parameters.zones()]}

    async def save(self, form: parameters.ParametersForm) -> str:
        """Replace them, unless someone else did."""
        await parameters.update(self.scope, form, self.version)
        return self.url("/parameters")


_READ, _WRITE = Permission.PARAMETERS_READ, Permission.PARAMETERS_WRITE
ROUTES = [
    Route("/parameters", Parameters, {"GET": _READ, "POST": _WRITE}, Menu("System", N_("Parameters"), "settings", 40)),
]
