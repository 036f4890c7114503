"""One's own password."""

from __future__ import annotations

from saas.handlers import auth
from saas.handlers.forms import FormPage
from saas.handlers.routes import SIGNED_IN, Route
from saas.i18n import N_
from saas.tenants import login


class OwnPassword(FormPage):
    """The present password, and the new one twice."""

    form = login.PasswordForm
    title = N_("Change my password")
    submit = N_("Change the password")
    saved = N_("Your password is changed. You are logged out everywhere else.")

    async def save(self, form: login.PasswordForm) -> str:
        """Change it: every session ends, and a new one begins here."""
        assert self.session is not None, "the route asks for a log-in"
        await auth.sign_in(self, await login.change_password(self.ps, self.session, form))
        return self.url("")


ROUTES = [Route("/password", OwnPassword, {"GET": SIGNED_IN, "POST": SIGNED_IN})]
