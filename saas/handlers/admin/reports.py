"""Reports: revenue, growth, traffic, refusals, and what is due. Each as a chart, a table and an export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from saas.handlers import charts
from saas.handlers.columns import Column, Row
from saas.handlers.lists import Filter, ListPage
from saas.handlers.papers import PAID_BY
from saas.handlers.routes import Menu, Route
from saas.handlers.words import REASONS
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, figures, nas, plans
from saas.tenants.figures import Days, Period
from saas.tenants.paging import ListQuery, Page

_PERIODS = {
    "week": N_("This week"),
    "month": N_("This month"),
    "last_month": N_("Last month"),
    "year": N_("This year"),
}
_DAY = Column(N_("Day"), "day", role="title", sort="day")
_MONEY = (
    Column(N_("Taken in"), "taken", "money", sort="taken"),
    Column(N_("Paid back"), "paid_back", "money", sort="paid_back"),
    Column(N_("Net"), "net", "money", sort="net"),
)


@dataclass(frozen=True, slots=True)
class Total:
    """A sum over the period, and the same of as many days before it."""

    title: str
    text: str
    before: str
    icon: str
    tone: str


class Report(ListPage):
    """Declare `kinds` (its siblings), `made`, and what of the rows is drawn and summed."""

    template = "admin/reports/report.html"
    sort = "-day"
    filters = (
        Filter("period", N_("Period"), tuple(_PERIODS.items()), unset=N_("Last 30 days")),
        Filter("since", N_("From"), widget="date"),
        Filter("until", N_("To"), widget="date"),
    )
    empty = N_("Nothing in these days.")
    hint = N_("Choose other days above.")
    drawn: ClassVar[Sequence[tuple[str, str, str]]] = ()  # (title, field, how it is shown)
    summed: ClassVar[Sequence[tuple[str, str, str, str]]] = ()  # (title, field of a day, how it is shown, icon)

    @abstractmethod
    async def made(self, days: Days) -> list[dict[str, Any]]:
        """The rows that days come to, in any order."""

    @cached_property
    def period(self) -> Period:
        """The days of the address."""
        return figures.period(self.scope, self.asked(self.filters))

    async def rows(self, query: ListQuery) -> Page:
        """All rows at once: there are no more than days, plans, operators, devices, or MOST_USERS."""
        self.days, self.missing = await figures.through(self.scope, self.period)
        found = await self.made(self.days)
        name = query.sort.lstrip("-")
        self.found = sorted(found, key=lambda row: row[name], reverse=query.sort.startswith("-"))
        return Page(self.found, None)

    async def extra(self) -> Mapping[str, Any]:
        """The period, its chart and sums, and the other reports of the kind."""
        return {
            "period": self.period,
            "missing": self.missing,
            "chart": self.chart(),
            "totals": await self.totals(),
            "kinds": self.siblings(),
        }

    def chart(self) -> charts.Chart | None:
        """The rows as bars, days from left to right and everything else with the largest first."""
        if len(self.found) < 2:
            return None
        first = self.columns[0]
        by_day = first.value == "day"
        rows = sorted(self.found, key=lambda row: row["day" if by_day else self.drawn[0][1]], reverse=not by_day)
        return charts.bars(self.reader, self.title, rows[: figures.LONGEST if by_day else 20], first, self.drawn)

    async def totals(self) -> list[Total]:
        """What the days come to, beside as many days before."""
        if not self.summed:
            return []
        before, _ = await figures.through(self.scope, self.period.before)
        return [self._total(each, before) for each in self.summed]

    def siblings(self) -> list[tuple[str, str, bool]]:
        """Title, address and whether it is shown, of the reports that stand together."""
        group = next((group for group in _TOGETHER if type(self) in dict(group).values()), ())
        where = {name: value for name, value in self.asked(self.filters).filters.items() if value}
        return [(title, self.url(_PATHS[page], **where), page is type(self)) for title, page in group]

    def _total(self, each: tuple[str, str, str, str], before: Days) -> Total:
        title, field, show, icon = each
        said: Callable[[int], str] = getattr(self.reader, show)
        now, then = (sum(_figure(day, field) for day in days) for days in (self.days, before))
        return Total(title, said(now), said(then), icon, "blue" if now else "gray")


def _figure(day: Row, field: str) -> int:
    """A field of a day; of a mapping the sum of its values."""
    value = day[field]
    return sum(value.values()) if isinstance(value, Mapping) else int(value)


_REVENUE = (
    (N_("Taken in"), "payments", "money", "cash"),
    (N_("Paid back"), "refunds", "money", "arrow-left"),
    (N_("Sold"), "charges", "money", "tag"),
)


class Revenue(Report):
    """Money by day."""

    title = N_("Revenue")
    export = "revenue"
    columns = (
        Column(N_("Day"), "day", role="title", sort="day", link="/payments?since={day}&until={day}"),
        *_MONEY,
        Column(N_("Sold"), "sold", "money", sort="sold"),
    )
    drawn = ((N_("Taken in"), "taken", "money"),)
    summed = _REVENUE

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a day."""
        return [
            {
                "day": day["day"],
                "taken": sum(day["payments"].values()),
                "paid_back": day["refunds"],
                "net": sum(day["payments"].values()) - day["refunds"],
                "sold": day["charges"],
            }
            for day in days
        ]


