"""The pages of operator groups."""

from __future__ import annotations

import re
from typing import Any

import pytest

from saas.permissions import Permission
from saas.tenants import operators
from saas.tenants.scope import PlatformScope, Scope
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse, told
from tests.handlers.people import new_system, operator_browser
from tests.world import World

READ, WRITE = Permission.PLANS_READ, Permission.PLANS_WRITE


@pytest.fixture
def admin(cast: World) -> str:
    return f"/t/{cast.acme.slug}/admin"


@pytest.fixture
def scope(cast: World) -> Scope:
    return cast.acme.scope


async def group(scope: Scope, name: str, *permissions: Permission) -> operators.Group:
    return await operators.create_group(scope, operators.GroupForm(name=name, permissions=list(permissions)))


async def test_a_group_is_added_from_the_tree_of_the_menu(owner: Browser, admin: str, scope: Scope) -> None:
    form = text(await owner.get(f"{admin}/groups/new"))
    boxes = [form.count(f'name="permissions" value="{permission}"') for permission in Permission]
    assert boxes == [1] * len(Permission)
    answer = await owner.post(f"{admin}/groups/new", {"name": "Desk", "permissions": [WRITE, READ]})
    assert answer.code == 303
    place = answer.headers["Location"]
    assert (await operators.get_group(scope, place.rsplit("/", 1)[1]))["permissions"] == [READ, WRITE]
    page = text(await owner.get(place, Accept_Language="en"))
    assert "Add and change" in page and "Nobody yet" in page
    (granted, lacking) = (page.count(f'title="{word}"') for word in ("granted", "not granted"))
    assert (granted, granted + lacking) == (2, len(Permission)), "the whole tree is shown"


async def test_a_built_in_group_says_so_until_it_is_changed(web: str, ps: PlatformScope) -> None:
    scope, owner = await new_system(web, ps)
    admin = f"/t/{scope.tenant['slug']}/admin"
    cashier = next(row for row in await operators.groups(scope) if row["preset"] == "cashier")
    place = f"{admin}/groups/{cashier['_id']}"
    assert text(await owner.get(f"{admin}/groups", Accept_Language="en")).count("Built in") == 4
    same = {"name": "Till", "permissions": cashier["permissions"]}
    for sent, built_in in ((same, True), ({**same, "permissions": [READ]}, False), (same, False)):
        assert (await owner.post(f"{place}/edit", sent)).code == 303
        page = text(await owner.get(place, Accept_Language="en"))
        assert ("Built in: new versions" in page) == built_in and "Till" in page


async def test_what_a_new_version_brings_is_shown_until_somebody_decides(
    owner: Browser, web: str, ps: PlatformScope, admin: str, cast: World, scope: Scope
) -> None:
    """A group as a version left it that knew neither cards nor documents."""
    new = [p for p in Permission if p.startswith(("cards:", "documents:"))]
    manages = [Permission.OPERATORS_READ, Permission.OPERATORS_WRITE, Permission.CARDS_READ, READ]
    row, lesser = await group(scope, "Of before", READ), await group(scope, "Of less", *manages)
    known = sorted(set(Permission) - set(new))
    await scope.db.groups.update(row["_id"], {"$set": {"permissions_known": known}})
    place = f"{admin}/groups/{row['_id']}"

    async def badges(path: str) -> int:
        return text(await owner.get(path, Accept_Language="en")).count(">new<")

    assert await badges(place) == await badges(f"{place}/edit") == len(new)
    assert "New permissions." in text(await owner.get(place, Accept_Language="en"))
    assert re.search(rf">Of before<.*?>\s*{len(new)}\s*<", text(await owner.get(f"{admin}/groups?q=Of+before")), re.S)
    person = await operator_browser(web, ps, cast.acme, "deputy", lesser["_id"])
    assert (await person.post(f"{place}/edit", {"name": "Of before", "permissions": [READ]})).code == 303
    assert await badges(place) == len(new) - 1, "he has decided about what he could give"
    assert (await owner.post(f"{place}/edit", {"name": "Of before", "permissions": [READ]})).code == 303
    assert await badges(place) == 0
    assert "New permissions." not in text(await owner.get(place, Accept_Language="en"))
    (entry, *_) = await scope.db.audit.find({"target": row["_id"]}, sort=[("_id", -1)])
    assert entry["changes"] == {}


async def test_the_list_shows_and_searches(owner: Browser, admin: str, scope: Scope) -> None:
    await group(scope, "Listed", READ)
    page = text(await owner.get(f"{admin}/groups?q=List"))
    assert "Listed" in page and "经理" not in page
    assert "经理" in text(await owner.get(f"{admin}/groups"))


async def test_its_page_shows_the_menu_that_its_members_have(owner: Browser, admin: str, scope: Scope) -> None:
    row = await group(scope, "Seeing", READ, Permission.NAS_READ)
    page = text(await owner.get(f"{admin}/groups/{row['_id']}", Accept_Language="en"))
    seen = page.partition("What its members see")[2].partition("Who is in it")[0]
    assert "Plans" in seen and "NAS devices" in seen and "Home" in seen
    assert "Operators" not in seen and "Payments" not in seen


