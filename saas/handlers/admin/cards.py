"""Recharge cards: batches, their cards, and the one time that their codes are seen."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from saas.handlers import tariffs
from saas.handlers.base import Handler
from saas.handlers.columns import Column, plain
from saas.handlers.forms import Choices, ConfirmPage, FormPage
from saas.handlers.lists import Filter, ListPage, csv_text
from saas.handlers.routes import Menu, Route
from saas.i18n import N_, Reader
from saas.permissions import Permission
from saas.tenants import card_making, cards, plans
from saas.tenants.card_codes import grouped
from saas.tenants.cards import KINDS, Batch
from saas.tenants.paging import ListQuery, Page
from saas.values import utcnow

STATES = {
    "inactive": N_("Not activated"),
    "active": N_("Activated"),
    "used": N_("Used"),
    "void": N_("Void"),
    "expired": N_("Expired"),
}
_A_YEAR = timedelta(days=365)
_FILE = (
    Column(N_("Card number"), "serial"),
    Column(N_("Card code"), "code"),
    Column(N_("Value"), "worth"),
    Column(N_("List price"), "price", "money"),
    Column(N_("Good until"), "expires_at", "day"),
)


def worth(reader: Reader, batch: Batch, names: Mapping[str, str]) -> str:
    """What a card of the batch is worth, in words; `names` of plans by id."""
    if batch["kind"] == "balance":
        return reader.money(batch["amount"])
    return f"{names.get(batch['plan_id'], '')} × {batch['units']}"


class Batches(ListPage):
    """Every batch of cards."""

    title = N_("Recharge cards")
    template = "admin/cards/list.html"
    search = N_("Beginning of the card numbers")
    export = "card-batches"
    columns = (
        Column(N_("Batch"), "prefix", link="/card-batches/{_id}", role="title", sort="prefix"),
        Column(N_("Card type"), "kind", words=KINDS),
        Column(N_("Value"), "worth"),
        Column(N_("List price"), "price", "money"),
        Column(N_("Number of cards"), "count", "number"),
        Column(N_("Good until"), "expires_at", "day", sort="expires_at"),
        Column(N_("Codes taken out"), "codes_taken_at", "minute", role="minor"),
        Column(N_("Made"), "created_at", "minute", role="minor"),
        Column(N_("By"), "actor_name", role="minor"),
        Column(N_("Note"), "note"),
    )
    filters = (Filter("kind", N_("Card type"), tuple(KINDS.items())),)
    empty = N_("No cards yet. Make a batch, print it, and activate the cards as they are sold.")
    create = ("/card-batches/new", N_("Make cards"))

    async def rows(self, query: ListQuery) -> Page:
        """See cards.batches; with what a card is worth in words."""
        found = await cards.batches(self.scope, query)
        names = await plans.names(self.scope)
        return Page([{**row, "worth": worth(self.reader, row, names)} for row in found.rows], found.next)


class NewBatch(FormPage):
    """Make a batch."""

    form = card_making.BatchForm
    title = N_("Make cards")
    submit = N_("Make the cards")
    saved = N_("The cards are made. Take out their codes, then activate them.")
    back = "/card-batches"
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """Good for a year, as is usual."""
        return {"expires_on": self.reader.local(utcnow()).date() + _A_YEAR}

    async def choices(self) -> Mapping[str, Choices]:
        """The plans that a card can renew, with their prices."""
        sold = [plan for plan in await plans.for_sale(self.scope) if plans.runs_out(plan)]
        return {"plan_id": [(plan["_id"], f"{plan['name']} · {tariffs.price(self.reader, plan)}") for plan in sold]}

    async def save(self, form: card_making.BatchForm) -> str:
        """See card_making.create."""
        batch = await card_making.create(self.scope, form, self.attempt)
        return self.url("/card-batches/{id}", id=batch["_id"])


class BatchDetail(Handler):
    """One batch: what its cards are worth, and what became of them."""

    async def get(self, id: str) -> None:
        """The page."""
        batch = await cards.get_batch(self.scope, id)
        self.page(
            "admin/cards/batch.html",
            batch["prefix"],
            batch=batch,
            worth=worth(self.reader, batch, await plans.names(self.scope)),
            kind=KINDS[batch["kind"]],
            counts=await cards.counts(self.scope, id),
            states=STATES,
            over=batch["expires_at"] is not None and batch["expires_at"] <= utcnow(),
        )


class _Range(FormPage):
    """Something done to the cards of a range. Declare `verb` and what was done to {n} cards, in words."""

    verb: ClassVar[str]
    done_text: ClassVar[str]
    text: ClassVar[str] = ""
    form = cards.RangeForm
    template = "admin/cards/range.html"
    back = "/card-batches/{id}"
    saved = ""
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """All of them."""
        return {"first": 1, "last": (await cards.get_batch(self.scope, self.part("id")))["count"]}

    async def extra(self) -> Mapping[str, Any]:
        """The batch, and what state its cards are in."""
        batch = await cards.get_batch(self.scope, self.part("id"))
        counts = await cards.counts(self.scope, batch["_id"])
        return {"batch": batch, "counts": counts, "states": STATES, "text": self.text, "verb": self.verb}

    async def save(self, form: cards.RangeForm) -> str:
        """See cards.move."""
        count = await cards.move(self.scope, self.part("id"), self.verb, form)
        self.flash("success", self.reader(self.done_text, n=self.reader.number(count)))
        return self.url("/card-batches/{id}", id=self.part("id"))


class Activate(_Range):
    """Let cards be redeemed."""

    verb = "activate"
    title = N_("Activate cards")
    submit = N_("Activate")
    done_text = N_("{n} cards are activated.")
    text = N_("From now on whoever has one of these cards can redeem it. Activate them when they are sold.")


class Deactivate(_Range):
    """Take an activation back."""

    verb = "deactivate"
    title = N_("Deactivate cards")
    submit = N_("Deactivate")
    done_text = N_("{n} cards are not activated any more.")
    text = N_("These cards cannot be redeemed until they are activated again. Used ones stay used.")


class VoidRange(_Range):
    """End cards for good."""

    verb = "void"
    title = N_("Void cards")
    submit = N_("Void the cards")
    done_text = N_("{n} cards are void.")
    text = N_("Void cards can never be redeemed, and this cannot be undone. Used ones stay used.")


class Codes(Handler):
    """The codes, seen this once: asked first, because they are erased as they are shown."""

    async def get(self, id: str) -> None:
        """The question; afterwards, who has taken them out."""
        self.page("admin/cards/codes.html", N_("Codes of the cards"), batch=await cards.get_batch(self.scope, id))

    async def post(self, id: str) -> None:
        """The sheet to print, with the file for a spreadsheet. See card_making.take_codes."""
        taken = await card_making.take_codes(self.scope, id)
        batch = await cards.get_batch(self.scope, id)
        value = worth(self.reader, batch, await plans.names(self.scope))
        self.page(
            "admin/cards/sheet.html",
            N_("Codes of the cards"),
            batch=batch,
            worth=value,
            slips=[(serial, grouped(code)) for serial, code in taken],
            file=self._file(batch, value, taken),
        )

    def _file(self, batch: Batch, value: str, taken: list[tuple[str, str]]) -> str:
        """The codes as CSV, in a link: nothing is kept that could be downloaded later."""
        rest = {"worth": value, "price": batch["price"], "expires_at": batch["expires_at"]}
        rows = [{"serial": serial, "code": grouped(code), **rest} for serial, code in taken]
        titles = [self.reader(column.title) for column in _FILE]
        text = csv_text([titles, *([plain(self.reader, column, row) for column in _FILE] for row in rows)])
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(f"\ufeff{text}".encode()).decode()


class Cards(ListPage):
    """Every card, without its code."""

    title = N_("Cards")
    template = "admin/cards/cards.html"
    search = N_("Card number, account or member")
    orders = {"q": "serial"}
    export = "cards"
    columns = (
        Column(N_("Card number"), "serial", role="title", sort="serial"),
        Column(N_("Batch"), "batch", link="/card-batches/{batch_id}"),
        Column(N_("State"), "state", "status", words=STATES),
        Column(N_("Good until"), "expires_at", "day", role="minor"),
        Column(N_("Used at"), "used_at", "minute"),
        Column(N_("Used by"), "used_by", link="/members/{member_id}"),
    )
    filters = (Filter("state", N_("State"), tuple(STATES.items())), Filter("batch_id", N_("Batch")))
    empty = N_("No cards yet. Make a batch, print it, and activate the cards as they are sold.")
    create = ("/card-batches/new", N_("Make cards"))

    async def choices(self) -> Mapping[str, Choices]:
        """The newest batches, and the one that is asked for."""
        names = await cards.prefixes(self.scope)
        asked = self.query("batch_id")
        if asked and asked not in names:
            names[asked] = (await cards.get_batch(self.scope, asked))["prefix"]
        return {"batch_id": list(names.items())}

    async def rows(self, query: ListQuery) -> Page:
        """See cards.listing; with the batches' names."""
        found = await cards.listing(self.scope, query)
        return Page([{**row, "batch": row["serial"].rpartition("-")[0]} for row in found.rows], found.next)


