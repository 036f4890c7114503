"""What the RFCs publish as examples, and what they prescribe, reckoned anew by hashlib and hmac.

RFC 2865 section 7.1 stands in test_codec.py and test_authenticators.py, RFC 2433 and RFC 2759 in test_methods.py.
"""

from __future__ import annotations

import hashlib
import hmac
import random

import pytest

from saas.radius import codec, methods
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
    unhide_password,
    unhide_salted,
)
from saas.radius.codec import BadPacket, attributes, parse, plain
from saas.radius.engine import Engine
from saas.tenants import journal
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import Wire
from tests.radius.test_methods import check
from tests.world import USER_PASSWORD, USERNAME

KEY = b"xyzzy5461"  # of RFC 2865 section 7
SECRET = Secret(KEY)
SEEDS = range(20)

# RFC 2865 section 7.2: flopsy logs in by PPP with CHAP; no CHAP-Challenge, so the Request Authenticator is it.
# The answer is printed with Framed-Routing None (0); its authenticator was made over Listen (2).
FLOPSY = bytes.fromhex(
    "01010047 2aee86f08d0d55969ca5978e0d3367a2 0108666c6f707379 031316e97557c316185895f293ff634407727504"
    "06c0a80110 050600000014 060600000002 070600000001"
)
FLOPSY_ACCEPT = bytes.fromhex(
    "02010038 15efbc7dab26cfa3dc34d9c03c8601a4 060600000002 070600000001 0806fffffffe 0a0600000002 0d0600000001"
    "0c06000005dc"
)
# RFC 2865 section 7.3: mopsy answers a challenge
MOPSY = bytes.fromhex(
    "01020039 f3a47a1f6a6d76710b947ab93041a039 01076d6f707379 0212 33657573778289b570885e15084825c5 0406c0a80110"
    "050600000007"
)
MOPSY_CHALLENGE = bytes.fromhex(
    "0b02004e 36f3c8764ae8c71157403c0c71ff9c45 1230 4368616c6c656e67652033323736393433302e2020456e74657220726573"
    "706f6e73652061742070726f6d70742e 180a 3332373639343330"
)
MOPSY_AGAIN = bytes.fromhex(
    "01030043 b122556d428a13d0d6253807c457ecf0 01076d6f707379 0212 692c1f205fc081b919b95195f561a581 0406c0a80110"
    "050600000007 180a 3332373639343330"
)
MOPSY_REJECT = bytes.fromhex("03030014 a42f4fca45916c4e09c8340f9e746aa0")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [(FLOPSY, FLOPSY_ACCEPT), (MOPSY, MOPSY_CHALLENGE), (MOPSY_AGAIN, MOPSY_REJECT)],
    ids=["7.2", "7.3 challenge", "7.3 reject"],
)
def test_the_answers_of_rfc_2865_section_7_are_what_we_would_send(request_: bytes, answer: bytes) -> None:
    found = parse_reply(answer, request_, SECRET)
    assert found.raw == answer
    assert reply(answer[0], parse(request_), SECRET, answer[20:], prove=False) == answer
    with pytest.raises(BadPacket, match="bad_authenticator"):
        parse_reply(answer, request_, Secret(b"xyzzy5462"))


def test_chap_of_rfc_2865_section_7_2() -> None:
    assert check(parse(FLOPSY), "arctangent", SECRET) == methods.Proof("chap", True)
    assert not check(parse(FLOPSY), "arctangens", SECRET).right


@pytest.mark.parametrize(("request_", "password"), [(MOPSY, "challenge"), (MOPSY_AGAIN, "99101462")])
def test_the_passwords_of_rfc_2865_section_7_3(request_: bytes, password: str) -> None:
    assert check(parse(request_), password, SECRET) == methods.Proof("pap", True)


