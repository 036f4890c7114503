"""May this account log in here and now? One pure function answers the engine and the console alike.

Rules are asked in order and the first that fails is the reason. Passwords come before whatever would tell a stranger
about the account, and device, tenant and account before passwords (see RFC 2865 section 2 for the exchange). The engine
needs the reason alone, for every packet; a reader can be told what each rule says, and that is worked out when asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_TIMEOUT = 2**31 - 1  # devices read Session-Timeout as a signed number


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """Everything a login needs of an account. Workers cache it; `changes` of account, plan and tenant make it stale."""

    tenant_id: str
    account_id: str
    username: str
    status: str  # "pending", "normal", "suspended", "closed"
    sealed_password: bytes  # unsealed for PAP and CHAP only
    nt_hash: bytes  # 16 octets, for MS-CHAP
    plan_id: str
    plan_name: str
    nas_ids: frozenset[str]  # devices that the plan is bound to; none = every device of the tenant
    expires_at: float | None  # seconds since 1970, UTC; None = never
    concurrency: int  # sessions at once; 0 = unlimited
    up_rate: int  # bit/s from the subscriber; 0 = none given
    down_rate: int  # bit/s to the subscriber; 0 = none given
    address_pool: str  # "" = none
    static_ip: str  # "" = none
    interim_interval: int  # seconds
    max_session_time: int  # seconds; 0 = no limit


class LoginRequest(NamedTuple):
    """One attempt, or the question whether one would succeed."""

    nas_id: str  # "" = no device in particular
    calling_station_id: str
    now: float  # seconds since 1970, UTC
    credentials: bool | None  # whether the password was right; None = not tested
    tenant_active: bool
    sessions: int | None  # open and pending sessions of other devices; None = not counted


class Rule(NamedTuple):
    """A rule's answer, with the facts that a reader needs to understand it."""

    name: str
    passed: bool
    data: Mapping[str, Any]


class Decision:
    """What RADIUS answers.

    `reason`: the name of the first rule that failed, "" when accepted. `session_timeout` in seconds, at least 1: to
    many devices 0 means without end.
    """

    __slots__ = ("_record", "_request", "reason", "session_timeout")

    def __init__(self, request: LoginRequest, record: LoginRecord | None, reason: str, session_timeout: int) -> None:
        self._request = request
        self._record = record
        self.reason = reason
        self.session_timeout = session_timeout

    @property
    def accepted(self) -> bool:
        """True when every rule passed."""
        return not self.reason

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What every rule says, in order: all that stands in the way. A password that was not tested is left out."""
        request, record = self._request, self._record
        rules = [Rule("tenant", request.tenant_active, {}), Rule("account", record is not None, {})]
        if record is not None:
            asked = _RULES if request.credentials is not None else _RULES[1:]
            rules += [Rule(name, passes(request, record), facts(request, record)) for name, passes, facts in asked]
        return tuple(rules)

    @property
    def failed(self) -> Rule:
        """The rule that is the reason of a refusal."""
        return next(rule for rule in self.rules if not rule.passed)


def decide(request: LoginRequest, record: LoginRecord | None) -> Decision:
    """Judge an attempt. Without a record there is no such account."""
    if not request.tenant_active:
        return Decision(request, record, "tenant", 1)
    if record is None:
        return Decision(request, record, "account", 1)
    for name, passes, _ in _RULES:
        if not passes(request, record):
            return Decision(request, record, name, 1)
    return Decision(request, record, "", _session_timeout(request, record))


Facts = Mapping[str, Any]


def _password(request: LoginRequest, _record: LoginRecord) -> bool:
    return request.credentials is not False


def _password_facts(_request: LoginRequest, _record: LoginRecord) -> Facts:
    return {}


def _status(_request: LoginRequest, record: LoginRecord) -> bool:
    return record.status == "normal"


def _status_facts(_request: LoginRequest, record: LoginRecord) -> Facts:
    return {"status": record.status}


def _nas(request: LoginRequest, record: LoginRecord) -> bool:
    return not (record.nas_ids and request.nas_id) or request.nas_id in record.nas_ids


def _nas_facts(request: LoginRequest, record: LoginRecord) -> Facts:
    return {"nas_id": request.nas_id, "allowed": sorted(record.nas_ids), "plan": record.plan_name}


def _expiry(request: LoginRequest, record: LoginRecord) -> bool:
    return record.expires_at is None or request.now < record.expires_at


def _expiry_facts(_request: LoginRequest, record: LoginRecord) -> Facts:
    return {"expires_at": record.expires_at, "plan": record.plan_name}


def _concurrency(request: LoginRequest, record: LoginRecord) -> bool:
    return not record.concurrency or request.sessions is None or request.sessions < record.concurrency


def _concurrency_facts(request: LoginRequest, record: LoginRecord) -> Facts:
    return {"sessions": request.sessions, "limit": record.concurrency}


_RULES: tuple[
    tuple[str, Callable[[LoginRequest, LoginRecord], bool], Callable[[LoginRequest, LoginRecord], Facts]], ...
] = (
    ("password", _password, _password_facts),
    ("status", _status, _status_facts),
    ("nas", _nas, _nas_facts),
    ("expiry", _expiry, _expiry_facts),
    ("concurrency", _concurrency, _concurrency_facts),
)


def _session_timeout(request: LoginRequest, record: LoginRecord) -> int:
    """The least of all limits, in seconds."""
    limits = [record.max_session_time or MAX_TIMEOUT, MAX_TIMEOUT]
    if record.expires_at is not None:
        limits.append(int(record.expires_at - request.now))
    return max(1, min(limits))
