"""The arithmetic of plans: the worked examples of docs/billing.md, and what holds whatever the figures."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saas.tenants import billing
from saas.tenants.billing import Holding, Tariff

ZONE = "Asia/Shanghai"
GB = 2**30
HOUR = 3600
MONTHLY = Tariff(
    kind="prepaid_monthly",
    price=3000,
    tax_rate=0,
    bundle_months=1,
    valid_days=0,
    octets=0,
    seconds=0,
    gift_days=0,
    gift_octets=0,
    late_from="today",
    starts="opening",
)


def tariff(**values: Any) -> Tariff:
    return MONTHLY | values  # type: ignore[return-value]


PACK = tariff(kind="buyout_traffic", price=5000, bundle_months=0, valid_days=30, octets=100 * GB)
HOURS = tariff(kind="buyout_time", price=2000, bundle_months=0, seconds=100 * HOUR)


def at(text: str, zone: str = ZONE) -> datetime:
    """A moment on the zone's clock; a day alone is its last second."""
    local = datetime.fromisoformat(text if "T" in text else f"{text}T23:59:59")
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def buy(plan: Tariff, when: str, units: int = 1, holding: Holding | None = None, paid: int | None = None) -> Holding:
    now = at(when)
    price = billing.price_of(plan, units) if paid is None else paid
    return billing.bought(plan, units, holding or billing.empty(now), price, now, ZONE)


def test_units_cost_as_many_times_the_price() -> None:
    assert billing.price_of(MONTHLY, 3) == 9000
    assert buy(tariff(gift_days=2), "2026-11-23", 3)["expires_at"] == at("2027-03-01")


@pytest.mark.parametrize(
    ("amount", "rate", "tax"),
    [(3000, 600, 170), (3000, 1300, 345), (5, 10_000, 3), (-3000, 600, -170), (3000, 0, 0), (0, 600, 0)],
)
def test_the_tax_in_an_amount(amount: int, rate: int, tax: int) -> None:
    assert billing.tax_in(amount, rate) == tax


@pytest.mark.parametrize(
    ("bought", "months", "days", "ends"),
    [
        ("2026-11-23", 1, 0, "2026-12-23"),
        ("2026-01-31", 1, 0, "2026-02-28"),
        ("2028-01-31", 1, 0, "2028-02-29"),
        ("2026-01-31", 2, 0, "2026-03-31"),
        ("2026-04-01", 0, 30, "2026-05-01"),
        ("2026-11-23T00:30:00", 1, 0, "2026-12-23"),  # still the 22nd in UTC
        ("2026-12-31", 14, 0, "2028-02-29"),
        ("2028-02-29", 12, 0, "2029-02-28"),
    ],
)
def test_when_a_plan_ends(bought: str, months: int, days: int, ends: str) -> None:
    assert billing.later(at(bought), months, days, ZONE) == at(ends)


def test_month_by_month_is_as_far_as_all_at_once() -> None:
    holding, ends = None, []
    for _ in range(3):
        holding = buy(MONTHLY, "2026-01-31T10:00", holding=holding)
        ends.append(holding["expires_at"])
    assert ends == [at("2026-02-28"), at("2026-03-31"), at("2026-04-30")]
    assert holding == buy(MONTHLY, "2026-01-31T10:00", 3)


