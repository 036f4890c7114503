"""Who is online, by mouse: the list follows by itself, stands still under a hand, and forces off in two clicks."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from saas.tenants import sessions, watching
from saas.tenants.disconnects import CommandResult
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage, device
from tests.e2e.measure import Meter, faults
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.handlers.usage import ended, online
from tests.world import Business, make_business, signed_in

POOL = "online-page"


@pytest.fixture
async def business(ps: PlatformScope) -> Business:
    """A business in a pool of its own: no engine of another test takes its commands."""
    made = await make_business(ps, "onlinepage")
    await ps.db.tenants.update(made.id, {"$set": {"pool": POOL}})
    return made


async def watch(open_page: OpenPage, ps: PlatformScope, site: str, business: Business, width: int, lang: str) -> Page:
    page = await open_page(width=width, language=lang)
    await enter(page, site, await signed_in(ps, business))
    async with page.expect_response("**/online/changes"):
        await page.goto(f"/t/{business.slug}/admin/online")
    return page


async def changed(ps: PlatformScope, business: Business) -> None:
    """What the job tells when it has applied what devices reported."""
    await watching.tell(ps.kv, [business.id])


def row(page: Page, session: sessions.Session) -> str:
    return f"#row-{session['_id']}"


ACCEPTED = CommandResult("ack", 1, rtt_ms=8, address="203.0.113.7:3799")


@pytest.mark.parametrize(("width", "lang"), [(1440, "en"), (1440, "zh"), (390, "en"), (390, "zh")])
async def test_whoever_comes_and_goes_is_seen_by_itself(
    open_page: OpenPage, ps: PlatformScope, site: str, business: Business, width: int, lang: str
) -> None:
    first = await online(ps, business, "first", framed_ip="10.9.0.2")
    page = await watch(open_page, ps, site, business, width, lang)
    await page.mouse.move(0, 0)
    await expect(page.locator(row(page, first))).to_contain_text("85.9 Mbps")
    assert await page.evaluate(OVERFLOW) == 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    assert await faults(page) == []
    second = await online(ps, business, "second", framed_ip="10.9.0.3")
    await changed(ps, business)
    await expect(page.locator(row(page, second))).to_be_visible()
    await ended(ps, business, "first", "User-Request")
    await changed(ps, business)
    await expect(page.locator(row(page, first))).to_have_count(0)


async def test_nothing_moves_under_a_hand(
    open_page: OpenPage, ps: PlatformScope, site: str, business: Business
) -> None:
    rows = [await online(ps, business, f"old-{number}", framed_ip=f"10.9.1.{number}") for number in range(3)]
    page = await watch(open_page, ps, site, business, 1440, "en")
    await page.locator(row(page, rows[1])).hover()
    await page.locator(f"{row(page, rows[1])} [name=id]").check()
    await ended(ps, business, "old-0", "User-Request")
    new = [await online(ps, business, f"new-{number}", framed_ip=f"10.9.2.{number}") for number in range(2)]
    await sessions.mark_closing(business.scope, rows[1]["_id"])
    await changed(ps, business)
    fresh = page.locator("#fresh")
    await expect(fresh).to_have_text("New rows: 2. Show them.")
    await expect(page.locator(row(page, rows[0]))).to_have_class("op-gone")
    await expect(page.locator(row(page, rows[1]))).to_contain_text("Going offline")
    await expect(page.locator(row(page, rows[1]))).not_to_have_class("op-gone")
    assert await page.locator(f"{row(page, rows[1])} [name=id]").is_checked()
    assert await page.locator(row(page, new[0])).count() == 0
    await fresh.click()
    await expect(page.locator(row(page, new[1]))).to_be_visible()
    await expect(page.locator(row(page, rows[0]))).to_have_count(0)
    await expect(fresh).to_be_hidden()


@pytest.mark.parametrize(("width", "lang"), [(1440, "en"), (1440, "zh"), (390, "en"), (390, "zh")])
async def test_two_clicks_force_a_user_off(
    open_page: OpenPage, ps: PlatformScope, site: str, business: Business, width: int, lang: str
) -> None:
    session = await online(ps, business, "kicked", framed_ip="10.9.0.9")
    page = await watch(open_page, ps, site, business, width, lang)
    meter = Meter(page)
    await meter.begin()
    async with device(ps, POOL, lambda command: ACCEPTED):
        await page.locator(f"{row(page, session)} a[href$='/disconnect']").click()
        await page.locator("#dialog form button[type=submit]").click()
        await expect(page.locator("#dialog")).to_contain_text("203.0.113.7:3799")
    await meter.within(clicks=2, navigations=1)
    await expect(page.locator(row(page, session))).to_contain_text("Going offline" if lang == "en" else "下线中")
