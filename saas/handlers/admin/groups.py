"""Operator groups: sets of permissions, edited as the tree that the menu is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.forms import Choices, ConfirmPage, FormPage
from saas.handlers.lists import ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission, fresh
from saas.tenants import operators, plans
from saas.tenants.paging import ListQuery, Page

ORIGINS = {"built_in": N_("Built in"), "own": N_("Your own")}
SHOWN = 50  # operators of a group that its page shows


class GroupList(ListPage):
    """Every group."""

    title = N_("Operator groups")
    columns = (
        Column(N_("Group name"), "name", link="/groups/{_id}", role="title", sort="name"),
        Column(N_("Permissions"), lambda row: len(row["permissions"]), "number"),
        Column(N_("New permissions"), lambda row: len(fresh(row)) or None, "number"),
        Column(N_("Origin"), lambda row: "own" if not row["preset"] else "built_in", words=ORIGINS),
        Column(N_("Changed"), "updated_at", "moment"),
    )
    search = N_("Group name")
    empty = N_("No group yet. A group says what its operators may see and do.")
    create = ("/groups/new", N_("Add a group"))
    export = ""

    async def rows(self, query: ListQuery) -> Page:
        """See operators.group_listing."""
        return await operators.group_listing(self.scope, query)


class GroupDetail(Handler):
    """One group: what it may, and who is in it."""

    async def get(self, id: str) -> None:
        """The page."""
        group = await operators.get_group(self.scope, id)
        people = await operators.listing(self.scope, ListQuery(filters={"group_id": id}, limit=SHOWN))
        names = await plans.names(self.scope) if group["plan_ids"] else {}
        granted = frozenset(group["permissions"])
        self.page(
            "admin/groups/detail.html",
            group["name"],
            group=group,
            granted=granted,
            fresh=fresh(group),
            seen=self.routes.menu(self.console.name, granted),
            sells=[(plan_id, names.get(plan_id, "")) for plan_id in group["plan_ids"]],
            people=people.rows,
        )


class _GroupForm(FormPage):
    form = operators.GroupForm
    back = "/groups"

    async def choices(self) -> Mapping[str, Choices]:
        """Plans."""
        return {"plan_ids": tuple((await plans.names(self.scope)).items())}


class GroupNew(_GroupForm):
    """A new group."""

    title = N_("Add a group")
    saved = N_("The group is added.")
    creates = True

    async def save(self, form: operators.GroupForm) -> str:
        """Create it."""
        group = await operators.create_group(self.scope, form)
        return self.url("/groups/{id}", id=group["_id"])


class GroupEdit(_GroupForm):
    """Change a group."""

    title = N_("Edit the group")
    saved = N_("Saved. It holds from the operators’ next click on.")
    back = "/groups/{id}"

    async def initial(self) -> Mapping[str, Any]:
        """The group as it is."""
        return await operators.get_group(self.scope, self.part("id"))

    async def extra(self) -> Mapping[str, Any]:
        """What is new since it was saved."""
        return {"fresh": fresh(await operators.get_group(self.scope, self.part("id")))}

    async def save(self, form: operators.GroupForm) -> str:
        """Change it, unless someone else did."""
        await operators.update_group(self.scope, self.part("id"), form, self.version)
        return self.url(self.back, id=self.part("id"))


class GroupDelete(ConfirmPage):
    """Remove a group that nobody is in."""

    title = N_("Delete this group?")
    text = N_("Only a group without operators can be deleted. Give them another group first.")
    submit = N_("Delete the group")
    saved = N_("The group is deleted.")
    back = "/groups/{id}"
    typed = True

    async def subject(self) -> str:
        """The group's name."""
        return (await operators.get_group(self.scope, self.part("id")))["name"]

    async def act(self) -> str:
        """Delete it."""
        await operators.delete_group(self.scope, self.part("id"))
        return self.url("/groups")


_READ, _WRITE = Permission.OPERATORS_READ, Permission.OPERATORS_WRITE
ROUTES = [
    Route("/groups", GroupList, {"GET": _READ}, Menu("System", N_("Operator groups"), "users-group", 20)),
    Route("/groups/new", GroupNew, {"GET": _WRITE, "POST": _WRITE}),
    Route("/groups/{id}", GroupDetail, {"GET": _READ}),
    Route("/groups/{id}/edit", GroupEdit, {"GET": _WRITE, "POST": _WRITE}),
    Route("/groups/{id}/delete", GroupDelete, {"GET": _WRITE, "POST": _WRITE}),
]
