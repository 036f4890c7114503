"""The pages of operators."""

from __future__ import annotations

import re
from typing import Any

import pytest

from saas.errors import Denied
from saas.permissions import Permission
from saas.tenants import operators, plans
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import PlatformScope, Scope
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse, told
from tests.handlers.people import log_in, operator_browser
from tests.world import PASSWORD, World

EN = {"Accept_Language": "en"}


@pytest.fixture
def admin(cast: World) -> str:
    return f"/t/{cast.acme.slug}/admin"


@pytest.fixture
def scope(cast: World) -> Scope:
    return cast.acme.scope


@pytest.fixture
def manager(cast: World) -> str:
    return cast.acme.operator["group_id"]


async def person(scope: Scope, name: str, group_id: str) -> operators.Operator:
    return await operators.create(scope, operators.OperatorForm(login=name, password=PASSWORD, group_id=group_id))


async def test_an_operator_is_added_and_logs_in(
    owner: Browser, web: str, ps: PlatformScope, admin: str, cast: World, manager: str
) -> None:
    fields = {"login": "Carol", "name": "Carol C.", "group_id": manager, "password": "carols-password"}
    answer = await owner.post(f"{admin}/operators/new", fields)
    assert answer.code == 303
    page = text(await owner.get(answer.headers["Location"], Accept_Language="en"))
    for words in ("carol", "Carol C.", "经理", f"/t/{cast.acme.slug}/login", "Add and change"):
        assert words in page, words
    assert "carols-password" not in page
    browser = await log_in(web, ps, cast.acme, "carol", "carols-password")
    assert (await browser.get(f"{admin}/operators")).code == 200


async def test_the_list_says_who_has_a_second_factor(
    owner: Browser, ps: PlatformScope, admin: str, scope: Scope, manager: str
) -> None:
    dora = await person(scope, "dora", manager)
    await person(scope, "dorothy", manager)

    async def secured(query: str = "") -> list[list[str]]:
        rows = re.findall(r"<tr.*?</tr>", text(await owner.get(f"{admin}/operators{query}", **EN)), re.S)
        having = [row for row in rows if re.search(r">\s*on\s*<", row)]
        return [[name for name in ("dora", "dorothy") if f">{name}<" in row] for row in having]

    assert await secured("?q=dor") == []
    await ps.db.factors.insert({"_id": dora["_id"], "sealed_secret": b"", "step": 0, "codes": []})
    assert await secured("?q=dor") == [["dora"]]
    await ps.db.factors.insert({"_id": scope.tenant["owner_id"], "sealed_secret": b"", "step": 0, "codes": []})
    assert [] in await secured(), "the super administrator, who is an operator of nobody"
    await ps.db.factors.delete_many({"_id": {"$in": [dora["_id"], scope.tenant["owner_id"]]}})


async def test_an_operator_sells_only_what_is_granted(
    owner: Browser, web: str, ps: PlatformScope, admin: str, cast: World, manager: str
) -> None:
    granted = await plans.create(cast.acme.scope, PlanForm.model_validate({"name": "Granted", "price": "50"}))
    fields = {"login": "gina", "group_id": manager, "password": PASSWORD, "plan_ids": [granted["_id"]]}
    answer = await owner.post(f"{admin}/operators/new", fields)
    page = text(await owner.get(answer.headers["Location"], Accept_Language="en"))
    assert "Plans to sell" in page and f'{admin}/plans/{granted["_id"]}">Granted</a>' in page
    edit = text(await owner.get(f"{answer.headers['Location']}/edit"))
    assert f'<option value="{granted["_id"]}" selected>' in edit
    gina = await log_in(web, ps, cast.acme, "gina")
    offered = text(await gina.get(f"{admin}/accounts/open"))
    assert granted["_id"] in offered and cast.acme.plan["_id"] not in offered
    renewal = f"{admin}/accounts/{cast.acme.account['_id']}/renew"
    assert "You may not sell the plan Monthly, nor" in text(await gina.get(renewal, Accept_Language="en"))
    refused = await gina.post(renewal, {"units": "1", "method": "cash"}, Accept_Language="zh")
    assert refused.code == 403 and "您无权受理套餐「Monthly」" in text(refused)
    opening = {"username": "gina-1", "plan_id": cast.acme.plan["_id"], "units": "1", "method": "cash"}
    refused = await gina.post(f"{admin}/accounts/open", opening, Accept_Language="en")
    assert refused.code == 403 and "You may not sell the plan Monthly, nor" in text(refused)
    assert (await gina.post(f"{admin}/accounts/open", {**opening, "plan_id": granted["_id"]})).code == 303


async def test_the_list_begins_with_the_super_administrator_who_is_not_edited(
    owner: Browser, admin: str, cast: World
) -> None:
    page = text(await owner.get(f"{admin}/operators", Accept_Language="en"))
    rows = page.split("<tbody>")[1].split("</tr>")
    assert cast.acme.email in rows[0] and "Super administrator" in rows[0] and "href" not in rows[0]
    assert "bob" in page and f"{admin}/operators/{cast.acme.operator['_id']}" in page
    found = text(await owner.get(f"{admin}/operators?q=bo", Accept_Language="en"))
    assert "bob" in found and "Super administrator" not in found
    assert cast.zeta.email not in page


async def test_the_list_filters_by_group(owner: Browser, admin: str, scope: Scope, manager: str) -> None:
    group = await operators.create_group(scope, operators.GroupForm(name="Filtered"))
    await person(scope, "filtered-one", group["_id"])
    page = text(await owner.get(f"{admin}/operators?group_id={group['_id']}"))
    assert "filtered-one" in page and ">bob<" not in page
    assert (await owner.get(f"{admin}/operators?group_id=no-such")).code == 400


