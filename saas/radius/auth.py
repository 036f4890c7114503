"""Access-Request: who is it, is the password right, what does the tenant's rule book say, answer.

Accounts in the cache without a concurrency limit are answered at once. The others of a wake-up are worked on together:
one operation for all records that are missing, one for all slots. Rejects wait a constant time, which slows guessing
and tells nothing by its length.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from saas.errors import Unavailable
from saas.radius import codec, methods, replies
from saas.radius.authenticators import reply
from saas.radius.batches import Batches
from saas.radius.codec import CALLING_STATION_ID, CLASS, USER_NAME, attribute, plain, text
from saas.radius.counters import Counters
from saas.radius.gate import Request
from saas.radius.logins import Login, Logins, Name
from saas.radius.methods import Proof
from saas.radius.notes import Notes
from saas.radius.stations import station
from saas.radius.tokens import SessionToken, Tokens
from saas.tenants import slots
from saas.tenants.access import Decision, LoginRecord, LoginRequest, decide
from saas.tenants.refusals import Refusal
from saas.tenants.scope import PlatformScope
from saas.tenants.slots import SlotRequest
from saas.values import normal_username

REJECT_DELAY: Final = 1.0  # seconds

_log = logging.getLogger(__name__)

_NOT_TESTED: Final = Proof("", False)


class Attempt:
    """An Access-Request on its way. `proof` holds once it was tested; `slot` is what it would take, "" if nothing."""

    __slots__ = ("login", "name", "proof", "request", "slot", "station")

    def __init__(self, request: Request, name: Name, login: Login | None) -> None:
        self.request = request
        self.name = name
        self.login = login
        self.proof = _NOT_TESTED
        self.slot = ""
        self.station = station(request.packet.first.get(CALLING_STATION_ID))


class Auth:
    """The handler of the authentication port."""

    def __init__(
        self,
        ps: PlatformScope,
        logins: Logins,
        tokens: Tokens,
        counters: Counters,
        notes: Notes,
        reject_delay: float = REJECT_DELAY,
    ) -> None:
        """`reject_delay` in seconds; 0 rejects at once."""
        self._ps = ps
        self._logins = logins
        self._tokens = tokens
        self._counters = counters
        self._notes = notes
        self._rejects = Rejects(reject_delay)
        self._batches: Batches[Attempt] = Batches(self._work, partial(self._drop_all, "internal_error"))

    def handle(self, requests: Sequence[Request]) -> None:
        """Answer what can be answered now, queue the rest."""
        queued: list[Attempt] = []
        for request in requests:
            username = normal_username(text(request.packet.first.get(USER_NAME)))
            if not username:
                self._drop(request, "bad_request")
                continue
            name = (request.nas.tenant_id, username)
            attempt = Attempt(request, name, self._logins.get(name, request.received))
            if attempt.login is None or self._judge(attempt):
                queued.append(attempt)
        if queued:
            self._drop_all("overload", self._batches.add(queued))

    async def drain(self) -> None:
        """Finish what is under way; delayed rejects are sent now."""
        await self._batches.idle()
        self._rejects.flush()

    async def _work(self, attempts: list[Attempt]) -> None:
        await self._fetch([attempt for attempt in attempts if attempt.login is None])
        waiting = [attempt for attempt in attempts if attempt.slot]
        if not waiting:
            return
        counted = await slots.reserve(self._ps, [_slot_request(attempt) for attempt in waiting])
        for attempt, sessions in zip(waiting, counted, strict=True):
            try:
                self._conclude(attempt, self._decide(attempt, sessions))
            except Exception:
                self._spoilt(attempt)

    async def _fetch(self, attempts: list[Attempt]) -> None:
        """Give these their records, and judge them as far as goes without counting sessions."""
        if not attempts:
            return
        try:
            found = await self._logins.fetch([attempt.name for attempt in attempts], attempts[0].request.received)
        except Unavailable:
            self._drop_all("store_unavailable", attempts)
            return
        for attempt in attempts:
            attempt.login = found[attempt.name]
            self._judge(attempt)

    def _judge(self, attempt: Attempt) -> bool:
        """Whether all that an attempt lacks is a slot; otherwise it has been answered or dropped.

        What goes wrong with one account's data ends here, so that no other login suffers.
        """
        try:
            return self._wants_slot(attempt)
        except Exception:
            self._spoilt(attempt)
            return False

    def _spoilt(self, attempt: Attempt) -> None:
        _log.exception("a login of tenant %s could not be judged", attempt.request.nas.tenant_id)
        self._drop(attempt.request, "internal_error")

    def _wants_slot(self, attempt: Attempt) -> bool:
        assert attempt.login is not None
        record = attempt.login.record
        request = attempt.request
        password = partial(self._password, attempt.login, record) if record else None
        attempt.proof = methods.check(request.packet, request.nas.secret, password, record.nt_hash if record else None)
        if attempt.proof.garbled:
            self._note(attempt, "secret_mismatch", {})
            self._counters.suspect("secret_mismatch", [request.nas], request.received)
            self._drop(request, "secret_mismatch")
            return False
        decision = self._decide(attempt, None)
        if decision.accepted and record is not None and record.concurrency:
            attempt.slot = secrets.token_hex(8)
            return True
        self._conclude(attempt, decision)
        return False

    def _password(self, login: Login, record: LoginRecord) -> str:
        if login.password is None:
            login.password = self._ps.keys.unseal(record.tenant_id, record.sealed_password)
        return login.password

    def _decide(self, attempt: Attempt, sessions: int | None) -> Decision:
        assert attempt.login is not None
        nas = attempt.request.nas
        return decide(
            LoginRequest(
                nas_id=nas.id,
                calling_station_id=attempt.station,
                now=attempt.request.received,
                credentials=attempt.proof.right,
                tenant_active=nas.device.tenant_active,
                sessions=sessions,
            ),
            attempt.login.record,
        )

    def _conclude(self, attempt: Attempt, decision: Decision) -> None:
        if decision.accepted:
            self._accept(attempt, decision)
        else:
            self._reject(attempt, decision)

    def _accept(self, attempt: Attempt, decision: Decision) -> None:
        request, login = attempt.request, attempt.login
        assert login is not None and login.record is not None
        record, device = login.record, request.nas.device
        granted = login.replies.get(device.vendor)
        if granted is None:
            granted = login.replies[device.vendor] = replies.grants(record, device.vendor)
        token = self._tokens.sign(record.tenant_id, SessionToken(record.account_id, attempt.slot))
        times = replies.times(decision.session_timeout, record.interim_interval, device.vendor)
        attributes = b"".join((attempt.proof.attributes, granted, times, plain(CLASS, token)))
        self._counters.accepted += 1
        self._counters.device(request.nas).accepted += 1
        request.answer(reply(codec.ACCESS_ACCEPT, request.packet, request.nas.secret, attributes))

    def _reject(self, attempt: Attempt, decision: Decision) -> None:
        request = attempt.request
        failed = next(rule for rule in decision.rules if not rule.passed)
        reason = failed.name if attempt.proof.method or failed.name != "password" else "method"
        words = replies.refusal_text(reason, request.nas.device.tenant_locale)
        attributes = attribute("Reply-Message", words) + methods.error(
            request.packet, replies.error_code(reason), words
        )
        self._counters.rejected += 1
        self._counters.device(request.nas).rejected += 1
        self._note(attempt, reason, failed.data)
        octets = reply(codec.ACCESS_REJECT, request.packet, request.nas.secret, attributes)
        self._rejects.send(request, octets)

    def _note(self, attempt: Attempt, reason: str, data: Mapping[str, Any]) -> None:
        request = attempt.request
        record = attempt.login.record if attempt.login else None
        self._notes.refused(
            Refusal(
                tenant_id=request.nas.tenant_id,
                nas_id=request.nas.id,
                username=attempt.name[1][:253],
                account_id=record.account_id if record else "",
                reason=reason,
                data=data,
                method=attempt.proof.method,
                calling_station_id=attempt.station,
                source=request.source,
                at=request.received,
            )
        )

    def _drop(self, request: Request, reason: str) -> None:
        self._counters.drop(reason)
        request.abandon()

    def _drop_all(self, reason: str, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            self._drop(attempt.request, reason)


class Rejects:
    """Answers that go out a constant time later, in order: one timer, however many there are."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._waiting: deque[tuple[float, Request, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, request: Request, octets: bytes) -> None:
        """Answer a request with these octets after the delay."""
        if not self._delay:
            request.answer(octets)
            return
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._delay, request, octets))
        if self._timer is None:
            self._timer = loop.call_later(self._delay, self._due)

    def flush(self) -> None:
        """Send everything now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            _, request, octets = self._waiting.popleft()
            request.answer(octets)

    def _due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            _, request, octets = self._waiting.popleft()
            request.answer(octets)
        self._timer = loop.call_at(self._waiting[0][0], self._due) if self._waiting else None


def _slot_request(attempt: Attempt) -> SlotRequest:
    assert attempt.login is not None and attempt.login.record is not None
    record = attempt.login.record
    return SlotRequest(
        tenant_id=record.tenant_id,
        account_id=record.account_id,
        slot=attempt.slot,
        nas_id=attempt.request.nas.id,
        calling_station_id=attempt.station,
        limit=record.concurrency,
        interim_interval=record.interim_interval,
    )
