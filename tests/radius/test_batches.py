"""Work in batches: what arrives meanwhile goes together, failures stay with their batch, the queue is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from saas.radius.batches import ENOUGH, LIMIT, SIZE, Batches


class Work:
    """Keeps the batches it was given, `begun` with the first; waits for `go` before it is done with it."""

    def __init__(self) -> None:
        self.done: list[list[int]] = []
        self.failed: list[int] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def do(self, batch: list[int]) -> None:
        self.begun.set()
        await self.go.wait()
        if batch == [13]:
            raise ValueError("no luck")
        self.done.append(batch)


async def test_what_arrives_while_a_batch_is_worked_on_makes_up_the_next() -> None:
    work = Work()
    batches = Batches(work.do, work.failed.extend)
    batches.add("t", 1)
    await work.begun.wait()
    for number in (2, 3, 4):
        assert batches.add("t", number)
    work.go.set()
    await batches.idle()
    assert work.done == [[1], [2, 3, 4]]


async def test_what_the_next_turn_of_the_loop_brings_joins_the_batch() -> None:
    work = Work()
    work.go.set()
    batches = Batches(work.do, work.failed.extend)
    loop = asyncio.get_running_loop()
    batches.add("t", 1)
    loop.call_soon(batches.add, "t", 2)
    loop.call_soon(loop.call_soon, batches.add, "t", 3)
    await batches.idle()
    assert work.done == [[1, 2, 3]]


async def test_a_failed_batch_is_handed_back_and_the_next_goes_on(expect_log: Callable[[str], None]) -> None:
    expect_log("a batch of 1 requests failed")
    work = Work()
    batches = Batches(work.do, work.failed.extend)
    batches.add("t", 13)
    await work.begun.wait()
    batches.add("t", 14)
    work.go.set()
    await batches.idle()
    assert (work.failed, work.done) == ([13], [[14]])


async def test_the_queue_and_its_batches_are_bounded() -> None:
    work = Work()
    batches = Batches(work.do, work.failed.extend)
    assert [batches.add("t", number) for number in range(LIMIT + 5)] == [True] * LIMIT + [False] * 5
    work.go.set()
    await batches.idle()
    assert max(map(len, work.done)) == SIZE
    assert sum(map(len, work.done)) == LIMIT


async def test_a_tenant_that_floods_leaves_the_others_their_share() -> None:
    work = Work()
    batches = Batches(work.do, work.failed.extend)
    for number in range(LIMIT):
        batches.add("loud", number)
    for tenant in ("a", "b", "c"):
        assert batches.add(tenant, -1), "room is counted for each tenant"
    work.go.set()
    await batches.idle()
    assert work.done[0].count(-1) == 3, "whoever has little is served in the first batch"
    loud = [number for batch in work.done for number in batch if number >= 0]
    assert loud == list(range(LIMIT)), "and the loud one in the order of its arrival"


async def test_idle_without_work_is_at_once() -> None:
    work = Work()
    await Batches(work.do, work.failed.extend).idle()
    assert work.done == []


async def test_a_batch_waits_for_enough_of_them_and_no_longer_than_it_may() -> None:
    work = Work()
    work.go.set()
    patient = Batches(work.do, work.failed.extend, gather=3600.0)
    for number in range(ENOUGH):
        assert work.done == []
        patient.add("t", number)
        await asyncio.sleep(0)
    await patient.idle()
    assert work.done == [list(range(ENOUGH))]
    hasty = Batches(work.do, work.failed.extend, gather=0.001)
    hasty.add("t", 1)
    await hasty.idle()
    assert work.done[1:] == [[1]]
