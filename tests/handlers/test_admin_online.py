"""Who is online, forcing a session off with every answer a device may give, clearing a device's rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from saas.errors import Limit
from saas.permissions import Permission
from saas.tenants import disconnects, life, nas, operators, plans, sessions, watching
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.purchases import CHANGE_PLAN, ChangePlanForm
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.watching import Watch
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import log_in, new_system, operator_browser
from tests.handlers.usage import online
from tests.world import Business, make_business

EN = {"Accept_Language": "en"}
POOL = "of-these-tests"
Answer = Callable[[Command], CommandResult]


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


@pytest.fixture
async def business(ps: PlatformScope) -> Business:
    """A business in a pool of its own: no engine of another test takes its commands."""
    made = await make_business(ps, "kick")
    tenant = await ps.db.tenants.update(made.id, {"$set": {"pool": POOL}})
    return replace(made, scope=ps.enter(tenant, made.scope.actor))


@pytest.fixture
async def bob(web: str, ps: PlatformScope, business: Business) -> Browser:
    """A browser of its operator."""
    return await log_in(web, ps, business, "bob")


@pytest.fixture
def kicks(business: Business) -> str:
    """Where its sessions are."""
    return f"/t/{business.slug}/admin/sessions"


@asynccontextmanager
async def engine(ps: PlatformScope, answer: Answer) -> AsyncIterator[list[Command]]:
    """A worker of the pool that answers each command so; the commands that it took."""
    taken: list[Command] = []

    async def work() -> None:
        async for command in disconnects.commands(ps, POOL):
            taken.append(command)
            await disconnects.answer(ps, command.id, answer(command))

    worker = asyncio.create_task(work())
    try:
        yield taken
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def test_the_list_shows_what_is_known(boss: Browser, admin: str, own: Business, ps: PlatformScope) -> None:
    row = await online(ps, own, "on-1", framed_ip="10.9.1.1")
    page = text(await boss.get(f"{admin}/online?q=10.9.1.1", **EN))
    shown = ("alice", "East gate", "10.9.1.1", "5.0 MB", "3.0 GB", "5 min", "Force off", "Online")
    for words in (*shown, f"{admin}/sessions/{row['_id']}/disconnect"):
        assert words in page, words


async def test_the_list_keeps_itself_up_to_date_as_it_is_filtered(boss: Browser, admin: str, own: Business) -> None:
    page = text(await boss.get(f"{admin}/online?nas_id={own.nas['_id']}&q=alice"))
    tag = page.split('<div id="list"')[1].split(">")[0]
    assert 'hx-trigger="changed"' in tag and 'hx-swap="outerMorph' in tag
    assert f'data-news="{admin}/online/changes"' in tag
    assert f'hx-get="{admin}/online?q=alice&amp;nas_id={own.nas["_id"]}"' in tag


async def test_a_reader_has_no_button(web: str, ps: PlatformScope, own: Business, boss: Browser, admin: str) -> None:
    form = operators.GroupForm(name="watchers", permissions=[Permission.SESSIONS_READ])
    group = await operators.create_group(own.scope, form)
    row = await online(ps, own, "on-2")
    browser = await operator_browser(web, ps, own, "watcher", group["_id"])
    page = text(await browser.get(f"{admin}/online", **EN))
    assert row["_id"] in page and "disconnect" not in page and "Clear a device" not in page


@pytest.mark.parametrize("spelling", ["aabb.ccdd.ee77", "AA:BB:CC:DD:EE:77", "aabbccddee77", "aa-bb-cc-dd-ee-77"])
async def test_a_hardware_address_is_found_in_any_spelling(
    boss: Browser, admin: str, own: Business, ps: PlatformScope, spelling: str
) -> None:
    row = await online(ps, own, "on-mac", calling_station_id="AA-BB-CC-DD-EE-77")
    page = text(await boss.get(f"{admin}/online?q={spelling}", **EN))
    assert row["_id"] in page and "AA-BB-CC-DD-EE-01" not in page


async def test_nobody_online(web: str, ps: PlatformScope) -> None:
    empty, browser = await new_system(web, ps)
    assert "Nobody is online." in text(await browser.get(f"/t/{empty.tenant['slug']}/admin/online", **EN))


async def test_the_device_accepts(bob: Browser, kicks: str, business: Business, ps: PlatformScope) -> None:
    row = await online(ps, business, "off-ack", framed_ip="10.9.1.2")
    path = f"{kicks}/{row['_id']}/disconnect"
    question = text(await bob.get(path, **EN))
    assert "alice · East gate · 10.9.1.2" in question and "may dial in again at once" in question
    ack = CommandResult("ack", 1, rtt_ms=12, address="203.0.113.7:3799")
    async with engine(ps, lambda command: ack) as taken:
        page = text(await bob.post(path, **EN))
    assert [command.session_id for command in taken] == ["off-ack"]
    assert "The device has accepted" in page and "Answered after 12 ms by 203.0.113.7:3799." in page
    page = text(await bob.get(f"/t/{business.slug}/admin/online?q=10.9.1.2", **EN))
    assert "Going offline" in page and "/disconnect" not in page
    detail = text(await bob.get(f"{kicks}/{row['_id']}", **EN))
    assert "Requests to the device" in detail and "203.0.113.7:3799" in detail
    assert await business.scope.db.audit.count({"action": "session.disconnect", "target": row["_id"]}) == 1


ANSWERS: list[tuple[str, CommandResult, tuple[str, ...]]] = [
    (
        "prohibited",
        CommandResult("nak", 1, error_cause=501, rtt_ms=3, address="203.0.113.7:3799"),
        ("refused (Error-Cause 501)", "settings forbid"),
    ),
    ("unexplained", CommandResult("nak", 1, address="203.0.113.7:3799"), ("has refused.", "does not say why")),
    ("silence", CommandResult("timeout", 3), ("does not answer, after 3 tries", "CoA port", "NAT", "Try again")),
    ("nowhere", CommandResult("unreachable", 0), ("address is not known", "fixed address", "Try again")),
]


@pytest.mark.parametrize(("name", "result", "words"), ANSWERS, ids=[name for name, _, _ in ANSWERS])
async def test_the_device_does_not(
    bob: Browser,
    kicks: str,
    business: Business,
    ps: PlatformScope,
    name: str,
    result: CommandResult,
    words: tuple[str, ...],
) -> None:
    row = await online(ps, business, f"off-{name}")
    async with engine(ps, lambda command: result):
        page = text(await bob.post(f"{kicks}/{row['_id']}/disconnect", **EN))
    for word in words:
        assert word in page, word
    assert (await sessions.get(business.scope, row["_id"]))["open"] is True


async def test_a_session_that_the_device_does_not_know_is_taken_off_the_list(
    bob: Browser, kicks: str, business: Business, ps: PlatformScope
) -> None:
    row = await online(ps, business, "off-gone")
    path = f"{kicks}/{row['_id']}/disconnect"
    async with engine(ps, lambda command: CommandResult("nak", 1, error_cause=503)):
        page = text(await bob.post(path, **EN))
    assert "has ended there already" in page and "Try again" not in page
    assert (await sessions.get(business.scope, row["_id"]))["open"] is False
    assert "This session has ended already." in text(await bob.get(path, **EN))
    again = await bob.post(path, **EN)
    assert again.code == 409


async def test_clearing_a_device_says_what_it_does_and_does_it(
    boss: Browser, admin: str, own: Business, ps: PlatformScope
) -> None:
    scope = own.scope
    gate = await nas.create(scope, nas.NasForm(name="Dead gate", vendor="standard"))
    row = await online(ps, own, "clear-1", nas_id=gate["_id"])
    page = text(await boss.get(f"{admin}/online/clear?nas_id={gate['_id']}", **EN))
    assert "does not disconnect anybody" in page and f'value="{gate["_id"]}" selected' in page
    answer = await boss.post(f"{admin}/online/clear", {"nas_id": gate["_id"]}, **EN)
    assert answer.code == 303
    assert "Rows cleared: 1." in text(await boss.get(answer.headers["Location"], **EN))
    kept = await scope.db.sessions.get(row["_id"])
    assert (kept["open"], kept["input_octets"], kept["stop_source"]) == (False, 5 << 20, "clear")


async def test_clearing_needs_a_device_of_ones_own(boss: Browser, admin: str, own: Business, ps: PlatformScope) -> None:
    await online(ps, own, "clear-2")
    foreign = await make_business(ps, "foreign")
    await online(ps, foreign, "clear-3")
    scope: Scope = own.scope

    async def rows() -> Any:
        return [await one.db.online.find({}, limit=1000) for one in (scope, foreign.scope)]

    good = {"nas_id": own.nas["_id"]}
    bad = {"nas_id": ["", "x" * 65, HTML, "nas_unknown", foreign.nas["_id"]]}
    await refuse(boss, f"{admin}/online/clear", good, bad, rows)


async def test_a_list_can_be_of_one_plan_and_follows_its_changes(
    boss: Browser, admin: str, own: Business, ps: PlatformScope
) -> None:
    row = await online(ps, own, "on-plan", framed_ip="10.9.7.7")
    first = row["plan_id"]
    assert first == own.plan["_id"]
    assert row["_id"] in text(await boss.get(f"{admin}/online?q=10.9.7.7&plan_id={first}", **EN))
    other = await plans.create(own.scope, plans.PlanForm(name="Another one", price=Decimal(10)))
    change = ChangePlanForm(plan_id=other["_id"])
    await life.perform(own.scope, CHANGE_PLAN, row["account_id"], change, "on-plan-change")
    page = text(await boss.get(f"{admin}/online?q=10.9.7.7&plan_id={other['_id']}", **EN))
    assert row["_id"] in page and ">Another one<" in page
    assert row["_id"] not in text(await boss.get(f"{admin}/online?q=10.9.7.7&plan_id={first}", **EN))


async def test_speeds_are_those_between_the_last_two_reports(
    boss: Browser, admin: str, own: Business, ps: PlatformScope
) -> None:
    row = await online(ps, own, "on-fast", framed_ip="10.9.7.8")
    assert (row["input_rate"], row["output_rate"]) == ((5 << 20) * 8 // 300, (3 << 30) * 8 // 300)
    assert "85.9 Mbps" in text(await boss.get(f"{admin}/online?q=10.9.7.8", **EN))


async def test_whoever_watches_is_told_of_changes_of_his_tenant_alone(ps: PlatformScope) -> None:
    watch = Watch(ps.kv)
    async with watch.of("ten_a") as ours, watch.of("ten_b") as theirs:
        await asyncio.gather(ours.wait(), theirs.wait())  # it listens now
        ours.clear(), theirs.clear()
        await watching.tell(ps.kv, ["ten_a"])
        await ours.wait()
        assert not theirs.is_set()


async def test_a_tenant_keeps_no_more_than_so_many_pages_up_to_date(
    ps: PlatformScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST", 1)
    watch = Watch(ps.kv)
    async with watch.of("ten_a"), watch.of("ten_b"):
        with pytest.raises(Limit):
            async with watch.of("ten_a"):
                pass
    async with watch.of("ten_a"):
        pass


async def test_the_stream_of_news_is_for_readers_of_sessions(web: str, boss: Browser, admin: str) -> None:
    status, start = await boss.begun(f"{admin}/online/changes", b"event: changed\ndata: \n\n")
    assert status == 200 and "Content-Type: text/event-stream" in start
    assert (await boss.send("HEAD", f"{admin}/online/changes")).code == 200
    assert (await Browser(web).get(f"{admin}/online/changes")).code == 303
