"""Forcing a session off: a Disconnect-Request to its device (RFC 5176), and every attempt on record."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from saas.errors import Conflict, Unavailable
from saas.tenants import audit, engines, sessions
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.sessions import Session
from saas.values import new_id, utcnow

log = logging.getLogger(__name__)

_WAIT = 5.0  # seconds for an answer: a worker sends three times within three
_POLL = 1.0  # seconds that one read of a list waits
_ANSWER_KEPT = 60  # seconds
_NO_CONTEXT = 503  # Session-Context-Not-Found


@dataclass(frozen=True, slots=True)
class Command:
    """What a worker is asked to send. The session's facts are those the device reported; "" and None: not known."""

    id: str
    tenant_id: str
    nas_id: str
    kind: str  # "disconnect"
    deadline: float  # seconds since 1970: nobody waits for the answer after it
    session_id: str  # Acct-Session-Id
    username: str
    framed_ip: str
    framed_ipv6: str
    calling_station_id: str
    called_station_id: str
    nas_ip: str
    nas_port: int | None
    nas_port_id: str
    nas_port_type: str
    service_type: str
    multi_session_id: str
    source: str  # where the session's accounting came from


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of it. `result`: "ack", "nak", "timeout" (no answer), "radsec_timeout" (no answer down the device's
    connection), "unreachable" (nowhere to send it).
    """

    result: str
    attempts: int
    error_cause: int | None = None  # RFC 5176 section 3.5
    rtt_ms: int | None = None
    address: str = ""  # where it was sent, "host:port", or "RadSec" for the device's connection


class Disconnect(TypedDict):
    """One attempt to end a session, on record.

    `result`: "waiting", or what came of it: "ack", "nak", "timeout" (the device gave no answer), "radsec_timeout" (none
    down its connection), "unreachable" (its address is not known), "no_engine" (no worker took the command).
    `error_cause`: RFC 5176 section 3.5.
    """

    _id: str
    tenant_id: str
    session_id: str
    nas_id: str
    username: str
    actor_name: str
    requested_at: datetime
    result: str
    attempts: int
    error_cause: int | None
    rtt_ms: int | None
    address: str


_PUBLIC = Disconnect.__annotations__.keys() - {"_id", "tenant_id"}


async def request(scope: Scope, session_id: str) -> Disconnect:
    """Ask the device to end a session, and wait for its answer: the attempt as it is on record, within six seconds.

    NotFound; Conflict("not_online") when it has ended, Conflict("in_progress") while another request waits.
    Unavailable when no command can be given.
    """
    session = await sessions.get(scope, session_id)
    if not session["open"]:
        raise Conflict("not_online", name=session["username"])
    hits, _ = await scope.kv.hit(f"disconnect:{session_id}", _WAIT)
    if hits > 1:
        raise Conflict("in_progress", name=session["username"])
    attempt = await scope.db.disconnects.insert(_attempt(scope, session))
    result = await _ask(scope, session, attempt["_id"])
    done = await _record(scope, session, attempt["_id"], result)
    await _follow(scope, session_id, result)
    return done


async def history(scope: Scope, session_id: str) -> list[Disconnect]:
    """The attempts to end a session, the newest first."""
    return await scope.db.disconnects.find({"session_id": session_id})


def to_dict(attempt: Disconnect) -> dict[str, Any]:
    """The public fields. An attempt whose console ended while it waited was never answered."""
    public = {"id": attempt["_id"], **{name: value for name, value in attempt.items() if name in _PUBLIC}}
    given_up = attempt["result"] == "waiting" and attempt["requested_at"] < utcnow() - timedelta(seconds=_ANSWER_KEPT)
    return public | {"result": "no_engine"} if given_up else public


def commands(ps: PlatformScope, pool: str) -> AsyncIterator[Command]:
    """The pool's commands from now on, for ever: each is taken by exactly one worker. Waits out an absent Redis."""
    return taken(ps, _queue(pool))


