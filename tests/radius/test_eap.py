"""EAP as a dialogue of packets, without a socket: who may go on, with what, and what no packet gets away with."""

from __future__ import annotations

import pytest

from saas.radius import codec, eap, eap_mschapv2, methods
from saas.radius.authenticators import Secret, access_request, unhide_salted
from saas.radius.codec import EAP_MESSAGE, MICROSOFT, STATE, Packet, parse, plain
from saas.radius.eap import Eap
from saas.radius.identify import Nas
from saas.radius.methods import Proof
from saas.security import Keys, nt_hash
from saas.tenants.nas import Device
from tests.radius.eap_peer import Peer, response

PASSWORD = "clientPass"
SECRET = "shared-secret"
AUTHENTICATOR = bytes(range(16))
NOW = 1_800_000_000.0
KEYS = Keys("one key")

# RFC 2759 section 9.2
CHALLENGE = bytes.fromhex("5B5D7C7D7B3F2F3E3C2C602132262628")
PEER_CHALLENGE = bytes.fromhex("21402324255E262A28295F2B3A337C7E")
NT_RESPONSE = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")


def device(nas_id: str = "nas_1") -> Nas:
    facts = {"name": "", "identifier": "gate", "mode": "identifier", "address": "", "ddns": "", "vendor": "standard"}
    more = {"coa_port": 3799, "message_authenticator": "auto", "tenant_active": True, "tenant_locale": "en"}
    return Nas(Device(id=nas_id, tenant_id="ten_1", secret=SECRET.encode(), **facts, **more))  # type: ignore[arg-type]


def packet(message: bytes, state: bytes | None = None) -> Packet:
    octets = eap.attributes(message) if message else plain(EAP_MESSAGE, b"")
    octets += b"" if state is None else plain(STATE, state)
    return parse(access_request(codec.ACCESS_REQUEST, 1, AUTHENTICATOR, Secret(SECRET.encode()), octets))


def check(
    message: bytes,
    state: bytes | None = None,
    *,
    name: tuple[str, str] = ("ten_1", "user"),
    nas: str = "nas_1",
    password: str | None = PASSWORD,
    now: float = NOW,
    keys: Keys = KEYS,
) -> Proof:
    known = (None, None) if password is None else (password.encode, nt_hash(password))
    return Eap(keys).check(packet(message, state), device(nas), name, *known, now)


def carried(attributes: bytes) -> tuple[bytes, bytes]:
    """EAP packet and State."""
    found = parse(access_request(codec.ACCESS_REQUEST, 1, AUTHENTICATOR, Secret(b"x"), attributes))
    return b"".join(found.all(EAP_MESSAGE)), found.first.get(STATE, b"")


def opened(peer: Peer, **where: object) -> tuple[bytes, bytes]:
    """The peer's second packet, and the State it stands under."""
    message, state = carried(check(peer.begin(), **where).challenge)  # type: ignore[arg-type]
    return peer.answer(message), state


def proven(peer: Peer) -> tuple[bytes, bytes]:
    """The peer's third packet, and the State it stands under."""
    message, state = carried(check(*opened(peer)).challenge)
    return peer.answer(message), state


# the way it should go


def test_three_rounds_of_mschapv2() -> None:
    peer = Peer("User", PASSWORD)
    first = check(peer.begin(7))
    assert (first.method, first.right) == ("eap", False)
    message, state = carried(first.challenge)
    assert message[:2] == b"\1\x08" and len(state) <= codec.MAX_VALUE
    second = check(peer.answer(message), state)
    assert (second.method, second.right, second.attributes) == ("eap-mschapv2", True, b"")
    message, state = carried(second.challenge)
    third = check(peer.answer(message), state)
    assert (third.method, third.right, third.challenge) == ("eap-mschapv2", True, b"")
    assert carried(third.attributes) == (b"\3\x09\0\4", b"")
    granted = parse(access_request(codec.ACCESS_REQUEST, 1, AUTHENTICATOR, Secret(b"x"), third.attributes))
    hidden = [granted.vendor(MICROSOFT, number) for number in (methods.MS_MPPE_RECV_KEY, methods.MS_MPPE_SEND_KEY)]
    assert peer.msk == b"".join(
        unhide_salted(key or b"", Secret(SECRET.encode()), AUTHENTICATOR) or b"" for key in hidden
    )
    assert len(peer.msk) == 32


