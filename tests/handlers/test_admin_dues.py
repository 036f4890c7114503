"""Reports of what is due: ends of plans, and arrears."""

from __future__ import annotations

from datetime import timedelta

import pytest

from saas.tenants import accounts
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.people import log_in
from tests.world import Business, make_business, set_account

EN = {"Accept_Language": "en"}


@pytest.fixture
async def business(ps: PlatformScope) -> Business:
    return await make_business(ps, "dues")


@pytest.fixture
async def bob(web: str, ps: PlatformScope, business: Business) -> Browser:
    return await log_in(web, ps, business, "bob")


@pytest.fixture
def admin(business: Business) -> str:
    return f"/t/{business.slug}/admin"


async def opened(business: Business, name: str, days: float, mobile: str = "") -> str:
    """An account that ends so many days from now."""
    form = QuickOpenForm(username=name, mobile=mobile, plan_id=business.plan["_id"])
    account, _ = await accounts.quick_open(business.scope, form, f"open-{name}")
    await set_account(business.scope, account["_id"], expires_at=utcnow() + timedelta(days=days))
    return account["_id"]


async def test_who_ends_soon_is_listed_with_whom_to_call(bob: Browser, admin: str, business: Business) -> None:
    for name, days in (("soon", 3), ("later", 20), ("over", -2), ("far", 90)):
        await opened(business, name, days, mobile="13800000007" if name == "soon" else "")
    page = text(await bob.get(f"{admin}/reports/ending", **EN)).split('id="list"')[1]
    assert ">soon<" in page and "13800000007" in page and "¥30.00 a month" in page
    assert all(f">{name}<" not in page for name in ("later", "over", "far"))
    page = text(await bob.get(f"{admin}/reports/ending?expires=month", **EN)).split('id="list"')[1]
    assert page.index(">soon<") < page.index(">later<") and ">over<" not in page
    page = text(await bob.get(f"{admin}/reports/ending?expires=past", **EN)).split('id="list"')[1]
    assert ">over<" in page and ">soon<" not in page
    csv = text(await bob.get(f"{admin}/reports/ending?format=csv", **EN))
    assert "13800000007" in csv and "later" not in csv


async def test_ends_are_counted_by_the_tenants_days(business: Business) -> None:
    await opened(business, "one", 3)
    await opened(business, "two", 3)
    counted = await accounts.ends_by_day(business.scope, 5)
    assert [count for _, count in counted] == [0, 0, 0, 2, 0]
    assert counted[1][0] - counted[0][0] == timedelta(days=1)


async def test_the_deepest_in_arrears_stands_first(bob: Browser, admin: str, business: Business) -> None:
    assert "Nobody is in arrears." in text(await bob.get(f"{admin}/reports/arrears", **EN))
    owed = {"little": -150, "much": -123456, "none": 500}
    for name, balance in owed.items():
        row = await accounts.get(business.scope, await opened(business, name, 9))
        await business.scope.db.members.update(row["member_id"], {"$set": {"balance": balance}})
    page = text(await bob.get(f"{admin}/reports/arrears", **EN))
    assert "¥1,236.06" in page  # owed in all
    rows = page.split('id="list"')[1]
    assert rows.index(">much<") < rows.index(">little<") and ">none<" not in rows
    rows = text(await bob.get(f"{admin}/members?owes=yes&sort=balance", **EN)).split('id="list"')[1]
    assert rows.index(">much<") < rows.index(">little<") and ">none<" not in rows


async def test_the_views_of_accounts_lead_to_arrears_and_online(bob: Browser, admin: str) -> None:
    page = text(await bob.get(f"{admin}/accounts", **EN))
    assert f'href="{admin}/members?owes=yes&amp;sort=balance"' in page and f'href="{admin}/online"' in page
