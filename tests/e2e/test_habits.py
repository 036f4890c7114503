"""Habits of good software: the core without scripts, the keyboard, errors that have a number, no dead ends."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from playwright.async_api import Page, expect

from saas.handlers.app import make_app, serve
from saas.handlers.routes import CONSOLES, gather
from saas.tenants import login, operators
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import faults
from tests.e2e.test_look import OVERFLOW, enter
from tests.handlers.conftest import address
from tests.handlers.sample import ROUTES
from tests.handlers.test_every_route import ids_of, path_of
from tests.handlers.usage import online
from tests.world import PASSWORD, Business, make_business, signed_in

# What a form is sent by: somebody without scripts has nothing else.
MUTE = """() => [...document.querySelectorAll("main form")]
  .filter((form) => form.checkVisibility() && form.querySelector("input:not([type=hidden]), select"))
  .filter((form) => !form.querySelector("button[type=submit]")).map((form) => form.outerHTML.slice(0, 160))"""
FOCUS = """() => {
  const part = document.activeElement;
  const seen = [part, part.closest(".input-group, .ts-wrapper, label")].filter(Boolean).map(getComputedStyle)
    .some((look) => (look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2) || look.boxShadow !== "none");
  const box = part.getBoundingClientRect();
  return { seen: seen && box.width > 0 && box.right > 0, part: part.outerHTML.slice(0, 160) };
}"""


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    """A business with somebody online."""
    business = await make_business(ps, "habits")
    await online(ps, business, "habit-1")
    yield business
    await ps.kv.delete("hit:login:from:127.0.0.1")


async def menu(page: Page) -> list[str]:
    links = await page.locator(".op-nav a[href]").evaluate_all(
        "links => links.map((link) => link.getAttribute('href'))"
    )
    return sorted(set(links))


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("en", 1440)])
async def test_the_core_needs_no_scripts(open_page: OpenPage, shop: Business, language: str, width: int) -> None:
    page = await open_page(width=width, language=language, scripts=False)
    admin = f"/t/{shop.slug}/admin"
    await page.goto(f"/t/{shop.slug}/login")
    await page.fill("[name=login]", "bob")
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button[type=submit]")
    await page.wait_for_url(f"**{admin}")
    await page.fill("#find", "ali")
    await page.press("#find", "Enter")
    await page.wait_for_url("**/search?q=ali")
    await page.click("main .op-hit:has-text('alice') >> nth=0")
    await page.wait_for_url("**/accounts/acc_*")
    await expect(page.locator(".op-verdict-text")).to_be_visible()
    await page.click("main .op-actions a[href$='/renew']")
    await expect(page.locator("#preview .op-sum")).to_have_text("¥30.00")
    await page.click("main #form button[type=submit]")
    await page.wait_for_url("**/accounts/acc_*")
    await expect(page.locator(".op-toast").first).to_be_visible()
    for path in await menu(page):
        answer = await page.goto(path)
        assert answer and answer.status == 200, path
        await expect(page.locator("main h1")).to_be_visible()
        assert await page.evaluate(MUTE) == [], path
        assert await page.evaluate(OVERFLOW) <= 0, path


async def test_a_page_is_walked_through_by_keys(
    open_page: OpenPage, ps: PlatformScope, site: str, shop: Business
) -> None:
    """The first stop leads past the menu; every further one is seen."""
    page = await open_page(width=1440, language="en")
    await enter(page, site, await signed_in(ps, shop))
    await page.goto(f"/t/{shop.slug}/admin/plans")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#content")).to_be_focused()
    for name in ("accounts", "nas/new", f"accounts/{shop.account['_id']}"):
        await page.goto(f"/t/{shop.slug}/admin/{name}")
        await page.focus("#content")
        unseen = []
        for _ in range(25):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement === document.body"):
                break  # past the last one
            focus = await page.evaluate(FOCUS)
            unseen += [] if focus["seen"] else [focus["part"]]
        assert unseen == [], name


async def test_errors_have_a_number_that_the_log_has_too(
    open_page: OpenPage,
    ps: PlatformScope,
    shop: Business,
    expect_log: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "saas.handlers.app")
    expect_log("request [0-9a-f]{16} GET .*/sample/broken")
    broken = [replace(route, console=CONSOLES[1]) for route in ROUTES if route.path == "/sample/broken"]
    server = serve(make_app(ps.services, routes=gather() + broken), "127.0.0.1", 0)
    site = address(server)
    page = await open_page(width=390, language="zh")
    group = await operators.create_group(shop.scope, operators.GroupForm(name="nothing", permissions=[]))
    person = operators.OperatorForm(login="newcomer", password=PASSWORD, group_id=group["_id"])
    await operators.create(shop.scope, person)
    form = login.LoginForm(login="newcomer", password=PASSWORD)
    token = await login.open_session(ps, await login.operator(ps, shop.slug, form, "192.0.2.10"))
    await enter(page, site, token)
    admin = f"{site}/t/{shop.slug}/admin"
    numbers = re.findall("<code>([0-9a-f]{16})<", await (await page.request.get(f"{admin}/sample/broken")).text())
    for path, status in (("plans", 403), ("nowhere", 404)):
        answer = await page.goto(f"{admin}/{path}")
        assert answer and answer.status == status
        numbers.append(await page.inner_text("main code"))
        assert await faults(page) == []
        await expect(page.locator("main a.btn").first).to_be_visible()  # the way on
    assert len(numbers) == 3
    for number in numbers:
        assert any(number in record.getMessage() for record in caplog.records)
    server.stop()
    await server.close_all_connections()


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("en", 1440)])
async def test_a_form_that_comes_back_with_errors_is_as_easy_to_use(
    open_page: OpenPage, ps: PlatformScope, site: str, language: str, width: int
) -> None:
    """What has to be filled in is left empty, and each form is sent as a browser that does not check would."""
    business = await make_business(ps, "wrong")
    page = await open_page(width=width, language=language)
    await enter(page, site, await signed_in(ps, business))
    wrong: list[str] = []
    seen = 0
    for path in await form_paths(ps, business):
        await page.goto(path)
        form = page.locator("main form.op-form[method=post]:has(:is(input, textarea)[required])").first
        if not await form.count():
            continue
        await form.evaluate("""(form) => {
          form.noValidate = true;
          form.querySelectorAll(":is(input, textarea)[required]").forEach((part) => (part.value = ""));
        }""")
        async with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
            await form.locator("button[type=submit]").first.click()
        assert (await answer.value).status == 422, path
        await expect(page.locator("main .op-invalid").first).to_be_visible()
        wrong += [f"{path}: {fault}" for fault in await faults(page)]
        wrong += [f"{path}: too wide"] if await page.evaluate(OVERFLOW) > 0 else []
        seen += 1
    assert not wrong, "\n".join(wrong)
    assert seen > 12


async def form_paths(ps: PlatformScope, business: Business) -> list[str]:
    """The pages with a form to fill in; those of bulk operations need a choice, and are of a test of their own."""
    ids = await ids_of(ps, business)
    routes = [route for route in gather() if route.console.name == "admin" and "POST" in route.guards]
    pages = [route for route in routes if "GET" in route.guards and "/bulk/" not in route.path]
    return [path_of(route, business, ids) for route in pages]
