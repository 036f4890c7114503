"""A file of accounts by mouse: five clicks from any page to the accounts, with errors by row and cell on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from saas import tasks
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import Meter
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.tenants.import_files import as_csv, as_xlsx, line, turn
from tests.world import make_business, signed_in

WORDS = {
    "zh": ("导入账号", "上传并检查", "导入 3 行，跳过 2 行", "已导入", "撤销", "没有这个名称的套餐"),
    "en": (
        "Import accounts",
        "Upload and check",
        "Import 3 rows and leave 2 out",
        "Imported",
        "Undo",
        "no plan of this name",
    ),
}


@asynccontextmanager
async def jobs(ps: PlatformScope) -> AsyncIterator[None]:
    """The jobs, as far as they are about imports."""

    async def work() -> None:
        while True:
            await turn(ps)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        await tasks.end([task])


async def choose(page: Page, path: Path) -> None:
    """A click on the box, and the file."""
    async with page.expect_file_chooser() as chooser:
        await page.click("input[type=file]")
    await (await chooser.value).set_files(path)


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (1440, "en"), (390, "zh"), (390, "en")])
async def test_five_clicks_from_any_page_to_the_accounts(
    open_page: OpenPage, ps: PlatformScope, site: str, tmp_path: Path, width: int, language: str
) -> None:
    item, upload, go, over, undo, wrong = WORDS[language]
    business = await make_business(ps, "import")
    rows = [
        line("zhang", name="张三", mobile="13800000000"),
        line("li"),
        line("wang", login="zhang"),
        line("alice"),
        line("x", plan="100M"),
    ]
    file = tmp_path / "users.xlsx"
    file.write_bytes(as_xlsx(rows))
    page = await open_page(width=width, language=language)
    meter = Meter(page)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/accounts")
    await meter.begin()
    async with jobs(ps):
        if width < 1000:
            await page.click(".op-phone-menu summary")
        await page.click(f".op-nav a:has-text('{item}'):visible")
        await choose(page, file)
        assert await page.evaluate(OVERFLOW) == 0
        assert width > 1000 or await page.evaluate(SMALL) == []
        await page.click(f"main button:has-text('{upload}')")
        await expect(page.locator("#progress")).to_contain_text(go)
        await expect(page.locator("#list")).to_contain_text(wrong)
        assert await page.evaluate(OVERFLOW) == 0
        assert width > 1000 or await page.evaluate(SMALL) == []
        await page.click(f"main button:has-text('{go}')")
        await expect(page.locator("#progress .op-run")).to_contain_text(over)
        await meter.within(clicks=5, navigations=3)
        assert await business.scope.db.accounts.count({"username": {"$in": ["zhang", "li", "wang"]}}) == 3
        await expect(page.locator("#list")).to_contain_text(over)
        assert await page.evaluate(OVERFLOW) == 0
        await page.click(f"#progress a:has-text('{undo}')")
        await page.click("#dialog button[type=submit]")
        await expect(page.locator("#progress .op-run")).to_contain_text({"zh": "已撤销", "en": "Undone"}[language])
        await expect(page.locator("#list")).to_contain_text({"zh": "已撤销", "en": "Undone"}[language])
    assert await business.scope.db.accounts.count({}) == 1


async def test_without_scripts_and_with_columns_of_ones_own(
    open_page: OpenPage, ps: PlatformScope, site: str, tmp_path: Path
) -> None:
    business = await make_business(ps, "import")
    file = tmp_path / "old.csv"
    file.write_bytes(as_csv([["neo", "Monthly", "2031-01-01"]], ["who", "what", "until"], "gbk"))
    page = await open_page(width=390, language="en", scripts=False)
    await enter(page, site, await signed_in(ps, business))
    async with jobs(ps):
        await page.goto(f"/t/{business.slug}/admin/imports")
        await page.set_input_files("input[type=file]", file)
        await page.click("main button:has-text('Upload and check')")
        await page.wait_for_url("**/imports/imp_*")
        while await business.scope.db.imports.count({"open": True}):  # it is read
            await asyncio.sleep(0.05)
        await page.reload()
        await page.click("main a:has-text('Choose the columns')")
        for field, title in (("username", "who"), ("plan", "what"), ("expires", "until")):
            await page.select_option(f"[name={field}]", label=title)
        assert await page.evaluate(OVERFLOW) == 0
        await page.click("main button:has-text('Check again')")
        await page.wait_for_url("**/imports/imp_*")
        while await business.scope.db.imports.count({"open": True}):
            await asyncio.sleep(0.05)
        await page.reload()
        await page.click("main button:has-text('Import 1 rows')")
        while await business.scope.db.imports.count({"open": True}):
            await asyncio.sleep(0.05)
        await page.reload()
        await expect(page.locator("#progress .op-run")).to_contain_text("Imported")
        async with page.expect_download() as download:
            await page.goto(f"{page.url}/passwords")
            await page.click("main button:has-text('Download the passwords')")
        assert (await download.value).suggested_filename == "passwords-old.xlsx"
