"""Whether a device takes requests to end sessions: asked with one for a session that nobody has, before it matters."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from saas import security
from saas.errors import Conflict
from saas.tenants import audit, disconnects, nas
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.scope import Scope
from saas.values import new_id

_UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(("framed_ip", "framed_ipv6", "calling_station_id", "called_station_id", "nas_port_id"), ""),
    **dict.fromkeys(("nas_port_type", "service_type", "multi_session_id"), ""),
    "nas_port": None,
}


async def probe(scope: Scope, nas_id: str) -> CommandResult:
    """Ask a device to end a session that does not exist, within six seconds. NotFound, Conflict("in_progress").

    Whatever it answers, it has heard and believed us; it should say that it knows no such session.
    """
    device = await nas.get(scope, nas_id)
    id, made_up = new_id("prb"), f"test-{security.new_secret(12)}"
    kv, lease = scope.services.kv, f"probe:{nas_id}"
    if not await kv.lease(lease, id, disconnects.WAIT):
        raise Conflict("in_progress", name=device["name"])
    try:
        command = Command(
            id=id,
            tenant_id=scope.tenant_id,
            nas_id=nas_id,
            kind="disconnect",
            deadline=time.time() + disconnects.WAIT,
            session_id=made_up,
            username=made_up,
            **_UNKNOWN,
            **await _place(scope, nas_id),
        )
        result = await disconnects.ask(scope, command)
        told = {name: value for name, value in asdict(result).items() if value not in (None, "")}
        await audit.record(scope, "nas.probe", nas_id, name=device["name"], after=told)
        return result
    finally:
        await kv.release(lease, id)


def hears(result: CommandResult) -> bool:
    """Whether the device does what it should with such a request."""
    return result.result == "ack" or (result.result == "nak" and result.error_cause == disconnects.NO_CONTEXT)


async def _place(scope: Scope, nas_id: str) -> dict[str, Any]:
    """Where the device was last heard of, as far as sessions or refused log-ins tell, and its own address."""
    own, fields = {"nas_id": nas_id}, ["source", "nas_ip"]
    for table in (scope.db.online, scope.db.sessions):
        for row in await table.find(own, sort=[("_id", -1)], limit=1, fields=fields):
            return {"source": row["source"], "nas_ip": row["nas_ip"]}
    found = await scope.db.refusals.find(own, sort=[("last_at", -1)], limit=1, fields=["source"])
    return {"source": found[0]["source"] if found else "", "nas_ip": ""}
