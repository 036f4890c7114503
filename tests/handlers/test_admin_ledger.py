"""The ledger's page."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from saas.tenants import ledger
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.world import Business, make_business, signed_in

EN = {"Accept_Language": "en"}


@pytest.fixture
async def page(own: Business) -> str:
    """The page's path; a refund is in the books."""
    scope, member_id = own.scope, own.account["member_id"]
    await ledger.post(scope, "refund", -1234, key="refund-1", member_id=member_id, note="too slow")
    return f"/t/{own.slug}/admin/ledger"


async def test_entries_are_shown_with_both_balances(boss: Browser, page: str) -> None:
    shown = text(await boss.get(f"{page}?q=refund-1", **EN))
    for words in ("Refund", '<span class="op-negative">-¥12.34</span>', "¥0.00", "too slow", "alice"):
        assert words in shown, words
    assert ",refund-1\r\n" in text(await boss.get(f"{page}?q=refund-1&format=csv", **EN))


async def test_a_discount_is_shown(boss: Browser, page: str, own: Business) -> None:
    sold = ledger.sale(3000, 2500, "cash", "Sold for less")
    told = {"member_id": own.account["member_id"], "account_id": own.account["_id"]}
    await ledger.book(own.scope, sold, key="sale", **told)
    assert "¥5.00" in text(await boss.get(f"{page}?q=sale:2", **EN))
    assert "¥5.00" not in text(await boss.get(f"{page}?q=refund-1", **EN))


async def test_entries_are_found_by_key_name_kind_and_day(boss: Browser, page: str) -> None:
    async def kinds(query: str) -> list[str]:
        answer = text(await boss.get(f"{page}?{query}&format=csv", **EN))
        return sorted({line.split(",")[2] for line in answer.splitlines()[1:]})

    assert await kinds("q=refund-1") == ["Refund"]
    assert await kinds("q=alice") == ["Charge", "Payment", "Refund"]
    assert await kinds("q=ALICE&kind=charge") == ["Charge"]
    assert await kinds("q=alice&method=cash") == ["Payment"]
    assert await kinds("q=nobody-has-this") == []
    today, tomorrow = (f"{utcnow() + timedelta(days=n):%Y-%m-%d}" for n in (0, 2))
    assert await kinds(f"since={today[:8]}01&q=refund-1") == ["Refund"]
    assert await kinds(f"since={tomorrow}&q=refund-1") == []
    assert await kinds("until=2001-01-01&q=refund-1") == []


@pytest.mark.parametrize("query", ["kind=bribe", "since=yesterday", "until=2026-13-01", "since=20260101", "member=x"])
async def test_a_filter_that_makes_no_sense_is_refused(boss: Browser, page: str, query: str) -> None:
    assert (await boss.get(f"{page}?{query}")).code == 400


async def test_money_in_the_export_is_bare(boss: Browser, page: str) -> None:
    rows = text(await boss.get(f"{page}?q=refund-1&format=csv", **EN)).splitlines()
    assert ",Refund,-12.34,0.00,-12.34,," in rows[1]


async def test_what_a_name_or_some_days_come_to(ps: PlatformScope, web: str) -> None:
    """By kind; over everything there is no sum, which would take too long where there is much."""
    shop = await make_business(ps, "sums")
    browser = Browser(web)
    browser.cookies["session"] = await signed_in(ps, shop)
    member_id = shop.account["member_id"]
    for key, kind, amount in (("a", "payment", 500), ("b", "refund", -700), ("c", "gift", 100)):
        await ledger.post(shop.scope, kind, amount, key=key, method="wechat" if key == "a" else "", member_id=member_id)

    async def sums(query: str) -> list[str]:
        shown = text(await browser.get(f"/t/{shop.slug}/admin/ledger{query}", **EN))
        return re.findall(r"-?¥[\d.]+", shown.partition('id="totals"')[2].partition('id="list"')[0])

    assert await sums("") == await sums("?kind=refund") == []
    assert await sums("?q=alice") == ["¥35.00", "-¥30.00", "-¥7.00", "¥1.00"]
    assert await sums(f"?since={utcnow() - timedelta(days=1):%Y-%m-%d}&kind=gift") == ["¥1.00"]
    assert await sums("?q=nobody-has-this") == []
