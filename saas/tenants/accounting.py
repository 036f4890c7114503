"""What an accounting event does to a session. PURE: rows and events in, rows out.

Devices repeat, lose, delay and reorder what they report, restart their counters and reuse their session ids. A session
is therefore known by its life span: an event that reports a session time of `s` at the moment `at` says that its
session lived from `at - s` to `at`. Events of one key whose spans touch are one session; a span behind the session's
end is another session under a reused id. Totals only grow: an event that comes late or twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from operator import attrgetter
from typing import Any, NamedTuple

from saas.values import from_epoch, new_id, normal_mac, normal_username, utcnow


class AcctEvent(NamedTuple):
    """One Accounting-Request (RFC 2866, RFC 2869), normalised. None and "" mean that the attribute was not there.

    Octets and packets are totals since the session began; gigawords are folded in. Input is what the device received
    from the subscriber: upload.
    """

    tenant_id: str
    nas_id: str
    status: str  # "start", "interim", "stop", "on", "off"
    session_id: str  # Acct-Session-Id
    username: str  # normalised
    at: float  # when it happened: seconds since 1970, UTC
    received: float  # when the packet came
    account_id: str = ""  # from Class or the login record
    slot: str = ""  # the slot token carried in Class
    session_time: int | None = None  # seconds
    input_octets: int | None = None
    output_octets: int | None = None
    gigawords: bool = False  # Acct-Input-Gigawords or Acct-Output-Gigawords was there
    input_packets: int | None = None
    output_packets: int | None = None
    terminate_cause: str = ""  # the RFC's name: "User-Request", "Lost-Carrier" …
    framed_ip: str = ""
    framed_ipv6: str = ""
    calling_station_id: str = ""
    called_station_id: str = ""
    nas_ip: str = ""
    nas_port: int | None = None
    nas_port_type: str = ""
    nas_port_id: str = ""
    multi_session_id: str = ""
    tunnel_client: str = ""  # Tunnel-Client-Endpoint: the peer's real address
    connect_info: str = ""
    service_type: str = ""
    framed_protocol: str = ""
    source: str = ""  # the packet's source address
    user_name: str = ""  # User-Name as the device sent it: what it knows the session by


Row = dict[str, Any]

CLOSED_BY_DEVICE = "stop"
_REBOOTED = ("on", "off")
_START_RANK = {"stop": 0, "interim": 1, "start": 2}
_JITTER = timedelta(seconds=5)  # between a device's clock and ours
_REPEAT = timedelta(seconds=30)  # a packet repeated without Acct-Delay-Time seems up to this much later than it was
_REPEAT_UNHEARD = timedelta(seconds=300)  # a Start likewise, while nothing else was heard of the session
_KICK_PATIENCE = timedelta(seconds=60)  # how long an acknowledged Disconnect may take to show
_STALE_GRACE = 60  # seconds
_MEASURABLE = timedelta(seconds=1)  # what flowed within less says nothing about a speed
_LONGEST = 366 * 86400  # seconds; a longer session time is nonsense
_FOREVER = timedelta(seconds=_LONGEST)
_WRAP = 2**32
_MOST = 2**63 - 1  # octets that the store can keep
_FASTEST = 1_250_000_000  # octets/s: 10 Gbit/s; a wrapped counter that means more than that was reset

# field of a session: what the device says about it; the newest event that says anything wins
_FACTS = (
    "framed_ip",
    "framed_ipv6",
    "calling_station_id",
    "called_station_id",
    "nas_ip",
    "nas_port",
    "nas_port_type",
    "nas_port_id",
    "multi_session_id",
    "tunnel_client",
    "connect_info",
    "service_type",
    "framed_protocol",
    "user_name",
    "source",
)
_VALUES = attrgetter(*_FACTS)
_NOTHING = ("", None)


def session_key(tenant_id: str, nas_id: str, session_id: str, username: str) -> str:
    """What sessions are matched by: device, Acct-Session-Id and user name; not the id alone, which devices reuse."""
    name = normal_username(username)
    return sha256(f"{tenant_id}\0{nas_id}\0{session_id}\0{name}".encode()).hexdigest()[:32]


def event_key(event: AcctEvent) -> str:
    """The key of the session that an event speaks of."""
    return session_key(event.tenant_id, event.nas_id, event.session_id, event.username)


def stale_after(parameters: Mapping[str, Any]) -> int:
    """Seconds of silence after which a tenant's session counts as lost: so many missed updates, and some grace."""
    return int(parameters["stale_factor"]) * int(parameters["interim_interval"]) + _STALE_GRACE


def span(event: AcctEvent) -> tuple[datetime, datetime]:
    """From when to when the event says that its session lived."""
    at = min(event.at, event.received)
    return from_epoch(at - (_session_time(event) or 0)), from_epoch(at)


