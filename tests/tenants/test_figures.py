"""Reports: figures of days equal what stands behind them, whatever was sold and taken back."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest

from saas.tenants import accounts, figures, payments, plans, refusals, sums, wallet
from saas.tenants.figures import Period
from saas.tenants.paging import ListQuery
from saas.tenants.refusals import Refusal
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.handlers.usage import ended
from tests.world import Business, make_business, set_account


@pytest.fixture
async def shop(ps: PlatformScope) -> Business:
    return await make_business(ps, "reports")


async def today_of(business: Business) -> list[Any]:
    """The rows of today alone, reckoned anew."""
    day = figures.today(business.scope)
    await business.scope.kv.delete(f"today:{day}")
    rows, missing = await figures.through(business.scope, Period(day, day))
    assert missing == 0
    return rows


async def test_revenue_is_what_the_ledger_has(shop: Business) -> None:
    """Sales, top-ups, refunds and reversals at random; by day, by method, by operator and by plan they agree."""
    dice, scope = random.Random(20261124), shop.scope
    other = await plans.create(scope, plans.PlanForm.model_validate({"name": "Yearly", "price": "365.00"}))
    for number in range(25):
        plan = dice.choice([shop.plan, other])
        form = accounts.QuickOpenForm(
            username=f"user{number}", plan_id=plan["_id"], method=dice.choice(["cash", "wechat", "alipay"])
        )
        account, _ = await accounts.quick_open(scope, form, f"sale-{number}")
        if dice.random() < 0.4:
            top_up = wallet.TopUpForm.model_validate({"amount": f"{dice.randint(1, 9)}.55", "method": "transfer"})
            await wallet.top_up(scope, account["member_id"], top_up, f"top-{number}")
        if dice.random() < 0.4:
            entries = await scope.db.ledger.find({"account_id": account["_id"], "kind": "payment"})
            back = payments.ReverseForm(what=dice.choice(["entry", "sale"]), note="a mistake")
            await payments.reverse(scope, entries[0]["_id"], back)
    entries = await scope.db.ledger.find({}, limit=10_000)
    paid = sum(entry["amount"] for entry in entries if entry["kind"] == "payment")
    sold = -sum(entry["amount"] for entry in entries if entry["kind"] == "charge")
    days = await today_of(shop)
    assert [sum(days[0]["payments"].values()), days[0]["charges"]] == [paid, sold]
    assert sum(row["net"] for row in figures.by_method(days)) == paid - days[0]["refunds"]
    assert [row["operator"] for row in figures.by_operator(days)] == [shop.email]
    assert figures.by_operator(days)[0]["taken"] == paid
    by_plan = {row["plan_id"]: row["sold"] for row in figures.by_plan(days)}
    assert sum(by_plan.values()) == sold
    assert set(by_plan) == {shop.plan["_id"], other["_id"]} and by_plan[other["_id"]] % 36500 == 0


async def test_growth_refusals_and_traffic_of_a_day(ps: PlatformScope, shop: Business) -> None:
    scope, now = shop.scope, utcnow()
    await set_account(scope, shop.account["_id"], expires_at=now - timedelta(seconds=1))
    session = await ended(ps, shop, "s1", "user_request")
    facts: dict[str, Any] = {"tenant_id": shop.id, "nas_id": shop.nas["_id"], "username": "alice", "data": {}}
    facts |= {"account_id": "", "method": "pap", "calling_station_id": "", "source": "192.0.2.1"}
    for reason in ("expiry", "password", "expiry"):
        await refusals.keep(ps, [Refusal(reason=reason, at=now.timestamp(), **facts)])
    (day,) = await today_of(shop)
    assert (day["accounts"], day["renewed"], day["sessions"]) == (1, 0, 1)
    assert figures.refusals_by([day], lambda reason, _: reason) == [
        {"key": "expiry", "count": 2},
        {"key": "password", "count": 1},
    ]
    (user,) = figures.users([day])
    assert user == {
        "account_id": shop.account["_id"],
        "upload": session["input_octets"],
        "download": session["output_octets"],
    }


async def test_days_of_before_are_reckoned_when_they_are_asked_for(shop: Business) -> None:
    scope, now = shop.scope, figures.today(shop.scope)
    await scope.db.tenants.update(shop.id, {"$set": {"created_at": utcnow() - timedelta(days=100)}})
    scope.tenant["created_at"] = utcnow() - timedelta(days=100)
    await sums.reckon(scope, now - timedelta(days=1))
    await scope.db.day_sums.update_one({"day": f"{now - timedelta(days=1)}"}, {"$unset": {"sold": ""}})
    rows, missing = await figures.through(scope, Period(now - timedelta(days=59), now))
    assert len(rows) == 60 and missing == 19
    assert [row["day"] for row in rows] == [str(now - timedelta(days=ago)) for ago in range(59, -1, -1)]
    assert (await figures.through(scope, Period(now - timedelta(days=59), now)))[1] == 0
    assert (await scope.db.day_sums.one({"day": str(now - timedelta(days=1))}))["sold"] == []


@pytest.mark.parametrize(
    ("name", "since", "until"),
    [
        ("week", "2026-11-23", "2026-11-25"),
        ("month", "2026-11-01", "2026-11-25"),
        ("last_month", "2026-10-01", "2026-10-31"),
        ("year", "2026-01-01", "2026-11-25"),
        ("", "2026-10-27", "2026-11-25"),
    ],
)
def test_periods_have_names(name: str, since: str, until: str) -> None:
    found = figures.named_period(name, date(2026, 11, 25))
    assert (str(found.since), str(found.until)) == (since, until)


def test_a_period_is_of_a_year_at_most_and_never_of_the_future(shop: Business) -> None:
    asked = figures.period(shop.scope, ListQuery(filters={"since": "1999-01-01", "until": "2999-01-01"}))
    assert asked.days == figures.LONGEST and asked.until == figures.today(shop.scope)
    assert asked.before.until == asked.since - timedelta(days=1) and asked.before.days == asked.days
    turned = figures.period(shop.scope, ListQuery(filters={"since": "2026-03-05", "until": "2026-03-01"}))
    assert str(turned.since) == str(turned.until) == "2026-03-01"
