"""What is done to an account in the course of its life: each page shows beforehand what it will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from saas.handlers import tariffs
from saas.handlers.base import Handler
from saas.handlers.forms import Choices, ConfirmPage
from saas.handlers.forms.shown import agreed, mark
from saas.handlers.previews import PreviewPage, Sheet, sheet
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, activations, life, plans, purchases, renewals, standing
from saas.tenants.forms import Form


class ActPage(PreviewPage):
    """The form of an act, beside it what the act would do with what stands in the form. Declare `act`."""

    act: ClassVar[life.Act]
    template = "admin/accounts/act.html"
    back = "/accounts/{id}"
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """The account's version: what was shown is done to the account that was seen."""
        return {"version": (await accounts.get(self.scope, self.part("id")))["version"]}

    async def extra(self) -> Mapping[str, Any]:
        """Whose account it is, and the preview or what speaks against it."""
        shown, refusal = await self.preview()
        return {"account": await accounts.get(self.scope, self.part("id")), "sheet": shown, "refusal": refusal}

    async def look(self, form: Any) -> Sheet:
        """See life.preview."""
        shown = await life.preview(self.scope, self.act, self.part("id"), form)
        found = sheet(self.reader, shown, await plans.names(self.scope))
        return replace(found, mark=mark(shown.charged, form))

    async def save(self, form: Any) -> str:
        """See life.perform."""
        account_id = self.part("id")
        expected = agreed(self.body(), form)
        await life.perform(self.scope, self.act, account_id, form, self.attempt, self.version, expected)
        return self.url("/accounts/{id}", id=account_id)


class Renew(ActPage):
    """Renew, and take the money: one page, one button."""

    act = purchases.RENEW
    form = purchases.RenewForm
    title = N_("Renew the account")
    submit = N_("Take the money and renew")
    saved = N_("The account is renewed.")


class Add(ActPage):
    """More traffic, time or validity."""

    act = purchases.ADD
    form = purchases.AdditionForm
    title = N_("Top up traffic or time")
    submit = N_("Top up")
    saved = N_("The account is topped up.")


class ChangePlan(ActPage):
    """Another plan, now or at expiry."""

    act = purchases.CHANGE_PLAN
    form = purchases.ChangePlanForm
    title = N_("Change the plan")
    submit = N_("Change the plan")
    saved = N_("The change of plan is noted.")

    async def choices(self) -> Mapping[str, Choices]:
        """The plans on sale, with their prices."""
        sold = await plans.for_sale(self.scope)
        return {"plan_id": [(plan["_id"], f"{plan['name']} · {tariffs.price(self.reader, plan)}") for plan in sold]}


class KeepPlan(ActPage):
    """Call off a change of plan that was to come."""

    act = purchases.KEEP_PLAN
    form = Form
    title = N_("Call off the change of plan")
    submit = N_("Call it off")
    saved = N_("The account keeps its plan.")


class Renews(ActPage):
    """Let the account renew by itself."""

    act = renewals.RENEWS
    form = Form
    title = N_("Switch automatic renewal on")
    submit = N_("Switch it on")
    saved = N_("The account is renewed from the balance before its end.")


class RenewsNot(ActPage):
    """Let it end, unless somebody renews it."""

    act = renewals.RENEWS_NOT
    form = Form
    title = N_("Switch automatic renewal off")
    submit = N_("Switch it off")
    saved = N_("The account ends unless it is renewed by hand.")


class Activate(ActPage):
    """Let in who was opened ahead, before the day."""

    act = activations.ACTIVATE
    form = Form
    title = N_("Activate")
    submit = N_("Activate")
    saved = N_("The account is active.")


class Suspend(ActPage):
    """Stop the account's clock."""

    act = standing.SUSPEND
    form = standing.NoteForm
    title = N_("Suspend")
    submit = N_("Suspend")
    saved = N_("The account is suspended. What is left of it is kept to the second.")


class Resume(ActPage):
    """Let the clock run again."""

    act = standing.RESUME
    form = Form
    title = N_("Resume")
    submit = N_("Resume")
    saved = N_("The account runs again.")


class Transfer(ActPage):
    """Hand the account to another member."""

    act = standing.TRANSFER
    form = standing.TransferForm
    title = N_("Transfer to another member")
    submit = N_("Transfer")
    saved = N_("The account belongs to another member now.")


class Close(ActPage):
    """Close the account and give back what the rest is worth."""

    act = standing.CLOSE
    form = standing.CloseForm
    title = N_("Close with refund")
    submit = N_("Close the account")
    saved = N_("The account is closed.")


class Delete(ConfirmPage):
    """Remove a closed account for good."""

    title = N_("Delete this account?")
    text = N_("It cannot be brought back. Its sessions, payments and log entries stay.")
    submit = N_("Delete the account")
    saved = N_("The account is deleted.")
    back = "/accounts/{id}"
    typed = True
    creates = True

    async def subject(self) -> str:
        """The account's name."""
        return (await accounts.get(self.scope, self.part("id")))["username"]

    async def act(self) -> str:
        """See life.perform."""
        await life.perform(self.scope, standing.DELETE, self.part("id"), Form(), self.attempt)
        return self.url("/accounts")


_PAGES: dict[str, type[Handler]] = {
    "renew": Renew,
    "add": Add,
    "plan": ChangePlan,
    "keep-plan": KeepPlan,
    "renews": Renews,
    "renews-not": RenewsNot,
    "activate": Activate,
    "suspend": Suspend,
    "resume": Resume,
    "transfer": Transfer,
    "close": Close,
    "delete": Delete,
}
_WRITE = Permission.ACCOUNTS_WRITE
ROUTES = [Route(f"/accounts/{{id}}/{name}", page, {"GET": _WRITE, "POST": _WRITE}) for name, page in _PAGES.items()]
