"""Asking a device to end a session that nobody has: what is sent, where to, and what the answer means."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from saas.errors import Conflict
from saas.tenants import disconnects, probes, refusals
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.refusals import Refusal
from saas.tenants.scope import PlatformScope
from saas.values import new_id
from tests.handlers.usage import ended
from tests.world import Business, make_business

pytestmark = pytest.mark.slow


@pytest.fixture
async def shop(ps: PlatformScope) -> Business:
    return await make_business(ps, "probe")


class Worker:
    """A worker of the tenant's pool, which answers every command with `result`."""

    def __init__(self, ps: PlatformScope, pool: str, result: CommandResult) -> None:
        self.taken: list[Command] = []
        self._ps, self._pool, self._result = ps, pool, result

    async def __aenter__(self) -> Worker:
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        async for command in disconnects.commands(self._ps, self._pool):
            self.taken.append(command)
            await disconnects.answer(self._ps, command.id, self._result)


def moved(ps: PlatformScope, shop: Business) -> Any:
    """Its scope in a pool of its own, where no other test's worker is."""
    tenant = {**shop.scope.tenant, "pool": new_id("pool")}
    return ps.enter(tenant, shop.scope.actor)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "hears"),
    [
        (CommandResult("nak", 1, 503, 12, "203.0.113.7:3799"), True),
        (CommandResult("ack", 1, None, 12, "203.0.113.7:3799"), True),
        (CommandResult("nak", 1, 403, 12, "203.0.113.7:3799"), False),
        (CommandResult("timeout", 3), False),
    ],
)
async def test_what_it_answers(ps: PlatformScope, shop: Business, result: CommandResult, hears: bool) -> None:
    scope = moved(ps, shop)
    async with Worker(ps, scope.tenant["pool"], result) as worker:
        assert await probes.probe(scope, shop.nas["_id"]) == result
    assert probes.hears(result) == hears
    (command,) = worker.taken
    assert (command.kind, command.nas_id, command.source) == ("disconnect", shop.nas["_id"], "")
    assert command.session_id == command.username and command.username.startswith("test-")
    (entry,) = await scope.db.audit.find({"action": "nas.probe"})
    assert entry["target"] == shop.nas["_id"] and entry["changes"]["result"] == [None, result.result]


async def test_it_is_sent_to_where_the_device_was_last_heard_of(ps: PlatformScope, shop: Business) -> None:
    scope, at = moved(ps, shop), time.time()
    facts: dict[str, Any] = {"tenant_id": shop.id, "nas_id": shop.nas["_id"], "username": "alice", "data": {}}
    facts |= {"account_id": "", "method": "pap", "calling_station_id": "", "source": "192.0.2.1"}
    async with Worker(ps, scope.tenant["pool"], CommandResult("ack", 1)) as worker:
        await refusals.keep(ps, [Refusal(reason="password", at=at, **facts)])
        await probes.probe(scope, shop.nas["_id"])
        await ended(ps, shop, "s1", "User-Request", nas_ip="10.1.1.1")
        await probes.probe(scope, shop.nas["_id"])
    assert [(each.source, each.nas_ip) for each in worker.taken] == [("192.0.2.1", ""), ("203.0.113.7", "10.1.1.1")]
    assert worker.taken[0].username != worker.taken[1].username


async def test_it_is_asked_once_at_a_time(ps: PlatformScope, shop: Business) -> None:
    scope = moved(ps, shop)
    async with Worker(ps, scope.tenant["pool"], CommandResult("ack", 1)):
        both = await asyncio.gather(*(probes.probe(scope, shop.nas["_id"]) for _ in range(2)), return_exceptions=True)
        assert sorted((type(each) for each in both), key=str) == [Conflict, CommandResult]
        assert isinstance(await probes.probe(scope, shop.nas["_id"]), CommandResult)
