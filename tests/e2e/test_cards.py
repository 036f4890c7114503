"""Recharge cards by mouse: made, printed once, activated, redeemed with a look at what the card does before."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import OVERFLOW, enter
from tests.world import make_business, signed_in


@pytest.mark.parametrize(("width", "scripts"), [(1440, True), (390, True), (390, False)])
async def test_a_card_from_the_press_to_the_balance(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, scripts: bool
) -> None:
    business = await make_business(ps, "cards")
    admin = f"/t/{business.slug}/admin"
    page = await open_page(width=width, language="en", scripts=scripts)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"{admin}/card-batches")
    await page.click("main a:has-text('Make cards') >> nth=0")
    if scripts:
        await expect(page.locator("[name=plan_id]")).to_be_hidden()
        await page.select_option("[name=kind]", "plan")
        await expect(page.locator("[name=amount]")).to_be_hidden()
        await page.select_option("[name=kind]", "balance")
    await page.fill("[name=amount]", "50")
    await page.fill("[name=count]", "30")
    await page.click("main button:has-text('Make the cards')")
    await page.click("main a:has-text('Print or export the codes')")
    await (page.dblclick if scripts else page.click)("main button:has-text('Show the codes')")
    await expect(page.locator(".op-coupon")).to_have_count(30)
    code = str(await page.locator(".op-coupon-code").first.text_content())
    assert await page.evaluate(OVERFLOW) == 0
    if scripts:
        async with page.expect_download() as download:
            await page.click("main a:has-text('Download as CSV')")
        assert re.fullmatch(r"cards-\d{6}\.csv", (await download.value).suggested_filename)
    await page.goto(f"{admin}/card-batches")
    await page.click("#list tbody a >> nth=0")
    await expect(page.locator("main")).not_to_contain_text("Print or export the codes")
    await page.click("main a:has-text('Activate cards')")
    await page.click("main button:has-text('Activate')")
    await expect(page.locator(".op-stat")).to_contain_text("30")
    await page.goto(f"{admin}/accounts/{business.account['_id']}")
    await page.click("main a:has-text('Redeem a card')")
    await page.fill("[name=code]", code.lower())
    if scripts:
        await expect(page.locator("#preview .op-sum")).to_have_text("¥50.00")
        assert "code=" not in page.url
    assert await page.evaluate(OVERFLOW) == 0
    await page.click("main button:has-text('Redeem the card')")
    await page.wait_for_url(f"**/accounts/{business.account['_id']}")
    await expect(page.locator("main")).to_contain_text("¥50.00")
    await page.goto(f"{admin}/cards?q=alice")
    await expect(page.locator("#list")).to_contain_text("Used")
    assert await page.evaluate(OVERFLOW) == 0
