"""Redeeming recharge cards: a balance card goes onto the member's balance, a plan card renews an account.

A card is used up in the transaction of what it does, by a conditional update: of two who redeem it at once, one does.
Wrong codes are counted; who has sent too many waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from saas.errors import Conflict, Invalid, Limit, Taken
from saas.i18n import N_
from saas.tenants import audit, card_codes, cards, ledger, life, plans, purchases
from saas.tenants.accounts import Account
from saas.tenants.cards import Batch, Card
from saas.tenants.forms import Form
from saas.tenants.ledger import CARD, Posting
from saas.tenants.life import Act, Case, Deed, Effect
from saas.tenants.scope import Scope
from saas.values import utcnow

_WINDOW = 600  # seconds in which wrong codes are counted
_PER_ACTOR: Final = 10
_PER_ADDRESS: Final = 30
_PER_TENANT: Final = 300


def _code(text: str) -> str:
    try:
        return card_codes.normal_code(text)
    except ValueError as error:
        raise PydanticCustomError(str(error), "bad code") from None


class RedeemForm(Form):
    """The code; for which of the member's accounts, and whether that may change its plan for it."""

    code: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_code)] = Field(
        title=N_("Card code"), json_schema_extra={"placeholder": "ABCD-EFGH-JKMN-PQRS"}
    )
    account_id: str = Field(
        default="",
        max_length=64,
        title=N_("Account"),
        description=N_("A plan card renews it. A balance card goes onto the member's balance."),
        json_schema_extra={"widget": "select"},
    )
    change_plan: bool = Field(
        default=False,
        title=N_("Change the plan if the card is for another one"),
        description=N_("What is left of the present plan is converted into the new one."),
    )


class Redeemed(NamedTuple):
    """A card that has been used, and what it was worth."""

    card: Card
    batch: Batch


@dataclass(frozen=True, slots=True)
class Offer:
    """What a card would do now: to an account (`act`), or to the member's balance."""

    batch: Batch
    act: life.Preview | None
    balance: int
    balance_after: int


class _Wish(NamedTuple):
    card_id: str
    member_id: str
    change_plan: bool


async def preview(scope: Scope, member_id: str, form: RedeemForm) -> Offer:
    """What `redeem` would do at this moment, and whatever speaks against it. A wrong code counts here too."""
    card = await _found(scope, form.code)
    batch = await _usable(scope, card)
    if batch["kind"] == "plan":
        shown = await life.preview(scope, REDEEM, _account_of(form), _Wish(card["_id"], member_id, form.change_plan))
        return Offer(batch, shown, shown.balance, shown.balance_after)
    member = await scope.db.members.get(member_id)
    return Offer(batch, None, member["balance"], member["balance"] + batch["amount"])


async def redeem(scope: Scope, member_id: str, form: RedeemForm, attempt: str) -> Redeemed:
    """Redeem a card for a member, or an account of it: once for each card and `attempt` key; a repeat returns the same.

    The scope is one of the whole tenant, whoever the actor is: a card belongs to nobody before. Invalid code or
    account, Limit("too_many_codes") with `retry_after` in seconds and `minutes`, Conflict("card_used") and the like,
    Conflict("card_other_plan"), Conflict("is_closed"), Conflict("key_reused"), NotFound, and
    Denied("plan_not_granted") for a card of a plan that the actor may not sell.
    """
    card = await _found(scope, form.code)
    batch = await cards.get_batch(scope, card["batch_id"])
    try:
        if batch["kind"] == "plan":
            wish = _Wish(card["_id"], member_id, form.change_plan)
            await life.perform(scope, REDEEM, _account_of(form), wish, attempt)
        else:
            await _onto_balance(scope, card["_id"], member_id, form.account_id, attempt)
    except Taken:  # another card was redeemed with this key
        raise Conflict("key_reused", key=attempt) from None
    used = await cards.get(scope, card["_id"])
    if used["attempt"] != attempt:
        raise Conflict("key_reused", key=attempt)
    return Redeemed(used, batch)


async def _redeem(scope: Scope, case: Case, wish: _Wish) -> Effect:
    if case.account["member_id"] != wish.member_id:
        raise Invalid({"account_id": "bad_choice"})
    card = await cards.get(scope, wish.card_id)
    batch = await _usable(scope, card)
    plan = await plans.get(scope, batch["plan_id"])
    plans.check_sale(scope, plan)
    effect = purchases.prepaid(case, plan, batch["units"], batch["price"], change=wish.change_plan)
    return replace(effect, note=card["serial"], also=partial(_use_for_account, card))