class ActivateOne(Handler):
    """Let one card be redeemed."""

    verb: ClassVar[str] = "activate"
    done_text: ClassVar[str] = N_("Card {serial} is activated.")

    async def post(self, id: str) -> None:
        """See cards.move_one."""
        card = await cards.move_one(self.scope, id, self.verb)
        self.done(self.url("/cards", batch_id=card["batch_id"], sort="serial"), self.done_text, serial=card["serial"])


class DeactivateOne(ActivateOne):
    """Take the activation of one card back."""

    verb = "deactivate"
    done_text = N_("Card {serial} is not activated any more.")


class VoidOne(ConfirmPage):
    """End one card for good."""

    title = N_("Void this card?")
    text = N_("It can never be redeemed, and this cannot be undone.")
    submit = N_("Void the card")
    saved = N_("The card is void.")
    back = "/cards"

    async def subject(self) -> str:
        """Its serial number."""
        return (await cards.get(self.scope, self.part("id")))["serial"]

    async def act(self) -> str:
        """See cards.move_one."""
        card = await cards.move_one(self.scope, self.part("id"), "void")
        return self.url("/cards", batch_id=card["batch_id"], sort="serial")


_READ, _WRITE, _SECRET = Permission.CARDS_READ, Permission.CARDS_WRITE, Permission.CARDS_SECRET
_BOTH = {"GET": _WRITE, "POST": _WRITE}
ROUTES = [
    Route("/card-batches", Batches, {"GET": _READ}, Menu("Finance", N_("Recharge cards"), "credit-card", 40)),
    Route("/card-batches/new", NewBatch, _BOTH),
    Route("/card-batches/{id}", BatchDetail, {"GET": _READ}),
    Route("/card-batches/{id}/activate", Activate, _BOTH),
    Route("/card-batches/{id}/deactivate", Deactivate, _BOTH),
    Route("/card-batches/{id}/void", VoidRange, _BOTH),
    Route("/card-batches/{id}/codes", Codes, {"GET": _SECRET, "POST": _SECRET}),
    Route("/cards", Cards, {"GET": _READ}),
    Route("/cards/{id}/activate", ActivateOne, {"POST": _WRITE}),
    Route("/cards/{id}/deactivate", DeactivateOne, {"POST": _WRITE}),
    Route("/cards/{id}/void", VoidOne, _BOTH),
]
