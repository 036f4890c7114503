"""Reading the files of imports (imports.py), one after the other: what was uploaded becomes parts of some rows each.

The parts of a file are the same however often it is read: who is killed reads it again and writes over what is there.
Nothing is looked at before all is read, so whoever uploads too many rows is told that and no more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from saas import sheets
from saas.errors import NotFound
from saas.sheets import Line, Unreadable
from saas.store import Update
from saas.tenants import import_parts, imports, turns
from saas.tenants.import_columns import complete, guess, source_of
from saas.tenants.imports import Import
from saas.tenants.scope import Scope
from saas.values import utcnow

_AT_ONCE = 10  # parts that are written together


async def _portion(scope: Scope, run: Import) -> int:
    """A whole file; how many rows it has."""
    try:
        return await _read(scope, run, await import_parts.file_of(scope, run["_id"]))
    except NotFound:
        await _stop(scope, run, "file_gone")
    except Unreadable as error:
        await _stop(scope, run, error.code)
    return 0


async def _read(scope: Scope, run: Import, octets: bytes) -> int:
    """Make parts of a file; goes no further when it was stopped meanwhile. Unreadable."""
    titles: list[str] = []
    waiting: list[Sequence[Line]] = []
    parts = total = 0
    async with aclosing(sheets.read(octets, imports.MOST, imports.PART)) as found:
        async for lines in found:
            if not titles:
                titles = [sheets.normal(title)[: imports.TITLE] for title in lines[0].cells]
                continue
            waiting.append(lines)
            total += len(lines)
            if len(waiting) == _AT_ONCE:
                await _keep(scope, run, parts, waiting)
                parts += len(waiting)
                waiting.clear()
                if not await scope.db.imports.update_one(_as_it_was(run), {"$set": {"total": total}}):
                    return total
    if not total:
        raise Unreadable("empty_table")
    await _keep(scope, run, parts, waiting)
    await _go_on(scope, run, titles, {"parts": parts + len(waiting), "total": total})
    return total


async def _keep(scope: Scope, run: Import, at: int, parts: Sequence[Sequence[Line]]) -> None:
    """Write parts, the first being number `at`."""
    now = utcnow()
    texts = [json.dumps(lines, ensure_ascii=False) for lines in parts]
    await scope.db.import_parts.bulk(
        [
            Update(
                {"_id": imports.part_id(run["_id"], number)},
                {"$set": {"sealed": scope.seal(text)}, "$setOnInsert": {"created_at": now}},
                upsert=True,
            )
            for number, text in enumerate(texts, at)
        ]
    )


async def _go_on(scope: Scope, run: Import, titles: Sequence[str], counted: dict[str, Any]) -> None:
    """All is read: have it looked at, if it is told which columns are which; else its uploader is asked."""
    columns = guess(titles)
    ready = complete(columns)
    fields = {"titles": list(titles), "source": source_of(titles), "columns": columns, **counted}
    fields |= {"state": "checking" if ready else "columns", "phase": "check", "open": ready, "updated_at": utcnow()}

    async def write(tx: Scope) -> None:
        if await tx.db.imports.update_one(_as_it_was(run), {"$set": fields}):
            await import_parts.forget_file(tx, run["_id"])

    await scope.transaction(write)


def _as_it_was(run: Import) -> dict[str, Any]:
    """The import, if nobody read or stopped it meanwhile."""
    return {"_id": run["_id"], "open": True, "phase": "read"}


async def _stop(scope: Scope, run: Import, reason: str) -> None:
    await imports.end(scope, run, "stopped", reason)
    await import_parts.forget_file(scope, run["_id"])


# One file at a time: reading takes a processor, and memory.
WORK = turns.Work("imports", imports.may, _portion, _stop, where={"phase": "read"}, looked_at=1)
