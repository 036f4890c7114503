"""Accounts: what dials in. Opened on a plan, for a member."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, NotRequired
from zoneinfo import ZoneInfo

from pydantic import Field

from saas import security
from saas.errors import Denied, Invalid, Taken
from saas.i18n import N_
from saas.tenants import audit, billing, ledger, plans, platform, quotas, records
from saas.tenants.forms import (
    Address4,
    Form,
    Line,
    Mobile,
    Note,
    OptionalDate,
    OptionalEmail,
    OptionalPassword,
    Password,
    Username,
)
from saas.tenants.members import found_by, new_member
from saas.tenants.paging import ListQuery, Page, apart, made_between, page_of, starts_with
from saas.tenants.plans import Plan
from saas.tenants.scope import Scope
from saas.values import from_epoch, new_id, normal_username, utcnow

FILTERS = ("status", "plan_id", "member_id", "renews", "expires", "since")
# When the plan of an account ends.
ENDS: dict[str, Any] = {"past": N_("Already over"), "week": N_("Within 7 days"), "month": N_("Within 30 days")}
_SPANS = {"week": timedelta(days=7), "month": timedelta(days=30)}
_MOST_A_DAY = 100_000  # accounts that are counted
MAX_UNITS = 36
log = logging.getLogger(__name__)

PAY_METHODS: dict[str, Any] = {
    "cash": N_("Cash"),
    "wechat": N_("WeChat"),
    "alipay": N_("Alipay"),
    "transfer": N_("Bank transfer"),
}


# From when on an account is active that is opened now; what is not paid for waits for its first purchase.
OPENS: dict[str, Any] = {
    "now": N_("At once"),
    "later": N_("From a day on, paid now"),
    "unpaid": N_("With the first payment"),
}
_AHEAD = timedelta(days=366)
_PAID: dict[str, Any] = {"when": ("opens", "now", "later")}
_LATER: dict[str, Any] = {"when": ("opens", "later"), "group": N_("More")}

Units = Annotated[int, Field(ge=1, le=MAX_UNITS)]
Opens = Literal["now", "later", "unpaid"]
ACCOUNT = records.Noun("accounts", "account", "acc", "username")


class Account(billing.Holding):
    """`username` is unique in the tenant, in its normal spelling. `status`: "pending" (tenants.activations), "normal",
    "suspended", "closed".

    What it has of its plan is its holding. `terms`: the version of the plan that it keeps (plans.KEPT and "version"),
    None: the present one. `next_plan_id`: what the first purchase after its end is of, "" = the same. `suspended_at`:
    when its clock was stopped. `fallen_at`: when its quota became low or fell to nothing, until that is told
    (tenants.reminders).
    `renews`: by itself, from the balance, before its end (tenants.renewals). `closing_told_at`: when the member was
    told that it will be closed for having been suspended too long (tenants.closings). `mac` and `vlan`:
    the line it is bound to where its plan says so (saas.tenants.lines).
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
    suspended_at: datetime | None
    plan_id: str
    terms: dict[str, Any] | None
    next_plan_id: str
    renews: bool
    fallen_at: NotRequired[datetime | None]
    closing_told_at: NotRequired[datetime | None]
    activates_at: NotRequired[datetime | None]  # of a pending one that is paid for
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
    """A price before it is paid: `price` in minor units for all `units`, `holding` if paid now.

    `status`: of the account that is opened so.
    """

    plan: Plan
    units: int
    price: int
    holding: billing.Holding
    status: str = "normal"

    @property
    def note(self) -> str:
        """What stands in the books."""
        return f"{self.plan['name']} × {self.units}"


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
    units: Units = Field(
        default=1,
        title=N_("Quantity"),
        description=N_("How many months, or how many bundles."),
        json_schema_extra=_PAID,
    )
    method: Literal["cash", "wechat", "alipay", "transfer"] = Field(
        default="cash", title=N_("Paid by"), json_schema_extra={"labels": PAY_METHODS, **_PAID}
    )
    name: Line = Field(default="", title=N_("Real name"))
    mobile: Mobile = Field(default="", title=N_("Mobile"))
    email: OptionalEmail = Field(
        default="",
        title=N_("E-mail"),
        description=N_("Notices are sent here."),
        json_schema_extra={"group": N_("More")},
    )
    opens: Opens = Field(
        default="now", title=N_("Becomes active"), json_schema_extra={"labels": OPENS, "group": N_("More")}
    )
    activates_on: OptionalDate = Field(default=None, title=N_("Active from"), json_schema_extra=_LATER)
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


