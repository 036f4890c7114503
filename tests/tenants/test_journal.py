"""The journal: durable in whichever store is there, read in order, kept until it is removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from saas.embedded import StoreUrls
from saas.errors import Unavailable
from saas.kv import Kv
from saas.store import Store
from saas.tenants import journal
from saas.tenants.scope import PlatformScope, Services, platform_scope
from saas.values import new_id
from tests.cable import Cable, plugged
from tests.tenants.accounting_events import drain, event, session

pytestmark = pytest.mark.slow


@pytest.fixture
async def cable(stores: StoreUrls) -> AsyncIterator[Cable]:
    async with plugged(stores.redis_url) as cable:
        yield cable


@pytest.fixture
async def cabled(ps: PlatformScope, cable: Cable) -> AsyncIterator[PlatformScope]:
    """The platform's scope whose Redis hangs on the cable."""
    kv = await Kv.open(cable.url)
    yield platform_scope(replace(ps.services, kv=kv))
    await kv.close()


@pytest.fixture(autouse=True)
async def emptied(ps: PlatformScope) -> AsyncIterator[None]:
    """Nothing of other tests in the journal, nothing left for them."""
    await drain(ps)
    yield
    await drain(ps)


async def test_what_was_recorded_is_read_in_order_until_it_is_removed(ps: PlatformScope) -> None:
    pool = new_id("pool")
    events = session(0, (300, 10, 100), (600, 20, 2**40), framed_ipv6="2001:db8::1", nas_port=7, gigawords=True)
    await journal.record(ps, pool, events[:2])
    await journal.record(ps, pool, events[2:])

    first = await journal.read(ps, 1)
    again = await journal.read(ps, 1)
    assert first == again
    assert first.complete
    assert [each for group in first.groups for each in group.events] == events
    assert await journal.backlog(ps) == 2

    await journal.remove(ps, first.groups)
    assert await journal.backlog(ps) == 0
    assert pool in await journal.pools(ps)


async def test_any_text_survives(ps: PlatformScope) -> None:
    odd = event("start", 0, session_id='"\\\0|\ud800', username="张三\n", calling_station_id="[1,2]")
    await journal.record(ps, "shared", [odd])
    reading = await journal.read(ps, 1)
    assert reading.groups[0].events == (odd,)


async def test_no_events_is_no_group(ps: PlatformScope) -> None:
    await journal.record(ps, "shared", [])
    assert await journal.backlog(ps) == 0


async def test_without_redis_the_other_store_takes_them(ps: PlatformScope, cabled: PlatformScope, cable: Cable) -> None:
    before, during, after = session(0, (300, 10, 100), (600, 20, 200))[:3]
    await journal.record(cabled, "shared", [before])
    await cable.pull()
    await journal.record(cabled, "shared", [during])
    assert await ps.db.journal.count() == 1

    alone = await journal.read(cabled, 0)
    assert not alone.complete, "what lies in Redis is not known"
    assert [each for group in alone.groups for each in group.events] == [during]

    await cable.plug()
    await journal.record(ps, "shared", [after])
    reading = await journal.read(cabled, 1)
    assert reading.complete
    assert [each for group in reading.groups for each in group.events] == [before, during, after]
    await journal.remove(ps, reading.groups)
    assert await ps.db.journal.count() == 0
    assert await journal.backlog(ps) == 0


async def test_without_any_store_it_is_not_recorded(stores: StoreUrls, database: str, ps: PlatformScope) -> None:
    async with plugged(stores.redis_url) as redis_cable, plugged(stores.mongo_url) as mongo_cable:
        kv, store = await Kv.open(redis_cable.url), await Store.open(mongo_cable.url, database)
        cut = platform_scope(Services(store, kv, ps.keys))
        await journal.record(cut, "shared", [event("start", 0)])
        await redis_cable.pull()
        await mongo_cable.pull()
        with pytest.raises(Unavailable):
            await journal.record(cut, "shared", [event("stop", 9)])
        await kv.close()
        store.close()
    reading = await journal.read(ps, 1)
    assert [each.status for group in reading.groups for each in group.events] == ["start"]


async def test_a_full_source_holds_the_others_back(ps: PlatformScope, cabled: PlatformScope, cable: Cable) -> None:
    """More lies in the fallback than is read at a time: what came later by Redis waits."""
    await cable.pull()
    for number in range(130):
        await journal.record(cabled, "shared", [event("interim", number, session_time=number + 1)])
    await journal.record(ps, "shared", [event("stop", 200, session_time=200)])
    seen: list[float] = []
    while groups := (await journal.read(ps, 0.05)).groups:
        seen += [each.at for group in groups for each in group.events]
        await journal.remove(ps, groups)
    assert len(seen) == 131
    assert seen == sorted(seen)


async def test_what_comes_by_two_pools_is_read_in_the_order_of_arrival(ps: PlatformScope) -> None:
    """As when a tenant is moved: its devices send to both. One of them has more than is read at a time."""
    one, two = new_id("pool"), new_id("pool")
    for number in range(100):
        await journal.record(ps, one if number % 4 else two, [event("interim", number, session_time=number + 1)])
    seen: list[float] = []
    while groups := (await journal.read(ps, 0.05)).groups:
        seen += [each.at for group in groups for each in group.events]
        await journal.remove(ps, groups)
    assert len(seen) == 100
    assert seen == sorted(seen)


async def test_it_is_read_in_portions_of_enough_events(ps: PlatformScope, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small groups make one portion, and large ones do not make it larger."""
    monkeypatch.setattr(journal, "_ENOUGH", 4000)
    pool, number = new_id("pool"), 0
    for size in [1] * 70 + [900] * 8:
        await journal.record(ps, pool, [event("interim", number + n, session_time=1) for n in range(size)])
        number += size
    sizes: list[int] = []
    seen: list[float] = []
    while groups := (reading := await journal.read(ps, 0.05)).groups:
        sizes.append(sum(len(group.events) for group in groups))
        seen += [each.at for group in groups for each in group.events]
        assert reading.complete == (len(seen) == number)
        await journal.remove(ps, groups)
    assert sizes == [70 + 5 * 900, 3 * 900]
    assert seen == sorted(seen)


async def test_what_cannot_be_read_says_why(ps: PlatformScope) -> None:
    await ps.kv.add("pools", "odd")
    await ps.kv.append("pool:odd:acct", [b"[99,[]]", b"nonsense", b'[1,[["too","short"]]]'], keep=10)
    groups = (await journal.read(ps, 1)).groups
    assert [group.events for group in groups] == [(), (), ()]
    assert all(group.error for group in groups)
    await journal.remove(ps, groups)
