"""Every page of every console, with something in it: it fits, it is light, and axe has nothing serious to say.

With SHOTS set to a folder, each page's picture is left there, in both languages and widths.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Error, Page

from saas.handlers.routes import Route, gather
from saas.tenants import login, platform, pools
from saas.tenants.scope import PlatformScope
from saas.values import new_id
from tests.e2e.conftest import HEIGHT, OpenPage
from tests.e2e.measure import AFTERWARDS, FIRST, Meter, faults
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.handlers.test_every_route import ids_of, path_of
from tests.handlers.usage import ended, online
from tests.world import PASSWORD, Business, make_business, signed_in

pytestmark = pytest.mark.slow

ROUTES = [route for route in gather() if "GET" in route.guards]
SHOTS = os.environ.get("SHOTS")
WIDTHS = {1440: "light", 390: "dark"}  # each with the theme in which axe looks at it


class Visit:
    """A walk through pages; `wrong` is what was found on the way."""

    def __init__(self, page: Page, width: int, language: str) -> None:
        self.page, self.width, self.language = page, width, language
        self.meter = Meter(page)
        self.wrong: list[str] = []
        self.seen: list[str] = []

    async def pages(self, paths: list[str]) -> None:
        """All of them that are pages: what is a file, a part of a page or a redirect is left out."""
        for path in paths:
            await self.meter.begin()
            try:
                answer = await self.page.goto(path)
            except Error as download:
                assert "Download is starting" in str(download), path
                continue
            assert answer is not None and answer.status in (200, 403, 404), path
            page = answer.headers.get("content-type", "").startswith("text/html")
            if page and answer.url.endswith(path) and "<html" in await answer.text():
                await self._look(path)

    async def _look(self, path: str) -> None:
        if await self.page.locator(".op-chart").count():
            await self.page.wait_for_load_state("networkidle")  # charts ask for their library once they are seen
        if self.seen and self.meter.octets > AFTERWARDS:  # its library came: what does the next one cost?
            await self.meter.begin()
            await self.page.goto(path)
        found = await faults(self.page, looks_only=self.width < 1000)
        allowed = AFTERWARDS if self.seen else FIRST
        if self.meter.octets > allowed or self.meter.cold > FIRST:
            found.append(f"octets: {self.meter.octets}, with all files {self.meter.cold}")
        name = re.sub(r"/t/[^/]+|_[0-9a-z]{26}", "", path).replace("?", "/").strip("/").replace("/", "-") or "first"
        for width in sorted(WIDTHS, key=lambda width: width != self.width):
            await self.page.set_viewport_size({"width": width, "height": HEIGHT})
            if await self.page.evaluate(OVERFLOW) > 0:
                found.append(f"wider than {width}")
            if width < 1000:
                found += await self.page.evaluate(SMALL)
            if SHOTS:
                place = Path(SHOTS) / f"{self.language}-{width}" / f"{name}.png"
                await self.page.screenshot(path=place, full_page=True)
        await self.page.set_viewport_size({"width": self.width, "height": HEIGHT})
        self.seen.append(path)
        self.wrong += [f"{path}: {fault}" for fault in found]


async def admin_paths(ps: PlatformScope, business: Business) -> list[str]:
    """The pages of a console with a row of every noun."""
    await online(ps, business, "s1")
    await ended(ps, business, "s2", "User-Request")
    ids = await ids_of(ps, business)
    pages = [route for route in ROUTES if route.console.name == "admin" and not route.path.endswith("/changes")]
    paths = [path_of(route, business, ids) for route in pages]  # news have no end
    paths = [f"{path}?id={business.account['_id']}" if "/bulk/" in path and "_" not in path else path for path in paths]
    base = f"/t/{business.slug}/admin"
    asked = [
        f"{base}/{page}" for page in ("search?q=ali", "who-had?ip=10.9.0.2", "proof?account=alice", "accounts?q=zz")
    ]
    return [*paths, *asked, f"{base}/notices/texts/expiring-zh", f"{base}/nowhere", "/tenants"]


async def platform_paths(ps: PlatformScope, business: Business) -> list[str]:
    """The pages of the platform's staff, about this business."""
    pool = next(iter(await pools.listing(ps)), None)
    entry = await ps.db.platform_audit.find(limit=1)
    ids = {"tenants": business.id, "pools": pool["_id"] if pool else "pol_any", "log": entry[0]["_id"]}

    def filled(route: Route) -> str:
        return re.sub(r"\{\w+\}", lambda _: ids[route.path.strip("/").split("/")[0]], route.url)

    return [filled(route) for route in ROUTES if route.console.name == "platform"]


async def staff_session(ps: PlatformScope) -> str:
    """The session of one of the platform's staff."""
    email = f"{new_id('s')}@platform.example.com"
    await platform.create_cloud_account(ps, platform.OwnerForm(email=email, password=PASSWORD), platform=True)
    return await login.open_session(ps, await login.cloud(ps, login.LoginForm(login=email, password=PASSWORD), email))


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (390, "en")])
@pytest.mark.parametrize("half", [0, 1])
async def test_every_page(
    open_page: OpenPage, ps: PlatformScope, site: str, width: int, language: str, half: int
) -> None:
    business = await make_business(ps, "pages")
    page = await open_page(width=width, language=language, theme=WIDTHS[width])
    visit = Visit(page, width, language)
    await visit.pages(["/", "/login", "/signup", "/nowhere", f"/t/{business.slug}/login"])
    assert visit.meter.cold > AFTERWARDS  # it did count what all pages share
    await enter(page, site, await signed_in(ps, business))
    await visit.pages((await admin_paths(ps, business))[half::2])
    await enter(page, site, await staff_session(ps))
    await visit.pages((await platform_paths(ps, business))[half::2])
    assert not visit.wrong, "\n".join(visit.wrong)
    assert len(visit.seen) > 60
