"""Accounts: what dials in. Opened on a plan, for a member."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, NotRequired, TypedDict

from pydantic import Field

from saas import security
from saas.errors import Denied, Invalid, Taken
from saas.i18n import N_
from saas.store import Table
from saas.tenants import audit, billing, ledger, platform, records
from saas.tenants.access import LoginRecord
from saas.tenants.forms import Address4, Form, Line, Mobile, Note, OptionalPassword, Password, Username
from saas.tenants.members import new_member
from saas.tenants.paging import ListQuery, Page, page, search_keys, starts_with
from saas.tenants.plans import Plan, allowance
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.windows import window_of
from saas.values import new_id, normal_username, utcnow

MAX_MONTHS = 36
log = logging.getLogger(__name__)

PAY_METHODS: dict[str, Any] = {
    "cash": N_("Cash"),
    "wechat": N_("WeChat"),
    "alipay": N_("Alipay"),
    "transfer": N_("Bank transfer"),
}


ACCOUNT = records.Noun("accounts", "account", "acc", "username")


class Account(TypedDict):
    """`username` is unique in the tenant, in its normal spelling. `status`: "normal", "suspended", "closed".

    `expires_at` None: never. `octets_left`, `seconds_left`: of what was paid, None: not limited; below 0 by what flowed
    within one interim interval; `fallen_at`: when they fell to nothing, until that is told (saas.tenants.reminders).
    `mac` and `vlan`: the line it is bound to where its plan says so (saas.tenants.lines).
    Password and NT hash are sealed for the tenant.
    """

    _id: str
    tenant_id: str
    member_id: str
    member_name: str
    agent_id: str | None
    username: str
    sealed_password: bytes
    sealed_nt_hash: bytes
    status: str
    plan_id: str
    expires_at: datetime | None
    octets_left: int | None
    seconds_left: int | None
    fallen_at: NotRequired[datetime | None]
    static_ip: str
    static_ipv6: str
    delegated_prefix: str
    mac: str
    vlan: str
    search: list[str]
    attempt: str  # the key of the request that opened it: a repeat finds it
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Quote:
    """A price before it is paid: `price` in minor units for all `months`, `expires_at` if paid now."""

    plan: Plan
    months: int
    price: int
    expires_at: datetime


class QuickOpenForm(Form):
    """Member and account under one name, in one go. An empty password is made."""

    username: Username = Field(title=N_("Account name"), json_schema_extra={"autocomplete": "off"})
    password: OptionalPassword = Field(
        default="",
        title=N_("Password"),
        description=N_("At least 6 characters. Empty: one is made."),
        json_schema_extra={"widget": "secret", "autocomplete": "off"},
    )
    plan_id: str = Field(min_length=1, max_length=64, title=N_("Plan"), json_schema_extra={"widget": "plan"})
    months: int = Field(default=1, ge=1, le=MAX_MONTHS, title=N_("Months"))
    method: Literal["cash", "wechat", "alipay", "transfer"] = Field(
        default="cash", title=N_("Paid by"), json_schema_extra={"labels": PAY_METHODS}
    )
    name: Line = Field(default="", title=N_("Real name"))
    mobile: Mobile = Field(default="", title=N_("Mobile"))
    static_ip: Address4 = Field(
        default="",
        title=N_("Fixed IP"),
        description=N_("Empty: from the device's pool."),
        json_schema_extra={"group": N_("More")},
    )
    note: Note = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea", "group": N_("More")})


class AccountPasswordForm(Form):
    """A new password for dialling in."""

    password: Password = Field(
        title=N_("New password"), json_schema_extra={"widget": "secret", "autocomplete": "new-password"}
    )


async def quick_open(scope: Scope, form: QuickOpenForm, attempt: str) -> tuple[Account, str]:
    """Open member and account, take the money for the months; (account, its password). Once for each `attempt` key.

    The member can log in to self-service with the same name and password. Invalid plan, Taken("username"), Limit.
    """
    existing = await scope.db.accounts.one({"username": form.username})
    if existing and existing["attempt"] == attempt:
        return existing, scope.unseal(existing["sealed_password"])
    if existing:
        raise Taken("username")
    plan = await _plan_for_sale(scope, form.plan_id)
    await platform.check_tier(scope, "accounts")
    password = form.password or security.new_secret(10)
    hashed = await asyncio.to_thread(security.hash_password, password)
    member = new_member(form.username, name=form.name, mobile=form.mobile, note=form.note, password_hash=hashed)
    zone = scope.tenant["parameters"]["timezone"]
    account = new_account(scope, member, plan["_id"], form.username, password) | {
        "expires_at": billing.expiry(utcnow(), form.months, zone),
        **allowance(plan, form.months),
        "static_ip": form.static_ip,
        "attempt": attempt,
    }

    async def write(tx: Scope) -> Account:
        try:
            await tx.db.members.insert(member)
        except Taken as error:
            raise Taken("username") from error
        opened: Account = await tx.db.accounts.insert(account)
        await _take_money(tx, opened, plan, form, attempt)
        await audit.record(tx, "account.open", opened["_id"], name=opened["username"], after=opened)
        return opened

    opened = await scope.transaction(write)
    await scope.changed("account", opened["username"])
    return opened, password


async def quote(scope: Scope, plan_id: str, months: int) -> Quote | None:
    """What an account opened now would cost; None when the plan is not on sale or the months are not 1 to 36."""
    plan: Plan | None = await scope.db.plans.one({"_id": plan_id, "status": "active"})
    if plan is None or not 1 <= months <= MAX_MONTHS:
        return None
    ends = billing.expiry(utcnow(), months, scope.tenant["parameters"]["timezone"])
    return Quote(plan, months, billing.price_of(plan["price"], months), ends)


async def change_password(scope: Scope, account_id: str, form: AccountPasswordForm) -> Account:
    """Set the password for dialling in; good from the next log-in on. NotFound."""
    account: Account = await records.change(scope, ACCOUNT, account_id, _sealed(scope, form.password), verb="password")
    await scope.changed("account", account["username"])
    return account


async def reveal_password(scope: Scope, account_id: str) -> str:
    """The password in clear, where the tenant allows it; the look is logged. Denied otherwise."""
    account = await get(scope, account_id)
    if not scope.tenant["parameters"]["show_password"]:
        raise Denied("passwords_hidden")
    await audit.record(scope, "account.reveal_password", account_id, name=account["username"])
    return scope.unseal(account["sealed_password"])


async def get(scope: Scope, account_id: str) -> Account:
    """One account. NotFound."""
    account: Account = await scope.db.accounts.get(account_id)
    return account


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Accounts. Filters: `status`, `plan_id`, `member_id`; `q` is the beginning of a user name, name or mobile."""
    filter = {name: query.filters[name] for name in ("status", "plan_id", "member_id") if query.filters.get(name)}
    return await page(scope.db.accounts, filter | (starts_with(query.q) if query.q else {}), query)


