"""A subscriber's side of EAP (RFC 3748), played by us: Identity, MSCHAPv2, MD5, Nak. It trusts no server unproven."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from saas.radius import codec, eap, methods
from saas.radius.client import Answer, Attributes, Client
from saas.security import nt_hash

CHALLENGE, RESPONSE, SUCCESS = 1, 2, 3  # opcodes of EAP-MSCHAPv2


class Peer:
    """`wants`: the method; another offer is answered by Nak. `name` goes into MSCHAPv2 instead of the identity.

    `msk` holds the 32 octets that matter once the server has proven itself, `ended` the last EAP code.
    """

    def __init__(self, identity: str, password: str, *, name: str = "", wants: int = eap.MSCHAPV2) -> None:
        self.identity = identity
        self.password = password
        self.name = (name or identity).encode()
        self.wants = wants
        self.msk = b""
        self.ended = 0
        self._expected = b""
        self._keys = b""

    def begin(self, identifier: int = 1) -> bytes:
        """The Response/Identity that opens a dialogue."""
        return response(identifier, eap.IDENTITY, self.identity.encode())

    def answer(self, message: bytes) -> bytes:
        """The response to a request; b"" when the dialogue is over. AssertionError when it is nonsense or a lie."""
        assert len(message) == int.from_bytes(message[2:4], "big") <= 64
        if message[0] in (eap.SUCCESS, eap.FAILURE):
            self.ended = message[0]
            return b""
        assert message[0] == 1
        identifier, kind, data = message[1], message[4], message[5:]
        if kind == eap.IDENTITY:
            return self.begin(identifier)
        if kind != self.wants:
            return response(identifier, eap.NAK, bytes((self.wants,)))
        if kind == eap.MD5:
            digest = methods.chap_response(identifier, self.password.encode(), data[1:17])
            return response(identifier, eap.MD5, b"\x10" + digest + self.name)
        assert len(data) == int.from_bytes(data[2:4], "big")
        return self._prove(identifier, data) if data[0] == CHALLENGE else self._believe(identifier, data)

    def _prove(self, identifier: int, data: bytes) -> bytes:
        assert data[0] == CHALLENGE and data[4] == 16
        peer, challenge = secrets.token_bytes(16), data[5:21]
        hashed = methods.challenge_hash(peer, challenge, methods.bare_name(self.name))
        secret_hash = nt_hash(self.password)
        answer = methods.challenge_response(hashed, secret_hash)
        self._expected = methods.authenticator_response(secret_hash, answer, hashed).encode()
        send, receive = methods.mppe_keys(secret_hash, answer)
        self._keys = receive + send
        value = peer + bytes(8) + answer + b"\0"
        length = (5 + len(value) + len(self.name)).to_bytes(2, "big")
        return response(identifier, eap.MSCHAPV2, bytes((RESPONSE, data[1])) + length + b"\x31" + value + self.name)

    def _believe(self, identifier: int, data: bytes) -> bytes:
        assert data[0] == SUCCESS and data[4:].split(b" ")[0] == self._expected
        self.msk = self._keys
        return response(identifier, eap.MSCHAPV2, bytes((SUCCESS,)))


def response(identifier: int, kind: int, data: bytes) -> bytes:
    """An EAP-Response."""
    return bytes((eap.RESPONSE, identifier)) + (len(data) + 5).to_bytes(2, "big") + bytes((kind,)) + data


def message_of(answer: Answer) -> bytes:
    """The EAP packet of a RADIUS answer, which must prove itself (RFC 3579 section 3.2) and say nothing beside it."""
    assert answer.packet.proof_at
    assert answer.value("Reply-Message") is None
    return b"".join(answer.packet.all(codec.EAP_MESSAGE))


def state_of(answer: Answer) -> bytes:
    """The State of a challenge."""
    return answer.packet.first[codec.STATE]


async def dialogue(
    peer: Peer, *devices: Client, username: str = "", rounds: int = 9, extra: Attributes | None = None
) -> list[Answer]:
    """Log in through these devices, each taking a round in turn; all answers, the last one ends it.

    `rounds`: stop earlier, after that many answers. `extra`: what each request carries beside.
    """
    answers: list[Answer] = []
    message, state = peer.begin(), b""
    while message and len(answers) < rounds:
        device = devices[len(answers) % len(devices)]
        answers.append(await device.eap(username or peer.identity, message, state, extra))
        reply = message_of(answers[-1])
        message = peer.answer(reply)
        state = answers[-1].packet.first.get(codec.STATE, b"")
    return answers


def codes(answers: Sequence[Answer]) -> list[int]:
    """The RADIUS codes of a dialogue."""
    return [answer.packet.code for answer in answers]
