"""From journal to sessions over real stores: once each, whatever is repeated, raced, interrupted or broken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from saas.tenants import apply, journal, sessions
from saas.tenants.journal import AcctEvent, Group
from saas.tenants.known import Known
from saas.tenants.scope import PlatformScope, Scope
from saas.values import from_epoch, new_id, utcnow
from tests.support import until
from tests.tenants.accounting_events import (
    T0,
    event,
    make_account,
    make_tenant,
    record_and_apply,
    rows,
    session,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("emptied")]


def group(*events: AcctEvent) -> Group:
    """A group as the journal hands it out."""
    return Group("stream", "1-0", events[0].received, events, journal.encode(events))


def totals(found: list[Any]) -> list[tuple[Any, ...]]:
    names = ("username", "open", "session_time", "input_octets", "output_octets", "stop_source")
    return sorted(tuple(row[name] for name in names) for row in found)


def workload(tenant_id: str, seed: int) -> list[AcctEvent]:
    """Several users' sessions with reused ids, mixed as they would come."""
    chance = random.Random(seed)
    events: list[AcctEvent] = []
    for name in ("alice", "bob", "carol"):
        begin = chance.randint(0, 50)
        for _ in range(3):
            lasts = chance.randint(1, 4)
            readings = [(300 * n, 100 * n, 900 * n) for n in range(1, lasts + 1)]
            events += session(begin, *readings, tenant_id=tenant_id, username=name)
            begin += 300 * lasts + chance.randint(60, 5000)
    return sorted(events, key=lambda each: each.received)


async def test_a_session_from_start_to_stop(ps: PlatformScope, scope: Scope) -> None:
    account_id = await make_account(scope, "alice", "mem_7", "agt_3")
    start, interim, stop = session(0, (300, 10, 100), (700, 25, 250), tenant_id=scope.tenant_id)
    await record_and_apply(ps, start)
    (row,) = await rows(scope)
    assert row["open"]
    assert (row["account_id"], row["member_id"], row["agent_id"]) == (account_id, "mem_7", "agt_3")
    assert row["stale_at"] == from_epoch(T0 + 960)
    await record_and_apply(ps, interim, stop)
    (row,) = await rows(scope)
    assert totals([row]) == [("alice", False, 700, 25, 250, "stop")]
    assert row["version"] == 2, "two events of one batch are one write"
    shown = sessions.to_dict(row)
    assert shown["id"] == row["_id"]
    assert shown["session_time"] == 700
    assert {"_id", "tenant_id", "key", "epoch", "search"}.isdisjoint(shown)


async def test_an_unknown_user_is_recorded_and_found_out_about_later(ps: PlatformScope, scope: Scope) -> None:
    start, interim, _ = session(0, (300, 1, 1), (600, 2, 2), tenant_id=scope.tenant_id)
    await record_and_apply(ps, start)
    (row,) = await rows(scope)
    assert (row["account_id"], row["member_id"], row["agent_id"]) == ("", "", None)
    account_id = await make_account(scope, "alice")
    await record_and_apply(ps, interim)
    (row,) = await rows(scope)
    assert (row["account_id"], row["member_id"]) == (account_id, "mem_1")


async def test_the_account_that_the_event_carries_comes_before_the_name(ps: PlatformScope, scope: Scope) -> None:
    await make_account(scope, "alice")
    other = await make_account(scope, "bob", "mem_2")
    await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id, account_id=other))
    (row,) = await rows(scope)
    assert (row["account_id"], row["member_id"]) == (other, "mem_2")


async def test_another_tenants_account_is_none_of_ours(ps: PlatformScope, scope: Scope) -> None:
    foreign = await make_account(await make_tenant(ps), "alice")
    await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id, account_id=foreign))
    (row,) = await rows(scope)
    assert row["account_id"] == ""


async def test_two_tenants_with_equal_ids_names_and_devices_side_by_side(ps: PlatformScope, scope: Scope) -> None:
    other = await make_tenant(ps)
    ours, theirs = await make_account(scope, "alice"), await make_account(other, "alice")
    await record_and_apply(
        ps,
        *session(0, (300, 10, 100), (700, 25, 250), tenant_id=scope.tenant_id)[:2],
        *session(0, (300, 77, 88), tenant_id=other.tenant_id),
        event("on", 500, tenant_id=other.tenant_id, session_id="", username=""),
    )
    assert [(row["account_id"], row["open"], row["input_octets"]) for row in await rows(scope)] == [(ours, True, 10)]
    assert [(row["account_id"], row["open"], row["input_octets"]) for row in await rows(other)] == [(theirs, False, 77)]


