"""Operators: who works here, in which group. The super administrator is the cloud account and is only shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.browsers import browser_name
from saas.handlers.columns import Column
from saas.handlers.forms import Choices, ConfirmPage, FormPage
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import factors, operators, plans, platform
from saas.tenants.paging import ListQuery, Page
from saas.tenants.scope import Scope

FACTORS = {True: N_("on"), False: N_("off")}
STATES = {"active": N_("Active"), "disabled": N_("Disabled")}


async def group_names(scope: Scope) -> dict[str, str]:
    """Id -> name of every group."""
    return {group["_id"]: group["name"] for group in await operators.groups(scope)}


def state_of(operator: Mapping[str, Any]) -> str:
    """ "disabled" or "active"."""
    return "disabled" if operator["disabled"] else "active"


class OperatorList(ListPage):
    """The super administrator, then every operator."""

    title = N_("Operators")
    columns = (
        Column(N_("Login name"), "login", link="/operators/{_id}", role="title"),
        Column(N_("Real name"), "name"),
        Column(N_("Operator group"), "group"),
        Column(N_("Second factor"), "factor", words={word: word for word in FACTORS.values()}),
        Column(N_("State"), state_of, "status", words=STATES),
        Column(N_("Added"), "created_at", "day", role="minor"),
    )
    filters = (Filter("group_id", N_("Operator group")),)
    search = N_("Login name")
    create = ("/operators/new", N_("Add an operator"))
    export = ""

    async def choices(self) -> Mapping[str, Choices]:
        """Groups."""
        return {"group_id": tuple((await group_names(self.scope)).items())}

    async def rows(self, query: ListQuery) -> Page:
        """Operators with the name of their group; the first page begins with the super administrator."""
        found = await operators.listing(self.scope, query)
        groups = await group_names(self.scope)
        rows = [row | {"group": groups.get(row["group_id"], "")} for row in found.rows]
        if query.after is None and not query.q and not query.filters:
            rows.insert(0, await self._owner())
        owner_id = self.scope.tenant["owner_id"]
        secured = await factors.among(self.ps, {row["_id"] or owner_id for row in rows})
        factor = [FACTORS[(row["_id"] or owner_id) in secured] for row in rows]
        return Page([row | {"factor": each} for row, each in zip(rows, factor, strict=True)], found.next)

    async def _owner(self) -> dict[str, Any]:
        """The cloud account as a row that leads nowhere."""
        email = await platform.owner_email(self.ps, self.scope.tenant)
        group = self.reader(N_("Super administrator"))
        since = self.scope.tenant["created_at"]
        return {"_id": "", "login": email, "name": "", "group": group, "disabled": False, "created_at": since}


class OperatorDetail(Handler):
    """One operator and what he may."""

    async def get(self, id: str) -> None:
        """The page."""
        operator = await operators.get(self.scope, id)
        group = await operators.get_group(self.scope, operator["group_id"])
        sold = sorted(operators.sells(operator["plan_ids"], group) or ())
        names = await plans.names(self.scope) if sold else {}
        self.page(
            "admin/operators/detail.html",
            operator["login"],
            operator=operator,
            state_name=state_of(operator),
            states=STATES,
            group=group,
            granted=frozenset(group["permissions"]),
            factor=await factors.get(self.ps, id),
            sessions=await operators.sessions(self.scope, id),
            browser_name=browser_name,
            sells=[(plan_id, names.get(plan_id, "")) for plan_id in sold],
            login_address=f"{self.request.protocol}://{self.request.host}/t/{self.scope.tenant['slug']}/login",
        )


class _OperatorForm(FormPage):
    form = operators.OperatorForm
    back = "/operators"

    async def choices(self) -> Mapping[str, Choices]:
        """Groups and plans."""
        groups, sold = await group_names(self.scope), await plans.names(self.scope)
        return {"group_id": tuple(groups.items()), "plan_ids": tuple(sold.items())}


class OperatorNew(_OperatorForm):
    """A new operator."""

    title = N_("Add an operator")
    creates = True
    saved = N_("The operator is added and logs in at the address shown here.")

    async def save(self, form: operators.OperatorForm) -> str:
        """Create it."""
        operator = await operators.create(self.scope, form)
        return self.url("/operators/{id}", id=operator["_id"])


class OperatorEdit(_OperatorForm):
    """Change an operator; a new password is set here."""

    title = N_("Edit the operator")
    back = "/operators/{id}"

    async def initial(self) -> Mapping[str, Any]:
        """The operator as it is, without the password."""
        operator = await operators.get(self.scope, self.part("id"))
        return {name: operator[name] for name in ("login", "name", "group_id", "plan_ids", "disabled", "version")}

    async def save(self, form: operators.OperatorForm) -> str:
        """Change it, unless someone else did."""
        await operators.update(self.scope, self.part("id"), form, self.version)
        return self.url(self.back, id=self.part("id"))


class OperatorDelete(ConfirmPage):
    """Remove an operator."""

    title = N_("Delete this operator?")
    text = N_("He is logged out at once. The operation log keeps his name.")
    submit = N_("Delete the operator")
    saved = N_("The operator is deleted.")
    back = "/operators/{id}"
    typed = True

    async def subject(self) -> str:
        """The operator's account."""
        return (await operators.get(self.scope, self.part("id")))["login"]

    async def act(self) -> str:
        """Delete it."""
        await operators.delete(self.scope, self.part("id"))
        return self.url("/operators")


class OperatorFactor(ConfirmPage):
    """Take an operator's second factor away."""

    title = N_("Reset the second factor?")
    text = N_(
        "For who has lost both the app and the recovery codes. He is logged out everywhere, and the password alone "
        "lets in until a new one is set up. The owner of this system is told by mail."
    )
    submit = N_("Reset it")
    saved = N_("The second factor is reset.")
    back = "/operators/{id}"

    async def subject(self) -> str:
        """The operator's account."""
        return (await operators.get(self.scope, self.part("id")))["login"]

    async def act(self) -> str:
        """See factors.reset."""
        await factors.reset(self.scope, self.part("id"))
        return self.url(self.back, id=self.part("id"))


class OperatorSignOut(Handler):
    """Log an operator out everywhere."""

    async def post(self, id: str) -> None:
        """See operators.end_sessions."""
        await operators.end_sessions(self.scope, id)
        self.done(self.url("/operators/{id}", id=id), N_("Logged out there."))


_READ, _WRITE = Permission.OPERATORS_READ, Permission.OPERATORS_WRITE
ROUTES = [
    Route("/operators", OperatorList, {"GET": _READ}, Menu("System", N_("Operators"), "user-cog", 10)),
    Route("/operators/new", OperatorNew, {"GET": _WRITE, "POST": _WRITE}),
    Route("/operators/{id}", OperatorDetail, {"GET": _READ}),
    Route("/operators/{id}/edit", OperatorEdit, {"GET": _WRITE, "POST": _WRITE}),
    Route("/operators/{id}/factor", OperatorFactor, {"GET": _WRITE, "POST": _WRITE}),
    Route("/operators/{id}/sign-out", OperatorSignOut, {"POST": _WRITE}),
    Route("/operators/{id}/delete", OperatorDelete, {"GET": _WRITE, "POST": _WRITE}),
]
