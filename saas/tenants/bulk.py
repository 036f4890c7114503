"""Bulk runs: one thing done to many accounts, with a row for each account that says what became of it.

A run is asked for here and worked off by the jobs (bulk_work.py). First the choice is frozen: a row for each account
that it finds, none that was opened after the run was asked for. Then row after row is done, each by a key of its own,
so that whoever is killed half-way goes on where the last portion ended and does nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, NotRequired, TypedDict

from saas.errors import AppError, Conflict, Denied, Invalid, Taken
from saas.permissions import Permission
from saas.store import Table
from saas.tenants import accounts, audit, billing, life, plans, sessions
from saas.tenants.bulk_tasks import TASKS
from saas.tenants.forms import Form
from saas.tenants.paging import ListQuery, Page, page
from saas.tenants.purchases import NewPlanForm
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

MOST_OPEN: Final = 10  # runs of a tenant that are not over
_FIRST = 5  # accounts that are shown beforehand
_NOT_DONE = ("refused", "waiting")
State = Literal["waiting", "running", "done", "cancelled", "stopped"]


class Choice(NamedTuple):
    """Which accounts: those with these `ids`; or those in a list with this `where` (`q` and accounts.FILTERS; None: not
    chosen so); or those to which the run `rest_of` did not do it. Of a task of sessions: open sessions, `where` holding
    `q` and filters of sessions.listing.
    """

    ids: Sequence[str] = ()
    where: Mapping[str, str] | None = None
    rest_of: str = ""


class Run(TypedDict):
    """`verb` is one of TASKS, `form` what its form says, `choice` a Choice. `until`: the greatest account id there was.

    `root`: the run whose rest this is, or itself; keys are made of it, so what the one did the other does not do again.
    `open`: it waits or runs. `gathered`: up to which place of the choice there are rows, None when there are all. Rows
    are done in order: `ok` and `refused` of the `total`, as of the last portion that ended. `reason`: why it was ended,
    a code. `turn_at`: when it last had its turn.
    """

    _id: str
    tenant_id: str
    verb: str
    form: dict[str, Any]
    choice: dict[str, Any]
    until: str
    root: str
    state: State
    open: bool
    reason: str
    gathered: str | None
    total: int
    ok: int
    refused: int
    actor: dict[str, str]
    key: str
    turn_at: datetime
    ended_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class Result(TypedDict):
    """What became of an account: `state` "waiting", "ok", or "refused" with the refusal's code and data. With a
    `session_id`, what became of that session.

    The id is that of the run with the row's number (result_id), so that a portion is a range of ids.
    """

    _id: str
    tenant_id: str
    run_id: str
    account_id: str
    session_id: NotRequired[str]
    username: str
    state: Literal["waiting", "ok", "refused"]
    code: str
    data: Mapping[str, Any]
    at: datetime | None
    created_at: datetime


class Candidate(NamedTuple):
    """An account, or an open session, of a choice. `place`: behind it begin those that come next."""

    place: str
    account_id: str
    username: str
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a run would be as things are: how many accounts, how many of them are refused for certain, and what is paid
    in all at the plans' prices, in minor units. None: it cannot be said without a look at each account.
    """

    count: int
    refused: int | None = None
    to_pay: int | None = None


async def ask(scope: Scope, verb: str, form: Form, choice: Choice, key: str, expected: int | None = None) -> Run:
    """Have it done, once for each `key`. Denied without the task's permission, Conflict("nothing_chosen"),
    Conflict("too_many_runs"), NotFound; Conflict("price_changed") when `expected` was shown to be paid in all, in minor
    units, and is not.
    """
    check(scope, verb)
    if found := await scope.db.bulk_runs.one({"key": key}):
        return _typed(found)
    await check_form(scope, form)
    if expected is not None:
        plans.check_price(expected, (await outline(scope, verb, form, choice)).to_pay or 0)
    root = await _root(scope, verb, choice.rest_of) if choice.rest_of else ""
    if not await candidates(scope, verb, choice, limit=1):
        raise Conflict("nothing_chosen")
    if await scope.db.bulk_runs.count({"open": True}, limit=MOST_OPEN) >= MOST_OPEN:
        raise Conflict("too_many_runs", limit=MOST_OPEN)
    last = await _table(scope, verb).find({}, limit=1, fields=["username"])
    row = _new(scope, verb, form, choice, root) | {"key": key, "until": last[0]["_id"] if last else ""}

    async def write(tx: Scope) -> Run:
        run = _typed(await tx.db.bulk_runs.insert(row))
        await audit.record(tx, f"bulk.{verb}", run["_id"])
        return run

    try:
        return await scope.transaction(write)
    except Taken:  # the same key was used while we looked
        return _typed(await scope.db.bulk_runs.one({"key": key}))


