"""Taking money onto a member's balance, and changing it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.forms import FormPage
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import members, wallet
from saas.tenants.accounts import PAY_METHODS

_METHOD = "paid_by"  # the cookie with the method that was used last


class _BalancePage(FormPage):
    """A form beside the balance that it changes."""

    template = "admin/members/top_up.html"
    back = "/members/{id}"
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """No values; the member must be there."""
        await members.get(self.scope, self.part("id"))
        return {}

    async def extra(self) -> Mapping[str, Any]:
        """Whose balance it is."""
        return {"member": await members.get(self.scope, self.part("id"))}


class TopUp(_BalancePage):
    """Take money; the balance pays for renewals later."""

    form = wallet.TopUpForm
    title = N_("Take money")
    submit = N_("Take the money")
    saved = ""

    async def initial(self) -> Mapping[str, Any]:
        """As it was paid last time at this desk."""
        last = self.get_cookie(_METHOD, "")
        return {**await super().initial(), **({"method": last} if last in PAY_METHODS else {})}

    async def save(self, form: wallet.TopUpForm) -> str:
        """See wallet.top_up; its receipt is a click away."""
        entry = await wallet.top_up(self.scope, self.part("id"), form, self.attempt)
        self.keep(_METHOD, form.method)
        words = {"amount": self.reader.money(entry["amount"]), "balance": self.reader.money(entry["after"])}
        may = self.can("/payments/{id}/receipt", "POST")
        offer = (self.url("/payments/{id}/receipt", id=entry["_id"]), N_("Receipt")) if may else None
        self.flash("success", self.reader(N_("{amount} received. The balance is {balance}."), **words), offer)
        return self.url("/members/{id}", id=self.part("id"))


class ChangeBalance(_BalancePage):
    """Pay out, give, move, correct; with a reason."""

    form = wallet.BalanceForm
    title = N_("Change the balance")
    submit = N_("Change the balance")
    saved = ""

    async def save(self, form: wallet.BalanceForm) -> str:
        """See wallet.change."""
        entry = await wallet.change(self.scope, self.part("id"), form, self.attempt)
        balance = self.reader.money(entry["after"])
        self.flash("success", self.reader(N_("The balance is {balance} now."), balance=balance))
        return self.url("/members/{id}", id=self.part("id"))


_WRITE, _ADJUST = Permission.MEMBERS_WRITE, Permission.LEDGER_ADJUST
ROUTES = [
    Route("/members/{id}/top-up", TopUp, {"GET": _WRITE, "POST": _WRITE}),
    Route("/members/{id}/balance", ChangeBalance, {"GET": _ADJUST, "POST": _ADJUST}),
]