def test_the_slot_is_that_of_the_dialogue() -> None:
    message, state = proven(Peer("User", PASSWORD))
    slot = check(message, state).slot
    assert len(slot) == 16 and check(message, state).slot == slot
    assert check(*proven(Peer("User", PASSWORD))).slot != slot


def test_md5_by_nak_gives_no_keys() -> None:
    peer = Peer("User", PASSWORD, wants=eap.MD5)
    offer = check(*opened(peer))
    assert (offer.method, offer.right) == ("eap-md5", False)
    message, state = carried(offer.challenge)
    proof = check(peer.answer(message), state)
    assert (proof.method, proof.right) == ("eap-md5", True)
    assert carried(proof.attributes) == (b"\3\3\0\4", b"") and len(proof.attributes) == 6


def test_the_vector_of_rfc_2759() -> None:
    data = b"\2\5\0\x3a\x31" + PEER_CHALLENGE + bytes(8) + NT_RESPONSE + b"\0User"
    right = eap_mschapv2.check(data, CHALLENGE, "", nt_hash(PASSWORD))
    assert right == (NT_RESPONSE, "S=407A5589115FD0D6209F510FE9C04566932CDA56")


@pytest.mark.parametrize("name", ["User", "ACME\\User", "User@example.com", "ACME\\User@example.com", "USER"])
def test_the_hash_holds_the_name_as_the_peer_spells_it(name: str) -> None:
    assert check(*opened(Peer("User", PASSWORD, name=name))).right


def test_an_empty_name_stands_for_the_user_name() -> None:
    data = b"\2\5\0\x3a\x31" + PEER_CHALLENGE + bytes(8) + NT_RESPONSE + b"\0"
    assert eap_mschapv2.check(data, CHALLENGE, "User", nt_hash(PASSWORD)) is not None


def test_eap_start_is_asked_who_it_is() -> None:
    assert carried(check(b"").challenge) == (b"\1\0\0\5\1", b"")


def test_octets_behind_the_length_are_padding() -> None:
    assert check(Peer("User", PASSWORD).begin() + b"padding").challenge


# what is refused


@pytest.mark.parametrize("wants", [eap.MSCHAPV2, eap.MD5])
@pytest.mark.parametrize("password", ["another", None])
def test_a_wrong_password(wants: int, password: str | None) -> None:
    """The peer's is not the account's, or nobody has that name."""
    peer = Peer("User", PASSWORD, wants=wants)
    message, state = opened(peer, password=password)
    proof = check(message, state, password=password)
    if wants == eap.MD5:
        message, state = carried(proof.challenge)
        proof = check(peer.answer(message), state, password=password)
    assert (proof.right, proof.challenge, proof.fault) == (False, b"", "password")
    assert proof.method == ("eap-md5" if wants == eap.MD5 else "eap-mschapv2")


def test_a_stranger_is_offered_the_same_as_anybody() -> None:
    begin = Peer("User", PASSWORD).begin()
    assert len(check(begin).challenge) == len(check(begin, password=None).challenge)


@pytest.mark.parametrize("wanted", [b"\x19\x15", b"\0", b""])
def test_a_nak_for_what_we_do_not_have(wanted: bytes) -> None:
    _, state = opened(Peer("User", PASSWORD))
    proof = check(response(2, eap.NAK, wanted), state)
    assert (proof.right, proof.challenge, proof.fault) == (False, b"", "method")


