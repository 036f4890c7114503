"""Forcing a session off, or changing its speed while it lasts: a Disconnect- or CoA-Request to its device (RFC 5176),
and every attempt on record.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NotRequired, Self, TypedDict

from pydantic import Field

from saas.errors import Conflict, Unavailable
from saas.i18n import N_
from saas.tenants import audit, device_types, engines, plans, sessions, watching
from saas.tenants.forms import Form
from saas.tenants.plan_form import Rate
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.sessions import Session
from saas.values import new_id, utcnow

log = logging.getLogger(__name__)

WAIT = 5.0  # seconds for an answer: a worker sends three times within three
_POLL = 1.0  # seconds that one read of a list waits
_ANSWER_KEPT = 60  # seconds
NO_CONTEXT = 503  # Session-Context-Not-Found

Speed = tuple[int, int]  # up, down in bit/s from the subscriber's side; 0 = not limited


@dataclass(frozen=True, slots=True)
class Command:
    """What a worker is asked to send. The session's facts are those the device reported; "" and None: not known."""

    id: str
    tenant_id: str
    nas_id: str
    kind: str  # "disconnect", "coa"
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
    speed: Speed = (0, 0)  # "coa": the new one
    before: Speed | None = None  # "coa": the one that the device was told last, None if none

    @classmethod
    def read(cls, data: bytes) -> Self:
        """A command as it was given to the pool."""
        values = json.loads(data)
        before = values.get("before")
        speed = tuple(values.get("speed", (0, 0)))
        return cls(**values | {"speed": speed, "before": tuple(before) if before else None})


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of it. `result`: "ack", "nak", "timeout" (no answer), "radsec_timeout" (no answer down the device's
    connection), "unreachable" (nowhere to send it), "unsupported" (no attributes are known that would ask this device
    for it).
    """

    result: str
    attempts: int
    error_cause: int | None = None  # RFC 5176 section 3.5
    rtt_ms: int | None = None
    address: str = ""  # where it was sent, "host:port", or "RadSec" for the device's connection


class Disconnect(TypedDict):
    """One attempt to end a session or to change its speed, on record.

    `kind`: as a Command's; attempts of old have none and were to disconnect. `up_rate` and `down_rate`: the speed that
    was asked for, bit/s. `result`: "waiting", or what came of it: "ack", "nak", "timeout" (the device gave no answer),
    "radsec_timeout" (none down its connection), "unreachable" (its address is not known), "unsupported", "no_engine"
    (no worker took the command). `error_cause`: RFC 5176 section 3.5. `key`: of whoever asks for it once, however often
    it is begun.
    """

    _id: str
    tenant_id: str
    key: NotRequired[str]
    session_id: str
    nas_id: str
    username: str
    actor_name: str
    kind: NotRequired[str]
    up_rate: NotRequired[int]
    down_rate: NotRequired[int]
    requested_at: datetime
    result: str
    attempts: int
    error_cause: int | None
    rtt_ms: int | None
    address: str


_PUBLIC = Disconnect.__annotations__.keys() - {"_id", "tenant_id", "key"}


class SpeedForm(Form):
    """A new speed for a session that goes on; Mbit/s."""

    up_rate: Rate = Field(title=N_("Upload (Mbps)"), description=N_("0: not limited."))
    down_rate: Rate = Field(title=N_("Download (Mbps)"), description=N_("0: not limited."))

    @property
    def speed(self) -> Speed:
        """In bit/s."""
        return int(self.up_rate * 1_000_000), int(self.down_rate * 1_000_000)


async def request(scope: Scope, session_id: str, key: str = "") -> Disconnect:
    """Ask the device to end a session, and wait for its answer: the attempt as it is on record, within six seconds.

    What it has accepted for a `key` is not asked again.

    NotFound; Conflict("not_online") when it has ended, Conflict("in_progress") while another request waits.
    Unavailable when no command can be given.
    """
    session = await sessions.get(scope, session_id)
    if key:
        for attempt in await history(scope, session_id):
            if attempt.get("key") == key and attempt["result"] == "ack":
                await _follow(scope, attempt)  # whoever asked may have been killed before that
                return attempt
    return await _attempt(scope, session, None, key)


async def change_speed(scope: Scope, session_id: str, speed: Speed) -> Disconnect:
    """Ask the device to let a session go on at another speed. As `request`, and Conflict("not_live") when devices of
    this type cannot.
    """
    session = await sessions.get(scope, session_id)
    kind = await device_type(scope, session)
    if not kind.live:
        raise Conflict("not_live", name=session["username"])
    return await _attempt(scope, session, _Change(speed, await _told(scope, session)))


async def plan_speed(scope: Scope, session: Session) -> Speed | None:
    """What the account's plan says at present; None when it is not known whose session it is."""
    account = await scope.db.accounts.one({"_id": session["account_id"]}) if session["account_id"] else None
    if account is None:
        return None
    plan = plans.in_force(await plans.get(scope, account["plan_id"]), account)
    return plan["up_rate"], plan["down_rate"]


async def device_type(scope: Scope, session: Session) -> device_types.DeviceType:
    """The type of the session's device."""
    nas = await scope.db.nas.one({"_id": session["nas_id"]}, fields=["vendor"])
    return device_types.device_type(nas["vendor"] if nas else "")


def own_speed(session: Session) -> Speed | None:
    """The speed that a device has confirmed for this session; None: it has the one that it began with."""
    up, down = session.get("rate_up"), session.get("rate_down")
    return (up, down) if up is not None and down is not None else None


