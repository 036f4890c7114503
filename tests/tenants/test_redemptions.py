"""Redeeming cards: once, for what was paid, refused in words; guessing codes is slow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saas.errors import AppError, Conflict, Invalid, Limit
from saas.tenants import accounts, billing, card_codes, card_making, cards, ledger, life, plans, redemptions, verify
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.card_making import BatchForm
from saas.tenants.plan_form import PlanForm
from saas.tenants.purchases import CHANGE_PLAN, ChangePlanForm
from saas.tenants.redemptions import RedeemForm
from saas.tenants.scope import Actor, Scope
from saas.tenants.standing import CLOSE, SUSPEND, CloseForm, NoteForm
from saas.values import new_id, utcnow
from tests.tenants.card_cast import make
from tests.tenants.test_cards import put_back
from tests.world import World

pytestmark = pytest.mark.slow

ZONE = "Asia/Shanghai"


class Desk:
    """Redeems cards for Acme's account or its member, and looks that the preview said what came about."""

    def __init__(self, world: World) -> None:
        self.scope: Scope = world.acme.scope
        self.account_id: str = world.acme.account["_id"]
        self.member_id: str = world.acme.account["member_id"]
        self.plan_id: str = world.acme.plan["_id"]

    async def __call__(
        self, code: str, attempt: str = "", *, change: bool = False, member: bool = False
    ) -> redemptions.Redeemed:
        form = self.form(code, change, member)
        offer = await redemptions.preview(self.scope, self.member_id, form)
        done = await redemptions.redeem(self.scope, self.member_id, form, attempt or new_id("try"))
        assert await self.balance() == offer.balance_after
        if offer.act:
            kept = dict.fromkeys(("version", "updated_at"))
            assert {**await self.account(), **kept} == {**offer.act.after, **kept}
        assert await ledger.differences(self.scope) == []
        return done

    def form(self, code: str, change: bool = False, member: bool = False) -> RedeemForm:
        return RedeemForm(code=code, change_plan=change, account_id="" if member else self.account_id)

    async def account(self) -> accounts.Account:
        return await accounts.get(self.scope, self.account_id)

    async def balance(self) -> int:
        return int((await self.scope.db.members.get(self.member_id))["balance"])

    async def entries(self) -> list[tuple[str, int, str]]:
        """Kind, amount and method of what was booked since the opening, in order."""
        rows = await self.scope.db.ledger.find({"member_id": self.member_id}, sort=[("_id", 1)], limit=1000)
        return [(row["kind"], row["amount"], row["method"]) for row in rows[2:]]

    async def refused(self, code: str, **how: bool) -> str:
        """The code with which the preview and the redemption are refused, nothing being changed."""
        form = self.form(code, how.get("change", False), how.get("member", False))
        rows = self.scope.db
        before = [await rows.cards.find(limit=100), await self.account(), await rows.ledger.count()]
        codes = []
        for attempt in (
            redemptions.preview(self.scope, self.member_id, form),
            redemptions.redeem(self.scope, self.member_id, form, new_id("try")),
        ):
            with pytest.raises(AppError) as refused:
                await attempt
            codes.append(
                " ".join(refused.value.fields.values()) if isinstance(refused.value, Invalid) else refused.value.code
            )
        assert codes[0] == codes[1]
        assert before == [await rows.cards.find(limit=100), await self.account(), await rows.ledger.count()]
        return codes[0]


@pytest.fixture
def desk(world: World, monkeypatch: pytest.MonkeyPatch) -> Desk:
    now = utcnow()
    monkeypatch.setattr(life, "utcnow", lambda: now)  # the preview and the deed are of the same moment
    return Desk(world)


async def test_a_balance_card_goes_onto_the_balance(desk: Desk) -> None:
    made = await make(desk.scope)
    card, batch = await desk(made.codes[0], member=True)
    assert await desk.entries() == [("payment", 5000, "card")] and await desk.balance() == 5000
    assert (card["state"], card["used_by"], card["account_id"]) == ("used", "alice", "")
    assert (card["member_id"], batch["amount"]) == (desk.member_id, 5000) and card["used_at"] is not None
    entry = await ledger.posted(desk.scope, f"card:{card['_id']}:1")
    assert entry is not None and (entry["list_price"], entry["note"]) == (5000, card["serial"])
    log = await desk.scope.db.audit.find({"target": desk.member_id, "action": "member.redeem"})
    assert log[0]["changes"] == {"balance": [0, 5000], "card": [None, card["serial"]]}


