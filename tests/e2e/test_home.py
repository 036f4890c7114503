"""The first page in a real browser: today's numbers without a click, each the way to its list; curves by the policy."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from playwright.async_api import Route, expect

from saas.tenants import imports, overview, sums
from saas.tenants.schedules import Occasion
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import Meter
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.handlers.usage import online
from tests.support import until
from tests.world import Business, make_business, signed_in


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    """A business of some days, with somebody online."""
    business = await make_business(ps, "home")
    await online(ps, business, "home-1")
    now = utcnow()
    for ago in (2, 3):
        await sums.reckon(business.scope, (now - timedelta(days=ago)).date())
        await overview.count_online(business.scope, Occasion(now, now, now - timedelta(minutes=10 * ago)))
    yield business


@pytest.fixture(scope="module")
async def token(ps: PlatformScope, shop: Business) -> str:
    return await signed_in(ps, shop)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [1440, 390])
async def test_todays_numbers_take_no_click(
    open_page: OpenPage, site: str, token: str, shop: Business, width: int, language: str
) -> None:
    page = await open_page(width=width, language=language, theme="dark" if language == "en" else "light")
    meter = Meter(page)
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin")  # where one is after logging in
    await page.locator(".op-chart >> nth=2").scroll_into_view_if_needed()
    await expect(page.locator(".op-chart canvas").last).to_be_visible()
    await page.goto(f"/t/{shop.slug}/admin/plans")
    await meter.begin()
    begun = time.monotonic()
    await page.goto(f"/t/{shop.slug}/admin")
    await expect(page.locator("a.op-stat")).to_have_count(8)
    await meter.within(clicks=0, navigations=1)
    assert time.monotonic() - begun < 5
    assert await page.locator("a.op-stat .op-stat-value").nth(2).text_content() == "¥30.00"
    for number in range(3):
        await page.locator(f".op-chart >> nth={number}").scroll_into_view_if_needed()
        await expect(page.locator(f".op-chart >> nth={number}").locator("canvas")).to_be_visible()
    await page.hover(".op-chart >> nth=2")  # its tooltip would break the policy if it were HTML
    assert await page.evaluate(OVERFLOW) <= 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    await page.click("a.op-stat >> nth=0")
    await expect(page.locator("#list tbody tr")).to_have_count(1)


async def test_old_figures_are_replaced_within_seconds(
    open_page: OpenPage, site: str, token: str, shop: Business
) -> None:
    page = await open_page(width=1440, language="en")
    await enter(page, site, token)
    await page.wait_for_load_state("networkidle")  # the bell asks for figures too
    old = await overview.figures(shop.scope) | {"at": 1_790_000_000.0, "online": 77}
    await until(lambda: not overview._counting, "nobody counts anew what was asked for before")
    await shop.scope.kv.put("figures", old, 60)
    seen = asyncio.Event()

    async def hold(route: Route) -> None:
        if "hx-request" in route.request.headers:
            await seen.wait()
        await route.continue_()

    await page.route("**/admin", hold)
    await page.goto(f"/t/{shop.slug}/admin")
    await expect(page.locator(".op-stat-value").first).to_have_text("77")
    seen.set()
    await expect(page.locator(".op-stat-value").first).to_have_text("1")


async def test_without_scripts_the_numbers_and_tables_are_there(
    open_page: OpenPage, site: str, token: str, shop: Business
) -> None:
    page = await open_page(width=390, language="en", scripts=False)
    await enter(page, site, token)
    await page.goto(f"/t/{shop.slug}/admin")
    await expect(page.locator("a.op-stat")).to_have_count(8)
    await expect(page.locator(".op-chart").first).to_be_hidden()
    await page.click("summary:has-text('As a table') >> nth=2")
    await expect(page.locator(".op-charts table").nth(2)).to_be_visible()


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (390, "en")])
async def test_the_bell_counts_on_every_page_and_leads_to_what_it_counts(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, language: str
) -> None:
    business = await make_business(ps, "bell")
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/plans")
    await page.wait_for_load_state("networkidle")
    await expect(page.locator(".op-bell-mark")).to_be_empty()
    run = await imports.upload(business.scope, imports.FileForm(file=base64.b64encode(b"a,b")), "old.csv", "bell")
    await imports.end(business.scope, run, "stopped", "empty_table")
    await page.reload()
    await expect(page.locator(".op-bell-mark b")).to_have_text("1")
    assert await page.evaluate(OVERFLOW) <= 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    await page.click(".op-bell")
    await page.click("main a:has-text('old.csv')")
    await page.wait_for_url("**/imports/imp_*")
