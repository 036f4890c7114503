"""The share card: what a subscriber needs to dial in, shown once to whoever opened the account or set its password."""

from __future__ import annotations

from dataclasses import dataclass

from saas.tenants.accounts import Account
from saas.tenants.plans import Plan
from saas.tenants.scope import Scope

SECONDS = 600
_SERVERS = 5


@dataclass(frozen=True, slots=True)
class Card:
    """`password` in clear; `servers` as (device's name, its address or host name), of the devices that have one."""

    username: str
    password: str
    servers: tuple[tuple[str, str], ...]


async def offer(scope: Scope, account_id: str) -> None:
    """Let the actor take the account's card once, within ten minutes. No password is kept for that."""
    await scope.kv.put(_key(scope, account_id), True, SECONDS)


async def take(scope: Scope, account: Account, plan: Plan) -> Card | None:
    """The card that was offered to the actor; None when none was, or when it has been taken already."""
    if not await scope.kv.delete(_key(scope, account["_id"])):
        return None
    return Card(account["username"], scope.unseal(account["sealed_password"]), await _servers(scope, plan))


async def _servers(scope: Scope, plan: Plan) -> tuple[tuple[str, str], ...]:
    """Where the plan's subscribers may dial in."""
    filter = {"status": "active"} | ({"_id": {"$in": plan["nas_ids"]}} if plan["nas_ids"] else {})
    rows = await scope.db.nas.find(filter, sort=[("name", 1)], limit=200, fields=["name", "address", "ddns"])
    reachable = [(row["name"], row["ddns"] or row["address"]) for row in rows if row["ddns"] or row["address"]]
    return tuple(reachable[:_SERVERS])


def _key(scope: Scope, account_id: str) -> str:
    return f"share:{scope.actor.id}:{account_id}"
