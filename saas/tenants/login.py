"""Logging in: cloud accounts and operators, their sessions, their own passwords."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from saas import security
from saas.errors import Denied, Invalid, Limit
from saas.i18n import N_
from saas.permissions import ALL, granted
from saas.tenants import audit, operators, signins
from saas.tenants.forms import Form, Password
from saas.tenants.platform import Tenant, tenant_by_slug
from saas.tenants.scope import Actor, PlatformScope, Scope

_WINDOW = 600  # seconds in which failed log-ins are counted
_PER_ADDRESS = 30
_PER_LOGIN = 10


class LoginForm(Form):
    """Who, and the proof."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=128, to_lower=True)] = Field(
        title=N_("Login name"), json_schema_extra={"autocomplete": "username"}
    )
    password: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        title=N_("Password"), json_schema_extra={"widget": "password", "autocomplete": "current-password"}
    )


class PasswordForm(Form):
    """A person's own new password."""

    old_password: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        title=N_("Present password"), json_schema_extra={"widget": "password", "autocomplete": "current-password"}
    )
    new_password: Annotated[Password, Field(min_length=8)] = Field(
        title=N_("New password"),
        description=N_("At least 8 characters. You are logged out everywhere else."),
        json_schema_extra={"widget": "password", "autocomplete": "new-password"},
    )
    repeat: Annotated[str, Field(max_length=128)] = Field(
        title=N_("New password again"), json_schema_extra={"widget": "password", "autocomplete": "new-password"}
    )


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in that is still good. `actor.address` is where the present request comes from."""

    actor: Actor
    tenant_id: str  # "" for cloud accounts, who may own several tenants
    stamp: str  # what the password hash was: a new password ends every session
    proven: bool = False  # by a second factor as well (factors.py)


async def cloud(ps: PlatformScope, form: LoginForm, address: str) -> Session:
    """Log a cloud account in by its e-mail address. Denied("bad_credentials"), Limit("too_many_attempts")."""
    await _check_limit(ps, address, form.login)
    row = await ps.db.cloud_accounts.one({"email": form.login})
    return session_of(await _proven(row, form.password), address)


def session_of(account: Any, address: str) -> Session:
    """The session of a cloud account (its row) that has proven itself."""
    kind = "platform" if account["platform"] else "owner"
    return Session(Actor(kind, account["_id"], account["email"], address), "", _stamp(account))


async def operator(ps: PlatformScope, slug: str, form: LoginForm, address: str) -> Session:
    """Log an operator in at its tenant. Denied("bad_credentials") also when it or the tenant is disabled or unknown."""
    await _check_limit(ps, address, f"{slug}/{form.login}")
    tenant = await tenant_by_slug(ps, slug)
    row = None
    if tenant and tenant["status"] == "active":
        row = await ps.enter(tenant, ps.actor).db.operators.one({"login": form.login})
    row = await _proven(row if row and not row["disabled"] else None, form.password)
    return Session(Actor("operator", row["_id"], row["login"], address), row["tenant_id"], _stamp(row))


async def open_session(ps: PlatformScope, session: Session, browser: str = "") -> str:
    """Keep a log-in; the token for its cookie. `browser` is what it says of itself."""
    return await signins.keep(ps.kv, session.actor.id, asdict(session), session.actor.address, browser)


async def session(ps: PlatformScope, token: str, address: str) -> Session | None:
    """The log-in of a token, prolonged; None when it has ended, its actor is disabled, or the password changed."""
    kept = await signins.kept(ps.kv, token)
    if kept is None:
        return None
    found = revived(kept, address)
    row = await _row(ps, found.actor, found.tenant_id)
    if row is None or row.get("disabled") or _stamp(row) != found.stamp:
        await signins.close(ps.kv, token)
        return None
    await signins.prolong(ps.kv, found.actor.id, token)
    return found


def revived(kept: Mapping[str, Any], address: str) -> Session:
    """A log-in as it was kept, with the address of the present request."""
    actor = Actor(**{**kept["actor"], "address": address})
    return Session(actor, kept["tenant_id"], kept["stamp"], kept.get("proven", False))


async def close_session(ps: PlatformScope, token: str) -> None:
    """Log out."""
    await signins.close(ps.kv, token)


async def scope_of(ps: PlatformScope, session: Session, tenant: Tenant) -> Scope | None:
    """What a log-in may do in a tenant: its Scope, with permissions and granted plans read now. None when it has no
    business there.
    """
    if session.actor.kind == "operator" and session.tenant_id != tenant["_id"]:
        return None
    return await acting(ps, session.actor, tenant)


async def acting(ps: PlatformScope, actor: Actor, tenant: Mapping[str, Any]) -> Scope | None:
    """What somebody may do in a tenant at this moment, logged in or not; `tenant` is its row.

    None for whoever has no business there, or has none any more: disabled or removed.
    """
    if actor.kind == "owner":
        return ps.enter(tenant, actor, ALL) if tenant["owner_id"] == actor.id else None
    if actor.kind != "operator":
        return None
    bare = ps.enter(tenant, actor, frozenset())
    row = await bare.db.operators.one({"_id": actor.id})
    if row is None or row["disabled"]:
        return None
    group = await bare.db.groups.one({"_id": row["group_id"]})
    if group is None:
        return ps.enter(tenant, actor, frozenset(), frozenset())
    return ps.enter(tenant, actor, granted(group), operators.sells(row["plan_ids"], group))


async def change_password(ps: PlatformScope, session: Session, form: PasswordForm) -> Session:
    """Set one's own password; every other session of the actor ends. Invalid at the field that is wrong."""
    if form.new_password != form.repeat:
        raise Invalid({"repeat": "not_the_same"})
    await check_own(ps, session, form.old_password, "old_password")
    hashed = await asyncio.to_thread(security.hash_password, form.new_password)
    change = {"$set": {"password_hash": hashed}}
    if session.actor.kind == "operator":
        tenant = await ps.db.tenants.get(session.tenant_id)
        row = await ps.enter(tenant, session.actor).db.operators.update(session.actor.id, change)
    else:
        row = await ps.db.cloud_accounts.update(session.actor.id, change)
    await record_own(ps, session, "own_password")
    await signins.end_all(ps.kv, session.actor.id)
    return replace(session, stamp=_stamp(row))


