"""The second factor of people who log in: codes by time from an app, and recovery codes for when the app is lost.

A person's row is `factors` under the person's id. The secret is sealed for the person; of the codes by time only one
of a later 30 seconds than the last is taken, of the recovery codes each once.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, TypedDict

from pydantic import Field, StringConstraints

from saas import security, totp
from saas.errors import Conflict, Denied, Invalid, Limit, NotFound, Unavailable
from saas.i18n import N_
from saas.tenants import audit, login, notices, operators, platform, signins
from saas.tenants.forms import Form
from saas.tenants.login import Session
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow

_PENDING = 600  # seconds for a log-in to bring its code, or for an enrolment to be confirmed
_WINDOW, _MOST = 600, 10  # seconds in which codes of a person are counted, and how many there may be
CODES = 10


class Factor(TypedDict):
    """`step`: the last 30 seconds whose code was used; `codes`: hashes of recovery codes that are left."""

    _id: str
    tenant_id: str
    sealed: bytes
    step: int
    codes: list[str]
    at: datetime


class CodeForm(Form):
    """A code by time, or a recovery code."""

    code: Annotated[str, StringConstraints(min_length=6, max_length=20)] = Field(
        title=N_("Code"),
        description=N_("Six digits from the app on your phone, or one of your recovery codes."),
        json_schema_extra={"autocomplete": "one-time-code"},
    )


class ProofForm(Form):
    """The password again, before what guards the log-in is changed."""

    password: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        title=N_("Password"), json_schema_extra={"widget": "password", "autocomplete": "current-password"}
    )


# logging in


async def hold(ps: PlatformScope, session: Session) -> str:
    """Keep a log-in whose password was right until its code comes; the token for that, "" where no code is asked."""
    if await get(ps, session.actor.id) is None:
        return ""
    token = security.new_token()
    await ps.kv.put(_held(token), asdict(session), _PENDING)
    return token


async def admit(ps: PlatformScope, token: str, code: str, address: str) -> Session:
    """The log-in that was held, with its code. Invalid("code"), Limit("too_many_attempts"), Denied("login_lapsed")."""
    kept = await ps.kv.get(_held(token)) if token else None
    if kept is None:
        raise Denied("login_lapsed")
    session = login.revived(kept, address)
    await _count(ps, f"login:code:{session.actor.id}")
    await _check(ps, session, code)
    await ps.kv.delete(_held(token))
    return replace(session, proven=True)


async def _count(ps: PlatformScope, key: str) -> None:
    """Count a code before it is looked at. Limit("too_many_attempts")."""
    count, wait = await ps.kv.hit(key, _WINDOW)
    if count > _MOST:
        raise Limit("too_many_attempts", retry_after=int(wait) + 1)


async def _check(ps: PlatformScope, session: Session, code: str) -> None:
    """Use a code up. Two at once with the same one: one of them is refused."""
    typed, me = code.replace(" ", "").replace("-", "").lower(), session.actor.id
    row = await get(ps, me)
    if row is None:
        raise Denied("login_lapsed")
    step = totp.step(_secret(ps, row), typed, time.time())
    if step is not None:
        if not await ps.db.factors.update_one({"_id": me, "step": {"$lt": step}}, {"$set": {"step": step}}):
            raise Invalid({"code": "used_code"})
        return
    hashed = _hash(ps, me, typed)
    if not await ps.db.factors.update_one({"_id": me, "codes": hashed}, {"$pull": {"codes": hashed}}):
        raise Invalid({"code": "bad_code"})
    await login.record_own(ps, session, "recovered")


# one's own


async def get(ps: PlatformScope, actor_id: str) -> Factor | None:
    """Somebody's second factor, None without one."""
    row: Factor | None = await ps.db.factors.one({"_id": actor_id})
    return row


async def among(ps: PlatformScope, actor_ids: Collection[str]) -> set[str]:
    """Which of some people have one."""
    return set(await ps.db.factors.among(actor_ids, ["_id"]))


async def begin(ps: PlatformScope, session: Session, form: ProofForm) -> None:
    """Make a secret, to be confirmed within ten minutes. Invalid("password"), Limit."""
    await login.check_own(ps, session, form.password, "password")
    await _lay(ps, "new", session.actor.id, totp.new_secret())


async def begun(ps: PlatformScope, session: Session) -> tuple[str, str]:
    """The secret that waits to be confirmed, and its address for the app. NotFound when none does, or not any more."""
    secret = await _laid(ps, "new", session.actor.id)
    if not secret:
        raise NotFound()
    return secret, totp.address(secret, session.actor.name, "OpenPNS")


