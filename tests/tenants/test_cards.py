"""Recharge cards until they are redeemed: made whole or not at all, shown once, moved between states, expired."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from saas.errors import AppError, Conflict, Invalid, NotFound, Taken
from saas.tenants import card_codes, card_making, cards, plans
from saas.tenants.card_making import BatchForm
from saas.tenants.cards import RangeForm
from saas.tenants.paging import ListQuery
from saas.tenants.plan_form import PlanForm
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import utcnow
from tests.tenants.card_cast import Made, make
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def mine(world: World) -> Scope:
    """Acme's owner."""
    return world.acme.scope


def form(**values: Any) -> BatchForm:
    return BatchForm.model_validate({"kind": "balance", "amount": 5000, "count": 3, **values})


async def refusal(attempt: Any) -> str:
    with pytest.raises(AppError) as refused:
        await attempt
    fields = refused.value.fields if isinstance(refused.value, Invalid) else {}
    return " ".join(f"{name}:{code}" for name, code in fields.items()) or refused.value.code


def test_every_slip_in_a_code_is_found() -> None:
    code = card_codes.new_code()
    assert card_codes.normal_code(card_codes.grouped(code)) == code
    assert card_codes.normal_code(f" {code[:5].lower()} {code[5:]}\t") == code
    wide = "".join(chr(ord(symbol) + 0xFEE0) for symbol in code)  # as a Chinese keyboard writes them
    assert card_codes.normal_code(wide) == code
    slips = {code[:at] + other + code[at + 1 :] for at in range(16) for other in card_codes.ALPHABET + "0IL"}
    slips |= {code[:at] + code[at + 1] + code[at] + code[at + 2 :] for at in range(15)}
    for slip in slips - {code}:
        with pytest.raises(ValueError, match="mistyped_code"):
            card_codes.normal_code(slip)
    for text in ("", code[:-1], code + "A"):
        with pytest.raises(ValueError, match="incomplete_code"):
            card_codes.normal_code(text)


async def test_a_batch_is_made_with_all_its_cards_inactive(mine: Scope) -> None:
    made = await make(mine, active=False, prefix="spring", price=4500, expires_on="2099-12-31")
    rows = await made.rows()
    assert [row["serial"] for row in rows] == [f"SPRING-{number:05d}" for number in (1, 2, 3)]
    assert await made.states() == ["inactive"] * 3 and await cards.counts(mine, made.batch["_id"]) == {"inactive": 3}
    ends = made.batch["expires_at"]
    assert ends is not None and ends.isoformat() == "2099-12-31T15:59:59+00:00"  # midnight in Shanghai
    assert [row["hash"] for row in rows] == [cards.code_hash(mine, code) for code in made.codes]
    assert len(set(made.codes)) == 3
    log = await mine.db.audit.find({"target": made.batch["_id"], "action": "card.make"})
    assert log[0]["changes"]["count"] == [None, 3]


async def test_codes_are_shown_once_and_stored_nowhere(mine: Scope) -> None:
    batch = await card_making.create(mine, form(), "once")
    answers = await asyncio.gather(
        *(card_making.take_codes(mine, batch["_id"]) for _ in range(8)), return_exceptions=True
    )
    (shown,) = [answer for answer in answers if isinstance(answer, list)]
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {"codes_taken"}
    assert [serial for serial, _ in shown] == [cards.serial(batch["prefix"], number) for number in (1, 2, 3)]
    assert await mine.db.card_codes.count() == 0
    stored = str([await getattr(mine.db, name).find(limit=1000) for name in ("cards", "card_batches", "audit")])
    assert not [code for _, code in shown if code in stored]
    assert (await cards.get_batch(mine, batch["_id"]))["codes_taken_by"] == mine.actor.name


async def test_void_cards_are_not_printed(mine: Scope) -> None:
    batch = await card_making.create(mine, form(), "gaps")
    await cards.move(mine, batch["_id"], "void", RangeForm(first=2, last=2))
    assert [serial[-5:] for serial, _ in await card_making.take_codes(mine, batch["_id"])] == ["00001", "00003"]


