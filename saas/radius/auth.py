"""Access-Request: who is it, is the password right, what does the tenant's rule book say, answer.

Accounts in the cache without a concurrency limit are answered at once. The others of a wake-up are worked on together:
one operation for all records that are missing, one for all slots, each with a queue of its own, so that a tenant whose
names must be looked up delays nobody else. Rejects wait a constant time, which slows guessing and tells nothing by its
length.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from saas.radius import codec, eap, methods, replies
from saas.radius.authenticators import reply
from saas.radius.batches import Batches
from saas.radius.codec import CALLING_STATION_ID, CLASS, EAP_MESSAGE, NAS_PORT_ID, USER_NAME, attribute, plain
from saas.radius.counters import Counters
from saas.radius.gate import Request
from saas.radius.guard import Guard
from saas.radius.logins import Login, Logins, Name, login_name
from saas.radius.methods import Proof
from saas.radius.notes import Notes
from saas.radius.stations import station_of
from saas.radius.tokens import Tokens
from saas.tenants import lines, slots
from saas.tenants.access import Decision, LoginRecord, LoginRequest, decide, guest
from saas.tenants.refusals import Refusal
from saas.tenants.scope import PlatformScope
from saas.tenants.slots import Counted, SlotRequest

REJECT_DELAY: Final = 1.0  # seconds

_log = logging.getLogger(__name__)

_NOT_TESTED: Final = Proof("", False)


class Attempt:
    """An Access-Request on its way. `proof` holds once it was tested; `slot` is what it would take, "" if nothing."""

    __slots__ = ("decision", "login", "name", "proof", "request", "slot", "station")

    decision: Decision

    def __init__(self, request: Request, name: Name, login: Login | None) -> None:
        self.request = request
        self.name = name
        self.login = login
        self.proof = _NOT_TESTED
        self.slot = ""
        self.station = _station(request.packet, login)


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
        self._eap = eap.Eap(ps.keys)
        self._counters = counters
        self._notes = notes
        self._rejects = Rejects(reject_delay)
        self.guard = Guard()
        self._slot_prefix = secrets.token_hex(6)  # slots are told apart, not kept secret: Class is signed
        self._slot_number = 0
        self._fetches: Batches[Attempt] = Batches(self._fetch, partial(self._drop_all, "internal_error"))
        self._reservations: Batches[Attempt] = Batches(self._reserve, partial(self._drop_all, "internal_error"))

    def handle(self, requests: Sequence[Request]) -> None:
        """Answer what can be answered now, queue the rest."""
        for request in requests:
            username = login_name(request.packet.first.get(USER_NAME, b""))
            if not username:
                self._drop(request, "bad_request")
                continue
            name = (request.nas.tenant_id, username)
            attempt = Attempt(request, name, self._logins.get(name, request.received))
            if attempt.login is not None:
                self._judge(attempt)
            elif not self._fetches.add(name[0], attempt):
                self._drop(request, "overload")

    async def drain(self) -> None:
        """Finish what is under way; delayed rejects are sent now."""
        await self._fetches.idle()
        await self._reservations.idle()
        self._rejects.flush()

    async def _fetch(self, attempts: list[Attempt]) -> None:
        """Give these their records, and judge them as far as goes without counting sessions."""
        found = await self._logins.fetch([attempt.name for attempt in attempts], attempts[0].request.received)
        for attempt in attempts:
            attempt.login = found.get(attempt.name)
            if attempt.login is None:
                self._drop(attempt.request, "store_unavailable")
            else:
                self._judge(attempt)

    async def _reserve(self, attempts: list[Attempt]) -> None:
        """Take a slot for each, and answer. Where nothing can be counted, all are let in."""
        requests = [_slot_request(attempt) for attempt in attempts]
        counts = await slots.reserve(self._ps, requests)
        for index, attempt in enumerate(attempts):
            attempt.slot = requests[index].slot
            record = attempt.login.record if attempt.login else None
            try:
                if counts is None or record is None or counts[index] < record.concurrency:
                    self._accept(attempt, attempt.decision)
                else:
                    self._reject(attempt, self._decide(attempt, counts[index]))
            except Exception:
                self._spoilt(attempt)

    def _judge(self, attempt: Attempt) -> None:
        """Answer an attempt, drop it, or let it wait for a slot.

        What goes wrong with one account's data ends here, so that no other login suffers.
        """
        try:
            self._conclude(attempt)
        except Exception:
            self._spoilt(attempt)

    def _spoilt(self, attempt: Attempt) -> None:
        _log.exception("a login of tenant %s could not be judged", attempt.request.nas.tenant_id)
        self._drop(attempt.request, "internal_error")

    def _conclude(self, attempt: Attempt) -> None:
        login, request = attempt.login, attempt.request
        assert login is not None
        record = login.record
        if self.guard.holds(request.nas, attempt.name, attempt.station, request.received):
            self._reject(attempt, self._decide(attempt, None, guarded=True))
            return
        nt_hash = record.nt_hash if record else None
        if EAP_MESSAGE in request.packet.first:
            reveal = partial(self._password, login, record) if record else None
            proof = self._eap.check(request.packet, request.nas, attempt.name, reveal, nt_hash, request.received)
        else:
            password = self._password(login, record) if record and methods.wants_password(request.packet) else None
            proof = methods.check(request.packet, request.nas.secret, password, nt_hash)
            if request.nas.device.user_check != "password":
                proof = methods.waived(proof)
                record = self._let_in_unchecked(attempt, proof)
        attempt.proof = proof
        if proof.garbled:
            self._note(attempt, "secret_mismatch", {})
            self._counters.suspect("secret_mismatch", [request.nas], request.received)
            self._drop(request, "secret_mismatch")
            return
        decision = attempt.decision = self._decide(attempt, None)
        if proof.challenge and not (proof.right and decision.reason):  # EAP goes on; rules come after the password
            request.answer(reply(codec.ACCESS_CHALLENGE, request.packet, request.nas.secret, proof.challenge))
        elif decision.reason:
            self._reject(attempt, decision)
        elif record is not None and record.concurrency:
            attempt.slot = proof.slot or self._new_slot()
            if not self._reservations.add(record.tenant_id, attempt):
                self._drop(request, "overload")
        else:
            self._accept(attempt, decision)

    def _let_in_unchecked(self, attempt: Attempt, proof: Proof) -> LoginRecord | None:
        """The record of an attempt, also of nobody's where the device lets in anybody."""
        login, request = attempt.login, attempt.request
        device = request.nas.device
        if login is not None and login.record is None and proof.right and device.user_check == "none":
            record = guest(*attempt.name, device.interim_interval, device.max_session_time)
            login = attempt.login = Login(record, request.received)  # kept nowhere: elsewhere it is nobody's
        return login.record if login else None

    def _new_slot(self) -> str:
        self._slot_number += 1
        return f"{self._slot_prefix}{self._slot_number}"

    def _password(self, login: Login, record: LoginRecord) -> bytes:
        if login.password is None:
            login.password = self._ps.keys.unseal(record.tenant_id, record.sealed_password).encode()
        return login.password

    def _decide(self, attempt: Attempt, sessions: int | None, guarded: bool = False) -> Decision:
        request, login = attempt.request, attempt.login
        nas = request.nas
        return decide(
            LoginRequest(
                nas.id,
                attempt.station,
                request.received,
                attempt.proof.right,
                nas.tenant_active,
                sessions,
                nas.vendor,
                request.packet.first.get(NAS_PORT_ID, b""),
                guarded,
            ),
            login.record if login else None,
        )

    def _accept(self, attempt: Attempt, decision: Decision) -> None:
        request, login = attempt.request, attempt.login
        assert login is not None and login.record is not None
        record, nas = login.record, request.nas
        restricted = bool(decision.restricted)
        grant = login.grant
        if grant is None or grant.vendor != nas.vendor or grant.restricted != restricted:
            grant = login.grant = replies.Grant(record, nas.vendor, restricted)
        token = self._tokens.sign(record.tenant_id, record.account_id, attempt.slot)
        attributes = attempt.proof.attributes + grant.attributes(decision.session_timeout) + plain(CLASS, token)
        if login.let_in_by is not nas or login.let_in_from != attempt.station:
            if nas.device.user_check == "password":  # elsewhere it proves nothing to have been let in
                self.guard.let_in(nas, attempt.name, attempt.station)
            login.let_in_by, login.let_in_from = nas, attempt.station
        if record.learns:
            self._learn(attempt, record)
        self._counters.accepted += 1
        self._counters.device(nas).accepted += 1
        request.answer(reply(codec.ACCESS_ACCEPT, request.packet, nas.secret, attributes))

    def _learn(self, attempt: Attempt, record: LoginRecord) -> None:
        port = attempt.request.packet.first.get(NAS_PORT_ID, b"")
        line = lines.seen(record, attempt.station, port, attempt.request.received)
        if line is not None:
            self._notes.learnt(line)

    def _reject(self, attempt: Attempt, decision: Decision) -> None:
        request = attempt.request
        failed = decision.failed
        reason = failed.name if attempt.proof.method or failed.name != "password" else "method"
        words = replies.refusal_text(reason, request.nas.device.tenant_locale)
        attributes = attribute("Reply-Message", words) + methods.error(
            request.packet, replies.error_code(reason), words
        )
        if EAP_MESSAGE in request.packet.first:
            attributes = eap.failure(request.packet)
            reason = attempt.proof.fault if reason == "password" else reason
        if reason in ("password", "account"):
            self.guard.failed(request.nas, attempt.name, attempt.station, request.received)
        self._counters.rejected += 1
        self._counters.device(request.nas).rejected += 1
        self._note(attempt, reason, failed.data)
        octets = reply(codec.ACCESS_REJECT, request.packet, request.nas.secret, attributes)
        self._rejects.send(request, octets)

    def _note(self, attempt: Attempt, reason: str, data: Mapping[str, Any]) -> None:
        request = attempt.request
        if self._notes.full(request.nas.tenant_id):
            return
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
        request.abandon(reason)

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


def _station(packet: codec.Packet, login: Login | None) -> str:
    """Where an attempt comes from. Most come from where the last one of the account came from."""
    calling = packet.first.get(CALLING_STATION_ID)
    if login is None or calling is None:
        return station_of(packet)
    if calling != login.calling:
        login.calling, login.station = calling, station_of(packet)
    return login.station


def _slot_request(attempt: Attempt) -> SlotRequest:
    login = attempt.login
    assert login is not None and login.record is not None
    counted = login.counted
    if counted is None:
        record = login.record
        counted = login.counted = Counted(
            record.tenant_id, record.account_id, record.concurrency, record.stale_after, record.kicks
        )
    return SlotRequest(counted, attempt.slot, attempt.request.nas.id, attempt.station)
