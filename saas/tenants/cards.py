"""Recharge cards: activated, voided, expired. They are made in batches (card_making.py) and redeemed (redemptions.py).

A card is known by the keyed hash of its code; the code itself stands on the card alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypedDict

from pydantic import Field

from saas.errors import Conflict, Invalid
from saas.i18n import N_
from saas.tenants import audit
from saas.tenants.forms import Form
from saas.tenants.paging import ListQuery, Page, beginning, page, page_of, together
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import from_epoch, utcnow

MOST: Final = 10_000  # cards of a batch
KINDS: dict[str, Any] = {"balance": N_("Balance card"), "plan": N_("Plan card")}
State = Literal["inactive", "active", "used", "void", "expired"]
_EVER = from_epoch(0)
_BATCHES = 100  # looked at by one query of the job


class Batch(TypedDict):
    """Cards of a kind: "balance", worth `amount`, or "plan", worth `units` of a plan. `price`: what one is sold for.

    Minor units. Its cards are `prefix`-00001 and so on. `expires_at` None: never; `lapsed`: they were marked expired.
    `codes_taken_at`, `codes_taken_by`: when the codes were taken out, None as long as they wait.
    """

    _id: str
    tenant_id: str
    kind: Literal["balance", "plan"]
    amount: int
    plan_id: str
    units: int
    count: int
    price: int
    prefix: str
    expires_at: datetime | None
    lapsed: bool
    codes_taken_at: datetime | None
    codes_taken_by: str
    note: str
    actor_name: str
    attempt: str  # the key of the request that made it: a repeat finds it
    version: int
    created_at: datetime
    updated_at: datetime


class Card(TypedDict):
    """`serial` is what people call it, `hash` how its code is found. Of a used one: when, for whom, by which attempt.

    `used_by` is the account's name, or the member's where no account was named. `expires_at` is that of its batch.
    """

    _id: str
    tenant_id: str
    batch_id: str
    serial: str
    hash: bytes
    state: State
    expires_at: datetime | None
    used_at: datetime | None
    used_by: str
    member_id: str
    account_id: str
    attempt: str


class Move(NamedTuple):
    """What can be done to cards in one of the states `of`; they are in the state `to` afterwards."""

    of: tuple[State, ...]
    to: State


MOVES: Final[Mapping[str, Move]] = {
    "activate": Move(("inactive",), "active"),
    "deactivate": Move(("active",), "inactive"),
    "void": Move(("inactive", "active"), "void"),
}


class RangeForm(Form):
    """Which cards of a batch, by the last digits of their serial numbers."""

    first: int = Field(ge=1, le=MOST, title=N_("From number"))
    last: int = Field(ge=1, le=MOST, title=N_("To number"))


async def get_batch(scope: Scope, batch_id: str) -> Batch:
    """One batch. NotFound."""
    batch: Batch = await scope.db.card_batches.get(batch_id)
    return batch


async def get(scope: Scope, card_id: str) -> Card:
    """One card. NotFound."""
    card: Card = await scope.db.cards.get(card_id)
    return card


async def batches(scope: Scope, query: ListQuery) -> Page:
    """Batches. Filter: `kind`; `q` is the beginning of their serial numbers."""
    filter: dict[str, Any] = {"kind": query.filters["kind"]} if query.filters.get("kind") else {}
    if query.q:
        filter["prefix"] = beginning(query.q.upper())
    return await page(scope.db.card_batches, filter, query)


async def prefixes(scope: Scope) -> dict[str, str]:
    """Id -> prefix of the newest batches, for choices."""
    rows = await scope.db.card_batches.find({}, limit=500, fields=["prefix"])
    return {row["_id"]: row["prefix"] for row in rows}


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Cards. Filters: `state`, `batch_id`; `q` begins a serial number, or is the name of who used them."""
    filter: dict[str, Any] = {name: query.filters[name] for name in ("state", "batch_id") if query.filters.get(name)}
    named: list[dict[str, Any]] = [{}]
    if query.q:
        named = [{"serial": beginning(query.q.upper())}, {"used_by": query.q.lower(), "state": "used"}]
    looks = [together(filter, each) for each in named]
    found = await page_of([(scope.db.cards, look) for look in looks if look is not None], query)
    now = utcnow()
    return Page([{**row, "state": state_of(row, now)} for row in found.rows], found.next)


