"""Log-in of cloud accounts and operators, the choice of a tenant, log-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from saas.errors import NotFound
from saas.handlers import auth
from saas.handlers.base import Handler, local_path
from saas.handlers.forms import FormPage
from saas.handlers.routes import PUBLIC, SIGNED_IN, Route
from saas.i18n import N_
from saas.tenants import factors, login, platform
from saas.tenants.scope import PlatformScope

HELD = "held"  # the cookie of a log-in that waits for its code


class _Door(FormPage):
    submit = N_("Log in")
    saved = ""

    async def opened(self, session: login.Session) -> str:
        """Open a session; where it leads."""
        await auth.sign_in(self, session)
        home = f"/t/{self.tenant['slug']}/admin" if self.tenant else await home_of(self.ps, session)
        return self.wanted(home)

    def wanted(self, home: str) -> str:
        """The page that sent the reader here, else `home`."""
        asked = local_path(self.query("next", "/"))
        return asked if asked != "/" else home


class CloudLogin(_Door):
    """A cloud account or the platform's staff, by e-mail address."""

    form = login.LoginForm
    title = N_("Log in")
    template = "public/login.html"

    async def extra(self) -> Mapping[str, Any]:
        """Where the form posts to: the wanted page travels along."""
        return {"action": self.request.uri, "operators": self.tenant is not None}

    async def save(self, form: login.LoginForm) -> str:
        """Check, open a session, go on."""
        return await self.enter(await login.cloud(self.ps, form, self.address))

    async def enter(self, session: login.Session) -> str:
        """Open a session and go on, or ask for the second factor first."""
        token = await factors.hold(self.ps, session)
        if token:
            self.keep(HELD, token, days=None)
            asked = {"next": self.query("next")} if self.query("next") else {}
            return f"{self.request.path}/code" + (f"?{urlencode(asked)}" if asked else "")
        return await self.opened(session)


class OperatorLogin(CloudLogin):
    """An operator of the tenant in the path."""

    async def save(self, form: login.LoginForm) -> str:
        """Check, open a session, go on."""
        if self.tenant is None:
            raise NotFound()
        return await self.enter(await login.operator(self.ps, self.tenant["slug"], form, self.address))


class SecondFactor(_Door):
    """The code, for those who have a second factor."""

    form = factors.CodeForm
    title = N_("Second factor")
    template = "public/code.html"

    async def get(self, **parts: str) -> None:
        """The form; whoever has not given a password begins there."""
        if self.get_cookie(HELD, ""):
            await super().get(**parts)
        else:
            self.go(self.request.path.removesuffix("/code"))

    async def extra(self) -> Mapping[str, Any]:
        """Where the form posts to, and where one begins anew."""
        return {"action": self.request.uri, "again": self.request.path.removesuffix("/code")}

    async def save(self, form: factors.CodeForm) -> str:
        """Check the code, open the session, go on."""
        session = await factors.admit(self.ps, self.get_cookie(HELD, "") or "", form.code, self.address)
        self.clear_cookie(HELD)
        return await self.opened(session)


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
    Route("/login/code", SecondFactor, {"GET": PUBLIC, "POST": PUBLIC}),
    Route("/t/{tenant}/login", OperatorLogin, {"GET": PUBLIC, "POST": PUBLIC}),
    Route("/t/{tenant}/login/code", SecondFactor, {"GET": PUBLIC, "POST": PUBLIC}),
    Route("/t/{tenant}", OperatorDoor, {"GET": PUBLIC}),
    Route("/tenants", Tenants, {"GET": SIGNED_IN}),
    Route("/logout", Logout, {"POST": PUBLIC}),
]
