"""EAP inside RADIUS: Identity, MSCHAPv2, and MD5 for those who ask for it by Nak (RFC 3748, RFC 3579).

    1  Response/Identity                 -> Access-Challenge  MSCHAPv2 Challenge
    2  Response/MSCHAPv2 Response        -> Access-Challenge  MSCHAPv2 Success   the only packet that shows the password
    3  Response/MSCHAPv2 Success         -> Access-Accept     EAP-Success and the keys

    2' Response/Nak that wants MD5       -> Access-Challenge  MD5-Challenge
    3' Response/MD5-Challenge            -> Access-Accept     EAP-Success, no keys

Whatever is refused, by any rule and in any round, ends with Access-Reject and EAP-Failure: no further round in which a
client might try another password. That answer waits as long as every reject, which slows guessing here too; gateways
wait 2 s and more, and a reject that came faster than others would tell what was wrong. An Identity that nobody has gets
the same challenge as any other, hence is refused in the second round like a wrong password.

Nothing is kept between the rounds: State carries the dialogue, sealed for one tenant, device, user name and password,
for 60 s, so that any engine goes on where another began. Engines with different clocks must agree to within that time.
A repeated State is good for the same step again, because an engine that takes over has to answer what is sent again;
it opens no second session: its session token is that of the dialogue, and a token takes one slot. Only the holder of
the device's shared secret can send a State at all, since EAP is never taken without Message-Authenticator.

Every EAP packet of ours has at most 64 octets, the least Framed-MTU there is (RFC 2865 section 5.12).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hmac import compare_digest
from typing import Final, NamedTuple

from saas.radius import eap_mschapv2
from saas.radius.codec import EAP_MESSAGE, MAX_VALUE, STATE, Packet, plain, text
from saas.radius.identify import Nas
from saas.radius.logins import Name
from saas.radius.methods import Proof, chap_response, mppe_attributes
from saas.security import Keys, Unsealable
from saas.values import normal_username

RESPONSE: Final = 2
SUCCESS: Final = 3
FAILURE: Final = 4

IDENTITY: Final = 1
NAK: Final = 3
MD5: Final = 4
MSCHAPV2: Final = eap_mschapv2.TYPE

LIFETIME: Final = 60  # seconds that a State is good for

Password = Callable[[], bytes]

# What an EAP-Request of ours waits for
OFFERED: Final = 1  # MSCHAPv2 Response, or Nak; data: the challenge
PROVEN: Final = 2  # MSCHAPv2 Success; data: the NT response that was right
MD5_OFFERED: Final = 3  # MD5-Challenge; data: the challenge


class State(NamedTuple):
    """A dialogue between two rounds. `identifier` is that of the EAP-Request that waits to be answered."""

    stage: int
    identifier: int
    session: bytes  # 8 octets, the same in every round
    data: bytes

    def pack(self, expires: int) -> bytes:
        """As octets; `expires` in seconds since 1970."""
        return b"".join((expires.to_bytes(5, "big"), bytes((self.stage, self.identifier)), self.session, self.data))


class Step(NamedTuple):
    """What a round comes to: an EAP-Request and the State that waits for its answer, or an outcome.

    `right`: the password was shown to be right, in this round or before. `answer`: the NT response of a dialogue that
    succeeded, from which its keys follow. `fault`: what a refusal is called, see Proof.
    """

    method: str
    right: bool = False
    request: bytes = b""
    state: State | None = None
    answer: bytes = b""
    fault: str = "password"


class Eap:
    """Judges the EAP part of Access-Requests. Engines with the same keys can take over from one another."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def check(
        self, packet: Packet, nas: Nas, name: Name, password: Password | None, nt_hash: bytes | None, now: float
    ) -> Proof:
        """One round. Password and NT hash are None when nobody has that name: then nothing is right.

        `password` is called for MD5 only. `now` in seconds since 1970.
        """
        message = b"".join(packet.all(EAP_MESSAGE))
        context = f"{nas.id}\0{(nt_hash or b'').hex()}\0{name[1]}".encode()
        state = self._open(packet.first.get(STATE), name[0], context, now)
        done = step(message, state, name[1], password, nt_hash)
        slot = state.session.hex() if state else ""
        if done.request:
            challenge = attributes(done.request)
            if done.state is not None:
                challenge += plain(STATE, self._seal(done.state, name[0], context, now))
            return Proof(done.method, done.right, challenge=challenge, slot=slot)
        if not done.right:
            return Proof(done.method, False, fault=done.fault)
        granted = _end(SUCCESS, message)
        if done.answer and nt_hash is not None:
            granted += mppe_attributes(packet, nas.secret, nt_hash, done.answer)
        return Proof(done.method, True, attributes=granted, slot=slot)

    def _seal(self, state: State, tenant_id: str, context: bytes, now: float) -> bytes:
        return self._keys.wrap(_purpose(tenant_id), state.pack(int(now) + LIFETIME), context)

    def _open(self, sealed: bytes | None, tenant_id: str, context: bytes, now: float) -> State | None:
        """None when there is none, or it is not ours for this device, name and password, or it came too late."""
        if sealed is None:
            return None
        try:
            octets = self._keys.unwrap(_purpose(tenant_id), sealed, context)
        except Unsealable:
            return None
        if int.from_bytes(octets[:5], "big") < now:
            return None
        return State(octets[5], octets[6], octets[7:15], octets[15:])


