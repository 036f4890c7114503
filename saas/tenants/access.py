"""May this account log in here and now? One pure function answers the engine and the console alike.

Rules are asked in order and the first that fails is the reason. Passwords come before whatever would tell a stranger
about the account, and device, tenant and account before passwords (see RFC 2865 section 2 for the exchange). The engine
needs the reason alone, for every packet, and asks the rules that an account can fail at all: which these are is found
once for each record. A reader can be told what every rule says, and that is worked out when asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from saas.tenants.ports import vlan_of
from saas.tenants.windows import Window

MAX_TIMEOUT = 2**31 - 1  # devices read Session-Timeout as a signed number

Passes = Callable[["LoginRequest", "LoginRecord"], bool]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
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
    max_session_time: int  # seconds, at most MAX_TIMEOUT; 0 = no limit
    octets_left: int | None = None  # of what was paid, None = not limited; below 0 by what one interim interval carried
    seconds_left: int | None = None
    balance: int | None = None  # minor units, where use is charged to it: then it pays for what is left; else None
    counted: str = "both"  # the direction whose octets count: "both", "down", "up"
    window: Window | None = None  # when the plan is good; None = always
    mac: str = ""  # "AA-BB-…", the only station that may dial in; "" = any
    vlan: str = ""  # "svlan.cvlan" or "vlan", the only line; "" = any
    learns: tuple[str, ...] = ()  # what is bound to the first login: "mac", "vlan"
    at_end: str = "reject"  # or "pool", "slow": what becomes of a login after expiry or without quota
    end_pool: str = ""
    end_up_rate: int = 0  # bit/s
    end_down_rate: int = 0
    stale_after: int = 960  # seconds of silence after which a session no longer counts
    restricted_timeout: int = 300  # seconds that a login after the end is let in for
    kicks: bool = False  # above the limit the oldest session goes, not the newcomer
    static_ipv6: str = ""  # an address, or a prefix "2001:db8::/64"
    delegated_prefix: str = ""
    ipv6_pool: str = ""
    delegated_pool: str = ""
    idle_timeout: int = 0  # seconds; 0 = none
    extra: tuple[tuple[str, str | int | bytes], ...] = ()  # further attributes, of the plan
    asked: tuple[tuple[str, Passes], ...] = field(init=False, repr=False, compare=False)  # the rules it can fail

    def __post_init__(self) -> None:
        asked = tuple((name, passes) for name, passes, _, can_fail in _RULES if can_fail(self))
        object.__setattr__(self, "asked", _SHARED.setdefault(asked, asked))


def guest(tenant_id: str, username: str, interim_interval: int, max_session_time: int) -> LoginRecord:
    """The record of whoever has no account, at a device that lets in anybody: no limit but the tenant's own."""
    return LoginRecord(
        tenant_id=tenant_id,
        account_id="",
        username=username,
        status="normal",
        sealed_password=b"",
        nt_hash=b"",
        plan_id="",
        plan_name="",
        nas_ids=frozenset(),
        expires_at=None,
        concurrency=0,
        up_rate=0,
        down_rate=0,
        address_pool="",
        static_ip="",
        interim_interval=interim_interval,
        max_session_time=max_session_time,
    )


class LoginRequest:
    """One attempt, or the question whether one would succeed."""

    __slots__ = (
        "calling_station_id",
        "credentials",
        "guarded",
        "nas_id",
        "nas_port_id",
        "now",
        "sessions",
        "tenant_active",
        "vendor",
    )

    def __init__(
        self,
        nas_id: str,
        calling_station_id: str | None,
        now: float,
        credentials: bool | None,
        tenant_active: bool,
        sessions: int | None,
        vendor: str = "",
        nas_port_id: bytes | None = None,
        guarded: bool = False,
    ) -> None:
        """`nas_id` "": no device in particular; `calling_station_id`, `nas_port_id` None: no station, no line in
        particular. `now`: seconds since 1970, UTC. `credentials`: whether the password was right, None when it was not
        tested; `guarded`: it was not tested, for too many were wrong. `sessions`: open and pending ones of other
        devices, None when they were not counted. `vendor` of the device, "" is any: not every one can hold a session to
        a pool or a speed.
        """
        self.nas_id = nas_id
        self.calling_station_id = calling_station_id
        self.now = now
        self.credentials = credentials
        self.tenant_active = tenant_active
        self.sessions = sessions
        self.vendor = vendor
        self.nas_port_id = nas_port_id
        self.guarded = guarded


