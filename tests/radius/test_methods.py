"""PAP, CHAP and MS-CHAP, with the published vectors of RFC 2433, RFC 2759 and RFC 3079."""

from __future__ import annotations

import pytest

from saas.radius import codec, methods
from saas.radius.authenticators import Secret, access_request, hide_password, unhide_password, unhide_salted
from saas.radius.codec import MICROSOFT, Packet, parse, plain, vendor_attribute
from saas.security import nt_hash

SECRET = Secret(b"shared-secret")
AUTHENTICATOR = bytes(range(16))

# RFC 2759 section 9.2
NAME = b"User"
PASSWORD = "clientPass"
CHALLENGE = bytes.fromhex("5B5D7C7D7B3F2F3E3C2C602132262628")
PEER = bytes.fromhex("21402324255E262A28295F2B3A337C7E")
HASHED = bytes.fromhex("D02E4386BCE91226")
NT_HASH = bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")
RESPONSE = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")


def request(*attributes: bytes, name: bytes = NAME) -> Packet:
    octets = plain(codec.USER_NAME, name) + b"".join(attributes)
    return parse(access_request(codec.ACCESS_REQUEST, 1, AUTHENTICATOR, SECRET, octets))


def check(packet: Packet, password: str | None = PASSWORD, secret: Secret = SECRET) -> methods.Proof:
    if password is None:
        return methods.check(packet, secret, None, None)
    return methods.check(packet, secret, password.encode(), nt_hash(password))


def pap(password: bytes) -> Packet:
    return request(plain(codec.USER_PASSWORD, hide_password(password, SECRET, AUTHENTICATOR)))


def mschapv1(password: str = PASSWORD, flags: int = 1) -> Packet:
    response = methods.challenge_response(b"8octets.", nt_hash(password))
    return request(
        vendor_attribute(MICROSOFT, methods.MS_CHAP_CHALLENGE, b"8octets."),
        vendor_attribute(MICROSOFT, methods.MS_CHAP_RESPONSE, bytes((7, flags)) + bytes(24) + response),
    )


def mschapv2(response: bytes = RESPONSE, challenge: bytes = CHALLENGE, name: bytes = NAME) -> Packet:
    return request(
        vendor_attribute(MICROSOFT, methods.MS_CHAP_CHALLENGE, challenge),
        vendor_attribute(MICROSOFT, methods.MS_CHAP2_RESPONSE, b"\x2a\0" + PEER + bytes(8) + response),
        name=name,
    )


def test_vectors_of_rfc_2759() -> None:
    assert nt_hash(PASSWORD) == NT_HASH
    assert methods.challenge_hash(PEER, CHALLENGE, NAME) == HASHED
    assert methods.challenge_response(HASHED, NT_HASH) == RESPONSE
    expected = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
    assert methods.authenticator_response(NT_HASH, RESPONSE, HASHED) == expected


def test_vectors_of_rfc_2433() -> None:
    assert nt_hash("MyPw").hex() == "fc156af7edcd6c0edde3337d427f4eac"
    response = methods.challenge_response(bytes.fromhex("102DB5DF085D3041"), nt_hash("MyPw"))
    assert response.hex().upper() == "4E9D3C8F9CFD385D5BF4D3246791956CA4C351AB409A3D61"


def test_vector_of_rfc_3079() -> None:
    send, receive = methods.mppe_keys(NT_HASH, RESPONSE)
    assert send.hex().upper() == "8B7CDC149B993A1BA118CB153F56DCCB"
    assert receive != send and len(receive) == 16


@pytest.mark.parametrize("password", ["p", "exactly-sixteen!", "longer than sixteen octets", "密码密码密码密码"])
def test_pap_takes_the_password_and_no_other(password: str) -> None:
    packet = pap(password.encode())
    assert check(packet, password) == methods.Proof("pap", True)
    assert check(packet, password + "x") == methods.Proof("pap", False)
    assert check(packet, None) == methods.Proof("pap", False)


def test_pap_under_another_secret_is_told_from_a_wrong_password() -> None:
    assert check(pap(b"secret"), secret=Secret(b"another")).garbled
    assert not check(pap(b"wrong")).garbled


def test_pap_that_is_no_block_is_garbled() -> None:
    assert check(request(plain(codec.USER_PASSWORD, b"short"))).garbled


def test_chap_by_its_challenge_attribute() -> None:
    response = b"\5" + methods.chap_response(5, PASSWORD.encode(), b"challenge of any length")
    packet = request(plain(codec.CHAP_PASSWORD, response), plain(codec.CHAP_CHALLENGE, b"challenge of any length"))
    assert check(packet) == methods.Proof("chap", True)
    assert check(packet, "other") == methods.Proof("chap", False)
    assert check(packet, None) == methods.Proof("chap", False)


