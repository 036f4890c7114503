"""The platform: tiers, tenants, and the cloud accounts that own them. Everything here takes a PlatformScope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NotRequired, TypedDict

from pydantic import Field, StringConstraints

from saas import security
from saas.errors import Conflict, Limit
from saas.i18n import N_, Reader
from saas.tenants import audit
from saas.tenants.forms import Email, Form, Name, Password
from saas.tenants.notices_texts import KINDS
from saas.tenants.paging import ListQuery, Page, page
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id, utcnow

SHARED_POOL = "shared"
FIRST_OWNER = "platform@example.com"  # who is made when no other is named
NOT_CLOSED = ("normal", "pending", "suspended")  # states of accounts
_RESERVED = {"admin", "api", "openpns", "platform", "static", "system", "www"}

PRESET_NAMES = {  # of the groups that a tenant begins with
    "manager": N_("Manager"),
    "cashier": N_("Cashier"),
    "engineer": N_("Engineer"),
    "viewer": N_("Read only"),
}

Slug = Annotated[
    str, StringConstraints(min_length=3, max_length=32, to_lower=True, pattern=r"^[A-Za-z][A-Za-z0-9\-]*[A-Za-z0-9]$")
]


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tenant may have: devices, accounts that are not closed, operators. Zero is without limit."""

    key: str
    name: str
    nas: int
    accounts: int
    operators: int


TIERS = {tier.key: tier for tier in (Tier("free", N_("Free"), 3, 50, 2), Tier("business", N_("Business"), 0, 0, 0))}


class Parameters(TypedDict):
    """What a tenant sets for itself. Seconds; an IANA zone; an ISO 4217 currency; "zh" or "en".

    `notice_mail`: the kinds of notices (notices_texts.KINDS, less those by hand) that go by mail; `notice_days`: how
    many before expiry, 0 none, and again every `notice_interval` days, 0 once, at `notice_hour` of the zone;
    `notice_quota`: what percentage of a quota is used when it is low, 0 never; `notice_balance`: minor units below
    which a balance is low. `legal_name` … `paper_footer`: what stands on receipts and invoices; `logo`: a row of logos,
    "" for none. `renew_hours`: how long before their end accounts renew by themselves; `suspend_days`: after how many
    of suspension they close, 0 never. `second_factor`: whether those who work here must have one. `stale_factor`: how
    many updates a session may miss; `keep_sessions`: for how many days details of ended ones are kept, 0 for ever.
    """

    system_name: str
    locale: str
    timezone: str
    currency: str
    interim_interval: int
    stale_factor: int
    max_session_time: int
    restricted_timeout: int
    keep_sessions: int
    guard_attempts: int
    guard_window: int
    show_password: bool
    notice_mail: list[str]
    notice_days: int
    notice_interval: int
    notice_hour: int
    notice_quota: int
    notice_balance: int
    legal_name: str
    postal_address: str
    tax_id: str
    phone: str
    number_prefix: str
    paper_footer: str
    logo: str
    renew_hours: int
    suspend_days: int
    second_factor: bool


class Tenant(TypedDict):
    """A business on the platform. `status`: "active" or "stopped"; `pool`: the engine pool that serves it.

    `former_pools`: those that still answer for it, see pools.FormerPool; rows of old have none.
    """

    _id: str
    tenant_id: str  # the same as _id
    slug: str
    owner_id: str
    status: str
    tier: str
    tier_expires_at: datetime | None
    pool: str
    former_pools: NotRequired[list[Any]]
    parameters: Parameters
    webhook: NotRequired[Any]  # see webhooks.Webhook
    version: int
    created_at: datetime
    updated_at: datetime


class TenantForm(Form):
    """What makes a tenant."""

    system_name: Name = Field(title=N_("System name"))
    slug: Slug = Field(title=N_("Short name"), description=N_("Part of your address: letters, digits, hyphens."))


class OwnerForm(Form):
    """What makes a cloud account."""

    email: Email = Field(title=N_("E-mail"))
    password: Annotated[Password, Field(min_length=8)] = Field(title=N_("Password"))


async def create_cloud_account(ps: PlatformScope, form: OwnerForm, *, platform: bool = False) -> Any:
    """A cloud account; with `platform` it is staff of the platform itself. Taken when the address is in use."""
    account = await ps.db.cloud_accounts.insert(
        {
            "_id": new_id("own"),
            "email": form.email,
            "password_hash": security.hash_password(form.password),
            "platform": platform,
            "version": 1,
            "created_at": utcnow(),
            "updated_at": utcnow(),
        }
    )
    await audit.record_platform(ps, "cloud_account.create", account["_id"], name=form.email, platform=platform)
    return account


async def first_owner(ps: PlatformScope, email: str, password: str = "") -> str:
    """Make the first account of the platform's staff; its password, "" when there is one already."""
    if await ps.db.cloud_accounts.one({"platform": True}):
        return ""
    chosen = password or security.new_secret(16)
    await create_cloud_account(ps, OwnerForm(email=email, password=chosen), platform=True)
    return chosen


def check_slug(slug: str) -> None:
    """Conflict when the short name is the platform's own."""
    if slug in _RESERVED:
        raise Conflict("reserved", field="slug")


