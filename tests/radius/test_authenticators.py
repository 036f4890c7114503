"""What proves a packet: RFC 2865 section 7, RFC 2104, and pyrad as an independent witness."""

from __future__ import annotations

import hmac

import pytest
from pyrad.packet import AcctPacket, AuthPacket, CoAPacket

from saas.radius import codec
from saas.radius.authenticators import (
    Secret,
    access_request,
    hide_password,
    hide_salted,
    keyed_request,
    parse_reply,
    proves_message,
    proves_request,
    reply,
    salts,
    unhide_password,
    unhide_salted,
)
from saas.radius.codec import DICTIONARY, BadPacket, attributes, parse, plain
from tests.radius.test_codec import ACCEPT, REQUEST

SECRET = Secret(b"xyzzy5461")
OTHER = Secret(b"other")
AUTHENTICATOR = bytes(range(16))


@pytest.mark.parametrize("secret", [b"a", b"x" * 64, b"y" * 65, b"z" * 200])
@pytest.mark.parametrize("message", [b"", b"m" * 300])
def test_mac_is_hmac_md5(secret: bytes, message: bytes) -> None:
    assert Secret(secret).mac(message) == hmac.digest(secret, message, "md5")


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError):
        Secret(b"")


def test_the_password_of_the_rfc_is_uncovered() -> None:
    request = parse(REQUEST)
    assert unhide_password(request.first[2], SECRET, request.authenticator) == b"arctangent"
    assert hide_password(b"arctangent", SECRET, request.authenticator) == request.first[2]


def test_the_accept_of_the_rfc_is_what_we_would_send() -> None:
    request = parse(REQUEST)
    values = attributes(("Service-Type", 1), ("Login-Service", 0), ("Login-IP-Host", "192.168.1.3"))
    assert reply(codec.ACCESS_ACCEPT, request, SECRET, values, prove=False) == ACCEPT


@pytest.mark.parametrize("password", [b"", b"p", b"p" * 16, b"p" * 17, b"p" * 128])
def test_passwords_of_every_length_survive(password: bytes) -> None:
    hidden = hide_password(password, SECRET, AUTHENTICATOR)
    assert len(hidden) % 16 == 0 and len(hidden) >= max(16, len(password))
    assert unhide_password(hidden, SECRET, AUTHENTICATOR) == password


@pytest.mark.parametrize("hidden", [b"", b"x" * 15, b"x" * 17, b"x" * 144])
def test_what_cannot_be_a_hidden_password_is_none(hidden: bytes) -> None:
    assert unhide_password(hidden, SECRET, AUTHENTICATOR) is None


def test_pyrad_uncovers_what_we_hide() -> None:
    witness = AuthPacket(secret=b"xyzzy5461", authenticator=AUTHENTICATOR, dict=DICTIONARY)
    assert witness.PwDecrypt(hide_password(b"correct horse battery", SECRET, AUTHENTICATOR)) == "correct horse battery"


def test_pyrad_accepts_our_proofs() -> None:
    octets = access_request(codec.ACCESS_REQUEST, 9, AUTHENTICATOR, SECRET, attributes(("User-Name", "bob")))
    assert octets[20] == codec.MESSAGE_AUTHENTICATOR
    assert AuthPacket(packet=octets, secret=b"xyzzy5461", dict=DICTIONARY).verify_message_authenticator()
    octets = keyed_request(codec.ACCOUNTING_REQUEST, 9, SECRET, attributes(("Acct-Status-Type", 1)), prove=True)
    assert AcctPacket(packet=octets, secret=b"xyzzy5461", dict=DICTIONARY).VerifyAcctRequest()
    octets = keyed_request(codec.DISCONNECT_REQUEST, 9, SECRET, attributes(("User-Name", "bob")), prove=True)
    witness = CoAPacket(packet=octets, secret=b"xyzzy5461", dict=DICTIONARY)
    assert witness.VerifyCoARequest() and witness.verify_message_authenticator()


@pytest.mark.parametrize("code", [codec.ACCESS_REQUEST, codec.STATUS_SERVER])
def test_a_message_is_proven_by_its_secret_alone(code: int) -> None:
    packet = parse(access_request(code, 1, AUTHENTICATOR, SECRET, plain(1, b"bob")))
    assert proves_message(packet, SECRET)
    assert not proves_message(packet, OTHER)


