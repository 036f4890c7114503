"""Saved views: a list as somebody likes to see it, under a name, for himself or for everybody of the tenant.

A row without a name is what its owner's list shows as a rule: the columns that were chosen last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from pydantic import Field

from saas.errors import Limit, NotFound, Taken
from saas.i18n import N_
from saas.tenants.forms import Form, Name
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

MOST: Final = 20  # views of one list that somebody has, and that are shared


class View(TypedDict):
    """`list`: the path of the list's page. `owner`: the id of the actor whose it is. `where`: the query of its address,
    `q` and filters by name; `sort` "" for the list's own. `columns`: titles, none for all.
    """

    _id: str
    tenant_id: str
    list: str
    owner: str
    name: str
    where: Mapping[str, str]
    sort: str
    columns: Sequence[str]
    shared: bool
    created_at: datetime
    updated_at: datetime


class ViewForm(Form):
    """What a view is called, and for whom it is."""

    name: Name = Field(title=N_("Name of the view"))
    shared: bool = Field(default=False, title=N_("For everybody here"))


async def of_list(scope: Scope, path: str) -> list[View]:
    """The actor's views of a list, the nameless one too, and those that others share; by name."""
    own = await scope.db.views.find({"list": path, "owner": scope.actor.id}, limit=MOST + 1)
    shared = await scope.db.views.find({"list": path, "shared": True}, limit=MOST)
    found = {row["_id"]: row for row in (*shared, *own)}
    return sorted(found.values(), key=lambda row: str(row["name"]))


async def save(
    scope: Scope, path: str, form: ViewForm, where: Mapping[str, str], sort: str, columns: Sequence[str]
) -> View:
    """Keep a view under its name; one of the actor's of that name is replaced. Limit("too_many_views")."""
    mine = {"list": path, "owner": scope.actor.id, "name": form.name}
    for counted in ({"owner": scope.actor.id}, {"shared": True}):
        others = {"list": path, **counted, "name": {"$gt": ""}}
        if len(await scope.db.views.find(others, limit=MOST)) == MOST and not await scope.db.views.one(mine):
            raise Limit("too_many_views", limit=MOST)
    kept = {"where": dict(where), "sort": sort, "columns": list(columns), "shared": form.shared}
    return await _put(scope, mine, kept)


async def remember(scope: Scope, path: str, columns: Sequence[str]) -> View:
    """Let the actor's list show these columns from now on, all of them when there are none."""
    usual = {"where": {}, "sort": "", "columns": list(columns), "shared": False}
    return await _put(scope, {"list": path, "owner": scope.actor.id, "name": ""}, usual)


async def _put(scope: Scope, mine: Mapping[str, str], kept: Mapping[str, Any]) -> View:
    now = utcnow()
    change = {"$set": {**kept, "updated_at": now}, "$setOnInsert": {"_id": new_id("viw"), "created_at": now}}
    try:
        await scope.db.views.update_one(mine, change, upsert=True)
    except Taken:  # made twice at once: the other one is as good
        await scope.db.views.update_one(mine, {"$set": change["$set"]})
    view: View = await scope.db.views.one(mine)
    return view


async def delete(scope: Scope, view_id: str) -> View:
    """Forget one of the actor's views. NotFound for what is somebody else's."""
    view: View = await scope.db.views.get(view_id)
    if view["owner"] != scope.actor.id:
        raise NotFound(id=view_id)
    await scope.db.views.delete(view_id)
    return view