class RevenueByPlan(Report):
    """What was charged for each plan."""

    title = N_("Revenue by plan")
    export = "revenue-by-plan"
    sort = "-sold"
    columns = (
        Column(N_("Plan"), "plan", role="title", link="/plans/{plan_id}"),
        Column(N_("Sold"), "sold", "money", sort="sold"),
    )
    drawn = ((N_("Sold"), "sold", "money"),)
    summed = _REVENUE[2:]

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a plan, with its name; charges of before their plan was kept stand together."""
        names = await plans.names(self.scope)
        unknown = self.reader(N_("Not recorded"))
        return [
            {
                **row,
                "plan": names.get(row["plan_id"], row["plan_id"] or unknown),
                **({} if row["plan_id"] else {"_id": ""}),
            }
            for row in figures.by_plan(days)
        ]


class RevenueByOperator(Report):
    """Who took what."""

    title = N_("Revenue by operator")
    export = "revenue-by-operator"
    sort = "-taken"
    columns = (Column(N_("Operator"), "operator", role="title"), *_MONEY)
    drawn = ((N_("Taken in"), "taken", "money"),)
    summed = _REVENUE[:2]

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row an operator."""
        return figures.by_operator(days)


class RevenueByMethod(Report):
    """How it was paid."""

    title = N_("Revenue by method")
    export = "revenue-by-method"
    sort = "-taken"
    columns = (Column(N_("Paid by"), "method", words=PAID_BY, role="title"), *_MONEY)
    drawn = ((N_("Taken in"), "taken", "money"),)
    summed = _REVENUE[:2]

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a method."""
        return figures.by_method(days)


class Growth(Report):
    """Accounts that came, stayed and went."""

    title = N_("Growth")
    export = "growth"
    columns = (
        _DAY,
        Column(N_("New accounts"), "accounts", "number", sort="accounts"),
        Column(N_("Renewed"), "renewed", "number", sort="renewed"),
        Column(N_("Lapsed"), "lapsed", "number", sort="lapsed"),
    )
    drawn = (
        (N_("New accounts"), "accounts", "number"),
        (N_("Renewed"), "renewed", "number"),
        (N_("Lapsed"), "lapsed", "number"),
    )
    summed = (
        (N_("New accounts"), "accounts", "number", "user-plus"),
        (N_("Renewed"), "renewed", "number", "refresh"),
        (N_("Lapsed"), "lapsed", "number", "clock"),
    )

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a day."""
        return [dict(day) for day in days]


_TRAFFIC = (
    (N_("Download"), "output_octets", "octets", "download"),
    (N_("Upload"), "input_octets", "octets", "upload"),
    (N_("Sessions"), "sessions", "number", "history"),
)