class Rule(NamedTuple):
    """A rule's answer, with the facts that a reader needs to understand it."""

    name: str
    passed: bool
    data: Mapping[str, Any]


class Decision:
    """What RADIUS answers.

    `reason`: the name of the first rule that failed, "" when accepted. `restricted`: the rule that failed and yet let
    the login in, to the pool or the speed of those whose plan has ended; "" when nothing is restricted.
    `session_timeout` in seconds, at least 1: to many devices 0 means without end.
    """

    __slots__ = ("_record", "_request", "reason", "restricted", "session_timeout")

    def __init__(
        self,
        request: LoginRequest,
        record: LoginRecord | None,
        reason: str,
        session_timeout: int = 1,
        restricted: str = "",
    ) -> None:
        self._request = request
        self._record = record
        self.reason = reason
        self.session_timeout = session_timeout
        self.restricted = restricted

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
            asked = _RULES if request.credentials is not None else _RULES[2:]
            rules += [Rule(name, passes(request, record), facts(request, record)) for name, passes, facts, _ in asked]
        return tuple(rules)

    @property
    def failed(self) -> Rule:
        """The rule that is the reason of a refusal."""
        request, record = self._request, self._record
        found = next((facts for name, _, facts, _ in _RULES if name == self.reason), _no_facts)
        return Rule(self.reason, False, found(request, record) if record is not None else {})


def decide(request: LoginRequest, record: LoginRecord | None) -> Decision:
    """Judge an attempt. Without a record there is no such account."""
    if not request.tenant_active:
        return Decision(request, record, "tenant")
    if record is None:
        return Decision(request, record, "account")
    restricted = ""
    for name, passes in record.asked:
        if not passes(request, record):
            if name not in _ENDS or record.at_end == "reject" or request.vendor not in _HOLDS[record.at_end]:
                return Decision(request, record, name)
            restricted = restricted or name
    return Decision(request, record, "", _session_timeout(request, record, restricted), restricted)


# The rules that a login may fail and yet be let in; and the vendors whose devices then hold it to the pool or the
# speed, and to a short time. On all others it is refused, or it would be let in without restriction or end: OpenVPN's
# plugin heeds none of it, strongSwan no short time, pppd no pool, and hotspots give the address before the login.
_ENDS = ("expiry", "quota", "balance")
_HOLDS: Mapping[str, frozenset[str]] = {
    "pool": frozenset({"", "mikrotik", "huawei", "h3c", "zte", "zte-bps", "cisco", "accel-ppp", "standard"}),
    "slow": frozenset(
        {"", "mikrotik", "huawei", "h3c", "zte", "zte-bps", "cisco", "accel-ppp", "pptpd"}
        | {"ikuai", "ikuai-bps", "wispr", "chillispot", "ascend"}
        | {"cisco-isg", "juniper", "mpd", "nokia", "panabit", "ruckus"}
    ),
}


def _guard(request: LoginRequest, _record: LoginRecord) -> bool:
    return not request.guarded


def _no_facts(_request: LoginRequest, _record: LoginRecord) -> Facts:
    return {}


def _password(request: LoginRequest, _record: LoginRecord) -> bool:
    return request.credentials is not False


def _pending(_request: LoginRequest, record: LoginRecord) -> bool:
    return record.status != "pending"


def _status(_request: LoginRequest, record: LoginRecord) -> bool:
    return record.status in ("normal", "pending")


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


def _quota(_request: LoginRequest, record: LoginRecord) -> bool:
    return record.balance is not None or (
        (record.octets_left is None or record.octets_left > 0)
        and (record.seconds_left is None or record.seconds_left > 0)
    )


def _quota_facts(_request: LoginRequest, record: LoginRecord) -> Facts:
    left = (record.octets_left, record.seconds_left) if record.balance is None else (None, None)
    return {"octets_left": left[0], "seconds_left": left[1], "plan": record.plan_name}


def _balance(_request: LoginRequest, record: LoginRecord) -> bool:
    return record.balance is None or record.balance > 0


def _balance_facts(_request: LoginRequest, record: LoginRecord) -> Facts:
    pays = (
        {"octets_left": record.octets_left, "seconds_left": record.seconds_left} if record.balance is not None else {}
    )
    return {"balance": record.balance, "plan": record.plan_name, **pays}


def _window(request: LoginRequest, record: LoginRecord) -> bool:
    return record.window is None or record.window.is_open(request.now)


