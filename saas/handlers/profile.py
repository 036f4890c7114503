"""One's own profile, in whichever console: name, password, second factor, sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas import qr
from saas.errors import Conflict
from saas.handlers import auth
from saas.handlers.base import Handler
from saas.handlers.browsers import browser_name
from saas.handlers.forms import FormPage
from saas.handlers.routes import SIGNED_IN, Route
from saas.i18n import N_
from saas.tenants import factors, login, operators, signins


class _Own(Handler):
    @property
    def mine(self) -> login.Session:
        """The reader's session."""
        assert self.session is not None, "the route asks for a log-in"
        return self.session

    @property
    def required(self) -> bool:
        """Whether the reader has to have a second factor here."""
        return self.tenant is not None and self.tenant["parameters"]["second_factor"]


class Profile(_Own):
    """Everything of one's own at a glance."""

    async def get(self) -> None:
        """The page."""
        kv, me = self.ps.kv, self.mine.actor
        self.page(
            "profile/page.html",
            N_("My profile"),
            person=await operators.get(self.scope, me.id) if me.kind == "operator" else None,
            factor=await factors.get(self.ps, me.id),
            required=self.required,
            sessions=await signins.listing(kv, me.id, auth.token(self)),
            browser_name=browser_name,
        )


class OwnName(FormPage, _Own):
    """An operator's own real name."""

    form = operators.ProfileForm
    title = N_("Change my name")
    back = "/profile"

    async def initial(self) -> Mapping[str, Any]:
        """The present one. NotFound for cloud accounts, which have none."""
        return {"name": (await operators.get(self.scope, self.mine.actor.id))["name"]}

    async def save(self, form: operators.ProfileForm) -> str:
        """See operators.rename_own."""
        await operators.rename_own(self.scope, form)
        return self.url(self.back)


class OwnPassword(FormPage, _Own):
    """The present password, and the new one twice."""

    form = login.PasswordForm
    title = N_("Change my password")
    submit = N_("Change the password")
    saved = N_("Your password is changed. You are logged out everywhere else.")
    back = "/profile"

    async def save(self, form: login.PasswordForm) -> str:
        """Change it: every session ends, and a new one begins here."""
        await auth.sign_in(self, await login.change_password(self.ps, self.mine, form))
        return self.url("")


class FactorBegin(FormPage, _Own):
    """The password, before a second factor is set up."""

    form = factors.ProofForm
    title = N_("Set up the second factor")
    template = "profile/begin.html"
    submit = N_("Go on")
    saved = ""
    back = "/profile"
    without_factor = True

    async def extra(self) -> Mapping[str, Any]:
        """Why the reader is here."""
        return {"required": self.required and not self.mine.proven}

    async def save(self, form: factors.ProofForm) -> str:
        """See factors.begin."""
        await factors.begin(self.ps, self.mine, form)
        return self.url("/profile/factor/confirm")


class FactorConfirm(FormPage, _Own):
    """The secret to be taken into the app, and the first code from it."""

    form = factors.CodeForm
    title = N_("Set up the second factor")
    template = "profile/confirm.html"
    submit = N_("Switch it on")
    saved = N_("The second factor is on. You are logged out everywhere else.")
    back = "/profile"
    without_factor = True

    async def extra(self) -> Mapping[str, Any]:
        """The secret as text and as a picture."""
        secret, address = await factors.begun(self.ps, self.mine)
        grouped = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
        return {"secret": grouped, "picture": qr.picture(address)}

    async def save(self, form: factors.CodeForm) -> str:
        """See factors.confirm; this session goes on as a proven one."""
        session = await factors.confirm(self.ps, self.mine, form, auth.token(self))
        await auth.sign_in(self, session)
        return self.url("/profile/factor/codes")


class FactorCodes(_Own):
    """The recovery codes that were just made, shown once."""

    async def get(self) -> None:
        """The page."""
        self.page("profile/codes.html", N_("Recovery codes"), codes=await factors.take_codes(self.ps, self.mine))


class NewCodes(FormPage, _Own):
    """New recovery codes for the former ones."""

    form = factors.ProofForm
    title = N_("Make new recovery codes")
    template = "profile/proof.html"
    submit = N_("Make new codes")
    saved = ""
    back = "/profile"
    note = N_("The codes that are left are void then.")

    async def extra(self) -> Mapping[str, Any]:
        """What it does."""
        return {"note": self.note}

    async def save(self, form: factors.ProofForm) -> str:
        """See factors.make_codes."""
        await factors.make_codes(self.ps, self.mine, form)
        return self.url("/profile/factor/codes")


class FactorOff(NewCodes):
    """Log in with the password alone again."""

    title = N_("Switch the second factor off")
    submit = N_("Switch it off")
    saved = N_("The second factor is off.")
    note = N_("Whoever knows your password can log in then.")

    async def save(self, form: factors.ProofForm) -> str:
        """See factors.remove. Conflict where one is required."""
        if self.required:
            raise Conflict("factor_required")
        await factors.remove(self.ps, self.mine, form)
        return self.url("/profile")


class EndSession(_Own):
    """End one of one's own sessions, or all others."""

    async def post(self) -> None:
        """End it. The present one is ended by logging out."""
        me, chosen = self.mine.actor.id, self.get_body_argument("id", "")
        if chosen:
            await signins.end(self.ps.kv, me, chosen)
        else:
            await signins.end_all(self.ps.kv, me, but=auth.token(self))
        self.done(self.url("/profile"), N_("Logged out there."))


_FORM = {"GET": SIGNED_IN, "POST": SIGNED_IN}
TABLE = [
    Route("/profile", Profile, {"GET": SIGNED_IN}),
    Route("/profile/factor", FactorBegin, _FORM),
    Route("/profile/factor/confirm", FactorConfirm, _FORM),
    Route("/profile/factor/codes", FactorCodes, {"GET": SIGNED_IN}),
    Route("/profile/factor/codes/new", NewCodes, _FORM),
    Route("/profile/factor/off", FactorOff, _FORM),
    Route("/profile/sessions/end", EndSession, {"POST": SIGNED_IN}),
    Route("/password", OwnPassword, _FORM),
]
