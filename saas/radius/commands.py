"""What consoles and jobs ask of the pool: a session is to be ended or changed. One worker takes each command and
answers it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from saas.radius.coa import Disconnector
from saas.radius.codec import value_names
from saas.radius.gate import Gate
from saas.radius.identify import Nas
from saas.tenants import disconnects
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.scope import PlatformScope


class Commands:
    """Takes the pool's commands as long as it runs, any number at a time."""

    def __init__(self, ps: PlatformScope, pool: str, gate: Gate, disconnector: Disconnector) -> None:
        self._ps = ps
        self._pool = pool
        self._gate = gate
        self._disconnector = disconnector
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take commands for ever."""
        async for command in disconnects.commands(self._ps, self._pool):
            task = asyncio.create_task(self._execute(command))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def drain(self) -> None:
        """Finish what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _execute(self, command: Command) -> None:
        await disconnects.answer(self._ps, command.id, await self._ask(command))

    async def _ask(self, command: Command) -> CommandResult:
        nas = self._gate.table.devices.get(command.nas_id)
        host = self._host(nas, command) if nas is not None and nas.tenant_id == command.tenant_id else ""
        if nas is None or not host:
            return CommandResult("unreachable", 0)
        session = session_attributes(nas, command)
        if command.kind == "coa":
            speed, before = command.speed, command.before
            outcome = await self._disconnector.change_speed(nas.device, host, session, speed, before)
        else:
            outcome = await self._disconnector.disconnect(nas.device, host, session)
        return CommandResult(
            outcome.result, outcome.attempts, outcome.error_cause, outcome.rtt_ms, f"{host}:{nas.device.coa_port}"
        )

    def _host(self, nas: Nas, command: Command) -> str:
        """A fixed address first, then where the session's accounting came from, then what the name stands for."""
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
        "Service-Type": _number("Service-Type", command.service_type),
    }


def _number(attribute: str, name: str) -> int | None:
    """The number that the RFC's name stands for."""
    return next((number for number, known in value_names(attribute).items() if known == name), None)
