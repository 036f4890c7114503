"""Renewing an account by mouse: two clicks, and the price follows what stands in the form."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import OVERFLOW, enter
from tests.world import make_business, signed_in


@pytest.mark.parametrize(("width", "scripts"), [(1440, True), (390, True), (390, False)])
async def test_two_clicks_renew_and_take_the_money(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, scripts: bool
) -> None:
    business = await make_business(ps, "renew")
    page = await open_page(width=width, language="en", scripts=scripts)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/accounts/{business.account['_id']}")
    await page.click("main a:has-text('Renew the account')")
    await expect(page.locator("#preview")).to_contain_text("¥30.00")
    if scripts:
        await page.fill("[name=units]", "3")
        await expect(page.locator("#preview .op-sum")).to_have_text("¥90.00")
        await page.fill("[name=paid]", "80")
        await expect(page.locator("#preview")).to_contain_text("a discount of ¥10.00")
        await page.fill("[name=paid]", "800")
        await expect(page.locator("#preview")).to_contain_text("Some fields need your attention.")
        await page.fill("[name=paid]", "80")
        await expect(page.locator("#preview .op-sum")).to_have_text("¥80.00")
    assert await page.evaluate(OVERFLOW) == 0
    await page.click("main button:has-text('Take the money and renew')")
    await expect(page.locator("main")).to_contain_text("Renewed")
    await expect(page.locator("main")).to_contain_text("-¥80.00" if scripts else "-¥30.00")


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_price_that_rose_is_shown_before_it_is_taken(
    open_page: OpenPage, ps: PlatformScope, site: str, scripts: bool
) -> None:
    business = await make_business(ps, "dearer")
    page = await open_page(width=390, language="en", scripts=scripts)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/accounts/{business.account['_id']}/renew")
    await expect(page.locator("#preview .op-sum")).to_have_text("¥30.00")
    await business.scope.db.plans.update_one({"_id": business.plan["_id"]}, {"$set": {"price": 4500}})
    await page.select_option("[name=method]", "wechat" if scripts else "cash")
    if scripts:  # a choice shows the sum again
        await expect(page.locator("#preview .op-sum")).to_have_text("¥45.00")
        await business.scope.db.plans.update_one({"_id": business.plan["_id"]}, {"$set": {"price": 5000}})
    await page.click("main button:has-text('Take the money and renew')")
    await expect(page.locator("main")).to_contain_text("The sum has changed since you saw it: it was ¥")
    await expect(page.locator("#preview .op-sum")).to_have_text("¥50.00" if scripts else "¥45.00")
    assert await page.input_value("[name=method]") == ("wechat" if scripts else "cash")
    await page.click("main button:has-text('Take the money and renew')")
    await expect(page.locator("main")).to_contain_text("-¥50.00" if scripts else "-¥45.00")


async def test_a_plans_form_shows_what_matters_for_its_policy(
    open_page: OpenPage, ps: PlatformScope, site: str
) -> None:
    business = await make_business(ps, "policy")
    page = await open_page(language="en")
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/plans/new")
    shown = {
        "prepaid_monthly": {"price", "octets", "seconds"},
        "buyout_months": {"price", "bundle_months", "octets", "seconds"},
        "buyout_traffic": {"price", "octets", "valid_days"},
        "buyout_time": {"price", "seconds", "valid_days"},
        "per_hour": {"price"},
        "free": set(),
    }
    names = {"price", "bundle_months", "octets", "seconds", "valid_days"}
    for kind, fields in shown.items():
        await page.select_option("[name=kind]", kind)
        assert {name for name in names if await page.is_visible(f"[name={name}]")} == fields, kind
    await expect(page.locator("#preview")).to_contain_text("Free of charge")
    await page.fill("[name=down_rate]", "50")
    await expect(page.locator("#preview")).to_contain_text("50 Mbps down")
    await page.fill("[name=name]", "Nothing to pay")
    await page.click("main button:has-text('Save')")
    await expect(page.locator("h1")).to_have_text("Nothing to pay")
    await expect(page.locator("main")).to_contain_text("Free of charge")
