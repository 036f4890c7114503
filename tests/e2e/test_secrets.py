"""What is secret is shown on demand and hidden again: by its button, after a while, and when the page is left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from saas.tenants import engines, platform, webhooks
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import faults
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.world import NAS_SECRET, USER_PASSWORD, Business, make_business, signed_in

WHILE = 121_000  # milliseconds


@pytest.fixture
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    """A business with a webhook that may show passwords, and an engine of its pool."""
    business = await make_business(ps, "secrets")
    await webhooks.save(business.scope, webhooks.WebhookForm(url="https://hooks.example.com/pns"))
    await ps.db.tenants.update(business.id, {"$set": {"parameters.show_password": True}})
    now = time.time()
    await engines.heartbeat(
        ps, engines.EngineReport(platform.SHARED_POOL, "e:1", "radius.test", 1812, 1813, 0, "running", "1", now, now)
    )
    yield business


async def looks(shop: Business, action: str) -> int:
    return await shop.scope.db.audit.count({"action": action})


async def hidden_after_a_while(page: Page, secret: str, part: str, show: str) -> None:
    """It is shown by `show` within `part`, hidden by its button, and by the clock; the keyboard follows."""
    shown = page.locator(part)
    await expect(shown).not_to_contain_text(secret)
    for by_hand in (True, False):
        await page.locator(show).press("Enter")
        await expect(shown).to_contain_text(secret)
        await expect(shown.locator("[data-hide]")).to_be_focused()
        assert await faults(page) == [] and await page.evaluate(OVERFLOW) <= 0
        if by_hand:
            await page.keyboard.press("Enter")
        else:
            await page.clock.fast_forward(WHILE)
        await expect(shown).not_to_contain_text(secret)
        await expect(page.locator(show)).to_be_focused()


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("en", 1440)])
async def test_a_secret_is_hidden_again(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business, language: str, width: int
) -> None:
    page = await open_page(width=width, language=language)
    await page.clock.install()
    await enter(page, site, await signed_in(ps, shop))
    admin = f"/t/{shop.slug}/admin"
    await page.goto(f"{admin}/nas/{shop.nas['_id']}")
    await hidden_after_a_while(page, NAS_SECRET, "#config", "#config .op-secret button")
    assert await looks(shop, "nas.secret") == 2
    await page.goto(f"{admin}/notices/webhook")
    row = await ps.db.tenants.one({"_id": shop.id})
    secret = shop.scope.unseal(row["webhook"]["sealed_secret"])
    await hidden_after_a_while(page, secret, "#secret", "#secret .op-secret button")
    assert await looks(shop, "webhook.secret") == 2
    await page.goto(f"{admin}/accounts/{shop.account['_id']}")
    opener = page.locator(f"a[data-dialog][href$='/{shop.account['_id']}/secret']")
    for by_hand in (True, False):
        await opener.evaluate("link => link.closest('details') && (link.closest('details').open = true)")
        await opener.click()
        await page.locator("#dialog form button").first.click()
        await expect(page.locator("#dialog")).to_contain_text(USER_PASSWORD)
        assert await faults(page) == [] and (width > 1000 or not await page.evaluate(SMALL))
        await (page.locator("#dialog [data-hide]").click() if by_hand else page.clock.fast_forward(WHILE))
        await expect(page.locator("#dialog")).to_be_hidden()
        await expect(page.locator("#dialog")).to_be_empty()
        assert USER_PASSWORD not in await page.content()
    assert await looks(shop, "account.reveal_password") == 2


async def test_a_page_that_is_left_shows_no_secret_when_one_comes_back(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business
) -> None:
    """Also where the browser keeps the page as it was."""
    page = await open_page(language="en")
    await enter(page, site, await signed_in(ps, shop))
    await page.goto(f"/t/{shop.slug}/admin/nas/{shop.nas['_id']}")
    await page.locator("#config .op-secret button").click()
    await expect(page.locator("#config")).to_contain_text(NAS_SECRET)
    await page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert NAS_SECRET not in await page.content()
    async with page.expect_navigation():
        await page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await expect(page.locator("#config .op-secret button")).to_be_visible()