def test_chap_by_the_request_authenticator() -> None:
    packet = request(plain(codec.CHAP_PASSWORD, b"\5" + methods.chap_response(5, PASSWORD.encode(), AUTHENTICATOR)))
    assert check(packet).right


@pytest.mark.parametrize("octets", [b"", b"\5", b"\5" + bytes(15), b"\5" + bytes(17)])
def test_chap_of_the_wrong_size_is_wrong(octets: bytes) -> None:
    assert not check(request(plain(codec.CHAP_PASSWORD, octets))).right


def test_mschapv1_gives_the_keys_for_128_bits() -> None:
    proof = check(mschapv1())
    assert (proof.method, proof.right) == ("mschapv1", True)
    granted = request(proof.attributes)
    hidden = granted.vendor(MICROSOFT, methods.MS_CHAP_MPPE_KEYS)
    assert hidden is not None and len(hidden) == 32
    # RFC 2759 section 9.2: PasswordHashHash
    keys = unhide_password(hidden, SECRET, AUTHENTICATOR)
    assert keys is not None and keys[8:24].hex().upper() == "41C00C584BD2D91C4017A2A12FA59F3F"
    assert granted.value("MS-MPPE-Encryption-Policy") == 1
    assert granted.value("MS-MPPE-Encryption-Types") == 4


def test_mschapv1_refuses_a_wrong_password_and_the_lan_manager_response() -> None:
    assert not check(mschapv1(), "other").right
    assert not check(mschapv1(), None).right
    assert not check(mschapv1(flags=0)).right


def test_mschapv2_proves_the_server_and_gives_both_keys() -> None:
    proof = check(mschapv2())
    assert (proof.method, proof.right) == ("mschapv2", True)
    granted = request(proof.attributes)
    success = granted.vendor(MICROSOFT, methods.MS_CHAP2_SUCCESS)
    assert success == b"\x2aS=407A5589115FD0D6209F510FE9C04566932CDA56"
    send = granted.vendor(MICROSOFT, methods.MS_MPPE_SEND_KEY)
    receive = granted.vendor(MICROSOFT, methods.MS_MPPE_RECV_KEY)
    assert send is not None and receive is not None
    assert send[:2] != receive[:2] and send[0] & receive[0] & 0x80
    keys = (unhide_salted(send, SECRET, AUTHENTICATOR), unhide_salted(receive, SECRET, AUTHENTICATOR))
    assert keys == methods.mppe_keys(NT_HASH, RESPONSE)
    assert granted.value("MS-MPPE-Encryption-Types") == 6


def test_mschapv2_leaves_the_domain_out_of_the_hash() -> None:
    assert check(mschapv2(name=b"ACME\\User")).right
    assert not check(mschapv2(name=b"User@acme")).right


def test_mschapv2_refuses_what_is_wrong() -> None:
    assert not check(mschapv2(), "other").right
    assert not check(mschapv2(), None).right
    assert not check(mschapv2(challenge=b"too short")).right
    assert not check(mschapv2(response=b"too short")).right


def test_an_error_invites_to_try_again_only_after_a_wrong_password() -> None:
    octets = request(methods.error(mschapv2(), methods.ERROR_AUTHENTICATION, "Wrong")).vendor(MICROSOFT, 2)
    assert octets is not None and octets[0] == 0x2A
    words = octets[1:].decode().split(" ")
    assert words[:2] == ["E=691", "R=1"] and words[3:] == ["V=3", "M=Wrong"]
    assert words[2].startswith("C=") and len(bytes.fromhex(words[2][2:])) == 16
    octets = request(methods.error(mschapv2(), methods.ERROR_DISABLED, "Off")).vendor(MICROSOFT, 2)
    assert octets is not None and octets[1:].startswith(b"E=647 R=0 ")


def test_an_error_of_version_one_has_its_own_form() -> None:
    octets = request(methods.error(mschapv1(), methods.ERROR_AUTHENTICATION, "Wrong")).vendor(MICROSOFT, 2)
    assert octets is not None and octets[0] == 7
    words = octets[1:].decode().split(" ")
    assert words[:2] == ["E=691", "R=1"] and words[3:] == ["V=2"] and len(bytes.fromhex(words[2][2:])) == 8


def test_pap_has_no_such_error() -> None:
    assert methods.error(pap(b"x"), methods.ERROR_AUTHENTICATION, "Wrong") == b""


def test_a_request_without_any_method_is_never_right() -> None:
    assert check(request()) == methods.Proof("", False)
