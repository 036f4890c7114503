"""The connection on which Redis runs our scripts: many asked at once, answered in order (the pipelining of RESP).

Engines run a script for every batch of packets. Through the client's commands that cost half a millisecond each time,
most of it for what a script does not need; so the client only opens the connection, with its TLS and its password, and
hands it over. hiredis, the parser of the Redis project, reads the answers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from hiredis import Reader, ReplyError, pack_command

LIMIT: Final = 1024  # answers that may be outstanding; a server that owes more is as good as away


class Broken(ConnectionError):
    """The connection is gone. What was asked last may have been done or not."""


class ScriptConnection(asyncio.Protocol):
    """Takes over the connection that `opened`, a connection of the client, has opened."""

    def __init__(self, opened: Any) -> None:
        self._writer, opened._writer, opened._reader = opened._writer, None, None  # closes the socket when collected
        self._reader = Reader()
        self._lost = asyncio.Event()
        self._owed: deque[asyncio.Future[Any]] = deque()
        self._transport: Any = self._writer.transport
        self._transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether it can be asked: False once it broke."""
        return not self._transport.is_closing()

    async def ask(self, *command: str | bytes | int) -> Any:
        """The answer to a command, texts as octets; a refusal is a ReplyError that is returned. Broken.

        Whoever gives up waiting breaks the connection: it does not answer, and so nobody waits behind it.
        """
        if not self.usable or len(self._owed) >= LIMIT:
            self.break_off()
            raise Broken
        answer = asyncio.get_running_loop().create_future()
        self._owed.append(answer)
        self._transport.write(pack_command(command))  # type: ignore[arg-type]  # its stub names a tuple of one
        try:
            return await answer
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
        while (answer := self._reader.gets()) is not False:
            waiting = self._owed.popleft()
            if not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self._lost.set()
        while self._owed:
            waiting = self._owed.popleft()
            if not waiting.done():
                waiting.set_exception(Broken())


__all__ = ["Broken", "ReplyError", "ScriptConnection"]
