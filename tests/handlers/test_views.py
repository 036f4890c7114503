"""Saved views of lists: tabs, columns, one's own and shared ones."""

from __future__ import annotations

import re

import pytest

from saas.tenants import accounts, operators, views
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.people import operator_browser
from tests.world import Business

EN = {"Accept_Language": "en"}


@pytest.fixture(scope="module")
async def page(own: Business) -> str:
    form = accounts.QuickOpenForm(username="view-1", plan_id=own.plan["_id"], name="Viewed")
    await accounts.quick_open(own.scope, form, f"{own.slug}-view")
    return f"/t/{own.slug}/admin"


def tabs(shown: str) -> dict[str, str]:
    """Title -> address; the one that is shown has a star."""
    found = re.findall(r'op-tab( active)?" href="([^"]+)"[^>]*>([^<]+)<', shown)
    return {f"{title}{'*' if active else ''}": href.replace("&amp;", "&") for active, href, title in found}


def heads(shown: str) -> list[str]:
    return [
        re.sub(r"<[^>]+>", "", head).strip()
        for head in re.findall(r"<th scope=.*?>(.*?)</th>", shown.split("<tbody>")[0], re.DOTALL)
    ]


async def columns(browser: Browser, page: str, *titles: str) -> None:
    answer = await browser.post(f"{page}/views/columns", {"list": "/accounts", "where": "", "column": titles})
    assert (answer.code, answer.headers["Location"]) == (303, f"{page}/accounts")


async def test_every_operator_has_tabs_and_saves_views_of_his_own(
    web: str, ps: PlatformScope, boss: Browser, page: str, own: Business
) -> None:
    manager = own.operator["group_id"]
    other = await operator_browser(web, ps, own, "other-viewer", manager)
    usual = ["All", "End within 7 days", "Expired", "Suspended", "In arrears", "Online"]
    assert [title.rstrip("*") for title in tabs(text(await boss.get(f"{page}/accounts", **EN)))] == usual
    fields = {"list": "/accounts", "where": "q=view-&sort=expires_at", "name": "Mine", "column": ["Plan", "Balance"]}
    answer = await boss.post(f"{page}/views", fields)
    assert answer.code == 303
    shown = text(await boss.get(answer.headers["Location"], **EN))
    assert "Mine*" in tabs(shown) and heads(shown) == ["Account", "Plan", "Balance"]
    assert shown.split("<tbody>")[1].count("<tr>") == 1
    assert 'aria-sort="ascending"' in shown or "sort=expires_at" in answer.headers["Location"]
    assert "Mine" not in tabs(text(await other.get(f"{page}/accounts", **EN)))
    stolen = re.sub(r".*view=", "", answer.headers["Location"])
    assert heads(text(await other.get(f"{page}/accounts?view={stolen}", **EN)))[1] == "Real name"
    assert (await other.post(f"{page}/views/{stolen}/delete")).code == 404
    await boss.post(f"{page}/views", fields | {"name": "Ours", "shared": "1"})
    ours = tabs(text(await other.get(f"{page}/accounts", **EN)))["Ours"]
    assert heads(text(await other.get(ours, **EN))) == ["Account", "Plan", "Balance"]
    assert (await boss.post(f"{page}/views/{stolen}/delete")).code == 303
    assert [title for title in tabs(text(await boss.get(f"{page}/accounts", **EN))) if title[0] == "M"] == []


async def test_columns_are_remembered_for_whoever_chose_them(
    boss: Browser, operator: Browser, page: str, own: Business
) -> None:
    await columns(boss, page, "Plan", "Nonsense")
    shown = text(await boss.get(f"{page}/accounts", **EN))
    assert heads(shown) == ["Account", "Plan"]
    assert 'value="Plan" checked' in shown and 'value="Balance" checked' not in shown
    exported = text(await boss.get(f"{page}/accounts?format=csv", **EN))
    assert "Balance" in exported.splitlines()[0]
    await columns(boss, page)
    assert heads(text(await boss.get(f"{page}/accounts", **EN)))[1] == "Real name"


async def test_what_is_no_list_of_the_readers_is_refused(
    web: str, ps: PlatformScope, boss: Browser, page: str, own: Business
) -> None:
    for path in ("", "/nowhere", "/parameters", "/accounts/{id}"):
        for action in ("views", "views/columns"):
            assert (await boss.post(f"{page}/{action}", {"list": path, "name": "x"})).code == 400, path
    group = await operators.create_group(own.scope, operators.GroupForm(name="blind", permissions=[]))
    nobody = await operator_browser(web, ps, own, "blind", group["_id"])
    assert (await nobody.post(f"{page}/views", {"list": "/accounts", "name": "x"})).code == 400
    nameless = await boss.post(f"{page}/views", {"list": "/accounts", "name": " "}, **EN)
    assert nameless.code == 303
    assert "Give the view a name." in text(await boss.get(nameless.headers["Location"], **EN))


async def test_a_view_keeps_only_what_its_list_knows(boss: Browser, page: str, own: Business) -> None:
    where = "q=a&color=red&status=normal&format=csv&after=x"
    answer = await boss.post(f"{page}/views", {"list": "/accounts", "where": where, "name": "Known"})
    found = await own.scope.db.views.one({"name": "Known"})
    assert found["where"] == {"q": "a", "status": "normal"} and found["sort"] == ""
    assert (await boss.get(answer.headers["Location"])).code == 200


async def test_there_is_an_end_to_views(boss: Browser, page: str, own: Business) -> None:
    for number in range(views.MOST + 1):
        answer = await boss.post(f"{page}/views", {"list": "/members", "name": f"View {number:02d}"})
        assert answer.code == (303 if number < views.MOST else 409), number
    assert (
        await boss.post(f"{page}/views", {"list": "/members", "name": "View 00"})
    ).code == 303  # it is there already
    assert len(await own.scope.db.views.find({"list": "/members"})) == views.MOST


async def test_lists_of_people_show_balance_and_number_of_accounts(boss: Browser, page: str) -> None:
    shown = text(await boss.get(f"{page}/members?q=view-1", **EN))
    assert heads(shown)[3:5] == ["Balance", "Accounts"] and re.search(r'data-label="Accounts"[^>]*>\s*1\s*<', shown)
    assert "¥0.00" in text(await boss.get(f"{page}/accounts?q=view-1", **EN))
