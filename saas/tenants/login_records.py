"""What the engine needs of accounts: each with its plan, its quota and its tenant's parameters as one record."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any

from saas import security
from saas.errors import Conflict
from saas.tenants import attributes, plans, quotas
from saas.tenants.access import LoginRecord
from saas.tenants.accounting import stale_after
from saas.tenants.accounts import Account
from saas.tenants.billing import METERED, affords
from saas.tenants.plans import Plan
from saas.tenants.scope import PlatformScope
from saas.tenants.windows import window_of

log = logging.getLogger(__name__)


async def find(ps: PlatformScope, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], LoginRecord]:
    """What the engine needs of the accounts (tenant id, user name) that exist.

    A query for each tenant among them, side by side: one for all tenants would be an $or, which not every server
    answers from the index. Three more for their quotas, plans and tenants, and one for balances that pay for use.
    """
    wanted: dict[str, list[str]] = defaultdict(list)
    for tenant_id, username in keys:
        wanted[tenant_id].append(username)
    found_rows = await asyncio.gather(*(_named(ps, tenant_id, names) for tenant_id, names in wanted.items()))
    rows = await quotas.join(ps.db, [row for some in found_rows for row in some])
    sold = await ps.db.plans.among(row["plan_id"] for row in rows)
    balances = await _balances(ps, rows, sold)
    tenants = await ps.db.tenants.among(row["tenant_id"] for row in rows)
    found: dict[tuple[str, str], LoginRecord] = {}
    for row in rows:
        try:
            plan, tenant = sold[row["plan_id"]], tenants[row["tenant_id"]]
            nt_hash = bytes.fromhex(ps.keys.unseal(row["tenant_id"], row["sealed_nt_hash"]))
            record = make(row, plan, tenant, balances.get(row["member_id"], 0), nt_hash)
        except (KeyError, security.Unsealable, Conflict) as error:  # one broken row keeps nobody else out
            log.error("account %s cannot log in: %s: %s", row["_id"], type(error).__name__, error)
            continue
        found[row["tenant_id"], row["username"]] = record
    return found


def make(
    account: Account, plan: Plan, tenant: Mapping[str, Any], balance: int = 0, nt_hash: bytes = b""
) -> LoginRecord:
    """An account with its plan, its tenant's parameters and its member's balance, as `access.decide` takes it; for the
    engine with the NT hash. The balance is looked at where use is charged to it.
    """
    parameters, plan = tenant["parameters"], plans.in_force(plan, account)
    return LoginRecord(
        tenant_id=intern(account["tenant_id"]),  # the same text for all: a worker keeps very many records
        account_id=account["_id"],
        username=account["username"],
        status=intern(account["status"]),
        sealed_password=account["sealed_password"],
        nt_hash=nt_hash,
        plan_id=plan["_id"],
        plan_name=plan["name"],
        nas_ids=frozenset(plan["nas_ids"]),
        expires_at=account["expires_at"].timestamp() if account["expires_at"] else None,
        concurrency=plan["concurrency"],
        up_rate=plan["up_rate"],
        down_rate=plan["down_rate"],
        address_pool=plan["address_pool"],
        static_ip=account["static_ip"],
        interim_interval=parameters["interim_interval"],
        max_session_time=parameters["max_session_time"],
        stale_after=stale_after(parameters),
        **_left(account, plan, balance),
        counted=plan["counted"],
        window=window_of(plan, parameters["timezone"]),
        mac=account["mac"] if plan["bind_mac"] != "off" else "",
        vlan=account["vlan"] if plan["bind_vlan"] != "off" else "",
        learns=tuple(part for part in ("mac", "vlan") if _learns(account, plan, part)),
        at_end=plan["at_end"],
        end_pool=plan["end_pool"],
        end_up_rate=plan["end_up_rate"],
        end_down_rate=plan["end_down_rate"],
        restricted_timeout=parameters["restricted_timeout"],
        kicks=plan["over_limit"] == "kick_oldest",
        static_ipv6=account["static_ipv6"],
        delegated_prefix=account["delegated_prefix"],
        ipv6_pool=plan["ipv6_pool"],
        delegated_pool=plan["delegated_pool"],
        idle_timeout=plan["idle_timeout"],
        extra=attributes.pairs(plan["attributes"]),
    )


def _left(account: Account, plan: Plan, balance: int) -> dict[str, int | None]:
    """What is left of the quota; where use is charged, what the balance pays for."""
    if plan["kind"] not in METERED:
        return {"octets_left": account["octets_left"], "seconds_left": account["seconds_left"]}
    name = "seconds_left" if plan["kind"] == "per_hour" else "octets_left"
    return {"balance": balance, name: affords(plan, balance)}


async def _balances(ps: PlatformScope, rows: Sequence[Any], sold: Mapping[str, Plan]) -> dict[str, int]:
    """Balances of the members whose accounts are charged by use."""
    by_use = {
        row["member_id"]
        for row in rows
        if row["plan_id"] in sold and plans.in_force(sold[row["plan_id"]], row)["kind"] in METERED
    }
    found = await ps.db.members.among(by_use, ["balance"])
    return {member_id: int(member["balance"]) for member_id, member in found.items()}


def _learns(account: Mapping[str, Any], plan: Mapping[str, Any], part: str) -> bool:
    """Whether the account's "mac" or "vlan" is still to be learnt, at its first login."""
    return plan[f"bind_{part}"] == "learn" and not account[part]


async def _named(ps: PlatformScope, tenant_id: str, usernames: list[str]) -> list[Any]:
    filter = {"tenant_id": tenant_id, "username": {"$in": usernames}}
    return await ps.db.accounts.find(filter, sort=[("username", 1)], limit=len(usernames))
