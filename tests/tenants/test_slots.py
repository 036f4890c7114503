"""Concurrency: slots are counted atomically, follow accounting, and lapse by themselves."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from saas.embedded import StoreUrls
from saas.kv import Kv
from saas.tenants import apply, journal, slots
from saas.tenants.accounting import event_key
from saas.tenants.scope import PlatformScope, Scope, platform_scope
from saas.tenants.slots import Counted, SlotRequest
from tests.cable import plugged
from tests.tenants.accounting_events import event, make_account, make_tenant, record_and_apply, session

pytestmark = pytest.mark.usefixtures("emptied")


def wish(scope: Scope, slot: str, calling: str, **values: Any) -> SlotRequest:
    account: dict[str, Any] = {"account_id": "acc_1", "limit": 1, "silence": 960}
    nas_id = values.pop("nas_id", "nas_1")
    return SlotRequest(Counted(scope.tenant_id, **account | values), slot, nas_id, calling)


def told(scope: Scope, status: str, at: float, calling: str, **values: Any) -> Any:
    defaults = {"account_id": "acc_1", "session_id": calling}
    return event(status, at, tenant_id=scope.tenant_id, calling_station_id=calling, **defaults | values)


async def age(ps: PlatformScope, scope: Scope, seconds: int, account_id: str = "acc_1") -> None:
    """Let an account's slots be older than they are."""
    script = """
    local flat = redis.call('HGETALL', KEYS[1])
    for i = 1, #flat, 2 do
      local value = flat[i + 1]
      if flat[i] == '~' then value = value .. value end
      local expires = string.format('%010d', string.sub(value, 1, 10) - ARGV[1])
      local since = string.format('%010d', string.sub(value, 11, 20) - ARGV[1])
      local aged = flat[i] == '~' and expires or expires .. since .. string.sub(value, 21)
      redis.call('HSET', KEYS[1], flat[i], aged)
    end
    """
    await ps.slots.run(script, [f"t:{scope.tenant_id}:slots:{account_id}"], [seconds])


async def test_the_limit_holds_however_many_ask_at_once(ps: PlatformScope, scope: Scope) -> None:
    wishes = [wish(scope, f"s{n}", f"mac-{n}", limit=3) for n in range(40)]
    answers = await asyncio.gather(*(slots.reserve(ps, wishes[n : n + 4]) for n in range(0, 40, 4)))
    counts = [count for answer in answers if answer for count in answer]
    assert sorted(count for count in counts if count < 3) == [0, 1, 2]
    assert counts.count(3) == 37


async def test_the_limit_holds_for_engines_that_ask_side_by_side(
    ps: PlatformScope, scope: Scope, stores: StoreUrls
) -> None:
    """Each has a connection of its own, so that what they ask comes in any order; every device asks all of them."""
    async with AsyncExitStack() as stack:
        engines = []
        for _ in range(4):
            kv = await Kv.open(stores.redis_url)
            stack.push_async_callback(kv.close)
            engines.append(platform_scope(replace(ps.services, kv=kv, slots=None)))
        for number in range(20):
            await asked_by_all(engines, scope, f"acc_{number}")


async def asked_by_all(engines: list[PlatformScope], scope: Scope, account_id: str) -> None:
    """Ten devices ask four engines each for one of three sessions: three devices get in, and nothing else is left."""

    async def ask(who: int, first: int) -> list[tuple[str, int]]:
        stations = [f"mac-{(first + n + 3 * who) % 10}" for n in (0, 1)]
        wishes = [
            wish(scope, f"engine-{who:05d}{station}", station, limit=3, account_id=account_id) for station in stations
        ]
        counts = await slots.reserve(engines[who], wishes)
        return list(zip(stations, counts or (), strict=True))

    answers = await asyncio.gather(*(ask(who, first) for who in range(4) for first in range(0, 10, 2)))
    assert len({station for answer in answers for station, count in answer if count < 3}) == 3
    inside = engines[0].enter(scope.tenant, scope.actor)
    assert await slots.occupied(inside, account_id) == 3
    assert (await inside.services.counting.left([f"t:{scope.tenant_id}:slots:{account_id}"]))[0] > 3600


async def test_who_is_refused_keeps_nobody_out(ps: PlatformScope, scope: Scope) -> None:
    """A stranger who tries all the time, beside the device that has the account's session."""
    account = Counted(scope.tenant_id, "acc_1", 1, 960)
    await slots.reserve(ps, [wish(scope, "a", "mac-1")])
    stranger = [SlotRequest(account, f"x{n}", "nas_1", "mac-2") for n in range(3)]
    returning = SlotRequest(account, "b", "nas_1", "mac-1")
    assert await slots.reserve(ps, [stranger[0], returning, stranger[1]]) == [1, 0, 1]
    assert await slots.reserve(ps, [stranger[2], returning]) == [1, 0]
    assert await slots.occupied(scope, "acc_1", "nas_1", "mac-1") == 0


