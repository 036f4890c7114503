"""The tour of docs/tour.md, played in both languages. ``make pictures`` keeps what it shows in docs/images/tour."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from saas.tenants.accounts import Account
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import enter
from tests.showcase import CASTS, make_showcase
from tests.world import Business, signed_in

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = DOCS / "images" / "tour"
TEXTS = {"en": DOCS / "tour.md", "zh": DOCS / "zh" / "tour.md"}
_SIZE = {"width": 1180, "height": 760}
_PHONE = {"width": 390, "height": 760}

Step = Callable[[Page, str, Business, list[Account], str], Awaitable[None]]


def _at(path: str) -> Step:
    """A step that opens a page; the names of what is shown stand in braces."""

    async def go(page: Page, admin: str, business: Business, opened: list[Account], language: str) -> None:
        place = path.format(nas=business.nas["_id"], first=opened[0]["_id"], plan=opened[0]["plan_id"])
        answer = await page.goto(f"{admin}{place}")
        assert answer and answer.ok, place

    return go


async def _card(page: Page, admin: str, business: Business, opened: list[Account], language: str) -> None:
    await page.goto(f"{admin}/accounts/open")
    await page.fill("[name=username]", "ivan")
    await page.select_option("[name=plan_id]", opened[0]["plan_id"])
    await page.locator("main form button[type=submit]").first.click()
    await page.wait_for_url("**/accounts/acc_*")


async def _search(page: Page, admin: str, business: Business, opened: list[Account], language: str) -> None:
    await page.goto(admin)
    await page.keyboard.press("/")
    await page.keyboard.type(CASTS[language].asks)
    await expect(page.locator("#found-below .op-hit").first).to_contain_text("anna")


async def _phone(page: Page, admin: str, business: Business, opened: list[Account], language: str) -> None:
    await page.set_viewport_size(_PHONE)
    await page.goto(f"{admin}/accounts/{opened[0]['_id']}")


STEPS: dict[str, Step] = {
    "home": _at(""),
    "device": _at("/nas/{nas}"),
    "plan": _at("/plans/{plan}"),
    "open": _at("/accounts/open"),
    "card": _card,
    "search": _search,
    "verdict": _at("/accounts/{first}"),
    "renew": _at("/accounts/{first}/renew"),
    "online": _at("/online"),
    "payments": _at("/payments"),
    "import": _at("/imports/new"),
    "rights": _at("/groups/new"),
    "log": _at("/log"),
    "phone": _phone,
}


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_tour_can_be_taken(open_page: OpenPage, ps: PlatformScope, site: str, language: str) -> None:
    business, opened = await make_showcase(ps, language)
    page = await open_page(language=language)
    await page.set_viewport_size(_SIZE)
    await enter(page, site, await signed_in(ps, business))
    kept = os.environ.get("TOUR_PICTURES")
    for name, step in STEPS.items():
        await step(page, f"/t/{business.slug}/admin", business, opened, language)
        await expect(page.locator("main h1, main h2").first).to_be_visible()
        if kept:
            folder = Path(kept) / language
            folder.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=folder / f"{name}.png")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_its_text_shows_every_picture(language: str) -> None:
    text = TEXTS[language].read_text(encoding="utf-8")
    shown = re.findall(rf"images/tour/{language}/(\w+)\.png\)", text)
    assert shown == list(STEPS)
    for name in STEPS:
        assert (PICTURES / language / f"{name}.png").is_file(), "type 'make pictures'"