def new_account(scope: Scope, member: Mapping[str, Any], plan_id: str, username: str, password: str) -> dict[str, Any]:
    """The row of a new account of a member: normal, without expiry."""
    now = utcnow()
    return _sealed(scope, password) | {
        "_id": new_id("acc"),
        "member_id": member["member_id"],
        "member_name": member["name"],
        "agent_id": member["agent_id"],
        "username": normal_username(username),
        "status": "normal",
        "plan_id": plan_id,
        "expires_at": None,
        "octets_left": None,
        "seconds_left": None,
        "static_ip": "",
        "static_ipv6": "",
        "delegated_prefix": "",
        "mac": "",
        "vlan": "",
        "search": search_keys(username, member["name"], member["mobile"]),
        "attempt": "",
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


async def login_records(ps: PlatformScope, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], LoginRecord]:
    """What the engine needs of the accounts (tenant id, user name) that exist.

    A query for each tenant among them, side by side: one for all tenants would be an $or, which not every server
    answers from the index. Two more for their plans and tenants.
    """
    wanted: dict[str, list[str]] = defaultdict(list)
    for tenant_id, username in keys:
        wanted[tenant_id].append(username)
    found_rows = await asyncio.gather(*(_named(ps, tenant_id, names) for tenant_id, names in wanted.items()))
    rows = [row for some in found_rows for row in some]
    plans = {row["_id"]: row for row in await _by_id(ps.db.plans, {row["plan_id"] for row in rows})}
    tenants = {row["_id"]: row for row in await _by_id(ps.db.tenants, {row["tenant_id"] for row in rows})}
    found: dict[tuple[str, str], LoginRecord] = {}
    for row in rows:
        try:
            record = login_record(ps.keys, row, plans[row["plan_id"]], tenants[row["tenant_id"]])
        except (KeyError, security.Unsealable) as error:  # one broken row keeps nobody else out
            log.error("account %s cannot log in: %s: %s", row["_id"], type(error).__name__, error)
            continue
        found[row["tenant_id"], row["username"]] = record
    return found


def login_record(keys: security.Keys, account: Account, plan: Plan, tenant: Mapping[str, Any]) -> LoginRecord:
    """An account with its plan and its tenant's parameters, as the engine and `access.decide` take it."""
    parameters = tenant["parameters"]
    return LoginRecord(
        tenant_id=account["tenant_id"],
        account_id=account["_id"],
        username=account["username"],
        status=account["status"],
        sealed_password=account["sealed_password"],
        nt_hash=bytes.fromhex(keys.unseal(account["tenant_id"], account["sealed_nt_hash"])),
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
        octets_left=account["octets_left"],
        seconds_left=account["seconds_left"],
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
    )


def _learns(account: Mapping[str, Any], plan: Mapping[str, Any], part: str) -> bool:
    """Whether the account's "mac" or "vlan" is still to be learnt, at its first login."""
    return plan[f"bind_{part}"] == "learn" and not account[part]


async def _named(ps: PlatformScope, tenant_id: str, usernames: list[str]) -> list[Any]:
    filter = {"tenant_id": tenant_id, "username": {"$in": usernames}}
    return await ps.db.accounts.find(filter, sort=[("username", 1)], limit=len(usernames))


async def _by_id(table: Table, ids: set[str]) -> list[Any]:
    return await table.find({"_id": {"$in": sorted(ids)}}, limit=len(ids)) if ids else []


async def _plan_for_sale(scope: Scope, plan_id: str) -> Plan:
    plan: Plan | None = await scope.db.plans.one({"_id": plan_id, "status": "active"})
    if plan is None:
        raise Invalid({"plan_id": "bad_choice"})
    return plan


async def _take_money(scope: Scope, account: Account, plan: Plan, form: QuickOpenForm, attempt: str) -> None:
    """The money comes in and pays for the months: both stand in the books, the balance is as before."""
    price = billing.price_of(plan["price"], form.months)
    if not price:
        return
    post = partial(
        ledger.post,
        scope,
        member_id=account["member_id"],
        account_id=account["_id"],
        list_price=price,
        note=f"{plan['name']} × {form.months}",
    )
    await post("payment", price, key=f"{attempt}:payment", method=form.method)
    await post("charge", -price, key=f"{attempt}:charge")


def _sealed(scope: Scope, password: str) -> dict[str, bytes]:
    return {
        "sealed_password": scope.seal(password),
        "sealed_nt_hash": scope.seal(security.nt_hash(password).hex()),
    }
