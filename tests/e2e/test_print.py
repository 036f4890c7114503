"""Pages on paper: black on white from any theme, nothing to press, heads of tables again on each sheet."""

from __future__ import annotations

import pytest

from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.test_look import OVERFLOW, enter
from tests.handlers.usage import ended
from tests.world import make_business, signed_in

SHEET = 718  # CSS pixels between the margins of A4
# What of a printed page is not as it should be.
WRONG = """() => {
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((part) => part.checkVisibility());
  const look = (part) => getComputedStyle(part);
  const told = (what, parts) => parts.map((part) => `${what}: ${part.outerHTML.slice(0, 120)}`);
  return [
    ...told("to be pressed", seen("button, .btn, input[type=checkbox], summary, nav, .op-side, .op-top, dialog")),
    ...told("looks like a link", seen("main a").filter((part) => look(part).textDecorationLine !== "none")),
    ...told("not white", [document.body].filter((part) => look(part).backgroundColor !== "rgb(255, 255, 255)")),
    ...told("not black", seen("main h1, main td, main dd").filter((part) => look(part).color !== "rgb(0, 0, 0)")),
    ...told("head that is not repeated", [...document.querySelectorAll("main thead")]
      .filter((part) => look(part).display !== "table-header-group")),
  ];
}"""


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (390, "en")])
async def test_pages_on_paper(open_page: OpenPage, ps: PlatformScope, site: str, width: int, language: str) -> None:
    business = await make_business(ps, "paper")
    session = await ended(ps, business, "paper-1", "User-Request")
    page = await open_page(width=width, language=language, theme="dark")
    await enter(page, site, await signed_in(ps, business))
    account, base = business.account, f"/t/{business.slug}/admin"
    paths = [f"accounts/{account['_id']}", "accounts?status=normal", "payments", f"sessions/{session['_id']}"]
    for path in [*paths, f"members/{account['member_id']}", "reports/revenue", "reports/ending"]:
        await page.emulate_media(media="screen")
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(f"{base}/{path}")
        await page.emulate_media(media="print")
        await page.set_viewport_size({"width": SHEET, "height": 800})
        assert await page.evaluate(WRONG) == [], path
        assert await page.evaluate(OVERFLOW) <= 0, path
    await page.goto(f"{base}/accounts?status=normal")
    said = page.locator(".op-filters .form-select:visible")
    assert await said.count() == 1 and await said.input_value() == "normal"  # what is not set is not printed
