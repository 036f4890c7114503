"""The decision: every rule by itself, their order, and the time that an accepted session may last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from saas.tenants.access import MAX_TIMEOUT, LoginRecord, LoginRequest, decide

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
REQUEST = LoginRequest(
    nas_id="nas_1", calling_station_id="AA", now=NOW, credentials=True, tenant_active=True, sessions=0
)


def test_accepted() -> None:
    decision = decide(REQUEST, RECORD)
    assert decision.accepted
    assert decision.reason == ""
    names = [rule.name for rule in decision.rules]
    assert names == ["tenant", "account", "password", "status", "nas", "expiry", "concurrency"]


@pytest.mark.parametrize(
    ("reason", "request_change", "record_change"),
    [
        ("tenant", {"tenant_active": False}, {}),
        ("password", {"credentials": False}, {}),
        ("status", {}, {"status": "suspended"}),
        ("status", {}, {"status": "closed"}),
        ("status", {}, {"status": "pending"}),
        ("nas", {}, {"nas_ids": frozenset({"nas_2", "nas_3"})}),
        ("expiry", {}, {"expires_at": NOW}),
        ("expiry", {}, {"expires_at": NOW - 1}),
        ("concurrency", {"sessions": 1}, {}),
        ("concurrency", {"sessions": 7}, {"concurrency": 2}),  # more than the limit is refused too, not only as many
    ],
)
def test_each_rule_refuses_alone(reason: str, request_change: dict[str, Any], record_change: dict[str, Any]) -> None:
    decision = decide(REQUEST._replace(**request_change), replace(RECORD, **record_change))
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
    ],
)
def test_passes(request_change: dict[str, Any], record_change: dict[str, Any]) -> None:
    assert decide(REQUEST._replace(**request_change), replace(RECORD, **record_change)).accepted


def test_unknown_account_says_nothing_more() -> None:
    decision = decide(REQUEST, None)
    assert decision.reason == "account"
    assert [rule.name for rule in decision.rules] == ["tenant", "account"]


def test_everything_in_the_way_is_told_and_the_password_comes_before_what_would_leak() -> None:
    request = REQUEST._replace(credentials=False, sessions=1)
    record = replace(RECORD, status="suspended", expires_at=NOW - 1, nas_ids=frozenset({"nas_2"}))
    decision = decide(request, record)
    failed = [rule.name for rule in decision.rules if not rule.passed]
    assert failed == ["password", "status", "nas", "expiry", "concurrency"]
    assert decision.reason == "password"


def test_password_not_tested_is_not_a_rule() -> None:
    decision = decide(REQUEST._replace(credentials=None), RECORD)
    assert decision.accepted
    assert "password" not in [rule.name for rule in decision.rules]


def test_rules_carry_their_facts() -> None:
    request = REQUEST._replace(sessions=2)
    record = replace(RECORD, concurrency=2, nas_ids=frozenset({"nas_3", "nas_2"}))
    facts = {rule.name: dict(rule.data) for rule in decide(request, record).rules}
    assert facts["concurrency"] == {"sessions": 2, "limit": 2}
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