async def test_a_change_keeps_the_password_unless_a_new_one_is_given(
    owner: Browser, web: str, ps: PlatformScope, admin: str, cast: World, manager: str
) -> None:
    row = await person(cast.acme.scope, "dave", manager)
    url = f"{admin}/operators/{row['_id']}/edit"
    fields = {"login": "dave", "name": "Dave", "group_id": manager, "password": "", "_version": row["version"]}
    assert (await owner.post(url, fields)).code == 303
    before = await log_in(web, ps, cast.acme, "dave")
    assert (await owner.post(url, {**fields, "password": "quite-another", "_version": row["version"] + 1})).code == 303
    assert (await before.get(f"{admin}/plans")).code == 303
    await log_in(web, ps, cast.acme, "dave", "quite-another")


async def test_a_disabled_operator_is_out_at_once_and_marked(
    owner: Browser, web: str, ps: PlatformScope, admin: str, cast: World, manager: str
) -> None:
    browser = await operator_browser(web, ps, cast.acme, "erin", manager)
    row = (await operators.listing(cast.acme.scope, operators.ListQuery(q="erin"))).rows[0]
    assert (await browser.get(f"{admin}/plans")).code == 200
    url = f"{admin}/operators/{row['_id']}"
    answer = await owner.post(f"{url}/edit", {"login": "erin", "group_id": manager, "disabled": "1"})
    assert answer.code == 303
    assert (await browser.get(f"{admin}/plans")).code == 303
    with pytest.raises(Denied):
        await log_in(web, ps, cast.acme, "erin")
    assert "cannot log in" in text(await owner.get(url, Accept_Language="en"))
    assert "Disabled" in text(await owner.get(f"{admin}/operators?q=erin", Accept_Language="en"))


async def test_nobody_makes_an_operator_mightier_than_himself(
    web: str, ps: PlatformScope, admin: str, cast: World, manager: str
) -> None:
    form = operators.GroupForm(name="Staff", permissions=[Permission.OPERATORS_READ, Permission.OPERATORS_WRITE])
    group = await operators.create_group(cast.acme.scope, form)
    browser = await operator_browser(web, ps, cast.acme, "frank", group["_id"])
    fields = {"login": "puppet", "group_id": manager, "password": PASSWORD}
    answer = await browser.post(f"{admin}/operators/new", fields, Accept_Language="en")
    assert answer.code == 422 and told(text(answer), "group_id") and "beyond your own" in text(answer)
    bob = cast.acme.operator
    takeover = {"login": "bob", "group_id": group["_id"], "password": "taken-over"}
    answer = await browser.post(f"{admin}/operators/{bob['_id']}/edit", takeover)
    assert answer.code == 422 and told(text(answer), "group_id")
    answer = await browser.post(f"{admin}/operators/{bob['_id']}/delete", {"confirm": "bob"})
    assert answer.code == 422
    assert await operators.get(cast.acme.scope, bob["_id"]) == bob
    assert await cast.acme.scope.db.operators.count({"login": "puppet"}) == 0


async def test_two_people_who_edit_one_operator_are_told(
    owner: Browser, admin: str, scope: Scope, manager: str
) -> None:
    row = await person(scope, "grace", manager)
    await operators.update(scope, row["_id"], operators.OperatorForm(login="grace", name="G", group_id=manager))
    fields = {"login": "grace", "name": "Mine", "group_id": manager, "_version": row["version"]}
    answer = await owner.post(f"{admin}/operators/{row['_id']}/edit", fields, Accept_Language="en")
    assert answer.code == 409 and "Someone else has changed this" in text(answer)
    assert (await operators.get(scope, row["_id"]))["name"] == "G"


async def test_an_operator_is_deleted_by_typing_the_account(
    owner: Browser, web: str, ps: PlatformScope, admin: str, cast: World, manager: str
) -> None:
    browser = await operator_browser(web, ps, cast.acme, "heidi", manager)
    row = (await operators.listing(cast.acme.scope, operators.ListQuery(q="heidi"))).rows[0]
    url = f"{admin}/operators/{row['_id']}/delete"
    wrong = await owner.post(url, {"confirm": "Heidi"})
    assert wrong.code == 422 and told(text(wrong), "confirm")
    assert (await owner.post(url, {"confirm": "heidi"})).headers["Location"] == f"{admin}/operators"
    assert (await browser.get(f"{admin}/plans")).code == 303
    assert (await owner.get(f"{admin}/operators/{row['_id']}")).code == 404


async def test_bad_input_is_told_at_its_field(
    owner: Browser, admin: str, scope: Scope, cast: World, manager: str
) -> None:
    bad = {
        "login": ["", "x", "x" * 65, HTML, "with space", "bob", "BOB"],
        "name": ["x" * 65, HTML, "a\nb"],
        "group_id": ["", "no-such", HTML, "x" * 65, cast.zeta.operator["group_id"]],
        "password": ["short", "sevenxx", "x" * 129, "line\nbreak"],
        "disabled": ["maybe", HTML],
    }

    async def rows() -> Any:
        return await scope.db.operators.find(limit=1000)

    good = {"login": "never-stored", "group_id": manager, "password": PASSWORD}
    await refuse(owner, f"{admin}/operators/new", good, {**bad, "password": [*bad["password"], ""]}, rows)
    kept = await person(scope, "unharmed", manager)
    await refuse(owner, f"{admin}/operators/{kept['_id']}/edit", good, bad, rows)


async def test_the_password_typed_never_comes_back(owner: Browser, admin: str, manager: str) -> None:
    fields = {"login": "", "group_id": manager, "password": "typed-in-vain"}
    assert "typed-in-vain" not in text(await owner.post(f"{admin}/operators/new", fields))
