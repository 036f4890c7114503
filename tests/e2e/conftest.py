"""A real browser. Every page it shows is watched: script errors and breaches of the security policy fail the test.

chromium   the browser                                                       (session)
site       the address of the web application over the embedded stores       (session)
open_page  makes a page: `await open_page(width=390, language="en", theme="dark", scripts=False)`
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from saas.handlers.app import make_app, serve
from saas.outbound import Mailer
from saas.tenants import disconnects
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.scope import PlatformScope

PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
HEIGHT = 800
# Refusals are the tests' own doing; the browser reports each as an error of its network.
_EXPECTED = "Failed to load resource: the server responded with a status of 4"
_WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""

Answer = Callable[[Command], CommandResult]


@asynccontextmanager
async def device(ps: PlatformScope, pool: str, answer: Answer) -> AsyncIterator[None]:
    """A worker of the pool, whose devices answer each command so."""

    async def work() -> None:
        async for command in disconnects.commands(ps, pool):
            await disconnects.answer(ps, command.id, answer(command))

    worker = asyncio.create_task(work())
    try:
        yield
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The system's browser."""
    place = next((place for place in (*PLACES, shutil.which("chromium")) if place and Path(place).exists()), None)
    if place is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=place, args=QUIET)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that mails are written to."""
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="session")
async def site(ps: PlatformScope, mails: Path) -> AsyncIterator[str]:
    """The address of the web application."""
    server = serve(make_app(replace(ps.services, mailer=Mailer(folder=mails))), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{next(iter(server._sockets.values())).getsockname()[1]}"
    server.stop()
    await server.close_all_connections()


@pytest.fixture
async def open_page(chromium: Browser, site: str) -> AsyncIterator[OpenPage]:
    """Makes pages; at the end they are closed, and what went wrong in them is told."""
    contexts: list[Any] = []
    faults: list[str] = []

    async def make(width: int = 1280, language: str = "zh", theme: str = "light", scripts: bool = True) -> Page:
        context = await chromium.new_context(
            base_url=site,
            viewport={"width": width, "height": HEIGHT},
            locale={"zh": "zh-CN", "en": "en-GB"}[language],
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",  # what fades in would be measured half-way
        )
        contexts.append(context)
        await context.add_init_script(_WATCH)
        page = await context.new_page()
        page.set_default_timeout(15000)
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        return page

    yield make
    for context in contexts:
        await context.close()
    assert [fault for fault in faults if not fault.startswith(_EXPECTED)] == []
