"""What consoles and jobs ask of the pool: a session is to be ended. One worker takes each command and answers it.

Where another worker holds the device's RadSec connection, the command is handed on to that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from saas.radius.coa import Disconnector
from saas.radius.gate import Gate
from saas.radius.identify import Nas
from saas.radius.radsec import Radsec
from saas.tenants import disconnects, reverse
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.scope import PlatformScope

RADSEC: Final = "RadSec"  # where a request went that went down the device's connection


class Commands:
    """Takes commands as long as it runs, any number at a time."""

    def __init__(
        self, ps: PlatformScope, pool: str, worker: str, gate: Gate, radsec: Radsec, disconnector: Disconnector
    ) -> None:
        self._ps = ps
        self._pool = pool
        self._worker = worker
        self._gate = gate
        self._radsec = radsec
        self._disconnector = disconnector
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take the pool's commands for ever."""
        async for command in disconnects.commands(self._ps, self._pool):
            self._start(self._take(command))

    async def run_handed(self) -> None:
        """Take what other workers hand on, for ever."""
        async for command in reverse.commands(self._ps, self._worker):
            self._start(self._execute(command))

    async def drain(self) -> None:
        """Finish what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _take(self, command: Command) -> None:
        """To the worker that holds the device's connection, when it is another one; else it is ours."""
        if self._radsec.connection(command.nas_id) is None:
            holder = await reverse.holder(self._ps, command.tenant_id, command.nas_id)
            if holder not in ("", self._worker) and await reverse.hand_on(self._ps, holder, command):
                return
        await self._execute(command)

    async def _execute(self, command: Command) -> None:
        await disconnects.answer(self._ps, command.id, await self._disconnect(command))

    async def _disconnect(self, command: Command) -> CommandResult:
        nas = self._gate.table.devices.get(command.nas_id)
        host = self._host(nas, command) if nas is not None and nas.tenant_id == command.tenant_id else ""
        if nas is None or not host:
            return CommandResult("unreachable", 0)
        outcome = await self._disconnector.disconnect(nas.device, host, session_attributes(nas, command))
        address = host if host == RADSEC else f"{host}:{nas.device.coa_port}"
        return CommandResult(outcome.result, outcome.attempts, outcome.error_cause, outcome.rtt_ms, address)

    def _host(self, nas: Nas, command: Command) -> str:
        """The device's connection first, then a fixed address, then where the session's accounting came from, then
        what the name stands for. A device that is known by its certificate alone has no address.
        """
        if self._radsec.connection(nas.id) is not None:
            return RADSEC
        if nas.device.mode == "certificate":
            return ""
        return nas.device.address or command.source or next(iter(self._gate.table.addresses(nas)), "")


def session_attributes(nas: Nas, command: Command) -> dict[str, Any]:
    """The session as attribute name -> value; each vendor takes from it what identifies a session to its devices.

    NAS-Identifier only where the device is known to send the one that we have: another one would be refused.
    """
    return {
        "User-Name": command.username,
        "Acct-Session-Id": command.session_id,
        "NAS-Identifier": nas.device.identifier if nas.device.mode == "identifier" else "",
        "NAS-IP-Address": command.nas_ip if ":" not in command.nas_ip else "",
        "Framed-IP-Address": command.framed_ip,
        "Calling-Station-Id": command.calling_station_id,
        "NAS-Port": command.nas_port,
    }