@pytest.mark.parametrize(
    ("zone", "start", "months", "utc"),
    [
        ("Europe/Berlin", "2026-09-25T12:00", 1, "2026-10-25T22:59:59"),
        ("Europe/Berlin", "2026-02-28T12:00", 1, "2026-03-28T22:59:59"),
        ("Africa/Cairo", "2026-09-29T12:00", 1, "2026-10-29T21:59:59"),  # 23:59:59 comes twice: the second time
        ("America/Sao_Paulo", "2018-10-03T12:00", 1, "2018-11-04T02:59:59"),  # no midnight follows
    ],
)
def test_a_day_ends_at_midnight_also_when_clocks_are_changed(zone: str, start: str, months: int, utc: str) -> None:
    ends = billing.later(at(start, zone), months, 0, zone)
    assert ends == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    after = (ends + timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    assert (after.date() - ends.astimezone(ZoneInfo(zone)).date()).days == 1


def test_where_a_renewal_counts_from() -> None:
    december = buy(MONTHLY, "2026-11-23")
    assert buy(MONTHLY, "2026-12-01", holding=december)["expires_at"] == at("2027-01-23")
    november = buy(MONTHLY, "2026-10-23")
    assert november["expires_at"] == at("2026-11-23")
    strict = tariff(late_from="expiry")
    assert buy(MONTHLY, "2026-12-03", holding=november)["expires_at"] == at("2027-01-03")
    assert buy(strict, "2026-12-03", holding=november)["expires_at"] == at("2026-12-23")
    assert buy(strict, "2027-02-01", holding=november)["expires_at"] == at("2027-03-01")


def test_what_is_left_is_added_to_while_the_plan_is_good() -> None:
    holding = buy(PACK, "2026-04-01") | {"octets_left": 40 * GB}
    early = buy(PACK, "2026-04-11", holding=holding)
    assert (early["octets_left"], early["expires_at"]) == (140 * GB, at("2026-05-31"))
    late = buy(PACK, "2026-05-02", holding=holding)
    assert (late["octets_left"], late["term"]["paid"]) == (100 * GB, 5000)
    beyond = buy(PACK, "2026-04-11", holding=holding | {"octets_left": -GB})
    assert (beyond["octets_left"], beyond["term"]["paid"]) == (99 * GB, 5000)
    gift = buy(PACK | {"gift_octets": 10 * GB}, "2026-04-01", 2)
    assert (gift["octets_left"], gift["term"]["octets"]) == (220 * GB, 220 * GB)


def test_without_validity_a_bundle_never_expires() -> None:
    holding = buy(HOURS, "2026-04-01", 2)
    assert (holding["expires_at"], holding["seconds_left"], holding["octets_left"]) == (None, 200 * HOUR, None)
    assert not billing.is_over(holding, at("2099-01-01"))
    assert billing.is_over(holding | {"seconds_left": 0}, at("2026-04-02"))


def test_a_suspended_accounts_clock_stands_still() -> None:
    pause = at("2026-12-11T12:30:00") - at("2026-12-01T10:00:00")
    before = buy(MONTHLY, "2026-11-23")
    after = billing.resumed(before, pause)
    assert after["expires_at"] == at("2027-01-03T02:29:59")
    was = billing.unused(before, at("2026-12-01T10:00:00"))
    assert billing.unused(after, at("2026-12-11T12:30:00")) == was > 0
    # its months end on its new day from now on
    assert buy(MONTHLY, "2026-12-12", holding=after)["expires_at"] == at("2027-02-03")


@pytest.mark.parametrize(
    ("when", "paid", "rest"),
    [
        ("2026-04-11", 3000, 2000),
        ("2026-04-12T00:00:00", 3000, 1999),
        ("2026-04-11", 2400, 1600),
        ("2026-04-01", 3000, 3000),
        ("2026-05-01", 3000, 0),
        ("2027-05-01", 3000, 0),
    ],
)
def test_what_the_rest_of_a_month_is_worth(when: str, paid: int, rest: int) -> None:
    assert billing.unused(buy(MONTHLY, "2026-04-01", paid=paid), at(when)) == rest


def test_what_the_rest_of_two_purchases_is_worth() -> None:
    holding = buy(MONTHLY, "2026-04-11", holding=buy(MONTHLY, "2026-04-01"))
    assert holding["expires_at"] == at("2026-06-01")
    assert billing.unused(holding, at("2026-04-21")) == 4032


def test_the_smallest_share_counts() -> None:
    pack = buy(PACK, "2026-04-01") | {"octets_left": 40 * GB}
    assert billing.unused(pack, at("2026-04-11")) == 2000
    assert billing.unused(pack, at("2026-04-26")) == 833
    assert billing.unused(pack | {"octets_left": -5}, at("2026-04-11")) == 0
    assert billing.unused(buy(HOURS, "2026-04-01") | {"seconds_left": 12 * HOUR + 1800}, at("2030-01-01")) == 250


@pytest.mark.parametrize(
    ("rest", "plan", "when", "ends", "octets"),
    [
        (6000, tariff(price=6000), "2026-04-16", "2026-05-16", None),
        (9000, tariff(price=6000), "2026-04-16T10:00:00", "2026-06-01T11:59:59", None),
        (1500, tariff(price=6000), "2026-04-16", "2026-04-24T11:59:59", None),
        (0, tariff(price=6000), "2026-04-16", "2026-04-16", None),
        (1500, PACK, "2026-04-01", "2026-04-10", 30 * GB),
        (1, PACK | {"valid_days": 0}, "2026-04-01", None, 100 * GB // 5000),
    ],
)
def test_what_a_rest_buys_of_another_plan(rest: int, plan: Tariff, when: str, ends: str | None, octets: int) -> None:
    holding = billing.converted(rest, plan, at(when), ZONE)
    assert holding["expires_at"] == (at(ends) if ends else None)
    assert (holding["octets_left"], holding["term"]["paid"]) == (octets, rest)


def test_use_costs_the_same_however_often_it_is_reported() -> None:
    hourly = tariff(kind="per_hour", price=200)
    assert billing.metered(hourly, 0, 45 * 60) == 150
    parts = [billing.metered(hourly, part * 300, (part + 1) * 300) for part in range(9)]
    assert parts == [16, 17, 17, 16, 17, 17, 16, 17, 17]
    assert billing.metered(tariff(kind="per_mb", price=1), 0, 3 * 2**20 - 1) == 2


def test_an_addition_extends_what_is_there() -> None:
    now = at("2026-04-11")
    pack = buy(PACK, "2026-04-01") | {"octets_left": 40 * GB}
    more = billing.topped_up(pack, 10 * GB, 5, 3, 500, now, ZONE)
    assert (more["octets_left"], more["seconds_left"], more["expires_at"]) == (50 * GB, None, at("2026-05-04"))
    assert (more["term"]["paid"], more["term"]["octets"]) == (5500, 110 * GB)
    ended = billing.topped_up(pack, 0, 0, 3, 0, at("2026-06-01"), ZONE)
    assert ended["expires_at"] == at("2026-06-04")


def test_a_first_term_can_wait_for_the_first_login() -> None:
    plan = tariff(starts="first_login")
    now = at("2026-01-31T10:00:00")
    waiting = billing.opened(plan, 1, 3000, now, ZONE)
    assert (waiting["expires_at"], waiting["term"]["waits"], waiting["term"]["months"]) == (None, True, 1)
    more = buy(plan, "2026-02-01", holding=waiting)
    assert billing.unused(more, at("2026-06-01")) == 6000
    ready = billing.topped_up(more, 0, 0, 3, 0, at("2026-02-02"), ZONE)
    assert billing.begun(ready, at("2026-03-31"), ZONE)["expires_at"] == at("2026-06-03")
    begun = billing.begun(more, at("2026-03-31"), ZONE)
    assert (begun["expires_at"], begun["term"]["started_at"]) == (at("2026-05-31"), at("2026-03-31"))
    # from then on it is a term like any other
    assert begun == buy(plan, "2026-03-31", 2)
    assert billing.opened(MONTHLY, 2, 6000, at("2026-03-31"), ZONE) == begun
    endless = billing.opened(HOURS | {"starts": "first_login"}, 1, 2000, now, ZONE)
    assert not endless["term"]["waits"]


def test_whatever_the_figures_no_money_is_made() -> None:
    """A rest is never worth more than was paid, falls with time, and keeps its worth when it is converted."""
    chance = random.Random(4)
    for _ in range(300):
        plan = tariff(price=chance.randint(1, 10**6), octets=chance.choice([0, GB]), gift_days=chance.randint(0, 3))
        now = at("2026-01-01") + timedelta(seconds=chance.randint(0, 10**8))
        paid = chance.randint(0, 10**7)
        holding = billing.bought(plan, chance.randint(1, 36), billing.empty(now), paid, now, ZONE)
        moments = sorted(now + timedelta(seconds=chance.randint(0, 10**8)) for _ in range(5))
        worth = [billing.unused(holding, moment) for moment in [now, *moments]]
        assert worth[0] == paid and worth == sorted(worth, reverse=True) and worth[-1] >= 0
        again = billing.converted(paid, plan, now, ZONE)
        assert paid - 1 - paid // 10**6 <= billing.unused(again, now) <= paid
