"""Arithmetic of plans: prices, dates, what is left of what was paid. Pure. docs/billing.md says it in prose.

A plan sells units: months, or bundles of months, traffic or time. Everything follows from what a unit gives, so that
the policies differ in their figures and not in their rules. Money is in minor units, tax included; moments are UTC, and
days are the tenant's. What cannot be divided is rounded down to the minor unit, octet or second, tax to the nearest.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, TypedDict
from zoneinfo import ZoneInfo

Kind = Literal["prepaid_monthly", "buyout_months", "buyout_traffic", "buyout_time", "per_hour", "per_mb", "free"]

METERED: dict[str, int] = {"per_hour": 3600, "per_mb": 2**20}  # kind -> seconds or octets that the price is for
_SECOND = timedelta(seconds=1)
_MOST_UNITS = 1000  # that a rest is turned into: no calendar goes on for ever


class Tariff(TypedDict):
    """What one unit costs and gives. `price` in minor units, `tax_rate` in basis points of the price without tax.

    `bundle_months` and `valid_days`: how long it is good, both 0 = without end. `octets` and `seconds`: what may be
    used, 0 = not limited. Gifts come on top of each unit. `late_from`: where a renewal after the end counts from;
    `starts`: where the first term does.
    """

    kind: Kind
    price: int
    tax_rate: int
    bundle_months: int
    valid_days: int
    octets: int
    seconds: int
    gift_days: int
    gift_octets: int
    late_from: Literal["today", "expiry"]
    starts: Literal["opening", "first_login"]


class Term(TypedDict):
    """What was bought and is not over: `paid` for it, `octets` and `seconds` given, None = not limited.

    `anchor`: the day of the month on which its months end, 0 = that of the expiry. It lets 31 January, 28 February be
    followed by 31 March. `waits`: it begins with the first login, and lasts `months` and then `days` from there.
    """

    started_at: datetime
    paid: int
    octets: int | None
    seconds: int | None
    anchor: int
    waits: bool
    months: int
    days: int


class Holding(TypedDict):
    """What an account has of its plan. None: never expires, not limited. Less than nothing may be left."""

    expires_at: datetime | None
    octets_left: int | None
    seconds_left: int | None
    term: Term


def price_of(tariff: Tariff, units: int) -> int:
    """List price of units; what is charged by use costs nothing in advance."""
    return 0 if tariff["kind"] in METERED else tariff["price"] * units


def tax_in(amount: int, rate: int) -> int:
    """The tax that an amount includes, at `rate` basis points; to the nearest minor unit, a half upwards."""
    tax = (2 * abs(amount) * rate + 10_000 + rate) // (2 * (10_000 + rate))
    return tax if amount >= 0 else -tax


def metered(tariff: Tariff, before: int, after: int) -> int:
    """What use costs that went from `before` to `after` seconds or octets, at a price for each hour or MB.

    The sum of such charges is the charge of the whole use, rounded down once, wherever it was cut.
    """
    per = METERED[tariff["kind"]]
    return tariff["price"] * after // per - tariff["price"] * before // per


def affords(tariff: Tariff, balance: int) -> int:
    """How many seconds or octets a balance pays for, at a price for each hour or MB."""
    return max(0, balance) * METERED[tariff["kind"]] // tariff["price"]


def later(start: datetime, months: int, days: int, zone: str, anchor: int = 0) -> datetime:
    """The end of the day, on the zone's clock, that lies months and then days after `start`.

    The day of the month is `anchor`, or that of `start`; a month that lacks it ends on its last.
    """
    local = start.astimezone(ZoneInfo(zone))
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    month += 1
    day = min(anchor or local.day, calendar.monthrange(year, month)[1]) if months else local.day
    return _day_end(date(year, month, day) + timedelta(days=days), zone)


def is_over(holding: Holding, now: datetime) -> bool:
    """Whether the term has ended: by its date, or because nothing is left."""
    left = (holding["octets_left"], holding["seconds_left"])
    return _has_expired(holding, now) or any(amount is not None and amount <= 0 for amount in left)


def empty(now: datetime) -> Holding:
    """What an account has before anything was bought."""
    return Holding(expires_at=None, octets_left=None, seconds_left=None, term=_term(now, 0, None, None))


def opened(tariff: Tariff, units: int, paid: int, now: datetime, zone: str) -> Holding:
    """What a new account has that bought units; its time begins now, or waits for the first login."""
    holding = empty(now)
    holding["term"]["waits"] = tariff["starts"] == "first_login" and _ends(tariff)
    return bought(tariff, units, holding, paid, now, zone)


def prepared(tariff: Tariff, units: int, paid: int, now: datetime, zone: str) -> Holding:
    """What an account has that is opened ahead: units that were bought, or none; its time waits to begin."""
    holding = empty(now)
    holding["term"]["waits"] = _ends(tariff)
    return bought(tariff, units, holding, paid, now, zone) if units else holding


def begun(holding: Holding, at: datetime, zone: str) -> Holding:
    """What an account has whose waiting term begins."""
    term = holding["term"]
    ends = later(at, term["months"], term["days"], zone)
    anchor = 0 if term["days"] else at.astimezone(ZoneInfo(zone)).day
    return Holding(
        expires_at=ends,
        octets_left=holding["octets_left"],
        seconds_left=holding["seconds_left"],
        term=_term(at, term["paid"], term["octets"], term["seconds"]) | {"anchor": anchor},
    )


def bought(tariff: Tariff, units: int, holding: Holding, paid: int, now: datetime, zone: str) -> Holding:
    """What an account has after it bought units for `paid`: on top of what is still good, else from now.

    A renewal after the end counts from the old end if the plan says so and that leads into the future.
    """
    begins, ends, anchor = _bought_span(tariff, units, holding, now, zone)
    octets = (tariff["octets"] + tariff["gift_octets"]) * units if tariff["octets"] else None
    seconds = tariff["seconds"] * units if tariff["seconds"] else None
    expired = _has_expired(holding, now)
    term = _extended(holding, paid, octets, seconds, now, begins) | {"anchor": anchor}
    if term["waits"]:
        ends = None
        term |= {
            "months": term["months"] + tariff["bundle_months"] * units,
            "days": term["days"] + _days(tariff) * units,
        }
    return Holding(
        expires_at=ends,
        octets_left=octets if expired else _plus(holding["octets_left"], octets),
        seconds_left=seconds if expired else _plus(holding["seconds_left"], seconds),
        term=term,
    )


def topped_up(holding: Holding, octets: int, seconds: int, days: int, paid: int, now: datetime, zone: str) -> Holding:
    """What an account has after an addition. Where it is not limited anyway, nothing is added."""
    ends = holding["expires_at"]
    if ends is not None and days:
        ends = later(max(ends, now), 0, days, zone)
    more_octets = octets if holding["octets_left"] is not None else None
    more_seconds = seconds if holding["seconds_left"] is not None else None
    term = _extended(holding, paid, more_octets, more_seconds, now, now)
    return Holding(
        expires_at=ends,
        octets_left=_plus(holding["octets_left"], more_octets),
        seconds_left=_plus(holding["seconds_left"], more_seconds),
        term=term | {"anchor": 0 if days else term["anchor"], "days": term["days"] + days if term["waits"] else 0},
    )


def unused(holding: Holding, now: datetime) -> int:
    """What the rest of a term is worth: the share of what was paid that time, octets and seconds have left.

    The smallest share counts: what cannot be used is worth nothing.
    """
    term, ends = holding["term"], holding["expires_at"]
    worth = [term["paid"]] if term["waits"] else []
    if ends is not None:
        whole = max(_seconds(ends - term["started_at"]), 1)
        worth.append(term["paid"] * min(max(_seconds(ends - now), 0), whole) // whole)
    for left, given in ((holding["octets_left"], term["octets"]), (holding["seconds_left"], term["seconds"])):
        if left is not None and given:
            worth.append(term["paid"] * min(max(left, 0), given) // given)
    return min(worth, default=0)


def converted(value: int, tariff: Tariff, now: datetime, zone: str) -> Holding:
    """What `value` buys of a plan with a price: as many units as it pays for, and of the next one the same share of
    everything. Gifts are for money alone.
    """
    units, rest = divmod(min(value, _MOST_UNITS * tariff["price"]), tariff["price"])
    ends: datetime | None = None
    if _ends(tariff):
        ends, following = (_unit_end(tariff, count, now, zone) for count in (units, units + 1))
        ends += timedelta(seconds=_seconds(following - ends) * rest // tariff["price"])
    octets = tariff["octets"] * value // tariff["price"] if tariff["octets"] else None
    seconds = tariff["seconds"] * value // tariff["price"] if tariff["seconds"] else None
    term = _term(now, value, octets, seconds)
    return Holding(expires_at=ends, octets_left=octets, seconds_left=seconds, term=term)


def resumed(holding: Holding, pause: timedelta) -> Holding:
    """What an account has after a pause: as much time as when it began, to the second."""
    ends, term = holding["expires_at"], holding["term"]
    return Holding(
        expires_at=ends + pause if ends is not None else None,
        octets_left=holding["octets_left"],
        seconds_left=holding["seconds_left"],
        term=term | {"started_at": term["started_at"] + pause, "anchor": 0},
    )


def _day_end(day: date, zone: str) -> datetime:
    """The last second of a day. Reckoned back from midnight: that is right also where clocks are changed then."""
    midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone))
    return midnight.astimezone(UTC) - _SECOND


def _seconds(span: timedelta) -> int:
    return span // _SECOND


def _has_expired(holding: Holding, now: datetime) -> bool:
    return holding["expires_at"] is not None and holding["expires_at"] <= now


def _ends(tariff: Tariff) -> bool:
    return bool(tariff["bundle_months"] or tariff["valid_days"])


def _bought_span(
    tariff: Tariff, units: int, holding: Holding, now: datetime, zone: str
) -> tuple[datetime, datetime | None, int]:
    """Where the units that an account buys count from, when they end, and the anchor of its months from then on."""
    if not _ends(tariff):
        return now, None, 0
    months, days = tariff["bundle_months"] * units, _days(tariff) * units

    def span(start: datetime, anchor: int) -> tuple[datetime, datetime, int]:
        day = anchor or start.astimezone(ZoneInfo(zone)).day
        return start, later(start, months, days, zone, day), 0 if days else day

    old = holding["expires_at"]
    if old is not None and (old > now or tariff["late_from"] == "expiry"):
        found = span(old, holding["term"]["anchor"])
        if found[1] > now:
            return found
    return span(now, 0)


def _extended(
    holding: Holding, paid: int, octets: int | None, seconds: int | None, now: datetime, begins: datetime
) -> Term:
    """The term with what was added to it; one of its own, from `begins` or `now`, when it was over."""
    term = holding["term"]
    if is_over(holding, now):
        return _term(min(begins, now), paid, octets, seconds) | {"anchor": term["anchor"]}
    more = _term(
        term["started_at"], term["paid"] + paid, _plus(term["octets"], octets), _plus(term["seconds"], seconds)
    )
    return more | {key: term[key] for key in ("anchor", "waits", "months", "days")}  # type: ignore[return-value]


def _term(started_at: datetime, paid: int, octets: int | None, seconds: int | None) -> Term:
    """A term that has begun."""
    return Term(
        started_at=started_at, paid=paid, octets=octets, seconds=seconds, anchor=0, waits=False, months=0, days=0
    )


def _days(tariff: Tariff) -> int:
    """How many days a unit adds to its months."""
    return tariff["valid_days"] + tariff["gift_days"]


def _plus(left: int | None, more: int | None) -> int | None:
    """What is left with what is added, None = not limited. What was not limited before takes the new limit."""
    return None if more is None else more + (left or 0)


def _unit_end(tariff: Tariff, units: int, now: datetime, zone: str) -> datetime:
    if not units:
        return now
    return later(now, tariff["bundle_months"] * units, tariff["valid_days"] * units, zone)
