"""The same work for many tenants: some at a time, and what fails for one stops no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from saas.errors import Unavailable
from saas.tenants.scope import SYSTEM, PlatformScope, Scope

log = logging.getLogger(__name__)
T = TypeVar("T")

_AT_ONCE = 8


async def each_tenant(
    ps: PlatformScope, name: str, work: Mapping[str, T], do: Callable[[Scope, T], Awaitable[int]]
) -> int:
    """`do` in the scope of each tenant of `work` (by id); the sum of what it answers. Those that are gone are left out.

    A failure is logged with the tenant's id and `name`. Unavailable is raised, once the others are done: repeat all.
    """
    if not work:
        return 0
    tenants = await ps.db.tenants.find({"_id": {"$in": list(work)}}, limit=len(work))
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(tenant: Mapping[str, Any]) -> int:
        async with gate:
            try:
                return await do(ps.enter(tenant, SYSTEM), work[tenant["_id"]])
            except Unavailable:
                raise
            except Exception:
                log.exception("%s: tenant %s failed", name, tenant["_id"])
                return 0

    answers = await asyncio.gather(*(one(tenant) for tenant in tenants), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return sum(answer for answer in answers if isinstance(answer, int))