@pytest.mark.parametrize("seed", SEEDS)
def test_passwords_are_hidden_as_rfc_2865_section_5_2_says(seed: int) -> None:
    dice = random.Random(seed)
    password, authenticator = dice.randbytes(dice.randrange(1, 129)).replace(b"\0", b"x"), dice.randbytes(16)
    hidden, previous = b"", authenticator
    padded = password + bytes(-len(password) % 16)
    for at in range(0, len(padded), 16):
        pad = hashlib.md5(KEY + previous).digest()
        previous = bytes(one ^ other for one, other in zip(padded[at : at + 16], pad, strict=True))
        hidden += previous
    assert hide_password(password, SECRET, authenticator) == hidden
    assert unhide_password(hidden, SECRET, authenticator) == password


# RFC 2104, with the vectors of RFC 2202 section 2


@pytest.mark.parametrize(
    ("key", "message", "digest"),
    [
        (b"\x0b" * 16, b"Hi There", "9294727a3638bb1c13f48ef8158bfc9d"),
        (b"Jefe", b"what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"),
        (b"\xaa" * 16, b"\xdd" * 50, "56be34521d144c88dbb8c733f0e8b3f6"),
        (bytes(range(1, 26)), b"\xcd" * 50, "697eaf0aca3a3aea3a75164746ffaa79"),
        (b"\x0c" * 16, b"Test With Truncation", "56461ef2342edc00f9bab995690efd4c"),
        (b"\xaa" * 80, b"Test Using Larger Than Block-Size Key - Hash Key First", "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"),
        (
            b"\xaa" * 80,
            b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
            "6f630fad67cda0ee1fb1f562db3aa53e",
        ),
    ],
)
def test_hmac_md5_of_rfc_2202(key: bytes, message: bytes, digest: str) -> None:
    assert Secret(key).mac(message).hex() == digest


# Message-Authenticator and keyed authenticators


def head(code: int, body: bytes) -> bytes:
    return bytes((code, 7)) + (20 + len(body)).to_bytes(2, "big")


@pytest.mark.parametrize("code", [codec.ACCESS_REQUEST, codec.STATUS_SERVER])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_request_is_proven_as_rfc_3579_section_3_2_and_rfc_5997_section_3_say(code: int, seed: int) -> None:
    dice = random.Random(seed)
    authenticator, before, behind = dice.randbytes(16), plain(1, dice.randbytes(9)), plain(33, dice.randbytes(40))
    zeroed = before + plain(80, bytes(16)) + behind
    proof = hmac.digest(KEY, head(code, zeroed) + authenticator + zeroed, "md5")
    octets = head(code, zeroed) + authenticator + before + plain(80, proof) + behind
    assert proves_message(parse(octets), SECRET)
    spoilt = bytearray(octets)
    spoilt[dice.randrange(20, 60)] ^= 1
    try:
        assert not proves_message(parse(bytes(spoilt)), SECRET)
    except BadPacket:  # a length was hit
        assert len(spoilt) == len(octets)
    built = access_request(code, 7, authenticator, SECRET, before)
    zeroed = plain(80, bytes(16)) + before
    assert built[22:38] == hmac.digest(KEY, head(code, zeroed) + authenticator + zeroed, "md5")


@pytest.mark.parametrize("code", [codec.ACCOUNTING_REQUEST, codec.DISCONNECT_REQUEST, 43])
def test_a_request_is_keyed_as_rfc_2866_section_3_and_rfc_5176_section_2_3_say(code: int) -> None:
    body = attributes(("User-Name", "flopsy"), ("Acct-Session-Id", "1"))
    expected = hashlib.md5(head(code, body) + bytes(16) + body + KEY).digest()
    octets = keyed_request(code, 7, SECRET, body)
    assert octets == head(code, body) + expected + body
    assert proves_request(parse(octets), SECRET)


@pytest.mark.parametrize("code", [codec.ACCOUNTING_REQUEST, codec.DISCONNECT_REQUEST, 43])
def test_the_proof_goes_first_over_zeros_as_rfc_2869_section_5_14_and_rfc_5176_section_3_4_say(code: int) -> None:
    body = attributes(("User-Name", "flopsy"))
    zeroed = plain(80, bytes(16)) + body
    proof = hmac.digest(KEY, head(code, zeroed) + bytes(16) + zeroed, "md5")
    body = plain(80, proof) + body
    expected = head(code, body) + hashlib.md5(head(code, body) + bytes(16) + body + KEY).digest() + body
    assert keyed_request(code, 7, SECRET, attributes(("User-Name", "flopsy")), prove=True) == expected


