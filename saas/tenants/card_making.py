"""Making recharge cards: a batch with all its cards, and their codes, which are taken out once.

The codes wait sealed beside their batch until they are taken out, to be printed or exported; then they are erased.
"""

from __future__ import annotations

import asyncio
from datetime import date, datetime, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from saas.errors import Conflict, Invalid, Taken
from saas.i18n import N_
from saas.tenants import audit, billing, cards, plans
from saas.tenants.accounts import Units
from saas.tenants.card_codes import LENGTH, new_code
from saas.tenants.cards import KINDS, MOST, Batch, Card
from saas.tenants.forms import Form, Money, Note
from saas.tenants.paging import beginning
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

_BALANCE: dict[str, Any] = {"when": ("kind", "balance"), "optional": False}
_PLAN: dict[str, Any] = {"when": ("kind", "plan")}


class BatchForm(Form):
    """What the cards are worth, how many, how long they are good."""

    kind: Literal["balance", "plan"] = Field(
        default="balance", title=N_("Card type"), json_schema_extra={"labels": KINDS}
    )
    amount: Annotated[Money, Field(ge=1)] | None = Field(
        default=None,
        title=N_("Value"),
        description=N_("Goes onto the member's balance."),
        json_schema_extra=_BALANCE,
    )
    plan_id: str = Field(
        default="",
        max_length=64,
        title=N_("Plan"),
        description=N_("The account is renewed with it."),
        json_schema_extra={"widget": "select", **_PLAN},
    )
    units: Units = Field(
        default=1,
        title=N_("Quantity"),
        description=N_("How many months, or how many bundles."),
        json_schema_extra=_PLAN,
    )
    count: int = Field(ge=1, le=MOST, title=N_("Number of cards"))
    price: Money | None = Field(
        default=None,
        title=N_("List price"),
        description=N_("What one card is sold for. Empty: its value, or the price of the plan."),
    )
    expires_on: date | None = Field(
        default=None,
        title=N_("Good until"),
        description=N_("To the end of this day. Empty: without end."),
    )
    prefix: Annotated[
        str, StringConstraints(max_length=16, pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9-]*$", to_upper=True)
    ] = Field(
        default="",
        title=N_("Beginning of the card numbers"),
        description=N_("Capitals, digits and hyphens, once for each batch. Empty: the day."),
    )
    note: Note = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea"})


async def create(scope: Scope, form: BatchForm, attempt: str) -> Batch:
    """Make a batch and all its cards, inactive, or nothing. Once for each `attempt` key.

    Invalid worth, plan, price or date; Taken("prefix").
    """
    if made := await _made_by(scope, attempt):
        return made
    batch = await _new_batch(scope, form, attempt)
    codes, hashes = await asyncio.to_thread(_new_codes, scope, batch["count"])
    rows = [_card(scope, batch, number, hashed) for number, hashed in enumerate(hashes, 1)]

    async def write(tx: Scope) -> Batch:
        made: Batch = await tx.db.card_batches.insert(batch)
        await tx.db.cards.insert_many(rows)
        await tx.db.card_codes.insert({"_id": batch["_id"], "sealed": scope.seal("".join(codes))})
        told = {name: batch[name] for name in ("kind", "amount", "plan_id", "units", "count", "price", "expires_at")}
        await audit.record(tx, "card.make", batch["_id"], name=batch["prefix"], after=told)
        return made

    try:
        return await scope.transaction(write)
    except Taken:  # the same key was used while we looked: the index is the judge
        if made := await _made_by(scope, attempt):
            return made
        raise


