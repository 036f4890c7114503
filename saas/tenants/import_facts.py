"""What the store says of rows to be taken over: which names are in use, which members exist, which plans are sold.

Read once for a part of a file; `problems` then says of each row what speaks against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from saas.sheets import normal
from saas.tenants import plans
from saas.tenants.import_cells import Problem, Values
from saas.tenants.imports import Import
from saas.tenants.plans import Plan
from saas.tenants.scope import Scope

# A stage of its own: with the state beside the names, embedded stores look through all rows that have that state.
_IN_STATE = {state: {"$match": {"state": state}} for state in ("good", "done")}


@dataclass(slots=True)
class Person:
    """What the file said of a member so far, first in a `line`."""

    line: int
    name: str
    mobile: str
    balance: int


@dataclass(slots=True)
class Facts:
    """`members`: those that exist, by login; `ours`: ids of those that came with this very import.

    `lines`: in which line of the file an account's name stood before; `people`: what it said of members.
    """

    sold: Mapping[str, Plan]
    named: frozenset[str]
    taken: frozenset[str]
    members: Mapping[str, Any]
    ours: frozenset[str] = frozenset()
    lines: dict[str, int] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)

    def plan(self, values: Values) -> Plan | None:
        """The plan that a row names, if the actor may sell it."""
        return self.sold.get(_spelt(values.plan))

    def problems(self, values: Values) -> Iterator[Problem]:
        """What speaks against a row that can be read as such."""
        if values.plan:
            yield from self._of_plan(values)
        if values.username in self.taken:
            yield Problem("username", "taken", values.username)
        elif values.username and values.username in self.lines:
            yield Problem("username", "taken_in_file", values.username, {"line": self.lines[values.username]})
        if values.login in self.members:
            yield from self._of_member(values)
        if values.login in self.people:
            yield from _of_person(values, self.people[values.login])

    def note(self, values: Values, line: int) -> None:
        """Remember a row, for those that come after it in the same part."""
        if values.username:
            self.lines.setdefault(values.username, line)
        if values.login and not values.problems:
            known = self.people.setdefault(values.login, Person(line, "", "", 0))
            known.name, known.mobile = known.name or values.name, known.mobile or values.mobile
            known.balance = known.balance or values.balance

    def _of_plan(self, values: Values) -> Iterator[Problem]:
        plan = self.plan(values)
        if plan is None:
            code = "plan_not_sold" if _spelt(values.plan) in self.named else "unknown_plan"
            yield Problem("plan", code, values.plan)
            return
        if any(problem.column == "expires" for problem in values.problems):
            return
        said = values.expires is not None or values.forever
        if values.status == "pending" and said:
            yield Problem("expires", "pending_expires")
        ends = plan["bundle_months"] or plan["valid_days"]
        if ends and not said and values.status in ("normal", "suspended"):
            yield Problem("expires", "expiry_missing")

    def _of_member(self, values: Values) -> Iterator[Problem]:
        member = self.members[values.login]
        if values.name and member["name"] and values.name != member["name"]:
            yield Problem("name", "other_member", values.name, {"login": values.login, "name": member["name"]})
        if values.balance and member["_id"] not in self.ours:
            yield Problem("balance", "member_has_balance", data={"login": values.login})


def _of_person(values: Values, person: Person) -> Iterator[Problem]:
    if values.name and person.name and values.name != person.name:
        yield Problem("name", "other_in_file", values.name, {"login": values.login, "line": person.line})
    if values.balance and person.balance and values.balance != person.balance:
        yield Problem("balance", "balance_in_file", data={"login": values.login, "line": person.line})


def _spelt(name: str) -> str:
    return normal(name).casefold()


async def gather(scope: Scope, run: Import, rows: Sequence[Values]) -> Facts:
    """What there is to know of these rows."""
    usernames = sorted({values.username for values in rows if values.username})
    logins = sorted({values.login for values in rows if values.login})
    sold = {_spelt(plan["name"]): plan for plan in await plans.for_sale(scope)}
    named = frozenset(_spelt(name) for name in (await plans.names(scope)).values())
    filter: dict[str, Any] = {"username": {"$in": usernames}}
    taken = await scope.db.accounts.find(filter, limit=len(usernames) + 1, fields=["username"])
    found = await scope.db.members.find({"login": {"$in": logins}}, limit=len(logins) + 1)
    members = {row["login"]: row for row in found}
    return Facts(sold, named, frozenset(row["username"] for row in taken), members)


async def gather_file(scope: Scope, run: Import, rows: Sequence[Values]) -> Facts:
    """The same, and what stands further up in the file: while it is looked at."""
    facts = await gather(scope, run, rows)
    usernames = sorted({values.username for values in rows if values.username})
    before = {"import_id": run["_id"], "username": {"$in": usernames}}
    first = {"$group": {"_id": "$username", "line": {"$min": "$line"}}}
    for row in await scope.db.import_rows.aggregate([{"$match": before}, first]):
        facts.lines[row["_id"]] = row["line"]
    said = {"import_id": run["_id"], "login": {"$in": sorted({values.login for values in rows})}}
    group: dict[str, Any] = {"_id": "$login", "line": {"$min": "$line"}, "name": {"$max": "$name"}}
    group |= {"mobile": {"$max": "$mobile"}, "most": {"$max": "$balance"}, "least": {"$min": "$balance"}}
    for row in await scope.db.import_rows.aggregate([{"$match": said}, _IN_STATE["good"], {"$group": group}]):
        facts.people[row["_id"]] = Person(row["line"], row["name"], row["mobile"], row["most"] or row["least"])
    return facts


async def gather_own(scope: Scope, run: Import, rows: Sequence[Values]) -> Facts:
    """The same, and which members came with the import itself: while it is taken over."""
    facts = await gather(scope, run, rows)
    came = {"import_id": run["_id"], "login": {"$in": sorted(facts.members)}, "own": True}
    group = {"$group": {"_id": "$member_id"}}
    ids = await scope.db.import_rows.aggregate([{"$match": came}, _IN_STATE["done"], group]) if facts.members else []
    facts.ours = frozenset(row["_id"] for row in ids)
    return facts
