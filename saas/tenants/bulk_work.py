"""Working off bulk runs (bulk.py), portion by portion (turns.py).

A portion's outcome is written in one transaction with the run's counts, which say how far it has come. Whoever is
killed before that does the portion again, and finds by its keys what it did; who lost the lease finds other counts.
Portions are ranges of ids with both bounds: not every server answers more than that from an index.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from saas.errors import AppError, Unavailable
from saas.store import Update
from saas.tenants import bulk, turns
from saas.tenants.bulk import Candidate, Choice, Result, Run
from saas.tenants.bulk_tasks import TASKS
from saas.tenants.forms import Form
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow

log = logging.getLogger(__name__)

_GATHERED = 2000  # rows made in a portion
_DONE = 20  # rows done in a portion
_TOGETHER = 50  # rows done at once, where they are


async def turn(ps: PlatformScope) -> int:
    """A portion for each tenant that has a run; how many rows that was."""
    return await turns.turn(ps, WORK)


async def _portion(scope: Scope, run: Run) -> int:
    """The next portion of a run."""
    await scope.db.bulk_runs.update_one({"_id": run["_id"], "state": "waiting"}, {"$set": {"state": "running"}})
    return await (_gather(scope, run) if run["gathered"] is not None else _work(scope, run))


def _may(scope: Scope, run: Run) -> bool:
    return bulk.may(scope, run["verb"])


async def _stop(scope: Scope, run: Run, reason: str) -> None:
    await bulk.end(scope, run["_id"], "stopped", reason)


WORK = turns.Work("bulk_runs", _may, _portion, _stop)


async def _gather(scope: Scope, run: Run) -> int:
    """Make the next rows of the choice."""
    gathered = str(run["gathered"])
    found = await bulk.candidates(scope, run["verb"], Choice(**run["choice"]), gathered, run["until"], _GATHERED)
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
    if each.session_id:
        whose["session_id"] = each.session_id
    blank: dict[str, Any] = {"state": "waiting", "code": "", "data": {}, "at": None, "created_at": utcnow()}
    return {"_id": bulk.result_id(run["_id"], number), **whose, **blank}


async def _work(scope: Scope, run: Run) -> int:
    """Do the next rows, and write down what became of them."""
    place = {"ok": run["ok"], "refused": run["refused"]}
    first = sum(place.values())
    most = _TOGETHER if TASKS[run["verb"]].together else _DONE
    bounds = {"$gte": bulk.result_id(run["_id"], first), "$lt": bulk.result_id(run["_id"], first + most)}
    filter = {"run_id": run["_id"], "_id": bounds}
    rows: list[Result] = await scope.db.bulk_results.find(filter, sort=[("_id", 1)], limit=most)
    if not rows:
        await bulk.end(scope, run["_id"], "done")
        return 0
    outcomes = await _outcomes(scope, run, rows)
    counted = Counter(each["state"] for each in outcomes)

    async def write(tx: Scope) -> None:
        if await tx.db.bulk_runs.update_one({"_id": run["_id"], **place}, {"$inc": dict(counted)}):
            told = zip(rows, outcomes, strict=True)
            await tx.db.bulk_results.bulk([Update({"_id": row["_id"]}, {"$set": each}) for row, each in told])

    await scope.transaction(write)
    return len(rows)


async def _outcomes(scope: Scope, run: Run, rows: Sequence[Result]) -> list[dict[str, Any]]:
    """Do it to these, one after another or all at once; an error is raised when none is at work any more."""
    task = TASKS[run["verb"]]
    form = task.form.model_validate(run["form"])
    if not task.together:
        return [await _done(scope, run, row, form) for row in rows]
    outcomes = await asyncio.gather(*(_done(scope, run, row, form) for row in rows), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, dict)]


async def _done(scope: Scope, run: Run, row: Result, form: Form) -> dict[str, Any]:
    """Do it to one account: the fields of its row. A defect of ours is that account's alone, and is logged."""
    subject = row.get("session_id") or row["account_id"]
    try:
        told = await TASKS[run["verb"]].do(scope, subject, form, f"{run['root']}:{subject}")
    except Unavailable:
        raise
    except AppError as error:
        code, data = bulk.code_of(error)
        return {"state": "refused", "code": code, "data": dict(data), "at": utcnow()}
    except Exception:
        log.exception("bulk run %s failed for account or session %s", run["_id"], subject)
        return {"state": "refused", "code": "error", "at": utcnow()}
    return {"state": "ok", "data": dict(told or {}), "at": utcnow()}