def test_the_place_of_the_proof_does_not_matter() -> None:
    octets = access_request(
        codec.ACCESS_REQUEST, 1, AUTHENTICATOR, SECRET, plain(1, b"bob") + plain(80, bytes(16)), prove=False
    )
    proof = SECRET.mac(octets)
    assert proves_message(parse(octets[:-16] + proof), SECRET)


def test_without_message_authenticator_nothing_is_proven() -> None:
    assert not proves_message(parse(REQUEST), SECRET)


@pytest.mark.parametrize("prove", [True, False])
@pytest.mark.parametrize("code", [codec.ACCOUNTING_REQUEST, codec.DISCONNECT_REQUEST])
def test_a_keyed_request_is_proven_by_its_secret_alone(code: int, prove: bool) -> None:
    packet = parse(keyed_request(code, 1, SECRET, plain(1, b"bob"), prove=prove))
    assert proves_request(packet, SECRET)
    assert not proves_request(packet, OTHER)
    assert proves_message(packet, SECRET) is prove


def test_one_changed_octet_breaks_every_proof() -> None:
    octets = bytearray(keyed_request(codec.ACCOUNTING_REQUEST, 1, SECRET, plain(1, b"bob"), prove=True))
    octets[-1] ^= 1
    packet = parse(bytes(octets))
    assert not proves_request(packet, SECRET) and not proves_message(packet, SECRET)


def test_a_reply_begins_with_its_proof_and_ends_with_proxy_state_in_order() -> None:
    states = plain(33, b"one") + plain(33, b"") + plain(33, b"two")
    asked = access_request(codec.ACCESS_REQUEST, 5, AUTHENTICATOR, SECRET, states)
    answer = parse_reply(reply(codec.ACCESS_ACCEPT, parse(asked), SECRET, plain(18, b"hello")), asked, SECRET)
    assert next(iter(answer.first)) == codec.MESSAGE_AUTHENTICATOR
    assert answer.all(33) == [b"one", b"", b"two"]
    assert answer.raw.endswith(states)


def test_a_reply_that_is_not_by_the_holder_of_the_secret_is_refused() -> None:
    asked = access_request(codec.ACCESS_REQUEST, 5, AUTHENTICATOR, SECRET, b"")
    good = reply(codec.ACCESS_ACCEPT, parse(asked), SECRET)
    forged = reply(codec.ACCESS_ACCEPT, parse(asked), OTHER)
    another = access_request(codec.ACCESS_REQUEST, 6, AUTHENTICATOR, SECRET, b"")
    for octets, request in ((forged, asked), (good, another), (good[:-1] + b"\0", asked)):
        with pytest.raises(BadPacket) as caught:
            parse_reply(octets, request, SECRET)
        assert caught.value.reason == "bad_authenticator"


def test_a_reply_with_a_wrong_message_authenticator_is_refused() -> None:
    asked = access_request(codec.ACCESS_REQUEST, 5, AUTHENTICATOR, SECRET, b"")
    octets = reply(codec.ACCESS_ACCEPT, parse(asked), SECRET, plain(80, b"x" * 16), prove=False)
    with pytest.raises(BadPacket):
        parse_reply(octets, asked, SECRET)


@pytest.mark.parametrize("value", [b"", b"k" * 15, b"k" * 16, b"k" * 32])
def test_salted_values_survive(value: bytes) -> None:
    salt = salts(1)[0]
    hidden = hide_salted(value, SECRET, AUTHENTICATOR, salt)
    assert hidden[:2] == salt and len(hidden) % 16 == 2
    assert unhide_salted(hidden, SECRET, AUTHENTICATOR) == value
    assert unhide_salted(hidden[:-1], SECRET, AUTHENTICATOR) is None


def test_pyrad_uncovers_what_we_salt() -> None:
    witness = AuthPacket(secret=b"xyzzy5461", authenticator=AUTHENTICATOR, dict=DICTIONARY)
    assert witness.SaltDecrypt(hide_salted(b"tunnel", SECRET, AUTHENTICATOR, b"\x80\1")) == b"tunnel"


def test_salts_of_a_packet_differ_and_have_the_highest_bit() -> None:
    found = salts(50)
    assert len(set(found)) == 50
    assert all(salt[0] & 0x80 and len(salt) == 2 for salt in found)
