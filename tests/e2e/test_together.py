"""Two people with one record, and one person who leaves a form: nothing that was typed is lost unasked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Dialog, Page, expect

from saas.tenants import login, operators
from saas.tenants.scope import PlatformScope
from tests.e2e.conftest import OpenPage
from tests.e2e.measure import faults
from tests.e2e.test_look import OVERFLOW, enter
from tests.world import PASSWORD, Business, make_business, signed_in

# Whose form it is, its field, what the first puts there, what the second does.
RECORDS = (
    ("accounts/{account}/line", "static_ip", "10.{n}.0.7", "10.{n}.0.8"),
    ("members/{member}/edit", "name", "Alice {n}", "Alicia {n}"),
    ("plans/{plan}/edit", "price", "3{n}.10", "3{n}.20"),
    ("nas/{nas}/edit", "name", "West gate {n}", "South gate {n}"),
    ("parameters/system", "system_name", "One Net {n}", "Two Net {n}"),
    ("groups/{group}/edit", "name", "Day shift {n}", "Night shift {n}"),
    ("operators/{operator}/edit", "name", "Carol {n}", "Carola {n}"),
    ("notices/texts/{text}", "subject", "Soon {n}", "Very soon {n}"),
    ("notices/webhook", "url", "https://one{n}.example.com/", "https://two{n}.example.com/"),
)

AWAY = "document.querySelector('.op-brand').click()"


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> AsyncIterator[Business]:
    yield await make_business(ps, "together")


@pytest.fixture(scope="module")
async def owner(ps: PlatformScope, shop: Business) -> str:
    return await signed_in(ps, shop)


@pytest.fixture(scope="module")
async def bob(ps: PlatformScope, shop: Business) -> str:
    """The operator's session."""
    form = login.LoginForm(login="bob", password=PASSWORD)
    return await login.open_session(ps, await login.operator(ps, shop.slug, form, "192.0.2.9"))


async def save(page: Page) -> None:
    await page.click("main #form button[type=submit] >> nth=0")


@pytest.mark.parametrize(
    ("n", "language", "width", "scripts"), [(1, "zh", 1440, True), (2, "en", 390, True), (3, "en", 390, False)]
)
async def test_the_second_is_told_and_keeps_what_was_typed(
    open_page: OpenPage,
    site: str,
    shop: Business,
    owner: str,
    bob: str,
    n: int,
    language: str,
    width: int,
    scripts: bool,
) -> None:
    first = await open_page(width=1440, language="en")
    second = await open_page(width=width, language=language, scripts=scripts)
    await enter(first, site, bob)
    await enter(second, site, owner)
    ids = {"account": shop.account["_id"], "member": shop.account["member_id"]}
    ids |= {
        "plan": shop.plan["_id"],
        "nas": shop.nas["_id"],
        "text": ("expiring-zh", "expired-zh", "payment-zh")[n - 1],
    }
    form = operators.GroupForm(name=f"Shift {n}", permissions=[])
    ids["group"] = (await operators.create_group(shop.scope, form))["_id"]
    person = operators.OperatorForm(login=f"carol-{n}", password=PASSWORD, group_id=ids["group"])
    ids["operator"] = (await operators.create(shop.scope, person))["_id"]
    for path, field, theirs, mine in RECORDS:
        address = f"/t/{shop.slug}/admin/{path.format(**ids)}"
        await first.goto(address)
        await second.goto(address)
        theirs, mine = (text.format(n=n) for text in (theirs, mine))
        await first.fill(f"main [name={field}]", theirs)
        await save(first)
        await expect(first.locator(".op-toast").first).to_be_visible()
        await second.fill(f"main [name={field}]", mine)
        await save(second)
        told = second.locator("main [role=alert]")
        await expect(told).to_contain_text({"zh": "他人修改", "en": "Someone else"}[language])
        await expect(told).to_contain_text("bob")
        await expect(told).to_contain_text(theirs)
        await expect(second.locator(f"main [name={field}]")).to_have_value(mine)
        assert await second.evaluate(OVERFLOW) <= 0
        if scripts and path.startswith("plans"):
            assert await faults(second) == []
        await save(second)
        await expect(second.locator(".op-toast").first).to_be_visible()
        await second.goto(address)
        await expect(second.locator(f"main [name={field}]")).to_have_value(mine)


@pytest.mark.parametrize("width", [1440, 390])
async def test_a_form_that_is_not_saved_is_not_left_unasked(
    open_page: OpenPage, site: str, shop: Business, owner: str, width: int
) -> None:
    page = await open_page(width=width, language="en")
    await enter(page, site, owner)
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    admin = f"/t/{shop.slug}/admin"
    await page.goto(f"{admin}/plans/new")
    await page.click("main [name=name]")
    await page.evaluate(AWAY)
    await page.wait_for_url(f"**{admin}")
    assert asked == []  # nothing was typed
    await page.goto(f"{admin}/plans/new")
    await page.click("main [name=name]")
    await page.keyboard.type("Half a plan")
    await page.evaluate(AWAY)
    await expect(page.locator("main [name=name]")).to_have_value("Half a plan")
    await page.fill("main [name=price]", "many")
    await save(page)
    await expect(page.locator("main .op-error")).to_be_visible()
    await page.evaluate(AWAY)
    await expect(page.locator("main [name=name]")).to_have_value("Half a plan")
    assert asked == ["beforeunload"] * 2
    await page.fill("main [name=name]", f"Whole plan {width}")
    await page.fill("main [name=price]", "10")
    await save(page)
    await expect(page.locator("h1")).to_have_text(f"Whole plan {width}")
    await page.goto(f"{admin}/plans/new")
    await page.fill("main [name=name]", "Given up")
    await page.click("main a[data-close]")
    await page.wait_for_url(f"**{admin}/plans")
    await page.fill(".op-filters [name=q]", "nothing to save")
    await page.goto(admin)
    assert len(asked) == 2
