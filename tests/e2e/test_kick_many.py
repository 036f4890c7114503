"""Many users forced off by mouse: ticked in the live list, and what their devices answered."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from saas.tenants import bulk_work
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage, device
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.handlers.usage import online
from tests.world import Business, make_business, signed_in

POOL = "kick-many"


def answered(command: Command) -> CommandResult:
    """One device accepts, the others do not answer."""
    accepted = command.session_id == "kick-0"
    return CommandResult("ack" if accepted else "timeout", 1 if accepted else 3)


async def worked_off(ps: PlatformScope, business: Business) -> None:
    while await business.scope.db.bulk_runs.count({"open": True}):
        await bulk_work.turn(ps)


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (1440, "en"), (390, "en"), (390, "zh")])
async def test_all_that_match_are_forced_off(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, language: str
) -> None:
    business = await make_business(ps, "kickmany")
    await ps.db.tenants.update(business.id, {"$set": {"pool": POOL}})
    for number in range(4):
        await online(ps, business, f"kick-{number}", framed_ip=f"10.9.0.{number + 2}")
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin/online")
    await page.locator(".op-pick [name=id]").first.check()
    await page.locator("#list").evaluate("list => htmx.ajax('GET', location.href, {source: list, target: list})")
    await expect(page.locator(".op-pick [name=id]").first).to_be_checked()  # what is ticked stays so
    assert await page.evaluate(OVERFLOW) == 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    await page.locator(".op-picks [name=all]").check()
    await page.locator(".op-pick-actions button").click()
    await expect(page.locator("#preview .op-sum").first).to_have_text("4")
    assert await page.evaluate(OVERFLOW) == 0
    await page.locator("main form.op-form button[type=submit]").click()
    await expect(page.locator("#progress")).to_be_visible()
    async with device(ps, POOL, answered):
        await worked_off(ps, business)
    await page.reload()
    await expect(page.locator("#progress")).to_contain_text("NAT")
    assert await page.evaluate(OVERFLOW) == 0
    assert width > 1000 or await page.evaluate(SMALL) == []
