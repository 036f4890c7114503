"""Who had an address at a moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from saas.tenants import holders
from saas.tenants.holders import HolderForm
from saas.tenants.scope import PlatformScope, Scope
from saas.values import from_epoch
from tests.browser import Browser, text
from tests.handlers.people import log_in
from tests.tenants.accounting_events import T0, event, make_tenant, record_and_apply, session
from tests.world import Business, make_business

EN = {"Accept_Language": "en"}
ZONE = ZoneInfo("Asia/Shanghai")


def at(seconds: float) -> str:
    """Seconds after T0 on the tenant's clock."""
    return from_epoch(T0 + seconds).astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S")


async def who(scope: Scope, address: str, seconds: float) -> tuple[list[str], list[str]]:
    found = await holders.who_had(scope, HolderForm.model_validate({"address": address, "at": at(seconds)}))
    nearest = [each["username"] if each else "" for each in (found.before, found.after)]
    return [row["username"] for row in found.then], nearest


async def test_whose_it_was_at_that_moment_and_nobody_elses(ps: PlatformScope) -> None:
    scope = await make_tenant(ps)
    for begin, name, number in ((0, "ann", "1"), (1000, "ben", "2"), (5000, "cid", "3")):
        await record_and_apply(
            ps, *session(begin, (600, 1, 1), tenant_id=scope.tenant_id, username=name, session_id=number)
        )
    await record_and_apply(ps, event("start", 9000, tenant_id=scope.tenant_id, username="dan", session_id="4"))
    assert await who(scope, "10.0.0.5", 0) == (["ann"], ["", ""])
    assert await who(scope, "10.0.0.5", 600) == (["ann"], ["", ""])
    assert await who(scope, "10.0.0.5", 1599) == (["ben"], ["", ""])
    assert await who(scope, "aabb.ccdd.ee01", 5001) == (["cid"], ["", ""])
    assert await who(scope, "10.0.0.5", 601) == ([], ["ann", "ben"])
    assert await who(scope, "10.0.0.5", -10) == ([], ["", "ann"])
    assert await who(scope, "10.0.0.5", 9000) == (["dan"], ["", ""])
    assert await who(scope, "10.0.0.6", 0) == ([], ["", ""])
    other = await make_tenant(ps)
    assert await who(other, "10.0.0.5", 0) == ([], ["", ""])


async def test_two_devices_with_the_same_pool(ps: PlatformScope) -> None:
    scope = await make_tenant(ps)
    for name, nas_id in (("ann", "nas_1"), ("ben", "nas_2")):
        await record_and_apply(
            ps, *session(0, (600, 1, 1), tenant_id=scope.tenant_id, username=name, nas_id=nas_id, session_id=name)
        )
    found, _ = await who(scope, "10.0.0.5", 60)
    assert sorted(found) == ["ann", "ben"]


async def test_a_minute_is_all_of_it(ps: PlatformScope) -> None:
    scope = await make_tenant(ps)
    begin = 60 - T0 % 60 + 40  # forty seconds after a full minute
    await record_and_apply(ps, *session(begin, (5, 1, 1), tenant_id=scope.tenant_id, username="ann"))
    minute = datetime.fromisoformat(at(begin)).replace(second=0)
    for later, there in ((0, True), (60, False), (1, False)):
        form = HolderForm(address="10.0.0.5", at=minute + timedelta(seconds=later))
        assert bool((await holders.who_had(scope, form)).then) == there


@pytest.fixture
async def system(web: str, ps: PlatformScope) -> tuple[Business, Browser, str]:
    business = await make_business(ps, "who")
    return business, await log_in(web, ps, business, "bob"), f"/t/{business.slug}/admin"


async def test_the_page_answers_and_says_what_is_wrong(
    ps: PlatformScope, system: tuple[Business, Browser, str]
) -> None:
    business, browser, admin = system
    await record_and_apply(ps, *session(0, (600, 1, 1), tenant_id=business.id, nas_id=business.nas["_id"]))
    assert "Who had an address" in text(await browser.get(f"{admin}/sessions", **EN))
    page = f"{admin}/who-had"
    assert "Which account used an address" in text(await browser.get(page, **EN))
    answer = text(await browser.get(f"{page}?address=10.0.0.5&at={at(10)}", **EN))
    assert "alice" in answer and "East gate" in answer
    assert "The nearest before and after" in text(await browser.get(f"{page}?address=10.0.0.5&at={at(-99)}", **EN))
    assert "Nobody ever had" in text(await browser.get(f"{page}?address=10.0.0.9&at={at(10)}", **EN))
    for bad in ("address=&at=2026-11-23T10:00", "address=10.0.0.5&at=yesterday", "address=10.0.0.5&at="):
        answer = await browser.get(f"{page}?{bad}", **EN)
        assert answer.code == 200 and "is-invalid" in text(answer), bad