async def take_codes(scope: Scope, batch_id: str) -> list[tuple[str, str]]:
    """Serial number and code of every card of a batch that is not void: this once, then they are erased here.

    Conflict("codes_taken") ever after.
    """

    async def write(tx: Scope) -> list[tuple[str, str]]:
        batch = await cards.get_batch(tx, batch_id)
        kept = await tx.db.card_codes.one({"_id": batch_id})
        if kept is None:
            raise Conflict("codes_taken")
        await tx.db.card_codes.delete(batch_id)
        taken = {"codes_taken_at": utcnow(), "codes_taken_by": tx.actor.name}
        await tx.db.card_batches.update(batch_id, {"$set": taken})
        await audit.record(tx, "card.codes", batch_id, name=batch["prefix"])
        rows = await tx.db.cards.find(
            {"batch_id": batch_id}, sort=[("serial", 1)], limit=MOST, fields=["serial", "state"]
        )
        codes = scope.unseal(kept["sealed"])
        each = zip(rows, (codes[at : at + LENGTH] for at in range(0, len(codes), LENGTH)), strict=True)
        return [(row["serial"], code) for row, code in each if row["state"] != "void"]

    return await scope.transaction(write)


async def _made_by(scope: Scope, attempt: str) -> Batch | None:
    batch: Batch | None = await scope.db.card_batches.one({"attempt": attempt})
    return batch


async def _new_batch(scope: Scope, form: BatchForm, attempt: str) -> Batch:
    amount, plan_id, units, price = await _worth(scope, form)
    now = utcnow()
    return Batch(
        _id=new_id("bat"),
        tenant_id=scope.tenant_id,
        kind=form.kind,
        amount=amount,
        plan_id=plan_id,
        units=units,
        price=price,
        count=form.count,
        prefix=form.prefix or await _day_prefix(scope, now),
        expires_at=_expiry(scope, form.expires_on, now),
        lapsed=False,
        codes_taken_at=None,
        codes_taken_by="",
        note=form.note,
        actor_name=scope.actor.name,
        attempt=attempt,
        version=1,
        created_at=now,
        updated_at=now,
    )


async def _worth(scope: Scope, form: BatchForm) -> tuple[int, str, int, int]:
    """A card's `amount`, `plan_id`, `units` and `price`."""
    if form.kind == "balance":
        if form.amount is None:
            raise Invalid({"amount": "missing"})
        price = form.amount if form.price is None else form.price
        if price > form.amount:
            raise Invalid({"price": "above_value"})
        return form.amount, "", 0, price
    plan = await plans.sold(scope, form.plan_id)
    if plan is None or not plans.runs_out(plan):
        raise Invalid({"plan_id": "bad_choice" if form.plan_id else "missing"})
    plans.check_sale(scope, plan)
    price = billing.price_of(plan, form.units) if form.price is None else form.price
    return 0, plan["_id"], form.units, price


def _expiry(scope: Scope, day: date | None, now: datetime) -> datetime | None:
    """The end of a day in the tenant's zone."""
    if day is None:
        return None
    zone = scope.tenant["parameters"]["timezone"]
    ends = billing.later(datetime.combine(day, time(12), ZoneInfo(zone)), 0, 0, zone)
    if ends <= now:
        raise Invalid({"expires_on": "in_the_past"})
    return ends


async def _day_prefix(scope: Scope, now: datetime) -> str:
    """The tenant's day, with a number behind it from the second batch of the day on."""
    day = now.astimezone(ZoneInfo(scope.tenant["parameters"]["timezone"])).strftime("%y%m%d")
    rows = await scope.db.card_batches.find({"prefix": beginning(day)}, limit=1000, fields=["prefix"])
    taken = {row["prefix"] for row in rows}
    return next(name for name in (day, *(f"{day}-{number}" for number in range(2, 1002))) if name not in taken)


def _new_codes(scope: Scope, count: int) -> tuple[list[str], list[bytes]]:
    """Codes and their hashes. Slow enough to be called off the event loop."""
    codes = [new_code() for _ in range(count)]
    return codes, [cards.code_hash(scope, code) for code in codes]


def _card(scope: Scope, batch: Batch, number: int, hashed: bytes) -> Card:
    return Card(
        _id=new_id("crd"),
        tenant_id=scope.tenant_id,
        batch_id=batch["_id"],
        serial=cards.serial(batch["prefix"], number),
        hash=hashed,
        state="inactive",
        expires_at=batch["expires_at"],
        used_at=None,
        used_by="",
        member_id="",
        account_id="",
        attempt="",
    )
