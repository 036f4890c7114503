"""Dialogs and the pages that no link leads to: axe has nothing serious to say, and the keyboard is never lost."""

from __future__ import annotations

import re
import secrets

import pyotp
import pytest
from playwright.async_api import Error, Page, expect

from saas.tenants import factors, login, webhooks
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import faults
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.e2e.test_pages import admin_paths
from tests.world import PASSWORD, Business, make_business, signed_in

pytestmark = pytest.mark.slow

OPENERS = """() => [...document.querySelectorAll("[data-dialog]")].map((link) => link.getAttribute("href"))"""
BACK = """(link) => [link, link.closest("details")].some((part) => part?.contains(document.activeElement))"""
# The same kind of dialog of each row is looked at once.
_ID = re.compile(r"_[0-9a-z]{26}")


class Walk:
    """What is wrong with the dialogs of pages, each kind of dialog looked at once."""

    def __init__(self, page: Page, width: int) -> None:
        self.page, self.width = page, width
        self.seen: set[str] = set()
        self.wrong: list[str] = []

    async def dialogs(self, path: str) -> None:
        """Open each dialog of the page as somebody who works by keyboard does."""
        try:
            await self.page.goto(path)
        except Error as download:
            assert "Download is starting" in str(download), path
            return
        for href in await self.page.evaluate(OPENERS):
            kind = _ID.sub("", href)
            if kind not in self.seen:
                self.seen.add(kind)
                self.wrong += [f"{kind}: {fault}" for fault in await self._dialog(href)]

    async def _dialog(self, href: str) -> list[str]:
        opener = self.page.locator(f'[data-dialog][href="{href}"]').first
        await opener.evaluate("link => link.closest('details') && (link.closest('details').open = true)")
        await opener.focus()
        await self.page.keyboard.press("Enter")
        dialog = self.page.locator("#dialog")
        await expect(dialog.locator("h1")).to_be_visible()
        found = await faults(self.page)
        found += ["too wide"] if await self.page.evaluate(OVERFLOW) > 0 else []
        found += await self.page.evaluate(SMALL) if self.width < 1000 else []
        if not await dialog.evaluate("part => part.contains(document.activeElement)"):
            found.append("the focus is not in it")
        if not await dialog.evaluate("part => Boolean(part.getAttribute('aria-labelledby') || part.ariaLabel)"):
            found.append("it has no name")
        await self.page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        if not await opener.evaluate(BACK):
            there = await self.page.evaluate("document.activeElement.outerHTML")
            found.append(f"the focus went to {there[:80]}")
        return found


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (390, "en")])
@pytest.mark.parametrize("half", [0, 1])
async def test_every_dialog(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, language: str, half: int
) -> None:
    business = await make_business(ps, "dialogs")
    await webhooks.save(business.scope, webhooks.WebhookForm(url="https://hooks.example.com/pns"))
    await ps.db.tenants.update(business.id, {"$set": {"parameters.show_password": True}})
    await enrol(ps, business)
    page = await open_page(width=width, language=language, theme="dark" if width < 1000 else "light")
    await enter(page, site, await signed_in(ps, business))
    walk = Walk(page, width)
    for path in (await admin_paths(ps, business))[half::2]:
        await walk.dialogs(path)
    assert not walk.wrong, "\n".join(walk.wrong)
    assert len(walk.seen) >= 4, walk.seen


async def enrol(ps: PlatformScope, business: Business) -> str:
    """The secret of bob's second factor."""
    form = login.LoginForm(login="bob", password=PASSWORD)
    session = await login.operator(ps, business.slug, form, "192.0.2.11")
    await factors.begin(ps, session, factors.ProofForm(password=PASSWORD))
    secret, _ = await factors.begun(ps, session)
    await factors.confirm(ps, session, factors.CodeForm(code=pyotp.TOTP(secret).now()))
    return secret


async def looked_at(page: Page, width: int, status: int, answered: int) -> None:
    """The page that came with this status is as good as any other."""
    assert answered == status
    assert await faults(page) == []
    assert await page.evaluate(OVERFLOW) <= 0
    assert width > 1000 or await page.evaluate(SMALL) == []


async def sent(page: Page) -> int:
    """Send the form of the page; the status of what comes."""
    async with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        await page.locator("main form button[type=submit]").first.click()
    return (await answer.value).status


@pytest.mark.parametrize(("width", "language", "theme"), [(1440, "zh", "dark"), (390, "en", "light")])
async def test_pages_that_are_reached_by_a_form(
    open_page: OpenPage, ps: PlatformScope, width: int, language: str, theme: str
) -> None:
    """The code of a sign-up and that of a log-in, each also as it comes back with an error."""
    page = await open_page(width=width, language=language, theme=theme)
    slug = f"dialogs-{secrets.token_hex(4)}"
    await page.goto("/signup")
    values = {"system_name": "Net", "slug": slug, "email": f"{slug}@example.com", "password": PASSWORD}
    for name, value in values.items():
        await page.fill(f"[name={name}]", value)
    await sent(page)
    await page.wait_for_url("**/signup/confirm")
    await looked_at(page, width, 200, 200)
    await page.fill("[name=code]", "000000")
    await looked_at(page, width, 422, await sent(page))
    business = await make_business(ps, "dialogs")
    secret = await enrol(ps, business)
    await page.goto(f"/t/{business.slug}/login")
    await page.fill("[name=login]", "bob")
    await page.fill("[name=password]", PASSWORD)
    await sent(page)
    await page.wait_for_url("**/login/code")
    await looked_at(page, width, 200, 200)
    await page.fill("[name=code]", "000000" if pyotp.TOTP(secret).now() != "000000" else "000001")
    await looked_at(page, width, 422, await sent(page))


@pytest.mark.parametrize(("width", "language", "theme"), [(1440, "en", "dark"), (390, "zh", "light")])
async def test_who_asks_too_often_is_told_on_a_page_like_any_other(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, language: str, theme: str
) -> None:
    business = await make_business(ps, "dialogs")
    page = await open_page(width=width, language=language, theme=theme)
    await enter(page, site, await signed_in(ps, business))
    unknown = f"/t/{business.slug}/admin/unknown"
    for number in range(10):
        assert (await page.request.get(f"{site}{unknown}?address=192.0.2.{number}")).ok
    answer = await page.goto(f"{unknown}?address=192.0.2.10")
    assert answer is not None
    await looked_at(page, width, 429, answer.status)
    await expect(page.locator("main a.btn").first).to_be_visible()  # the way on
