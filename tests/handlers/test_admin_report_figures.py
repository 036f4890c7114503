"""Each report as its export has it, of a day whose figures were added up by hand."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from saas.permissions import ALL
from saas.tenants import accounts, ledger, life, plans, purchases, redemptions, refusals, wallet
from saas.tenants.refusals import Refusal
from saas.tenants.scope import Actor, PlatformScope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.usage import ended
from tests.tenants.card_cast import make
from tests.world import Business, make_business, set_account, signed_in


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> Business:
    """What two people did in a day: see the figures of each test."""
    shop = await make_business(ps, "by-hand")
    bob = ps.enter(shop.scope.tenant, Actor("operator", shop.operator["_id"], "bob", "192.0.2.2"), ALL)
    yearly = await plans.create(shop.scope, plans.PlanForm.model_validate({"name": "Yearly", "price": "365.00"}))
    opening = accounts.QuickOpenForm(username="carol", plan_id=yearly["_id"], method="wechat", name="Carol")
    carol, _ = await accounts.quick_open(bob, opening, "carol")
    again = purchases.RenewForm.model_validate({"units": 2, "method": "alipay", "paid": "55.00"})
    await life.perform(shop.scope, purchases.RENEW, shop.account["_id"], again, "again")
    cards = await make(shop.scope, kind="plan", plan_id=shop.plan["_id"], units=1, price="30.00")
    card = redemptions.RedeemForm(code=cards.codes[0], account_id=shop.account["_id"])
    await redemptions.redeem(shop.scope, shop.account["member_id"], card, "card")
    await wallet.top_up(bob, carol["member_id"], wallet.TopUpForm(amount=10000), "top-up")
    back = wallet.BalanceForm(change="pay_out", amount=4000, method="cash", note="moved away")
    await wallet.change(bob, carol["member_id"], back, "back")
    await ledger.post(shop.scope, "charge", -7000, key="use", member_id=carol["member_id"])
    await ended(ps, shop, "s1", "User-Request")
    facts: dict[str, Any] = {"tenant_id": shop.id, "nas_id": shop.nas["_id"], "username": "alice", "data": {}}
    facts |= {"account_id": "", "method": "pap", "calling_station_id": "", "source": "192.0.2.1"}
    for reason in ("expiry", "password", "expiry"):
        await refusals.keep(ps, [Refusal(reason=reason, at=utcnow().timestamp(), **facts)])
    await set_account(shop.scope, carol["_id"], expires_at=utcnow() + timedelta(days=2))
    return shop


@pytest.fixture
async def boss(web: str, ps: PlatformScope, shop: Business) -> Browser:
    browser = Browser(web)
    browser.cookies["session"] = await signed_in(ps, shop)
    return browser


async def exported(boss: Browser, shop: Business, report: str) -> list[list[str]]:
    """The rows of a report, without its head."""
    mark = "&" if "?" in report else "?"
    answer = await boss.get(f"/t/{shop.slug}/admin/reports/{report}{mark}format=csv", Accept_Language="en")
    assert answer.code == 200 and answer.body.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))[1:]


def summed(rows: list[list[str]]) -> list[float]:
    """Days added up: how many there are is not what is tested here."""
    return [sum(float(cell) for cell in column) for column in list(zip(*rows, strict=True))[1:]]


async def test_revenue(boss: Browser, shop: Business) -> None:
    """In cash 30 + 100, by WeChat 365, by Alipay 55, by card 30; out 40. Sold: 30 + 55 + 30, 365, and use of 70."""
    assert summed(await exported(boss, shop, "revenue")) == [580, 40, 540, 550]
    assert await exported(boss, shop, "revenue/plans") == [
        ["Yearly", "365.00"],
        ["Monthly", "115.00"],
        ["Not recorded", "70.00"],
    ]
    assert await exported(boss, shop, "revenue/operators") == [
        ["bob", "465.00", "40.00", "425.00"],
        [shop.email, "115.00", "0.00", "115.00"],
    ]
    assert await exported(boss, shop, "revenue/methods") == [
        ["WeChat", "365.00", "0.00", "365.00"],
        ["Cash", "130.00", "40.00", "90.00"],
        ["Alipay", "55.00", "0.00", "55.00"],
        ["Recharge card", "30.00", "0.00", "30.00"],
    ]


async def test_growth_traffic_and_refusals(boss: Browser, shop: Business) -> None:
    """Opened: alice and carol. Renewed: alice, paid and by a card. A session of 6 MiB up and 4 GiB down."""
    assert summed(await exported(boss, shop, "growth")) == [2, 2, 0]
    assert summed(await exported(boss, shop, "traffic")) == [4 << 30, 6 << 20, 1]
    assert await exported(boss, shop, "traffic/users") == [["alice", str(4 << 30), str(6 << 20)]]
    assert await exported(boss, shop, "refusals") == [["Plan expired", "2"], ["Wrong password", "1"]]
    assert await exported(boss, shop, "refusals/devices") == [["East gate", "3"]]
    assert summed(await exported(boss, shop, "refusals/days")) == [3]


async def test_what_is_due(boss: Browser, shop: Business) -> None:
    """Carol's plan ends in two days; of 100 she got 40 back and used 70."""
    (due,) = await exported(boss, shop, "ending")
    assert due[0] == "carol" and due[3] == "Yearly" and due[-1] == "-10.00"
    assert [row[0] for row in await exported(boss, shop, "arrears")] == ["carol"]
    page = text(await boss.get(f"/t/{shop.slug}/admin/reports/arrears", Accept_Language="en"))
    assert page.count("op-stat-value") == 2 and "¥10.00" in page


async def test_a_lapsed_account_is_counted_on_its_day(ps: PlatformScope, web: str) -> None:
    other = await make_business(ps, "lapsed")
    await set_account(other.scope, other.account["_id"], expires_at=utcnow() - timedelta(seconds=1))
    browser = Browser(web)
    browser.cookies["session"] = await signed_in(ps, other)
    assert summed(await exported(browser, other, "growth")) == [1, 0, 1]
