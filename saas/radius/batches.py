"""Work that waits for a store, done in batches: what arrives while one batch is under way makes up the next one.

So the number of round trips does not grow with the load, and one commit serves a whole burst.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SIZE: Final = 512  # items in a batch
LIMIT: Final = 20_000  # items that may wait; more are refused

_log = logging.getLogger(__name__)


class Batches(Generic[T]):
    """A queue with one worker task, which lives only while there is work."""

    def __init__(self, work: Callable[[list[T]], Awaitable[None]], failed: Callable[[list[T]], None]) -> None:
        """`work` gets each batch; `failed` gets what it raised for, and is told nothing more: the log is."""
        self._work = work
        self._failed = failed
        self._waiting: list[T] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, items: Sequence[T]) -> Sequence[T]:
        """Queue items; answers those that found no room."""
        room = max(0, LIMIT - len(self._waiting))
        self._waiting += items[:room]
        if self._waiting and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return items[room:]

    async def idle(self) -> None:
        """Wait until everything queued is done."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:SIZE], self._waiting[SIZE:]
                try:
                    await self._work(batch)
                except Exception:
                    _log.exception("a batch of %d requests failed", len(batch))
                    self._failed(batch)
        finally:
            self._task = None