async def quick_open(
    scope: Scope, form: QuickOpenForm, attempt: str, expected: int | None = None
) -> tuple[Account, str]:
    """Open member and account, take the money for the months; (account, its password). Once for each `attempt` key.

    The member can log in to self-service with the same name and password. Invalid plan, Denied("plan_not_granted"),
    Conflict("price_changed") when `expected` was shown to be the price and is not, Taken("username"), Limit.
    """
    existing = await scope.db.accounts.one({"username": form.username})
    if existing and existing["attempt"] == attempt:
        return await get(scope, existing["_id"]), scope.unseal(existing["sealed_password"])
    if existing:
        raise Taken("username")
    plan = await plans.sold(scope, form.plan_id)
    if plan is None:
        raise Invalid({"plan_id": "bad_choice"})
    plans.check_sale(scope, plan)
    offer = _quote(scope, plan, form.units, form.opens)
    plans.check_price(expected, offer.price)
    await platform.check_tier(scope, "accounts")
    password = form.password or security.new_secret(10)
    activates_at = _activates_at(scope, form)
    hashed = await asyncio.to_thread(security.hash_password, password)
    particulars = form.model_dump(include={"name", "mobile", "email", "note"})
    member = new_member(form.username, password_hash=hashed, **particulars)
    account = new_account(scope, member, plan["_id"], form.username, password) | {
        **offer.holding,
        "terms": plans.newcomers_terms(plan),
        "status": offer.status,
        "activates_at": activates_at,
        "static_ip": form.static_ip,
        "renews": plan["renews"],
        "attempt": attempt,
    }

    async def write(tx: Scope) -> Account:
        try:
            await tx.db.members.insert(member)
        except Taken as error:
            raise Taken("username") from error
        await quotas.insert(tx, [account])
        opened = await get(tx, account["_id"])
        sale = ledger.sale(offer.price, offer.price, form.method, offer.note, plan["tax_rate"], plan["_id"])
        await ledger.book(tx, sale, key=attempt, member_id=opened["member_id"], account_id=opened["_id"])
        await audit.record(tx, "account.open", opened["_id"], name=opened["username"], after=opened)
        return opened

    opened = await scope.transaction(write)
    await scope.changed("account", opened["username"])
    return opened, password