async def test_a_group_without_permissions_says_so(owner: Browser, admin: str, scope: Scope) -> None:
    row = await group(scope, "Bare")
    assert "No permission" in text(await owner.get(f"{admin}/groups/{row['_id']}", Accept_Language="en"))


async def test_a_change_holds_from_the_next_click(
    owner: Browser, web: str, ps: PlatformScope, admin: str, cast: World
) -> None:
    row = await group(cast.acme.scope, "Shifting", READ)
    person = await operator_browser(web, ps, cast.acme, "shifty", row["_id"])
    assert (await person.get(f"{admin}/plans")).code == 200
    url = f"{admin}/groups/{row['_id']}/edit"
    assert f'value="{READ}" checked' in text(await owner.get(url))
    answer = await owner.post(url, {"name": "Shifted", "permissions": [], "_version": row["version"]})
    assert answer.code == 303
    assert (await person.get(f"{admin}/plans")).code == 403
    assert "shifty" in text(await owner.get(f"{admin}/groups/{row['_id']}"))


async def test_reading_never_opens_writing(web: str, ps: PlatformScope, admin: str, cast: World) -> None:
    row = await group(cast.acme.scope, "Readers of groups", Permission.OPERATORS_READ)
    person = await operator_browser(web, ps, cast.acme, "onlooker", row["_id"])
    page = text(await person.get(f"{admin}/groups/{row['_id']}"))
    assert "Readers of groups" in page
    assert f"{row['_id']}/edit" not in page and f"{row['_id']}/delete" not in page
    for path in ("new", f"{row['_id']}/edit", f"{row['_id']}/delete"):
        assert (await person.get(f"{admin}/groups/{path}")).code == 403
        assert (await person.post(f"{admin}/groups/{path}", {"name": "Mine", "confirm": row["name"]})).code == 403
    assert (await operators.get_group(cast.acme.scope, row["_id"]))["name"] == "Readers of groups"


async def test_nobody_gives_or_takes_what_he_does_not_have(
    web: str, ps: PlatformScope, admin: str, cast: World
) -> None:
    own = await group(cast.acme.scope, "Lesser", Permission.OPERATORS_READ, Permission.OPERATORS_WRITE, READ)
    mightier = await group(cast.acme.scope, "Mightier", READ, WRITE)
    person = await operator_browser(web, ps, cast.acme, "lesser", own["_id"])
    form = text(await person.get(f"{admin}/groups/new"))
    assert f'value="{WRITE}" disabled' in form and f'value="{READ}">' in form
    targets = (f"{admin}/groups/new", f"{admin}/groups/{own['_id']}/edit", f"{admin}/groups/{mightier['_id']}/edit")
    for path, permissions in zip(targets, ([READ, WRITE], [WRITE], [READ]), strict=True):
        answer = await person.post(path, {"name": "Raised", "permissions": permissions}, Accept_Language="en")
        assert answer.code == 422 and told(text(answer), "permissions"), path
        assert "beyond your own permissions" in text(answer)
    assert await cast.acme.scope.db.groups.count({"name": "Raised"}) == 0


async def test_two_people_who_edit_one_group_are_told(owner: Browser, admin: str, scope: Scope) -> None:
    row = await group(scope, "Contested")
    await operators.update_group(scope, row["_id"], operators.GroupForm(name="Theirs"))
    fields = {"name": "Mine", "_version": row["version"]}
    answer = await owner.post(f"{admin}/groups/{row['_id']}/edit", fields, Accept_Language="en")
    assert answer.code == 409 and "Someone else has changed this" in text(answer)
    assert (await operators.get_group(scope, row["_id"]))["name"] == "Theirs"


async def test_a_group_is_deleted_when_nobody_is_in_it(owner: Browser, admin: str, cast: World) -> None:
    row = await group(cast.acme.scope, "Doomed")
    url = f"{admin}/groups/{row['_id']}/delete"
    wrong = await owner.post(url, {"confirm": "doomed"})
    assert wrong.code == 422 and told(text(wrong), "confirm")
    assert (await owner.post(url, {"confirm": "Doomed"})).headers["Location"] == f"{admin}/groups"
    assert await cast.acme.scope.db.groups.count({"_id": row["_id"]}) == 0
    used = cast.acme.operator["group_id"]
    answer = await owner.post(f"{admin}/groups/{used}/delete", {"confirm": "经理"}, Accept_Language="en")
    assert answer.code == 409 and "in use" in text(answer)
    assert await cast.acme.scope.db.groups.count({"_id": used}) == 1


async def test_bad_input_is_told_at_its_field(owner: Browser, admin: str, scope: Scope) -> None:
    bad = {
        "name": ["", "x" * 65, HTML, "a\nb", "经理"],
        "permissions": ["no:such", HTML, [READ, "no:such"], [READ] * 201],
    }

    async def rows() -> Any:
        return await scope.db.groups.find(limit=1000)

    good = {"name": "Never stored", "permissions": [READ]}
    await refuse(owner, f"{admin}/groups/new", good, bad, rows)
    kept = await group(scope, "Unharmed")
    await refuse(owner, f"{admin}/groups/{kept['_id']}/edit", good, bad, rows)
