"""Redeeming a recharge card for an account or a member: what it does is shown before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from saas.errors import AppError, Invalid
from saas.handlers.admin.cards import worth
from saas.handlers.base import Handler
from saas.handlers.forms import Choices, FormPage
from saas.handlers.forms.bound import Bound
from saas.handlers.messages import field_message, sentence, status_of
from saas.handlers.previews import Sheet, sheet
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, members, plans, redemptions
from saas.tenants.paging import ListQuery
from saas.tenants.redemptions import RedeemForm


class RedeemForMember(FormPage):
    """A card for a member: onto its balance, or for one of its accounts."""

    form = RedeemForm
    title = N_("Redeem a card")
    template = "admin/cards/redeem.html"
    submit = N_("Redeem the card")
    saved = ""
    back = "/members/{id}"
    creates = True

    async def member_id(self) -> str:
        """Whose card it becomes. NotFound."""
        return (await members.get(self.scope, self.part("id")))["_id"]

    async def offered(self) -> Sequence[accounts.Account]:
        """The accounts to choose from."""
        own = ListQuery(filters={"member_id": self.part("id")}, limit=200)
        return [row for row in (await accounts.listing(self.scope, own)).rows if row["status"] != "closed"]

    async def initial(self) -> Mapping[str, Any]:
        """The only account is chosen already."""
        await self.member_id()
        found = await self.offered()
        return {"account_id": found[0]["_id"] if len(found) == 1 else ""}

    async def choices(self) -> Mapping[str, Choices]:
        """The accounts."""
        return {"account_id": [(row["_id"], row["username"]) for row in await self.offered()]}

    async def extra(self) -> Mapping[str, Any]:
        """Whom it is for."""
        member = await members.get(self.scope, await self.member_id())
        return {
            "name": member["login"],
            "crumbs": [("/members", N_("Members")), (f"/members/{member['_id']}", member["login"])],
        }

    async def save(self, form: RedeemForm) -> str:
        """See redemptions.redeem."""
        card, batch = await redemptions.redeem(self.scope, await self.member_id(), form, self.attempt)
        words = {"serial": card["serial"], "worth": worth(self.reader, batch, await plans.names(self.scope))}
        self.flash("success", self.reader(N_("Card {serial} is redeemed: {worth}."), **words))
        return self.url(self.back, id=self.part("id"))


class RedeemForAccount(RedeemForMember):
    """A card for an account."""

    back = "/accounts/{id}"

    async def member_id(self) -> str:
        """Its member. NotFound."""
        return (await accounts.get(self.scope, self.part("id")))["member_id"]

    async def offered(self) -> Sequence[accounts.Account]:
        """The account itself."""
        return [await accounts.get(self.scope, self.part("id"))]

    async def extra(self) -> Mapping[str, Any]:
        """Which one it is."""
        account = await accounts.get(self.scope, self.part("id"))
        name = account["username"]
        return {"name": name, "crumbs": [("/accounts", N_("Accounts")), (f"/accounts/{account['_id']}", name)]}


class Preview(Handler):
    """What the card would do: the box beside the form. Posted, so that no code stands in an address."""

    async def post(self, id: str) -> None:
        """The box."""
        shown, refusal, member_id = None, "", await self.member_id(id)
        if self.get_body_argument("code", ""):
            try:
                form = Bound(RedeemForm).parse(self.body())
                shown = await self._sheet(await redemptions.preview(self.scope, member_id, form))
            except Invalid as error:
                refusal = " ".join(field_message(self.reader, code, {}) for code in error.fields.values())
            except AppError as error:
                refusal = sentence(self.reader, error.code, status_of(error), error.data)
        self.page("admin/cards/preview.html", N_("Redeem a card"), sheet=shown, refusal=refusal)

    async def member_id(self, id: str) -> str:
        """Whose card it would become. NotFound."""
        return (await members.get(self.scope, id))["_id"]

    async def _sheet(self, offer: redemptions.Offer) -> Sheet:
        names = await plans.names(self.scope)
        value = worth(self.reader, offer.batch, names)
        if offer.act:
            return replace(sheet(self.reader, offer.act, names), title=N_("The card is worth"), sum=value)
        moved = (N_("Balance"), self.reader.money(offer.balance), self.reader.money(offer.balance_after))
        return Sheet(N_("The card is worth"), value, [moved], [])


class PreviewForAccount(Preview):
    """The same for an account."""

    async def member_id(self, id: str) -> str:
        """Its member. NotFound."""
        return (await accounts.get(self.scope, id))["member_id"]


_REDEEM = Permission.CARDS_REDEEM
_BOTH = {"GET": _REDEEM, "POST": _REDEEM}
ROUTES = [
    Route("/members/{id}/redeem", RedeemForMember, _BOTH),
    Route("/members/{id}/redeem/preview", Preview, {"POST": _REDEEM}),
    Route("/accounts/{id}/redeem", RedeemForAccount, _BOTH),
    Route("/accounts/{id}/redeem/preview", PreviewForAccount, {"POST": _REDEEM}),
]
