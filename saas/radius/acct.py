"""Accounting-Request: decode, record, and only then answer (RFC 2866 section 4.1).

All requests of a wake-up, and those that arrive while a record is being made, go into one record. When no store takes
it nothing is answered: the devices ask again. A repeated report is recorded again; applying the journal counts it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import Final

from saas.errors import Unavailable
from saas.radius import codec
from saas.radius.authenticators import reply
from saas.radius.batches import Batches
from saas.radius.codec import ACCT_SESSION_ID, ACCT_STATUS_TYPE, CLASS, USER_NAME, Packet, text, value_names
from saas.radius.counters import Counters
from saas.radius.gate import Request
from saas.radius.logins import Logins, Name, login_name
from saas.radius.stations import station_of
from saas.radius.tokens import SessionToken, Tokens
from saas.tenants import journal
from saas.tenants.journal import AcctEvent
from saas.tenants.scope import PlatformScope

STATUSES: Final[Mapping[int, str]] = {1: "start", 2: "stop", 3: "interim", 7: "on", 8: "off"}
# Tunnel-Start to Tunnel-Link-Reject (RFC 2867) and Failed: nothing that we keep, so there is nothing to record first
_IGNORED: Final = frozenset(range(9, 16))

_CAUSES: Final = value_names("Acct-Terminate-Cause")
_PORT_TYPES: Final = value_names("NAS-Port-Type")
_SERVICES: Final = value_names("Service-Type")
_PROTOCOLS: Final = value_names("Framed-Protocol")

GATHER: Final = 0.004  # seconds that a record waits for others: a device waits for seconds
MAX_DELAY: Final = 7 * 86_400  # seconds; an Acct-Delay-Time above it is nonsense
MAX_OCTETS: Final = 2**63 - 1  # what the store keeps
MAX_SKEW: Final = 300  # seconds that a device's clock may differ from ours for its Event-Timestamp to be believed


class Report:
    """A request that can be recorded, and what is needed to know whose session it is."""

    __slots__ = ("name", "request", "session_id", "status", "token")

    def __init__(self, request: Request, status: str, session_id: str, name: Name, token: SessionToken) -> None:
        self.request = request
        self.status = status
        self.session_id = session_id
        self.name = name
        self.token = token


class Acct:
    """The handler of the accounting port."""

    def __init__(self, ps: PlatformScope, pool: str, logins: Logins, tokens: Tokens, counters: Counters) -> None:
        self._ps = ps
        self._pool = pool
        self._logins = logins
        self._tokens = tokens
        self._counters = counters
        self._batches: Batches[Report] = Batches(self._record, partial(self._drop_all, "internal_error"), GATHER)

    def handle(self, requests: Sequence[Request]) -> None:
        """Queue what can be recorded; drop what says too little."""
        for request in requests:
            first = request.packet.first
            status = _number(first.get(ACCT_STATUS_TYPE)) or 0
            session_id = text(first.get(ACCT_SESSION_ID))
            if status in _IGNORED:
                _answer(request)
            elif status not in STATUSES or (not session_id and STATUSES[status] not in ("on", "off")):
                self._drop(request, "bad_request")
            elif not self._batches.add(request.nas.tenant_id, self._report(request, STATUSES[status], session_id)):
                self._drop(request, "overload")

    async def drain(self) -> None:
        """Finish what is under way."""
        await self._batches.idle()

    def _report(self, request: Request, status: str, session_id: str) -> Report:
        packet, tenant_id = request.packet, request.nas.tenant_id
        name = (tenant_id, login_name(packet.first.get(USER_NAME, b"")))
        return Report(request, status, session_id, name, self._tokens.read(tenant_id, packet.all(CLASS)))

    async def _record(self, reports: list[Report]) -> None:
        accounts = await self._accounts(reports)
        events = [_event(report, report.token.account_id or accounts.get(report.name, "")) for report in reports]
        silences = {report.name[0]: report.request.nas.device.stale_after for report in reports}
        try:
            await journal.record(self._ps, self._pool, events, silences)
        except Unavailable:
            self._drop_all("store_unavailable", reports)
            return
        for report in reports:
            self._counters.accounting += 1
            self._counters.device(report.request.nas).accounting += 1
            _answer(report.request)

    async def _accounts(self, reports: Sequence[Report]) -> Mapping[Name, str]:
        """The accounts of those whose device did not send our Class back. None is known while the store is away."""
        nameless = [report for report in reports if report.name[1] and not report.token.account_id]
        if not nameless:
            return {}
        found = await self._logins.fetch((report.name for report in nameless), nameless[0].request.received)
        return {name: login.record.account_id for name, login in found.items() if login.record}

    def _drop(self, request: Request, reason: str) -> None:
        self._counters.drop(reason)
        request.abandon(reason)

    def _drop_all(self, reason: str, reports: Sequence[Report]) -> None:
        for report in reports:
            self._drop(report.request, reason)


def _event(report: Report, account_id: str) -> AcctEvent:
    request, token = report.request, report.token
    packet = request.packet
    first = packet.first
    get = first.get
    values = (  # by position: this is done for every packet
        report.name[0],
        request.nas.id,
        report.status,
        report.session_id,
        report.name[1],
        event_time(packet, request.received),
        request.received,
        account_id,
        token.slot,
        _number(get(46)),
        _octets(get(42), get(52)),
        _octets(get(43), get(53)),
        52 in first or 53 in first,
        _number(get(47)),
        _number(get(48)),
        _named(get(49), _CAUSES),
        _ipv4(get(8)),
        _ipv6(get(168)) or (packet.value("Framed-IPv6-Prefix") or "" if 97 in first else ""),
        station_of(packet),
        text(get(30)),
        _ipv4(get(4)) or _ipv6(get(95)),
        _number(get(5)),
        _named(get(61), _PORT_TYPES),
        text(get(87)),
        text(get(50)),
        packet.value("Tunnel-Client-Endpoint") or "" if 66 in first else "",
        text(get(77)),
        _named(get(6), _SERVICES),
        _named(get(7), _PROTOCOLS),
        request.source,
        text(get(USER_NAME)),
    )
    return AcctEvent._make(values)


def event_time(packet: Packet, received: float) -> float:
    """When it happened, in seconds since 1970.

    That is when the packet came less Acct-Delay-Time (RFC 2866 section 5.2), which grows from try to try; or
    Event-Timestamp (RFC 2869 section 5.3) when it agrees, that is when the device's clock can be trusted.
    """
    delay = _number(packet.first.get(41)) or 0
    estimate = received - (delay if delay <= MAX_DELAY else 0)
    stamp = _number(packet.first.get(55))
    return float(stamp) if stamp is not None and abs(stamp - estimate) <= MAX_SKEW else estimate


def _answer(request: Request) -> None:
    """Signed by Message-Authenticator too when the request was: then the device knows it."""
    packet = request.packet
    prove = bool(packet.proof_at)
    request.answer(reply(codec.ACCOUNTING_RESPONSE, packet, request.nas.secret, prove=prove))


def _number(octets: bytes | None) -> int | None:
    return int.from_bytes(octets, "big") if octets is not None and len(octets) == 4 else None


def _octets(low: bytes | None, high: bytes | None) -> int | None:
    """A counter from its octets and gigawords (RFC 2869 sections 5.1, 5.2), at most 63 bits; None without octets."""
    octets = _number(low)
    return None if octets is None else min((_number(high) or 0) << 32 | octets, MAX_OCTETS)


def _named(octets: bytes | None, names: Mapping[int, str]) -> str:
    """The RFC's name of a number, the digits where it has none, "" when absent."""
    value = _number(octets)
    return "" if value is None else names.get(value) or str(value)


def _ipv4(octets: bytes | None) -> str:
    return inet_ntoa(octets) if octets is not None and len(octets) == 4 else ""


def _ipv6(octets: bytes | None) -> str:
    return inet_ntop(AF_INET6, octets) if octets is not None and len(octets) == 16 else ""
