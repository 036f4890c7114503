"""A device played by us: self test, smoke story, tests. It trusts nothing that the server did not prove.

async with Client("127.0.0.1", 1812, 1813, secret="…", identifier="nas-…") as nas:
    answer = await nas.mschapv2("alice", "password")
    await nas.accounting("start", "alice", "session-1")
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from saas.radius import codec, eap, methods
from saas.radius.authenticators import (
    Secret,
    access_request,
    hide_password,
    keyed_request,
    parse_reply,
    proves_message,
    proves_request,
    reply,
    unhide_password,
    unhide_salted,
)
from saas.radius.codec import MICROSOFT, BadPacket, Packet, attribute, attributes, parse, vendor_attribute
from saas.security import nt_hash

STATUS_TYPES: Final = {"start": 1, "stop": 2, "interim": 3, "on": 7, "off": 8}

Attributes = Mapping[str, Any]  # name -> value, as codec.attribute takes them
Answerer = Callable[[Packet], int | None]


class NoAnswer(Exception):
    """Nothing that proves itself came back in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A proven answer. `mppe_send` and `mppe_recv` are the keys from the device's view, b"" when there are none."""

    packet: Packet
    mppe_send: bytes = b""
    mppe_recv: bytes = b""

    @property
    def accepted(self) -> bool:
        """Whether it is an Access-Accept."""
        return self.packet.code == codec.ACCESS_ACCEPT

    def value(self, name: str) -> Any:
        """The first value of an attribute, or None."""
        return self.packet.value(name)