def test_a_second_nak_is_not_followed() -> None:
    _, state = carried(check(*opened(Peer("User", PASSWORD, wants=eap.MD5))).challenge)
    assert check(response(3, eap.NAK, bytes((eap.MSCHAPV2, eap.MD5))), state).challenge == b""


def test_an_identity_that_is_not_the_user_name() -> None:
    proof = check(Peer("somebody", PASSWORD).begin())
    assert (proof.right, proof.challenge, proof.fault) == (False, b"", "eap")


@pytest.mark.parametrize(
    "message",
    [
        b"\2",
        b"\2\1\0\4",
        b"\2\1\0\5",
        b"\2\1\0\4\1",
        b"\2\1\0\x09\1User"[:8],
        b"\2\1\xff\xff\1User",
        b"\1\1\0\x09\1User",
        b"\3\1\0\4",
        response(2, 254, bytes(7)),
        response(2, eap.MSCHAPV2, b""),
        response(2, eap.MSCHAPV2, b"\3"),
        response(2, eap.MSCHAPV2, b"\2\2\0\4"),
        response(2, eap.MSCHAPV2, b"\2\2\0\x3a\x31" + bytes(48)),
        response(2, eap.MSCHAPV2, b"\2\2\0\x3a\x30" + bytes(60)),
        response(2, eap.MSCHAPV2, b"\7" + bytes(600)),
        response(2, eap.MD5, b"\x10" + bytes(16)),
        response(2, eap.MD5, b""),
    ],
    ids=lambda message: message.hex()[:16],
)
def test_what_is_no_answer_to_the_offer_is_never_right(message: bytes) -> None:
    """Above all the third packet without the second: MSCHAPv2 Success under the State of the offer."""
    _, state = opened(Peer("User", PASSWORD))
    for under in (state, None):
        proof = check(message, under)
        assert (proof.right, proof.challenge) == (False, b"")
        assert len(eap.failure(packet(message, under))) == 6


@pytest.mark.parametrize("message", [b"", b"\2", b"\2\5\0\4", b"\2\5\0\6\3\x19"])
def test_a_failure_has_the_identifier_of_what_it_ends(message: bytes) -> None:
    identifier = message[1] if len(message) > 1 else 0
    assert eap.failure(packet(message)) == plain(EAP_MESSAGE, bytes((4, identifier, 0, 4)))


def test_another_identifier_than_that_of_the_request() -> None:
    message, state = proven(Peer("User", PASSWORD))
    assert check(message, state).right
    assert check(message[:1] + b"\x09" + message[2:], state).fault == "eap"


@pytest.mark.parametrize("stage", [opened, proven])
@pytest.mark.parametrize(
    "where",
    [
        {"name": ("ten_2", "user")},
        {"name": ("ten_1", "other")},
        {"nas": "nas_2"},
        {"password": "changed meanwhile"},
        {"password": None},
        {"now": NOW + eap.LIFETIME + 1},
        {"keys": Keys("another key")},
    ],
    ids=["tenant", "user", "device", "password", "nobody", "late", "key"],
)
def test_a_state_is_good_where_it_was_made_only(stage, where) -> None:  # type: ignore[no-untyped-def]
    message, state = stage(Peer("User", PASSWORD))
    assert check(message, state).right
    proof = check(message, state, **where)
    assert (proof.right, proof.challenge, proof.fault) == (False, b"", "eap")


@pytest.mark.parametrize("at", [0, 12, 17, 18, 19, 30, -1])
def test_an_altered_state(at: int) -> None:
    message, state = proven(Peer("User", PASSWORD))
    altered = bytearray(state)
    altered[at] ^= 1
    assert check(message, bytes(altered)).fault == "eap"


@pytest.mark.parametrize("state", [b"", b"short", bytes(28), bytes(253)])
def test_a_foreign_state(state: bytes) -> None:
    message, _ = proven(Peer("User", PASSWORD))
    assert check(message, state).fault == "eap"
