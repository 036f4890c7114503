"""Bulk runs as people ask for them and jobs work them off, for the tests."""

from __future__ import annotations

from saas.tenants import accounts, bulk, bulk_work
from saas.tenants.bulk import Choice, Run
from saas.tenants.forms import Form
from saas.tenants.paging import ListQuery
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id

ALL = Choice(where={})


async def opened(scope: Scope, plan_id: str, count: int) -> list[str]:
    """New accounts; their ids."""
    found = []
    for _ in range(count):
        form = accounts.QuickOpenForm(username=new_id("u")[-20:], plan_id=plan_id)
        found.append((await accounts.quick_open(scope, form, new_id("key")))[0]["_id"])
    return found


async def asked(scope: Scope, verb: str, form: Form | None = None, choice: Choice = ALL, key: str = "") -> Run:
    return await bulk.ask(scope, verb, form or Form(), choice, key or new_id("ask"))


async def worked_off(ps: PlatformScope, scope: Scope, run: Run) -> Run:
    """The run when it is over."""
    while (await bulk.get(scope, run["_id"]))["open"]:
        await bulk_work.turn(ps)
    return await bulk.get(scope, run["_id"])


async def outcomes(scope: Scope, run: Run, state: str = "") -> dict[str, str]:
    """Account's id -> "ok", "waiting" or the refusal's code."""
    query = ListQuery(filters={"state": state} if state else {}, sort="_id", limit=1000)
    rows = (await bulk.results(scope, run["_id"], query)).rows
    return {row["account_id"]: row["code"] or row["state"] for row in rows}


async def renewals(scope: Scope) -> dict[str, int]:
    """Account's id -> how often it was renewed."""
    group = {"$group": {"_id": "$account_id", "n": {"$sum": 1}}}
    rows = await scope.db.deeds.aggregate([{"$match": {"verb": "renew"}}, group])
    return {row["_id"]: int(row["n"]) for row in rows}


def counts(run: Run) -> tuple[str, int, int, int]:
    return run["state"], run["total"], run["ok"], run["refused"]
