"""Many accounts by mouse: ticked one by one, a page at a time, or all that match; with and without scripts."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from saas.tenants import accounts, bulk_work
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.support import until
from tests.world import Business, make_business, signed_in


async def business_of(ps: PlatformScope, count: int) -> Business:
    """A business with Alice and so many others."""
    business = await make_business(ps, "bulk")
    for number in range(count):
        form = accounts.QuickOpenForm(username=f"guest-{number:02d}", plan_id=business.plan["_id"], name="Guest")
        await accounts.quick_open(business.scope, form, f"{business.slug}-{number}")
    return business


async def worked_off(ps: PlatformScope, business: Business) -> None:
    while await business.scope.db.bulk_runs.count({"open": True}):
        await bulk_work.turn(ps)


@pytest.mark.parametrize(("width", "scripts"), [(1440, True), (390, True), (390, False)])
async def test_what_is_ticked_is_done(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, scripts: bool
) -> None:
    business = await business_of(ps, 6)
    page = await open_page(width=width, language="en", scripts=scripts)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/accounts?q=guest&limit=4")
    await expect(page.locator(".op-picks")).to_be_hidden()
    await page.locator(".op-pick [name=id]").first.check()
    await expect(page.locator(".op-picks")).to_be_visible()
    if scripts:
        await expect(page.locator("[data-picked]")).to_have_text("1")
        await expect(page.locator(".op-picks .form-check-label")).to_have_text("All that match 6")
        if width > 1000:
            await page.locator("[data-pick-page]").check()
            await expect(page.locator("[data-picked]")).to_have_text("4")
    assert await page.evaluate(OVERFLOW) == 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    await page.locator(".op-picks [name=all]").check()
    await page.click("text=Suspend accounts")
    await expect(page.locator("#preview .op-sum").first).to_have_text("6")
    assert await page.evaluate(OVERFLOW) == 0
    await page.click("main button:has-text('Suspend all')")
    await expect(page.locator("#progress")).to_contain_text("0 of 0 accounts")
    await worked_off(ps, business)
    if scripts:
        await expect(page.locator("#progress")).to_contain_text("6 of 6 accounts")
        await expect(page.locator("#list")).to_contain_text("guest-05")
        await until(lambda: _rests(page), "the page stops asking")
    assert await page.evaluate(OVERFLOW) == 0
    assert await business.scope.db.accounts.count({"status": "suspended"}) == 6


async def _rests(page: Page) -> bool:
    return await page.locator("#progress[hx-trigger^=every]").count() == 0


async def test_the_sum_follows_what_stands_in_the_form(open_page: OpenPage, ps: PlatformScope, site: str) -> None:
    business = await business_of(ps, 1)
    page = await open_page(language="en")
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/accounts")
    await page.locator("[data-pick-page]").check()
    await page.click("text=Renew accounts")
    await expect(page.locator("#preview")).to_contain_text("¥60.00")
    await page.fill("[name=units]", "3")
    await expect(page.locator("#preview")).to_contain_text("¥180.00")
    await expect(page.locator("#first")).to_contain_text("¥90.00")
    await page.click("main button:has-text('Take the money and renew all')")
    await expect(page.locator("#progress")).to_contain_text("Quantity")
    await page.click("text=Stop it")
    await page.click("#dialog button:has-text('Stop it')")
    await expect(page.locator("#progress")).to_contain_text("Stopped")
