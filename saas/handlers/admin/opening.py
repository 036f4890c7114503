"""Quick open: a member and an account in one form, the money taken, a card to hand over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from saas import security
from saas.handlers import tariffs
from saas.handlers.base import Handler
from saas.handlers.forms import Choices, FormPage
from saas.handlers.forms.shown import agreed, mark
from saas.handlers.routes import Menu, Route
from saas.handlers.slips import slip
from saas.handlers.words import expiry
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, plans, share
from saas.tenants.billing import METERED


class QuickOpen(FormPage):
    """Open an account. However often the button is pressed, it is opened and paid for once."""

    form = accounts.QuickOpenForm
    title = N_("Quick open")
    template = "admin/accounts/open.html"
    submit = N_("Open the account")
    saved = N_("The account is open.")
    back = "/accounts"
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """A password, the plan where there is no choice, and the name that was looked for in vain."""
        sold = await plans.for_sale(self.scope)
        former = await self._former()
        chosen = former["plan_id"] if former else sold[0]["_id"] if len(sold) == 1 else ""
        return {"password": security.new_secret(10), "plan_id": chosen, "username": self.query("username")[:64]}

    async def _former(self) -> accounts.Account | None:
        """The account that was opened just before, if this is the next one. NotFound."""
        former_id = self.query("after")
        return await accounts.get(self.scope, former_id) if former_id else None

    async def extra(self) -> Mapping[str, Any]:
        """The share card of the account before."""
        former = await self._former()
        plan = await plans.get(self.scope, former["plan_id"]) if former else None
        return {"former": former, "slip": await slip(self, former, plan) if former and plan else None}

    async def choices(self) -> Mapping[str, Choices]:
        """The plans on sale, with their prices."""
        sold = await plans.for_sale(self.scope)
        return {"plan_id": [(plan["_id"], f"{plan['name']} · {tariffs.price(self.reader, plan)}") for plan in sold]}

    async def save(self, form: accounts.QuickOpenForm) -> str:
        """See accounts.quick_open; the share card shows the password once."""
        expected = agreed(self.body(), _priced(form.plan_id, form.units, form.opens))
        account, _ = await accounts.quick_open(self.scope, form, self.attempt, expected)
        await share.offer(self.scope, account["_id"])
        if self.get_body_argument("_next", ""):
            return self.url("/accounts/open", after=account["_id"])
        return self.url("/accounts/{id}", id=account["_id"])


class Price(Handler):
    """What the chosen plan and quantity cost, and how long they last: the box beside the form."""

    async def get(self) -> None:
        """The box. Whatever cannot be priced is an empty one: the form itself says what is wrong."""
        units, asked = self.query("units"), self.query("opens", "now")
        opens = cast(accounts.Opens, asked) if asked in accounts.OPENS else "now"
        number = int(units) if units.isdecimal() else 0
        quote = await accounts.quote(self.scope, self.query("plan_id"), number, opens)
        expires = expiry(self.reader, {**quote.holding, "status": quote.status}) if quote else ""
        costs = tariffs.price(self.reader, quote.plan) if quote and quote.plan["kind"] in METERED else ""
        shown = mark(quote.price, _priced(quote.plan["_id"], quote.units, opens)) if quote else ""
        context = {"quote": quote, "expires": expires, "costs": costs, "mark": shown}
        self.page("admin/accounts/price.html", N_("Price"), **context)


def _priced(plan_id: str, units: int, opens: str) -> str:
    """What a price is of."""
    return f"{plan_id} {0 if opens == 'unpaid' else units} {opens}"


_WRITE = Permission.ACCOUNTS_WRITE
ROUTES = [
    Route(
        "/accounts/open",
        QuickOpen,
        {"GET": _WRITE, "POST": _WRITE},
        Menu("Subscribers", N_("Quick open"), "user-plus", 10),
    ),
    Route("/accounts/open/price", Price, {"GET": _WRITE}),
]
