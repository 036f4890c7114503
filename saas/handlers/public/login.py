"""Log-in of cloud accounts and operators, the choice of a tenant, log-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.errors import NotFound
from saas.handlers import auth
from saas.handlers.base import Handler, local_path
from saas.handlers.forms import FormPage
from saas.handlers.routes import PUBLIC, SIGNED_IN, Route
from saas.i18n import N_
from saas.tenants import login, platform
from saas.tenants.scope import PlatformScope


class CloudLogin(FormPage):
    """A cloud account or the platform's staff, by e-mail address."""

    form = login.LoginForm
    title = N_("Log in")
    template = "public/login.html"
    submit = N_("Log in")
    saved = ""

    async def extra(self) -> Mapping[str, Any]:
        """Where the form posts to: the wanted page travels along."""
        return {"action": self.request.uri, "operators": self.tenant is not None}

    async def save(self, form: login.LoginForm) -> str:
        """Check, open a session, go on."""
        session = await login.cloud(self.ps, form, self.address)
        await auth.sign_in(self, session)
        return self.wanted(await home_of(self.ps, session))

    def wanted(self, home: str) -> str:
        """The page that sent the reader here, else `home`."""
        asked = local_path(self.query("next", "/"))
        return asked if asked != "/" else home


class OperatorLogin(CloudLogin):
    """An operator of the tenant in the path."""

    async def save(self, form: login.LoginForm) -> str:
        """Check, open a session, go on."""
        if self.tenant is None:
            raise NotFound()
        slug = self.tenant["slug"]
        await auth.sign_in(self, await login.operator(self.ps, slug, form, self.address))
        return self.wanted(f"/t/{slug}/admin")


class Tenants(Handler):
    """The systems of a cloud account."""

    async def get(self) -> None:
        """The choice; an operator has none."""
        if self.session is None or self.session.actor.kind != "owner":
            raise NotFound()
        found = await platform.tenants_of(self.ps, self.session.actor.id)
        self.page("public/tenants.html", N_("Your systems"), tenants=found, tiers=platform.TIERS)


class Logout(Handler):
    """The end of a session."""

    async def post(self) -> None:
        """End it, and say so where one logs in again."""
        slug = await self._slug()
        await auth.sign_out(self)
        self.done(f"/t/{slug}/login" if slug else "/login", N_("You are logged out."))

    async def _slug(self) -> str:
        """The tenant whose operator this is, "" for others."""
        if self.session is None or not self.session.tenant_id:
            return ""
        return str((await self.ps.db.tenants.get(self.session.tenant_id))["slug"])


async def home_of(ps: PlatformScope, session: login.Session) -> str:
    """Where a cloud account begins: its only system, or the choice."""
    if session.actor.kind == "platform":
        return "/platform"
    found = await platform.tenants_of(ps, session.actor.id)
    return f"/t/{found[0]['slug']}/admin" if len(found) == 1 else "/tenants"


class OperatorDoor(Handler):
    """The bare address of a tenant."""

    async def get(self) -> None:
        """To its console; who is not logged in is asked to."""
        assert self.tenant is not None
        self.go(f"/t/{self.tenant['slug']}/admin")


ROUTES = [
    Route("/login", CloudLogin, {"GET": PUBLIC, "POST": PUBLIC}),
    Route("/t/{tenant}/login", OperatorLogin, {"GET": PUBLIC, "POST": PUBLIC}),
    Route("/t/{tenant}", OperatorDoor, {"GET": PUBLIC}),
    Route("/tenants", Tenants, {"GET": SIGNED_IN}),
    Route("/logout", Logout, {"POST": PUBLIC}),
]