class _Wire(asyncio.DatagramProtocol):
    """Gives every datagram to a function."""

    def __init__(self, take: Callable[[bytes, Any], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._take(data, addr)


class Client:
    """A device's client. Each request is sent up to `tries` times, `timeout` seconds apart, octets unchanged."""

    def __init__(
        self,
        host: str,
        auth_port: int,
        acct_port: int,
        secret: str,
        identifier: str = "",
        *,
        source: str = "",
        timeout: float = 2.0,
        tries: int = 3,
        prove: bool = True,
    ) -> None:
        """`prove` False leaves Message-Authenticator out of Access-Requests, as old devices do."""
        self._auth = (host, auth_port)
        self._acct = (host, acct_port)
        self._secret = Secret(secret.encode())
        self._identity: dict[str, Any] = {"NAS-Identifier": identifier} if identifier else {}
        self._source = source or ("::" if ":" in host else "0.0.0.0")
        self._timeout = timeout
        self._tries = tries
        self._prove = prove
        self._next = secrets.randbelow(256)
        self._waiting: dict[int, tuple[bytes, asyncio.Future[Packet]]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Wire(self._received), local_addr=(self._source, 0)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    async def pap(self, username: str, password: str, extra: Attributes | None = None) -> Answer:
        """Log in by User-Password. NoAnswer."""
        authenticator = secrets.token_bytes(16)
        hidden = hide_password(password.encode(), self._secret, authenticator)
        return await self._login(username, authenticator, codec.plain(codec.USER_PASSWORD, hidden), extra)

    async def chap(self, username: str, password: str, extra: Attributes | None = None) -> Answer:
        """Log in by CHAP with a CHAP-Challenge. NoAnswer."""
        challenge = secrets.token_bytes(16)
        response = b"\1" + methods.chap_response(1, password.encode(), challenge)
        proof = codec.plain(codec.CHAP_PASSWORD, response) + codec.plain(codec.CHAP_CHALLENGE, challenge)
        return await self._login(username, secrets.token_bytes(16), proof, extra)

    async def mschapv1(self, username: str, password: str, extra: Attributes | None = None) -> Answer:
        """Log in by MS-CHAPv1 with the NT response; `mppe_send` is the 16-octet NT key. NoAnswer."""
        challenge = secrets.token_bytes(8)
        response = methods.challenge_response(challenge, nt_hash(password))
        proof = vendor_attribute(MICROSOFT, methods.MS_CHAP_CHALLENGE, challenge) + vendor_attribute(
            MICROSOFT, methods.MS_CHAP_RESPONSE, b"\1\1" + bytes(24) + response
        )
        authenticator = secrets.token_bytes(16)
        answer = await self._login(username, authenticator, proof, extra)
        hidden = answer.packet.vendor(MICROSOFT, methods.MS_CHAP_MPPE_KEYS)
        if not answer.accepted or hidden is None:
            return answer
        keys = unhide_password(hidden, self._secret, authenticator) or b""
        return Answer(answer.packet, mppe_send=keys[8:24])

    async def mschapv2(self, username: str, password: str, extra: Attributes | None = None) -> Answer:
        """Log in by MS-CHAPv2, test MS-CHAP2-Success, uncover the MPPE keys. NoAnswer, also for a false success."""
        challenge, peer = secrets.token_bytes(16), secrets.token_bytes(16)
        hashed = methods.challenge_hash(peer, challenge, methods.bare_name(username.encode()))
        secret_hash = nt_hash(password)
        response = methods.challenge_response(hashed, secret_hash)
        proof = vendor_attribute(MICROSOFT, methods.MS_CHAP_CHALLENGE, challenge) + vendor_attribute(
            MICROSOFT, methods.MS_CHAP2_RESPONSE, b"\1\0" + peer + bytes(8) + response
        )
        authenticator = secrets.token_bytes(16)
        answer = await self._login(username, authenticator, proof, extra)
        if not answer.accepted:
            return answer
        expected = methods.authenticator_response(secret_hash, response, hashed)
        if answer.packet.vendor(MICROSOFT, methods.MS_CHAP2_SUCCESS) != b"\1" + expected.encode():
            raise NoAnswer("MS-CHAP2-Success is wrong")
        return Answer(
            answer.packet,
            self._key(answer.packet, methods.MS_MPPE_SEND_KEY, authenticator),
            self._key(answer.packet, methods.MS_MPPE_RECV_KEY, authenticator),
        )

    async def eap(self, username: str, message: bytes, state: bytes = b"", extra: Attributes | None = None) -> Answer:
        """One round of EAP: this packet under this State. The MPPE keys of an accept are uncovered. NoAnswer."""
        authenticator = secrets.token_bytes(16)
        proof = eap.attributes(message) + (codec.plain(codec.STATE, state) if state else b"")
        packet = (await self._login(username, authenticator, proof, extra)).packet
        keys = (
            self._key(packet, number, authenticator) for number in (methods.MS_MPPE_SEND_KEY, methods.MS_MPPE_RECV_KEY)
        )
        return Answer(packet, *keys)

    async def accounting(self, status: str, username: str, session_id: str, extra: Attributes | None = None) -> Answer:
        """Report "start", "interim", "stop", "on" or "off". NoAnswer."""
        values: dict[str, Any] = {"Acct-Status-Type": STATUS_TYPES[status], "Acct-Session-Id": session_id}
        if username:
            values["User-Name"] = username
        values |= self._identity | dict(extra or {})
        return await self._exchange(
            self._acct,
            lambda number: keyed_request(codec.ACCOUNTING_REQUEST, number, self._secret, attributes(*values.items())),
        )

    async def status(self) -> Answer:
        """Ask the authentication port whether it lives (RFC 5997). NoAnswer."""
        values = attributes(*self._identity.items())
        return await self._exchange(
            self._auth,
            lambda number: access_request(codec.STATUS_SERVER, number, secrets.token_bytes(16), self._secret, values),
        )

    def _key(self, packet: Packet, number: int, authenticator: bytes) -> bytes:
        hidden = packet.vendor(MICROSOFT, number)
        return unhide_salted(hidden, self._secret, authenticator) or b"" if hidden else b""

    async def _login(self, username: str, authenticator: bytes, proof: bytes, extra: Attributes | None) -> Answer:
        values = {"User-Name": username, **self._identity, **dict(extra or {})}
        octets = attributes(*values.items()) + proof
        return await self._exchange(
            self._auth,
            lambda number: access_request(
                codec.ACCESS_REQUEST, number, authenticator, self._secret, octets, prove=self._prove
            ),
        )

    async def _exchange(self, server: tuple[str, int], build: Callable[[int], bytes]) -> Answer:
        if self._transport is None:
            raise RuntimeError("the client is not open")
        number = self._next = (self._next + 1) % 256
        octets = build(number)
        answer: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (octets, answer)
        try:
            for _ in range(self._tries):
                self._transport.sendto(octets, server)
                done, _pending = await asyncio.wait([answer], timeout=self._timeout)
                if done:
                    return Answer(answer.result())
        finally:
            self._waiting.pop(number, None)
        raise NoAnswer(f"no answer from {server[0]} port {server[1]}")

    def _received(self, data: bytes, address: Any) -> None:
        octets, answer = self._waiting.get(data[1] if len(data) > 1 else -1, (b"", None))
        if answer is None or answer.done() or address[:2] not in (self._auth, self._acct):
            return  # devices take no answer from an address that they did not ask
        try:
            answer.set_result(parse_reply(data, octets, self._secret))
        except BadPacket:
            return


class DisconnectListener:
    """A device's side of Disconnect and CoA (RFC 5176): `answer` says 0 for ACK, an Error-Cause for NAK, None for
    silence.

    `received` keeps every proven request, retransmissions too; `unproven` counts the others.
    """

    def __init__(
        self, secret: str, answer: Answerer = lambda packet: 0, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._secret = Secret(secret.encode())
        self._answer = answer
        self._bind = (host, port)
        self._transport: asyncio.DatagramTransport | None = None
        self.port = port
        self.received: list[Packet] = []
        self.unproven = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Wire(self._received), local_addr=self._bind)
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def _received(self, data: bytes, address: Any) -> None:
        try:
            packet = parse(data)
        except BadPacket:
            self.unproven += 1
            return
        known = packet.code in (codec.DISCONNECT_REQUEST, codec.COA_REQUEST)
        if not known or not proves_request(packet, self._secret) or not proves_message(packet, self._secret):
            self.unproven += 1
            return
        self.received.append(packet)
        verdict = self._answer(packet)
        if verdict is None or self._transport is None:
            return
        code = packet.code + (2 if verdict else 1)
        cause = attribute("Error-Cause", verdict) if verdict else b""
        self._transport.sendto(reply(code, packet, self._secret, cause), address)
