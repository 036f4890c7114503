"""Adding, changing and removing a row together with its entry in the operation log: both or neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from saas.store import Table
from saas.tenants import audit
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

Guard = Callable[[Scope, Any], Awaitable[None]]  # sees the row as it is, and raises if it must stay so


class Noun(NamedTuple):
    """What is stored: its collection, its word in the log, the beginning of its ids, the field people know it by."""

    table: str
    word: str
    kind: str
    name: str

    def rows(self, scope: Scope) -> Table:
        """The collection, within the scope."""
        table: Table = getattr(scope.db, self.table)
        return table


async def unguarded(scope: Scope, row: Any) -> None:
    """Nothing speaks against it."""


async def create(scope: Scope, noun: Noun, values: Mapping[str, Any]) -> Any:
    """Add a row with a new id. Taken."""
    now = utcnow()
    row = {"_id": new_id(noun.kind), **values, "version": 1, "created_at": now, "updated_at": now}

    async def write(tx: Scope) -> Any:
        made = await noun.rows(tx).insert(row)
        await audit.record(tx, f"{noun.word}.create", made["_id"], name=made[noun.name], after=made)
        return made

    return await scope.transaction(write)


async def change(
    scope: Scope,
    noun: Noun,
    row_id: str,
    values: Mapping[str, Any],
    *,
    verb: str = "update",
    version: int | None = None,
    guard: Guard = unguarded,
) -> Any:
    """Set fields of a row, if it is still `version`; the row as it is now. Taken, Conflict("changed"), NotFound."""

    async def write(tx: Scope) -> Any:
        before = await noun.rows(tx).get(row_id)
        await guard(tx, before)
        after = await noun.rows(tx).update(row_id, {"$set": dict(values)}, version=version)
        await audit.record(tx, f"{noun.word}.{verb}", row_id, name=after[noun.name], before=before, after=after)
        return after

    return await scope.transaction(write)


async def remove(scope: Scope, noun: Noun, row_id: str, *, guard: Guard = unguarded) -> None:
    """Take a row away; the log keeps what it was. NotFound, and what `guard` raises."""

    async def write(tx: Scope) -> None:
        row = await noun.rows(tx).get(row_id)
        await guard(tx, row)
        await noun.rows(tx).delete(row_id)
        await audit.record(tx, f"{noun.word}.delete", row_id, name=row[noun.name], before=row)

    await scope.transaction(write)