REDEEM = Act("redeem", _redeem)


async def _use_for_account(card: Card, scope: Scope, account: Account, deed: Deed) -> None:
    await _use(scope, card, deed["key"], account["member_id"], account["_id"], account["username"])


async def _onto_balance(scope: Scope, card_id: str, member_id: str, account_id: str, attempt: str) -> None:
    """Book what the card was sold for as paid, and what it is worth beyond that as a gift."""

    async def write(tx: Scope) -> None:
        card = await cards.get(tx, card_id)
        if card["state"] == "used" and card["attempt"] == attempt and card["member_id"] == member_id:
            return
        batch = await _usable(tx, card)
        member = await tx.db.members.get(member_id)
        name = await _name_of(tx, member_id, account_id) if account_id else member["login"]
        await _use(tx, card, attempt, member_id, account_id, name)
        booked = _worth(card, batch)
        await ledger.book(tx, booked, key=f"card:{card_id}", member_id=member_id, account_id=account_id)
        after = {"balance": member["balance"] + batch["amount"], "card": card["serial"]}
        told = {"before": {"balance": member["balance"]}, "after": after}
        await audit.record(tx, "member.redeem", member_id, name=member["login"], **told)

    await scope.transaction(write)


def _worth(card: Card, batch: Batch) -> tuple[Posting, ...]:
    """The gift first, so that the notice of the payment tells the balance as it is afterwards."""
    gift, paid = batch["amount"] - batch["price"], batch["price"]
    entries = (Posting("gift", gift, card["serial"]), Posting("payment", paid, card["serial"], CARD, list_price=paid))
    return tuple(entry for entry in entries if entry.amount)


async def _use(scope: Scope, card: Card, attempt: str, member_id: str, account_id: str, name: str) -> None:
    """Use a card up. Nobody else did: the condition is the judge."""
    target = {"member_id": member_id, "account_id": account_id, "used_by": name}
    used = {"state": "used", "used_at": utcnow(), "attempt": attempt, **target}
    if not await scope.db.cards.update_one({"_id": card["_id"], "state": "active"}, {"$set": used}):
        raise Conflict("card_used", serial=card["serial"])


async def _usable(scope: Scope, card: Card) -> Batch:
    """The batch of a card that can be redeemed now. Conflict that names its state otherwise."""
    state = cards.state_of(card, utcnow())
    if state != "active":
        raise Conflict(f"card_{state}", serial=card["serial"])
    return await cards.get_batch(scope, card["batch_id"])


def _account_of(form: RedeemForm) -> str:
    if not form.account_id:
        raise Invalid({"account_id": "card_needs_account"})
    return form.account_id


async def _name_of(scope: Scope, member_id: str, account_id: str) -> str:
    """The name of a member's account."""
    account = await scope.db.accounts.one({"_id": account_id, "member_id": member_id}, ["username"])
    if account is None:
        raise Invalid({"account_id": "bad_choice"})
    return str(account["username"])


async def _found(scope: Scope, code: str) -> Card:
    """The card of a code. Limit while too many wrong ones were sent, Invalid for another wrong one."""
    guesses: dict[str, int] = {
        f"cards:as:{scope.actor.id}": _PER_ACTOR,
        f"cards:from:{scope.actor.address}": _PER_ADDRESS,
        "cards:all": _PER_TENANT,
    }
    for key, most in guesses.items():
        _refuse_beyond(most - 1, await scope.kv.hits(key))
    card: Card | None = await scope.db.cards.one({"hash": cards.code_hash(scope, code)})
    if card is None:
        counted = [(most, await scope.kv.hit(key, _WINDOW)) for key, most in guesses.items()]
        for most, hits in counted:  # of those who came at once, no more are answered
            _refuse_beyond(most, hits)
        raise Invalid({"code": "unknown_code"})
    return card


def _refuse_beyond(most: int, hits: tuple[int, float]) -> None:
    count, wait = hits
    if count > most:
        raise Limit("too_many_codes", retry_after=int(wait) + 1, minutes=int(wait) // 60 + 1)
