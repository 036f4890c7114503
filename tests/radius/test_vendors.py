"""Rates in each vendor's attributes and units."""

from __future__ import annotations

from typing import Any

import pytest

from saas.radius.codec import Packet, parse
from saas.radius.vendors import MAX_RATE, VENDORS, identification, rates, vendor
from saas.tenants import nas
from tests.radius.test_codec import packet

UP, DOWN = 5_000_000, 20_000_000


def sent(key: str, up: int, down: int) -> Packet:
    return parse(packet(rates(key, up, down)))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("mikrotik", {"Mikrotik-Rate-Limit": "5M/20M"}),
        (
            "huawei",
            {
                "Huawei-Input-Average-Rate": UP,
                "Huawei-Input-Peak-Rate": UP,
                "Huawei-Output-Average-Rate": DOWN,
                "Huawei-Output-Peak-Rate": DOWN,
            },
        ),
        (
            "h3c",
            {
                "H3C-Input-Average-Rate": UP,
                "H3C-Input-Peak-Rate": UP,
                "H3C-Output-Average-Rate": DOWN,
                "H3C-Output-Peak-Rate": DOWN,
            },
        ),
        ("zte", {"ZTE-Rate-Ctrl-SCR-Up": 5_000, "ZTE-Rate-Ctrl-SCR-Down": 20_000}),
        ("zte-bps", {"ZTE-Rate-Ctrl-SCR-Up": UP, "ZTE-Rate-Ctrl-SCR-Down": DOWN}),
        ("ikuai", {"RP-Upstream-Speed-Limit": 5_000, "RP-Downstream-Speed-Limit": 20_000}),
        ("accel-ppp", {"Filter-Id": "20000/5000"}),
        ("pptpd", {"PPPD-Upstream-Speed-Limit": 5_000, "PPPD-Downstream-Speed-Limit": 20_000}),
        ("wispr", {"WISPr-Bandwidth-Max-Up": UP, "WISPr-Bandwidth-Max-Down": DOWN}),
        ("chillispot", {"ChilliSpot-Bandwidth-Max-Up": 5_000, "ChilliSpot-Bandwidth-Max-Down": 20_000}),
        ("ascend", {"Ascend-Data-Rate": UP, "Ascend-Xmit-Rate": DOWN}),
    ],
)
def test_each_vendor_gets_its_own_attributes(key: str, expected: dict[str, Any]) -> None:
    found = sent(key, UP, DOWN)
    assert {name: found.value(name) for name in expected} == expected


def test_cisco_gets_a_line_for_each_direction() -> None:
    assert sent("cisco", UP, DOWN).values("Cisco-AVPair") == [
        "lcp:interface-config#1=rate-limit input 5000000 937500 1875000 conform-action transmit exceed-action drop",
        "lcp:interface-config#2=rate-limit output 20000000 3750000 7500000 conform-action transmit exceed-action drop",
    ]


@pytest.mark.parametrize("key", sorted(VENDORS))
def test_no_rate_means_no_attribute(key: str) -> None:
    assert rates(key, 0, 0) == b""


@pytest.mark.parametrize("key", ["standard", "openvpn", "strongswan", "no such vendor"])
def test_some_devices_know_no_rates(key: str) -> None:
    assert rates(key, UP, DOWN) == b""


def test_one_direction_alone_never_sends_zero() -> None:
    assert sent("huawei", 0, DOWN).value("Huawei-Input-Average-Rate") is None
    assert sent("mikrotik", 0, DOWN).value("Mikrotik-Rate-Limit") == "2147483647/20M"
    assert sent("mikrotik", UP, 0).value("Mikrotik-Rate-Limit") == "5M/2147483647"
    assert sent("accel-ppp", UP, 0).value("Filter-Id") == "2147484/5000"
    assert len(sent("cisco", UP, 0).values("Cisco-AVPair")) == 1


def test_rates_are_clamped_and_never_rounded_to_nothing() -> None:
    assert sent("huawei", 10**10, 1).value("Huawei-Input-Peak-Rate") == MAX_RATE
    assert sent("mikrotik", 10**10, 512_000).value("Mikrotik-Rate-Limit") == "2147483647/512k"
    assert sent("ikuai", 1, 1_500).value("RP-Upstream-Speed-Limit") == 1
    assert sent("ikuai", 1, 1_500).value("RP-Downstream-Speed-Limit") == 2


def test_identification_takes_what_the_vendor_knows_and_what_the_session_has() -> None:
    session = {
        "User-Name": "alice",
        "Acct-Session-Id": "s1",
        "NAS-IP-Address": "192.0.2.1",
        "NAS-Identifier": "",
        "Framed-IP-Address": "10.0.0.9",
        "NAS-Port": None,
        "Calling-Station-Id": "AA-BB-CC-DD-EE-FF",
    }
    mikrotik = parse(packet(identification("mikrotik", session)))
    assert mikrotik.value("Framed-IP-Address") == "10.0.0.9"
    assert mikrotik.value("Calling-Station-Id") is None
    swan = parse(packet(identification("strongswan", session)))
    assert list(swan.first) == [1]
    standard = parse(packet(identification("standard", session)))
    assert standard.value("NAS-IP-Address") == "192.0.2.1" and standard.value("NAS-Identifier") is None


def test_strongswan_is_not_made_to_reauthenticate_without_pause() -> None:
    assert vendor("strongswan").least_timeout > 2 * 1440


def test_every_device_type_of_the_console_is_known_to_the_engine() -> None:
    assert set(nas.VENDORS) <= set(VENDORS)