def step(message: bytes, state: State | None, username: str, password: Password | None, nt_hash: bytes | None) -> Step:
    """Go one round on. `message` is the peer's EAP packet, `username` the account in normal spelling. Pure, but for
    fresh challenges.
    """
    if not message:  # EAP-Start (RFC 3579 section 2.1)
        return Step("eap", request=eap_request(0, IDENTITY))
    if not _is_response(message):
        return Step("eap", fault="eap")
    kind, data = message[4], message[5 : int.from_bytes(message[2:4], "big")]
    if kind == IDENTITY:
        return _begin(message[1], data, username)
    if state is None or message[1] != state.identifier:
        return Step("eap", fault="eap")
    if kind == NAK and state.stage == OFFERED:
        return _offer_md5(state) if MD5 in data else Step("eap", fault="method")
    if kind == MD5 and state.stage == MD5_OFFERED:
        return _md5(state, data, password)
    if kind == MSCHAPV2 and state.stage == OFFERED:
        return _mschapv2(state, data, username, nt_hash)
    if kind == MSCHAPV2 and state.stage == PROVEN and eap_mschapv2.is_success(data):
        return Step("eap-mschapv2", right=True, answer=state.data)
    return Step("eap", fault="eap")


def _begin(identifier: int, identity: bytes, username: str) -> Step:
    if normal_username(text(identity)) != username:
        return Step("eap", fault="eap")
    state = State(OFFERED, identifier + 1 & 255, secrets.token_bytes(8), secrets.token_bytes(16))
    request = eap_request(state.identifier, MSCHAPV2, eap_mschapv2.challenge(state.identifier, state.data))
    return Step("eap", request=request, state=state)


def _mschapv2(state: State, data: bytes, username: str, nt_hash: bytes | None) -> Step:
    proof = eap_mschapv2.check(data, state.data, username, nt_hash)
    if proof is None:
        return Step("eap-mschapv2")
    after = State(PROVEN, state.identifier + 1 & 255, state.session, proof.answer)
    request = eap_request(after.identifier, MSCHAPV2, eap_mschapv2.success(data[1], proof.success))
    return Step("eap-mschapv2", right=True, request=request, state=after)


def _offer_md5(state: State) -> Step:
    after = State(MD5_OFFERED, state.identifier + 1 & 255, state.session, secrets.token_bytes(16))
    return Step("eap-md5", request=eap_request(after.identifier, MD5, b"\x10" + after.data), state=after)


def _md5(state: State, data: bytes, password: Password | None) -> Step:
    """RFC 3748 section 5.4: as CHAP, the identifier being that of EAP."""
    if password is None or data[:1] != b"\x10":
        return Step("eap-md5")
    return Step("eap-md5", compare_digest(chap_response(state.identifier, password(), state.data), data[1:17]))


def failure(packet: Packet) -> bytes:
    """What the Access-Reject of a request with EAP carries: EAP-Failure and, with it, no Reply-Message (RFC 3579
    section 2.6.5).
    """
    return _end(FAILURE, b"".join(packet.all(EAP_MESSAGE)))


def eap_request(identifier: int, kind: int, data: bytes = b"") -> bytes:
    """An EAP-Request (RFC 3748 section 4.1)."""
    return bytes((1, identifier)) + (len(data) + 5).to_bytes(2, "big") + bytes((kind,)) + data


def attributes(message: bytes) -> bytes:
    """An EAP packet as EAP-Message attributes, in order (RFC 3579 section 3.1)."""
    return b"".join(plain(EAP_MESSAGE, message[at : at + MAX_VALUE]) for at in range(0, len(message), MAX_VALUE))


def _end(code: int, message: bytes) -> bytes:
    """EAP-Success or EAP-Failure, with the identifier of the response that it ends (RFC 3748 section 4.2)."""
    return attributes(bytes((code, message[1] if len(message) > 1 else 0, 0, 4)))


def _is_response(message: bytes) -> bool:
    """Whether it is whole and has a type; octets behind its Length are padding (RFC 3748 section 4)."""
    return len(message) > 4 and message[0] == RESPONSE and 5 <= int.from_bytes(message[2:4], "big") <= len(message)


def _purpose(tenant_id: str) -> str:
    return f"eap-state:{tenant_id}"
