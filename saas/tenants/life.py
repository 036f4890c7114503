"""The life of an account: how whatever is done to it is shown first, done once, and written down.

An act looks at an account and says what it will change: fields of the account, entries of the ledger. `preview` stops
there; `perform` does it, in one transaction with the row that says that it was done. So the two cannot differ, and the
key of that row, unique in the tenant, makes a repeat find the first deed instead of doing it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypedDict
from weakref import WeakValueDictionary

from saas.errors import Conflict, Taken
from saas.tenants import accounts, adjustments, audit, ledger, login_records, plans, quotas, sessions
from saas.tenants.access import held_to
from saas.tenants.accounts import Account
from saas.tenants.ledger import Posting
from saas.tenants.members import Member
from saas.tenants.plans import Plan
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

# Who comes to one account at once waits here for the others of this process: the store would let all but one begin
# anew, again and again. Between processes it does.
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class Case(NamedTuple):
    """What an act looks at. `plan` is what holds for the account; `zone` counts the tenant's days.

    `now` is the account's clock, which stands still while it is suspended; `at` is the present moment.
    """

    account: Account
    plan: Plan
    member: Member
    zone: str
    now: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Effect:
    """What an act does: fields of the account, entries of its member's ledger; `removes` the account altogether.

    `tell` writes what the member is told, of the account as it is then and the name of its plan. `also` writes what
    else belongs to it, such as that a card is used up, of the account as it was and the deed.
    """

    changes: Mapping[str, Any]
    postings: tuple[Posting, ...] = ()
    note: str = ""
    removes: bool = False
    tell: Callable[[Scope, Account, str], Awaitable[None]] | None = None
    also: Callable[[Scope, Account, Deed], Awaitable[None]] | None = None


class Act(NamedTuple):
    """One thing that can be done to an account. `decide` only reads, and raises what speaks against it."""

    verb: str
    decide: Callable[[Scope, Case, Any], Awaitable[Effect]]


class Deed(TypedDict):
    """An act that was done. Minor units: `charged` for what was bought, less what was given back; `received`, less what
    was paid out. `expires_at`, `plan_id` as they were afterwards.
    """

    _id: str
    tenant_id: str
    member_id: str
    agent_id: str | None
    account_id: str
    key: str
    verb: str
    charged: int
    received: int
    expires_at: datetime | None
    plan_id: str
    note: str
    actor_name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """What an act would do now: the account as it is and as it would be, the member's balance before and after.

    `online`: how many sessions are open; `become` says what becomes of them: "" nothing, "end", "speed" another one.
    """

    before: Account
    after: Account
    postings: tuple[Posting, ...]
    balance: int
    balance_after: int
    online: int
    become: str

    @property
    def to_pay(self) -> int:
        """Money that changes hands, in minor units; below 0 it is paid out."""
        return _sum(self.postings, "payment", "refund")

    @property
    def charged(self) -> int:
        """What is bought less what is given back, in minor units, whoever pays it; as in the deed."""
        return _charged(self.postings)


async def preview(scope: Scope, act: Act, account_id: str, form: Any) -> Preview:
    """What `perform` would do at this moment. NotFound, and whatever speaks against it."""
    case = await _case(scope, account_id)
    effect = await act.decide(scope, case, form)
    after: Any = {**case.account, **effect.changes}
    balance = case.member["balance"]
    moved = sum(posting.amount for posting in effect.postings)
    if balance + moved < 0 and any(posting.covered for posting in effect.postings):
        raise Conflict("balance_too_low", missing=-balance - moved)
    online = await sessions.online_of(scope, account_id)
    become = _become(*await _held(scope, case, effect))
    return Preview(case.account, after, effect.postings, balance, balance + moved, len(online), become)


async def perform(
    scope: Scope,
    act: Act,
    account_id: str,
    form: Any,
    attempt: str,
    version: int | None = None,
    expected: int | None = None,
) -> Deed:
    """Do it, once for each `attempt` key; a repeat returns what was done.

    Conflict("changed") when the account is not `version` any more, Conflict("price_changed") when `expected` was shown
    to be `charged` and something else would be, Conflict("key_reused") when the key was used for something else,
    NotFound, and whatever speaks against it.
    """

    async def write(tx: Scope) -> tuple[str, Deed]:
        # within the transaction: what the first of two did is no reason to refuse the second
        if done := await _done(tx, attempt):
            return "", _same(done, act, account_id)
        case = await _case(tx, account_id)
        if version is not None and case.account["version"] != version:
            raise Conflict("changed", id=account_id)
        effect = await act.decide(tx, case, form)
        plans.check_price(expected, _charged(effect.postings))
        deed: Deed = await tx.db.deeds.insert(_deed(tx, act, case, effect, attempt))
        member_id = case.account["member_id"]
        await ledger.book(tx, effect.postings, key=deed["_id"], member_id=member_id, account_id=account_id)
        await _write(tx, act, case, effect)
        if effect.also:
            await effect.also(tx, case.account, deed)
        return case.account["username"], deed

    try:
        async with _turns.setdefault(account_id, asyncio.Lock()):
            username, deed = await scope.transaction(write)
    except Taken:  # the same key was used while we looked: the index is the judge
        if done := await _done(scope, attempt):
            return _same(done, act, account_id)
        raise
    if username:
        await scope.changed("account", username)
    return deed


async def history(scope: Scope, account_id: str, limit: int = 10) -> list[Deed]:
    """What was done to an account, the newest first."""
    return await scope.db.deeds.find({"account_id": account_id}, limit=limit)


def refuse(case: Case, *statuses: str) -> None:
    """Raise Conflict("is_suspended"), Conflict("is_closed") … when the account is in one of these states."""
    if case.account["status"] in statuses:
        raise Conflict(f"is_{case.account['status']}", name=case.account["username"])


async def _case(scope: Scope, account_id: str) -> Case:
    account = await accounts.get(scope, account_id)
    plan = plans.in_force(await plans.get(scope, account["plan_id"]), account)
    member: Member = await scope.db.members.get(account["member_id"])
    at = utcnow()
    zone = scope.tenant["parameters"]["timezone"]
    return Case(account, plan, member, zone, account["suspended_at"] or at, at)


async def _write(tx: Scope, act: Act, case: Case, effect: Effect) -> None:
    account = case.account
    told: dict[str, Any] = {"name": account["username"], "before": account}
    if effect.removes:
        await tx.db.accounts.delete(account["_id"])
        await tx.db.quotas.delete(account["_id"])
    else:
        own = await quotas.change(tx, account["_id"], effect.changes)
        after: Any = {**case.account, **effect.changes, **await tx.db.accounts.update(account["_id"], {"$set": own})}
        told["after"] = after
        if after["plan_id"] != account["plan_id"]:
            await sessions.mark_plan(tx, account["_id"], after["plan_id"])
        was, is_now = await _held(tx, case, effect)
        if was != is_now:
            await adjustments.mark(tx, account["_id"])
        if effect.tell:
            await effect.tell(tx, after, case.plan["name"])
    await audit.record(tx, f"account.{act.verb}", account["_id"], **told)


async def _held(scope: Scope, case: Case, effect: Effect) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """What the account's sessions are held to, before and after."""
    after: Any = {**case.account, **effect.changes}
    plan = await plans.get(scope, after["plan_id"]) if {"plan_id", "terms"} & effect.changes.keys() else case.plan
    balance = case.member["balance"]
    records = (
        login_records.make(case.account, case.plan, scope.tenant, balance),
        login_records.make(after, plan, scope.tenant, balance + sum(posting.amount for posting in effect.postings)),
    )
    return held_to(records[0], case.at.timestamp()), held_to(records[1], case.at.timestamp())


