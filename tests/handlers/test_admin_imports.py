"""The pages of imports: uploaded, checked, imported, undone; what can be downloaded, and who may."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from openpyxl import load_workbook
from tornado.httpclient import HTTPResponse

from saas.sheets import XLSX
from saas.tenants import import_work, turns
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id
from tests.browser import Browser, text
from tests.tenants.import_files import TITLES, as_csv, line
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
        await turns.turn(ps, import_work.WORK)


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
    assert "Being checked" in waiting and 'hx-trigger="every 1s"' in waiting and "<b>users</b>" not in waiting
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
    assert taken[1:] == [[2, f"{name}-1", scope.unseal(account["sealed_password"])]]
    assert (await boss.post(f"{place}/passwords")).code == 409
    assert "cannot be downloaded again" in text(await boss.get(f"{place}/passwords", **EN))
    assert "Undo" in said(text(await boss.get(page, **EN)))
    assert (await boss.post(f"{place}/undo")).code == 303
    await over(ps, scope)
    assert "Undone" in said(text(await boss.get(place, **EN)))
    assert await scope.db.accounts.count({"username": {"$in": [f"{name}-1", f"{name}-2"]}}) == 0
    assert "导入账号" in text(await boss.get(f"/t/{scope.tenant['slug']}/admin/log?noun=import", **ZH))
