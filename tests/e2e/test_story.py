"""The first login, by mouse and by packet: from sign-up to a forced log-off, as a new operator lives it."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from saas.jobs import runner
from saas.radius.client import Client, DisconnectListener
from saas.radius.engine import Engine, EngineSettings
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import Meter

SECRET = "story-shared-secret"
PASSWORD = "carol-password"


@pytest.fixture
async def engine(ps: PlatformScope) -> AsyncIterator[Engine]:
    """An engine on free ports, and the jobs that apply what it records."""
    stop = asyncio.Event()
    jobs = asyncio.create_task(runner.run(ps, stop))
    async with Engine(ps, EngineSettings("shared", "127.0.0.1", 0, 0, "radius.example.com", reject_delay=0)) as running:
        yield running
    stop.set()
    await jobs


def _code(mails: Path, address: str) -> str:
    """The newest code that was mailed to the address."""
    found = [message_from_bytes(path.read_bytes()) for path in sorted(mails.glob("*.eml"))]
    payload: Any = [mail for mail in found if mail["To"] == address][-1].get_payload(decode=True)
    match = re.search(r"\d{6}", payload.decode())
    assert match
    return match.group()


async def _submit(page: Page) -> None:
    await page.click("main form:not(.op-search) button[type=submit]:visible")


async def _sign_up(page: Page, mails: Path, slug: str) -> None:
    await page.goto("/")
    await page.click("main a[href='/signup']")
    for name, value in (("system_name", "Story VPN"), ("slug", slug), ("email", f"{slug}@example.com")):
        await page.fill(f"[name={name}]", value)
    await page.fill("[name=password]", "a-long-password")
    await _submit(page)
    await page.wait_for_url("**/signup/confirm")
    await page.fill("[name=code]", _code(mails, f"{slug}@example.com"))
    await _submit(page)
    await page.wait_for_url(f"**/t/{slug}/admin")


async def _add_device(page: Page, port: int) -> str:
    """Its identifier."""
    await page.click("nav a:has-text('NAS devices'):visible")
    await page.click("main a:has-text('Add')")
    await page.fill("[name=name]", "Gate")
    await page.select_option("[name=vendor]", "mikrotik")
    await page.fill("[name=secret]", SECRET)
    await page.fill("[name=coa_port]", str(port))
    identifier = await page.input_value("[name=identifier]")
    await _submit(page)
    await expect(page.locator("h1")).to_have_text("Gate")
    await page.click("button:has-text('Show')")
    await expect(page.locator("#config")).to_contain_text(f'secret="{SECRET}"')
    return identifier


async def _add_plan(page: Page) -> None:
    await page.click("nav a:has-text('Plans'):visible")
    await page.click("main a:has-text('Add')")
    await page.fill("[name=name]", "Monthly")
    await page.fill("[name=price]", "30")
    await _submit(page)
    await expect(page.locator("h1")).to_have_text("Monthly")


async def _open_account(page: Page) -> None:
    await page.click("nav a:has-text('Quick open'):visible")
    await page.fill("[name=username]", "carol")
    await page.fill("[name=password]", PASSWORD)
    await expect(page.locator("#price")).to_contain_text("30.00")
    await _submit(page)
    await expect(page.locator("h1")).to_contain_text("carol")


async def test_from_sign_up_to_a_forced_log_off(open_page: OpenPage, mails: Path, engine: Engine) -> None:
    page = await open_page(language="en")
    slug = f"story-{secrets.token_hex(4)}"
    await _sign_up(page, mails, slug)
    for fact in ("Story VPN", "Free", "radius.example.com", str(engine.auth_port), str(engine.acct_port)):
        await expect(page.locator("main")).to_contain_text(fact)
    async with DisconnectListener(SECRET) as listener:
        identifier = await _add_device(page, listener.port)
        await _add_plan(page)
        await _open_account(page)
        async with Client("127.0.0.1", engine.auth_port, engine.acct_port, SECRET, identifier) as device:
            station = {"Calling-Station-Id": "AA-BB-CC-00-11-22"}
            for method in (device.pap, device.chap, device.mschapv2):
                assert (await method("carol", PASSWORD, station)).accepted
            assert not (await device.pap("carol", "wrong", station)).accepted
            await device.accounting("start", "carol", "s-1", station)
            usage = {"Acct-Session-Time": 60, "Acct-Input-Octets": 1048576, "Acct-Output-Octets": 3145728}
            await device.accounting("interim", "carol", "s-1", {**station, **usage})
            await _force_off(page)
            assert [packet.value("Acct-Session-Id") for packet in listener.received] == ["s-1"]
            await device.accounting("stop", "carol", "s-1", {**station, **usage, "Acct-Terminate-Cause": 6})
    await expect(page.locator("main")).not_to_contain_text("carol", timeout=20_000)
    await _look_back(page, slug)


async def _force_off(page: Page) -> None:
    await page.click("nav a:has-text('Online users'):visible")
    row = page.locator("main tr:has-text('carol')")
    await expect(row).to_contain_text("1.0 MB", timeout=20_000)  # the list looks again every few seconds
    meter = Meter(page)
    await meter.begin()
    await page.keyboard.press("/")
    await page.keyboard.type("carol")
    await expect(page.locator("#found-below .op-hit").first).to_contain_text("carol")
    await page.keyboard.press("Enter")
    await page.click("main a:has-text('Force off')")
    await page.click("dialog button:has-text('Force off')")
    await expect(page.locator("#dialog")).to_contain_text("The device has accepted.")
    await meter.within(clicks=2, navigations=1)
    await page.click("dialog a:has-text('Close')")
    await page.click("nav a:has-text('Online users'):visible")


async def _look_back(page: Page, slug: str) -> None:
    await page.click("nav a:has-text('Sessions'):visible")
    row = page.locator("main tr:has-text('carol')")
    await expect(row).to_contain_text("3.0 MB")
    await page.click("nav a:has-text('Operation log'):visible")
    for action in ("Gate", "Monthly", "carol"):
        await expect(page.locator("main")).to_contain_text(action)
    await expect(page.locator("main tr", has_text=f"{slug}@example.com").first).to_be_visible()