async def taken(ps: PlatformScope, queue: str) -> AsyncIterator[Command]:
    """The commands of a queue, as `commands` gives them."""
    while True:
        try:
            data = await ps.kv.pop(queue, _POLL)
        except Unavailable:
            await asyncio.sleep(_POLL)
            continue
        if data is not None:
            command = Command(**json.loads(data))
            if command.deadline > time.time():
                yield command


async def answer(ps: PlatformScope, command_id: str, result: CommandResult) -> None:
    """Hand a command's result to whoever waits for it; lost when Redis is away."""
    try:
        await ps.kv.push(_answers(command_id), json.dumps(asdict(result)).encode(), _ANSWER_KEPT)
    except Unavailable:
        log.warning("the answer to command %s is lost: Redis is away", command_id)


def _queue(pool: str) -> str:
    return f"pool:{pool}:commands"


def _answers(command_id: str) -> str:
    return f"answer:{command_id}"


def _attempt(scope: Scope, session: Session) -> Disconnect:
    return Disconnect(
        _id=new_id("dis"),
        tenant_id=scope.tenant_id,
        session_id=session["_id"],
        nas_id=session["nas_id"],
        username=session["username"],
        actor_name=scope.actor.name,
        requested_at=utcnow(),
        result="waiting",
        attempts=0,
        error_cause=None,
        rtt_ms=None,
        address="",
    )


def _command(scope: Scope, session: Session, command_id: str, deadline: float) -> Command:
    return Command(
        id=command_id,
        tenant_id=scope.tenant_id,
        nas_id=session["nas_id"],
        kind="disconnect",
        deadline=deadline,
        session_id=session["acct_session_id"],
        username=session["user_name"] or session["username"],
        framed_ip=session["framed_ip"],
        framed_ipv6=session["framed_ipv6"],
        calling_station_id=session["calling_station_id"],
        called_station_id=session["called_station_id"],
        nas_ip=session["nas_ip"],
        nas_port=session["nas_port"],
        nas_port_id=session["nas_port_id"],
        nas_port_type=session["nas_port_type"],
        service_type=session["service_type"],
        multi_session_id=session["multi_session_id"],
        source=session["source"],
    )


async def _ask(scope: Scope, session: Session, command_id: str) -> CommandResult:
    """Give the command to the pool and wait until it is answered or its time is over."""
    kv = scope.services.kv
    deadline = time.time() + _WAIT
    command = _command(scope, session, command_id, deadline)
    try:
        pool = await engines.commanded_pool(scope)
        await kv.push(_queue(pool), json.dumps(asdict(command)).encode(), _ANSWER_KEPT)
        while (left := deadline - time.time()) > 0:
            data = await kv.pop(_answers(command_id), min(left, _POLL))
            if data is not None:
                return CommandResult(**json.loads(data))
    except Unavailable:
        log.warning("tenant %s: a Disconnect was not given to the engine: Redis is away", scope.tenant_id)
    return CommandResult("no_engine", 0)


async def _record(scope: Scope, session: Session, attempt_id: str, result: CommandResult) -> Disconnect:
    found = asdict(result)

    async def write(tx: Scope) -> Disconnect:
        await tx.db.disconnects.update_one({"_id": attempt_id}, {"$set": found})
        told = {name: value for name, value in found.items() if value not in (None, "")}
        await audit.record(tx, "session.disconnect", session["_id"], name=session["username"], after=told)
        done: Disconnect = await tx.db.disconnects.get(attempt_id)
        return done

    return await scope.transaction(write)


async def _follow(scope: Scope, session_id: str, result: CommandResult) -> None:
    """What the answer means for the session: about to end, or gone already, or nothing."""
    if result.result == "ack":
        await sessions.mark_closing(scope, session_id)
    elif result.result == "nak" and result.error_cause == _NO_CONTEXT:
        await sessions.close_one(scope, session_id, "Lost-Carrier", "disconnect")
