"""What tests of every kind need: waiting without sleeping blindly, and ports that nobody uses."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

PATIENCE = 30.0  # seconds; long, since a wait costs only as long as it takes


async def until(condition: Callable[[], Any | Awaitable[Any]], what: str, seconds: float = PATIENCE) -> Any:
    """The condition's first true answer; it may be async. AssertionError that says `what` did not come about."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"within {seconds:.0f} s it did not come about that {what}"
        await asyncio.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that are free for TCP and UDP alike."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            tcp.bind(("127.0.0.1", 0))
            udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            found.append(tcp.getsockname()[1])
    return found
