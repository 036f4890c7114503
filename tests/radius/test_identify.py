"""Whose packet is it: the stated order, and every way to be mistaken for somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from saas.radius import codec
from saas.radius.authenticators import Secret, access_request, keyed_request
from saas.radius.codec import BadPacket, Packet, attributes, parse
from saas.radius.identify import Table, normal_source
from saas.tenants.nas import Device

HOME = "198.51.100.1"  # where ours is
ELSEWHERE = "203.0.113.9"


def device(name: str, *, tenant: str = "", **values: Any) -> Device:
    """A device of the tenant of its own name, in mode "identifier", with a secret of its own."""
    fields: dict[str, Any] = {
        "id": f"nas_{name}",
        "tenant_id": f"ten_{tenant or name}",
        "name": name,
        "identifier": name,
        "mode": "identifier",
        "address": "",
        "ddns": "",
        "secret": f"secret-{name}".encode(),
        "vendor": "standard",
        "coa_port": 3799,
        "message_authenticator": "auto",
        "tenant_active": True,
        "tenant_locale": "en",
    }
    return Device(**fields | values)


def fixed(name: str, address: str = HOME, **values: Any) -> Device:
    return device(name, mode="ip", address=address, **values)


def dynamic(name: str, **values: Any) -> Device:
    return device(name, mode="ddns", **{"ddns": f"{name}.example.net"} | values)


def login(secret_of: str = "", identifier: str = "", extra: Mapping[str, Any] | None = None) -> Packet:
    """An Access-Request, proven by the secret of a device unless `secret_of` is ""."""
    values: dict[str, Any] = {"User-Name": "alice"} | dict(extra or {})
    if identifier:
        values["NAS-Identifier"] = identifier
    secret = Secret(f"secret-{secret_of}".encode())
    octets = attributes(*values.items())
    return parse(access_request(codec.ACCESS_REQUEST, 1, bytes(16), secret, octets, prove=bool(secret_of)))


def report(secret_of: str, identifier: str = "", prove: bool = False) -> Packet:
    """An Accounting-Request keyed by the secret of a device."""
    values = attributes(("NAS-Identifier", identifier)) if identifier else b""
    secret = Secret(f"secret-{secret_of}".encode())
    return parse(keyed_request(codec.ACCOUNTING_REQUEST, 1, secret, values, prove=prove))


def found(table: Table, packet: Packet, source: str = HOME) -> str:
    """The name of the device, or the reason why there is none."""
    try:
        return table.identify(packet, source).device.name
    except BadPacket as error:
        return error.reason


# by identifier


def test_by_identifier_from_anywhere_with_proof() -> None:
    table = Table([device("ours")])
    assert found(table, login("ours", "ours"), ELSEWHERE) == "ours"
    assert found(table, report("ours", "ours"), ELSEWHERE) == "ours"


def test_by_identifier_from_anywhere_needs_proof() -> None:
    table = Table([device("ours")])
    assert found(table, login("", "ours"), ELSEWHERE) == "missing_message_authenticator"


def test_by_identifier_without_proof_when_the_policy_says_so() -> None:
    table = Table([device("ours", message_authenticator="optional")])
    assert found(table, login("", "ours"), ELSEWHERE) == "ours"


def test_the_identifier_of_a_fixed_device_is_worth_nothing_elsewhere() -> None:
    table = Table([fixed("ours")])
    assert found(table, login("ours", "ours"), ELSEWHERE) == "unknown_nas"
    assert found(table, report("ours", "ours"), ELSEWHERE) == "unknown_nas"


def test_identifiers_are_compared_whole() -> None:
    table = Table([device("ours")])
    assert found(table, login("ours", "OURS")) == "unknown_nas"
    assert found(table, login("ours", "our")) == "unknown_nas"


# by address


def test_by_fixed_address_with_and_without_proof_and_whatever_the_identifier() -> None:
    table = Table([fixed("ours")])
    assert found(table, login("ours")) == "ours"
    assert found(table, login("")) == "ours"
    assert found(table, login("ours", "RouterOS")) == "ours"
    assert found(table, report("ours")) == "ours"


def test_by_resolved_name_with_and_without_proof() -> None:
    table = Table([dynamic("ours")], {"nas_ours": [HOME]})
    assert found(table, login("ours")) == "ours"
    assert found(table, login("")) == "ours"
    assert found(table, login(""), ELSEWHERE) == "unknown_nas"


def test_a_name_is_good_for_its_present_and_its_last_address() -> None:
    table = Table([dynamic("ours")], {"nas_ours": [HOME, ELSEWHERE]})
    assert found(table, login("")) == "ours"
    assert found(table, login(""), ELSEWHERE) == "ours"


def test_a_name_that_does_not_resolve_is_known_by_its_identifier_and_proof() -> None:
    table = Table([dynamic("ours")])
    assert found(table, login("ours", "ours")) == "ours"
    assert found(table, login("", "ours")) == "missing_message_authenticator"


def test_ipv6_sources_are_whole_addresses() -> None:
    table = Table([fixed("ours", "2001:db8::1"), fixed("theirs", "2001:db8::2")])
    assert found(table, login(""), "2001:db8::1") == "ours"
    assert found(table, login(""), "2001:db8::2") == "theirs"


@pytest.mark.parametrize(
    ("spelt", "normal"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_sources_have_one_spelling(spelt: str, normal: str) -> None:
    assert normal_source(spelt) == normal


# a wrong secret


@pytest.mark.parametrize("ours", [device("ours"), fixed("ours")])
def test_a_wrong_secret_is_nobody(ours: Device) -> None:
    table = Table([ours])
    assert found(table, login("wrong", "ours")) == "bad_authenticator"
    assert found(table, report("wrong", "ours")) == "bad_authenticator"
    assert [nas.id for nas in table.suspects(login("wrong", "ours"), HOME)] == ["nas_ours"]


def test_accounting_with_a_wrong_message_authenticator_is_nobody() -> None:
    table = Table([device("ours")])
    assert found(table, report("ours", "ours", prove=True)) == "ours"
    octets = keyed_request(codec.ACCOUNTING_REQUEST, 1, Secret(b"secret-ours"), codec.plain(80, bytes(16)))
    assert found(Table([fixed("ours")]), parse(octets)) == "bad_authenticator"


def test_a_device_without_a_secret_is_not_served() -> None:
    assert found(Table([fixed("ours", secret=b"")]), login("")) == "unknown_nas"


# foreign identifiers


def test_a_foreign_identifier_never_wins_over_the_owner_of_the_address() -> None:
    """Our device sends a name that somebody else registered, with the weakest policy."""
    thief = device("RouterOS", message_authenticator="optional")
    table = Table([thief, fixed("ours")])
    assert found(table, login("", "RouterOS")) == "ours"
    assert found(table, login("ours", "RouterOS")) == "ours"
    assert found(table, report("ours", "RouterOS")) == "ours"


def test_a_foreign_identifier_with_its_own_proof_is_its_own_packet() -> None:
    table = Table([device("theirs"), fixed("ours")])
    assert found(table, login("theirs", "theirs")) == "theirs"


def test_registering_our_address_does_not_take_our_named_packets() -> None:
    thief = fixed("thief", message_authenticator="optional")
    table = Table([thief, fixed("ours")])
    assert found(table, login("", "ours")) == "ours"
    assert found(table, login("ours", "ours")) == "ours"
    assert found(table, login("ours")) == "ours"


# dynamic names


def test_a_name_that_points_at_a_foreign_fixed_address_loses() -> None:
    thief = dynamic("thief", message_authenticator="optional")
    table = Table([thief, fixed("ours")], {"nas_thief": [HOME]})
    assert found(table, login("")) == "ours"
    assert found(table, login("ours")) == "ours"
    assert found(table, report("ours")) == "ours"


def test_two_names_at_one_address_need_proof() -> None:
    table = Table([dynamic("one"), dynamic("two")], {"nas_one": [HOME], "nas_two": [HOME]})
    assert found(table, login("")) == "missing_message_authenticator"
    assert found(table, login("two")) == "two"


# many tenants behind one address (CGNAT)


def test_tenants_behind_one_address_are_told_apart_by_proof() -> None:
    table = Table([fixed("one"), fixed("two"), device("three"), dynamic("four")], {"nas_four": [HOME]})
    for name in ("one", "two", "four"):
        assert found(table, login(name)) == name
        assert found(table, report(name)) == name
    assert found(table, login("three", "three")) == "three"
    assert found(table, report("three", "three")) == "three"


def test_tenants_behind_one_address_are_told_apart_by_identifier_when_there_is_no_proof() -> None:
    table = Table([fixed("one"), fixed("two")])
    assert found(table, login("", "one")) == "one"
    assert found(table, login("", "two")) == "two"
    assert found(table, login("")) == "missing_message_authenticator"


def test_of_several_the_only_willing_one_takes_what_proves_nothing() -> None:
    table = Table([fixed("one"), fixed("two", message_authenticator="optional")])
    assert found(table, login("")) == "two"


def test_two_devices_of_one_tenant_behind_one_address() -> None:
    table = Table([fixed("one", tenant="t"), device("two", tenant="t", message_authenticator="optional")])
    assert found(table, login("", "two")) == "two"
    assert found(table, login("", "one")) == "one"


# Message-Authenticator


def test_a_strict_device_always_needs_proof() -> None:
    table = Table([fixed("ours", message_authenticator="require")])
    assert found(table, login("")) == "missing_message_authenticator"
    assert found(table, login("", "ours")) == "missing_message_authenticator"
    assert found(table, login("ours")) == "ours"
    assert found(table, report("ours")) == "ours"


def test_proxy_state_without_proof_is_how_an_attack_looks() -> None:
    extra = {"Proxy-State": b"x"}
    assert found(Table([fixed("ours")]), login("", extra=extra)) == "unproven_proxy_state"
    assert found(Table([fixed("ours")]), login("ours", extra=extra)) == "ours"
    willing = fixed("ours", message_authenticator="optional")
    assert found(Table([willing]), login("", extra=extra)) == "ours"


def test_eap_always_needs_proof() -> None:
    table = Table([fixed("ours", message_authenticator="optional")])
    assert found(table, login("", extra={"EAP-Message": b"\2\0\0\4"})) == "missing_message_authenticator"


def test_status_server_always_needs_proof() -> None:
    table = Table([fixed("ours", message_authenticator="optional")])
    secret = Secret(b"secret-ours")
    proven = parse(access_request(codec.STATUS_SERVER, 1, bytes(16), secret, b""))
    unproven = parse(access_request(codec.STATUS_SERVER, 1, bytes(16), secret, b"", prove=False))
    assert found(table, proven) == "ours"
    assert found(table, unproven) == "missing_message_authenticator"


# nobody


def test_strangers_are_unknown() -> None:
    table = Table([fixed("ours"), device("other")])
    for packet in (login(""), login("ours"), login("ours", "nobody"), report("ours")):
        assert found(table, packet, ELSEWHERE) == "unknown_nas"
    assert table.suspects(login("ours"), ELSEWHERE) == []
