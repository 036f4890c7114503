"""The console's first page."""

from __future__ import annotations

import time

import pytest

from saas.tenants import engines, nas, operators, refusals
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.people import new_system, operator_browser
from tests.handlers.usage import online
from tests.world import Business

EN = {"Accept_Language": "en"}


@pytest.fixture
def page(own: Business) -> str:
    return f"/t/{own.slug}/admin"


def report(pool: str, worker: str) -> engines.EngineReport:
    now = time.time()
    return engines.EngineReport(
        pool, worker, "radius.example.net", 11812, 11813, 12083, "running", "9.8.7", now, now, auth_rate=12.34
    )


async def test_figures_lead_to_their_lists(boss: Browser, page: str, own: Business, ps: PlatformScope) -> None:
    await online(ps, own, "home-1")
    refusal = refusals.Refusal(
        own.id, own.nas["_id"], "stranger", "", "account", {}, "pap", "", "203.0.113.7", time.time()
    )
    await refusals.keep(ps, [refusal] * 3)
    shown = text(await boss.get(page, **EN))
    for path in ("/online", "/accounts", "/nas", "/nas/new", "/accounts/open"):
        assert f'href="{page}{path}"' in shown, path
    for words in ("Own", "Business", "Refused today", "No such account", "unlimited"):
        assert words in shown, words
    assert "First steps" not in shown


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
    assert "Online now" in shown
    for path in ("/online", "/accounts", "/nas", "/accounts/open"):
        assert f'href="{page}{path}"' not in shown, path
