"""The workers of a pool: started, replaced when one dies, ended in order.

Each worker is a process of its own that binds the same ports. It knows by its standard input that the supervisor is
gone, so that no worker outlives it, however it died.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from saas.radius.server import probe

GRACE: Final = 15.0  # seconds that a worker has to finish what is under way
PAUSE: Final = 1.0  # seconds before a dead worker is replaced

_log = logging.getLogger(__name__)


async def run(
    command: Sequence[str],
    workers: int,
    stop: asyncio.Event,
    ports: Sequence[tuple[str, int]],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Keep `workers` processes of `command` until `stop` is set. OSError when one of the (host, port)s is taken.

    `environment` replaces the inherited one. The command must serve until SIGTERM or until `watch_parent` tells it.
    """
    for host, port in ports:
        probe(host, port)
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(_keep(command, stop, environment))


def watch_parent(stop: asyncio.Event) -> None:
    """In a worker: set `stop` when the supervisor is gone, which is when standard input ends."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

    loop.add_reader(sys.stdin.fileno(), readable)


async def _keep(command: Sequence[str], stop: asyncio.Event, environment: Mapping[str, str] | None) -> None:
    while not stop.is_set():
        worker = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, env=environment, start_new_session=True
        )
        await _until_dead_or_stopped(worker, stop)
        if not stop.is_set():
            _log.error("worker %d ended with status %s and is replaced", worker.pid, worker.returncode)
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await stop.wait()


async def _until_dead_or_stopped(worker: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    dead = asyncio.create_task(worker.wait())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([dead, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not dead.done():
            worker.terminate()
            if not (await asyncio.wait([dead], timeout=GRACE))[0]:
                worker.kill()
                await dead
    finally:
        stopped.cancel()
