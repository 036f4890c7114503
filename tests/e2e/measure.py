"""What a job costs whoever does it (clicks, pages, octets), and what axe finds wrong with a page.

A click is a press of the pointer, on a phone a tap; typing is none. A navigation is a document that is fetched, a
redirect on the way to it is none. Octets are those on the wire, heads and compressed bodies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page, Response

FIRST = 300_000  # octets of a page whose files the browser does not have yet
AFTERWARDS = 40_000  # octets of a page when it has them

ROOT = Path(__file__).resolve().parents[2]
_AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_LOOKS = ["color-contrast", "link-in-text-block", "target-size"]
_RUN = """async (runOnly) => {
  const asked = { runOnly, rules: { "target-size": { enabled: true } }, resultTypes: ["violations"], preload: false };
  const { violations } = await axe.run(document, asked);
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = ({ target, html, any }) => `${target} ${html.slice(0, 160)} ${any.map(({ message }) => message)}`;
  return grave.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${told(node)}`));
}"""
# Counted where the browser sees them, so that none is forgotten; kept from page to page of one window.
_COUNT = """addEventListener("pointerdown", (event) => {
  if (event.isTrusted) sessionStorage.clicks = Number(sessionStorage.clicks || 0) + 1;
}, true)"""


class Meter:
    """Counts from `begin` on. `octets` were fetched; `cold` would have been by a browser without any of our files."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.octets = self.cold = self.navigations = 0
        self._urls: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    async def begin(self) -> None:
        """Watch the page and count from nothing; a second time from nothing again."""
        if not self._watched:
            await self.page.context.add_init_script(_COUNT)
            self.page.on("response", self._answered)
            wire = await self.page.context.new_cdp_session(self.page)
            wire.on("Network.requestWillBeSent", self._asked)
            wire.on("Network.loadingFinished", self._loaded)
            await wire.send("Network.enable")
            self._watched = True
            if self.page.url != "about:blank":
                await self.page.evaluate(_COUNT)
        if self.page.url != "about:blank":
            await self.page.evaluate("sessionStorage.clicks = 0")
        self.octets = self.cold = self.navigations = 0

    _watched = False

    async def clicks(self) -> int:
        """Presses since `begin`."""
        return int(await self.page.evaluate("sessionStorage.clicks || 0"))

    async def within(self, clicks: int, navigations: int) -> None:
        """Fail when the job took more than this, or when a page of it was heavier than pages may be."""
        spent = await self.clicks(), self.navigations, self.octets
        most = clicks, navigations, navigations * AFTERWARDS
        assert all(had <= may for had, may in zip(spent, most, strict=True)), (
            f"(clicks, pages, octets) {spent} > {most}"
        )

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request() and not 300 <= response.status < 400:
            self.navigations += 1

    def _asked(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["request"]["url"]
        self.octets += event.get("redirectResponse", {}).get("encodedDataLength", 0)

    def _loaded(self, event: dict[str, Any]) -> None:
        url, octets = self._urls.get(event["requestId"], ""), int(event["encodedDataLength"])
        if url.startswith("data:"):
            return
        self.octets += octets
        self._sizes[url] = max(octets, self._sizes.get(url, 0))
        self.cold += self._sizes[url]


async def faults(page: Page, *, looks_only: bool = False) -> list[str]:
    """What axe calls serious or critical: by WCAG 2.2 AA, and by what is good practice besides.

    `looks_only`: only what depends on theme and width.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_AXE.read_text())  # by the debugger, hence past the security policy
    asked = {"type": "rule", "values": _LOOKS} if looks_only else {"type": "tag", "values": _TAGS}
    found: list[str] = await page.evaluate(_RUN, asked)
    return found
