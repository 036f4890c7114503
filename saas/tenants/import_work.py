"""Working off imports (imports.py), a part of the file at a time (turns.py): looked at, taken over, taken back.

What a part comes to is one transaction with the counts of the import. Whoever is killed before that does the part again
and finds nothing of it done; who lost the lease, or was stopped meanwhile, finds other counts and writes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from saas import security
from saas.errors import Limit, NotFound, Taken
from saas.sheets import Line
from saas.store import Update
from saas.tenants import (
    accounts,
    billing,
    import_facts,
    import_parts,
    import_undo,
    imports,
    ledger,
    members,
    platform,
    quotas,
    turns,
)
from saas.tenants.import_cells import Problem, Reading, Values
from saas.tenants.import_facts import Facts
from saas.tenants.imports import UNDO, Import, ImportRow
from saas.tenants.ledger import Opening
from saas.tenants.plans import Plan
from saas.tenants.scope import Scope
from saas.values import utcnow

_MADE = 10  # signs of a password that is made
_OVER = {"check": "checked", "commit": "done"}


async def _portion(scope: Scope, run: Import) -> int:
    """The next part; how many rows it has."""
    if run["phase"] == "undo":
        return await import_undo.portion(scope, run)
    if run["at"] < 0:
        await scope.db.import_rows.delete_many({"import_id": run["_id"]})
        await scope.db.imports.update_one(_as_it_was(run), {"$set": {"at": 0}})
        return 1
    try:
        lines = await import_parts.lines_of(scope, run["_id"], run["at"])
        return await (_check if run["phase"] == "check" else _commit)(scope, run, lines)
    except NotFound:
        await _stop(scope, run, "file_gone")
    except Limit as error:
        await _stop(scope, run, error.code)
    except Taken:  # somebody opened an account of such a name at this moment: the next look finds it
        return 1
    return 0


async def _check(scope: Scope, run: Import, lines: Sequence[Line]) -> int:
    """Look at the rows of a part."""
    rows = _values(scope, run, lines)
    facts = await import_facts.gather_file(scope, run, rows)
    found = []
    for number, (line, values) in enumerate(zip(lines, rows, strict=True), run["at"] * imports.PART):
        values.problems += facts.problems(values)
        facts.note(values, line.number)
        found.append(_row(run, number, line.number, values))
    counted = Counter(row["state"] for row in found)

    async def write(tx: Scope) -> None:
        if await tx.db.imports.update_one(_as_it_was(run), _moved_on(run, counted)):
            await tx.db.import_rows.insert_many(found)

    await scope.transaction(write)
    return len(lines)


def _values(scope: Scope, run: Import, lines: Sequence[Line]) -> list[Values]:
    zone = scope.tenant["parameters"]["timezone"]
    reading = Reading(run["columns"], run["source"], zone, run["plan"], run["expires"])
    return [reading.row(line.cells) for line in lines]


def _row(run: Import, number: int, line: int, values: Values) -> dict[str, Any]:
    told = {name: getattr(values, name) for name in ("username", "login", "name", "mobile", "plan", "balance")}
    return {
        "_id": imports.row_id(run["_id"], number),
        "import_id": run["_id"],
        "line": line,
        **told,
        "state": "bad" if values.problems else "good",
        "problems": [asdict(problem) for problem in values.problems],
        "account_id": "",
        "member_id": "",
        "own": False,
        "created_at": utcnow(),
    }


@dataclass(slots=True)
class _Harvest:
    """What the rows of a part become. `people`: members by login, new ones among them, as they are or will be."""

    now: datetime
    people: dict[str, dict[str, Any]]
    own: set[str]
    members: list[dict[str, Any]] = field(default_factory=list)
    accounts: list[dict[str, Any]] = field(default_factory=list)
    openings: dict[str, Opening] = field(default_factory=dict)
    outcomes: list[Update] = field(default_factory=list)
    made: list[tuple[int, str, str]] = field(default_factory=list)


async def _commit(scope: Scope, run: Import, lines: Sequence[Line]) -> int:
    """Take the good rows of a part over."""
    kept = {line.number: line for line in lines}
    rows = [row for row in await imports.rows_of(scope, run["_id"], run["at"]) if row["state"] == "good"]
    values = _values(scope, run, [kept[row["line"]] for row in rows])
    facts = await import_facts.gather_own(scope, run, values)
    harvest = _harvest(scope, run, list(zip(rows, values, strict=True)), facts)
    await platform.check_tier(scope, "accounts", len(harvest.accounts))
    openings = await _unposted(scope, harvest.openings)
    counted = {"done": len(harvest.accounts), "made": len(harvest.made)}
    counted["refused"] = len(rows) - counted["done"]
    sealed = scope.seal(json.dumps(harvest.made)) if harvest.made else None
    part = {"_id": imports.part_id(run["_id"], run["at"]), "sealed": sealed, "created_at": harvest.now}

    async def write(tx: Scope) -> bool:
        if not await tx.db.imports.update_one(_as_it_was(run), _moved_on(run, counted)):
            return False
        if harvest.members:
            await tx.db.members.insert_many(harvest.members)
        if harvest.accounts:
            await quotas.insert(tx, harvest.accounts)
        await ledger.open_balances(tx, openings)
        await tx.db.import_rows.bulk(harvest.outcomes)
        if sealed:
            await tx.db.import_passwords.insert(part)
        return True

    if await scope.transaction(write) and _is_last(run):
        await import_undo.tell(scope)
    return len(lines)


def _harvest(scope: Scope, run: Import, rows: Sequence[tuple[ImportRow, Values]], facts: Facts) -> _Harvest:
    """What becomes of the rows as things are now."""
    harvest = _Harvest(utcnow(), dict(facts.members), set(facts.ours))
    for row, values in rows:
        values.problems += facts.problems(values)
        plan = facts.plan(values)
        if values.problems or plan is None:
            wrong = [asdict(problem) for problem in values.problems or [Problem("plan", "unknown_plan", values.plan)]]
            harvest.outcomes.append(Update({"_id": row["_id"]}, {"$set": {"state": "refused", "problems": wrong}}))
            continue
        facts.note(values, row["line"])
        _take_over(scope, run, harvest, row, values, plan)
    return harvest


def _take_over(scope: Scope, run: Import, harvest: _Harvest, row: ImportRow, values: Values, plan: Plan) -> None:
    """One row: its member, unless it is there, its account, and what its member brings along."""
    member = harvest.people.get(values.login)
    if member is None:
        particulars = {"name": values.name, "mobile": values.mobile, "note": values.note}
        member = members.new_member(values.login, password_hash=None, **particulars)
        harvest.members.append(member)
        harvest.own.add(member["_id"])
        harvest.people[values.login] = member
    own = member["_id"] in harvest.own
    password = values.password or security.new_secret(_MADE)
    account = accounts.new_account(scope, member, plan["_id"], values.username, password)
    account |= {**_standing(scope, plan, values, harvest.now), "attempt": row["_id"]}
    harvest.accounts.append(account)
    if not values.password:
        harvest.made.append((row["line"], values.username, password))
    if values.balance and own:
        key = imports.opening_key(run["_id"], member["_id"])
        harvest.openings.setdefault(key, Opening(member["_id"], values.balance, key, run["file"]))
    done = {"state": "done", "account_id": account["_id"], "member_id": member["_id"], "own": own}
    harvest.outcomes.append(Update({"_id": row["_id"]}, {"$set": done}))


def _standing(scope: Scope, plan: Plan, values: Values, now: datetime) -> Mapping[str, Any]:
    """What an account has that comes from elsewhere: its time is what the file says, its quota one unit of the plan.
    Nothing was paid here, so nothing is given back for it.
    """
    fields: dict[str, Any] = {"status": values.status, "static_ip": values.static_ip, "mac": values.mac}
    if values.status == "pending":
        return fields | billing.prepared(plan, 0, 0, now, scope.tenant["parameters"]["timezone"])
    holding = billing.empty(now)
    given: dict[str, Any] = {"octets": plan["octets"] or None, "seconds": plan["seconds"] or None}
    fields |= {"expires_at": values.expires, "octets_left": given["octets"], "seconds_left": given["seconds"]}
    if values.status == "suspended":
        fields["suspended_at"] = now
    return fields | {"term": holding["term"] | given, "renews": plan["renews"] and values.status != "closed"}


async def _unposted(scope: Scope, openings: Mapping[str, Opening]) -> list[Opening]:
    """Those that no earlier part of the file posted."""
    if not openings:
        return []
    keys = sorted(openings)
    found = await scope.db.ledger.find({"key": {"$in": keys}}, limit=len(keys), fields=["key"])
    posted = {entry["key"] for entry in found}
    return [openings[key] for key in keys if key not in posted]


def _is_last(run: Import) -> bool:
    return run["at"] + 1 >= run["parts"]


def _as_it_was(run: Import) -> dict[str, Any]:
    """The import, if nobody did this part or stopped it meanwhile."""
    return {"_id": run["_id"], "open": True, "phase": run["phase"], "at": run["at"], "version": run["version"]}


def _moved_on(run: Import, counted: Mapping[str, int]) -> dict[str, Any]:
    """How the import is after the part."""
    now = utcnow()
    fields: dict[str, Any] = {"at": run["at"] + 1, "updated_at": now}
    if run["phase"] == "commit":
        fields |= {"done_at": now, "undo_until": now + UNDO}
    if _is_last(run):
        fields |= {"state": _OVER[run["phase"]], "open": False}
    return {"$set": fields, "$inc": dict(counted)}


async def _stop(scope: Scope, run: Import, reason: str) -> None:
    await imports.end(scope, run, "stopped", reason)


WORK = turns.Work("imports", imports.may, _portion, _stop, where={"phase": {"$ne": "read"}})