async def test_one_batch_serves_many_accounts_and_tenants(ps: PlatformScope, scope: Scope) -> None:
    other = await make_tenant(ps)
    answers = await slots.reserve(
        ps,
        [
            wish(scope, "a", "mac-1"),
            wish(other, "b", "mac-2"),
            wish(scope, "c", "mac-2", account_id="acc_2"),
            wish(scope, "d", "mac-2"),
        ],
    )
    assert answers == [0, 0, 0, 1]
    assert await slots.reserve(ps, []) == []


async def test_a_returning_device_does_not_count_itself(ps: PlatformScope, scope: Scope) -> None:
    assert await slots.reserve(ps, [wish(scope, "a", "mac-1")]) == [0]
    assert await slots.reserve(ps, [wish(scope, "b", "mac-1")]) == [0]
    assert await slots.reserve(ps, [wish(scope, "c", "mac-1", nas_id="nas_2")]) == [1], "at another device it does"
    assert await slots.reserve(ps, [wish(scope, "d", "")]) == [1], "nor is an unknown station taken for it"


async def test_one_station_counts_once_for_others(ps: PlatformScope, scope: Scope) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-1", limit=2)])
    await journal.record(ps, "shared", [told(scope, "start", 0, "mac-1", slot="a", session_id="1")])
    await slots.reserve(ps, [wish(scope, "b", "mac-1", limit=2)])
    await journal.record(ps, "shared", [told(scope, "start", 9, "mac-1", slot="b", session_id="2")])
    assert await slots.reserve(ps, [wish(scope, "c", "mac-2", limit=2)]) == [1]


@pytest.mark.parametrize("token", ["a", ""])  # with Class echoed by the device, and without
async def test_start_turns_the_pending_slot_into_an_open_one_and_stop_frees_it(
    ps: PlatformScope, scope: Scope, token: str
) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-1")])
    await journal.record(ps, "shared", [told(scope, "start", 0, "mac-1", slot=token)])
    assert await slots.occupied(scope, "acc_1") == 1
    await age(ps, scope, slots.PENDING)
    assert await slots.occupied(scope, "acc_1") == 1, "an open slot lasts longer than a pending one"
    await journal.record(ps, "shared", [told(scope, "stop", 9, "mac-1", slot=token)])
    assert await slots.occupied(scope, "acc_1") == 0


async def test_a_login_without_accounting_lapses(ps: PlatformScope, scope: Scope) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-1")])
    await age(ps, scope, slots.PENDING - 2)
    assert await slots.reserve(ps, [wish(scope, "b", "mac-2")]) == [1]
    await age(ps, scope, 2)
    assert await slots.reserve(ps, [wish(scope, "b", "mac-2")]) == [0]


async def test_silence_of_three_intervals_lapses_and_an_interim_prevents_it(ps: PlatformScope, scope: Scope) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-1", silence=360)])
    await journal.record(ps, "shared", [told(scope, "start", 0, "mac-1", slot="a")])
    await age(ps, scope, 350)
    assert await slots.occupied(scope, "acc_1") == 1
    await journal.record(ps, "shared", [told(scope, "interim", 300, "mac-1", slot="a")])
    await age(ps, scope, 350)
    assert await slots.occupied(scope, "acc_1") == 1
    await age(ps, scope, 11)
    assert await slots.occupied(scope, "acc_1") == 0


async def test_late_packets_do_not_bring_an_ended_session_back(ps: PlatformScope, scope: Scope) -> None:
    start, interim, stop = (told(scope, status, 0, "mac-1") for status in ("start", "interim", "stop"))
    await journal.record(ps, "shared", [start, interim, stop, interim, start])
    assert await slots.occupied(scope, "acc_1") == 0


async def test_the_silence_told_with_a_report_counts_from_then_on(ps: PlatformScope, scope: Scope) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-1", silence=360)])
    await journal.record(ps, "shared", [told(scope, "start", 0, "mac-1", slot="a")], {scope.tenant_id: 660})
    await age(ps, scope, 650)
    assert await slots.occupied(scope, "acc_1") == 1
    await journal.record(ps, "shared", [told(scope, "interim", 600, "mac-1")], {scope.tenant_id: 200})
    await age(ps, scope, 199)
    assert await slots.occupied(scope, "acc_1") == 1
    await age(ps, scope, 2)
    assert await slots.occupied(scope, "acc_1") == 0


