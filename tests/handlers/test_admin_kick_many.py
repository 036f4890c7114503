"""Many users forced off at once: chosen in the list, each device asked, and its answer in the row."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from saas.handlers.admin.accounts import Accounts
from saas.handlers.admin.bulk import _FILTERS
from saas.handlers.admin.online import Online
from saas.handlers.lists import ListPage
from saas.tenants import bulk, bulk_work, disconnects, sessions
from saas.tenants.bulk import Choice
from saas.tenants.disconnects import CommandResult
from saas.tenants.forms import Form
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.people import log_in
from tests.handlers.test_admin_online import EN, business, engine
from tests.handlers.usage import online
from tests.world import Business

__all__ = ["business"]  # a fixture
pytestmark = pytest.mark.slow

ACK = CommandResult("ack", 1, rtt_ms=9, address="203.0.113.7:3799")
ANSWERS: Mapping[str, CommandResult] = {
    "many-ack": ACK,
    "many-nak": CommandResult("nak", 1, error_cause=501),
    "many-gone": CommandResult("nak", 1, error_cause=503),
    "many-silent": CommandResult("timeout", 3),
}


@pytest.fixture
def admin(business: Business) -> str:
    return f"/t/{business.slug}/admin"


@pytest.fixture
async def bob(web: str, ps: PlatformScope, business: Business) -> Browser:
    """A browser of its operator."""
    return await log_in(web, ps, business, "bob")


async def worked_off(ps: PlatformScope, business: Business) -> None:
    while await business.scope.db.bulk_runs.count({"open": True}):
        await bulk_work.turn(ps)


async def test_each_row_says_what_its_device_answered(
    bob: Browser, admin: str, business: Business, ps: PlatformScope
) -> None:
    rows = {number: await online(ps, business, number) for number in ANSWERS}
    elsewhere = await online(ps, business, "many-other", nas_id="nas_other")
    where = f"where=nas_id%3D{business.nas['_id']}"
    listed = text(await bob.get(f"{admin}/online?nas_id={business.nas['_id']}", **EN))
    assert f'formaction="{admin}/bulk/kick"' in listed
    assert text(await bob.get(f"{admin}/bulk/count?verb=kick&{where}", **EN)) == "4"
    asked = text(await bob.get(f"{admin}/bulk/kick?all=1&{where}", **EN))
    assert '<p class="op-sum">4</p>' in asked and "Each device is asked" in asked
    assert "East gate" in asked and "10.9.0.2" in asked
    answer = await bob.post(f"{admin}/bulk/kick?all=1&{where}", {"_attempt": "many"}, **EN)
    assert answer.code == 303, text(answer)
    run = answer.headers["Location"]
    async with engine(ps, lambda command: ANSWERS[command.session_id]) as taken:
        await worked_off(ps, business)
    assert sorted(command.session_id for command in taken) == sorted(ANSWERS)
    page = text(await bob.get(run, **EN))
    for words in ("4 of 4 sessions", "has accepted", "Error-Cause 501", "does not answer, after 3 tries", "NAT"):
        assert words in page, words
    failed = text(await bob.get(f"{run}?state=refused", **EN))
    assert "does not answer" in failed and "has accepted" not in failed
    exported = text(await bob.get(f"{run}?format=csv", **EN))
    assert "does not answer" in exported and "What to do" in exported and "NAT or a firewall" in exported
    assert (await sessions.get(business.scope, rows["many-ack"]["_id"]))["closing_at"]
    assert not (await sessions.get(business.scope, rows["many-gone"]["_id"]))["open"]
    assert not await disconnects.history(business.scope, elsewhere["_id"])
    assert await business.scope.db.audit.count({"action": "bulk.kick"}) == 1


async def test_all_of_a_plan_are_those_of_that_plan_alone(
    bob: Browser, admin: str, business: Business, ps: PlatformScope
) -> None:
    await online(ps, business, "many-ack")
    mine, nobodys = (f"where=plan_id%3D{plan_id}" for plan_id in (business.plan["_id"], "pln_other"))
    assert text(await bob.get(f"{admin}/bulk/count?verb=kick&{mine}", **EN)) == "1"
    assert text(await bob.get(f"{admin}/bulk/count?verb=kick&{nobodys}", **EN)) == "0"


@pytest.mark.parametrize(("page", "of"), [(Online, "sessions"), (Accounts, "accounts")])
def test_all_that_match_can_be_chosen_by_every_filter_of_the_list(page: type[ListPage], of: str) -> None:
    assert {f.name for f in page.filters} <= set(_FILTERS[of])


async def test_only_those_that_went_on_are_asked_again(business: Business, ps: PlatformScope) -> None:
    rows = {number: await online(ps, business, number) for number in ("many-ack", "many-silent")}
    choice = Choice(ids=[row["_id"] for row in rows.values()])
    run = await bulk.ask(business.scope, "kick", Form(), choice, "first")
    assert await bulk.ask(business.scope, "kick", Form(), choice, "first") == run
    async with engine(ps, lambda command: ANSWERS[command.session_id]):
        await worked_off(ps, business)
    done = await bulk.get(business.scope, run["_id"])
    assert (done["ok"], done["refused"]) == (1, 1)
    await bulk.ask(business.scope, "kick", Form(), Choice(rest_of=run["_id"]), "second")
    async with engine(ps, lambda command: ACK) as taken:
        await worked_off(ps, business)
    assert [command.session_id for command in taken] == ["many-silent"]


async def test_what_was_accepted_for_a_key_is_not_asked_again(business: Business, ps: PlatformScope) -> None:
    """A portion that was killed is done again: the device hears of it once."""
    row = await online(ps, business, "many-ack")
    async with engine(ps, lambda command: ACK) as taken:
        first = await disconnects.request(business.scope, row["_id"], "a run")
        assert await disconnects.request(business.scope, row["_id"], "a run") == first
        assert len(taken) == 1
        await disconnects.request(business.scope, row["_id"], "another")
    assert len(taken) == 2


async def test_sessions_of_somebody_else_are_not_found(
    world_of: Business, business: Business, ps: PlatformScope
) -> None:
    row = await online(ps, world_of, "many-foreign")
    assert await bulk.candidates(business.scope, "kick", Choice(ids=[row["_id"]])) == []


@pytest.fixture
def world_of(own: Business) -> Business:
    """Another business."""
    return own
