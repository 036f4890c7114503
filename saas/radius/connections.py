"""One RadSec connection (RFC 6614, RFC 6613): packets in, answers out; and requests of ours down it (reverse CoA).

Nothing is read while too much of the connection is unanswered, or while the device does not take our answers, so that
what one device can make a worker remember is bounded.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol, cast

from saas.certs import fingerprint
from saas.radius.authenticators import Secret, keyed_request, parse_reply
from saas.radius.coa import Outcome
from saas.radius.codec import HEADER, MAX_PACKET, BadPacket, Packet
from saas.radius.identify import Nas

SECRET: Final = Secret(b"radsec")  # RFC 6614 section 2.3
UNANSWERED: Final = 256  # requests; as many as one octet can tell apart
WRITE_BUFFER: Final = 128 * 1024  # octets not taken by the device, from which on nothing more is read
ANSWER: Final = 3.0  # seconds that a device has to answer a request of ours


class Hub(Protocol):
    """Who gets what connections bring."""

    idle: float  # seconds without a packet after which a connection is closed

    def opened(self, connection: Connection) -> Nas | None:
        """The TLS handshake is done. The device of its certificate; None when it is not accepted."""

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """Packets, each as long as its header says."""

    def broken(self, connection: Connection, reason: str) -> None:
        """What came is not RADIUS; the connection ends."""

    def lost(self, connection: Connection) -> None:
        """One that was accepted has ended."""


class _Asked(NamedTuple):
    octets: bytes
    answer: asyncio.Future[Packet | None]


class Connection(asyncio.Protocol):
    """A device's connection. `source` is where it comes from; `nas` its device, once it is accepted."""

    nas: Nas

    def __init__(self, hub: Hub, source: str) -> None:
        self.source = source
        self.fingerprint = ""
        self.last_at = 0.0  # of the loop's clock, of the last packet
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._unanswered = 0
        self._accepted = False
        self._working = False
        self._blocked = False  # the device does not take what we send
        self._paused = False
        self._idle: asyncio.TimerHandle | None = None
        self._number = 0
        self._asked: dict[int, _Asked] = {}

    @property
    def alive(self) -> bool:
        """Whether answers can go down it."""
        return self._transport is not None and not self._transport.is_closing()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        transport = self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.fingerprint = fingerprint(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
        nas = self._hub.opened(self)
        if nas is None:
            transport.close()
            return
        self._accepted = True
        self.nas = nas
        self.last_at = self._loop.time()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Some octets."""
        self._buffer += data
        self._work()

    def pause_writing(self) -> None:
        """The device takes nothing at present."""
        self._blocked = True
        self._pace()

    def resume_writing(self) -> None:
        """It does again."""
        self._blocked = False
        self._pace()
        self._work()

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        self._transport = None
        if self._idle is not None:
            self._idle.cancel()
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_result(None)
        if self._accepted:
            self._hub.lost(self)

    # in

    def begun(self) -> None:
        """A request of this connection is worked on."""
        self._unanswered += 1

    def done(self) -> None:
        """It has been answered, or will not be."""
        self._unanswered -= 1
        if self._paused and self._unanswered <= UNANSWERED // 2:
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """Hand over what has come whole, as far as there is room."""
        if self._working:
            return
        self._working = True
        try:
            while self.alive and not self._blocked and (frames := self._frames()):
                self.last_at = self._loop.time()
                self._hub.received(self, frames)
        finally:
            self._working = False
        self._pace()

    def _frames(self) -> list[bytes]:
        buffer, at, end = self._buffer, 0, len(self._buffer)
        frames: list[bytes] = []
        while end - at >= 4 and len(frames) < UNANSWERED - self._unanswered:
            length = buffer[at + 2] << 8 | buffer[at + 3]
            if not HEADER <= length <= MAX_PACKET:
                if not frames:
                    self._hub.broken(self, "bad_length")
                break
            if length > end - at:
                break
            frames.append(bytes(buffer[at : at + length]))
            at += length
        del buffer[:at]
        return frames

    def _pace(self) -> None:
        pause = self._blocked or self._unanswered >= UNANSWERED
        if pause != self._paused and self._transport is not None and self.alive:
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _watch(self) -> None:
        """Close when nothing came for long; one timer, which looks again when it was too early."""
        due = self.last_at + self._hub.idle
        if due <= self._loop.time():
            self.close()
        else:
            self._idle = self._loop.call_at(due, self._watch)

    # out

    def send(self, octets: bytes) -> None:
        """Send a packet, together with the others of this turn of the loop; lost when the connection has ended."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(octets)

    def close(self) -> None:
        """End it, once the device has taken what was sent; a device that takes nothing is not waited for long."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and self.alive:
            self._transport.write(b"".join(out))

    # requests of ours

    async def ask(self, code: int, attributes: bytes) -> Outcome:
        """Send a Disconnect- or CoA-Request down the connection; nothing is sent twice, since nothing gets lost.

        Outcome "radsec_timeout" when no answer comes, or the connection ends first.
        """
        number = self._free_number()
        if number is None:
            return Outcome("radsec_timeout")
        octets = keyed_request(code, number, SECRET, attributes, prove=True)
        answer: asyncio.Future[Packet | None] = self._loop.create_future()
        self._asked[number] = _Asked(octets, answer)
        started = self._loop.time()
        try:
            self.send(octets)
            await asyncio.wait([answer], timeout=ANSWER)
        finally:
            del self._asked[number]
        packet = answer.result() if answer.done() else None
        if packet is None:
            return Outcome("radsec_timeout", attempts=1)
        rtt_ms = round((self._loop.time() - started) * 1000)
        if packet.code == code + 1:  # RFC 5176 section 2.3: a request's code, then its ACK's, then its NAK's
            return Outcome("ack", None, 1, rtt_ms)
        return Outcome("nak", packet.value("Error-Cause"), 1, rtt_ms)

    def answered(self, data: bytes) -> None:
        """An answer to a request of ours. BadPacket when it is none, or not proven."""
        asked = self._asked.get(data[1])
        if asked is None or data[0] - asked.octets[0] not in (1, 2):
            raise BadPacket("unexpected_answer")
        packet = parse_reply(data, asked.octets, SECRET)
        if not asked.answer.done():
            asked.answer.set_result(packet)

    def _free_number(self) -> int | None:
        """The next identifier that no request has; None when every one is in use."""
        for step in range(1, 257):
            number = (self._number + step) % 256
            if number not in self._asked:
                self._number = number
                return number
        return None