def _become(before: tuple[object, ...], after: tuple[object, ...]) -> str:
    if before == after:
        return ""
    return "end" if after[0] in ("out", "pool") else "speed"


def _deed(scope: Scope, act: Act, case: Case, effect: Effect, attempt: str) -> Deed:
    after: Any = {**case.account, **effect.changes}
    return Deed(
        _id=new_id("dee"),
        tenant_id=scope.tenant_id,
        member_id=case.account["member_id"],
        agent_id=case.account["agent_id"],
        account_id=case.account["_id"],
        key=attempt,
        verb=act.verb,
        charged=_charged(effect.postings),
        received=_sum(effect.postings, "payment", "refund"),
        expires_at=after["expires_at"],
        plan_id=after["plan_id"],
        note=effect.note,
        actor_name=scope.actor.name,
        at=case.at,
    )


def _charged(postings: tuple[Posting, ...]) -> int:
    return -_sum(postings, "charge")


def _sum(postings: tuple[Posting, ...], *kinds: str) -> int:
    return sum(posting.amount for posting in postings if posting.kind in kinds)


async def _done(scope: Scope, attempt: str) -> Deed | None:
    deed: Deed | None = await scope.db.deeds.one({"key": attempt})
    return deed


def _same(deed: Deed, act: Act, account_id: str) -> Deed:
    if (deed["verb"], deed["account_id"]) != (act.verb, account_id):
        raise Conflict("key_reused", key=deed["key"])
    return deed