async def test_the_same_attempt_makes_one_batch(mine: Scope) -> None:
    made = await asyncio.gather(*(card_making.create(mine, form(prefix="ONE"), "same") for _ in range(6)))
    assert len({batch["_id"] for batch in made}) == 1 and await mine.db.cards.count() == 3
    assert await refusal(card_making.create(mine, form(prefix="ONE"), "other")) == "prefix:taken"


async def test_a_batch_is_made_whole_or_not_at_all(mine: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = iter(["A" * 16, "B" * 16, "A" * 16])
    monkeypatch.setattr(card_making, "new_code", lambda: next(codes))
    with pytest.raises(Taken):
        await card_making.create(mine, form(), "twice the same code")
    for name in ("card_batches", "cards", "card_codes"):
        assert await getattr(mine.db, name).count() == 0, name


async def test_batches_of_a_day_are_told_apart(mine: Scope) -> None:
    first, second = [await card_making.create(mine, form(), attempt) for attempt in ("a", "b")]
    assert len(first["prefix"]) == 6 and second["prefix"] == f"{first['prefix']}-2"


async def test_what_no_card_can_be(mine: Scope, world: World) -> None:
    free = await plans.create(mine, PlanForm.model_validate({"name": "Free", "kind": "free"}))
    yesterday = (date.today() - timedelta(days=2)).isoformat()
    for values, wrong in (
        ({"amount": None}, "amount:missing"),
        ({"price": 5001}, "price:above_value"),
        ({"kind": "plan"}, "plan_id:missing"),
        ({"kind": "plan", "plan_id": free["_id"]}, "plan_id:bad_choice"),
        ({"kind": "plan", "plan_id": world.zeta.plan["_id"]}, "plan_id:bad_choice"),
        ({"expires_on": yesterday}, "expires_on:in_the_past"),
    ):
        assert await refusal(card_making.create(mine, form(**values), "refused")) == wrong
    assert await mine.db.card_batches.count() == 0


async def test_a_plan_with_cards_stays(mine: Scope, world: World) -> None:
    plan = await plans.create(mine, PlanForm.model_validate({"name": "Quarter", "price": "80"}))
    made = await make(mine, kind="plan", plan_id=plan["_id"], units=3)
    assert (made.batch["price"], made.batch["amount"]) == (24000, 0)
    assert await refusal(plans.delete(mine, plan["_id"])) == "in_use"


async def test_cards_move_by_ranges_and_one_by_one(mine: Scope) -> None:
    made = await make(mine, active=False, count=6)
    assert await made.move("activate", 2, 5) == 4
    assert await made.move("deactivate", 5, 6) == 1
    assert await made.move("void", 4, 6) == 3
    assert await made.states() == ["inactive", "active", "active", "void", "void", "void"]
    rows = await made.rows()
    await cards.move_one(mine, rows[0]["_id"], "activate")
    await cards.move_one(mine, rows[1]["_id"], "deactivate")
    await cards.move_one(mine, rows[2]["_id"], "void")
    assert (await made.states())[:3] == ["active", "inactive", "void"]
    log = await mine.db.audit.find({"target": made.batch["_id"], "action": "card.void"}, sort=[("_id", 1)])
    assert log[0]["target_name"] == f"{rows[3]['serial']} – {rows[5]['serial']}"
    assert log[0]["changes"] == {"count": [None, 3]}
    assert log[1]["target_name"] == rows[2]["serial"] and log[1]["changes"] == {"state": ["active", "void"]}


async def test_what_is_in_a_wrong_state_stays_in_it(mine: Scope) -> None:
    made = await make(mine, active=False)
    await made.move("void", 1, 1)
    await made.move("activate", 2, 2)
    before = await made.rows()
    for first, last, verb, wrong in (
        (1, 2, "activate", "no_card_to_activate"),
        (1, 1, "void", "no_card_to_void"),
        (3, 3, "deactivate", "no_card_to_deactivate"),
        (3, 2, "void", "last:bad_range"),
        (1, 4, "void", "last:bad_range"),
    ):
        assert await refusal(made.move(verb, first, last)) == wrong
    for number, verb, wrong in (
        (0, "activate", "card_void"),
        (1, "activate", "card_active"),
        (2, "deactivate", "card_inactive"),
    ):
        assert await refusal(cards.move_one(mine, before[number]["_id"], verb)) == wrong
    assert await made.rows() == before


async def test_expired_cards_are_marked_by_the_job(mine: Scope) -> None:
    made = await make(mine, active=False, expires_on="2099-12-31")
    forever = await make(mine)
    await made.move("activate", 1, 2)
    await made.move("void", 2, 2)
    now = utcnow()
    assert await cards.expire_due(mine, Occasion(now, now, now)) == 0
    await put_back(made, timedelta(seconds=1))
    assert await refusal(made.move("activate", 3, 3)) == "cards_expired"
    shown = (await cards.listing(mine, ListQuery(filters={"batch_id": made.batch["_id"]}, sort="_id"))).rows
    assert [row["state"] for row in shown] == ["expired", "void", "expired"], "told before the job has run"
    assert await refusal(cards.move_one(mine, shown[2]["_id"], "activate")) == "card_expired"
    assert await cards.expire_due(mine, Occasion(now, now, now)) == 2
    assert await cards.expire_due(mine, Occasion(now, now, now)) == 0, "twice is once"
    assert await made.states() == ["expired", "void", "expired"] and await forever.states() == ["active"] * 3
    log = await mine.db.audit.find({"action": "card.expire"})
    assert [entry["changes"] for entry in log] == [{"count": [None, 2]}]


async def put_back(made: Made, ago: timedelta) -> None:
    """Let a batch have expired some time ago."""
    change = {"$set": {"expires_at": utcnow() - ago}}
    await made.scope.db.card_batches.update_many({"_id": made.batch["_id"]}, change)
    await made.scope.db.cards.update_many({"batch_id": made.batch["_id"]}, change)


async def test_lists_are_filtered_and_searched(mine: Scope) -> None:
    made, other = await make(mine, prefix="AAA"), await make(mine, active=False, prefix="AAB", count=2)
    assert [row["prefix"] for row in (await cards.batches(mine, ListQuery(q="aa", sort="prefix"))).rows] == [
        "AAA",
        "AAB",
    ]
    assert [row["prefix"] for row in (await cards.batches(mine, ListQuery(q="aab"))).rows] == ["AAB"]
    assert (await cards.batches(mine, ListQuery(filters={"kind": "plan"}))).rows == []
    found = await cards.listing(mine, ListQuery(q="aab-00002"))
    assert [row["serial"] for row in found.rows] == ["AAB-00002"]
    of_batch = {"batch_id": made.batch["_id"], "state": "active"}
    first = await cards.listing(mine, ListQuery(filters=of_batch, limit=2, sort="serial"))
    rest = await cards.listing(mine, ListQuery(filters=of_batch, after=first.next, sort="serial"))
    assert [row["serial"][-1] for row in first.rows + rest.rows] == ["1", "2", "3"]
    assert (
        await cards.listing(mine, ListQuery(filters={"batch_id": other.batch["_id"], "state": "active"}))
    ).rows == []


async def test_another_tenants_batch_is_not_there(mine: Scope, world: World) -> None:
    theirs = await make(world.zeta.scope, active=False)
    card = (await theirs.rows())[0]["_id"]
    for attempt in (
        cards.get_batch(mine, theirs.batch["_id"]),
        card_making.take_codes(mine, theirs.batch["_id"]),
        cards.move(mine, theirs.batch["_id"], "void", RangeForm(first=1, last=3)),
        cards.move_one(mine, card, "void"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await theirs.states() == ["inactive"] * 3


async def test_ten_thousand_cards_are_one_batch(mine: Scope) -> None:
    batch = await card_making.create(mine, form(count=10_000), "many")
    assert await mine.db.cards.count({"batch_id": batch["_id"]}) == 10_000
    taken = await card_making.take_codes(mine, batch["_id"])
    serial, code = taken[-1]
    found = await mine.db.cards.one({"hash": cards.code_hash(mine, code)})
    assert len(taken) == 10_000 and found["serial"] == serial == cards.serial(batch["prefix"], 10_000)