class Traffic(Report):
    """Traffic of the sessions that ended on each day."""

    title = N_("Traffic")
    export = "traffic"
    columns = (_DAY, *(Column(title, field, show, sort=field) for title, field, show, _ in _TRAFFIC))
    drawn = tuple((title, field, show) for title, field, show, _ in _TRAFFIC[:2])
    summed = _TRAFFIC

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a day."""
        return [dict(day) for day in days]


class TopUsers(Report):
    """Who used most: of the hundred that downloaded most on each day."""

    title = N_("Top users")
    export = "top-users"
    sort = "-download"
    columns = (
        Column(N_("Account"), "username", link="/accounts/{account_id}", role="title"),
        Column(N_("Download"), "download", "octets", sort="download"),
        Column(N_("Upload"), "upload", "octets", sort="upload"),
    )
    drawn = ((N_("Download"), "download", "octets"), (N_("Upload"), "upload", "octets"))
    summed = _TRAFFIC

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row an account, with its name."""
        found = figures.users(days)
        names = await accounts.usernames(self.scope, {row["account_id"] for row in found})
        return [{**row, "username": names.get(row["account_id"], row["account_id"])} for row in found]


_REFUSED = (Column(N_("Times"), "count", "number", sort="count"),)


class Refused(Report):
    """Refused log-ins by rule."""

    title = N_("Refusals by reason")
    export = "refusals-by-reason"
    sort = "-count"
    columns = (Column(N_("Why"), "key", words=REASONS, role="title", link="/refusals?reason={key}"), *_REFUSED)
    drawn = ((N_("Times"), "count", "number"),)

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a rule."""
        return figures.refusals_by(days, lambda reason, _: reason)


class RefusedByDevice(Report):
    """Refused log-ins by device."""

    title = N_("Refusals by device")
    export = "refusals-by-device"
    sort = "-count"
    columns = (Column(N_("Device"), "device", role="title", link="/refusals?nas_id={key}"), *_REFUSED)
    drawn = ((N_("Times"), "count", "number"),)

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a device, with its name."""
        names = await nas.names(self.scope)
        found = figures.refusals_by(days, lambda _, nas_id: nas_id)
        return [{**row, "device": names.get(row["key"], row["key"])} for row in found]


class RefusedByDay(Report):
    """Refused log-ins by day."""

    title = N_("Refusals by day")
    export = "refusals-by-day"
    columns = (_DAY, *_REFUSED)
    drawn = ((N_("Times"), "count", "number"),)

    async def made(self, days: Days) -> list[dict[str, Any]]:
        """A row a day."""
        return [{"day": day["day"], "count": sum(line[2] for line in day["refused"])} for day in days]


_TOGETHER: tuple[tuple[tuple[str, type[Report]], ...], ...] = (
    (
        (N_("By day"), Revenue),
        (N_("By plan"), RevenueByPlan),
        (N_("By operator"), RevenueByOperator),
        (N_("By method"), RevenueByMethod),
    ),
    ((N_("By day"), Traffic), (N_("Top users"), TopUsers)),
    ((N_("By reason"), Refused), (N_("By device"), RefusedByDevice), (N_("By day"), RefusedByDay)),
)
_PATHS: Mapping[type[Report], str] = {
    Revenue: "/reports/revenue",
    RevenueByPlan: "/reports/revenue/plans",
    RevenueByOperator: "/reports/revenue/operators",
    RevenueByMethod: "/reports/revenue/methods",
    Growth: "/reports/growth",
    Traffic: "/reports/traffic",
    TopUsers: "/reports/traffic/users",
    Refused: "/reports/refusals",
    RefusedByDevice: "/reports/refusals/devices",
    RefusedByDay: "/reports/refusals/days",
}
_MENUS = {
    Revenue: Menu("Reports", N_("Revenue"), "cash", 10),
    Growth: Menu("Reports", N_("Growth"), "users", 20),
    Traffic: Menu("Reports", N_("Traffic"), "gauge", 30),
    Refused: Menu("Reports", N_("Refusals"), "shield-lock", 40),
}


def _needs(page: type[Report]) -> Permission:
    if page is Growth:
        return Permission.ACCOUNTS_READ
    return Permission.LEDGER_READ if issubclass(page, Revenue) or "revenue" in page.export else Permission.SESSIONS_READ


ROUTES = [Route(path, page, {"GET": _needs(page)}, _MENUS.get(page)) for page, path in _PATHS.items()]
