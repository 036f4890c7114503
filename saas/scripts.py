"""The connection on which engines ask Redis: many asked at once, answered in order (the pipelining of RESP).

Engines ask for every batch of packets. Through the client's commands that cost half a millisecond each time, most of it
for what they do not need; so the client only opens the connection, with its TLS and its password, and hands it over.
hiredis, the parser of the Redis project, reads the answers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from hiredis import Reader, ReplyError, pack_command

LIMIT: Final = 1024  # batches that may be outstanding; a server that owes more is as good as away


def packed(*command: str | bytes | int) -> bytes:
    """A command as Redis wants it."""
    return bytes(pack_command(command))  # type: ignore[arg-type]  # its stub names a tuple of one


class Broken(ConnectionError):
    """The connection is gone. What was asked last may have been done or not."""


class ScriptConnection(asyncio.Protocol):
    """Takes over the connection that `opened`, a connection of the client, has opened."""

    def __init__(self, opened: Any) -> None:
        self._writer, opened._writer, opened._reader = opened._writer, None, None  # closes the socket when collected
        self._reader = Reader()
        self._lost = asyncio.Event()
        self._owed: deque[tuple[int, asyncio.Future[list[Any]]]] = deque()  # how many answers each batch waits for
        self._come: list[Any] = []  # answers of the first batch that is owed
        self._transport: Any = self._writer.transport
        self._transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether it can be asked: False once it broke."""
        return not self._transport.is_closing()

    async def ask(self, commands: bytes, count: int) -> list[Any]:
        """The answers to so many packed commands, texts as octets; a refusal is a ReplyError among them. Broken.

        Whoever gives up waiting breaks the connection: it does not answer, and so nobody waits behind it.
        """
        if not self.usable or len(self._owed) >= LIMIT:
            self.break_off()
            raise Broken
        answers = asyncio.get_running_loop().create_future()
        self._owed.append((count, answers))
        self._transport.write(commands)
        try:
            return await answers
        except asyncio.CancelledError:
            self.break_off()
            raise

    def break_off(self) -> None:
        """Close it at once; everybody who waits gets Broken."""
        self._transport.abort()

    async def close(self) -> None:
        """Close it, and wait until it is."""
        self.break_off()
        await self._lost.wait()

    def data_received(self, data: bytes) -> None:
        """Answers, whole or in part."""
        self._reader.feed(data)
        gets, come = self._reader.gets, self._come
        while (answer := gets()) is not False:
            come.append(answer)
        done = 0
        while self._owed and len(come) - done >= self._owed[0][0]:
            count, waiting = self._owed.popleft()
            if not waiting.done():
                waiting.set_result(come[done : done + count])
            done += count
        del come[:done]

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self._lost.set()
        while self._owed:
            _, waiting = self._owed.popleft()
            if not waiting.done():
                waiting.set_exception(Broken())


__all__ = ["Broken", "ReplyError", "ScriptConnection", "packed"]
