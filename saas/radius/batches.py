"""Work that waits for a store, done in batches: what arrives while one batch is under way makes up the next one.

So the number of round trips does not grow with the load, and one commit serves a whole burst. A batch is closed when
the loop brings nothing more: larger ones cost less for each item. Each tenant has a queue of its own: when more waits
than one batch takes, every tenant gets an equal share of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SIZE: Final = 512  # items in a batch
ENOUGH: Final = 24  # items that make up a batch that is worth its while
LIMIT: Final = 5_000  # items of one tenant that may wait; more are refused

_log = logging.getLogger(__name__)


class Batches(Generic[T]):
    """Queues with one worker task, which lives only while there is work."""

    def __init__(
        self, work: Callable[[list[T]], Awaitable[None]], failed: Callable[[list[T]], None], gather: float = 0.0
    ) -> None:
        """`work` gets each batch; `failed` gets what it raised for, and is told nothing more: the log is.

        `gather`: seconds that a batch waits for more of them, until there are ENOUGH: for work that costs much in
        itself and that nobody waits for impatiently.
        """
        self._work = work
        self._failed = failed
        self._gather = gather
        self._enough: asyncio.Future[None] | None = None
        self._queues: dict[str, list[T]] = {}
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    def add(self, tenant_id: str, item: T) -> bool:
        """Queue an item; False when its tenant has no room left."""
        queue = self._queues.get(tenant_id)
        if queue is None:
            self._queues[tenant_id] = [item]
        elif len(queue) >= LIMIT:
            return False
        else:
            queue.append(item)
        self._count += 1
        if self._enough is not None and self._count >= ENOUGH:
            _wake(self._enough)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return True

    async def idle(self) -> None:
        """Wait until everything queued is done."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._count:
                if self._gather and self._count < ENOUGH:
                    await self._gathered()
                await self._settled()
                batch = self._take()
                try:
                    await self._work(batch)
                except Exception:
                    _log.exception("a batch of %d requests failed", len(batch))
                    self._failed(batch)
        finally:
            self._task = None

    async def _settled(self) -> None:
        """Let what is on its way join the batch: the loop turns until it brought nothing more twice."""
        quiet = 0
        while quiet < 2 and self._count < SIZE:
            before = self._count
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._count == before else 0

    async def _gathered(self) -> None:
        loop = asyncio.get_running_loop()
        self._enough = loop.create_future()
        timer = loop.call_later(self._gather, _wake, self._enough)
        try:
            await self._enough
        finally:
            timer.cancel()
            self._enough = None

    def _take(self) -> list[T]:
        """Everything, or each tenant's share of a batch; who was served goes to the end of the line."""
        if self._count <= SIZE:
            batch = [item for queue in self._queues.values() for item in queue]
            self._queues.clear()
            self._count = 0
            return batch
        batch = []
        share = max(1, SIZE // len(self._queues))
        while len(batch) < SIZE and self._queues:
            tenant_id = next(iter(self._queues))
            queue = self._queues.pop(tenant_id)
            batch += queue[:share]
            if len(queue) > share:
                self._queues[tenant_id] = queue[share:]
        self._count -= len(batch)
        return batch


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
