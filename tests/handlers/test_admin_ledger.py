"""The ledger's page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from saas.tenants import ledger
from saas.values import utcnow
from tests.browser import Browser, text
from tests.world import Business

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
