"""Ending tasks, also those that lose a cancellation."""

from __future__ import annotations

import asyncio

from saas import tasks


async def test_a_task_that_loses_its_cancellation_is_ended_all_the_same() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    started = asyncio.create_task(deaf())
    over = asyncio.create_task(asyncio.sleep(0))
    await over
    await tasks.end([started, over])
    assert started.cancelled() and lost == 2
