"""The first page: what the tenant has, who serves it, how many are online, what is to be done next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.reports import endpoints, engine_rows
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.handlers.words import REASONS
from saas.i18n import N_
from saas.tenants import engines, overview, platform
from saas.tenants.overview import COUNTED, Overview


@dataclass(frozen=True, slots=True)
class Step:
    """One of the first steps: whether it is done, what it is, and the path of the page for it."""

    done: bool
    title: str
    text: str
    path: str


class Home(Handler):
    """The figures, the engines, the first steps. It draws its live part anew every few seconds."""

    async def get(self) -> None:
        """The page."""
        now = await overview.overview(self.scope)
        reports = await engines.listing(self.scope)
        tenant: Any = self.scope.tenant
        self.page(
            "admin/home/home.html",
            N_("Home"),
            now=now,
            counted=COUNTED,
            tier=platform.TIERS[tenant["tier"]],
            used={"nas": now.nas, "accounts": now.accounts, "operators": now.operators},
            endpoints=endpoints(reports),
            repoint_by=await engines.repoint_by(self.scope),
            engines=engine_rows(self.reader, reports),
            reasons=[(REASONS.get(reason, reason), count) for reason, count in now.refused.items()],
            steps=[] if now.logged_in else first_steps(now),
        )


def first_steps(now: Overview) -> list[Step]:
    """What is to be done before the first subscriber is online."""
    return [
        Step(
            bool(now.nas),
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
        Step(bool(now.plans), N_("Add a plan"), N_("What you sell: price, speed, sessions at a time."), "/plans/new"),
        Step(
            bool(now.accounts),
            N_("Open an account"),
            N_("A subscriber, with a card to hand over."),
            "/accounts/open",
        ),
        Step(
            now.logged_in,
            N_("See the first subscriber online"),
            N_("Dial in with the account: it appears under online users within seconds."),
            "/online",
        ),
    ]


ROUTES = [Route("", Home, {"GET": SIGNED_IN}, Menu("Overview", N_("Home"), "home", 10))]