@pytest.mark.parametrize("seed", range(4))
async def test_two_appliers_at_once_count_once(ps: PlatformScope, scope: Scope, seed: int) -> None:
    events = workload(scope.tenant_id, seed)
    await record_and_apply(ps, *events)
    expected = totals(await rows(scope))
    raced = await make_tenant(ps)
    events = workload(raced.tenant_id, seed)
    cuts = [events[: len(events) // 2], events[len(events) // 2 :]]
    groups = [group(*part) for part in cuts]
    buried = await asyncio.gather(
        apply.apply(ps, groups), apply.apply(ps, groups), apply.apply(ps, groups[:1]), apply.apply(ps, groups)
    )
    assert list(buried) == [0, 0, 0, 0]
    assert totals(await rows(raced)) == expected


@pytest.mark.parametrize("seed", range(3))
async def test_interrupted_anywhere_and_repeated_counts_once(ps: PlatformScope, scope: Scope, seed: int) -> None:
    """The applier is ended after a random number of steps, again and again; what it did not remove comes again."""
    await record_and_apply(ps, *workload(scope.tenant_id, seed))
    expected = totals(await rows(scope))
    interrupted = await make_tenant(ps)
    events = workload(interrupted.tenant_id, seed)
    for number in range(0, len(events), 3):
        await journal.record(ps, "shared", events[number : number + 3])
    chance = random.Random(seed)
    for _ in range(6):
        reading = await journal.read(ps, 0.001)
        task = asyncio.create_task(apply.apply(ps, reading.groups))
        await asyncio.wait([task], timeout=chance.random() * 0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    reading = await journal.read(ps, 0.001)
    assert reading.complete
    await apply.apply(ps, reading.groups)
    await apply.apply(ps, reading.groups)  # and once more: ended before the removal
    assert totals(await rows(interrupted)) == expected


async def test_repeating_changes_not_even_a_version(ps: PlatformScope, scope: Scope) -> None:
    events = workload(scope.tenant_id, 1)
    await record_and_apply(ps, *events)
    before = await rows(scope)
    await apply.apply(ps, [group(*events)])
    for prefix in (1, 5, 9):
        await apply.apply(ps, [group(*events[:prefix])])
    assert await rows(scope) == before


async def test_accounting_on_ends_only_older_sessions_of_this_device(ps: PlatformScope, scope: Scope) -> None:
    def started(name: str, at: float, **values: Any) -> AcctEvent:
        return event("start", at, tenant_id=scope.tenant_id, username=name, **values)

    on = event("on", 500, tenant_id=scope.tenant_id, session_id="", username="")
    await record_and_apply(
        ps,
        started("old", 0),
        event("interim", 300, tenant_id=scope.tenant_id, username="old", session_time=300, up=5, down=6),
        started("elsewhere", 0, nas_id="nas_2"),
        on,
        started("new", 501),
    )
    found = {row["username"]: row for row in await rows(scope)}
    assert [name for name, row in found.items() if row["open"]] == ["elsewhere", "new"]
    old = found["old"]
    assert (old["terminate_cause"], old["stop_source"], old["stopped_at"]) == ("NAS-Reboot", "on", from_epoch(T0 + 500))
    assert (old["input_octets"], old["output_octets"]) == (5, 6)

    await record_and_apply(ps, on, event("off", 600, tenant_id=scope.tenant_id, session_id="", username=""))
    found = {row["username"]: row for row in await rows(scope)}
    assert found["old"]["stop_source"] == "on", "an end is not told twice"
    assert found["new"]["stop_source"] == "off"
    assert found["elsewhere"]["open"]


async def test_a_device_that_lost_its_stop_has_one_open_session_under_an_id(ps: PlatformScope, scope: Scope) -> None:
    first = session(0, (300, 10, 100), (600, 20, 200), tenant_id=scope.tenant_id)[:2]
    await record_and_apply(ps, *first, event("start", 9000, tenant_id=scope.tenant_id))
    old, new = await rows(scope)
    assert (old["open"], old["stop_source"], old["stopped_at"]) == (False, "reused", from_epoch(T0 + 300))
    assert (old["input_octets"], old["terminate_cause"]) == (10, "Lost-Carrier")
    assert new["open"]


async def test_a_poisonous_event_is_put_aside_and_stops_nobody(
    ps: PlatformScope, scope: Scope, expect_log: Callable[[str], None]
) -> None:
    expect_log("its events are applied one by one")
    expect_log("is put aside")
    other = await make_tenant(ps)
    nobody = new_id("ten")
    buried = await record_and_apply(
        ps,
        event("start", 0, tenant_id=scope.tenant_id, username="good"),
        event("start", 0, tenant_id=scope.tenant_id, username="too-much", input_packets=2**70),
        event("start", 0, tenant_id=scope.tenant_id, username="not-text\ud800"),
        event("start", 0, tenant_id=scope.tenant_id, username=7),
        event("start", 0, tenant_id=nobody),
        event("start", 0, tenant_id=other.tenant_id, username="neighbour"),
        event("stop", 9, tenant_id=scope.tenant_id, username="good", session_time=9, up=1, down=2),
    )
    assert buried == 4
    assert totals(await rows(scope)) == [("good", False, 9, 1, 2, "stop")]
    assert [row["username"] for row in await rows(other)] == ["neighbour"]
    aside = await ps.db.dead_events.find({"tenant_id": scope.tenant_id})
    assert len(aside) == 3
    assert {journal.decode(row["data"])[0].username for row in aside} == {"too-much", "not-text\ud800", 7}
    assert all(row["error"] for row in aside)
    assert await ps.db.dead_events.count({"tenant_id": nobody}) == 1
    assert await journal.backlog(ps) == 0


async def test_an_unreadable_group_is_put_aside(ps: PlatformScope, scope: Scope) -> None:
    mark = new_id("odd").encode()
    await ps.kv.add("pools", "odd")
    await ps.kv.append("pool:odd:acct", [mark], keep=10)
    assert await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id)) == 1
    assert await ps.db.dead_events.count({"data": mark}) == 1
    assert len(await rows(scope)) == 1


async def test_stale_sessions_end_where_they_were_last_seen_and_may_live_again(ps: PlatformScope) -> None:
    scope = await make_tenant(ps, interim_interval=60)
    start, interim, _ = session(0, (60, 10, 100), (120, 0, 0), tenant_id=scope.tenant_id)
    await record_and_apply(ps, start, interim)
    limit = from_epoch(T0 + 60 + 3 * 60 + 60)
    await apply.close_stale(ps, limit)
    assert (await rows(scope))[0]["open"], "not a moment too early"
    await apply.close_stale(ps, limit + timedelta(seconds=1))
    (row,) = await rows(scope)
    assert totals([row]) == [("alice", False, 60, 10, 100, "stale")]
    assert (row["stopped_at"], row["terminate_cause"]) == (from_epoch(T0 + 60), "Lost-Carrier")

    await record_and_apply(ps, interim)
    assert not (await rows(scope))[0]["open"], "a repeat is no sign of life"
    late = event("interim", 400, tenant_id=scope.tenant_id, session_time=400, up=40, down=400)
    await record_and_apply(ps, late)
    (row,) = await rows(scope)
    assert totals([row]) == [("alice", True, 400, 40, 400, "")]
    assert row["flags"] == ["reopened"]


async def test_a_session_may_miss_as_many_updates_as_its_tenant_says(ps: PlatformScope) -> None:
    strict, patient = [await make_tenant(ps, interim_interval=60, stale_factor=factor) for factor in (2, 10)]
    start, interim, _ = session(0, (60, 10, 100), (120, 0, 0))
    both = [each._replace(tenant_id=scope.tenant_id) for scope in (strict, patient) for each in (start, interim)]
    await record_and_apply(ps, *both)
    await apply.close_stale(ps, from_epoch(T0 + 60 + 2 * 60 + 60 + 1))
    assert [(await rows(scope))[0]["open"] for scope in (strict, patient)] == [False, True]
    await apply.close_stale(ps, from_epoch(T0 + 60 + 10 * 60 + 60))
    assert (await rows(patient))[0]["open"], "not a moment too early"
    await apply.close_stale(ps, from_epoch(T0 + 60 + 10 * 60 + 60 + 1))
    assert not (await rows(patient))[0]["open"]


async def test_a_factor_that_was_changed_is_heard_of(ps: PlatformScope) -> None:
    """The job keeps what silence a tenant puts up with, until it hears of a change."""
    scope, known = await make_tenant(ps, interim_interval=60), Known()
    await known.hear(ps, 0.01)
    assert (await known.silences(ps, [scope.tenant_id]))[scope.tenant_id] == 240
    await ps.db.tenants.update(scope.tenant_id, {"$set": {"parameters.stale_factor": 5}})
    assert (await known.silences(ps, [scope.tenant_id]))[scope.tenant_id] == 240, "not asked again"
    await scope.changed("tenant", scope.tenant["slug"])
    await until(lambda: known.hear(ps, 0.01), "the change is heard")
    assert (await known.silences(ps, [scope.tenant_id]))[scope.tenant_id] == 360


async def test_what_fails_for_one_tenants_stale_sessions_stops_no_other(
    ps: PlatformScope, expect_log: Callable[[str], None]
) -> None:
    expect_log("stale sessions: tenant .* failed")
    broken, sound = await make_tenant(ps), await make_tenant(ps)
    await record_and_apply(ps, *(event("start", 0, tenant_id=each.tenant_id) for each in (broken, sound)))
    await broken.db.online.update_many({}, {"$unset": {"started_at": 1}})
    await apply.close_stale(ps, utcnow())
    assert [row["stop_source"] for row in await rows(sound)] == ["stale"]
    assert [row["open"] for row in await rows(broken)] == [True]
    await broken.db.online.delete_many({})


def test_events_of_a_session_are_taken_together_and_none_overtakes_a_reboot() -> None:
    def told(status: str, nas_id: str, session_id: str = "") -> AcctEvent:
        return event(status, 0, nas_id=nas_id, session_id=session_id)

    before = [told("start", "n1", "a"), told("start", "n1", "b"), told("stop", "n1", "a"), told("stop", "n2", "a")]
    reboot, after = told("on", "n1"), [told("start", "n1", "a"), told("interim", "n1", "b")]
    assert list(apply._portions([*before, reboot, *after])) == [
        [before[0], before[2], before[1], before[3]],
        [reboot],
        after,
    ]
    many = [told(status, "n1", str(number)) for status in ("start", "stop") for number in range(700)]
    sizes = [len(portion) for portion in apply._portions(many)]
    assert sizes == [600, 600, 200], "a session of 300 has both its events in one portion"