async def quote(scope: Scope, plan_id: str, units: int, opens: Opens = "now") -> Quote | None:
    """What an account opened now would cost; None when the actor cannot sell the plan or the units are not 1 to 36."""
    plan = await plans.sold(scope, plan_id)
    offered = plan and plans.may_sell(scope, plan) and 1 <= units <= MAX_UNITS
    return _quote(scope, plan, units, opens) if plan and offered else None


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
    account: Account
    (account,) = await quotas.join(scope.db, [await scope.db.accounts.get(account_id)])
    return account


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Accounts. `q` and filters as `matching` has them."""
    return await page_of(apart(scope.db.accounts, matching(scope, query.q, query.filters), "status"), query)


def matching(scope: Scope, q: str, filters: Mapping[str, str]) -> dict[str, Any]:
    """What a list of accounts shows. Filters are FILTERS: `status` may be "open" (not closed), `expires` is a key of
    ENDS, `since` the day from which on they were opened. `q`: how a user name, a name, its initials or a mobile begins.
    """
    chosen: dict[str, Any] = {name: filters[name] for name in FILTERS if filters.get(name)}
    if "renews" in chosen:
        chosen["renews"] = chosen["renews"] == "yes"
    if chosen.get("status") == "open":
        chosen["status"] = {"$in": list(platform.NOT_CLOSED)}
    if ends := chosen.pop("expires", ""):
        chosen["expires_at"] = ending(ends, utcnow())
    if chosen.pop("since", ""):
        query = ListQuery(filters={"since": filters["since"]})
        chosen |= made_between(query, "acc", scope.tenant["parameters"]["timezone"])
    return chosen | (starts_with(q) if q else {})


def ending(ends: str, now: datetime) -> dict[str, datetime]:
    """The bounds of `expires_at` that a key of ENDS stands for; both are given: not every server needs only one."""
    return {"$gte": from_epoch(0), "$lt": now} if ends == "past" else {"$gte": now, "$lt": now + _SPANS[ends]}


async def ends_by_day(scope: Scope, days: int) -> list[tuple[date, int]]:
    """How many accounts that are normal end on each of the next days, today first, as the tenant's zone counts."""
    zone = ZoneInfo(scope.tenant["parameters"]["timezone"])
    today = utcnow().astimezone(zone).date()
    found = []
    for number in range(days):
        day = today + timedelta(days=number)
        begins, ends = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
        within = {"status": "normal", "expires_at": {"$gte": begins, "$lt": ends}}
        found.append((day, await scope.db.accounts.count(within, limit=_MOST_A_DAY)))
    return found


async def counts(scope: Scope, member_ids: Sequence[str]) -> dict[str, int]:
    """How many accounts each of some members has; those without any are left out."""
    match = {"member_id": {"$in": list(member_ids)}}
    group = {"$group": {"_id": "$member_id", "n": {"$sum": 1}}}
    rows = await scope.db.accounts.aggregate([{"$match": match}, group]) if member_ids else []
    return {row["_id"]: int(row["n"]) for row in rows}


async def usernames(scope: Scope, ids: set[str]) -> dict[str, str]:
    """Id -> user name of some accounts, in one query; those that were deleted have none."""
    found = await scope.db.accounts.among(ids, ["username"])
    return {account_id: row["username"] for account_id, row in found.items()}


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
        **billing.empty(now),
        "suspended_at": None,
        "activates_at": None,
        "terms": None,
        "next_plan_id": "",
        "renews": False,
        "static_ip": "",
        "static_ipv6": "",
        "delegated_prefix": "",
        "mac": "",
        "vlan": "",
        "search": found_by(username, member["name"], member["mobile"]),
        "attempt": "",
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def _quote(scope: Scope, plan: Plan, units: int, opens: Opens) -> Quote:
    units = 0 if opens == "unpaid" else units
    price, now = billing.price_of(plan, units), utcnow()
    zone = scope.tenant["parameters"]["timezone"]
    if opens == "now":
        return Quote(plan, units, price, billing.opened(plan, units, price, now, zone))
    return Quote(plan, units, price, billing.prepared(plan, units, price, now, zone), "pending")


def _activates_at(scope: Scope, form: QuickOpenForm) -> datetime | None:
    """When the day begins, in the tenant's zone, from which on the account is active. Invalid."""
    if form.opens != "later":
        return None
    if form.activates_on is None:
        raise Invalid({"activates_on": "missing"})
    at = datetime.combine(form.activates_on, time(), ZoneInfo(scope.tenant["parameters"]["timezone"]))
    if not utcnow() < at <= utcnow() + _AHEAD:
        raise Invalid({"activates_on": "not_ahead"})
    return at


def _sealed(scope: Scope, password: str) -> dict[str, bytes]:
    return {
        "sealed_password": scope.seal(password),
        "sealed_nt_hash": scope.seal(security.nt_hash(password).hex()),
    }
