"""Recharge cards made for one test, and ways to look at what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from saas.tenants import card_making, cards
from saas.tenants.card_making import BatchForm
from saas.tenants.cards import Batch, Card, RangeForm
from saas.tenants.scope import Scope
from saas.values import new_id


@dataclass(frozen=True, slots=True)
class Made:
    """A batch with the codes that were taken out."""

    scope: Scope
    batch: Batch
    codes: list[str]

    async def rows(self) -> list[Card]:
        """Its cards, in order."""
        return await self.scope.db.cards.find({"batch_id": self.batch["_id"]}, sort=[("serial", 1)], limit=10_000)

    async def states(self) -> list[str]:
        """The states of its cards, in order."""
        return [card["state"] for card in await self.rows()]

    async def move(self, verb: str, first: int, last: int) -> int:
        """Do this to some of its cards."""
        return await cards.move(self.scope, self.batch["_id"], verb, RangeForm(first=first, last=last))


async def make(scope: Scope, active: bool = True, **values: Any) -> Made:
    """A batch of three cards of ¥50.00, or as `values` of the form say; its codes are taken out."""
    form = BatchForm.model_validate({"kind": "balance", "amount": 5000, "count": 3, **values})
    batch = await card_making.create(scope, form, new_id("try"))
    codes = [code for _, code in await card_making.take_codes(scope, batch["_id"])]
    made = Made(scope, batch, codes)
    if active:
        await made.move("activate", 1, batch["count"])
    return made