def is_gone(attempt: Disconnect) -> bool:
    """Whether the device said that it knows of no such session."""
    return attempt["result"] == "nak" and attempt["error_cause"] == NO_CONTEXT


async def get(scope: Scope, attempt_id: str) -> Disconnect:
    """One attempt. NotFound."""
    attempt: Disconnect = await scope.db.disconnects.get(attempt_id)
    return attempt


async def history(scope: Scope, session_id: str) -> list[Disconnect]:
    """The attempts to end or change a session, the newest first."""
    return await scope.db.disconnects.find({"session_id": session_id})


async def last_of(scope: Scope, session_ids: Sequence[str]) -> dict[str, Disconnect]:
    """The newest attempt of each of some sessions, by session id, among their last hundred."""
    found = await scope.db.disconnects.find({"session_id": {"$in": list(session_ids)}}) if session_ids else []
    return {attempt["session_id"]: attempt for attempt in reversed(found)}


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
            command = Command.read(data)
            if command.deadline > time.time():
                yield command


async def answer(ps: PlatformScope, command_id: str, result: CommandResult) -> None:
    """Hand a command's result to whoever waits for it; lost when Redis is away."""
    try:
        await ps.kv.push(_answers(command_id), json.dumps(asdict(result)).encode(), _ANSWER_KEPT)
    except Unavailable:
        log.warning("the answer to command %s is lost: Redis is away", command_id)


async def ask(scope: Scope, command: Command) -> CommandResult:
    """Give a command to the pool and wait until it is answered or its time is over."""
    kv = scope.services.kv
    try:
        pool = await engines.commanded_pool(scope)
        await kv.push(_queue(pool), json.dumps(asdict(command)).encode(), _ANSWER_KEPT)
        while (left := command.deadline - time.time()) > 0:
            data = await kv.pop(_answers(command.id), min(left, _POLL))
            if data is not None:
                return CommandResult(**json.loads(data))
    except Unavailable:
        log.warning("tenant %s: a command was not given to the engine: Redis is away", scope.tenant_id)
    return CommandResult("no_engine", 0)


def _queue(pool: str) -> str:
    return f"pool:{pool}:commands"


def _answers(command_id: str) -> str:
    return f"answer:{command_id}"


class _Change(NamedTuple):
    speed: Speed
    before: Speed | None


async def _told(scope: Scope, session: Session) -> Speed | None:
    """The speed that the device was told last; a session that began without limits was told none."""
    began = await plan_speed(scope, session)
    return own_speed(session) or (began if began and any(began) else None)


async def _attempt(scope: Scope, session: Session, change: _Change | None, key: str = "") -> Disconnect:
    """To change a session, or without a change to end it."""
    if not session["open"]:
        raise Conflict("not_online", name=session["username"])
    row = _row(scope, session, change)
    if key:
        row["key"] = key
    kv, lease = scope.services.kv, f"device-request:{session['_id']}"
    if not await kv.lease(lease, row["_id"], WAIT):
        raise Conflict("in_progress", name=session["username"])
    try:
        attempt = await scope.db.disconnects.insert(row)
        result = await ask(scope, _command(scope, session, attempt["_id"], time.time() + WAIT, change))
        done = await _record(scope, attempt, result)
        await _follow(scope, done)
        return done
    finally:
        await kv.release(lease, row["_id"])


def _row(scope: Scope, session: Session, change: _Change | None) -> Disconnect:
    row = Disconnect(
        _id=new_id("dis"),
        tenant_id=scope.tenant_id,
        session_id=session["_id"],
        nas_id=session["nas_id"],
        username=session["username"],
        actor_name=scope.actor.name,
        kind="coa" if change else "disconnect",
        requested_at=utcnow(),
        result="waiting",
        attempts=0,
        error_cause=None,
        rtt_ms=None,
        address="",
    )
    if change:
        row["up_rate"], row["down_rate"] = change.speed
    return row


def _command(scope: Scope, session: Session, command_id: str, deadline: float, change: _Change | None) -> Command:
    return Command(
        id=command_id,
        tenant_id=scope.tenant_id,
        nas_id=session["nas_id"],
        kind="coa" if change else "disconnect",
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
        speed=change.speed if change else (0, 0),
        before=change.before if change else None,
    )


async def _record(scope: Scope, attempt: Disconnect, result: CommandResult) -> Disconnect:
    found = asdict(result)
    action = "session.speed" if attempt.get("kind") == "coa" else "session.disconnect"
    asked = {name: attempt[name] for name in ("up_rate", "down_rate") if name in attempt}

    async def write(tx: Scope) -> Disconnect:
        await tx.db.disconnects.update_one({"_id": attempt["_id"]}, {"$set": found})
        told = asked | {name: value for name, value in found.items() if value not in (None, "")}
        await audit.record(tx, action, attempt["session_id"], name=attempt["username"], after=told)
        done: Disconnect = await tx.db.disconnects.get(attempt["_id"])
        return done

    return await scope.transaction(write)


async def _follow(scope: Scope, attempt: Disconnect) -> None:
    """What the answer means for the session: about to end, at its new speed, gone already, or nothing."""
    session_id = attempt["session_id"]
    if is_gone(attempt):
        await sessions.close_one(scope, session_id, "Lost-Carrier", "disconnect")
    elif attempt["result"] == "ack" and attempt.get("kind") == "coa":
        await sessions.mark_speed(scope, session_id, attempt["up_rate"], attempt["down_rate"])
    elif attempt["result"] == "ack":
        await sessions.mark_closing(scope, session_id)
    await watching.tell(scope.services.kv, [scope.tenant_id])
