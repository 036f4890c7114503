"""Taking money onto a member's balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.forms import FormPage
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import members, wallet


class TopUp(FormPage):
    """Take money; the balance pays for renewals later."""

    form = wallet.TopUpForm
    title = N_("Take money")
    template = "admin/members/top_up.html"
    submit = N_("Take the money")
    back = "/members/{id}"
    saved = ""
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """No values; the member must be there."""
        await members.get(self.scope, self.part("id"))
        return {}

    async def extra(self) -> Mapping[str, Any]:
        """Whose balance it is."""
        return {"member": await members.get(self.scope, self.part("id"))}

    async def save(self, form: wallet.TopUpForm) -> str:
        """See wallet.top_up."""
        entry = await wallet.top_up(self.scope, self.part("id"), form, self.attempt)
        words = {"amount": self.reader.money(entry["amount"]), "balance": self.reader.money(entry["after"])}
        self.flash("success", self.reader(N_("{amount} received. The balance is {balance}."), **words))
        return self.url("/members/{id}", id=self.part("id"))


_WRITE = Permission.MEMBERS_WRITE
ROUTES = [Route("/members/{id}/top-up", TopUp, {"GET": _WRITE, "POST": _WRITE})]
