"""Money pages in a real browser: totals that follow the filter, a preview that follows the choice, a file, a PDF."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image
from playwright.async_api import expect

from saas.tenants import life, purchases
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import Meter, faults
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.world import Business, make_business, signed_in


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    """A business that was paid twice, in cash and by WeChat."""
    business = await make_business(ps, "shop")
    form = purchases.RenewForm(method="wechat", paid=2500)
    await life.perform(business.scope, purchases.RENEW, business.account["_id"], form, "renewal")
    yield business
    await ps.kv.delete("hit:login:from:127.0.0.1", "hit:login:from:192.0.2.1")


@pytest.fixture(scope="module")
async def token(ps: PlatformScope, shop: Business) -> str:
    """The owner's session."""
    return await signed_in(ps, shop)


async def test_totals_follow_the_filter(open_page: OpenPage, site: str, shop: Business, token: str) -> None:
    page = await open_page(language="en")
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/payments")
    await expect(page.locator("#totals .op-stat-value")).to_have_text(["¥55.00", "¥30.00", "¥25.00"])
    await page.select_option("[name=method]", "wechat")
    await expect(page.locator("#totals .op-stat-value")).to_have_text(["¥25.00"])
    await expect(page.locator("#list tbody tr")).to_have_count(1)


async def test_a_payment_from_its_list_to_its_receipt_and_back(
    open_page: OpenPage, site: str, shop: Business, token: str
) -> None:
    page = await open_page(width=390, language="en")
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/payments?method=wechat")
    await page.click("#list tbody a >> nth=0")
    await page.click("text=Issue the receipt")
    await expect(page.locator("h1")).to_have_text("Receipt")
    assert await page.evaluate(OVERFLOW) <= 0 and not await page.evaluate(SMALL)
    link = await page.locator("a:has-text('Slip')").first.get_attribute("href")
    answer = await page.context.request.get(site + str(link))
    assert answer.headers["content-type"] == "application/pdf" and (await answer.body()).startswith(b"%PDF")
    await page.click("text=See the payment")
    await page.click("text=Take back")
    await expect(page.locator("#preview")).to_contain_text("The member owes ¥25.00 afterwards")
    assert await page.evaluate(OVERFLOW) <= 0 and not await page.evaluate(SMALL)
    await page.select_option("[name=what]", "sale")
    await expect(page.locator("#preview")).not_to_contain_text("The member owes")
    await page.fill("[name=note]", "Paid for the neighbour")
    await page.click("main button[type=submit]")
    await expect(page.locator("main .op-alert").first).to_contain_text("Paid for the neighbour")


@pytest.mark.parametrize(("width", "language"), [(390, "zh"), (1440, "en")])
async def test_the_receipt_of_money_that_was_taken_is_a_click_away(
    open_page: OpenPage, site: str, shop: Business, token: str, width: int, language: str
) -> None:
    """Two clicks take it, from the member's page; the method is that of the last time."""
    page = await open_page(width=width, language=language)
    await enter(page, site, token)
    member = f"/t/{shop.slug}/admin/members/{shop.account['member_id']}"
    meter = Meter(page)
    for method in ("alipay", ""):
        await page.goto(member)
        await meter.begin()
        await page.click("main a[href$='/top-up']")
        await page.fill("[name=amount]", "12.50")
        await expect(page.locator("[name=method]")).to_have_value("cash" if method else "alipay")
        if method:
            await page.select_option("[name=method]", method)
        await page.click("main #form button[type=submit] >> nth=0")
        toast = page.locator(".op-toast").first
        await expect(toast).to_contain_text("¥12.50")
        await meter.within(clicks=2, navigations=2)
        assert await page.evaluate(OVERFLOW) <= 0 and (width > 1000 or not await page.evaluate(SMALL))
        assert await faults(page) == []
    await toast.locator("button").click()
    await page.wait_for_url("**/documents/doc_*")
    await expect(page.locator("main")).to_contain_text("壹拾贰元伍角整" if language == "zh" else "¥12.50")
    await expect(page.locator("main a[href*='size=slip58']").first).to_be_attached()


async def test_a_logo_is_chosen_and_shown(open_page: OpenPage, site: str, shop: Business, token: str) -> None:
    page = await open_page(language="en")
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/parameters/logo")
    out = io.BytesIO()
    Image.new("RGB", (300, 100), "#206bc4").save(out, "PNG")
    bad = {"name": "logo.png", "mimeType": "image/png", "buffer": b"no picture"}
    await page.set_input_files("[name=picture]", files=[bad | {"buffer": bytes(2_000_000)}])  # type: ignore[list-item]
    await expect(page.locator("#toasts")).to_contain_text("This file is too big.")
    await expect(page.locator("[name=picture]")).to_have_value("")
    for file in (bad, bad | {"buffer": out.getvalue()}):
        await page.set_input_files("[name=picture]", files=[file])  # type: ignore[list-item]
        await page.click("main button[type=submit]")
        if file is bad:
            await expect(page.locator(".op-error")).to_contain_text("neither a PNG nor a JPEG")
    picture = page.locator("img.op-letterhead")
    await expect(picture).to_be_visible()
    await expect(picture).to_have_js_property("naturalWidth", 300)
