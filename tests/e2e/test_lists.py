"""Lists by keys: rows, choosing, opening; views and columns by mouse, with and without scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from saas.tenants import accounts
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.world import Business, make_business, signed_in


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    business = await make_business(ps, "lists")
    for number in range(3):
        form = accounts.QuickOpenForm(username=f"guest-{number}", plan_id=business.plan["_id"])
        await accounts.quick_open(business.scope, form, f"{business.slug}-{number}")
    yield business


@pytest.fixture(scope="module")
async def token(ps: PlatformScope, shop: Business) -> str:
    return await signed_in(ps, shop)


async def test_a_list_by_keys(open_page: OpenPage, site: str, token: str, shop: Business) -> None:
    page = await open_page(width=1440, language="en")
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/accounts")
    for key in ("j", "j", "k", "j", "x", "j", "x"):
        await page.keyboard.press(key)
    await expect(page.locator("[data-picked]")).to_have_text("2")
    await expect(page.locator("tr.op-current")).to_contain_text("guest-0")
    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("body")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("guest-0")
    await page.goto(f"/t/{shop.slug}/admin/accounts")
    await page.fill(".op-filters [name=q]", "jkx")  # letters in a box are letters
    await expect(page.locator("tr.op-current")).to_have_count(0)


@pytest.mark.parametrize(("width", "scripts"), [(1440, True), (390, True), (390, False)])
async def test_a_view_is_saved_and_a_tab(
    open_page: OpenPage, site: str, token: str, shop: Business, width: int, scripts: bool
) -> None:
    page = await open_page(width=width, language="en", scripts=scripts)
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/accounts" + ("" if scripts else "?q=guest-1"))
    if scripts:  # what is saved is what is seen, also after the list was narrowed without a new page
        await page.fill(".op-filters [name=q]", "guest-1")
        await expect(page.locator("#list tbody tr")).to_have_count(1)
    await page.click("[aria-label='Columns and views']")
    assert await page.evaluate(OVERFLOW) <= 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    await page.uncheck("[name=column][value='Real name']")
    name = f"Mine {width} {scripts}"
    await page.fill(".op-view-card [name=name]", name)
    await page.click("text=Save the view")
    await expect(page.locator(".op-tab.active")).to_have_text(name)
    await expect(page.locator("#list tbody tr")).to_have_count(1)
    await expect(page.locator("#list [data-label='Real name']")).to_have_count(0)
    await page.click(".op-tab:has-text('All')")
    await expect(page.locator("#list tbody tr")).to_have_count(4)
    assert await page.evaluate(OVERFLOW) <= 0
    await page.click(f".op-tab:has-text('{name}')")
    await page.click("[aria-label='Columns and views']")
    await page.click("text=Delete this view")
    await expect(page.locator(f".op-tab:has-text('{name}')")).to_have_count(0)
