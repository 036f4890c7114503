"""What accepts and rejects say; session tokens; stations. Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from saas.radius import replies
from saas.radius.codec import Packet, parse
from saas.radius.methods import ERROR_AUTHENTICATION, ERROR_DISABLED, ERROR_HOURS, ERROR_NO_DIALIN
from saas.radius.stations import station
from saas.radius.tokens import NONE, SessionToken, Tokens
from saas.radius.vendors import VENDORS
from tests.radius.test_caches import record
from tests.radius.test_codec import packet

RECORD = record("ten_1", "alice")
TOKEN = SessionToken("acc_01kc3q0000000000000000000", "0123456789abcdef")


def granted(vendor: str = "mikrotik", **values: object) -> Packet:
    return parse(packet(replies.grants(replace(RECORD, **values), vendor)))  # type: ignore[arg-type]


def times(timeout: int, interval: int, vendor: str = "standard") -> Packet:
    grant = replies.Grant(replace(RECORD, interim_interval=interval), vendor)
    return parse(packet(grant.attributes(timeout)))


def test_nothing_is_granted_that_nobody_asked_for() -> None:
    assert replies.grants(RECORD, "mikrotik") == b""


def test_an_address_is_sent_instead_of_a_pool_of_its_family() -> None:
    pools = {"address_pool": "four", "ipv6_pool": "six", "delegated_pool": "nets"}
    assert held(granted(**pools)) == {"Framed-Pool": "four", "Framed-IPv6-Pool": "six", POOL6: "nets"}
    assert held(granted(**pools, static_ip="10.0.0.1")) == {
        "Framed-IP-Address": "10.0.0.1",
        "Framed-IPv6-Pool": "six",
        POOL6: "nets",
    }
    assert held(granted(**pools, static_ipv6="2001:db8::5")) == {
        "Framed-Pool": "four",
        "Framed-IPv6-Address": "2001:db8::5",
        POOL6: "nets",
    }
    assert held(granted(static_ipv6="2001:db8:1::/64")) == {"Framed-IPv6-Prefix": "2001:db8:1::/64"}
    assert held(granted(**pools, delegated_prefix="2001:db8:2::/56")) == {
        "Framed-Pool": "four",
        "Framed-IPv6-Pool": "six",
        "Delegated-IPv6-Prefix": "2001:db8:2::/56",
    }


POOL6 = "Delegated-IPv6-Prefix-Pool"
ADDRESSES = (
    "Framed-IP-Address",
    "Framed-Pool",
    "Framed-IPv6-Address",
    "Framed-IPv6-Prefix",
    "Framed-IPv6-Pool",
    "Delegated-IPv6-Prefix",
    POOL6,
    "Framed-Route",
    "Framed-IPv6-Route",
)


def held(found: Packet) -> dict[str, object]:
    """The addresses and pools of an accept."""
    return {name: found.value(name) for name in ADDRESSES if found.value(name) is not None}


FIXED = {"static_ip": "10.0.0.1", "static_ipv6": "2001:db8::5", "delegated_prefix": "2001:db8:2::/56"}
EVERY_POOL = {"address_pool": "four", "ipv6_pool": "six", "delegated_pool": "nets"}


def restricted(vendor: str = "mikrotik", **values: object) -> Packet:
    return parse(packet(replies.restricted_grants(replace(RECORD, **values), vendor)))  # type: ignore[arg-type]


@pytest.mark.parametrize("addresses", [FIXED, EVERY_POOL, {}])
def test_nothing_leads_around_the_pool_of_those_whose_plan_has_ended(addresses: dict[str, object]) -> None:
    found = restricted(at_end="pool", end_pool="expired", up_rate=10**6, down_rate=10**6, octets_left=5, **addresses)
    assert held(found) == {"Framed-Pool": "expired"}
    assert found.value("Mikrotik-Rate-Limit") == "1M/1M"
    assert found.value("Mikrotik-Total-Limit") is None


def test_a_low_speed_keeps_the_address() -> None:
    found = restricted(at_end="slow", end_up_rate=64_000, end_down_rate=128_000, up_rate=10**9, **FIXED)
    assert found.value("Mikrotik-Rate-Limit") == "64k/128k"
    assert held(found)["Framed-IP-Address"] == "10.0.0.1"


def test_an_idle_session_is_ended_where_the_plan_says_so() -> None:
    assert granted(idle_timeout=600).value("Idle-Timeout") == 600
    assert restricted(at_end="pool", end_pool="x", idle_timeout=600).value("Idle-Timeout") == 600
    assert granted("aruba").value("Termination-Action") == 1
    assert granted("mikrotik", idle_timeout=600).value("Termination-Action") is None


GB5 = 5 * 2**30


@pytest.mark.parametrize(
    ("vendor", "counted", "left", "expected"),
    [
        ("mikrotik", "both", GB5, {"Mikrotik-Total-Limit": 2**30, "Mikrotik-Total-Limit-Gigawords": 1}),
        ("mikrotik", "down", GB5, {"Mikrotik-Xmit-Limit": 2**30, "Mikrotik-Xmit-Limit-Gigawords": 1}),
        ("mikrotik", "up", GB5, {"Mikrotik-Recv-Limit": 2**30, "Mikrotik-Recv-Limit-Gigawords": 1}),
        ("mikrotik", "both", 7, {"Mikrotik-Total-Limit": 7, "Mikrotik-Total-Limit-Gigawords": None}),
        ("chillispot", "both", GB5, {"ChilliSpot-Max-Total-Octets": 2**30, "ChilliSpot-Max-Total-Gigawords": 1}),
        ("chillispot", "down", GB5, {"ChilliSpot-Max-Output-Octets": 2**30, "ChilliSpot-Max-Output-Gigawords": 1}),
        ("chillispot", "up", 9, {"ChilliSpot-Max-Input-Octets": 9, "ChilliSpot-Max-Input-Gigawords": None}),
        ("pptpd", "both", 2**30, {"Session-Octets-Limit": 2**30, "Octets-Direction": 0}),
        ("pptpd", "up", 2**30, {"Session-Octets-Limit": 2**30, "Octets-Direction": 1}),
        ("pptpd", "down", 2**30, {"Session-Octets-Limit": 2**30, "Octets-Direction": 2}),
        ("pptpd", "both", GB5, {"Session-Octets-Limit": None, "Octets-Direction": None}),  # does not fit
    ],
)
def test_what_is_left_is_told_where_the_device_takes_it(
    vendor: str, counted: str, left: int, expected: dict[str, int | None]
) -> None:
    found = granted(vendor, octets_left=left, counted=counted, concurrency=1)
    assert {name: found.value(name) for name in expected} == expected


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_every_vendor_bears_every_quota(vendor: str) -> None:
    assert replies.grants(replace(RECORD, octets_left=None), vendor) == replies.grants(RECORD, vendor)
    for counted in ("both", "up", "down"):
        granted(vendor, octets_left=10**15 * 36, counted=counted, concurrency=1)


def test_two_sessions_get_half_each() -> None:
    assert granted(octets_left=1001, concurrency=2).value("Mikrotik-Total-Limit") == 500
    assert granted(octets_left=1, concurrency=2).value("Mikrotik-Total-Limit") == 1  # 0 would be without limit


def test_the_interval_is_never_below_the_least_and_is_spread() -> None:
    found = {times(3600, 600).value("Acct-Interim-Interval") for _ in range(300)}
    assert min(found) >= 600 and max(found) <= 660 and len(found) > 10
    assert 60 <= times(3600, 5).value("Acct-Interim-Interval") <= 66


def test_the_timeout_is_what_was_decided_unless_the_device_cannot_bear_it() -> None:
    assert times(1, 600).value("Session-Timeout") == 1
    assert times(2**31 - 1, 600).value("Session-Timeout") == 2**31 - 1
    assert times(60, 600, "strongswan").value("Session-Timeout") == 3600
    assert times(9000, 600, "strongswan").value("Session-Timeout") == 9000


@pytest.mark.parametrize("reason", ["account", "password", "guarded", "tenant", "method", "anything"])
def test_who_did_not_prove_the_password_is_told_nothing(reason: str) -> None:
    assert replies.refusal_text(reason, "en") == replies.GENERIC
    assert replies.error_code(reason) == ERROR_AUTHENTICATION


@pytest.mark.parametrize("reason", sorted(replies.REASONS))
def test_every_reason_has_words_in_chinese_that_fit_an_attribute(reason: str) -> None:
    text = replies.refusal_text(reason, "zh")
    assert text != replies.REASONS[reason]
    assert len(text.encode()) <= 200


def test_reasons_have_the_numbers_of_mschap() -> None:
    assert replies.error_code("status") == replies.error_code("expiry") == ERROR_DISABLED
    assert replies.error_code("nas") == replies.error_code("concurrency") == ERROR_NO_DIALIN
    assert replies.error_code("mac") == replies.error_code("vlan") == ERROR_NO_DIALIN
    assert replies.error_code("quota") == ERROR_DISABLED
    assert replies.error_code("window") == ERROR_HOURS


# tokens


@pytest.mark.parametrize("token", [TOKEN, SessionToken("acc_1", "")])
def test_a_token_comes_back_whole(token: SessionToken) -> None:
    tokens = Tokens(b"key")
    octets = tokens.sign("ten_1", *token)
    assert len(octets) <= 253 and octets.isascii() and b" " not in octets
    assert tokens.read("ten_1", [b"of another server", octets]) == token


def test_a_token_of_another_tenant_or_key_or_altered_is_none() -> None:
    tokens = Tokens(b"key")
    octets = tokens.sign("ten_1", *TOKEN)
    altered = octets.replace(b"acc_01", b"acc_02")
    assert tokens.read("ten_2", [octets]) == NONE
    assert Tokens(b"other").read("ten_1", [octets]) == NONE
    assert tokens.read("ten_1", [altered, octets[:-1], b"", b"pns1", b"pns1.a.b", b"\xff\xfe.\xff"]) == NONE
    assert tokens.read("ten_1", []) == NONE


# stations


@pytest.mark.parametrize(
    ("sent", "normal"),
    [
        (b"AA-BB-CC-DD-EE-FF", "AA-BB-CC-DD-EE-FF"),
        (b"aa:bb:cc:dd:ee:ff", "AA-BB-CC-DD-EE-FF"),
        (b"aabb.ccdd.eeff", "AA-BB-CC-DD-EE-FF"),
        (b"AABBCCDDEEFF", "AA-BB-CC-DD-EE-FF"),
        (b"aabb-ccdd-eeff", "AA-BB-CC-DD-EE-FF"),
        (b"aabb-ccdd.eeff", "aabb-ccdd.eeff"),
        (b"aabbccddeeff:Guest WLAN", "AA-BB-CC-DD-EE-FF"),
        (b"AA-BB-CC-DD-EE-FF:Guest", "AA-BB-CC-DD-EE-FF"),
        (b"10.0.0.2[4500]", "10.0.0.2[4500]"),
        (b"192.168.100.200", "192.168.100.200"),
        (b"13800138000", "13800138000"),
        (b"11223344556677", "11223344556677"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"::ffff:192.0.2.7", "192.0.2.7"),
        (b"::ffff:c000:207", "::ffff:c000:207"),
        (b" x ", "x"),
        (b"\xff", "\ufffd"),
        (b"", ""),
        (None, ""),
    ],
)
def test_a_station_has_one_spelling(sent: bytes | None, normal: str) -> None:
    assert station(sent) == normal