async def test_a_stop_frees_the_pending_slot_of_a_login_whose_start_was_lost(ps: PlatformScope, scope: Scope) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-1")])
    await journal.record(ps, "shared", [told(scope, "stop", 9, "mac-1", slot="a")])
    assert await slots.occupied(scope, "acc_1") == 0


async def test_the_token_finds_the_pending_slot_whatever_station_accounting_tells(
    ps: PlatformScope, scope: Scope
) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-0")])
    await journal.record(ps, "shared", [told(scope, "start", 0, "mac-1", slot="a")])
    assert await slots.occupied(scope, "acc_1") == 1


async def test_looking_reserves_nothing_and_takes_nothing(ps: PlatformScope, scope: Scope) -> None:
    await slots.reserve(ps, [wish(scope, "a", "mac-1")])
    assert await slots.occupied(scope, "acc_1", "nas_1", "mac-1") == 0
    assert await slots.occupied(scope, "acc_1", "nas_1", "mac-2") == 1
    assert await slots.occupied(scope, "acc_1") == 1


async def test_unknown_users_hold_no_slot(ps: PlatformScope, scope: Scope) -> None:
    await journal.record(ps, "shared", [told(scope, "start", 0, "mac-1", account_id="")])
    assert await slots.occupied(scope, "") == 0


async def test_separators_in_a_station_do_no_harm(ps: PlatformScope, scope: Scope) -> None:
    odd = "10.0.0.2[4500]|x|\n\0"
    assert await slots.reserve(ps, [wish(scope, "a", odd)]) == [0]
    assert await slots.reserve(ps, [wish(scope, "b", odd)]) == [0]
    assert await slots.reserve(ps, [wish(scope, "c", "mac-2")]) == [1]


async def test_a_reboot_frees_the_devices_slots(ps: PlatformScope, scope: Scope) -> None:
    account_id = await make_account(scope, "alice")
    await record_and_apply(ps, told(scope, "start", 0, "mac-1", account_id=account_id))
    assert await slots.occupied(scope, account_id) == 1
    await record_and_apply(ps, event("on", 9, tenant_id=scope.tenant_id, session_id="", username=""))
    assert await slots.occupied(scope, account_id) == 0


async def test_slots_are_rebuilt_from_the_open_sessions(ps: PlatformScope, scope: Scope) -> None:
    account_id = await make_account(scope, "alice")
    here = {"tenant_id": scope.tenant_id, "account_id": account_id}
    over = session(0, (60, 1, 1), session_id="1", calling_station_id="mac-1", **here)
    await record_and_apply(ps, *over, event("start", 100, session_id="2", calling_station_id="mac-2", **here))
    await ps.slots.delete(f"t:{scope.tenant_id}:slots:{account_id}", "slots:built")
    assert await slots.occupied(scope, account_id) == 0
    assert not await slots.built(ps)
    assert await slots.rebuild_all(ps) >= 1
    assert await slots.built(ps)
    assert await slots.occupied(scope, account_id) == 1
    assert await slots.occupied(scope, account_id, "nas_1", "mac-2") == 0


async def test_without_redis_nothing_is_counted_and_what_happens_is_caught_up(
    ps: PlatformScope, scope: Scope, stores: StoreUrls
) -> None:
    account_id = await make_account(scope, "alice")
    async with plugged(stores.redis_url) as cable:
        kv = await Kv.open(cable.url)
        cut = platform_scope(replace(ps.services, kv=kv, slots=None))
        await cable.pull()
        assert await slots.reserve(cut, [wish(scope, "a", "mac-1")]) is None
        assert await slots.occupied(cut.enter(scope.tenant, scope.actor), account_id) is None
        await journal.record(cut, "shared", [told(scope, "start", 0, "mac-1", account_id=account_id)])
        await kv.close()
    assert await slots.occupied(scope, account_id) == 0
    reading = await journal.read(ps, 0.001)
    await apply.apply(ps, reading.groups)
    assert await slots.occupied(scope, account_id) == 1


async def test_thousands_of_ended_sessions_keep_nobody_from_logging_in(ps: PlatformScope, scope: Scope) -> None:
    """A device that dials without pause; the logins of others are worked on in the same script."""
    ended = [told(scope, "stop", 1, f"mac-{number}") for number in range(8500)]
    for first in range(0, len(ended), 500):
        await journal.record(ps, "shared", ended[first : first + 500])
    await age(ps, scope, 1000)
    other = await make_tenant(ps)
    assert await slots.reserve(ps, [wish(scope, "a", "mac-1"), wish(other, "b", "mac-1")]) == [0, 0]


async def test_a_slot_does_not_count_against_itself(ps: PlatformScope, scope: Scope) -> None:
    """The last round of an EAP dialogue sent again, by a device that tells no station."""
    assert await slots.reserve(ps, [wish(scope, "a", "")]) == [0]
    assert await slots.reserve(ps, [wish(scope, "a", "")]) == [0]
    assert await slots.reserve(ps, [wish(scope, "b", "")]) == [1]