async def test_what_a_card_is_worth_beyond_its_price_is_a_gift(desk: Desk) -> None:
    made = await make(desk.scope, amount=12000, price=10000)
    await desk(made.codes[0])
    assert await desk.entries() == [("gift", 2000, ""), ("payment", 10000, "card")]
    keys = [row["key"].rpartition(":")[0] for row in await desk.scope.db.ledger.find({"kind": {"$in": ["gift"]}})]
    assert keys == [f"card:{(await made.rows())[0]['_id']}"] and await desk.balance() == 12000
    assert (await made.rows())[0]["account_id"] == desk.account_id


async def test_a_plan_card_renews_the_account(desk: Desk) -> None:
    opened = await desk.account()
    made = await make(desk.scope, kind="plan", plan_id=desk.plan_id, units=3, price=8000)
    card, _ = await desk(made.codes[1])
    after = await desk.account()
    assert after["expires_at"] == billing.later(opened["created_at"], 4, 0, ZONE)
    assert await desk.entries() == [("payment", 8000, "card"), ("charge", -8000, "")] and await desk.balance() == 0
    assert after["term"]["paid"] == 3000 + 8000
    deed = (await life.history(desk.scope, desk.account_id))[0]
    assert (deed["verb"], deed["received"], deed["charged"], deed["note"]) == ("redeem", 8000, 8000, card["serial"])
    assert (card["used_by"], card["account_id"], card["member_id"]) == ("alice", desk.account_id, desk.member_id)


async def test_a_plan_card_for_nothing_is_a_gift(desk: Desk) -> None:
    made = await make(desk.scope, kind="plan", plan_id=desk.plan_id, price=0)
    await desk(made.codes[0])
    assert await desk.entries() == [] and (await desk.account())["term"]["paid"] == 3000


