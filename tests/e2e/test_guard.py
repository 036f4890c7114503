"""The second factor and the operation log in a real browser: set up, log in, and see what was changed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pyotp
import pytest
from playwright.async_api import Page, expect

from saas import totp
from saas.tenants import chain, plans
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.world import PASSWORD, Business, make_business, signed_in


@pytest.fixture
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    """A business with an operator bob."""
    yield await make_business(ps, "guard")
    await ps.kv.delete("hit:login:from:127.0.0.1", "hit:login:from:192.0.2.1")


async def log_in(page: Page, shop: Business) -> None:
    await page.goto(f"/t/{shop.slug}/login")
    await page.fill("[name=login]", "bob")
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button[type=submit]")


async def fits(page: Page, width: int) -> None:
    """Nothing is too wide, and on a phone nothing is too small for a thumb."""
    assert await page.evaluate(OVERFLOW) <= 0 and (width > 390 or not await page.evaluate(SMALL))


@pytest.mark.parametrize(("language", "width", "scripts"), [("zh", 390, True), ("en", 1440, True), ("en", 390, False)])
async def test_where_it_is_required_it_is_set_up_at_the_log_in(
    open_page: OpenPage, shop: Business, language: str, width: int, scripts: bool
) -> None:
    change = {"$set": {"parameters.second_factor": True}}
    await shop.scope.db.tenants.update_one({"_id": shop.id}, change)
    page = await open_page(width=width, language=language, scripts=scripts)
    await log_in(page, shop)
    await expect(page.locator("h1")).to_have_text({"zh": "设置两步验证", "en": "Set up the second factor"}[language])
    await page.goto(f"/t/{shop.slug}/admin/plans")
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button[type=submit]")
    secret = (await page.locator(".op-code code").inner_text()).replace(" ", "")
    assert await page.locator(".op-qr").evaluate("each => each.naturalWidth") > 100
    if scripts:
        await fits(page, width)
    await page.fill("[name=code]", pyotp.TOTP(secret).now())
    await page.click("main form:has([name=code]) button[type=submit]")
    await expect(page.locator("pre")).to_contain_text("-")
    await page.click(".op-form-buttons a")
    await expect(page.locator("main")).to_contain_text(
        {"zh": "剩余 10 个恢复码", "en": "10 recovery codes are left"}[language]
    )
    other = await open_page(width=width, language=language, scripts=scripts)
    await log_in(other, shop)
    await other.fill("[name=code]", pyotp.TOTP(secret).at(int(time.time()) + totp.SECONDS))
    await other.click("main button[type=submit]")
    await expect(other).to_have_url(f"{page.url.partition('/t/')[0]}/t/{shop.slug}/admin")


async def test_sessions_are_ended_from_the_profile(open_page: OpenPage, site: str, shop: Business) -> None:
    here, there = await open_page(width=390), await open_page(language="en")
    for page in (here, there):
        await log_in(page, shop)
        await page.wait_for_url(f"**/t/{shop.slug}/admin")
    await here.goto(f"/t/{shop.slug}/admin/profile")
    await expect(here.locator(".op-signins li")).to_have_count(2)
    await fits(here, 390)
    await here.click(".op-signins li button")
    await expect(here.locator(".op-signins li")).to_have_count(1)
    await there.goto(f"/t/{shop.slug}/admin/plans")
    await expect(there.locator("[name=password]")).to_be_visible()


@pytest.mark.parametrize(("language", "width"), [("zh", 1440), ("en", 390)])
async def test_the_log_shows_what_went_and_what_came(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business, language: str, width: int
) -> None:
    form = {"name": "Evening", "price": "10.00", "up_rate": "5"}
    plan = await plans.create(shop.scope, plans.PlanForm.model_validate(form))
    form |= {"price": "12.50", "up_rate": "7.5"}
    await plans.update(shop.scope, plan["_id"], plans.PlanForm.model_validate(form))
    while await chain._link(shop.scope):
        pass
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, shop))
    await page.goto(f"/t/{shop.slug}/admin/log?action=plan.update")
    await page.click("#list tbody a")
    await expect(page.locator("del")).to_contain_text(["¥10.00", "5 Mbps"])
    await expect(page.locator("ins")).to_contain_text(["¥12.50", "7.5 Mbps"])
    await expect(page.locator("dl:not(.op-diff) .op-green")).to_be_visible()
    await fits(page, width)


async def test_a_branch_of_the_tree_is_ticked_at_once(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business
) -> None:
    page = await open_page(width=390, language="en")
    await enter(page, site, await signed_in(ps, shop))
    await page.goto(f"/t/{shop.slug}/admin/groups/new")
    await page.fill("[name=name]", "Network people")
    tree = page.locator(".op-tree-group", has_text="Network")
    await tree.locator("text=All of it").click()
    await expect(tree.locator(".op-tree-row input:checked")).to_have_count(3)
    await tree.locator(".op-tree-row input").last.uncheck()
    assert await tree.locator("[data-branch]").evaluate("box => box.indeterminate && !box.checked")
    await fits(page, 390)
    await page.click("main button[type=submit]")
    await expect(page.locator(".op-seen")).to_contain_text("NAS devices")


async def test_parameters_are_searched_and_one_is_reset(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business
) -> None:
    await shop.scope.db.tenants.update_one({"_id": shop.id}, {"$set": {"parameters.renew_hours": 48}})
    page = await open_page(width=390, language="zh")
    await enter(page, site, await signed_in(ps, shop))
    await page.goto(f"/t/{shop.slug}/admin/parameters")
    await fits(page, 390)
    await page.fill("main [name=q]", "自动续费")
    await expect(page.locator(".op-params > div")).to_have_count(1)
    await page.click("text=恢复默认值")
    await expect(page.locator(".op-params")).to_contain_text(["当前为默认值"] * 6)


async def test_accounts_are_opened_one_after_the_other(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business
) -> None:
    page = await open_page(width=390, language="en")
    await enter(page, site, await signed_in(ps, shop))
    await page.goto(f"/t/{shop.slug}/admin/accounts/open")
    for name in ("next-1", "next-2"):
        await page.fill("[name=username]", name)
        await page.click("text=Open, and the next one")
        await expect(page.locator(".op-slip")).to_contain_text(name)
        assert await page.locator(".op-slip .op-qr").evaluate("each => each.naturalWidth") > 100
        await fits(page, 390)
