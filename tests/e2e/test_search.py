"""The search box in a real browser: one click to an account and its verdict, by keys, on a phone, without scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Route, expect

from saas import pinyin
from saas.tenants import accounts, life, purchases
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import Meter
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.world import Business, make_business, set_account, signed_in


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    """A business with 张三, whose plan is over."""
    business = await make_business(ps, "seek")
    form = accounts.QuickOpenForm(username="zhangs01", plan_id=business.plan["_id"], name="张三", mobile="13800000001")
    account, _ = await accounts.quick_open(business.scope, form, f"{business.slug}-1")
    await set_account(business.scope, account["_id"], expires_at=utcnow().replace(year=2025))
    pinyin.initials("张三")  # its dictionaries are read once in a process, not within somebody's five seconds
    yield business


@pytest.fixture(scope="module")
async def token(ps: PlatformScope, shop: Business) -> str:
    return await signed_in(ps, shop)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [1440, 390])
async def test_why_a_subscriber_cannot_log_in_is_one_click_away(
    open_page: OpenPage, site: str, token: str, shop: Business, width: int, language: str
) -> None:
    """From any page, one click (into the box, or the key "/")."""
    page = await open_page(width=width, language=language)
    meter = Meter(page)
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/plans")
    await meter.begin()
    if width > 1000:
        await page.keyboard.press("/")
    else:
        await page.click("#find")  # the one click
    await page.keyboard.type("zs")
    await expect(page.locator("#found-below .op-hit").first).to_contain_text("zhangs01")
    assert await page.evaluate(OVERFLOW) <= 0
    await page.keyboard.press("Enter")
    await expect(page.locator(".op-verdict-text")).to_contain_text({"zh": "到期", "en": "ended on"}[language])
    await meter.within(clicks=1, navigations=1)
    await expect(page.locator("main > .op-head + .op-verdict")).to_be_visible()  # the first line


async def test_arrows_choose_and_a_command_goes_on(open_page: OpenPage, site: str, token: str, shop: Business) -> None:
    page = await open_page(width=1440)
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("续费")
    first = page.locator("#found-below .op-hit").first
    await expect(first).to_contain_text("续费")
    await expect(first).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Enter")
    await expect(page.locator("#find")).to_have_value("续费 ")
    await page.keyboard.type("zhang")
    await expect(first).to_contain_text("zhangs01")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/renew")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("zhangs")
    await expect(page.locator("#found-below .op-hit")).to_have_count(2)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/members/**")


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (390, "en"), (1440, "en"), (390, "zh")])
async def test_renewing_and_taking_money_are_two_clicks_from_any_page(
    open_page: OpenPage, site: str, token: str, shop: Business, width: int, language: str
) -> None:
    """Into the box, what and whose is typed; then the button that does it."""
    page = await open_page(width=width, language=language)
    meter = Meter(page)
    await enter(page, site, token)
    words = {"zh": ("续费", "收费"), "en": ("Renew", "Take money")}[language]
    for word, end in zip(words, ("/renew", "/top-up"), strict=True):
        await page.goto(f"/t/{shop.slug}/admin/plans")
        await meter.begin()
        await page.click("#find")
        await page.keyboard.type(f"{word} zhangs")
        await expect(page.locator("#found-below .op-hit").first).to_contain_text("zhangs01")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**{end}")
        if end == "/top-up":
            await page.locator("[name=amount]").focus()
            await page.keyboard.type("12")
        else:
            await expect(page.locator("#preview .op-sum")).to_have_text("¥30.00")
        await page.click("main #form button[type=submit] >> nth=0")
        await expect(page.locator(".op-toast").first).to_be_visible()
        await meter.within(clicks=2, navigations=2)


async def test_taking_money_begins_in_the_top_bar(open_page: OpenPage, site: str, token: str, shop: Business) -> None:
    page = await open_page(width=1440, language="en")
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/plans")
    await page.click("[aria-label='New']")
    await page.click(".op-quick a:has-text('Take money')")
    await expect(page.locator("#find")).to_be_focused()
    await page.keyboard.type("zs")
    await expect(page.locator("#found-below .op-hit").first).to_contain_text("zhangs01")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/top-up")


async def test_what_is_typed_before_the_page_is_ready_is_answered(
    open_page: OpenPage, site: str, token: str, shop: Business
) -> None:
    """An operator who types at once need not type again."""
    page = await open_page(width=1440, language="en")
    await enter(page, site, token)
    typed = asyncio.Event()

    async def late(route: Route) -> None:
        await typed.wait()
        await route.continue_()

    await page.route("**/htmx.min.js*", late)
    await page.goto(f"/t/{shop.slug}/admin/plans", wait_until="commit")
    await page.click("#find")
    await page.keyboard.type("zs")
    typed.set()
    await expect(page.locator("#found-below .op-hit").first).to_contain_text("zhangs01")


async def test_without_scripts_it_is_a_form(open_page: OpenPage, site: str, token: str, shop: Business) -> None:
    page = await open_page(width=390, language="en", scripts=False)
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/plans")
    await _ask(page, "zhang")
    await page.wait_for_url("**/search?q=zhang")
    assert await page.evaluate(OVERFLOW) <= 0
    assert await page.evaluate(SMALL) == []
    await page.click("main .op-hit:has-text('zhangs01') >> nth=0")
    await expect(page.locator(".op-verdict-text")).to_be_visible()
    await _ask(page, "13800000001")
    await page.wait_for_url("**/accounts/acc_*")


async def _ask(page: Page, text: str) -> None:
    await page.fill("#find", text)
    await page.press("#find", "Enter")


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (390, "en")])
async def test_a_timeline_is_filtered_and_read_on_where_it_stands(
    open_page: OpenPage, site: str, token: str, shop: Business, width: int, language: str
) -> None:
    for number in range(9):
        form = purchases.RenewForm()
        await life.perform(shop.scope, purchases.RENEW, shop.account["_id"], form, f"line-{width}-{number}")
    page = await open_page(width=width, language=language)
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin/accounts/{shop.account['_id']}")
    assert await page.evaluate(OVERFLOW) <= 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    entries = page.locator("#timeline li")
    newest = await entries.first.inner_text()
    await page.click(f"#timeline .op-tab:has-text('{ {'zh': '缴费', 'en': 'Payments'}[language] }')")
    await expect(page.locator("#timeline .op-tab.active")).to_have_text({"zh": "缴费", "en": "Payments"}[language])
    await expect(page.locator("#timeline li a")).to_have_count(await entries.count())  # each leads to its entry
    first = await entries.first.inner_text()
    await page.click("#timeline .btn >> nth=0")
    await expect(entries.first).not_to_have_text(first)
    assert newest and page.url.endswith(shop.account["_id"])  # the page is still there
