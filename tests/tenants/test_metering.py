"""What sessions take from quotas: exactly once, whatever is lost, repeated, reordered, raced or interrupted."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from saas.tenants import apply, journal, verify
from saas.tenants.journal import AcctEvent, Group
from saas.tenants.known import Known
from saas.tenants.scope import PlatformScope, Scope
from tests.support import until
from tests.tenants.accounting_events import (
    GIGA,
    event,
    make_account,
    make_limited,
    make_tenant,
    record_and_apply,
    rows,
    session,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("emptied")]

PLENTY = 10**15


async def left(scope: Scope, account_id: str) -> tuple[int | None, int | None]:
    row = await scope.db.quotas.get(account_id)
    return row["octets_left"], row["seconds_left"]


@pytest.mark.parametrize(("counted", "octets"), [("both", 275), ("down", 250), ("up", 25)])
async def test_the_direction_that_counts(ps: PlatformScope, scope: Scope, counted: str, octets: int) -> None:
    account = await make_limited(scope, "alice", counted, octets_left=1000, seconds_left=1000)
    await record_and_apply(ps, *session(0, (300, 10, 100), (700, 25, 250), tenant_id=scope.tenant_id))
    assert await left(scope, account) == (1000 - octets, 300)
    (row,) = await rows(scope)
    assert (row["charged_octets"], row["charged_seconds"]) == (octets, 700)


async def test_each_report_takes_what_is_new_and_a_repeat_takes_nothing(ps: PlatformScope, scope: Scope) -> None:
    account = await make_limited(scope, "alice", octets_left=1000, seconds_left=None)
    start, first, second, stop = session(0, (300, 10, 90), (600, 20, 200), (700, 30, 300), tenant_id=scope.tenant_id)
    seen = []
    for each in (start, first, second, first, start, stop, stop, second):
        await record_and_apply(ps, each)
        seen.append((await left(scope, account))[0])
    assert seen == [1000, 900, 780, 780, 780, 670, 670, 670]
    assert (await left(scope, account))[1] is None, "what is not limited stays so"
    assert (await rows(scope))[0]["charged_seconds"] == 0


async def test_two_sessions_of_one_account_in_one_batch(ps: PlatformScope, scope: Scope) -> None:
    account = await make_limited(scope, "alice", octets_left=1000, seconds_left=1000)
    one = session(0, (300, 10, 90), tenant_id=scope.tenant_id)
    two = session(50, (200, 1, 2), tenant_id=scope.tenant_id, session_id="0002")
    await record_and_apply(ps, *one, *two)
    assert await left(scope, account) == (1000 - 103, 500)


async def test_it_may_fall_below_zero_and_its_end_is_marked_once(ps: PlatformScope, scope: Scope) -> None:
    account = await make_limited(scope, "alice", octets_left=150, seconds_left=None)
    start, first, second, stop = session(0, (300, 10, 90), (600, 20, 190), (700, 30, 300), tenant_id=scope.tenant_id)
    await record_and_apply(ps, start, first)
    assert await scope.db.adjustments.find({}) == []
    await record_and_apply(ps, second)
    (marked,) = await scope.db.adjustments.find({})
    assert (marked["_id"], marked["tenant_id"], marked["told_at"]) == (account, scope.tenant_id, None)
    await record_and_apply(ps, stop)
    assert await scope.db.adjustments.find({}) == [marked]
    assert await left(scope, account) == (150 - 330, None)
    assert (await scope.db.accounts.get(account))["fallen_at"], "so that the subscriber is told"


@pytest.mark.parametrize(
    ("downs", "marks"),
    [
        ((799, 800, 801, 1000), ["", "low", "low", "empty"]),
        ((900, 901, 999, 1001), ["low", "low", "low", "empty"]),
        ((1500, 1600, 1700, 1800), ["empty"] * 4),
    ],
)
async def test_the_moment_is_kept_when_little_is_left_and_when_nothing_is(
    ps: PlatformScope, scope: Scope, downs: tuple[int, ...], marks: list[str]
) -> None:
    given = {"octets_left": 1000, "seconds_left": None, "term": {"octets": 1000, "seconds": None}}
    account = await make_limited(scope, "alice", "down", **given)
    seen, last = [], None
    await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id))
    for number, down in enumerate(downs):
        await record_and_apply(ps, event("interim", 300 * number + 300, tenant_id=scope.tenant_id, down=down, up=0))
        at = (await scope.db.accounts.get(account)).get("fallen_at")
        if at != last:
            seen.append((number, (await left(scope, account))[0]))
        last = at
    changes = [number for number, mark in enumerate(marks) if mark != (marks[number - 1] if number else "")]
    assert [number for number, _ in seen] == changes
    assert [("empty" if octets <= 0 else "low") for _, octets in seen if octets is not None] == [
        marks[number] for number in changes
    ]


async def test_a_session_whose_account_is_found_later_takes_all_of_it(ps: PlatformScope, scope: Scope) -> None:
    start, first, stop = session(0, (300, 10, 90), (600, 20, 200), tenant_id=scope.tenant_id)
    await record_and_apply(ps, start, first)
    account = await make_limited(scope, "alice", octets_left=1000, seconds_left=1000)
    await record_and_apply(ps, stop)
    assert await left(scope, account) == (780, 400)


async def test_usage_counts_from_the_moment_of_the_limit(ps: PlatformScope, scope: Scope) -> None:
    account = await make_limited(scope, "alice")
    start, first, second, stop = session(0, (300, 10, 90), (600, 20, 200), (700, 30, 300), tenant_id=scope.tenant_id)
    await record_and_apply(ps, start, first)
    assert await left(scope, account) == (None, None)
    await scope.db.quotas.update_one({"_id": account}, {"$set": {"octets_left": 500, "seconds_left": 500}})
    await record_and_apply(ps, second, stop)
    assert await left(scope, account) == (500 - 230, 100)


async def test_another_tenants_account_pays_for_nobody_else(ps: PlatformScope, scope: Scope) -> None:
    other = await make_tenant(ps)
    foreign = await make_limited(other, "bob", octets_left=1000)
    events = session(0, (300, 10, 90), tenant_id=scope.tenant_id, account_id=foreign)
    await record_and_apply(ps, *events)
    assert await left(other, foreign) == (1000, None)
    assert (await rows(scope))[0]["charged_octets"] == 0


async def test_a_reopened_session_takes_on_where_it_was(ps: PlatformScope) -> None:
    scope = await make_tenant(ps, interim_interval=60)
    account = await make_limited(scope, "alice", octets_left=1000, seconds_left=1000)
    start, first, _ = session(0, (60, 10, 100), (120, 0, 0), tenant_id=scope.tenant_id)
    await record_and_apply(ps, start, first)
    (row,) = await rows(scope)
    await apply.close_stale(ps, row["stale_at"].replace(year=row["stale_at"].year + 1))
    assert not (await rows(scope))[0]["open"]
    assert await left(scope, account) == (890, 940)
    late = event("interim", 400, tenant_id=scope.tenant_id, session_time=400, up=40, down=400)
    await record_and_apply(ps, late, late)
    assert await left(scope, account) == (560, 600)


async def test_counters_that_wrap_or_begin_anew_only_ever_add(ps: PlatformScope, scope: Scope) -> None:
    account = await make_limited(scope, "alice", "down", octets_left=PLENTY)
    readings = ((300, 0, GIGA - 1000), (600, 0, 500), (900, 0, 10_000_000), (1200, 0, 7), (1500, 0, 9))
    await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id))
    taken = [0]
    for seconds, up, down in readings:
        await record_and_apply(
            ps, event("interim", seconds, tenant_id=scope.tenant_id, session_time=seconds, up=up, down=down)
        )
        taken.append(PLENTY - int((await left(scope, account))[0] or 0))
    (row,) = await rows(scope)
    assert taken == sorted(taken)
    assert row["output_octets"] == row["charged_octets"] == taken[-1] == GIGA + 10_000_000 + 9


async def test_a_device_that_tells_no_time_is_metered_by_the_clock(ps: PlatformScope, scope: Scope) -> None:
    account = await make_limited(scope, "alice", seconds_left=1000)
    starts = [event("start", at, tenant_id=scope.tenant_id) for at in (0, 20)]  # the second one a repeat
    await record_and_apply(ps, *starts)
    assert await left(scope, account) == (None, 1000)
    await record_and_apply(ps, event("interim", 300, tenant_id=scope.tenant_id, up=1, down=1))
    assert await left(scope, account) == (None, 700)


async def test_who_has_no_limits_is_asked_for_once(ps: PlatformScope, scope: Scope) -> None:
    account = await make_account(scope, "alice")
    known = Known()
    await known.hear(ps, 0.01)
    readings = ((300, 10, 90), (600, 20, 200), (650, 25, 250), (700, 30, 300))
    start, first, second, third, stop = session(0, *readings, tenant_id=scope.tenant_id)

    async def take_in(*events: AcctEvent) -> None:
        await apply.apply(ps, [group(*events)], known)

    await take_in(start, first)
    assert known.is_free(account)
    await scope.db.quotas.update_one({"_id": account}, {"$set": {"octets_left": 500, "seconds_left": None}})
    await take_in(second)
    assert await left(scope, account) == (500, None), "a change that nobody told of is not seen"
    await scope.changed("account", "alice")

    async def heard() -> bool:
        await known.hear(ps, 0.01)
        return not known.is_free(account)

    await until(heard, "the change is heard")
    await take_in(third, stop)
    assert await left(scope, account) == (500 - 110, None)


async def test_verify_tells_of_a_session_that_took_what_it_did_not_use(ps: PlatformScope, scope: Scope) -> None:
    await make_limited(scope, "alice", octets_left=1000)
    await record_and_apply(ps, *session(0, (300, 10, 90), tenant_id=scope.tenant_id))
    assert await verify._sessions(scope) == []
    await scope.db.sessions.update_many({}, {"$set": {"charged_octets": 101, "account_id": ""}})
    sentences = await verify._sessions(scope)
    assert [each.partition(": ")[2] for each in sentences] == [
        "took 101 octets and 0 seconds, which is not what it used",
        "took from a quota without belonging to an account",
    ]
    await scope.db.sessions.delete_many({})


# random histories


def group(*events: AcctEvent) -> Group:
    return Group("stream", "1-0", events[0].received, events, journal.encode(events))


@dataclass
class History:
    """What devices sent, what arrived of it and how, and what must come of that: by account name."""

    arrived: list[AcctEvent] = field(default_factory=list)
    octets: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[str, int] = field(default_factory=lambda: defaultdict(int))


COUNTED = {"ann": "both", "ben": "down", "cid": "up"}


def history(seed: int, tenant_id: str) -> History:
    """Sessions of three accounts at two devices that now and then reboot; a third of the reports never arrives, some
    come twice, some late. The reference is plain: each session counts with the highest counters that arrived.
    """
    chance = random.Random(seed)
    found = History()
    for number in range(12):
        name, nas = chance.choice(sorted(COUNTED)), f"nas_{chance.randint(1, 2)}"
        sent = _life(chance, number, tenant_id, name, nas)
        if arrived := [each for each in sent if chance.random() < 0.7]:
            most = max(arrived, key=lambda each: each.session_time or 0)
            up, down = most.input_octets or 0, most.output_octets or 0
            found.octets[name] += {"both": up + down, "up": up, "down": down}[COUNTED[name]]
            found.seconds[name] += most.session_time or 0
        found.arrived += arrived + [each for each in arrived if chance.random() < 0.3]
    found.arrived = [_late(chance, each) for each in found.arrived]
    found.arrived.sort(key=lambda each: each.received)
    return found


def _life(chance: random.Random, number: int, tenant_id: str, name: str, nas: str) -> list[AcctEvent]:
    begin, seconds, up, down = chance.randint(0, 20_000), 0, 0, 0
    readings = []
    for _ in range(chance.randint(1, 6)):
        seconds, up, down = (
            seconds + chance.randint(60, 900),
            up + chance.randint(0, GIGA),
            down + chance.randint(0, GIGA),
        )
        readings.append((seconds, up, down))
    life = session(
        begin, *readings, tenant_id=tenant_id, username=name, nas_id=nas, session_id=f"{number:04}", gigawords=True
    )
    if chance.random() < 0.3:  # a reboot instead of a Stop
        at = begin + seconds + 1
        status = chance.choice(["on", "off"])
        reboot = event(status, at, tenant_id=tenant_id, username="", session_id="", nas_id=nas)
        life = [*life[:-1], reboot]
    return life


def _late(chance: random.Random, each: AcctEvent) -> AcctEvent:
    delay = chance.choice([0, 0, 1, 30, 900, 5000])
    return each._replace(received=each.received + delay + chance.random())


async def _accounts(scope: Scope) -> dict[str, str]:
    return {
        name: await make_limited(scope, name, counted, octets_left=PLENTY, seconds_left=PLENTY)
        for name, counted in COUNTED.items()
    }


async def _check(scope: Scope, accounts: dict[str, str], wanted: History, seed: int) -> None:
    found = await rows(scope)
    for name, account_id in accounts.items():
        octets, seconds = await left(scope, account_id)
        of: list[Any] = [row for row in found if row["account_id"] == account_id]
        taken = (PLENTY - int(octets or 0), PLENTY - int(seconds or 0))
        assert taken == (wanted.octets[name], wanted.seconds[name]), f"seed {seed}, {name}"
        assert taken == (sum(row["charged_octets"] for row in of), sum(row["charged_seconds"] for row in of))


@pytest.mark.parametrize("seed", range(8))
async def test_any_history_takes_exactly_what_arrived(ps: PlatformScope, scope: Scope, seed: int) -> None:
    """Applied in portions, any prefix again now and then, by two appliers side by side."""
    accounts = await _accounts(scope)
    wanted = history(seed, scope.tenant_id)
    chance = random.Random(seed)
    groups: list[Group] = []
    events = wanted.arrived
    while events:
        size = chance.randint(1, 9)
        groups.append(group(*events[:size]))
        events = events[size:]
    done = 0
    while done < len(groups):
        done += chance.randint(1, 5)
        again = chance.randint(0, done)
        await asyncio.gather(*(apply.apply(ps, part) for part in (groups[:done], groups[again:done], groups[:done])))
    await _check(scope, accounts, wanted, seed)
    before = await rows(scope)
    await apply.apply(ps, groups)
    assert await rows(scope) == before
    await _check(scope, accounts, wanted, seed)


@pytest.mark.parametrize("seed", range(4))
async def test_any_history_interrupted_anywhere(ps: PlatformScope, scope: Scope, seed: int) -> None:
    """The applier is ended after a random time, again and again; the journal hands out what was not removed."""
    accounts = await _accounts(scope)
    wanted = history(100 + seed, scope.tenant_id)
    for number in range(0, len(wanted.arrived), 4):
        await journal.record(ps, "shared", wanted.arrived[number : number + 4])
    chance = random.Random(seed)
    for _ in range(8):
        reading = await journal.read(ps, 0.001)
        part = reading.groups[: chance.randint(1, 6)]
        task = asyncio.create_task(apply.apply(ps, part))
        await asyncio.wait([task], timeout=chance.random() * 0.1)
        task.cancel()
        if not (await asyncio.gather(task, return_exceptions=True))[0]:
            await journal.remove(ps, part)
    while groups := (await journal.read(ps, 0.001)).groups:
        await apply.apply(ps, groups)
        await journal.remove(ps, groups)
    await _check(scope, accounts, wanted, 100 + seed)