# the oldest gives way


async def kicked(ps: PlatformScope, scope: Scope) -> list[str]:
    """The session keys on the list of what is to be forced off, of this tenant."""
    entries = (await ps.slots.oldest([slots.KICKS], 1000, 0.001)).get(slots.KICKS, [])
    told_of = [json.loads(entry.data) for entry in entries]
    return [key for tenant_id, key in told_of if tenant_id == scope.tenant_id]


async def open_sessions(ps: PlatformScope, scope: Scope, *stations: str) -> None:
    """Sessions that are open, the first one the oldest."""
    for station in stations:
        await age(ps, scope, 10)
        await journal.record(ps, "shared", [told(scope, "start", 0, station, session_id=station or "anon")])


def key_of(scope: Scope, station: str) -> str:
    return event_key(told(scope, "start", 0, station))


async def test_at_the_limit_the_oldest_session_gives_way(ps: PlatformScope, scope: Scope) -> None:
    await open_sessions(ps, scope, "mac-1", "mac-2")
    assert await slots.reserve(ps, [wish(scope, "c", "mac-3", limit=2)]) == [2]
    assert await kicked(ps, scope) == []
    assert await slots.reserve(ps, [wish(scope, "c", "mac-3", limit=2, kicks=True)]) == [1]
    assert await kicked(ps, scope) == [key_of(scope, "mac-1")]
    # what it still reports does not bring it back, and its Stop changes nothing
    await journal.record(ps, "shared", [told(scope, "interim", 20, "mac-1"), told(scope, "stop", 21, "mac-1")])
    assert await slots.reserve(ps, [wish(scope, "d", "mac-4", limit=2)]) == [2]


async def test_below_the_limit_nobody_gives_way(ps: PlatformScope, scope: Scope) -> None:
    await open_sessions(ps, scope, "mac-1")
    assert await slots.reserve(ps, [wish(scope, "b", "mac-2", limit=2, kicks=True)]) == [1]
    assert await slots.reserve(ps, [wish(scope, "c", "mac-1", limit=2, kicks=True)]) == [1], "it returns"
    assert await kicked(ps, scope) == []


async def test_a_login_that_has_not_begun_does_not_give_way(ps: PlatformScope, scope: Scope) -> None:
    """Two newcomers at once: one of them gets the place, the other is refused and nothing goes back and forth."""
    await open_sessions(ps, scope, "mac-1")
    wishes = [wish(scope, f"s{n}", f"mac-{n}", kicks=True) for n in range(2, 6)]
    answers = await slots.reserve(ps, wishes)
    assert sorted(answers or []) == [0, 1, 1, 1]
    assert await kicked(ps, scope) == [key_of(scope, "mac-1")]


async def test_a_lower_limit_takes_as_many_as_it_must(ps: PlatformScope, scope: Scope) -> None:
    await open_sessions(ps, scope, "mac-1", "mac-2", "mac-3")
    assert await slots.reserve(ps, [wish(scope, "x", "mac-9", limit=2, kicks=True)]) == [1]
    assert await kicked(ps, scope) == [key_of(scope, "mac-1"), key_of(scope, "mac-2")]


async def test_all_sessions_of_the_oldest_station_give_way(ps: PlatformScope, scope: Scope) -> None:
    await open_sessions(ps, scope, "mac-1", "mac-2")
    await journal.record(ps, "shared", [told(scope, "start", 0, "mac-1", session_id="again")])
    assert await slots.reserve(ps, [wish(scope, "x", "mac-9", limit=2, kicks=True)]) == [1]
    again = event_key(told(scope, "start", 0, "mac-1", session_id="again"))
    assert sorted(await kicked(ps, scope)) == sorted([key_of(scope, "mac-1"), again])


async def test_a_station_that_just_returns_is_not_the_oldest(ps: PlatformScope, scope: Scope) -> None:
    await open_sessions(ps, scope, "mac-1", "mac-2")
    await slots.reserve(ps, [wish(scope, "a", "mac-1", limit=2)])
    assert await slots.reserve(ps, [wish(scope, "x", "mac-9", limit=2, kicks=True)]) == [1]
    assert await kicked(ps, scope) == [key_of(scope, "mac-2")]


async def test_sessions_without_a_station_are_each_their_own(ps: PlatformScope, scope: Scope) -> None:
    await open_sessions(ps, scope, "", "mac-2")
    assert await slots.reserve(ps, [wish(scope, "x", "", limit=2, kicks=True)]) == [1]
    assert await kicked(ps, scope) == [event_key(told(scope, "start", 0, "", session_id="anon"))]
