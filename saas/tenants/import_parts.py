"""What lies sealed for an import: its file, as it came and then in parts of some rows, and passwords that were made."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

from saas.errors import Conflict, NotFound
from saas.sheets import Line
from saas.tenants import audit, imports
from saas.tenants.imports import Import, ImportRow
from saas.tenants.scope import Scope
from saas.values import utcnow

_PIECES = 100  # more than the largest file has


async def file_of(scope: Scope, import_id: str) -> bytes:
    """The file as it came, until it is read. NotFound when it is not kept any more."""
    pieces = await scope.db.import_parts.find({"_id": _of_file(import_id)}, sort=[("_id", 1)], limit=_PIECES)
    if not pieces:
        raise NotFound(id=import_id)
    return b"".join(base64.b64decode(scope.unseal(piece["sealed"])) for piece in pieces)


async def forget_file(scope: Scope, import_id: str) -> None:
    """Erase the file as it came."""
    await scope.db.import_parts.delete_many({"_id": _of_file(import_id)})


async def lines_of(scope: Scope, import_id: str, at: int) -> list[Line]:
    """The rows of a part of the file. NotFound when it is not kept any more."""
    part = await scope.db.import_parts.get(imports.part_id(import_id, at))
    return [Line(number, cells) for number, cells in json.loads(scope.unseal(part["sealed"]))]


async def left_out(scope: Scope, import_id: str) -> AsyncIterator[list[tuple[Line, ImportRow]]]:
    """The rows that were not taken over, as they stand in the file, with what is wrong with them, some at a time.

    It is logged, for the file holds passwords. NotFound, also when the file is gone.
    """
    row = await imports.get(scope, import_id)
    if not await scope.db.import_parts.count({"_id": _within(import_id)}, limit=1):
        raise NotFound(id=import_id)
    await audit.record(scope, "import.left_out", import_id, name=row["file"])
    for at in range(row["parts"]):
        wrong = [each for each in await imports.rows_of(scope, import_id, at) if each["state"] in ("bad", "refused")]
        lines = {line.number: line for line in await lines_of(scope, import_id, at)} if wrong else {}
        yield [(lines[each["line"]], each) for each in wrong if each["line"] in lines]


def has_passwords(row: Import) -> bool:
    """Whether passwords that were made wait to be taken out, of accounts that are there."""
    return row["made"] > 0 and row["done"] > row["removed"] and not row["open"] and row["passwords_taken_at"] is None


async def take_passwords(scope: Scope, import_id: str) -> list[tuple[int, str, str]]:
    """Line, account and password of every row whose password was made: this once, then they are erased here.

    NotFound, Conflict("passwords_taken") ever after.
    """

    async def write(tx: Scope) -> list[tuple[int, str, str]]:
        row = await imports.get(tx, import_id)
        mine = {"_id": _within(import_id)}
        kept = await tx.db.import_passwords.find(mine, sort=[("_id", 1)], limit=imports.MOST // imports.PART + 1)
        if not kept or row["open"]:
            raise Conflict("import_runs" if row["open"] else "passwords_taken")
        await tx.db.import_passwords.delete_many(mine)
        taken = {"passwords_taken_at": utcnow(), "passwords_taken_by": tx.actor.name}
        await tx.db.imports.update(import_id, {"$set": taken})
        await audit.record(tx, "import.passwords", import_id, name=row["file"])
        return [(line, name, secret) for part in kept for line, name, secret in json.loads(tx.unseal(part["sealed"]))]

    return await scope.transaction(write)


async def forget(scope: Scope, import_id: str) -> None:
    """Erase the file, and passwords that wait if nobody needs them any more."""
    await scope.db.import_parts.delete_many({"_id": _within(import_id)})
    if not has_passwords(await imports.get(scope, import_id)):
        await scope.db.import_passwords.delete_many({"_id": _within(import_id)})


def _of_file(import_id: str) -> dict[str, str]:
    return {"$gte": f"{import_id}:file:", "$lt": f"{import_id}:file;"}


def _within(import_id: str) -> dict[str, str]:
    return {"$gte": f"{import_id}:", "$lt": f"{import_id};"}
