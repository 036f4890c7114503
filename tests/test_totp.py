"""Codes by time and by number, with the vectors of the RFCs."""

from __future__ import annotations

import base64

import pytest

from saas import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()
# RFC 4226, appendix D: the codes of the numbers 0 to 9
HOTP = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
# RFC 6238, appendix B, SHA-1: seconds and the eight digits, of which the last six are the code of six digits
TOTP = {59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037"}


@pytest.mark.parametrize("number", range(10))
def test_the_codes_of_rfc_4226(number: int) -> None:
    assert totp.step(SECRET, HOTP[number], number * 30) == number


@pytest.mark.parametrize(("now", "code"), [*TOTP.items(), (20000000000, "65353130")])
def test_the_codes_of_rfc_6238(now: int, code: str) -> None:
    assert totp.step(SECRET, code[-6:], now) == now // 30


def test_a_clock_may_be_wrong_by_half_a_minute_and_no_more() -> None:
    assert [totp.step(SECRET, HOTP[5], at * 30) for at in range(3, 8)] == [None, 5, 5, 5, None]


@pytest.mark.parametrize("code", ["", "75522", "7552244", "755225", "７５５２２４", "abcdef"])
def test_anything_else_is_no_code(code: str) -> None:
    assert totp.step(SECRET, code, 0) is None


def test_an_app_is_told_whose_it_is() -> None:
    made = totp.new_secret()
    assert len(base64.b32decode(made)) == 20 and made != totp.new_secret()
    assert totp.address(made, "a@example.com", "OpenPNS") == (
        f"otpauth://totp/OpenPNS:a%40example.com?secret={made}&issuer=OpenPNS"
    )
