"""Reports: what some days brought, by day, plan, operator, method, device or reason, from the sums of each day.

A report reads a row for each of its days and never what lies behind them, but for days that nobody has reckoned yet:
those that the job has not come to, and, after an upgrade, those that were reckoned when there were no reports.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from saas.tenants import sums
from saas.tenants.paging import ListQuery
from saas.tenants.scope import Scope
from saas.tenants.sums import DaySums
from saas.values import utcnow

LONGEST: Final = 366  # days
_AT_ONCE = 40  # days reckoned for one reader; the others wait until the page is loaded again
_FRESH = 60  # seconds that today's sums are kept
_NEW = "sold"  # a field of every row that was reckoned for reports

Days = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Period:
    """Days of the tenant's zone, both included."""

    since: date
    until: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.until - self.since).days + 1

    @property
    def before(self) -> Period:
        """As many days, before these."""
        return Period(self.since - timedelta(days=self.days), self.since - timedelta(days=1))


def today(scope: Scope) -> date:
    """The tenant's day."""
    return utcnow().astimezone(ZoneInfo(scope.tenant["parameters"]["timezone"])).date()


def period(scope: Scope, query: ListQuery) -> Period:
    """What a query asks for: `since` and `until`, else `period` by its name, else 30 days; LONGEST days at most."""
    now = today(scope)
    named = named_period(query.filters.get("period", ""), now)
    until = min(_day(query.filters.get("until"), named.until), now)
    since = _day(query.filters.get("since"), named.since if until >= named.since else until.replace(day=1))
    return Period(max(min(since, until), until - timedelta(days=LONGEST - 1)), until)


def named_period(name: str, now: date) -> Period:
    """ "week", "month", "last_month", "year"; anything else is the last 30 days."""
    month = now.replace(day=1)
    last = month - timedelta(days=1)
    begins = {"week": now - timedelta(days=now.weekday()), "month": month, "year": now.replace(month=1, day=1)}
    if name == "last_month":
        return Period(last.replace(day=1), last)
    return Period(begins.get(name, now - timedelta(days=29)), now)


async def through(scope: Scope, asked: Period) -> tuple[list[DaySums], int]:
    """A row for each day, those without anything as well; and how many days are still to be reckoned."""
    kept = {row["day"]: row for row in await sums.between(scope, asked.since, asked.until)}
    now, born = today(scope), _born(scope)
    rows: list[DaySums] = []
    reckoned = missing = 0
    for day in (asked.since + timedelta(days=number) for number in range(asked.days)):
        row: Any = kept.get(day.isoformat())
        if day == now:
            row = await _today(scope, day)
        elif (row is None or _NEW not in row) and born <= day < now:
            if reckoned < _AT_ONCE:
                row = await sums.reckon(scope, day)
                reckoned += 1
            else:
                missing += 1
        rows.append({**_nothing(day), **(row or {})})  # type: ignore[typeddict-item]  # a row without its ids
    return rows, missing


def by_method(days: Days) -> list[dict[str, Any]]:
    """`method`, `taken`, `paid_back`, `net`."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for day in days:
        for place, name in enumerate(("payments", "paid_back")):
            for method, amount in day[name].items():
                found[method][place] += amount
    return [_money("method", method, *amounts) for method, amounts in found.items()]


def by_operator(days: Days) -> list[dict[str, Any]]:
    """`operator`, `taken`, `paid_back`, `net`."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, taken, back in _lines(days, "takers"):
        found[name][0] += taken
        found[name][1] += back
    return [_money("operator", name, *amounts) for name, amounts in found.items()]


def by_plan(days: Days) -> list[dict[str, Any]]:
    """`plan_id` and what was charged for it, `sold`; the id is "" where it was not kept yet."""
    found: Counter[str] = Counter()
    for plan_id, amount in _lines(days, "sold"):
        found[plan_id] += amount
    return [{"plan_id": plan_id, "sold": amount} for plan_id, amount in found.items()]


def refusals_by(days: Days, of: Callable[[str, str], str]) -> list[dict[str, Any]]:
    """`key`, which is what `of` makes of a reason and a device, and the `count` of refused log-ins."""
    found: Counter[str] = Counter()
    for reason, nas_id, count in _lines(days, "refused"):
        found[of(reason, nas_id)] += count
    return [{"key": key, "count": count} for key, count in found.items()]


def users(days: Days) -> list[dict[str, Any]]:
    """The largest users of all days together, `account_id`, `upload` and `download`: of those who were so on a day."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for account_id, up, down in _lines(days, "users"):
        found[account_id][0] += up
        found[account_id][1] += down
    largest = sorted(found.items(), key=lambda item: -item[1][1])[: sums.MOST_USERS]
    return [{"account_id": account_id, "upload": up, "download": down} for account_id, (up, down) in largest]


def _money(field: str, name: str, taken: int, paid_back: int) -> dict[str, Any]:
    return {field: name, "taken": taken, "paid_back": paid_back, "net": taken - paid_back}


def _lines(days: Days, name: str) -> Iterable[Sequence[Any]]:
    return (line for day in days for line in day[name])


async def _today(scope: Scope, day: date) -> dict[str, Any]:
    key = f"today:{day}"
    found: dict[str, Any] | None = await scope.kv.get(key)
    if found is None:
        found = await sums.measured(scope, day)
        await scope.kv.put(key, found, _FRESH)
    return {**found, "day": day.isoformat()}


def _nothing(day: date) -> dict[str, Any]:
    counts = dict.fromkeys(("accounts", "renewed", "lapsed", "charges", "refunds", "sessions"), 0)
    lists: dict[str, list[Any]] = {name: [] for name in ("takers", "sold", "refused", "users")}
    octets = {"input_octets": 0, "output_octets": 0}
    return {"day": day.isoformat(), **counts, **octets, **lists, "payments": {}, "paid_back": {}}


def _born(scope: Scope) -> date:
    zone = ZoneInfo(scope.tenant["parameters"]["timezone"])
    return scope.tenant["created_at"].astimezone(zone).date()


def _day(text: str | None, otherwise: date) -> date:
    return date.fromisoformat(text) if text else otherwise
