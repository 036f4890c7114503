"""Every page of the menu, with somebody online: it fits, and the browser has nothing to complain about."""

from __future__ import annotations

import pytest

from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import OVERFLOW, enter
from tests.handlers.usage import online
from tests.world import make_business, signed_in


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [1440, 390])
async def test_every_page_of_the_menu_fits(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, language: str
) -> None:
    business = await make_business(ps, "pages")
    await online(ps, business, "s1")
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin")
    links = await page.locator("nav a[href]").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    places = sorted(set(links))
    assert len(places) > 15
    for place in places:
        answer = await page.goto(place)
        assert answer and answer.status == 200, place
        assert await page.evaluate(OVERFLOW) <= 0, place