def may(scope: Scope, verb: str) -> bool:
    """Whether somebody may do this to accounts that he sees in lists."""
    return {Permission.ACCOUNTS_READ, TASKS[verb].permission} <= scope.permissions


def check(scope: Scope, verb: str) -> None:
    """Denied for whoever may not."""
    if not may(scope, verb):
        raise Denied(permission=str(TASKS[verb].permission))


async def check_form(scope: Scope, form: Form) -> None:
    """Invalid for what would be refused of every account alike."""
    if isinstance(form, NewPlanForm) and await plans.sold(scope, form.plan_id) is None:
        raise Invalid({"plan_id": "bad_choice"})


def code_of(error: AppError) -> tuple[str, Mapping[str, Any]]:
    """Code and data of a refusal; what is wrong with a field is the code."""
    return next(iter(error.fields.values()), error.code) if isinstance(error, Invalid) else error.code, error.data


async def outline(scope: Scope, verb: str, form: Form | None, choice: Choice) -> Outline:
    """What `ask` would have done; without a form, to how many. NotFound."""
    if choice.rest_of:
        run = await get(scope, choice.rest_of)
        return Outline(run["total"] - run["ok"])
    if TASKS[verb].of == "sessions":
        return Outline(await _sessions(scope, choice))
    groups = await _groups(scope, choice)
    if form is None:
        return Outline(sum(groups.values()))
    await check_form(scope, form)
    task = TASKS[verb]
    buys = {plan_id: task.buys(form, plan_id) for plan_id, _ in groups}
    known = await scope.db.plans.among(buys.keys() | {plan_id for plan_id, _ in buys.values()})
    taken = {group: n for group, n in groups.items() if not task.refuses(form, known[group[0]], group[1])}
    to_pay = 0
    for (plan_id, _), n in taken.items():
        bought, units = buys[plan_id]
        to_pay += n * billing.price_of(known[bought], units) if units else 0
    return Outline(sum(groups.values()), sum(groups.values()) - sum(taken.values()), to_pay)


async def first(
    scope: Scope, verb: str, form: Form | None, choice: Choice
) -> list[tuple[Candidate, life.Preview | AppError | None]]:
    """The first accounts with what would be done to each, or its refusal; None where there is nothing to show."""
    preview = TASKS[verb].preview
    found = []
    for each in await candidates(scope, verb, choice, limit=_FIRST):
        shown: life.Preview | AppError | None = None
        if preview and form is not None:
            try:
                shown = await preview(scope, each.account_id, form)
            except AppError as error:
                shown = error
        found.append((each, shown))
    return found


async def _groups(scope: Scope, choice: Choice) -> dict[tuple[str, str], int]:
    """How many accounts of a choice, which is no rest, by plan and status."""
    if choice.where is None:
        found = await scope.db.accounts.among(choice.ids)
        return dict(Counter((row["plan_id"], row["status"]) for row in found.values()))
    group = {"$group": {"_id": {"plan": "$plan_id", "status": "$status"}, "n": {"$sum": 1}}}
    rows = await scope.db.accounts.aggregate([{"$match": _matching(scope, choice.where)}, group])
    return {(row["_id"]["plan"], row["_id"]["status"]): int(row["n"]) for row in rows}


async def _sessions(scope: Scope, choice: Choice) -> int:
    """How many of a choice, which is no rest, are open."""
    if choice.where is None:
        return len(await scope.db.online.among(choice.ids))
    return await scope.db.online.count(_matching(scope, choice.where, "sessions"))


def _table(scope: Scope, verb: str) -> Table:
    return scope.db.online if TASKS[verb].of == "sessions" else scope.db.accounts


def _matching(scope: Scope, where: Mapping[str, str], of: str = "accounts") -> dict[str, Any]:
    if of == "sessions":
        return sessions.matching(scope, ListQuery(where.get("q", ""), where))
    return accounts.matching(scope, where.get("q", ""), where)