async def check_own(ps: PlatformScope, session: Session, password: str, field: str) -> None:
    """Whoever is logged in knows the password. Invalid at `field`, Limit("too_many_attempts")."""
    await _check_limit(ps, session.actor.address, session.actor.id)
    row = await _row(ps, session.actor, session.tenant_id)
    if row is None or not await asyncio.to_thread(security.check_password, row["password_hash"], password):
        raise Invalid({field: "bad_password"})


async def record_own(ps: PlatformScope, session: Session, verb: str) -> None:
    """Log what somebody did to his own log-in, in the log of his tenant, or in the platform's."""
    me = session.actor
    if me.kind == "operator":
        scope = ps.enter(await ps.db.tenants.get(session.tenant_id), me)
        await audit.record(scope, f"operator.{verb}", me.id, name=me.name)
    else:
        acting = replace(ps, actor=me)
        await audit.record_platform(acting, f"cloud_account.{verb}", me.id, name=me.name)


async def _row(ps: PlatformScope, actor: Actor, tenant_id: str) -> Any:
    if actor.kind == "operator":
        return await ps.db.operators.one({"_id": actor.id, "tenant_id": tenant_id})
    return await ps.db.cloud_accounts.one({"_id": actor.id})


async def _check_limit(ps: PlatformScope, address: str, login: str) -> None:
    """Count the attempt against the address and the account: guessing is slow from one place and for one name."""
    for key, most in ((f"login:from:{address}", _PER_ADDRESS), (f"login:as:{login}", _PER_LOGIN)):
        count, wait = await ps.kv.hit(key, _WINDOW)
        if count > most:
            raise Limit("too_many_attempts", retry_after=int(wait) + 1)


async def _proven(row: Any, password: str) -> Any:
    """The row whose password this is. Denied; without a row it takes as long."""
    hashed = row["password_hash"] if row else None
    if not await asyncio.to_thread(security.check_password, hashed, password):
        raise Denied("bad_credentials")
    return row


def _stamp(row: Any) -> str:
    return security.token_hash(row["password_hash"])[:16]