def _window_facts(request: LoginRequest, record: LoginRecord) -> Facts:
    return {"until": record.window.until(request.now) if record.window else None, "plan": record.plan_name}


def _mac(request: LoginRequest, record: LoginRecord) -> bool:
    return not record.mac or request.calling_station_id in (record.mac, None)


def _mac_facts(request: LoginRequest, record: LoginRecord) -> Facts:
    return {"bound": record.mac, "sent": request.calling_station_id or "", "learns": "mac" in record.learns}


def _vlan(request: LoginRequest, record: LoginRecord) -> bool:
    return not record.vlan or request.nas_port_id is None or vlan_of(request.nas_port_id) == record.vlan


def _vlan_facts(request: LoginRequest, record: LoginRecord) -> Facts:
    return {"bound": record.vlan, "sent": vlan_of(request.nas_port_id or b""), "learns": "vlan" in record.learns}


def _concurrency(request: LoginRequest, record: LoginRecord) -> bool:
    if not record.concurrency or request.sessions is None or request.sessions < record.concurrency:
        return True
    return record.kicks and request.credentials is None  # a question alone: for a login they have given way already


def _concurrency_facts(request: LoginRequest, record: LoginRecord) -> Facts:
    return {"sessions": request.sessions, "limit": record.concurrency, "kicks": record.kicks}


def _has_quota(record: LoginRecord) -> bool:
    return record.balance is None and (record.octets_left is not None or record.seconds_left is not None)


# Name, whether it passes, what a reader needs to understand it, and whether a record can fail it. The guard and the
# password come first and together: the rules behind them are for those who knew it.
_RULES: tuple[tuple[str, Passes, Callable[[LoginRequest, LoginRecord], Facts], Callable[[LoginRecord], bool]], ...] = (
    ("guarded", _guard, _no_facts, lambda record: True),
    ("password", _password, _no_facts, lambda record: True),
    ("pending", _pending, _no_facts, lambda record: record.status == "pending"),
    ("status", _status, _status_facts, lambda record: record.status not in ("normal", "pending")),
    ("nas", _nas, _nas_facts, lambda record: bool(record.nas_ids)),
    ("expiry", _expiry, _expiry_facts, lambda record: record.expires_at is not None),
    ("quota", _quota, _quota_facts, _has_quota),
    ("balance", _balance, _balance_facts, lambda record: record.balance is not None),
    ("window", _window, _window_facts, lambda record: record.window is not None),
    ("mac", _mac, _mac_facts, lambda record: bool(record.mac)),
    ("vlan", _vlan, _vlan_facts, lambda record: bool(record.vlan)),
    ("concurrency", _concurrency, _concurrency_facts, lambda record: bool(record.concurrency)),
)
_SHARED: dict[tuple[tuple[str, Passes], ...], tuple[tuple[str, Passes], ...]] = {}  # many records, few selections


def _session_timeout(request: LoginRequest, record: LoginRecord, restricted: str) -> int:
    """The least of all limits, in seconds. Online time that is left is shared among the sessions there may be."""
    least = record.max_session_time or MAX_TIMEOUT
    if restricted:
        least = min(least, record.restricted_timeout)
    else:
        if record.expires_at is not None:
            left = int(record.expires_at - request.now)
            if left < least:
                least = left
        if record.seconds_left is not None:
            least = min(least, record.seconds_left // (record.concurrency or 1))
    if record.window is not None:
        least = min(least, int(record.window.until(request.now) - request.now))
    return 1 if least < 1 else least


def held_to(record: LoginRecord, now: float) -> tuple[object, ...]:
    """What sessions of an account are held to at a moment, to be compared: a change of it concerns those that are open.

    ("out",), ("pool", its name), ("slow", up, down) or ("full", up, down, devices).
    """
    decision = decide(LoginRequest("", None, now, None, True, None), record)
    if decision.reason:
        return ("out",)
    if not decision.restricted:
        return ("full", record.up_rate, record.down_rate, record.nas_ids)
    return ("pool", record.end_pool) if record.at_end == "pool" else ("slow", record.end_up_rate, record.end_down_rate)


def octets_share(record: LoginRecord) -> int:
    """What one session may carry, octets of the direction that counts; 0 = not limited.

    What is left is shared among the sessions there may be at once, because each device counts for itself. Without a
    concurrency limit each gets all that is left, and metering alone holds them together.
    """
    if record.octets_left is None:
        return 0
    return max(1, record.octets_left // (record.concurrency or 1))
