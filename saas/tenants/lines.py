"""An account's line: the MAC address and VLAN it is bound to, the addresses it always gets.

Whether a binding holds is the plan's to say (`bind_mac`, `bind_vlan`). Where the plan lets it be learnt, the engine
notes the line of an accepted login, and the first note to be written binds the account: the store decides between two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import Field

from saas.i18n import N_
from saas.tenants import audit, records
from saas.tenants.access import LoginRecord
from saas.tenants.accounts import ACCOUNT, Account
from saas.tenants.fanout import each_tenant
from saas.tenants.forms import Address4, Address6, Form, Mac, Prefix6, Vlan
from saas.tenants.ports import vlan_of
from saas.tenants.scope import PlatformScope, Scope
from saas.values import normal_mac, utcnow

_PARTS = ("mac", "vlan")


class LineForm(Form):
    """Everything one sets of a line; empty is not bound, not fixed."""

    mac: Mac = Field(
        default="",
        title=N_("MAC address"),
        description=N_("Holds if the plan binds to it."),
        json_schema_extra={"placeholder": "AA-BB-CC-DD-EE-FF"},
    )
    vlan: Vlan = Field(
        default="",
        title=N_("VLAN"),
        description=N_("Holds if the plan binds to it. Two with a point between them, in the order the device tells."),
        json_schema_extra={"placeholder": "100.2001"},
    )
    static_ip: Address4 = Field(default="", title=N_("Fixed IP"), description=N_("Empty: from the device's pool."))
    static_ipv6: Address6 = Field(
        default="",
        title=N_("Fixed IPv6 address or prefix"),
        description=N_("A prefix is for the line between device and subscriber, usually a /64."),
        json_schema_extra={"placeholder": "2001:db8::/64"},
    )
    delegated_prefix: Prefix6 = Field(
        default="",
        title=N_("Delegated IPv6 prefix"),
        description=N_("For the network behind the subscriber's router."),
        json_schema_extra={"placeholder": "2001:db8:1::/56"},
    )


@dataclass(frozen=True, slots=True)
class Learnt:
    """The line of an accepted login of an account that is still to be bound; "" where there is nothing to learn."""

    tenant_id: str
    account_id: str
    username: str
    mac: str
    vlan: str
    at: float  # seconds since 1970, UTC


async def update(scope: Scope, account_id: str, form: LineForm, version: int | None = None) -> Account:
    """Set an account's line; it holds from the next log-in on. NotFound, Conflict("changed")."""
    return await _change(scope, account_id, "line", form.model_dump(), version)


async def release(scope: Scope, account_id: str) -> Account:
    """Take the bindings away; where the plan lets them be learnt the next log-in binds anew. NotFound."""
    return await _change(scope, account_id, "release", dict.fromkeys(_PARTS, ""))


def seen(record: LoginRecord, station: str, nas_port_id: bytes, at: float) -> Learnt | None:
    """What a login tells of a line that is to be learnt. None when it tells nothing that can be bound."""
    mac = station if "mac" in record.learns and normal_mac(station) == station else ""
    vlan = vlan_of(nas_port_id) if "vlan" in record.learns else ""
    if not mac and not vlan:
        return None
    return Learnt(record.tenant_id, record.account_id, record.username, mac, vlan, at)


async def learn(ps: PlatformScope, found: Iterable[Learnt]) -> None:
    """Bind the accounts that are not bound yet, each to the first line. Once for all: a repeat changes nothing."""
    by_tenant: dict[str, list[Learnt]] = {}
    for line in sorted(found, key=lambda line: line.at):
        by_tenant.setdefault(line.tenant_id, []).append(line)
    await each_tenant(ps, "lines", by_tenant, _learn)


async def _learn(scope: Scope, found: Sequence[Learnt]) -> int:
    bound = 0
    for line in found:
        for part in _PARTS:
            if value := getattr(line, part):
                bound += await _bind(scope, line, part, value)
    return bound


async def _bind(scope: Scope, line: Learnt, part: str, value: str) -> bool:
    """Bind an account, and tell it to the engines; False when it is bound already, or gone."""

    async def write(tx: Scope) -> bool:
        free = {"_id": line.account_id, part: ""}
        change = {"$set": {part: value, "updated_at": utcnow()}, "$inc": {"version": 1}}
        if not await tx.db.accounts.update_one(free, change):
            return False
        told = {"before": {part: ""}, "after": {part: value}}
        await audit.record(tx, "account.learn", line.account_id, name=line.username, **told)
        return True

    bound = await scope.transaction(write)
    if bound:
        await scope.changed("account", line.username)
    return bound


async def _change(
    scope: Scope, account_id: str, verb: str, values: dict[str, str], version: int | None = None
) -> Account:
    account: Account = await records.change(scope, ACCOUNT, account_id, values, verb=verb, version=version)
    await scope.changed("account", account["username"])
    return account