async def candidates(
    scope: Scope, verb: str, choice: Choice, after: str = "", until: str = "\uffff", limit: int = 100
) -> list[Candidate]:
    """The next accounts, or sessions, of a choice behind a place, those with ids up to `until`."""
    of = TASKS[verb].of
    if choice.rest_of:
        return await _not_done(scope, choice.rest_of, after, limit)
    filter: dict[str, Any]
    if choice.where is None:
        filter = {"_id": {"$in": [each for each in choice.ids if after < each <= until]}}
    else:
        filter = _matching(scope, choice.where, of)
        since = filter.get("_id", {}).get("$gte", "")
        filter["_id"] = {"$gt": max(after, since), "$lte": until}
    rows = await _table(scope, verb).find(filter, sort=[("_id", 1)], limit=limit, fields=["username", "account_id"])
    if of == "sessions":
        return [Candidate(row["_id"], row["account_id"], row["username"], row["_id"]) for row in rows]
    return [Candidate(row["_id"], row["_id"], row["username"]) for row in rows]


async def _not_done(scope: Scope, run_id: str, after: str, limit: int) -> list[Candidate]:
    """Places are "state:id": first those that were refused, then those that it did not come to."""
    found: list[Candidate] = []
    for state in _NOT_DONE:
        if after < f"{state}:\uffff" and len(found) < limit:
            behind = {"$gt": after.removeprefix(f"{state}:") if after.startswith(state) else ""}
            filter = {"run_id": run_id, "state": state, "_id": behind}
            rows = await scope.db.bulk_results.find(filter, sort=[("_id", 1)], limit=limit - len(found))
            found += [
                Candidate(f"{state}:{row['_id']}", row["account_id"], row["username"], row.get("session_id", ""))
                for row in rows
            ]
    return found


async def get(scope: Scope, run_id: str) -> Run:
    """One run. NotFound."""
    return _typed(await scope.db.bulk_runs.get(run_id))


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Runs, newest first."""
    return await page(scope.db.bulk_runs, {}, query)


async def results(scope: Scope, run_id: str, query: ListQuery) -> Page:
    """What became of the accounts of a run. Filter: `state`."""
    filter = {"run_id": run_id} | {name: query.filters[name] for name in ("state",) if query.filters.get(name)}
    return await page(scope.db.bulk_results, filter, query)


async def cancel(scope: Scope, run_id: str) -> Run:
    """End a run between two accounts; what was done stays. Denied, NotFound, Conflict("bulk_over")."""
    run = await get(scope, run_id)
    check(scope, run["verb"])

    async def write(tx: Scope) -> None:
        if not await end(tx, run_id, "cancelled"):
            raise Conflict("bulk_over")
        await audit.record(tx, "bulk.cancel", run_id)

    await scope.transaction(write)
    return await get(scope, run_id)


def result_id(run_id: str, number: int) -> str:
    """The id of a run's row, the first being number 0."""
    return f"{run_id}:{number:08d}"


async def end(scope: Scope, run_id: str, state: State, reason: str = "") -> bool:
    """Write down that a run is over; False when it was already."""
    over = {"state": state, "open": False, "reason": reason, "ended_at": utcnow()}
    return await scope.db.bulk_runs.update_one({"_id": run_id, "open": True}, {"$set": over})


async def _root(scope: Scope, verb: str, rest_of: str) -> str:
    run = await get(scope, rest_of)
    if run["verb"] != verb:
        raise Conflict("nothing_chosen")
    if run["open"]:
        raise Conflict("bulk_runs")
    return run["root"]


def _new(scope: Scope, verb: str, form: Form, choice: Choice, root: str) -> dict[str, Any]:
    now, run_id = utcnow(), new_id("blk")
    return {
        "_id": run_id,
        "verb": verb,
        "form": form.model_dump(),
        "choice": choice._asdict() | {"ids": list(choice.ids)},
        "root": root or run_id,
        "state": "waiting",
        "open": True,
        "reason": "",
        "gathered": "",
        "total": 0,
        "ok": 0,
        "refused": 0,
        "actor": asdict(scope.actor),
        "turn_at": now,
        "ended_at": None,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def _typed(row: Any) -> Run:
    run: Run = row
    return run
