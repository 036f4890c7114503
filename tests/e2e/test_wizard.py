"""A device is added: four clicks to the paste, and then each of the six findings as real packets bring it about."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from playwright.async_api import Page, expect

from saas.jobs import runner
from saas.radius import codec
from saas.radius.client import Client, NoAnswer
from saas.radius.engine import Engine, EngineSettings
from saas.tenants import nas
from saas.tenants.scope import PlatformScope
from saas.values import new_id
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import Meter, faults
from tests.e2e.test_look import OVERFLOW, SMALL, enter
from tests.world import USER_PASSWORD, USERNAME, Business, make_business, signed_in

WORDS = {  # nothing, unknown, secret, unsigned, method, works
    "en": [
        "Waiting for the first packet",
        "Unknown identifier",
        "Wrong shared secret",
        "No Message-Authenticator",
        "Log-in method not offered",
        "It works",
    ],
    "zh": ["等待第一个报文", "未知标识", "共享密钥", "Message-Authenticator", "认证方式不受支持", "运行正常"],
}


@pytest.fixture
async def business(ps: PlatformScope) -> Business:
    """A business that has its pool alone: what knocks there may be its own."""
    made = await make_business(ps, "wizard")
    tenant = await ps.db.tenants.update(made.id, {"$set": {"pool": new_id("pool")}})
    return replace(made, scope=ps.enter(tenant, made.scope.actor))


@pytest.fixture
async def engine(ps: PlatformScope, business: Business) -> AsyncIterator[Engine]:
    """An engine of that pool on free ports, and the jobs that keep what it notes."""
    stop = asyncio.Event()
    jobs = asyncio.create_task(runner.run(ps, stop))
    settings = EngineSettings(business.scope.tenant["pool"], "127.0.0.1", 0, 0, "radius.example.com", reject_delay=0)
    async with Engine(ps, settings) as running:
        yield running
    stop.set()
    await jobs


async def add(page: Page, name: str) -> None:
    """From the first page to the configuration in the clipboard: four clicks."""
    meter = Meter(page)
    await meter.begin()
    await page.click("main a[href$='/nas/new']")
    await page.select_option("[name=vendor]", "mikrotik")
    await page.fill("[name=name]", name)
    await page.click("main form:not(.op-search) button[type=submit]:visible")
    await page.locator("#config form button").click()
    await expect(page.locator("#config .op-secret")).not_to_contain_text("••••")
    await page.locator("#config .op-code [data-copy]:visible, #config [data-copy]:visible").last.click()
    await meter.within(clicks=4, navigations=2)


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (390, "en")])
async def test_four_clicks_in_the_other_widths_too(
    open_page: OpenPage, site: str, ps: PlatformScope, business: Business, engine: Engine, width: int, language: str
) -> None:
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin")
    await add(page, "Gate")
    await expect(page.locator("#state")).to_contain_text(WORDS[language][0])


async def wish_for_tls(device: Client) -> None:
    """A log-in by EAP that wants a certificate (RFC 3748 section 5.3.1), which is refused."""
    name = USERNAME.encode()
    offer = (await device.eap(USERNAME, bytes([2, 1, 0, len(name) + 5, 1]) + name)).packet
    number = offer.first[codec.EAP_MESSAGE][1]
    answer = await device.eap(USERNAME, bytes([2, number, 0, 6, 3, 13]), offer.first[codec.STATE])
    assert answer.packet.code == codec.ACCESS_REJECT


@pytest.mark.parametrize(("width", "language"), [(1440, "en"), (390, "zh")])
async def test_each_finding(
    open_page: OpenPage, site: str, ps: PlatformScope, business: Business, engine: Engine, width: int, language: str
) -> None:
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, business))
    await page.goto(f"/t/{business.slug}/admin")
    await add(page, "Gate")
    identifier = f"rb-{secrets.token_hex(4)}"
    source = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(255)}.1"  # of no device of another test
    nothing, unknown, secret, unsigned, method, works = WORDS[language]
    state = page.locator("#state")
    await expect(state).to_contain_text(nothing)

    def client(secret: str, prove: bool = True) -> Client:
        ports = engine.auth_port, engine.acct_port
        return Client("127.0.0.1", *ports, secret, identifier, source=source, timeout=0.2, tries=1, prove=prove)

    async def unanswered(device: Client) -> None:
        async with device:
            with pytest.raises(NoAnswer):
                await device.pap(USERNAME, USER_PASSWORD)

    await unanswered(client("not-the-secret"))
    await expect(state).to_contain_text(unknown, timeout=20_000)
    await state.locator("form button").click()  # it is this one
    await expect(state).not_to_contain_text(unknown)
    await expect(page.locator("main")).to_contain_text(identifier)
    row = await business.scope.db.nas.one({"name": "Gate"})
    assert row["identifier"] == identifier
    await unanswered(client("not-the-secret"))
    await expect(state).to_contain_text(secret, timeout=20_000)
    known = business.scope.unseal(row["sealed_secret"])
    await unanswered(client(known, prove=False))
    await expect(state).to_contain_text(unsigned, timeout=20_000)
    if pictures := os.environ.get("SHOTS"):
        await page.screenshot(path=f"{pictures}/wizard-{width}-{language}.png", full_page=True)
    assert await page.evaluate(OVERFLOW) <= 0
    assert width > 1000 or await page.evaluate(SMALL) == []
    await state.locator("a.btn").click()
    await page.locator("#dialog form button[type=submit]").click()
    await expect(page.locator("#dialog")).to_be_hidden()
    assert (await nas.get(business.scope, row["_id"]))["message_authenticator"] == "optional"
    async with client(known) as device:
        await wish_for_tls(device)
        await expect(state).to_contain_text(method, timeout=20_000)
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted
        await expect(state).to_contain_text(works, timeout=20_000)
    await page.locator("#probe button").click()  # nobody listens there
    await expect(page.locator("#probe")).to_contain_text({"en": "does not answer", "zh": "没有应答"}[language])
    await expect(page.locator("#probe button")).to_be_focused()
    assert await faults(page) == [] and (width > 1000 or await page.evaluate(SMALL) == [])
    if pictures:
        await page.locator("#probe").screenshot(path=f"{pictures}/probe-{width}-{language}.png")
    assert await page.evaluate(OVERFLOW) <= 0
    assert not await state.get_attribute("hx-trigger")