def match(rows: list[Row], event: AcctEvent) -> Row | None:
    """The session, among those of the event's key, whose life the event's span touches; the nearest start wins."""
    if not rows:
        return None
    started, at = span(event)
    touched = [row for row in rows if _touches(row, event, started, at) and not _restarted(row, event, started)]
    return min(touched, key=lambda row: abs(started - row["started_at"]), default=None)


def _touches(row: Row, event: AcctEvent, started: datetime, at: datetime) -> bool:
    end = row["seen_at"]
    # an end that the device did not tell is no sign of life, unless the event does not say when its session began
    if row["stopped_at"] and event.status != "start" and _session_time(event) is None:
        end = max(end, row["stopped_at"])
    return bool(started <= end + _slack(row, event) and at >= row["started_at"] - _REPEAT)


def _slack(row: Row, event: AcctEvent) -> timedelta:
    """How much later than the session's last sign an event may seem to begin and still be of it."""
    if row["stop_source"] in _REBOOTED:
        return timedelta()
    if row["stop_source"] == CLOSED_BY_DEVICE:
        late_start = event.status == "start" and row["start_source"] != "start"
        return _REPEAT if late_start else _JITTER
    if event.status == "start":
        return _REPEAT if row["heard"] else _REPEAT_UNHEARD
    return _FOREVER if row["open"] and _session_time(event) is None else _REPEAT


def _restarted(row: Row, event: AcctEvent, started: datetime) -> bool:
    """The device counts the time anew, from about when the session was last seen: it began another one."""
    seconds, known = _session_time(event), row["session_time"]
    if event.status == "start" or seconds is None or seconds >= known:
        return False
    return bool(started > row["started_at"] + _REPEAT and started > row["seen_at"] - _JITTER)


