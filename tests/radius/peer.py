"""A device that speaks RADIUS over TLS: everything that client.Client can do, down one connection; and it answers
Disconnect- and CoA-Requests that come down it.

    async with Peer(engine.radsec_port, bundle, server_authority) as device:
        await device.pap("alice", "password")
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from saas.radius import codec
from saas.radius.authenticators import (
    Secret,
    access_request,
    hide_password,
    parse_reply,
    proves_message,
    proves_request,
    reply,
)
from saas.radius.client import Answer, Answerer, Client, NoAnswer
from saas.radius.codec import BadPacket, Packet, attribute, attributes, parse, plain
from saas.tenants.certificates import Bundle
from tests.support import PATIENCE
from tests.world import USER_PASSWORD, USERNAME

HOST = "127.0.0.1"
SECRET = Secret(b"radsec")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def client_context(
    bundle: Bundle | None, server_authority: str, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """What a device is told: whom it trusts, and its certificate and key, if any; one version of TLS, or any."""
    context = ssl.create_default_context(cadata=server_authority)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if bundle is not None:
        with TemporaryDirectory() as folder:
            file = Path(folder, "device.pem")
            file.write_text(bundle.certificate + bundle.key)
            context.load_cert_chain(file)
    return context


class Peer(Client):
    """`answer` says 0 for ACK, an Error-Cause for NAK, None for silence; `asked` keeps what it was asked for."""

    def __init__(
        self,
        port: int,
        bundle: Bundle | None,
        server_authority: str,
        *,
        answer: Answerer = lambda packet: 0,
        version: ssl.TLSVersion | None = None,
        secret: str = "radsec",
        prove: bool = True,
    ) -> None:
        super().__init__(HOST, 0, 0, secret, prove=prove)
        self.port = port
        self.asked: list[Packet] = []
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()  # what came and was no answer to a question of ours
        self.lost = asyncio.Event()
        self._context = client_context(bundle, server_authority, version)
        self._answer = answer
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(HOST, self.port, ssl=self._context)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()
        assert self._reading is not None
        await asyncio.wait([self._reading])

    @property
    def version(self) -> str:
        """The version of TLS that was agreed upon."""
        return str(self.writer.get_extra_info("ssl_object").version())

    def send(self, octets: bytes) -> None:
        """Octets as they are."""
        self.writer.write(octets)

    async def next_frame(self) -> bytes:
        """The next packet that answers no question of ours."""
        async with asyncio.timeout(PATIENCE):
            return await self.frames.get()

    async def ended(self) -> None:
        """Wait until the connection is closed by the engine."""
        async with asyncio.timeout(PATIENCE):
            await self.lost.wait()

    async def _exchange(self, server: tuple[str, int], build: Callable[[int], bytes]) -> Answer:
        number = self._next = (self._next + 1) % 256
        octets = build(number)
        answer: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (octets, answer)
        closed = asyncio.create_task(self.lost.wait())
        try:
            self.send(octets)
            await asyncio.wait([answer, closed], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            self._waiting.pop(number, None)
        if not answer.done():
            raise NoAnswer("the connection was closed" if self.lost.is_set() else "no answer")
        return Answer(answer.result())

    async def _read(self) -> None:
        try:
            while True:
                head = await self.reader.readexactly(4)
                self._frame(head + await self.reader.readexactly((head[2] << 8 | head[3]) - 4))
        except (OSError, asyncio.IncompleteReadError):
            self.lost.set()

    def _frame(self, octets: bytes) -> None:
        packet = parse(octets)
        if packet.code in (40, 43):
            self._asked(packet)
            return
        question, answer = self._waiting.get(packet.id, (b"", None))
        if answer is None or answer.done():
            self.frames.put_nowait(octets)
            return
        try:
            answer.set_result(parse_reply(octets, question, self._secret))
        except BadPacket:
            self.frames.put_nowait(octets)

    def _asked(self, packet: Packet) -> None:
        assert proves_request(packet, SECRET) and proves_message(packet, SECRET)
        self.asked.append(packet)
        verdict: Any = self._answer(packet)
        if verdict is not None:
            cause = attribute("Error-Cause", verdict) if verdict else b""
            self.send(reply(packet.code + (2 if verdict else 1), packet, SECRET, cause))


async def refused(peer: Peer) -> bool:
    """Whether the engine ends the connection before it answers anything."""
    try:
        async with peer as device:
            device.send(status(1))
            await device.ended()
            return device.frames.empty()
    except (ssl.SSLError, ConnectionError):
        return True


def long_status(number: int) -> bytes:
    """A Status-Server whose answer is long, for Proxy-State comes back: a few hundred fill every buffer."""
    states = codec.plain(codec.PROXY_STATE, bytes(253)) * 8
    return access_request(codec.STATUS_SERVER, number % 256, number.to_bytes(16, "big"), SECRET, states)


def status(number: int, *, prove: bool = True) -> bytes:
    """A Status-Server."""
    return access_request(codec.STATUS_SERVER, number, bytes(16), SECRET, b"", prove=prove)


def login(number: int, username: str = USERNAME, password: str = USER_PASSWORD, extra: bytes = b"") -> bytes:
    """An Access-Request with User-Password; with `extra` attributes, it has a Message-Authenticator."""
    hidden = plain(codec.USER_PASSWORD, hide_password(password.encode(), SECRET, bytes(16)))
    values = attributes(("User-Name", username)) + hidden + extra
    return access_request(codec.ACCESS_REQUEST, number, bytes(16), SECRET, values, prove=bool(extra))
