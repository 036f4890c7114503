"""The console's first page."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest

from saas.tenants import accounts, bulk, engines, nas, operators, overview, refusals, sums
from saas.tenants.forms import Form
from saas.tenants.schedules import Occasion
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.people import new_system, operator_browser
from tests.handlers.usage import online
from tests.world import Business, set_account

EN = {"Accept_Language": "en"}


@pytest.fixture
def page(own: Business) -> str:
    return f"/t/{own.slug}/admin"


def report(pool: str, worker: str) -> engines.EngineReport:
    now = time.time()
    return engines.EngineReport(
        pool, worker, "radius.example.net", 11812, 11813, 12083, "running", "9.8.7", now, now, auth_rate=12.34
    )


async def test_every_figure_leads_to_the_list_that_it_counts(
    boss: Browser, page: str, own: Business, ps: PlatformScope
) -> None:
    await online(ps, own, "home-1")
    refusal = refusals.Refusal(
        own.id, own.nas["_id"], "stranger", "", "account", {}, "pap", "", "203.0.113.7", time.time()
    )
    await refusals.keep(ps, [refusal] * 3)
    for number, (status, days) in enumerate((("normal", -1), ("normal", 3), ("suspended", 3), ("closed", 3))):
        form = accounts.QuickOpenForm(username=f"home-{number}", plan_id=own.plan["_id"])
        account, _ = await accounts.quick_open(own.scope, form, f"{own.slug}-{number}")
        ends = utcnow() + timedelta(days=days)
        await set_account(own.scope, account["_id"], status=status, expires_at=ends)
    await own.scope.kv.delete("figures")
    shown = text(await boss.get(page, **EN))
    found = re.findall(
        r'op-stat" href="([^"]+)">.*?op-stat-label">([^<]+)<.*?op-stat-value">([^<]+)<', shown, re.DOTALL
    )
    assert [(title, figure) for _, title, figure in found] == [
        ("Online now", "1"),
        ("Opened today", "5"),
        ("Taken in today", "¥150.00"),
        ("Refused today", "3"),
        ("Accounts", "4"),
        ("End within 7 days", "1"),
        ("Expired", "1"),
        ("Suspended", "1"),
    ]
    for href, title, figure in found:
        behind = text(await boss.get(href.replace("&amp;", "&"), **EN))
        rows = behind.split("<tbody>")[1].count("<tr")
        assert rows == {"Taken in today": 5, "Refused today": 1}.get(title, int(figure.strip("¥").split(".")[0])), title
    for path in ("/nas/new", "/accounts/open"):
        assert f'href="{page}{path}"' in shown, path
    for words in ("Own", "Business", "No such account", "unlimited", "As of ", "End next", "home-1"):
        assert words in shown, words
    assert "First steps" not in shown


async def test_what_did_not_work_and_who_is_silent(boss: Browser, page: str, own: Business, ps: PlatformScope) -> None:
    assert "Did not work" not in text(await boss.get(page, **EN))
    run = await bulk.ask(own.scope, "resume", Form(), bulk.Choice(ids=[own.account["_id"]]), "home")
    await bulk.end(own.scope, run["_id"], "stopped", "denied")
    hour_ago = time.time() - 3600
    seen = engines.DeviceCount(own.id, own.nas["_id"], hour_ago, accepted=1)
    await engines.heartbeat(ps, report("elsewhere", "far:2"), [seen])
    await own.scope.kv.delete("figures")
    shown = text(await boss.get(page, **EN))
    assert "Did not work" in shown and f'href="{page}/bulk/{run["_id"]}"' in shown
    assert "Silent devices" in shown and f'href="{page}/nas/{own.nas["_id"]}"' in shown
    waiting = await bulk.ask(own.scope, "resume", Form(), bulk.Choice(ids=[own.account["_id"]]), "home-2")
    alerts = text(await boss.get(f"{page}/alerts", **EN))
    for path in (f"bulk/{run['_id']}", f"nas/{own.nas['_id']}", f"bulk/{waiting['_id']}"):
        assert f'href="{page}/{path}"' in alerts
    assert "<b>2</b>" in alerts and "Under way" in alerts  # what is under way needs no look
    await bulk.end(own.scope, waiting["_id"], "cancelled")


async def test_curves_are_drawn_of_what_jobs_reckoned(boss: Browser, page: str, own: Business) -> None:
    assert "data-chart" not in text(await boss.get(page, **EN))
    scope, now = own.scope, utcnow()
    for ago in (20, 10):
        await overview.count_online(scope, Occasion(now, now, now - timedelta(minutes=ago)))
    for ago in (3, 2):
        await sums.reckon(scope, (now - timedelta(days=ago)).date())
    shown = text(await boss.get(page, **EN))
    assert [name for name in ("Online users, last 24 hours", "Traffic by day", "Payments by day") if name in shown] == [
        "Online users, last 24 hours",
        "Traffic by day",
        "Payments by day",
    ]
    assert "&#34;values&#34;: [1, 1]" in shown and "echarts.simple.min.js" in shown


async def test_the_engines_of_the_own_pool(web: str, ps: PlatformScope) -> None:
    tenant, browser = await new_system(web, ps, pool="home-pool")
    path = f"/t/{tenant.tenant['slug']}/admin"
    assert "No RADIUS engine is running." in text(await browser.get(path, **EN))
    await engines.heartbeat(ps, report("home-pool", "near:1"))
    await engines.heartbeat(ps, report("another-pool", "far:1"))
    shown = text(await browser.get(path, **EN))
    for words in ("radius.example.net", "11812", "11813", "12083", "near:1", "12.3/s", "9.8.7", "Running"):
        assert words in shown, words
    assert "far:1" not in shown


async def test_the_first_steps_until_the_first_session(web: str, ps: PlatformScope) -> None:
    tenant, browser = await new_system(web, ps)
    path = f"/t/{tenant.tenant['slug']}/admin"

    async def steps() -> tuple[int, int]:
        """Done, in all."""
        shown = text(await browser.get(path, **EN))
        return shown.count('<li class="done">'), shown.count("op-first-mark")

    shown = text(await browser.get(path, **EN))
    assert "First steps" in shown and "0 / 3" in shown and "0 / 50" in shown
    assert await steps() == (0, 5)
    device = await nas.create(tenant, nas.NasForm(name="First", vendor="standard"))
    assert await steps() == (1, 5)
    seen = engines.DeviceCount(tenant.tenant_id, device["_id"], time.time(), accepted=1)
    await engines.heartbeat(ps, report("home-pool", "near:2"), [seen])
    assert await steps() == (2, 5)


async def test_someone_without_permissions_sees_figures_only(web: str, ps: PlatformScope, own: Business) -> None:
    group = await operators.create_group(own.scope, operators.GroupForm(name="guests", permissions=[]))
    browser = await operator_browser(web, ps, own, "guest", group["_id"])
    page = f"/t/{own.slug}/admin"
    shown = text(await browser.get(page, **EN))
    assert "Online now" in shown and "Taken in today" not in shown and "Payments by day" not in shown
    for path in ("/online", "/accounts", "/nas", "/accounts/open"):
        assert f'href="{page}{path}"' not in shown, path
