"""The pages of imports: uploaded, checked, imported, undone; what can be downloaded, and who may."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from openpyxl import load_workbook
from tornado.httpclient import HTTPResponse

from saas.handlers.app import MAX_BODY
from saas.permissions import Permission
from saas.sheets import XLSX
from saas.tenants import import_parts, imports, operators, plans
from saas.tenants.import_columns import TITLES as FIELDS
from saas.tenants.import_columns import guess
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id
from tests.browser import Browser, text
from tests.handlers.people import new_system, operator_browser
from tests.tenants.import_files import TITLES, as_csv, as_xlsx, line, turn
from tests.world import Business

pytestmark = pytest.mark.slow

EN = {"Accept_Language": "en"}
ZH = {"Accept_Language": "zh"}


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


@pytest.fixture
def page(own: Business) -> str:
    return f"/t/{own.slug}/admin/imports"


def said(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def over(ps: PlatformScope, scope: Scope) -> None:
    """Every import of the business is worked off."""
    while await scope.db.imports.count({"open": True}):
        await turn(ps)


async def upload(browser: Browser, page: str, octets: bytes, name: str = "users.csv") -> str:
    """Send the page's form; the import's page."""
    html = text(await browser.get(f"{page}/new"))
    hidden = dict(re.findall(r'<input type="hidden" name="(_attempt)" value="([^"]*)">', html))
    answer = await browser.upload(f"{page}/new", "file", name, octets, hidden)
    assert answer.code == 303, text(answer)
    return str(answer.headers["Location"])


def sheet(answer: HTTPResponse) -> list[list[Any]]:
    """The rows of a workbook."""
    assert answer.headers["Content-Type"] == XLSX
    book = load_workbook(io.BytesIO(answer.body))
    return [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]


async def test_from_the_file_to_the_accounts_and_back(
    boss: Browser, page: str, ps: PlatformScope, scope: Scope
) -> None:
    name = new_id("u")[-10:]
    rows = [
        line(f"{name}-1"),
        line(f"{name}-2", password="12345"),
        line(f"{name}-3", plan="Gold"),
        line("alice", mobile="1E+10"),
    ]
    place = await upload(boss, page, as_csv(rows), "<b>users</b>.csv")
    waiting = text(await boss.get(place, **EN))
    assert "Being read" in waiting and 'hx-trigger="every 1s"' in waiting and "<b>users</b>" not in waiting
    await over(ps, scope)
    checked = said(text(await boss.get(place, **EN)))
    assert "Import 2 rows and leave 2 out" in checked and "Gold · 1 rows" in checked
    assert "Name of plan “Gold”: There is no plan of this name." in checked
    assert (
        "Mobile phone “1E+10”: Excel has turned this" in checked
        and "There is an account of this name already." in checked
    )
    assert "导入 2 行，跳过 2 行" in said(text(await boss.get(place, **ZH)))
    wrong = sheet(await boss.post(f"{place}/left-out"))
    assert wrong[0][: len(TITLES)] == list(TITLES) and [row[3] for row in wrong[1:]] == [f"{name}-3", "alice"]
    assert "Gold" in wrong[1][-1]
    assert (await boss.post(f"{place}/begin")).code == 303
    await over(ps, scope)
    assert await scope.db.accounts.count({"username": {"$in": [f"{name}-1", f"{name}-2"]}}) == 2
    done = said(text(await boss.get(place, **EN)))
    assert "Imported" in done and "Download the passwords" in done and "Undo" in done
    assert "erased here" in text(await boss.get(f"{place}/passwords", **EN))
    taken = sheet(await boss.post(f"{place}/passwords"))
    account = await scope.db.accounts.one({"username": f"{name}-1"})
    detail = text(await boss.get(f"/t/{scope.tenant['slug']}/admin/accounts/{account['_id']}", **EN))
    assert f"{name}-1" in detail and "2031-05-31 23:59" in detail
    assert taken[1:] == [[2, f"{name}-1", scope.unseal(account["sealed_password"])]]
    assert (await boss.post(f"{place}/passwords")).code == 409
    assert "cannot be downloaded again" in text(await boss.get(f"{place}/passwords", **EN))
    assert "Undo" in said(text(await boss.get(page, **EN)))
    assert (await boss.post(f"{place}/undo")).code == 303
    await over(ps, scope)
    assert "Undone" in said(text(await boss.get(place, **EN)))
    assert await scope.db.accounts.count({"username": {"$in": [f"{name}-1", f"{name}-2"]}}) == 0
    assert "导入账号" in text(await boss.get(f"/t/{scope.tenant['slug']}/admin/log?noun=import", **ZH))


async def test_the_template_is_what_an_import_understands(boss: Browser, page: str) -> None:
    for language in (ZH, EN):
        titles = sheet(await boss.get(f"{page}/template", **language))
        assert len(titles) == 1 and list(guess(titles[0])) == list(FIELDS)
    assert "ToughRADIUS" in text(await boss.get(f"{page}/new", **EN))


async def test_a_file_that_cannot_be_read_is_told_at_its_field(boss: Browser, page: str, scope: Scope) -> None:
    before = await scope.db.imports.count({})
    for octets, words in (
        (b"PK\x03\x04 broken", "No table can be read from this file."),
        (b"\xd0\xcf\x11\xe0 old", "old or password-protected"),
        (b"\x89PNG\r\n\x1a\n\0\0", "No table can be read from this file."),
        (b"", "Please fill this in."),
    ):
        answer = await boss.upload(f"{page}/new", "file", "x.csv", octets, **EN)
        assert answer.code == 422 and words in text(answer), octets
    assert await scope.db.imports.count({}) == before


async def test_a_file_that_proves_unreadable_says_so_on_its_page(
    boss: Browser, page: str, ps: PlatformScope, scope: Scope
) -> None:
    place = await upload(boss, page, as_csv([]))
    await over(ps, scope)
    html = said(text(await boss.get(place, **EN)))
    assert "no rows below its headings" in html and "Upload another file" in html and "Choose the columns" not in html


async def test_a_large_file_is_taken_here_and_nowhere_else(
    boss: Browser, page: str, ps: PlatformScope, scope: Scope
) -> None:
    octets = as_csv([line(f"large-{number}", note="x" * 400) for number in range(4000)])
    assert len(octets) > 1.5 * MAX_BODY
    run = await imports.get(scope, (await upload(boss, page, octets)).rpartition("/")[2])
    assert await import_parts.file_of(scope, run["_id"]) == octets
    await imports.cancel(scope, run["_id"])
    other = page.replace("/imports", "/parameters/logo")
    assert (await boss.upload(other, "picture", "x.png", octets)).code in (400, 599)
    assert (await boss.upload(f"{page}/new", "file", "x.csv", b"x" * (imports.MOST_OCTETS + 100_000))).code in (
        400,
        599,
    )
    assert (await boss.upload(f"{page}/new", "file", "x.csv", b"x" * (imports.MOST_OCTETS + 10))).code == 422


async def test_an_upload_needs_its_token_and_the_permission(
    boss: Browser, web: str, ps: PlatformScope, own: Business, page: str, scope: Scope
) -> None:
    before = await scope.db.imports.count({})
    answer = await boss.upload(f"{page}/new", "file", "x.csv", as_csv([line("x-1")]), {"_xsrf": "2|wrong|wrong|1"})
    assert answer.code == 403
    group = await operators.create_group(
        scope, operators.GroupForm(name=new_id("g"), permissions=[Permission.IMPORTS_READ])
    )
    reader = await operator_browser(web, ps, own, new_id("op")[-12:], group["_id"])
    assert (await reader.upload(f"{page}/new", "file", "x.csv", as_csv([line("x-1")]))).code == 403
    shown = text(await reader.get(page, **EN))
    assert "Import accounts" in shown and "Upload and check" not in shown
    assert await scope.db.imports.count({}) == before


async def test_who_may_import_but_see_no_secrets_gets_no_passwords(
    boss: Browser, web: str, ps: PlatformScope, own: Business, page: str, scope: Scope
) -> None:
    rights = [Permission.IMPORTS_READ, Permission.IMPORTS_WRITE]
    group = await operators.create_group(scope, operators.GroupForm(name=new_id("g"), permissions=rights))
    clerk = await operator_browser(web, ps, own, new_id("op")[-12:], group["_id"])
    place = await upload(clerk, page, as_xlsx([line(new_id("u")[-10:]), line("")]), "users.xlsx")
    await over(ps, scope)
    assert (await clerk.post(f"{place}/begin")).code == 303
    await over(ps, scope)
    html = said(text(await clerk.get(place, **EN)))
    assert "Imported" in html and "Undo" in html and "Download the" not in html
    for path in ("passwords", "left-out"):
        assert (await clerk.post(f"{place}/{path}")).code == 403
    assert "Download the passwords" in text(await boss.get(place, **EN))


async def test_what_was_left_out_can_be_put_right_and_uploaded(
    boss: Browser, page: str, ps: PlatformScope, scope: Scope
) -> None:
    name = new_id("u")[-10:]
    rows = [
        ["0013", f"{name}", "Monthly", "2031-01-01", "secret-9", ""],
        ["0014", "=1+1", "Monthly", "2031-01-01", "pw", ""],
    ]
    place = await upload(boss, page, as_csv(rows, ["手机", "账号", "套餐", "到期", "密码", "what else"], "gbk"))
    await over(ps, scope)
    answer = await boss.post(f"{place}/left-out")
    head, *wrong = sheet(answer)
    assert head[:6] == ["手机", "账号", "套餐", "到期", "密码", "what else"] and len(wrong) == 1
    assert wrong[0][:5] == ["0014", "=1+1", "Monthly", "2031-01-01", "pw"]
    again = await upload(boss, page, answer.body, "again.xlsx")
    await over(ps, scope)
    run = await imports.get(scope, again.rpartition("/")[2])
    assert run["total"] == 1 and run["columns"] == (await imports.get(scope, place.rpartition("/")[2]))["columns"]


async def test_the_tier_is_told_when_it_is_too_small(web: str, ps: PlatformScope) -> None:
    scope, browser = await new_system(web, ps)
    await plans.create(scope, PlanForm.model_validate({"name": "Monthly", "price": "1"}))
    page = f"/t/{scope.tenant['slug']}/admin/imports"
    place = await upload(browser, page, as_csv([line(f"n-{number}") for number in range(51)]))
    await over(ps, scope)
    answer = await browser.post(f"{place}/begin", **EN)
    assert answer.code == 409 and "limit of your tier" in text(answer)
    assert await scope.db.accounts.count({}) == 0
