"""The decision: every rule by itself, their order, and the time that an accepted session may last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from saas.radius.vendors import VENDORS, rates
from saas.tenants.access import _HOLDS, MAX_TIMEOUT, LoginRecord, LoginRequest, decide, octets_share
from saas.tenants.windows import Window

NOW = 1_800_000_000.0
RECORD = LoginRecord(
    tenant_id="ten_1",
    account_id="acc_1",
    username="alice",
    status="normal",
    sealed_password=b"",
    nt_hash=b"",
    plan_id="pln_1",
    plan_name="Monthly",
    nas_ids=frozenset(),
    expires_at=NOW + 3600,
    concurrency=1,
    up_rate=0,
    down_rate=0,
    address_pool="",
    static_ip="",
    interim_interval=300,
    max_session_time=86400,
)
OPEN_RULES = ["pending", "status", "nas", "expiry", "quota", "balance", "window", "mac", "vlan", "concurrency"]
MAC, OTHER_MAC = "AA-BB-CC-00-00-01", "AA-BB-CC-00-00-02"
NIGHT = Window(frozenset(range(7)), 22 * 60, 8 * 60, "Asia/Shanghai")  # NOW is 16:00 in Shanghai
AFTERNOON = Window(frozenset(range(7)), 14 * 60, 150, "Asia/Shanghai")  # until 16:30


def asked(**changes: Any) -> LoginRequest:
    """An attempt that nothing speaks against, but for these changes."""
    attempt: dict[str, Any] = {"nas_id": "nas_1", "calling_station_id": "AA", "now": NOW, "credentials": True}
    return LoginRequest(**attempt | {"tenant_active": True, "sessions": 0} | changes)


REQUEST = asked()


def test_accepted() -> None:
    decision = decide(REQUEST, RECORD)
    assert decision.accepted
    assert decision.reason == ""
    names = [rule.name for rule in decision.rules]
    assert names == ["tenant", "account", "guarded", "password", *OPEN_RULES]


@pytest.mark.parametrize(
    ("reason", "request_change", "record_change"),
    [
        ("tenant", {"tenant_active": False}, {}),
        ("password", {"credentials": False}, {}),
        ("status", {}, {"status": "suspended"}),
        ("status", {}, {"status": "closed"}),
        ("pending", {}, {"status": "pending"}),
        ("nas", {}, {"nas_ids": frozenset({"nas_2", "nas_3"})}),
        ("expiry", {}, {"expires_at": NOW}),
        ("expiry", {}, {"expires_at": NOW - 1}),
        ("guarded", {"guarded": True}, {}),
        ("balance", {}, {"balance": 0, "seconds_left": 0}),
        ("balance", {}, {"balance": -1, "octets_left": 0}),
        ("quota", {}, {"octets_left": 0}),
        ("quota", {}, {"octets_left": -5}),
        ("quota", {}, {"seconds_left": 0}),
        ("quota", {}, {"seconds_left": -1, "octets_left": 10**9}),
        ("quota", {}, {"seconds_left": 10**9, "octets_left": -1}),
        ("window", {}, {"window": NIGHT}),
        ("mac", {"calling_station_id": OTHER_MAC}, {"mac": MAC}),
        ("mac", {"calling_station_id": ""}, {"mac": MAC}),  # a device that tells no address proves nothing
        ("mac", {"calling_station_id": "10.0.0.2[4500]"}, {"mac": MAC}),
        ("vlan", {"nas_port_id": b"1/0/2:100.3"}, {"vlan": "100.2"}),
        ("vlan", {"nas_port_id": b""}, {"vlan": "100.2"}),
        ("concurrency", {"sessions": 1}, {}),
        ("concurrency", {"sessions": 2}, {"concurrency": 2, "kicks": True}),  # none could give way
        ("concurrency", {"sessions": 7}, {"concurrency": 2}),  # more than the limit is refused too, not only as many
    ],
)
def test_each_rule_refuses_alone(reason: str, request_change: dict[str, Any], record_change: dict[str, Any]) -> None:
    decision = decide(asked(**request_change), replace(RECORD, **record_change))
    assert not decision.accepted
    assert [rule.name for rule in decision.rules if not rule.passed] == [reason]
    assert decision.reason == reason


@pytest.mark.parametrize(
    ("request_change", "record_change"),
    [
        ({}, {"nas_ids": frozenset({"nas_1"})}),
        ({"nas_id": ""}, {"nas_ids": frozenset({"nas_2"})}),  # the console asks for no device in particular
        ({}, {"expires_at": None}),
        ({"sessions": 1000}, {"concurrency": 0}),  # 0 is unlimited
        ({"sessions": None}, {}),  # not counted: Redis is away
        ({"sessions": 1}, {"concurrency": 2}),
        ({"sessions": 9, "credentials": None}, {"concurrency": 2, "kicks": True}),  # the console: they would give way
        ({}, {"octets_left": 1, "seconds_left": 1}),
        ({}, {"window": AFTERNOON}),
        ({"calling_station_id": MAC}, {"mac": MAC}),
        ({"calling_station_id": None}, {"mac": MAC}),  # the console asks for no station in particular
        ({"nas_port_id": b"slot=1;subslot=0;port=2;vlanid=100;vlanid2=2;"}, {"vlan": "100.2"}),
        ({"nas_port_id": None}, {"vlan": "100.2"}),
        ({"calling_station_id": OTHER_MAC}, {"learns": ("mac", "vlan")}),
    ],
)
def test_passes(request_change: dict[str, Any], record_change: dict[str, Any]) -> None:
    assert decide(asked(**request_change), replace(RECORD, **record_change)).accepted


def test_unknown_account_says_nothing_more() -> None:
    decision = decide(REQUEST, None)
    assert decision.reason == "account"
    assert [rule.name for rule in decision.rules] == ["tenant", "account"]


def test_everything_in_the_way_is_told_and_the_password_comes_before_what_would_leak() -> None:
    request = asked(credentials=False, sessions=1)
    record = replace(RECORD, status="suspended", expires_at=NOW - 1, nas_ids=frozenset({"nas_2"}))
    decision = decide(request, record)
    failed = [rule.name for rule in decision.rules if not rule.passed]
    assert failed == ["password", "status", "nas", "expiry", "concurrency"]
    assert decision.reason == "password"


def test_password_not_tested_is_not_a_rule() -> None:
    decision = decide(asked(credentials=None), RECORD)
    assert decision.accepted
    assert "password" not in [rule.name for rule in decision.rules]


def test_rules_carry_their_facts() -> None:
    request = asked(sessions=2)
    record = replace(RECORD, concurrency=2, nas_ids=frozenset({"nas_3", "nas_2"}))
    facts = {rule.name: dict(rule.data) for rule in decide(request, record).rules}
    assert facts["concurrency"] == {"sessions": 2, "limit": 2, "kicks": False}
    assert facts["nas"] == {"nas_id": "nas_1", "allowed": ["nas_2", "nas_3"], "plan": "Monthly"}
    assert facts["expiry"] == {"expires_at": NOW + 3600, "plan": "Monthly"}
    assert facts["status"] == {"status": "normal"}


@pytest.mark.parametrize(
    ("expires_in", "most", "timeout"),
    [
        (3600.0, 86400, 3600),
        (3600.0, 600, 600),
        (3600.9, 86400, 3600),
        (0.5, 86400, 1),  # never 0: that is without end
        (None, 86400, 86400),
        (None, 0, MAX_TIMEOUT),
        (10.0**12, 0, MAX_TIMEOUT),
    ],
)
def test_session_timeout(expires_in: float | None, most: int, timeout: int) -> None:
    expires_at = None if expires_in is None else NOW + expires_in
    decision = decide(REQUEST, replace(RECORD, expires_at=expires_at, max_session_time=most))
    assert decision.accepted
    assert decision.session_timeout == timeout


# the other limits of a session's time

HALF_AN_HOUR = 1800


@pytest.mark.parametrize(
    ("changes", "timeout"),
    [
        ({"seconds_left": 600}, 600),
        ({"seconds_left": 600, "concurrency": 0}, 600),
        ({"seconds_left": 600, "concurrency": 4}, 150),  # four sessions use it up four times as fast
        ({"seconds_left": 3, "concurrency": 4}, 1),
        ({"seconds_left": 1}, 1),
        ({"seconds_left": 10**9}, 3600),
        ({"window": AFTERNOON}, HALF_AN_HOUR),
        ({"window": AFTERNOON, "seconds_left": 1700}, 1700),
        ({"window": AFTERNOON, "max_session_time": 900}, 900),
        ({"window": AFTERNOON, "expires_at": NOW + 60}, 60),
        ({"idle_timeout": 5, "octets_left": 1}, 3600),  # these are told to the device in their own attributes
    ],
)
def test_a_session_lasts_as_long_as_the_least_of_all_limits(changes: dict[str, Any], timeout: int) -> None:
    assert decide(REQUEST, replace(RECORD, **changes)).session_timeout == timeout


@pytest.mark.parametrize(
    ("left", "concurrency", "share"),
    [(None, 1, 0), (10**9, 1, 10**9), (10**9, 0, 10**9), (10**9, 3, 333333333), (1, 3, 1), (5 * 2**40, 2, 5 * 2**39)],
)
def test_octets_are_shared_among_the_sessions_there_may_be(left: int | None, concurrency: int, share: int) -> None:
    assert octets_share(replace(RECORD, octets_left=left, concurrency=concurrency)) == share


# after the end


@pytest.mark.parametrize("at_end", ["pool", "slow"])
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"expires_at": NOW}, "expiry"),
        ({"expires_at": NOW - 10**7}, "expiry"),
        ({"octets_left": 0}, "quota"),
        ({"seconds_left": -7}, "quota"),
        ({"expires_at": NOW, "octets_left": -7, "seconds_left": 0}, "expiry"),
    ],
)
def test_after_the_end_some_are_let_in_for_a_short_time(changes: dict[str, Any], name: str, at_end: str) -> None:
    decision = decide(REQUEST, replace(RECORD, **changes, at_end=at_end, restricted_timeout=120))
    assert (decision.accepted, decision.restricted, decision.session_timeout) == (True, name, 120)
    assert not next(rule for rule in decision.rules if rule.name == name).passed


def test_who_has_not_reached_the_end_is_not_restricted() -> None:
    decision = decide(REQUEST, replace(RECORD, at_end="pool"))
    assert (decision.accepted, decision.restricted, decision.session_timeout) == (True, "", 3600)


def test_the_other_rules_hold_after_the_end_too() -> None:
    record = replace(RECORD, expires_at=NOW, at_end="pool")
    for reason, changes in (("password", {"credentials": False}), ("concurrency", {"sessions": 1})):
        assert decide(asked(**changes), record).reason == reason
    short = replace(record, window=AFTERNOON, restricted_timeout=3600)
    assert decide(REQUEST, short).session_timeout == HALF_AN_HOUR
    assert decide(REQUEST, replace(short, window=NIGHT)).reason == "window"
    failed = decide(REQUEST, replace(short, window=NIGHT)).failed
    assert failed.name == "window"  # though expiry, which comes before it, failed too


@pytest.mark.parametrize(
    ("vendor", "at_end", "reason"),
    [
        ("openvpn", "pool", "expiry"),
        ("openvpn", "slow", "expiry"),
        ("strongswan", "pool", "expiry"),
        ("aruba", "slow", "expiry"),
        ("aruba", "pool", "expiry"),
        ("chillispot", "pool", "expiry"),
        ("chillispot", "slow", ""),
        ("pptpd", "pool", "expiry"),
        ("pptpd", "slow", ""),
        ("standard", "slow", "expiry"),
        ("standard", "pool", ""),
        ("mikrotik", "pool", ""),
        ("mikrotik", "slow", ""),
        ("", "slow", ""),
    ],
)
def test_a_device_that_cannot_restrict_refuses(vendor: str, at_end: str, reason: str) -> None:
    record = replace(RECORD, expires_at=NOW, at_end=at_end)
    assert decide(asked(vendor=vendor), record).reason == reason


def test_a_speed_is_promised_where_the_device_is_told_one() -> None:
    assert _HOLDS["slow"] == {key for key in VENDORS if rates(key, 1000, 1000)} | {""}
    assert _HOLDS["pool"] <= VENDORS.keys() | {""}
