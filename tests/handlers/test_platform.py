"""The platform's console."""

from __future__ import annotations

import inspect
import re
import secrets
import time

import pytest

from saas.handlers.words import UNKNOWN_CAUSES
from saas.radius import identify
from saas.tenants import engines, health, login, platform, refusals, schedules
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.world import PASSWORD, World, make_business

EN = {"Accept_Language": "en"}


@pytest.fixture
async def staff(web: str, ps: PlatformScope) -> Browser:
    """A browser of the platform's staff."""
    email = f"{secrets.token_hex(4)}@platform.example.com"
    await platform.create_cloud_account(ps, platform.OwnerForm(email=email, password=PASSWORD), platform=True)
    session = await login.cloud(ps, login.LoginForm(login=email, password=PASSWORD), email)
    browser = Browser(web)
    browser.cookies["session"] = await login.open_session(ps, session)
    return browser


async def test_tenants_are_listed_and_searched(staff: Browser, cast: World) -> None:
    shown = text(await staff.get(f"/platform?q={cast.acme.slug}", **EN))
    for words in (cast.acme.slug, "Acme", "Business", "Running", f"/platform/tenants/{cast.acme.id}"):
        assert words in shown, words
    assert cast.zeta.slug not in shown
    assert cast.acme.id not in text(await staff.get(f"/platform?q={cast.acme.slug}&status=stopped"))
    assert cast.acme.id not in text(await staff.get(f"/platform?q={cast.acme.slug}&tier=free"))
    assert cast.acme.id in text(await staff.get(f"/platform?q={cast.acme.slug}&tier=business&pool=shared"))
    assert (await staff.get("/platform?status=asleep")).code == 400


async def test_a_tenants_page_shows_what_it_uses_and_nothing_of_its_own(staff: Browser, cast: World) -> None:
    shown = text(await staff.get(f"/platform/tenants/{cast.zeta.id}", **EN))
    for words in ("Zeta", cast.zeta.slug, cast.zeta.email, "Business", "1 / unlimited", "Asia/Shanghai"):
        assert words in shown, words
    assert "alice" not in shown and "East gate" not in shown
    assert (await staff.get("/platform/tenants/ten_unknown")).code == 404


async def test_a_tenant_is_stopped_and_runs_again(staff: Browser, web: str, ps: PlatformScope) -> None:
    business = await make_business(ps, "late")
    page = f"/platform/tenants/{business.id}"
    wrong = await staff.post(f"{page}/stop", {"confirm": "another"})
    assert wrong.code == 422
    assert (await platform.get(ps, business.id))["status"] == "active"
    assert (await staff.post(f"{page}/stop", {"confirm": business.slug})).code == 303
    assert (await platform.get(ps, business.id))["status"] == "stopped"
    shown = text(await staff.get(page, **EN))
    assert "Stopped" in shown and f"{page}/resume" in shown and f"{page}/stop" not in shown

    owner = Browser(web)
    session = await login.cloud(ps, login.LoginForm(login=business.email, password=PASSWORD), business.slug)
    owner.cookies["session"] = await login.open_session(ps, session)
    console = f"/t/{business.slug}/admin"
    stopped = await owner.get(console, **EN)
    assert stopped.code == 403 and "This system is stopped." in text(stopped)
    assert (await staff.post(f"{page}/resume")).code == 303
    assert (await owner.get(console)).code == 200

    logged = text(await staff.get(f"/platform/log?q={business.slug}", **EN))
    assert "Stopped a tenant" in logged and "Let a tenant run again" in logged
    entry = re.findall(r"/platform/log/(aud_\w+)", logged)[0]
    shown = text(await staff.get(f"/platform/log/{entry}", **EN))
    assert "Let a tenant run again" in shown and "Status" in shown


def test_there_are_words_for_whatever_the_engine_says_of_unknown_devices() -> None:
    said = set(re.findall(r'(?:reason = |BadPacket\()"(\w+)"', inspect.getsource(identify)))
    said |= set(re.findall(r'else "(\w+)"\)', inspect.getsource(identify)))
    assert {"unknown_nas", "bad_authenticator"} <= said <= set(UNKNOWN_CAUSES)


async def test_the_jobs_and_what_waits_for_them(staff: Browser, ps: PlatformScope) -> None:
    await health.beat(ps, health.Beat("notes", "here:1", time.time(), 0.1, 1234, "ValueError: <once>"))
    shown = text(await staff.get("/platform/jobs", **EN))
    for words in (
        "Keep refusals, unknown devices and learnt lines",
        "here:1",
        "1,234",
        "ValueError: &lt;once&gt;",
        "wait to be applied",
    ):
        assert words in shown


async def test_the_jobs_of_each_tenant_failed_ones_first(staff: Browser, ps: PlatformScope, cast: World) -> None:
    now = utcnow()
    await schedules.enrol(ps, now)
    ran = {"last_at": now, "took": 1.234, "failures": 2, "error": "ValueError: no <b>"}
    await cast.zeta.scope.db.schedules.update_one({"job": "day_sums"}, {"$set": ran})
    shown = text(await staff.get("/platform/jobs", **EN))
    for words in ("Reckon the sums of the day", "daily at 00:10", "ValueError: no &lt;b&gt;", "1.23", "Failed"):
        assert words in shown, words
    assert shown.index(f">{cast.zeta.slug}<") < shown.index("Waiting")
    one = text(await staff.get(f"/platform/jobs?job=day_sums&q={cast.zeta.slug}", **EN))
    assert f">{cast.zeta.slug}<" in one and f">{cast.acme.slug}<" not in one
    assert f"{cast.zeta.slug},failed" in text(await staff.get("/platform/jobs?format=csv", **EN))


async def test_the_engines_of_every_pool(staff: Browser, ps: PlatformScope) -> None:
    now = time.time()
    for pool in ("north", "south"):
        await engines.heartbeat(
            ps,
            engines.EngineReport(pool, f"{pool}:1", f"{pool}.example.net", 1812, 1813, 0, "running", "9.9", now, now),
        )
    shown = text(await staff.get("/platform/engines", **EN))
    for words in ("north:1", "south:1", "north.example.net", "1812 / 1813", "9.9", "Running"):
        assert words in shown, words


async def test_unknown_devices(staff: Browser, ps: PlatformScope) -> None:
    now = time.time()
    knock = refusals.UnknownNas("knock-pool", "198.51.100.3", "rb-<b>7", "bad_authenticator", 14, now)
    await refusals.keep(ps, [knock, refusals.UnknownNas("knock-pool", "198.51.100.4", "", "unknown_nas", 1, now)])
    shown = text(await staff.get("/platform/unknown?pool=knock-pool", **EN))
    for words in ("198.51.100.3", "rb-&lt;b&gt;7", "Wrong shared secret", "14", "Not registered"):
        assert words in shown, words
    shown = text(await staff.get("/platform/unknown?q=198.51.100.4", **EN))
    assert "198.51.100.4" in shown and "198.51.100.3" not in shown


async def test_a_tenants_owner_finds_no_platform(owner: Browser, cast: World) -> None:
    for path in ("", f"/tenants/{cast.acme.id}", "/engines", "/unknown", "/jobs", "/log"):
        assert (await owner.get(f"/platform{path}")).code == 303, path
    assert (await owner.post(f"/platform/tenants/{cast.zeta.id}/stop", {"confirm": cast.zeta.slug})).code == 303


async def test_staff_has_no_business_in_a_tenants_console(staff: Browser, cast: World) -> None:
    answer = await staff.get(f"/t/{cast.acme.slug}/admin")
    assert answer.code == 303 and "/login" in answer.headers["Location"]