@pytest.mark.parametrize("code", [2, 3, 5, 11, 41, 42, 44, 45])
def test_an_answer_is_keyed_by_the_authenticator_of_its_request(code: int) -> None:
    """RFC 2865 section 3, RFC 2866 section 3, RFC 5176 section 3.4."""
    asked = keyed_request(40 if code > 40 else 4, 7, SECRET, attributes(("User-Name", "flopsy")))
    body = attributes(("Error-Cause", 503)) if code in (42, 45) else b""
    zeroed = plain(80, bytes(16)) + body
    proof = hmac.digest(KEY, head(code, zeroed) + asked[4:20] + zeroed, "md5")
    body = plain(80, proof) + body
    expected = head(code, body) + hashlib.md5(head(code, body) + asked[4:20] + body + KEY).digest() + body
    assert reply(code, parse(asked), SECRET, body[18:]) == expected
    assert parse_reply(expected, asked, SECRET).value("Error-Cause") == (503 if code in (42, 45) else None)
    # a proof over the answer's own authenticator, or over zeros, is none
    for field in (expected[4:20], bytes(16)):
        other = plain(80, hmac.digest(KEY, head(code, zeroed) + field + zeroed, "md5")) + body[18:]
        signed = hashlib.md5(head(code, other) + asked[4:20] + other + KEY).digest()
        with pytest.raises(BadPacket, match="bad_authenticator"):
            parse_reply(head(code, other) + signed + other, asked, SECRET)


def test_error_causes_are_those_of_rfc_5176_section_3_5() -> None:
    names = {
        201: "Residual-Session-Context-Removed",
        202: "Invalid-EAP-Packet",
        401: "Unsupported-Attribute",
        402: "Missing-Attribute",
        403: "NAS-Identification-Mismatch",
        404: "Invalid-Request",
        405: "Unsupported-Service",
        406: "Unsupported-Extension",
        407: "Invalid-Attribute-Value",
        501: "Administratively-Prohibited",
        502: "Request-Not-Routable",
        503: "Session-Context-Not-Found",
        504: "Session-Context-Not-Removable",
        505: "Other-Proxy-Processing-Error",
        506: "Resources-Unavailable",
        507: "Request-Initiated",
        508: "Multiple-Session-Selection-Unsupported",
    }
    assert codec.value_names("Error-Cause") == names


# keys


@pytest.mark.parametrize("length", [0, 1, 15, 16, 32, 47])
def test_keys_are_hidden_with_salt_as_rfc_2548_section_2_4_2_says(length: int) -> None:
    """The same as Tunnel-Password in RFC 2868 section 3.5."""
    dice = random.Random(length)
    value, authenticator, salt = dice.randbytes(length), dice.randbytes(16), b"\x80" + dice.randbytes(1)
    plaintext = bytes((length,)) + value
    plaintext += bytes(-len(plaintext) % 16)
    hidden, previous = b"", authenticator + salt
    for at in range(0, len(plaintext), 16):
        pad = hashlib.md5(KEY + previous).digest()
        previous = bytes(one ^ other for one, other in zip(plaintext[at : at + 16], pad, strict=True))
        hidden += previous
    assert hide_salted(value, SECRET, authenticator, salt) == salt + hidden
    assert unhide_salted(salt + hidden, SECRET, authenticator) == value


def new_key(start: bytes, session: bytes) -> bytes:
    """GetNewKeyFromSHA of RFC 3079 section 7.3, for keys of their full length."""
    return hashlib.sha1(start + bytes(40) + session + b"\xf2" * 40).digest()[: len(start)]


