"""The pages of reports: chart, table, sums beside the days before, export, links to what is behind."""

from __future__ import annotations

import pytest

from saas.handlers.admin.reports import ROUTES
from tests.browser import Browser, text
from tests.world import Business

EN = {"Accept_Language": "en"}


@pytest.mark.parametrize("path", [route.path for route in ROUTES])
async def test_every_report_opens_and_is_exported(boss: Browser, own: Business, path: str) -> None:
    base = f"/t/{own.slug}/admin{path}"
    answer = await boss.get(base, **EN)
    assert answer.code == 200
    for name in ("csv", "xlsx"):
        exported = await boss.get(f"{base}?format={name}&period=month", **EN)
        assert exported.code == 200 and exported.body


async def test_revenue_by_day_leads_to_its_payments(boss: Browser, own: Business) -> None:
    base = f"/t/{own.slug}/admin"
    shown = text(await boss.get(f"{base}/reports/revenue?period=week", **EN))
    for words in ("¥30.00", "before: ¥0.00", "Taken in", "By operator", "period=week", "data-chart"):
        assert words in shown, words
    link = shown.split('href="' + base + "/payments?since=")[1].split('"')[0]
    assert "¥30.00" in text(await boss.get(f"{base}/payments?since={link.replace('&amp;', '&')}", **EN))


async def test_days_that_are_none_are_refused(boss: Browser, own: Business) -> None:
    answer = await boss.get(f"/t/{own.slug}/admin/reports/growth?since=yesterday", **EN)
    assert answer.code == 400
