"""News that a tenant's sessions have changed, for pages that keep themselves up to date.

Whoever changes sessions tells it; a process listens while somebody watches a page. Told is only that something
changed: what it is, the page asks with its reader's rights. News may be lost, so a page asks now and then anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from saas import tasks
from saas.errors import Limit, Unavailable
from saas.kv import Kv

log = logging.getLogger(__name__)

MOST = 200  # pages of a tenant that one process keeps up to date
_CHANNEL = "sessions"
_RETRY = 1.0  # seconds until an absent Redis is asked again


async def tell(kv: Kv, tenant_ids: Collection[str]) -> None:
    """Sessions of these tenants have changed. Nothing is lost when Redis is away: pages ask by themselves."""
    if tenant_ids:
        try:
            await kv.tell(_CHANNEL, sorted(tenant_ids))
        except Unavailable:
            log.debug("nobody was told that sessions changed: Redis is away")


class Watch:
    """The pages that a process keeps up to date, and the one listener for all of them."""

    def __init__(self, kv: Kv) -> None:
        self._kv = kv
        self._events: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever sessions of the tenant have changed. Limit("too_many_watchers")."""
        if len(self._events[tenant_id]) >= MOST:
            raise Limit("too_many_watchers", limit=MOST)
        event = asyncio.Event()
        self._events[tenant_id].add(event)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        try:
            yield event
        finally:
            self._events[tenant_id].discard(event)
            if not self._events[tenant_id]:
                del self._events[tenant_id]
            if not self._events and self._listener:
                listener, self._listener = self._listener, None
                await tasks.end([listener])

    async def _listen(self) -> None:
        while True:
            try:
                async for tenant_ids in self._kv.told(_CHANNEL, None):
                    self._wake(tenant_ids or self._events)  # when it begins to listen something may have passed
            except Unavailable:
                await asyncio.sleep(_RETRY)

    def _wake(self, tenant_ids: Collection[str]) -> None:
        for tenant_id in tenant_ids:
            for event in self._events.get(tenant_id, ()):
                event.set()
