"""The frame in a real browser: forms, dialog, menus, language and theme, phone width, and all of it without scripts."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from saas.tenants import members
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.world import PASSWORD, Business, make_business, signed_in

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL = """() => [...document.querySelectorAll("a.btn, button, summary, input:not([type=hidden]), select")]
  .filter((part) => part.checkVisibility())
  .filter((part) => !part.matches(".form-check-input, .op-box-button, .ts-control input, .op-tabset > input"))
  .map((part) => [part.getBoundingClientRect(), part.outerHTML.slice(0, 120)])
  .filter(([box]) => box.height < 43.5).map(([box, text]) => `${box.height} ${text}`)"""


@pytest.fixture(scope="module")
async def acme(ps: PlatformScope) -> AsyncIterator[Business]:
    """A business with a few more members."""
    business = await make_business(ps, "look")
    for number in range(3):
        row = members.new_member(f"guest-{number}", name="", mobile="", note="", password_hash=None)
        await business.scope.db.members.insert(row)
    yield business
    await ps.kv.delete("hit:login:from:127.0.0.1", "hit:login:from:192.0.2.1")


@pytest.fixture(scope="module")
async def token(ps: PlatformScope, acme: Business) -> str:
    """The owner's session."""
    return await signed_in(ps, acme)


async def enter(page: Page, site: str, token: str) -> None:
    """Be the owner."""
    await page.context.add_cookies([{"name": "session", "value": token, "url": site}])


async def test_log_in_and_out_by_mouse(open_page: OpenPage, acme: Business) -> None:
    page = await open_page(language="en")
    await page.goto("/login")
    await page.fill("[name=login]", acme.email)
    await page.fill("[name=password]", "wrong")
    await page.click("main button[type=submit]")
    await expect(page.locator("[role=alert]")).to_contain_text("The account or the password is not right.")
    await expect(page.locator("[name=login]")).to_have_value(acme.email)
    await expect(page.locator("[name=password]")).to_have_value("")
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button[type=submit]")
    await page.wait_for_url(f"**/t/{acme.slug}/admin")
    await page.click(".op-user summary")
    await page.click("text=Log out")
    await page.wait_for_url("**/login")
    await expect(page.locator(".op-toast").first).to_contain_text("You are logged out.")


async def test_everything_works_without_scripts(open_page: OpenPage, acme: Business) -> None:
    page = await open_page(language="en", scripts=False, width=390)
    await page.goto(f"/t/{acme.slug}/login")
    await page.fill("[name=login]", "bob")
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button[type=submit]")
    await page.click(".op-phone-menu summary")
    await page.click(".op-sheet a:has-text('Plans')")
    await page.click("text=Add a plan")
    await page.fill("[name=price]", "ten")
    await page.click("main button[type=submit]")
    assert await page.locator(".op-error").count() == 2
    name = f"Plan {secrets.token_hex(3)}"
    await page.fill("[name=name]", name)
    await page.fill("[name=price]", "30")
    await page.click("main button[type=submit]")
    await expect(page.locator("h1")).to_have_text(name)
    await page.click("text=Delete")
    await page.fill("[name=confirm]", name)
    await page.click("main .btn-danger")
    await page.wait_for_url("**/plans")
    assert name not in await page.inner_text("#list")


async def test_harm_is_asked_for_in_a_dialog(open_page: OpenPage, site: str, token: str, acme: Business) -> None:
    page = await open_page(language="en")
    await enter(page, site, token)
    await page.goto(f"/t/{acme.slug}/admin/nas/{acme.nas['_id']}")
    await page.click("[data-dialog]:has-text('Delete')")
    dialog = page.locator("dialog[open]")
    await expect(dialog.locator(".op-confirm-name")).to_have_text("East gate")
    await dialog.locator(".btn-danger").click()
    await expect(dialog.locator(".op-error")).to_be_visible()
    await dialog.get_by_text("Cancel").click()
    await expect(dialog).to_have_count(0)


async def test_a_search_narrows_the_list_and_goes_into_the_address(
    open_page: OpenPage, site: str, token: str, acme: Business
) -> None:
    page = await open_page(language="en")
    await enter(page, site, token)
    await page.goto(f"/t/{acme.slug}/admin/members")
    await expect(page.locator("#list tbody tr")).to_have_count(4)
    await page.fill("input[type=search]", "guest-1")
    await expect(page.locator("#list tbody tr")).to_have_count(1)
    assert "q=guest-1" in page.url
    await page.fill("input[type=search]", "nobody-here")
    await page.click("text=Clear the filters")
    await expect(page.locator("#list tbody tr")).to_have_count(4)


async def test_language_and_theme_are_switched(open_page: OpenPage) -> None:
    page = await open_page(language="zh", theme="dark")
    await page.goto("/login")
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    await expect(page.locator("h1")).to_have_text("登录")
    await page.click("summary[aria-label='语言']")
    await page.click("button:has-text('English')")
    await expect(page.locator("h1")).to_have_text("Log in")
    await page.click("summary[aria-label='Appearance']")
    await page.click("button:has-text('Light')")
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    assert page.url.endswith("/login")
