"""Sign-up: a form, a code by mail, a tenant of the free tier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers import auth
from saas.handlers.base import Handler
from saas.handlers.forms import FormPage
from saas.handlers.routes import PUBLIC, Route
from saas.i18n import N_
from saas.tenants import signup

COOKIE = "signup"  # the pending sign-up of this browser; nobody else can confirm it


class Start(FormPage):
    """Names, address and password."""

    form = signup.SignupForm
    title = N_("Create your system")
    template = "public/signup.html"
    submit = N_("Send me the code")
    saved = ""

    async def save(self, form: signup.SignupForm) -> str:
        """Mail a code."""
        pending = await signup.start(self.ps, form, address=self.address, locale=self.reader.language)
        self.keep(COOKIE, pending, days=None)
        return "/signup/confirm"


class Confirm(FormPage):
    """The code from the mail."""

    form = signup.CodeForm
    title = N_("Check your mail")
    template = "public/confirm.html"
    submit = N_("Confirm")
    saved = N_("Your system is ready.")

    async def extra(self) -> Mapping[str, Any]:
        """The address that the code went to."""
        return {"email": await signup.pending_email(self.ps, self.get_cookie(COOKIE, ""))}

    async def save(self, form: signup.CodeForm) -> str:
        """Create the cloud account and its tenant."""
        session, tenant = await signup.confirm(self.ps, self.get_cookie(COOKIE, ""), form, address=self.address)
        self.clear_cookie(COOKIE)
        await auth.sign_in(self, session)
        return f"/t/{tenant['slug']}/admin"


class Resend(Handler):
    """Another mail."""

    async def post(self) -> None:
        """Send it."""
        await signup.resend(self.ps, self.get_cookie(COOKIE, ""))
        self.done("/signup/confirm", N_("A new code is on its way."))


ROUTES = [
    Route("/signup", Start, {"GET": PUBLIC, "POST": PUBLIC}),
    Route("/signup/confirm", Confirm, {"GET": PUBLIC, "POST": PUBLIC}),
    Route("/signup/resend", Resend, {"POST": PUBLIC}),
]