async def test_the_examples_of_the_documentation(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(*moment: int) -> datetime:
        now = datetime(*moment, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)  # type: ignore[arg-type, misc]
        monkeypatch.setattr(life, "utcnow", lambda: now)
        return now

    await ledger.post(desk.scope, "payment", 1000, key="before", member_id=desk.member_id, method="cash")
    await desk((await make(desk.scope)).codes[0], member=True)
    assert await desk.balance() == 6000
    await desk((await make(desk.scope, amount=12000, price=10000)).codes[0], member=True)
    assert await desk.balance() == 18000

    began, ends = clock(2026, 11, 23, 10), clock(2026, 12, 23, 23, 59, 59)
    term = billing.empty(began)["term"] | {"paid": 3000}
    await desk.scope.db.accounts.update(desk.account_id, {"$set": {"expires_at": ends, "term": term}})
    clock(2026, 12, 1, 10)
    await desk((await make(desk.scope, kind="plan", plan_id=desk.plan_id, units=3, price=8000)).codes[0])
    assert (await desk.account())["expires_at"] == clock(2027, 3, 23, 23, 59, 59)
    assert (await desk.account())["term"]["paid"] == 3000 + 8000

    now = clock(2026, 4, 16, 23, 59, 59)
    rest = {"expires_at": now + timedelta(days=9), "term": billing.empty(now)["term"] | {"paid": 1500}}
    await desk.scope.db.accounts.update(desk.account_id, {"$set": rest})
    other = await make(desk.scope, kind="plan", plan_id=await other_plan(desk))
    await desk(other.codes[0], change=True)
    assert (await desk.account())["expires_at"] == datetime(2026, 5, 24, 15, 59, 59, tzinfo=UTC)
    assert [amount for _, amount, _ in (await desk.entries())[-4:]] == [1500, -1500, 6000, -6000]


async def test_the_books_of_cards_are_verified(desk: Desk) -> None:
    made = await make(desk.scope)
    await card_making.create(desk.scope, BatchForm(kind="balance", amount=1, count=2), "waiting")
    await desk(made.codes[0])
    await desk((await make(desk.scope, kind="plan", plan_id=desk.plan_id)).codes[0])
    assert await verify._cards(desk.scope) == []
    rows = await made.rows()
    await desk.scope.db.cards.update_one({"_id": rows[1]["_id"]}, {"$set": {"state": "used", "attempt": "none"}})
    await desk.scope.db.cards.delete_many({"_id": rows[2]["_id"]})
    await desk.scope.db.card_codes.update_one({}, {"$set": {"sealed": b"altered"}})
    await desk.scope.db.card_codes.insert({"_id": made.batch["_id"], "sealed": desk.scope.seal("")})
    wrong = await verify._cards(desk.scope)
    for words in ("2 cards of 3", "neither waiting nor", "cannot be unsealed", f"card {rows[1]['_id']}: used, and"):
        assert len([line for line in wrong if words in line]) == 1, (words, wrong)


async def test_a_suspended_account_is_renewed_too(desk: Desk) -> None:
    made = await make(desk.scope, kind="plan", plan_id=desk.plan_id)
    await life.perform(desk.scope, SUSPEND, desk.account_id, NoteForm(), "pause")
    await desk(made.codes[0])
    assert (await desk.account())["status"] == "suspended"


async def other_plan(desk: Desk, **values: Any) -> str:
    form = PlanForm.model_validate({"name": new_id("plan"), "price": "60", **values})
    return (await plans.create(desk.scope, form))["_id"]


async def test_a_card_for_another_plan_changes_it_when_that_is_wanted(desk: Desk) -> None:
    plan_id = await other_plan(desk)
    made = await make(desk.scope, kind="plan", plan_id=plan_id)
    assert await desk.refused(made.codes[0]) == "card_other_plan"
    await plans.set_status(desk.scope, plan_id, "retired")  # it was sold when the card was
    await desk(made.codes[0], change=True)
    after = await desk.account()
    assert after["plan_id"] == plan_id and 6000 + 2990 <= after["term"]["paid"] <= 6000 + 3000
    assert (await desk.entries())[-2:] == [("payment", 6000, "card"), ("charge", -6000, "")]
    assert await desk.balance() == 0


async def test_a_card_for_the_plan_that_is_to_come_needs_no_word(desk: Desk) -> None:
    plan_id = await other_plan(desk)
    made = await make(desk.scope, kind="plan", plan_id=plan_id)
    await life.perform(desk.scope, CHANGE_PLAN, desk.account_id, ChangePlanForm(plan_id=plan_id, when="expiry"), "next")
    assert await desk.refused(made.codes[0]) == "card_other_plan", "the present one is not over"
    ended = {"expires_at": utcnow() - timedelta(days=1)}
    await desk.scope.db.accounts.update(desk.account_id, {"$set": ended})
    await desk(made.codes[0])
    after = await desk.account()
    assert (after["plan_id"], after["next_plan_id"], after["term"]["paid"]) == (plan_id, "", 6000)


async def test_what_cannot_be_redeemed_is_refused_with_its_reason(desk: Desk, world: World) -> None:
    made = await make(desk.scope, active=False)
    assert await desk.refused(made.codes[0]) == "card_inactive"
    await made.move("activate", 1, 2)
    await made.move("void", 2, 2)
    assert await desk.refused(made.codes[1], member=True) == "card_void"
    await put_back(made, timedelta(seconds=1))
    assert await desk.refused(made.codes[0]) == "card_expired", "the date is looked at, whatever the job has done"
    used = await make(desk.scope)
    await desk(used.codes[0])
    assert await desk.refused(used.codes[0]) == "card_used"
    plan_card = await make(desk.scope, kind="plan", plan_id=desk.plan_id)
    assert await desk.refused(plan_card.codes[0], member=True) == "card_needs_account"
    await life.perform(desk.scope, CLOSE, desk.account_id, CloseForm(refund=0), "end")
    assert await desk.refused(plan_card.codes[0]) == "is_closed"
    opening = QuickOpenForm(username="carol", plan_id=desk.plan_id)
    desk.account_id = (await accounts.quick_open(desk.scope, opening, "carol"))[0]["_id"]
    balance_card = await make(desk.scope)
    for code in (plan_card.codes[0], balance_card.codes[0]):
        form = desk.form(code)
        with pytest.raises(Invalid) as refused:
            await redemptions.redeem(desk.scope, desk.member_id, form, new_id("try"))
        assert refused.value.fields == {"account_id": "bad_choice"}, "the account is another member's"
    theirs = await make(world.zeta.scope)
    assert await desk.refused(theirs.codes[0]) == "unknown_code"


async def test_the_same_code_in_two_tenants_is_two_cards(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = card_codes.new_code()
    monkeypatch.setattr(card_making, "new_code", lambda: code)
    mine, theirs = await make(desk.scope, count=1), await make(world.zeta.scope, count=1)
    assert (await mine.rows())[0]["hash"] != (await theirs.rows())[0]["hash"]
    await desk(code)
    assert await mine.states() == ["used"] and await theirs.states() == ["active"]


@pytest.mark.parametrize("values", [{}, {"kind": "plan"}])
async def test_64_at_once_redeem_one_card_once(desk: Desk, values: dict[str, Any]) -> None:
    plan = {"plan_id": desk.plan_id, "amount": None} if values else {}
    made = await make(desk.scope, **values, **plan)
    form = desk.form(made.codes[0])
    tries = [redemptions.redeem(desk.scope, desk.member_id, form, f"{n}-{desk.account_id}") for n in range(64)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    done = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(done) == 1
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {"card_used"}
    assert len([answer for answer in answers if isinstance(answer, Conflict)]) == 63
    assert len(await desk.entries()) == (2 if values else 1)
    assert await made.states() == ["used", "active", "active"] and await ledger.differences(desk.scope) == []


@pytest.mark.parametrize("kind", ["balance", "plan"])
async def test_a_repeat_with_the_same_key_returns_the_same(desk: Desk, kind: str) -> None:
    made = await make(desk.scope, kind=kind, plan_id=desk.plan_id)
    form = desk.form(made.codes[0])
    answers = await asyncio.gather(
        *(redemptions.redeem(desk.scope, desk.member_id, form, f"again-{kind}") for _ in range(8))
    )
    answers.append(await redemptions.redeem(desk.scope, desk.member_id, form, f"again-{kind}"))
    assert all(answer == answers[0] for answer in answers)
    assert len(await desk.entries()) == (2 if kind == "plan" else 1)
    with pytest.raises(Conflict) as reused:
        await redemptions.redeem(desk.scope, desk.member_id, desk.form(made.codes[1]), f"again-{kind}")
    assert reused.value.code == "key_reused" and (await made.states())[1] == "active"


async def test_many_cards_at_once_lose_nothing(desk: Desk) -> None:
    made = await make(desk.scope, count=12)
    forms = [desk.form(code, member=n % 2 == 0) for n, code in enumerate(made.codes)]
    tries = [redemptions.redeem(desk.scope, desk.member_id, form, new_id("try")) for form in forms]
    await asyncio.gather(*tries)
    assert await desk.balance() == 12 * 5000 and await made.states() == ["used"] * 12
    assert await ledger.differences(desk.scope) == []


async def test_a_card_that_is_voided_meanwhile_is_one_or_the_other(desk: Desk) -> None:
    made = await make(desk.scope, count=1)
    redeeming = redemptions.redeem(desk.scope, desk.member_id, desk.form(made.codes[0]), "race")
    answers = await asyncio.gather(redeeming, made.move("void", 1, 1), return_exceptions=True)
    assert len([answer for answer in answers if isinstance(answer, Conflict)]) == 1
    assert await desk.balance() == (5000 if await made.states() == ["used"] else 0)


def by(desk: Desk, actor: str, address: str) -> Scope:
    return replace(desk.scope, actor=Actor("operator", actor, actor, address))


async def guess(scope: Scope, desk: Desk, code: str = "") -> str:
    form = desk.form(code or card_codes.new_code())
    with pytest.raises((Invalid, Limit)) as refused:
        await redemptions.redeem(scope, desk.member_id, form, new_id("try"))
    assert not isinstance(refused.value, Limit) or refused.value.data["retry_after"] in range(1, 602)
    return refused.value.code


async def test_guessing_is_stopped_for_an_actor_an_address_and_a_tenant(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make(desk.scope)
    first = by(desk, "one", "192.0.2.7")
    assert [await guess(first, desk) for _ in range(12)] == ["invalid"] * 10 + ["too_many_codes"] * 2
    assert await guess(first, desk, made.codes[0]) == "too_many_codes", "a right one has to wait as well"
    for actor in ("two", "three"):
        assert [await guess(by(desk, actor, "192.0.2.7"), desk) for _ in range(10)] == ["invalid"] * 10
    assert await guess(by(desk, "four", "192.0.2.7"), desk) == "too_many_codes", "it is the address"
    monkeypatch.setattr(redemptions, "_PER_TENANT", 31)
    assert await guess(by(desk, "five", "192.0.2.8"), desk) == "invalid"
    assert await guess(by(desk, "six", "192.0.2.9"), desk) == "too_many_codes", "it is the tenant"
    assert await made.states() == ["active"] * 3


async def test_guesses_that_come_at_once_are_counted_too(desk: Desk) -> None:
    answers = await asyncio.gather(*(guess(by(desk, "bot", "192.0.2.7"), desk) for _ in range(40)))
    assert sorted(answers) == ["invalid"] * 10 + ["too_many_codes"] * 30


async def test_right_codes_and_slips_count_as_no_guess(desk: Desk) -> None:
    made = await make(desk.scope, count=14)
    for code in made.codes:
        await desk(code)
        assert await desk.refused(code) == "card_used"
    for _ in range(20):
        with pytest.raises(ValueError, match="mistyped_code"):
            RedeemForm(code="A" * 15 + "B")
    assert await desk.scope.kv.hits("cards:all") == (0, 0)


def test_the_form_of_a_batch_takes_what_people_type() -> None:
    form = BatchForm.model_validate({"kind": "balance", "amount": "50", "count": "10", "prefix": "ab-1"})
    assert (form.amount, form.prefix) == (5000, "AB-1") and cards.serial(form.prefix, 7) == "AB-1-00007"
