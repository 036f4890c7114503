"""Octets to Packet and back, with the examples of RFC 2865 section 7."""

from __future__ import annotations

import pytest

from saas.radius import codec
from saas.radius.codec import BadPacket, attribute, attributes, parse, plain, vendor_attribute

# RFC 2865 section 7.1: nemo logs in by Telnet with the password "arctangent", the secret is "xyzzy5461"
REQUEST = bytes.fromhex(
    "01 00 0038 0f403f94739780 57bd83d5cb98f4227a 01066e656d6f 02120dbe708d93d413ce3196e43f782a0aee"
    "0406c0a80110 050600000003"
)
ACCEPT = bytes.fromhex("02 00 0026 86fe220e7624ba2a1005f6bf9b55e0b2 060600000001 0f0600000000 0e06c0a80103")


def packet(*octets: bytes, code: int = 1) -> bytes:
    body = b"".join(octets)
    return bytes((code, 7)) + (20 + len(body)).to_bytes(2, "big") + b"A" * 16 + body


def test_the_request_of_the_rfc_is_read() -> None:
    found = parse(REQUEST)
    assert (found.code, found.id) == (codec.ACCESS_REQUEST, 0)
    assert found.authenticator == REQUEST[4:20]
    assert found.value("User-Name") == "nemo"
    assert found.value("NAS-IP-Address") == "192.168.1.16"
    assert found.value("NAS-Port") == 3
    assert found.value("Framed-IP-Address") is None


def test_the_accept_of_the_rfc_is_read() -> None:
    found = parse(ACCEPT)
    assert found.value("Service-Type") == 1
    assert found.value("Login-IP-Host") == "192.168.1.3"


def test_padding_behind_the_length_is_ignored() -> None:
    found = parse(REQUEST + b"\0" * 30)
    assert found.raw == REQUEST


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "too_short"),
        (REQUEST[:19], "too_short"),
        (REQUEST[:-1], "too_short"),
        (REQUEST[:2] + b"\0\x13" + REQUEST[4:], "bad_length"),
        (b"\1\1\x10\x01" + bytes(5000), "bad_length"),
        (packet(b"\1"), "bad_attribute"),
        (packet(b"\1\0abc"), "bad_attribute"),
        (packet(b"\1\1abc"), "bad_attribute"),
        (packet(b"\1\6abc"), "bad_attribute"),
        (packet(plain(80, bytes(15))), "bad_attribute"),
        (packet(plain(80, bytes(16)), plain(80, bytes(16))), "bad_attribute"),
    ],
)
def test_what_cannot_be_a_packet_is_refused_with_a_reason(octets: bytes, reason: str) -> None:
    with pytest.raises(BadPacket) as caught:
        parse(octets)
    assert caught.value.reason == reason


def test_repeated_attributes_keep_their_order() -> None:
    found = parse(packet(plain(33, b"one"), plain(1, b"bob"), plain(33, b"two"), plain(33, b"three")))
    assert found.all(33) == [b"one", b"two", b"three"]
    assert found.all(25) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User-Name", "小明"),
        ("Framed-IP-Address", "10.1.2.3"),
        ("Session-Timeout", 2**32 - 1),
        ("Framed-IPv6-Prefix", "2001:db8::/64"),
        ("Framed-IPv6-Address", "2001:db8::1"),
        ("Class", b"\0\xff0x"),
        ("Event-Timestamp", 1_700_000_000),
        ("Tunnel-Client-Endpoint", "192.0.2.7"),
        ("Tunnel-Type", 3),
        ("Mikrotik-Rate-Limit", "1M/2M"),
        ("Huawei-Input-Average-Rate", 1000),
        ("WISPr-Bandwidth-Max-Up", 5),
    ],
)
def test_a_value_survives_the_way_there_and_back(name: str, value: object) -> None:
    assert parse(packet(attribute(name, value))).value(name) == value


def test_vendor_attributes_are_found_by_vendor_and_number() -> None:
    found = parse(packet(attributes(("Mikrotik-Group", "a"), ("Cisco-AVPair", "x=1"), ("Cisco-AVPair", "y=2"))))
    assert found.values("Cisco-AVPair") == ["x=1", "y=2"]
    assert found.vendor(14988, 3) == b"a"
    assert found.vendor(9, 3) is None


def test_two_vendor_attributes_in_one_envelope_are_both_found() -> None:
    inside = b"\0\0\0\x09" + b"\1\3a" + b"\1\3b"
    assert parse(packet(plain(26, inside))).values("Cisco-AVPair") == ["a", "b"]


@pytest.mark.parametrize("inside", ["", "0000", "00000009", "0000000901", "000000090101", "0000000901206162"])
def test_a_vendor_format_that_is_not_ours_is_left_alone(inside: str) -> None:
    assert parse(packet(plain(26, bytes.fromhex(inside)))).vendor_attributes() == []


def test_a_value_of_the_wrong_size_reads_as_absent() -> None:
    found = parse(packet(plain(8, b"\1\2\3"), plain(27, b"\1")))
    assert found.value("Framed-IP-Address") is None
    assert found.value("Session-Timeout") is None


def test_text_that_is_not_utf8_is_read_with_replacements() -> None:
    assert parse(packet(plain(1, b"caf\xe9"))).value("User-Name") == "caf\ufffd"


def test_a_value_longer_than_an_attribute_is_refused() -> None:
    with pytest.raises(ValueError):
        attribute("User-Name", "a" * 254)
    with pytest.raises(ValueError):
        vendor_attribute(9, 1, b"a" * 248)


def test_an_unknown_name_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        attribute("No-Such-Attribute", 1)


def test_numbers_have_the_names_of_the_rfc() -> None:
    assert codec.value_names("Acct-Status-Type")[3] == "Interim-Update"
    assert codec.value_names("Acct-Terminate-Cause")[11] == "NAS-Reboot"