async def counts(scope: Scope, batch_id: str) -> dict[State, int]:
    """How many cards of a batch are in each state; those without any are left out."""
    of_batch: dict[str, Any] = {"$match": {"batch_id": batch_id}}
    sums = await scope.db.cards.aggregate([of_batch, {"$group": {"_id": "$state", "count": {"$sum": 1}}}])
    return {row["_id"]: int(row["count"]) for row in sums}


def state_of(card: Card, now: datetime) -> State:
    """A card's state at this moment, also where the job has not marked yet that it has expired."""
    lapsed = card["expires_at"] is not None and card["expires_at"] <= now
    return "expired" if lapsed and card["state"] in ("inactive", "active") else card["state"]


def code_hash(scope: Scope, code: str) -> bytes:
    """How the code of a card of this tenant is stored: keyed, so that a look into the store gives no card away."""
    return scope.services.keys.sign(f"cards:{scope.tenant_id}", code.encode())


async def move(scope: Scope, batch_id: str, verb: str, form: RangeForm) -> int:
    """Activate, deactivate or void (MOVES) the cards of a range that are in a state for it; how many.

    Invalid range, Conflict("cards_expired"), Conflict("no_card_to_…") when none is in such a state, NotFound.
    """
    states = MOVES[verb]

    async def write(tx: Scope) -> int:
        batch = await get_batch(tx, batch_id)
        if not form.first <= form.last <= batch["count"]:
            raise Invalid({"last": "bad_range"})
        first, last = (serial(batch["prefix"], number) for number in (form.first, form.last))
        if batch["expires_at"] is not None and batch["expires_at"] <= utcnow():
            raise Conflict("cards_expired")
        filter = {"batch_id": batch_id, "serial": {"$gte": first, "$lte": last}, "state": {"$in": list(states.of)}}
        moved = await tx.db.cards.update_many(filter, {"$set": {"state": states.to}})
        if not moved:
            raise Conflict(f"no_card_to_{verb}")
        name = first if first == last else f"{first} – {last}"
        await audit.record(tx, f"card.{verb}", batch_id, name=name, after={"count": moved})
        return moved

    return await scope.transaction(write)


async def move_one(scope: Scope, card_id: str, verb: str) -> Card:
    """The same to a single card. Conflict("card_used") and so on in any other state, NotFound."""
    states = MOVES[verb]

    async def write(tx: Scope) -> Card:
        card = await get(tx, card_id)
        state = state_of(card, utcnow())
        if state not in states.of:
            raise Conflict(f"card_{state}", serial=card["serial"])
        await tx.db.cards.update_one({"_id": card_id, "state": state}, {"$set": {"state": states.to}})
        told = {"before": {"state": state}, "after": {"state": states.to}}
        await audit.record(tx, f"card.{verb}", card["batch_id"], name=card["serial"], **told)
        return card

    return await scope.transaction(write)


async def expire_due(scope: Scope, run: Occasion) -> int:
    """Mark the unused cards of every batch whose time is over; how many."""
    done = 0
    due = {"lapsed": False, "expires_at": {"$gte": _EVER, "$lte": run.now}}
    while rows := await scope.db.card_batches.find(due, sort=[("expires_at", 1)], limit=_BATCHES):
        for batch in rows:
            done += await _expire(scope, batch)
    return done


def serial(prefix: str, number: int) -> str:
    """The serial number of a card: as wide as any of the batch, so that they sort like numbers."""
    return f"{prefix}-{number:05d}"


async def _expire(scope: Scope, batch: Batch) -> int:
    async def write(tx: Scope) -> int:
        left = {"batch_id": batch["_id"], "state": {"$in": ["inactive", "active"]}}
        expired = await tx.db.cards.update_many(left, {"$set": {"state": "expired"}})
        await tx.db.card_batches.update(batch["_id"], {"$set": {"lapsed": True}})
        if expired:
            await audit.record(tx, "card.expire", batch["_id"], name=batch["prefix"], after={"count": expired})
        return expired

    return await scope.transaction(write)
