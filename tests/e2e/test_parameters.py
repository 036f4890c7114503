"""The parameters, and what is found from there, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import faults
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.world import Business, make_business, signed_in

COMBINATIONS = [("zh", 390), ("en", 1440)]


@pytest.fixture
async def shop(ps: PlatformScope) -> Business:
    return await make_business(ps, "params")


@pytest.mark.parametrize(("language", "width"), COMBINATIONS)
async def test_a_parameter_is_found_wherever_it_is_set(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business, language: str, width: int
) -> None:
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, shop))
    await page.goto(f"/t/{shop.slug}/admin/parameters")
    parts = page.locator("#parameters section")
    await expect(parts).to_have_count(7)
    assert await page.evaluate(OVERFLOW) <= 0 and (width > 390 or not await page.evaluate(SMALL))
    await page.locator(".op-jumps a").last.click()
    await expect(parts.last).to_be_in_viewport()
    await page.fill("#content [name=q]", "小数" if language == "zh" else "decimals")
    await expect(parts).to_have_count(1)
    await expect(parts).to_contain_text("币种" if language == "zh" else "Currency")
    await page.fill("#content [name=q]", "到期地址池" if language == "zh" else "another address pool")
    await expect(parts).to_contain_text("到期后的登录" if language == "zh" else "Log-ins after the end")
    await parts.locator("a").click()
    await expect(page).to_have_url(f"{site}/t/{shop.slug}/admin/plans")


@pytest.mark.parametrize(("language", "width"), COMBINATIONS)
async def test_a_device_is_opened_by_typing_its_name_and_then_warned_of(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business, language: str, width: int
) -> None:
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, shop))
    device = f"/t/{shop.slug}/admin/nas/{shop.nas['_id']}"
    await page.goto(device)
    await page.click(f"a[href='{device}/user-check']")
    name = page.locator("[name=confirm]")
    await expect(name).to_be_hidden()
    await page.select_option("[name=user_check]", "none")
    await expect(name).to_be_visible()
    assert await page.evaluate(OVERFLOW) <= 0 and (width > 390 or not await page.evaluate(SMALL))
    await name.fill("Another gate")
    await page.click("#content button[type=submit]")
    await expect(page.locator(".op-invalid")).to_have_count(1)
    await name.fill(shop.nas["name"])
    await page.click("#content button[type=submit]")
    await expect(page.locator(".op-alert-danger")).to_contain_text("校验" if language == "zh" else "without an account")
    assert await faults(page) == []
    await page.goto(f"/t/{shop.slug}/admin/parameters")
    await expect(page.locator(".op-alert-warning a")).to_have_text(shop.nas["name"])
    assert await faults(page) == []
    await page.goto(f"/t/{shop.slug}/admin/accounts/{shop.account['_id']}")
    await expect(page.locator(".op-alert-warning")).to_contain_text(shop.nas["name"])
