"""What accepts and rejects say; session tokens; stations. Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from saas.radius import replies
from saas.radius.codec import Packet, parse
from saas.radius.methods import ERROR_AUTHENTICATION, ERROR_DISABLED, ERROR_NO_DIALIN
from saas.radius.stations import station
from saas.radius.tokens import NONE, SessionToken, Tokens
from tests.radius.test_caches import record
from tests.radius.test_codec import packet

RECORD = record("ten_1", "alice")
TOKEN = SessionToken("acc_01kc3q0000000000000000000", "0123456789abcdef")


def granted(vendor: str = "mikrotik", **values: object) -> Packet:
    return parse(packet(replies.grants(replace(RECORD, **values), vendor)))  # type: ignore[arg-type]


def times(timeout: int, interval: int, vendor: str = "standard") -> Packet:
    return parse(packet(replies.times(timeout, interval, vendor)))


def test_nothing_is_granted_that_nobody_asked_for() -> None:
    assert replies.grants(RECORD, "mikrotik") == b""


def test_an_address_is_sent_instead_of_a_pool() -> None:
    both = granted(static_ip="10.0.0.1", address_pool="pool")
    assert both.value("Framed-IP-Address") == "10.0.0.1" and both.value("Framed-Pool") is None
    six = granted(static_ip="2001:db8::5", address_pool="pool")
    assert six.value("Framed-IPv6-Address") == "2001:db8::5" and six.value("Framed-Pool") is None
    assert granted(address_pool="pool").value("Framed-Pool") == "pool"


def test_the_interval_is_never_below_the_least_and_is_spread() -> None:
    found = {times(3600, 600).value("Acct-Interim-Interval") for _ in range(300)}
    assert min(found) >= 600 and max(found) <= 660 and len(found) > 10
    assert 60 <= times(3600, 5).value("Acct-Interim-Interval") <= 66


def test_the_timeout_is_what_was_decided_unless_the_device_cannot_bear_it() -> None:
    assert times(1, 600).value("Session-Timeout") == 1
    assert times(2**31 - 1, 600).value("Session-Timeout") == 2**31 - 1
    assert times(60, 600, "strongswan").value("Session-Timeout") == 3600
    assert times(9000, 600, "strongswan").value("Session-Timeout") == 9000


@pytest.mark.parametrize("reason", ["account", "password", "tenant", "method", "anything"])
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


# tokens


@pytest.mark.parametrize("token", [TOKEN, SessionToken("acc_1", "")])
def test_a_token_comes_back_whole(token: SessionToken) -> None:
    tokens = Tokens(b"key")
    octets = tokens.sign("ten_1", token)
    assert len(octets) <= 253 and octets.isascii() and b" " not in octets
    assert tokens.read("ten_1", [b"of another server", octets]) == token


def test_a_token_of_another_tenant_or_key_or_altered_is_none() -> None:
    tokens = Tokens(b"key")
    octets = tokens.sign("ten_1", TOKEN)
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
