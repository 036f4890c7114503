"""A trace in a real browser: packets appear by themselves, one after the other, until it is stopped."""

from __future__ import annotations

import time

from playwright.async_api import expect

from saas.tenants import traces
from saas.tenants.scope import PlatformScope
from saas.tenants.traces import TracedPacket
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import enter
from tests.world import make_business, signed_in


async def test_packets_appear_by_themselves(open_page: OpenPage, site: str, ps: PlatformScope) -> None:
    business = await make_business(ps, "watch")
    page = await open_page(language="en")
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/nas/{business.nas['_id']}")
    await page.click("text=Trace packets")
    await page.click("text=Begin the trace")
    await expect(page.locator("#more")).to_contain_text("No packet yet.")
    (trace,) = await traces.running(business.scope)
    for number in (1, 2, 3):
        seen = TracedPacket(time.time(), "in", "203.0.113.7:1", "Access-Request", number, 20)
        await traces.add(ps, trace, [seen])
        await expect(page.locator(".op-packet")).to_have_count(number)
        await expect(page.locator(".op-packet").last).to_contain_text(f"id {number} ")
    await page.click("text=Stop the trace")
    await expect(page.get_by_text("Ended at")).to_be_visible()
    await expect(page.locator(".op-packet")).to_have_count(3)
    assert await page.locator("#more").get_attribute("hx-get") is None
