"""May this account log in here and now? One pure function answers the engine and the console alike.

Each rule is a small function named after the fact it looks at. All of them are evaluated, so that a reader can be told
everything that stands in the way; the first that fails is the reason. Passwords come before whatever would tell a
stranger about the account, and device, tenant and account before passwords (see RFC 2865 section 2 for the exchange).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """One attempt, or the question whether one would succeed."""

    nas_id: str  # "" = no device in particular
    calling_station_id: str
    now: float  # seconds since 1970, UTC
    credentials: bool | None  # whether the password was right; None = not tested
    tenant_active: bool
    sessions: int | None  # open and pending sessions of other devices; None = not counted


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's answer, with the facts that a reader needs to understand it."""

    name: str
    passed: bool
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What RADIUS answers. `session_timeout` in seconds, at least 1: to many devices 0 means without end."""

    rules: tuple[Rule, ...]
    session_timeout: int

    @property
    def accepted(self) -> bool:
        """True when every rule passed."""
        return all(rule.passed for rule in self.rules)

    @property
    def reason(self) -> str:
        """The name of the first rule that failed; "" when accepted."""
        return next((rule.name for rule in self.rules if not rule.passed), "")


def decide(request: LoginRequest, record: LoginRecord | None) -> Decision:
    """Judge an attempt by every rule, in order. Without a record there is no such account."""
    rules = [
        Rule("tenant", request.tenant_active, {}),
        Rule("account", record is not None, {}),
    ]
    if record is None:
        return Decision(tuple(rules), 1)
    for name, judge in _RULES:
        outcome = judge(request, record)
        if outcome is not None:
            rules.append(Rule(name, *outcome))
    return Decision(tuple(rules), _session_timeout(request, record))


Outcome = tuple[bool, Mapping[str, Any]]


def _password(request: LoginRequest, _record: LoginRecord) -> Outcome | None:
    return None if request.credentials is None else (request.credentials, {})


def _status(_request: LoginRequest, record: LoginRecord) -> Outcome:
    return record.status == "normal", {"status": record.status}


def _nas(request: LoginRequest, record: LoginRecord) -> Outcome:
    passed = not (record.nas_ids and request.nas_id) or request.nas_id in record.nas_ids
    return passed, {"nas_id": request.nas_id, "allowed": sorted(record.nas_ids), "plan": record.plan_name}


def _expiry(request: LoginRequest, record: LoginRecord) -> Outcome:
    passed = record.expires_at is None or request.now < record.expires_at
    return passed, {"expires_at": record.expires_at, "plan": record.plan_name}


def _concurrency(request: LoginRequest, record: LoginRecord) -> Outcome:
    reached = bool(record.concurrency) and request.sessions is not None and request.sessions >= record.concurrency
    return not reached, {"sessions": request.sessions, "limit": record.concurrency}


_RULES: tuple[tuple[str, Callable[[LoginRequest, LoginRecord], Outcome | None]], ...] = (
    ("password", _password),
    ("status", _status),
    ("nas", _nas),
    ("expiry", _expiry),
    ("concurrency", _concurrency),
)


def _session_timeout(request: LoginRequest, record: LoginRecord) -> int:
    """The least of all limits, in seconds."""
    limits = [record.max_session_time or MAX_TIMEOUT, MAX_TIMEOUT]
    if record.expires_at is not None:
        limits.append(int(record.expires_at - request.now))
    return max(1, min(limits))
