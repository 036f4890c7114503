"""The first page: today's figures and the lists behind them, who serves the tenant, what is to be done next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saas.handlers import charts
from saas.handlers.base import Handler
from saas.handlers.reports import SCHEDULED, endpoints, engine_rows
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.handlers.words import BULK_VERBS, REASONS
from saas.i18n import N_
from saas.tenants import engines, overview, platform
from saas.tenants.overview import COUNTED, Beginnings, Figures
from saas.values import from_epoch, utcnow


@dataclass(frozen=True, slots=True)
class Step:
    """One of the first steps: whether it is done, what it is, and the path of the page for it."""

    done: bool
    title: str
    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and the address of the list behind it, "" for who may not see that."""

    title: str
    text: str
    icon: str
    tone: str
    href: str


class Home(Handler):
    """The figures, the engines, the first steps. It draws its live part anew every few seconds."""

    async def get(self) -> None:
        """The page."""
        now = await overview.figures(self.scope)
        reports = await engines.listing(self.scope)
        tenant: Any = self.scope.tenant
        begun = await overview.beginnings(self.scope)
        failed = await overview.failures(self.scope)
        self.page(
            "admin/home/home.html",
            N_("Home"),
            now=now,
            figures=self.figures(now),
            at=from_epoch(now["at"]),
            old=utcnow().timestamp() - now["at"] > overview.GOOD,
            tier=platform.TIERS[tenant["tier"]],
            endpoints=endpoints(reports),
            repoint_by=await engines.repoint_by(self.scope),
            engines=engine_rows(self.reader, reports),
            reasons=[(REASONS.get(reason, reason), count, reason) for reason, count in now["refused"].items()],
            coming=self._moments(now["next"]),
            silent=self._moments(now["silent"]),
            jobs=[(SCHEDULED.get(job, job), at) for job, at in failed.jobs],
            runs=[(BULK_VERBS[run["verb"]], run["created_at"], run["_id"]) for run in failed.runs],
            charts=await self.charts(),
            steps=first_steps(begun) if begun else [],
        )

    def figures(self, now: Figures) -> list[Figure]:
        """The eight figures, each with the list that it counts; what came in is for those who may see payments."""
        today = now["day"]
        refused = sum(now["refused"].values())
        normal = {"status": "normal", "expires": "week", "sort": "expires_at"}
        money = self._list("/payments", kind="payment", since=today)
        income = Figure(N_("Taken in today"), self.reader.money(now["income"]), "cash", "green", money)
        return [
            self._figure(N_("Online now"), now["online"], "activity", "green", "/online"),
            self._figure(N_("Opened today"), now["opened"], "user-plus", "blue", "/accounts", since=today),
            *([income] if money else []),
            self._figure(N_("Refused today"), refused, "shield-lock", "red", "/refusals", since=today),
            self._figure(N_("Accounts"), now["used"]["accounts"], "id", "blue", "/accounts", status="open"),
            self._figure(N_("End within 7 days"), now["expiring"], "clock", "orange", "/accounts", **normal),
            self._figure(
                N_("Expired"), now["expired"], "calendar", "orange", "/accounts", **normal | {"expires": "past"}
            ),
            self._figure(N_("Suspended"), now["suspended"], "power", "gray", "/accounts", status="suspended"),
        ]

    async def charts(self) -> list[charts.Chart]:
        """What the reader may see of the last days; nothing is drawn for the live part, which htmx asks for."""
        if self.htmx:
            return []
        curves = await overview.curves(self.scope)
        drawn = [charts.online(self.reader, curves), charts.traffic(self.reader, curves)]
        if self.linked("/payments"):
            drawn.append(charts.revenue(self.reader, curves))
        return [chart for chart in drawn if len(chart.rows) > 1]

    def _figure(self, title: str, count: int, icon: str, tone: str, path: str, **where: str) -> Figure:
        text = self.reader.number(count) + ("+" if count >= COUNTED else "")
        return Figure(title, text, icon, tone if count else "gray", self._list(path, **where))

    def _list(self, path: str, **where: str) -> str:
        return self.url(path, **where) if self.linked(path) else ""

    def _moments(self, found: Any) -> list[Mapping[str, Any]]:
        """Rows of (id, name, seconds since 1970) for the template."""
        return [{"id": row_id, "name": name, "at": from_epoch(moment)} for row_id, name, moment in found]


def first_steps(now: Beginnings) -> list[Step]:
    """What is to be done before the first subscriber is online."""
    return [
        Step(
            now.nas,
            N_("Add a NAS device"),
            N_("Your VPN server or router: it gets an identifier, a secret and a ready-made configuration."),
            "/nas/new",
        ),
        Step(
            now.heard,
            N_("Let its first packet arrive"),
            N_("Paste the configuration into the device; its page shows what comes of it."),
            "/nas",
        ),
        Step(now.plans, N_("Add a plan"), N_("What you sell: price, speed, sessions at a time."), "/plans/new"),
        Step(
            now.accounts,
            N_("Open an account"),
            N_("A subscriber, with a card to hand over."),
            "/accounts/open",
        ),
        Step(
            False,
            N_("See the first subscriber online"),
            N_("Dial in with the account: it appears under online users within seconds."),
            "/online",
        ),
    ]


ROUTES = [Route("", Home, {"GET": SIGNED_IN}, Menu("Overview", N_("Home"), "home", 10))]