async def confirm(ps: PlatformScope, session: Session, form: CodeForm, token: str = "") -> Session:
    """The app shows the right code: from now on it is asked for. All other sessions end, this one is proven.

    Recovery codes are made, for `take_codes`. Invalid("code"), NotFound,
    Limit("too_many_attempts").
    """
    secret, _ = await begun(ps, session)
    await _count(ps, f"factor:code:{session.actor.id}")
    step = totp.step(secret, form.code.replace(" ", ""), time.time())
    if step is None:
        raise Invalid({"code": "bad_code"})
    me = session.actor.id
    sealed = ps.keys.wrap("factor", secret.encode(), me.encode())
    values = {"tenant_id": session.tenant_id, "sealed": sealed, "step": step, "codes": [], "at": utcnow()}
    await ps.db.factors.update_one({"_id": me}, {"$set": values}, upsert=True)
    await login.record_own(ps, session, "factor_on")
    await _make_codes(ps, me)
    await ps.kv.delete(_place("new", me))
    await signins.end_all(ps.kv, me, but=token)
    return replace(session, proven=True)


async def make_codes(ps: PlatformScope, session: Session, form: ProofForm) -> None:
    """New recovery codes, for `take_codes`; the former ones are void. Invalid("password"), Conflict("no_factor")."""
    await login.check_own(ps, session, form.password, "password")
    if await get(ps, session.actor.id) is None:
        raise Conflict("no_factor")
    await _make_codes(ps, session.actor.id)
    await login.record_own(ps, session, "recovery_codes")


async def _make_codes(ps: PlatformScope, actor_id: str) -> None:
    codes = [security.new_secret(10) for _ in range(CODES)]
    hashes = [_hash(ps, actor_id, code) for code in codes]
    await ps.db.factors.update_one({"_id": actor_id}, {"$set": {"codes": hashes}})
    await _lay(ps, "codes", actor_id, " ".join(f"{code[:5]}-{code[5:]}" for code in codes))


async def take_codes(ps: PlatformScope, session: Session) -> list[str]:
    """The recovery codes that were just made, once; none afterwards."""
    codes = await _laid(ps, "codes", session.actor.id)
    await ps.kv.delete(_place("codes", session.actor.id))
    return codes.split()


async def remove(ps: PlatformScope, session: Session, form: ProofForm) -> None:
    """Log in with the password alone from now on. Invalid("password")."""
    await login.check_own(ps, session, form.password, "password")
    await ps.db.factors.delete_many({"_id": session.actor.id})
    await login.record_own(ps, session, "factor_off")


# others'


async def reset(scope: Scope, operator_id: str) -> None:
    """Take an operator's second factor away, for who has lost app and codes.

    His sessions end, and the owner is told by mail. NotFound, Conflict("no_factor"), Invalid as for changing him.
    """
    operator = await operators.get(scope, operator_id)
    await operators.check_within_own(scope, operator)

    async def write(tx: Scope) -> None:
        if not await tx.db.factors.delete_many({"_id": operator_id}):
            raise Conflict("no_factor")
        await audit.record(tx, "operator.factor_reset", operator_id, name=operator["login"])

    await scope.transaction(write)
    await signins.end_all(scope.services.kv, operator_id)
    ps = PlatformScope(scope.services, scope.actor, scope.services.store.platform())
    await _tell(
        ps, await platform.owner_email(ps, scope.tenant), operator["login"], scope.tenant["parameters"]["locale"]
    )


async def reset_owner(ps: PlatformScope, account_id: str) -> None:
    """The same for a cloud account, by the platform. NotFound, Conflict("no_factor")."""
    account = await ps.db.cloud_accounts.get(account_id)
    if not await ps.db.factors.delete_many({"_id": account_id}):
        raise Conflict("no_factor")
    await audit.record_platform(ps, "cloud_account.factor_reset", account_id, name=account["email"])
    await signins.end_all(ps.kv, account_id)
    await _tell(ps, account["email"], account["email"], "zh")


async def _tell(ps: PlatformScope, to: str, name: str, language: str) -> None:
    """By mail; the log has it in any case."""
    with suppress(Unavailable):
        await notices.factor_was_reset(ps, to, name, ps.actor.name, language)


# what is kept


def opens(ps: PlatformScope, row: Factor) -> bool:
    """Whether a stored secret can be unsealed with this secret key."""
    try:
        return bool(_secret(ps, row))
    except security.Unsealable:
        return False


async def _lay(ps: PlatformScope, what: str, actor_id: str, text: str) -> None:
    """Keep a secret for some minutes, sealed."""
    wrapped = ps.keys.wrap("factor", text.encode(), actor_id.encode())
    await ps.kv.put(_place(what, actor_id), base64.b64encode(wrapped).decode(), _PENDING)


async def _laid(ps: PlatformScope, what: str, actor_id: str) -> str:
    kept = await ps.kv.get(_place(what, actor_id))
    return ps.keys.unwrap("factor", base64.b64decode(kept), actor_id.encode()).decode() if kept else ""


def _secret(ps: PlatformScope, row: Factor) -> str:
    return ps.keys.unwrap("factor", row["sealed"], row["_id"].encode()).decode()


def _hash(ps: PlatformScope, actor_id: str, code: str) -> str:
    """Of a recovery code: random, so that a slow hash adds nothing; keyed, so that the store alone is of no use."""
    return ps.keys.sign("recovery", f"{actor_id}:{code}".encode()).hex()


def _place(what: str, actor_id: str) -> str:
    return f"factor:{what}:{actor_id}"


def _held(token: str) -> str:
    return f"login:{security.token_hash(token)}"