def begin(event: AcctEvent) -> Row:
    """The row of a session that this event is the first to tell of; its start is reckoned back when Start was lost."""
    started, at = span(event)
    now = utcnow()
    row: Row = {
        "_id": new_id("ses"),
        "tenant_id": event.tenant_id,
        "key": event_key(event),
        "epoch": round(started.timestamp() * 1000),
        "open": True,
        "nas_id": event.nas_id,
        "acct_session_id": event.session_id,
        "username": event.username,
        "account_id": "",
        "member_id": "",
        "agent_id": None,
        "plan_id": "",
        "started_at": started,
        "seen_at": at,
        "stopped_at": None,
        "closing_at": None,
        "stale_at": at,
        "start_source": event.status,
        "stop_source": "",
        "terminate_cause": "",
        "session_time": 0,
        "lasted": 0,
        "charged_octets": 0,
        "charged_seconds": 0,
        "input_octets": 0,
        "output_octets": 0,
        "input_rate": 0,
        "output_rate": 0,
        "input_packets": 0,
        "output_packets": 0,
        "input_base": 0,
        "output_base": 0,
        "heard": False,
        "gigawords": False,
        "sole": True,
        "flags": [],
        "search": [],
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    row |= zip(_FACTS, _VALUES(event), strict=True)
    _fold(row, event, started, at)
    return row


def fold(row: Row, event: AcctEvent) -> None:
    """Let an event take effect on its session's row. A second time it changes nothing."""
    started, at = span(event)
    seen_at, totals = row["seen_at"], (row["input_octets"], row["output_octets"])
    _fold_facts(row, event, at)
    _fold(row, event, started, at)
    if at >= seen_at + _MEASURABLE:
        _measure(row, totals, (at - seen_at).total_seconds())


def _measure(row: Row, totals: tuple[int, int], seconds: float) -> None:
    """How fast the session was since it was last heard of, bit/s."""
    for name, before in zip(("input", "output"), totals, strict=True):
        row[f"{name}_rate"] = min(int((row[f"{name}_octets"] - before) * 8 / seconds), _MOST)


def _fold(row: Row, event: AcctEvent, started: datetime, at: datetime) -> None:
    _fold_start(row, event, started)
    _fold_usage(row, event, at)
    row["seen_at"] = max(row["seen_at"], at)
    if event.status == "stop":
        _fold_stop(row, event, at)
    elif not row["open"]:
        _reopen(row, at)
    elif row["closing_at"] and at > row["closing_at"] + _KICK_PATIENCE:
        row["closing_at"] = None


def close(row: Row, at: datetime, cause: str, source: str) -> None:
    """End a session that its device did not end; what the device says later may still correct that.

    `cause` by its name in RFC 2866 section 5.10; `source`: "stale", "on", "off", "clear", "disconnect", "reused".
    """
    row |= {"open": False, "stopped_at": max(at, row["started_at"]), "terminate_cause": cause, "stop_source": source}
    row["closing_at"] = None


def stale_at(row: Row, silence: int) -> datetime:
    """When the session counts as lost unless something is heard of it; `silence`: the tenant's `stale_after`."""
    moment: datetime = row["seen_at"] + timedelta(seconds=silence)
    return moment


def search_texts(row: Row) -> list[str]:
    """What people look for: user name, its own addresses, hardware address, the peer's address, and the plan's id."""
    calling, plan_id = row["calling_station_id"], row.get("plan_id", "")
    own = (row["username"], row["framed_ip"], row["framed_ipv6"], row["tunnel_client"])
    return sorted({text.lower() for text in (*own, calling, normal_mac(calling), plan_id) if text})


def _session_time(event: AcctEvent) -> int | None:
    """Seconds; None when the device tells none, or nonsense. Some tell 0 now and then and mean none."""
    return event.session_time if event.session_time and event.session_time <= _LONGEST else None


def _fold_facts(row: Row, event: AcctEvent, at: datetime) -> None:
    newest = at >= row["seen_at"]
    for name, value in zip(_FACTS, _VALUES(event), strict=True):
        if value not in _NOTHING and (newest or row[name] in _NOTHING):
            row[name] = value


def _fold_start(row: Row, event: AcctEvent, started: datetime) -> None:
    rank, known = _START_RANK[event.status], _START_RANK[row["start_source"]]
    if event.status == "start" and rank > known:
        row["started_at"] = started  # told by the device, better than reckoned
    elif rank >= known:
        row["started_at"] = min(row["started_at"], started)
    if rank > known:
        row["start_source"] = event.status


def _fold_stop(row: Row, event: AcctEvent, at: datetime) -> None:
    repeated = row["stop_source"] == CLOSED_BY_DEVICE
    row["stopped_at"] = min(row["stopped_at"], at) if repeated else at
    row["terminate_cause"] = event.terminate_cause or (row["terminate_cause"] if repeated else "")
    row |= {"open": False, "stop_source": CLOSED_BY_DEVICE, "closing_at": None}


def _reopen(row: Row, at: datetime) -> None:
    """The device still reports a session that was taken for ended: it lives."""
    if row["stop_source"] == CLOSED_BY_DEVICE or at <= row["stopped_at"]:
        return
    row |= {"open": True, "stopped_at": None, "stop_source": "", "terminate_cause": ""}
    _flag(row, "reopened")


def _fold_usage(row: Row, event: AcctEvent, at: datetime) -> None:
    seconds = _session_time(event)
    elapsed = None if seconds is None else seconds - row["session_time"]
    row["gigawords"] = row["gigawords"] or event.gigawords
    for name in ("input", "output"):
        octets = getattr(event, f"{name}_octets")
        if octets is not None:
            _count(row, name, octets, elapsed)
        packets = getattr(event, f"{name}_packets")
        row[f"{name}_packets"] = max(row[f"{name}_packets"], packets or 0)
    row["session_time"] = max(row["session_time"], seconds or 0)
    if seconds is None and event.status != "start":  # a repeated Start is no proof of a life
        seconds = int((at - row["started_at"]).total_seconds())
    row["lasted"] = max(row["lasted"], seconds or 0)
    row["heard"] = row["heard"] or event.status != "start"


def _count(row: Row, name: str, octets: int, elapsed: int | None) -> None:
    """Take a direction's counter into its total: `base`, what counted before the last wrap or reset, plus the counter.

    `elapsed`: seconds since the counters known so far, negative when these are older, None when that is not known.
    A smaller counter in a newer event has wrapped at 2^32, when the device has no gigawords and the distance is
    plausible; has been reset, when it fell below half; or is inexact, and the last one stands.
    """
    base = row[f"{name}_base"]
    last = row[f"{name}_octets"] - base
    if octets >= last:
        if base == 0 or (elapsed is not None and elapsed >= 0):
            row[f"{name}_octets"] = min(base + octets, _MOST)
    elif elapsed is None or elapsed <= 0 or row["stop_source"] == CLOSED_BY_DEVICE:
        return
    elif _wrapped(row, last, octets, elapsed):
        _rebase(row, name, base + _WRAP, octets, "counter_wrapped")
    elif 0 < octets < last / 2:
        _rebase(row, name, base + last, octets, "counter_reset")
    else:
        _flag(row, "counter_regressed")


def _wrapped(row: Row, last: int, octets: int, elapsed: int) -> bool:
    if row["gigawords"] or not _WRAP // 2 <= last < _WRAP:
        return False
    return (_WRAP - last + octets) <= _FASTEST * elapsed and octets < _WRAP // 2


def _rebase(row: Row, name: str, base: int, octets: int, flag: str) -> None:
    row[f"{name}_base"] = min(base, _MOST)
    row[f"{name}_octets"] = min(base + octets, _MOST)
    _flag(row, flag)


def _flag(row: Row, flag: str) -> None:
    if flag not in row["flags"]:
        row["flags"] = [*row["flags"], flag]
