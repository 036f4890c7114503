"""Changing the speed of a session: the form, the device's answers in plain words, back to the plan, who may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from saas.permissions import Permission
from saas.tenants import disconnects, nas, operators, plans, sessions
from saas.tenants.disconnects import CommandResult
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.people import log_in, operator_browser
from tests.handlers.test_admin_online import EN, POOL, engine
from tests.handlers.usage import ended, online
from tests.world import Business, make_business

FASTER = {"up_rate": "5", "down_rate": "20.5"}


@pytest.fixture
async def business(ps: PlatformScope) -> Business:
    """A business in a pool of its own, its plan with 2 and 10 Mbit/s."""
    made = await make_business(ps, "speed")
    tenant = await ps.db.tenants.update(made.id, {"$set": {"pool": POOL}})
    scope = ps.enter(tenant, made.scope.actor)
    form = plans.form_of(made.plan) | {"up_rate": 2, "down_rate": 10}
    await plans.update(scope, made.plan["_id"], plans.PlanForm.model_validate(form))
    return replace(made, scope=scope)


@pytest.fixture
async def bob(web: str, ps: PlatformScope, business: Business) -> Browser:
    """A browser of its operator."""
    return await log_in(web, ps, business, "bob")


async def page_after(browser: Browser, path: str, fields: dict[str, str]) -> str:
    """What is read after the form was sent."""
    answer = await browser.post(path, fields, **EN)
    assert answer.code == 303, text(answer)
    return text(await browser.get(answer.headers["Location"], **EN))


async def test_the_device_takes_the_new_speed_and_goes_back_to_the_plans(
    bob: Browser, business: Business, ps: PlatformScope
) -> None:
    row = await online(ps, business, "sp-1")
    sessions = f"/t/{business.slug}/admin/sessions"
    path = f"{sessions}/{row['_id']}/speed"
    for origin in (f"{sessions}/{row['_id']}", f"/t/{business.slug}/admin/online"):
        assert f'href="{path}"' in text(await bob.get(origin, **EN)), origin
    form = text(await bob.get(path, **EN))
    assert "2 Mbps up, 10 Mbps down" in form and "as it began" in form and 'value="10"' in form
    ack = CommandResult("ack", 1, rtt_ms=12, address="203.0.113.7:3799")
    async with engine(ps, lambda command: ack) as taken:
        page = await page_after(bob, path, FASTER)
        assert "The device has accepted: 5 Mbps up, 20.5 Mbps down from now on." in page
        assert "Answered after 12 ms by 203.0.113.7:3799." in page and 'value="20.5"' in page
        detail = text(await bob.get(f"{sessions}/{row['_id']}", **EN))
        assert "5 Mbps up, 20.5 Mbps down" in detail and "Requests to the device" in detail
        page = await page_after(bob, f"{path}/plan", {})
        assert "The device has accepted: 2 Mbps up, 10 Mbps down from now on." in page
    asked = [(command.kind, command.speed, command.before) for command in taken]
    fast, slow = (5_000_000, 20_500_000), (2_000_000, 10_000_000)
    assert asked == [("coa", fast, slow), ("coa", slow, fast)]
    found = await business.scope.db.audit.find({"action": "session.speed", "target": row["_id"]})
    assert [entry["changes"]["down_rate"][1] for entry in found] == [10_000_000, 20_500_000]
    assert found[0]["actor_name"] == "bob"


ANSWERS = [
    (CommandResult("nak", 1, error_cause=401), ("refused (Error-Cause 401)", "Set the device type")),
    (CommandResult("nak", 1, error_cause=501), ("refused (Error-Cause 501)", "settings forbid", "Allow dynamic")),
    (CommandResult("timeout", 3), ("does not answer, after 3 tries", "at its old speed", "CoA port")),
    (CommandResult("unreachable", 0), ("address is not known", "fixed address")),
    (CommandResult("unsupported", 0), ("take no new speed", "Force the session off")),
]


@pytest.mark.parametrize(("result", "words"), ANSWERS, ids=[str(result.error_cause) for result, _ in ANSWERS])
async def test_the_device_does_not(
    bob: Browser, business: Business, ps: PlatformScope, result: CommandResult, words: tuple[str, ...]
) -> None:
    row = await online(ps, business, "sp-no")
    async with engine(ps, lambda command: result):
        page = await page_after(bob, f"/t/{business.slug}/admin/sessions/{row['_id']}/speed", FASTER)
    for word in words:
        assert word in page, word
    assert disconnects.own_speed(await sessions.get(business.scope, row["_id"])) is None


async def test_a_session_that_the_device_does_not_know_is_taken_off_the_list(
    bob: Browser, business: Business, ps: PlatformScope
) -> None:
    row = await online(ps, business, "sp-gone")
    async with engine(ps, lambda command: CommandResult("nak", 1, error_cause=503)):
        page = await page_after(bob, f"/t/{business.slug}/admin/sessions/{row['_id']}/speed", FASTER)
    assert "has ended there already" in page and "This session has ended already." in page
    assert (await sessions.get(business.scope, row["_id"]))["open"] is False


async def test_a_type_without_live_speed_offers_to_force_off(
    bob: Browser, business: Business, ps: PlatformScope
) -> None:
    form = nas.NasForm(name="vpn", vendor="openvpn")
    gate = await nas.create(business.scope, form)
    row = await online(ps, business, "sp-vpn", nas_id=gate["_id"])
    path = f"/t/{business.slug}/admin/sessions/{row['_id']}"
    page = text(await bob.get(f"{path}/speed", **EN))
    assert "(OpenVPN) take no new speed" in page and f'href="{path}/disconnect"' in page and "up_rate" not in page
    assert (await bob.post(f"{path}/speed", FASTER, **EN)).code == 409
    assert "do not listen for this" in text(await bob.get(f"{path}/disconnect", **EN))
    assert "ends no session" in text(await bob.get(f"/t/{business.slug}/admin/nas/{gate['_id']}", **EN))


async def test_what_cannot_be_taken_is_refused(bob: Browser, business: Business, ps: PlatformScope) -> None:
    row = await online(ps, business, "sp-bad")
    path = f"/t/{business.slug}/admin/sessions/{row['_id']}/speed"
    for fields in ({"up_rate": "-1", "down_rate": "1"}, {"up_rate": "fast", "down_rate": "1"}, {"up_rate": "1"}):
        assert (await bob.post(path, fields, **EN)).code == 422, fields
    over = await ended(ps, business, "sp-over", "User-Request")
    assert (await bob.post(f"/t/{business.slug}/admin/sessions/{over['_id']}/speed", FASTER, **EN)).code == 409
    stranger = await online(ps, business, "sp-stranger", username="nobody-we-know")
    plan = f"/t/{business.slug}/admin/sessions/{stranger['_id']}/speed/plan"
    assert (await bob.post(plan, {}, **EN)).code == 409
    foreign = await make_business(ps, "foreign")
    theirs = await online(ps, foreign, "sp-theirs")
    attempt = await foreign.scope.db.disconnects.insert({"_id": "dis_theirs", "session_id": theirs["_id"]})
    assert (await bob.get(f"{path}?attempt={attempt['_id']}", **EN)).code == 404
    assert await business.scope.db.disconnects.count() == 0


async def test_a_reader_may_not(web: str, ps: PlatformScope, business: Business) -> None:
    form = operators.GroupForm(name="watchers", permissions=[Permission.SESSIONS_READ])
    group = await operators.create_group(business.scope, form)
    row = await online(ps, business, "sp-reader")
    browser = await operator_browser(web, ps, business, "watcher", group["_id"])
    path = f"/t/{business.slug}/admin/sessions/{row['_id']}"
    assert f"{path}/speed" not in text(await browser.get(path, **EN))
    assert (await browser.get(f"{path}/speed", **EN)).code == 403
    assert (await browser.post(f"{path}/speed", FASTER, **EN)).code == 403
