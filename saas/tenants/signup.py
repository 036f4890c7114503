"""Sign-up: an address proves itself by a code, then there is a cloud account with its first tenant."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import Field

from saas import security
from saas.errors import Invalid, Limit, NotFound, Taken
from saas.i18n import N_
from saas.tenants import audit, login, notices
from saas.tenants.forms import Form
from saas.tenants.platform import OwnerForm, Tenant, TenantForm, check_slug, create_tenant, tenant_by_slug
from saas.tenants.scope import PlatformScope
from saas.values import new_id, utcnow

_PENDING_SECONDS = 1800
_TRIES = 10
_MAILS = 5


class SignupForm(TenantForm, OwnerForm):
    """A business and the person it belongs to."""


class CodeForm(Form):
    """The code from the mail."""

    code: str = Field(
        min_length=6, max_length=6, pattern=r"^\d{6}$", title=N_("Code"), description=N_("Six digits from our mail.")
    )


async def start(ps: PlatformScope, form: SignupForm, *, address: str, locale: str) -> str:
    """Keep the request for half an hour and mail a code; the id of the pending sign-up. Taken, Conflict, Limit."""
    count, wait = await ps.kv.hit(f"signup:from:{address}", 3600)
    if count > 20:
        raise Limit("too_many_attempts", retry_after=int(wait) + 1)
    check_slug(form.slug)
    if await tenant_by_slug(ps, form.slug):
        raise Taken("slug")
    if await ps.db.cloud_accounts.one({"email": form.email}):
        raise Taken("email")
    pending_id = security.new_token()
    hashed = await asyncio.to_thread(security.hash_password, form.password)
    pending = form.model_dump(exclude={"password"}) | {"password_hash": hashed, "locale": locale, "mails": 0}
    await _mail_code(ps, pending_id, pending)
    return pending_id


async def pending_email(ps: PlatformScope, pending_id: str) -> str:
    """The address that a code was sent to. NotFound when the sign-up has lapsed."""
    return str((await _pending(ps, pending_id))["email"])


async def resend(ps: PlatformScope, pending_id: str) -> None:
    """Mail a new code; the old one is void. Limit after a few."""
    pending = await _pending(ps, pending_id)
    if pending["mails"] >= _MAILS:
        raise Limit("too_many_mails")
    await _mail_code(ps, pending_id, pending)


async def confirm(
    ps: PlatformScope, pending_id: str, form: CodeForm, *, address: str = ""
) -> tuple[login.Session, Tenant]:
    """Create the cloud account and its tenant of the free tier, and log the owner in from `address`.

    Invalid code; NotFound when the sign-up lapsed; Taken when somebody else was faster.
    """
    pending = await _pending(ps, pending_id)
    await _count_try(ps, pending_id)
    if not security.same(pending["code_hash"], security.token_hash(pending_id + form.code)):
        raise Invalid({"code": "bad_code"})
    account: dict[str, Any] = {
        "_id": new_id("own"),
        "email": pending["email"],
        "password_hash": pending["password_hash"],
        "platform": False,
        "version": 1,
        "created_at": utcnow(),
        "updated_at": utcnow(),
    }
    names = TenantForm(system_name=pending["system_name"], slug=pending["slug"])

    async def create(tx: PlatformScope) -> Tenant:
        await tx.db.cloud_accounts.insert(account)
        await audit.record_platform(tx, "cloud_account.create", account["_id"], name=account["email"])
        return await create_tenant(tx, names, account["_id"], locale=pending["locale"])

    tenant = await ps.transaction(create)
    await ps.kv.delete(_key(pending_id))
    return login.session_of(account, address), tenant


async def _pending(ps: PlatformScope, pending_id: str) -> Any:
    pending = await ps.kv.get(_key(pending_id)) if pending_id else None
    if pending is None:
        raise NotFound("signup_lapsed")
    return pending


async def _mail_code(ps: PlatformScope, pending_id: str, pending: dict[str, Any]) -> None:
    code = security.new_code()
    hashed = security.token_hash(pending_id + code)
    kept = pending | {"code_hash": hashed, "mails": pending["mails"] + 1}
    await ps.kv.put(_key(pending_id), kept, _PENDING_SECONDS)
    await notices.signup_code(ps, pending["email"], code, pending["locale"])


async def _count_try(ps: PlatformScope, pending_id: str) -> None:
    """A million codes are few: after a handful of tries the sign-up starts again. Counted before the look."""
    tries, _ = await ps.kv.hit(f"code:{security.token_hash(pending_id)}", _PENDING_SECONDS)
    if tries > _TRIES:
        await ps.kv.delete(_key(pending_id))
        raise NotFound("signup_lapsed")


def _key(pending_id: str) -> str:
    return f"signup:{security.token_hash(pending_id)}"
