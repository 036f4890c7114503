"""Plans: what is sold, on which devices it may be used, who has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from saas.handlers import plan_outlooks, tariffs
from saas.handlers.base import Handler
from saas.handlers.columns import Column, Row
from saas.handlers.forms import Choices, ConfirmPage
from saas.handlers.lists import Filter, ListPage
from saas.handlers.previews import PreviewPage, Sheet
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import nas, plans
from saas.tenants.billing import METERED
from saas.tenants.paging import ListQuery, Page
from saas.tenants.plan_form import AT_END, BINDINGS, DAYS, KINDS, LATE_FROM, OVER_LIMIT, STARTS, PlanForm
from saas.tenants.plan_form import COUNTED as DIRECTIONS

STATES = {"active": N_("On sale"), "retired": N_("Not on sale")}
WORDS = {
    "over_limit": OVER_LIMIT,
    "counted": DIRECTIONS,
    "days": DAYS,
    "at_end": AT_END,
    "binding": BINDINGS,
    "kind": KINDS,
    "late_from": LATE_FROM,
    "starts": STARTS,
}
COUNTED = 1000  # accounts of a plan are counted no further than this


def concurrency(row: Row) -> Any:
    """How many sessions at a time; a word where there is no limit."""
    return row["concurrency"] or N_("unlimited")


class PlanList(ListPage):
    """Every plan."""

    title = N_("Plans")
    columns = (
        Column(N_("Plan name"), "name", link="/plans/{_id}", role="title", sort="name"),
        Column(N_("Policy"), "kind", words=KINDS, role="minor"),
        Column(N_("Price"), "costs"),
        Column(N_("Upload"), "up_rate", "rate"),
        Column(N_("Download"), "down_rate", "rate"),
        Column(N_("Concurrency limit"), concurrency, words={"unlimited": N_("unlimited")}),
        Column(N_("NAS devices"), "devices"),
        Column(N_("State"), "status", "status", words=STATES),
    )
    filters = (Filter("status", N_("State"), tuple(STATES.items())),)
    search = N_("Plan name")
    empty = N_("No plan yet. An account needs one: it says what is paid and how fast it goes.")
    create = ("/plans/new", N_("Add a plan"))
    export = "plans"

    async def rows(self, query: ListQuery) -> Page:
        """Plans with their prices and the number of their devices in words."""
        found = await plans.listing(self.scope, query)
        return Page([row | self._words(row) for row in found.rows], found.next)

    def _words(self, plan: plans.Plan) -> dict[str, str]:
        return {"costs": tariffs.price(self.reader, plan), "devices": self._devices(plan["nas_ids"])}

    def _devices(self, bound: list[str]) -> str:
        return self.reader(N_("{n} devices"), n=len(bound)) if bound else self.reader(N_("all"))


class PlanDetail(Handler):
    """One plan in words."""

    async def get(self, id: str) -> None:
        """The page."""
        plan = await plans.get(self.scope, id)
        names = await nas.names(self.scope) if plan["nas_ids"] else {}
        self.page(
            "admin/plans/detail.html",
            plan["name"],
            plan=plan,
            sentence=tariffs.sentence(self.reader, plan),
            by_use=plan["kind"] in METERED,
            states=STATES,
            words=WORDS,
            devices=[(nas_id, names[nas_id]) for nas_id in plan["nas_ids"] if nas_id in names],
            settling=plan.get("settling"),
            accounts=await plans.account_count(self.scope, id, COUNTED),
            counted=COUNTED,
        )


class _PlanForm(PreviewPage):
    form = PlanForm
    back = "/plans"
    template = "admin/plans/edit.html"
    unseen: ClassVar[tuple[str, ...]] = ("name",)

    async def choices(self) -> Mapping[str, Choices]:
        """The devices."""
        return {"nas_ids": tuple((await nas.names(self.scope)).items())}

    async def extra(self) -> Mapping[str, Any]:
        """What the form would do, or what speaks against it."""
        shown, refusal = await self.preview()
        return {"sheet": shown, "refusal": refusal}

    async def look(self, form: PlanForm) -> Sheet:
        """See plans.outlook."""
        found = await plans.outlook(self.scope, form, self.path_kwargs.get("id", ""), COUNTED)
        return plan_outlooks.sheet(self.reader, found, await nas.names(self.scope), COUNTED)


class PlanNew(_PlanForm):
    """A new plan."""

    title = N_("Add a plan")
    saved = N_("The plan is on sale.")
    creates = True

    async def save(self, form: PlanForm) -> str:
        """Create it."""
        plan = await plans.create(self.scope, form)
        return self.url("/plans/{id}", id=plan["_id"])


class PlanEdit(_PlanForm):
    """Change a plan."""

    title = N_("Edit the plan")
    back = "/plans/{id}"
    unseen = ()

    async def initial(self) -> Mapping[str, Any]:
        """The plan as it is."""
        plan = await plans.get(self.scope, self.part("id"))
        return plans.form_of(plan) | {"version": plan["version"]}

    async def extra(self) -> Mapping[str, Any]:
        """The same; of the plan as it is before anything was changed."""
        found = await super().extra()
        if found["sheet"] or found["refusal"] or self.request.method == "POST":
            return found
        present = plans.form_of(await plans.get(self.scope, self.part("id")))
        return {**found, "sheet": await self.look(PlanForm(**present))}

    async def save(self, form: PlanForm) -> str:
        """Change it, unless someone else did."""
        await plans.update(self.scope, self.part("id"), form, self.version)
        return self.url(self.back, id=self.part("id"))


class PlanRetire(Handler):
    """Sell a plan no longer."""

    async def post(self, id: str) -> None:
        """Retire it."""
        await plans.set_status(self.scope, id, "retired")
        self.done(self.url("/plans/{id}", id=id), N_("The plan is no longer on sale. Who has it keeps it."))


class PlanOffer(Handler):
    """Sell a retired plan again."""

    async def post(self, id: str) -> None:
        """Offer it."""
        await plans.set_status(self.scope, id, "active")
        self.done(self.url("/plans/{id}", id=id), N_("The plan is on sale."))


class PlanDelete(ConfirmPage):
    """Remove a plan that nobody has."""

    title = N_("Delete this plan?")
    text = N_("Only a plan that no account has can be deleted. Retire the others: nobody new gets them.")
    submit = N_("Delete the plan")
    saved = N_("The plan is deleted.")
    back = "/plans/{id}"
    typed = True

    async def subject(self) -> str:
        """The plan's name."""
        return (await plans.get(self.scope, self.part("id")))["name"]

    async def act(self) -> str:
        """Delete it."""
        await plans.delete(self.scope, self.part("id"))
        return self.url("/plans")


_READ, _WRITE = Permission.PLANS_READ, Permission.PLANS_WRITE
ROUTES = [
    Route("/plans", PlanList, {"GET": _READ}, Menu("Subscribers", N_("Plans"), "tag", 40)),
    Route("/plans/new", PlanNew, {"GET": _WRITE, "POST": _WRITE}),
    Route("/plans/{id}", PlanDetail, {"GET": _READ}),
    Route("/plans/{id}/edit", PlanEdit, {"GET": _WRITE, "POST": _WRITE}),
    Route("/plans/{id}/retire", PlanRetire, {"POST": _WRITE}),
    Route("/plans/{id}/offer", PlanOffer, {"POST": _WRITE}),
    Route("/plans/{id}/delete", PlanDelete, {"GET": _WRITE, "POST": _WRITE}),
]