def rc4(key: bytes, message: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) & 255
        state[i], state[j] = state[j], state[i]
    i = j = 0
    out = bytearray()
    for octet in message:
        i = (i + 1) & 255
        j = (j + state[i]) & 255
        state[i], state[j] = state[j], state[i]
        out.append(octet ^ state[(state[i] + state[j]) & 255])
    return bytes(out)


@pytest.mark.parametrize(
    ("length", "salt", "key", "encrypted"),
    [
        (8, "d1269e", "d1269ec49fa62e3e", "929137917e5803d668d75898"),
        (8, "d1", "d15c00c49fa62e3e", ""),
        (16, "", "405cb2247a7956e6e211007ae27b22d4", "81848317df68846272fb5abe"),
    ],
    ids=["3.5.1 40 bits", "3.5.2 56 bits", "3.5.3 128 bits"],
)
def test_our_start_keys_lead_to_the_session_keys_of_rfc_3079_section_3_5(
    length: int, salt: str, key: str, encrypted: str
) -> None:
    """The server's send key, from the password hash and NT response of RFC 2759 section 9.2."""
    nt_hash = bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")
    response = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")
    start = methods.mppe_keys(nt_hash, response)[0][:length]
    session = new_key(start, start)
    session = bytes.fromhex(salt) + session[len(salt) // 2 :]
    assert session.hex() == key
    assert not encrypted or rc4(session, b"test message").hex() == encrypted


# RFC 5080 section 2.2.2, over the wire


def login(wire: Wire, number: int, authenticator: bytes) -> bytes:
    hidden = plain(codec.USER_PASSWORD, hide_password(USER_PASSWORD.encode(), wire.secret, authenticator))
    body = plain(codec.USER_NAME, USERNAME.encode()) + hidden + wire.identity
    return access_request(codec.ACCESS_REQUEST, number, authenticator, wire.secret, body)


@pytest.mark.usefixtures("unlimited")
async def test_a_duplicate_is_one_of_source_identifier_and_authenticator(engine: Engine, wire: Wire) -> None:
    """The same identifier with another authenticator is a new request, as is another identifier."""
    answers = []
    for number, authenticator in ((1, b"a" * 16), (1, b"b" * 16), (2, b"a" * 16), (1, b"a" * 16), (1, b"b" * 16)):
        wire.send(login(wire, number, authenticator))
        answers.append(await wire.receive())
    assert answers[3:] == answers[:2] and len(set(answers)) == 3
    assert (engine.counters.accepted, engine.counters.replayed) == (3, 2)


async def test_a_repeated_report_is_answered_again_and_recorded_once(
    ps: PlatformScope, engine: Engine, wire: Wire
) -> None:
    body = attributes(("Acct-Status-Type", 1), ("Acct-Session-Id", "rfc5080"), ("User-Name", USERNAME))
    octets = keyed_request(codec.ACCOUNTING_REQUEST, 9, wire.secret, body + wire.identity)
    answers = []
    for _ in range(3):
        wire.send(octets, "acct")
        answers.append(await wire.receive())
    assert answers == [answers[0]] * 3
    assert (engine.counters.accounting, engine.counters.replayed) == (1, 2)
    reading = await journal.read(ps, 0.05)
    assert [event.session_id for group in reading.groups for event in group.events].count("rfc5080") == 1
    await journal.remove(ps, reading.groups)


# RFC 5997


@pytest.mark.parametrize(("port", "code"), [("auth", codec.ACCESS_ACCEPT), ("acct", codec.ACCOUNTING_RESPONSE)])
async def test_status_server_is_answered_as_rfc_5997_section_4_2_says(wire: Wire, port: str, code: int) -> None:
    """By the port's own positive answer, signed, with Proxy-State; and neither counted as a login nor recorded."""
    body = wire.identity + plain(codec.PROXY_STATE, b"one")
    asked = access_request(codec.STATUS_SERVER, 3, b"s" * 16, wire.secret, body)
    wire.send(asked, port)
    answer = parse_reply(await wire.receive(), asked, wire.secret)
    assert (answer.code, answer.all(codec.PROXY_STATE)) == (code, [b"one"])
    assert answer.proof_at == 20
