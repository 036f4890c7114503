"""Forcing a session off: the command, its one taker, every kind of answer, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from saas.errors import Conflict, NotFound
from saas.tenants import disconnects, journal, sessions
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id
from tests.support import until
from tests.tenants.accounting_events import event, make_tenant, record_and_apply, rows, session

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("emptied")]


@pytest.fixture
async def scope(ps: PlatformScope) -> Scope:
    """A tenant with a pool of its own."""
    return await make_tenant(ps, pool=new_id("pool"))


@pytest.fixture
async def worker(ps: PlatformScope, scope: Scope) -> AsyncIterator[Callable[[CommandResult], list[Command]]]:
    """`worker(result)` starts a worker of the pool that answers every command so; the list of what it took."""
    tasks: list[asyncio.Task[None]] = []

    def start(result: CommandResult) -> list[Command]:
        taken: list[Command] = []

        async def serve() -> None:
            async for command in disconnects.commands(ps, scope.tenant["pool"]):
                taken.append(command)
                await disconnects.answer(ps, command.id, result)

        tasks.append(asyncio.create_task(serve()))
        return taken

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def online(ps: PlatformScope, scope: Scope, *names: str) -> list[str]:
    """Put users online; the ids of their sessions."""
    starts = [
        event("start", 0, tenant_id=scope.tenant_id, username=name, nas_port=7, nas_port_id="ppp7", nas_ip="10.1.1.1")
        for name in names
    ]
    await record_and_apply(ps, *starts)
    by_name = {row["username"]: row["_id"] for row in await rows(scope)}
    return [by_name[name] for name in names]


async def test_acknowledged(ps: PlatformScope, scope: Scope, worker: Any) -> None:
    taken = worker(CommandResult("ack", 2, None, 37, "192.0.2.7:3799"))
    (session_id,) = await online(ps, scope, "alice")
    attempt = await disconnects.request(scope, session_id)
    assert (attempt["result"], attempt["attempts"], attempt["rtt_ms"], attempt["error_cause"]) == ("ack", 2, 37, None)
    assert attempt["address"] == "192.0.2.7:3799"
    assert await disconnects.history(scope, session_id) == [attempt]
    assert disconnects.to_dict(attempt)["id"] == attempt["_id"]
    assert "tenant_id" not in disconnects.to_dict(attempt)

    (command,) = taken
    assert (command.tenant_id, command.nas_id, command.kind) == (scope.tenant_id, "nas_1", "disconnect")
    assert (command.session_id, command.username, command.framed_ip) == ("0001", "alice", "10.0.0.5")
    assert (command.nas_port, command.nas_port_id, command.nas_ip) == (7, "ppp7", "10.1.1.1")
    assert (command.calling_station_id, command.source) == ("AA-BB-CC-DD-EE-01", "192.0.2.7")

    row = await sessions.get(scope, session_id)
    assert row["open"], "an acknowledgement is not the end: that is the Stop"
    assert row["closing_at"] is not None
    (entry,) = await scope.db.audit.find({"target": session_id})
    assert (entry["action"], entry["target_name"], entry["actor_name"]) == ("session.disconnect", "alice", "system")
    assert entry["changes"]["result"] == [None, "ack"]


async def test_refused(ps: PlatformScope, scope: Scope, worker: Any) -> None:
    worker(CommandResult("nak", 1, 501, 12))
    (session_id,) = await online(ps, scope, "alice")
    attempt = await disconnects.request(scope, session_id)
    assert (attempt["result"], attempt["error_cause"]) == ("nak", 501)
    row = await sessions.get(scope, session_id)
    assert (row["open"], row["closing_at"]) == (True, None)


async def test_a_session_that_the_device_does_not_know_ends_here_too(
    ps: PlatformScope, scope: Scope, worker: Any
) -> None:
    worker(CommandResult("nak", 1, 503, 12))
    (session_id,) = await online(ps, scope, "alice")
    await disconnects.request(scope, session_id)
    row = await sessions.get(scope, session_id)
    assert (row["open"], row["stop_source"], row["terminate_cause"]) == (False, "disconnect", "Lost-Carrier")


@pytest.mark.parametrize("result", ["timeout", "unreachable"])
async def test_no_answer_changes_nothing(ps: PlatformScope, scope: Scope, worker: Any, result: str) -> None:
    worker(CommandResult(result, 3))
    (session_id,) = await online(ps, scope, "alice")
    attempt = await disconnects.request(scope, session_id)
    assert (attempt["result"], attempt["attempts"]) == (result, 3)
    assert (await sessions.get(scope, session_id))["open"]


async def test_no_engine_and_a_command_too_old_is_never_taken(ps: PlatformScope, scope: Scope, worker: Any) -> None:
    first, second = await online(ps, scope, "alice", "bob")
    assert (await disconnects.request(scope, first))["result"] == "no_engine"
    taken = worker(CommandResult("ack", 1))
    assert (await disconnects.request(scope, second))["result"] == "ack"
    assert [command.username for command in taken] == ["bob"]


async def test_each_command_has_one_taker(ps: PlatformScope, scope: Scope, worker: Any) -> None:
    takers = [worker(CommandResult("ack", 1)) for _ in range(3)]
    names = [f"user-{n:02d}" for n in range(24)]
    ids = await online(ps, scope, *names)
    attempts = await asyncio.gather(*(disconnects.request(scope, session_id) for session_id in ids))
    assert [attempt["result"] for attempt in attempts] == ["ack"] * 24
    assert sorted(command.username for taken in takers for command in taken) == names


async def test_not_online_not_ours_not_twice(ps: PlatformScope, scope: Scope) -> None:
    await record_and_apply(ps, *session(0, (60, 1, 1), tenant_id=scope.tenant_id, username="gone"))
    (gone,) = await rows(scope)
    with pytest.raises(Conflict) as refused:
        await disconnects.request(scope, gone["_id"])
    assert refused.value.code == "not_online"
    (session_id,) = await online(ps, scope, "alice")
    with pytest.raises(NotFound):
        await disconnects.request(await make_tenant(ps), session_id)

    async def attempt() -> str:
        try:
            return (await disconnects.request(scope, session_id))["result"]
        except Conflict as conflict:
            return conflict.code

    assert sorted(await asyncio.gather(attempt(), attempt())) == ["in_progress", "no_engine"]
    assert len(await disconnects.history(scope, session_id)) == 1


async def test_an_attempt_whose_console_ended_while_it_waited(ps: PlatformScope, scope: Scope) -> None:
    (session_id,) = await online(ps, scope, "alice")
    asking = asyncio.create_task(disconnects.request(scope, session_id))
    await until(lambda: disconnects.history(scope, session_id), "the attempt is on record")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    (attempt,) = await disconnects.history(scope, session_id)
    assert disconnects.to_dict(attempt)["result"] == "waiting"
    attempt["requested_at"] -= timedelta(minutes=2)
    assert disconnects.to_dict(attempt)["result"] == "no_engine"


async def test_the_stop_that_follows_ends_it(ps: PlatformScope, scope: Scope, worker: Any) -> None:
    worker(CommandResult("ack", 1))
    (session_id,) = await online(ps, scope, "alice")
    await disconnects.request(scope, session_id)
    stop = event("stop", 60, tenant_id=scope.tenant_id, session_time=60, terminate_cause="Admin-Reset", up=1, down=2)
    await record_and_apply(ps, stop)
    row = await sessions.get(scope, session_id)
    assert (row["open"], row["closing_at"], row["stop_source"]) == (False, None, "stop")
    assert await journal.backlog(ps) == 0
