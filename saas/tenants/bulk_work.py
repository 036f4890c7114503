"""Working off bulk runs (bulk.py), portion by portion: tenants take turns, and of each the oldest run comes first.

A portion's outcome is written in one transaction with the run's counts, which say how far it has come. Whoever is
killed before that does the portion again, and finds by its keys what it did; who lost the lease finds other counts.
Portions are ranges of ids with both bounds: not every server answers more than that from an index.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import Any

from saas.errors import AppError, Unavailable
from saas.store import Update
from saas.tenants import bulk, login
from saas.tenants.bulk import Candidate, Choice, Result, Run
from saas.tenants.bulk_tasks import TASKS
from saas.tenants.fanout import each_tenant
from saas.tenants.forms import Form
from saas.tenants.scope import Actor, PlatformScope, Scope
from saas.values import utcnow

log = logging.getLogger(__name__)

_LOOKED_AT = 500  # open runs, for whose they are
_GATHERED = 2000  # rows made in a portion
_DONE = 20  # rows done in a portion


async def turn(ps: PlatformScope) -> int:
    """A portion for each tenant that has a run, those first who have waited longest; how many rows that were."""
    rows = await ps.db.bulk_runs.find({"open": True}, sort=[("turn_at", 1)], limit=_LOOKED_AT, fields=["tenant_id"])
    work: dict[str, None] = {row["tenant_id"]: None for row in rows}
    return await each_tenant(ps, "bulk runs", work, partial(_portion, ps))


async def _portion(ps: PlatformScope, system: Scope, _: None) -> int:
    """The next portion of the tenant's oldest run, in the name of whoever asked for it, if he still may."""
    rows = await system.db.bulk_runs.find({"open": True}, sort=[("_id", 1)], limit=1)
    if not rows:
        return 0
    run: Run = rows[0]
    await system.db.bulk_runs.update_many({"open": True}, {"$set": {"turn_at": utcnow()}})
    await system.db.bulk_runs.update_one({"_id": run["_id"], "state": "waiting"}, {"$set": {"state": "running"}})
    scope = await login.acting(ps, Actor(**run["actor"]), system.tenant)
    if reason := _stopped(system, scope, run):
        await bulk.end(system, run["_id"], "stopped", reason)
    elif scope is not None:
        return await (_gather(scope, run) if run["gathered"] is not None else _work(scope, run))
    return 0


def _stopped(system: Scope, scope: Scope | None, run: Run) -> str:
    """Why the run cannot go on, "" when it can."""
    if system.tenant["status"] != "active":
        return "tenant_stopped"
    if scope is None:
        return "actor_gone"
    return "" if bulk.may(scope, run["verb"]) else "denied"


async def _gather(scope: Scope, run: Run) -> int:
    """Make the next rows of the choice."""
    gathered = str(run["gathered"])
    found = await bulk.candidates(scope, Choice(**run["choice"]), gathered, run["until"], _GATHERED)
    reached = found[-1].place if len(found) == _GATHERED else None
    change = {"$set": {"gathered": reached}, "$inc": {"total": len(found)}}

    async def write(tx: Scope) -> None:
        moved = await tx.db.bulk_runs.update_one({"_id": run["_id"], "gathered": gathered}, change)
        if moved and found:
            rows = [_row(run, number, each) for number, each in enumerate(found, run["total"])]
            await tx.db.bulk_results.insert_many(rows)

    await scope.transaction(write)
    return len(found)


def _row(run: Run, number: int, each: Candidate) -> dict[str, Any]:
    """A row to be done."""
    whose = {"run_id": run["_id"], "account_id": each.account_id, "username": each.username}
    blank: dict[str, Any] = {"state": "waiting", "code": "", "data": {}, "at": None, "created_at": utcnow()}
    return {"_id": bulk.result_id(run["_id"], number), **whose, **blank}


async def _work(scope: Scope, run: Run) -> int:
    """Do the next rows, and write down what became of them."""
    place = {"ok": run["ok"], "refused": run["refused"]}
    first = sum(place.values())
    bounds = {"$gte": bulk.result_id(run["_id"], first), "$lt": bulk.result_id(run["_id"], first + _DONE)}
    filter = {"run_id": run["_id"], "_id": bounds}
    rows: list[Result] = await scope.db.bulk_results.find(filter, sort=[("_id", 1)], limit=_DONE)
    if not rows:
        await bulk.end(scope, run["_id"], "done")
        return 0
    form = TASKS[run["verb"]].form.model_validate(run["form"])
    outcomes = [await _done(scope, run, row, form) for row in rows]
    counted = Counter(each["state"] for each in outcomes)

    async def write(tx: Scope) -> None:
        if await tx.db.bulk_runs.update_one({"_id": run["_id"], **place}, {"$inc": dict(counted)}):
            told = zip(rows, outcomes, strict=True)
            await tx.db.bulk_results.bulk([Update({"_id": row["_id"]}, {"$set": each}) for row, each in told])

    await scope.transaction(write)
    return len(rows)


async def _done(scope: Scope, run: Run, row: Result, form: Form) -> dict[str, Any]:
    """Do it to one account: the fields of its row. A defect of ours is that account's alone, and is logged."""
    try:
        await TASKS[run["verb"]].do(scope, row["account_id"], form, f"{run['root']}:{row['account_id']}")
    except Unavailable:
        raise
    except AppError as error:
        code, data = bulk.code_of(error)
        return {"state": "refused", "code": code, "data": dict(data), "at": utcnow()}
    except Exception:
        log.exception("bulk run %s failed for account %s", run["_id"], row["account_id"])
        return {"state": "refused", "code": "error", "at": utcnow()}
    return {"state": "ok", "at": utcnow()}