async def create_tenant(
    ps: PlatformScope, form: TenantForm, owner_id: str, *, tier: str = "free", locale: str = "zh"
) -> Tenant:
    """A tenant with its first operator groups, named in its language. Taken when the short name is in use."""
    check_slug(form.slug)
    now = utcnow()
    say = Reader.of(locale)
    tenant_id = new_id("ten")
    tenant = Tenant(
        _id=tenant_id,
        tenant_id=tenant_id,
        slug=form.slug,
        owner_id=owner_id,
        status="active",
        tier=tier,
        tier_expires_at=None,
        pool=SHARED_POOL,
        parameters=_first_parameters(form.system_name, locale),
        version=1,
        created_at=now,
        updated_at=now,
    )
    await ps.db.tenants.insert(tenant)
    await ps.enter(tenant, ps.actor).db.groups.insert_many(
        [
            {"_id": new_id("grp"), "name": say(title), "preset": preset, "permissions": [], "permissions_known": []}
            | {"plan_ids": [], "version": 1, "created_at": now, "updated_at": now}
            for preset, title in PRESET_NAMES.items()
        ]
    )
    await audit.record_platform(ps, "tenant.create", tenant["_id"], name=tenant["slug"], tier=tier)
    await ps.changed("tenant", tenant["_id"], tenant["slug"])
    return tenant


def _first_parameters(system_name: str, locale: str) -> Parameters:
    """What holds for a tenant until it says otherwise."""
    return Parameters(
        system_name=system_name,
        locale=locale,
        timezone="Asia/Shanghai",
        currency="CNY",
        interim_interval=300,
        stale_factor=3,
        max_session_time=86400,
        restricted_timeout=300,
        keep_sessions=0,
        guard_attempts=10,
        guard_window=600,
        show_password=False,
        notice_mail=sorted(name for name, kind in KINDS.items() if not kind.by_hand),
        notice_days=3,
        notice_interval=0,
        notice_hour=9,
        notice_quota=80,
        notice_balance=0,
        legal_name="",
        postal_address="",
        tax_id="",
        phone="",
        number_prefix="",
        paper_footer="",
        logo="",
        renew_hours=24,
        suspend_days=0,
        second_factor=False,
    )


async def tenant_by_slug(ps: PlatformScope, slug: str) -> Tenant | None:
    """The tenant of a path, or None."""
    tenant: Tenant | None = await ps.db.tenants.one({"slug": slug.lower()})
    return tenant


async def tenants_of(ps: PlatformScope, owner_id: str) -> list[Tenant]:
    """The tenants that a cloud account owns, newest first."""
    return await ps.db.tenants.find({"owner_id": owner_id})


async def owner_email(ps: PlatformScope, tenant: Mapping[str, Any]) -> str:
    """The address of the cloud account that owns a tenant: its super administrator."""
    account = await ps.db.cloud_accounts.get(tenant["owner_id"])
    return str(account["email"])


async def listing(ps: PlatformScope, query: ListQuery) -> Page:
    """Every tenant. Filters: `status`, `tier`, `pool`; `q` is the beginning of a short name."""
    filter: dict[str, Any] = {
        name: query.filters[name] for name in ("status", "tier", "pool") if query.filters.get(name)
    }
    if query.q:
        filter["slug"] = {"$gte": query.q.lower(), "$lt": query.q.lower() + "\uffff"}
    return await page(ps.db.tenants, filter, query)


async def get(ps: PlatformScope, tenant_id: str) -> Tenant:
    """One tenant. NotFound."""
    tenant: Tenant = await ps.db.tenants.get(tenant_id)
    return tenant


async def owner_of(ps: PlatformScope, tenant: Tenant) -> str:
    """The e-mail address of a tenant's owner, "" when the cloud account is gone."""
    row = await ps.db.cloud_accounts.one({"_id": tenant["owner_id"]}, ["email"])
    return str(row["email"]) if row else ""


async def set_status(ps: PlatformScope, tenant_id: str, status: str) -> Tenant:
    """Stop a tenant ("stopped": its devices get rejects, its people no console) or let it run again ("active")."""
    before = await ps.db.tenants.get(tenant_id)
    tenant: Tenant = await ps.db.tenants.update(tenant_id, {"$set": {"status": status}})
    name = tenant["slug"]
    was = {"status": before["status"]}
    await audit.record_platform(ps, f"tenant.{status}", tenant_id, name=name, before=was, status=status)
    await ps.changed("tenant", tenant_id, name)
    return tenant


async def check_tier(scope: Scope, noun: str, more: int = 1) -> None:
    """Limit("tier_limit") when so many `more` of a `noun` ("nas", "accounts", "operators") would be beyond the tenant's
    tier.
    """
    allowed = getattr(TIERS[scope.tenant["tier"]], noun)
    if allowed and await used(scope, noun, allowed) + more > allowed:
        raise Limit("tier_limit", noun=noun, allowed=allowed)


async def used(scope: Scope, noun: str, limit: int = 10_000) -> int:
    """How many the tenant has of what its tier limits, counted up to `limit`."""
    filters = [{"status": status} for status in NOT_CLOSED] if noun == "accounts" else [{}]
    table = getattr(scope.db, noun)
    return min(limit, sum([await table.count(filter, limit=limit) for filter in filters]))


async def usage(scope: Scope) -> dict[str, int]:
    """How many the tenant has of each noun that a tier limits, see `used`."""
    return {noun: await used(scope, noun) for noun in ("nas", "accounts", "operators")}
