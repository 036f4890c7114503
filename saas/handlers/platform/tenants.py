"""The tenants of the platform."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.forms import Choices, ConfirmPage, FormPage
from saas.handlers.lists import Column, Filter, ListPage
from saas.handlers.messages import STATES
from saas.handlers.reports import ENGINE_COLUMNS, engine_rows, ports_text
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.i18n import N_
from saas.tenants import engines, factors, moves, platform, pools
from saas.tenants.paging import ListQuery, Page
from saas.values import utcnow

_TIERS = {key: tier.name for key, tier in platform.TIERS.items()}
_STATES = {"active": N_("Running"), "stopped": STATES["stopped"][0]}


class Tenants(ListPage):
    """Every tenant."""

    title = N_("Tenants")
    search = N_("Short name")
    export = "tenants"
    columns = (
        Column(N_("Short name"), "slug", link="/tenants/{_id}", role="title"),
        Column(N_("System name"), "parameters.system_name"),
        Column(N_("Tier"), "tier", words=_TIERS),
        Column(N_("Pool"), "pool", "code"),
        Column(N_("Status"), "status", "status", words=_STATES),
        Column(N_("Created"), "created_at", "day"),
    )
    filters = (
        Filter("status", N_("Status"), tuple(_STATES.items())),
        Filter("tier", N_("Tier"), tuple(_TIERS.items())),
        Filter("pool", N_("Pool"), widget="text"),
    )
    empty = N_("No tenants yet. Each sign-up makes one.")

    async def rows(self, query: ListQuery) -> Page:
        """See platform.listing."""
        return await platform.listing(self.ps, query)


class Tenant(Handler):
    """One tenant: what it may use, how much it does, and who owns it. None of its own data."""

    async def get(self, id: str) -> None:
        """The page."""
        tenant = await platform.get(self.ps, id)
        self.page(
            "platform/tenants/detail.html",
            tenant["parameters"]["system_name"],
            row=tenant,
            tier=platform.TIERS[tenant["tier"]],
            states=_STATES,
            owner=await platform.owner_of(self.ps, tenant),
            factor=await factors.get(self.ps, tenant["owner_id"]),
            used=await platform.usage(self.ps.enter(tenant, self.ps.actor)),
            engines=engine_rows(self.reader, await engines.listing(self.ps.enter(tenant, self.ps.actor))),
            columns=ENGINE_COLUMNS,
            former=pools.former_pools(tenant, utcnow()),
        )


class _Status(ConfirmPage):
    back = "/tenants/{id}"
    status: str

    async def subject(self) -> str:
        """The tenant's short name."""
        return (await platform.get(self.ps, self.part("id")))["slug"]

    async def act(self) -> str:
        """See platform.set_status."""
        tenant = await platform.set_status(self.ps, self.part("id"), self.status)
        return self.url("/tenants/{id}", id=tenant["_id"])


class Stop(_Status):
    """Stop a tenant."""

    title = N_("Stop this tenant?")
    text = N_("Its devices get rejects, its people cannot use the console. Sessions that are open stay until they end.")
    submit = N_("Stop the tenant")
    saved = N_("The tenant is stopped.")
    status = "stopped"
    typed = True


class Resume(_Status):
    """Let a tenant run again."""

    title = N_("Let this tenant run again?")
    text = N_("Its devices are answered again, its people may use the console again.")
    submit = N_("Let it run")
    saved = N_("The tenant runs again.")
    status = "active"


class OwnerFactor(ConfirmPage):
    """Take the owner's second factor away."""

    title = N_("Reset the owner's second factor?")
    text = N_(
        "Only for who has proven to be the owner: the password alone lets in until a new one is set up. All sessions "
        "end, and the owner is told by mail."
    )
    submit = N_("Reset it")
    saved = N_("The second factor is reset.")
    back = "/tenants/{id}"
    typed = True

    async def subject(self) -> str:
        """The tenant's short name."""
        return (await platform.get(self.ps, self.part("id")))["slug"]

    async def act(self) -> str:
        """See factors.reset_owner."""
        tenant = await platform.get(self.ps, self.part("id"))
        await factors.reset_owner(self.ps, tenant["owner_id"])
        return self.url(self.back, id=tenant["_id"])


class Move(FormPage):
    """Let another pool serve a tenant."""

    form = moves.MoveForm
    title = N_("Move to another pool")
    template = "platform/tenants/move.html"
    submit = N_("Move the tenant")
    saved = N_("The tenant is moved. Its console shows the new ports.")
    back = "/tenants/{id}"

    async def choices(self) -> Mapping[str, Choices]:
        """The pools that could take it."""
        tenant = await platform.get(self.ps, self.part("id"))
        counts = await pools.tenant_counts(self.ps)
        free = [
            pool
            for pool in await pools.listing(self.ps)
            if pool["status"] == "active"
            and pool["name"] != tenant["pool"]
            and (pool["kind"] == "shared" or not counts.get(pool["name"]))
        ]
        return {"pool": [(pool["name"], f"{pool['name']} · {ports_text(*pools.ports_of(pool))}") for pool in free]}

    async def extra(self) -> Mapping[str, Any]:
        """What the page says of it."""
        return {"row": await platform.get(self.ps, self.part("id")), "pools": (await self.choices())["pool"]}

    async def save(self, form: moves.MoveForm) -> str:
        """See moves.move_tenant."""
        tenant = await moves.move_tenant(self.ps, self.part("id"), form.pool, timedelta(days=form.days))
        return self.url("/tenants/{id}", id=tenant["_id"])


class EndMove(ConfirmPage):
    """End the transition to another pool before its time."""

    title = N_("End the transition?")
    text = N_("Devices that still send to the ports of the former pool get no answer any more.")
    submit = N_("End it")
    saved = N_("The transition is over.")
    back = "/tenants/{id}"

    async def subject(self) -> str:
        """The tenant's short name."""
        return (await platform.get(self.ps, self.part("id")))["slug"]

    async def act(self) -> str:
        """See moves.end_transition."""
        tenant = await moves.end_transition(self.ps, self.part("id"))
        return self.url("/tenants/{id}", id=tenant["_id"])


ROUTES = [
    Route("", Tenants, {"GET": SIGNED_IN}, Menu("Overview", N_("Tenants"), "building", 10)),
    Route("/tenants/{id}", Tenant, {"GET": SIGNED_IN}),
    Route("/tenants/{id}/stop", Stop, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    Route("/tenants/{id}/resume", Resume, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    Route("/tenants/{id}/factor", OwnerFactor, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    Route("/tenants/{id}/move", Move, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    Route("/tenants/{id}/move/end", EndMove, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
]
