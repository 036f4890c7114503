"""Imports: a file of accounts, looked at row by row, then taken over, and taken back for a day while nobody used them.

The file is kept as it came, sealed, and read by the jobs (import_reading.py); then it lies here in sealed parts of some
rows each. The jobs (import_work.py) do one part after the other: they look at it, take it over, or take it back, each
in one transaction with the counts of the import, which say how far it has come. So whoever is killed goes on with the
part that was not done.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, TypedDict

from pydantic import Base64Bytes, Field

from saas import sheets
from saas.errors import Conflict, Invalid, Limit, Taken
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import audit, platform
from saas.tenants.forms import Form
from saas.tenants.import_columns import NEEDED, TITLES
from saas.tenants.paging import ListQuery, Page, page
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

MOST: Final = 50_000  # rows of a file
MOST_OCTETS: Final = 16 * 1024 * 1024
MOST_OPEN: Final = 5  # imports of a tenant at which the jobs are
_MOST_UPLOADS, _HOUR = 60, 3600  # of a tenant in so many seconds: reading is work, and files lie for days
PART: Final = 200  # rows
UNDO: Final = timedelta(hours=24)
TITLE: Final = 100  # signs of a file's name, and of a heading
_CHUNK = 768 * 1024  # octets of a file in a row of the store
State = Literal[
    "reading", "columns", "checking", "checked", "importing", "done", "undoing", "undone", "cancelled", "stopped"
]


class FileForm(Form):
    """A table of accounts, base64 in JSON."""

    file: Annotated[Base64Bytes, Field(min_length=1, max_length=MOST_OCTETS)] = Field(
        title=N_("File"),
        description=N_(
            "XLSX or CSV (UTF-8 or GBK), at most 50,000 rows and 16 MB. The first row says what the columns are."
        ),
        json_schema_extra={"widget": "file", "accept": ".xlsx,.csv,.txt,.tsv"},
    )


class Import(TypedDict):
    """`file` is its name, `titles` its first row, `source` whose export it is (import_columns.SOURCES) or "",
    `columns` field -> place; `plan`, `expires`: a name and a day for rows that say none, or "".

    `phase`: what is or was being done, "read", "check", "commit" or "undo"; `at`: the next part of `parts` to do of
    that, -1: former outcomes are to be removed first. While it is read, `total` says how many rows were found. `good`
    and `bad` of the `total` rows as they were looked at; `done` and `refused` when they were taken over, `made` of them
    with a password of ours; `removed` and `kept` when that was taken back. `open`: the jobs have work. `reason`: why it
    was stopped, a code. `undo_until`: None before anything was taken over. `actor` asked for what is being done,
    `uploaded_by` brought the file.
    """

    _id: str
    tenant_id: str
    file: str
    titles: list[str]
    source: str
    columns: dict[str, int]
    plan: str
    expires: str
    state: State
    phase: Literal["read", "check", "commit", "undo"]
    open: bool
    reason: str
    at: int
    parts: int
    total: int
    good: int
    bad: int
    done: int
    refused: int
    made: int
    removed: int
    kept: int
    actor: dict[str, str]
    uploaded_by: str
    key: str
    turn_at: datetime
    done_at: datetime | None
    undo_until: datetime | None
    passwords_taken_at: datetime | None
    passwords_taken_by: str
    version: int
    created_at: datetime
    updated_at: datetime


class ImportRow(TypedDict):
    """What became of a row. `line`: its number in the file; `state`: "good" or "bad" (see `problems`), then "done" or
    "refused", then "undone" or "kept". A problem has `column`, `code`, `value`, `data` (import_cells.Problem).

    `own`: its member came with this import. The id is that of the import with the row's number (row_id).
    """

    _id: str
    tenant_id: str
    import_id: str
    line: int
    username: str
    login: str
    name: str
    mobile: str
    plan: str
    balance: int
    state: Literal["good", "bad", "done", "refused", "undone", "kept"]
    problems: list[dict[str, Any]]
    account_id: str
    member_id: str
    own: bool
    created_at: datetime


class Gap(NamedTuple):
    """A plan's name that the file has and the tenant has not, and in how many rows."""

    plan: str
    rows: int


async def upload(scope: Scope, form: FileForm, name: str, key: str) -> Import:
    """Keep a file and have it read and looked at, once for each `key`; nothing is taken over yet.

    Invalid where a glance shows that it is no table; Conflict("too_many_imports"), Limit("too_many_attempts").
    """
    if found := await scope.db.imports.one({"key": key}):
        return _typed(found)
    if await scope.db.imports.count({"open": True}, limit=MOST_OPEN) >= MOST_OPEN:
        raise Conflict("too_many_imports", limit=MOST_OPEN)
    uploads, wait = await scope.kv.hit("imports", _HOUR)
    if uploads > _MOST_UPLOADS:
        raise Limit("too_many_attempts", retry_after=int(wait) + 1)
    row = _new(scope, name, key)
    for part in await asyncio.to_thread(_sealed, scope, form.file, row["_id"]):
        await scope.db.import_parts.insert(part)  # of one that is never asked for nothing stays for long

    async def write(tx: Scope) -> Import:
        made = _typed(await tx.db.imports.insert(row))
        await audit.record(tx, "import.upload", made["_id"], name=made["file"])
        return made

    try:
        return await scope.transaction(write)
    except Taken:  # the same key was used while we looked
        return _typed(await scope.db.imports.one({"key": key}))


async def recheck(scope: Scope, import_id: str, form: Any) -> Import:
    """Have the file looked at anew, its columns being those of a ColumnsForm. Invalid, NotFound, Conflict."""
    row = await get(scope, import_id)
    if row["phase"] != "check":
        raise Conflict("import_not_ready" if row["phase"] == "read" else "import_begun")
    chosen = {field: at for field, at in form.model_dump(include=set(TITLES)).items() if at is not None}
    wrong = {field: "missing" for field in NEEDED if field not in chosen}
    if form.default_plan:
        wrong.pop("plan", None)
    places = list(chosen.values())
    wrong |= {field: "not_unique" for field, at in chosen.items() if places.count(at) > 1}
    wrong |= {field: "bad_choice" for field, at in chosen.items() if at >= len(row["titles"])}
    if wrong:
        raise Invalid(wrong)
    changes: dict[str, Any] = {"columns": chosen, "state": "checking", "at": -1, "good": 0, "bad": 0}
    changes |= {"plan": form.default_plan, "expires": (form.default_expires and form.default_expires.isoformat()) or ""}
    return await _set_going(scope, row, changes, "check")


async def begin(scope: Scope, import_id: str) -> Import:
    """Have the good rows taken over, or the rest of them; the others are left out.

    NotFound, Conflict("import_not_ready"), Conflict("nothing_to_import"), Limit("tier_limit").
    """
    row = await get(scope, import_id)
    if row["state"] == "importing":
        return row
    if not may_begin(row):
        raise Conflict("import_not_ready")
    rest = row["good"] - row["done"] - row["refused"]
    if not rest:
        raise Conflict("nothing_to_import")
    await platform.check_tier(scope, "accounts", rest)
    changes: dict[str, Any] = {"state": "importing", "phase": "commit", "passwords_taken_at": None}
    return await _set_going(scope, row, changes | ({"at": 0} if row["phase"] == "check" else {}), "commit")


async def undo(scope: Scope, import_id: str) -> Import:
    """Have everything that was taken over taken back, as far as nobody used or changed it since.

    NotFound, Conflict("undo_too_late") after a day and where nothing is left to be taken back.
    """
    row = await get(scope, import_id)
    if row["state"] == "undoing":
        return row
    if not may_undo(row):
        raise Conflict("undo_too_late")
    return await _set_going(scope, row, {"state": "undoing", "phase": "undo", "at": 0, "kept": 0}, "undo")


async def cancel(scope: Scope, import_id: str) -> Import:
    """Stop between two parts; what was done stays. NotFound, Conflict("import_over")."""
    row = await get(scope, import_id)

    async def write(tx: Scope) -> None:
        if not await end(tx, row, "cancelled"):
            raise Conflict("import_over")
        await audit.record(tx, "import.cancel", import_id, name=row["file"])

    await scope.transaction(write)
    return await get(scope, import_id)


def may_begin(row: Import) -> bool:
    """Whether there are rows that can be taken over now."""
    ready = row["state"] == "checked" or (row["state"] in ("cancelled", "stopped") and row["phase"] == "commit")
    return ready and row["good"] > row["done"] + row["refused"]


def may_undo(row: Import) -> bool:
    """Whether what was taken over can still be taken back."""
    left = row["done"] > row["removed"] and row["state"] != "undone"
    return not row["open"] and left and row["undo_until"] is not None and utcnow() < row["undo_until"]


def may(scope: Scope, row: Import) -> bool:
    """Whether somebody may still have this done."""
    return Permission.IMPORTS_WRITE in scope.permissions


async def end(scope: Scope, row: Import, state: State, reason: str = "") -> bool:
    """Write down that the jobs have no more work with it; False when that is so already."""
    over: dict[str, Any] = {"state": state, "open": False, "reason": reason}
    return await scope.db.imports.update_one({"_id": row["_id"], "open": True}, {"$set": over})


async def get(scope: Scope, import_id: str) -> Import:
    """One import. NotFound."""
    return _typed(await scope.db.imports.get(import_id))


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Imports, newest first."""
    return await page(scope.db.imports, {}, query)


async def results(scope: Scope, import_id: str, query: ListQuery) -> Page:
    """What became of the rows. Filter: `state`."""
    filter = {"import_id": import_id} | ({"state": query.filters["state"]} if query.filters.get("state") else {})
    return await page(scope.db.import_rows, filter, query)


async def gaps(scope: Scope, import_id: str) -> list[Gap]:
    """The plans that the file names and nobody knows, the most frequent first."""
    match = {"import_id": import_id, "state": "bad", "problems.code": "unknown_plan"}
    group = {"$group": {"_id": "$plan", "rows": {"$sum": 1}}}
    found = await scope.db.import_rows.aggregate([{"$match": match}, group])
    return sorted((Gap(row["_id"], int(row["rows"])) for row in found), key=lambda gap: -gap.rows)


async def rows_of(scope: Scope, import_id: str, at: int) -> list[ImportRow]:
    """What became of the rows of a part, in their order."""
    bounds = {"$gte": row_id(import_id, at * PART), "$lt": row_id(import_id, (at + 1) * PART)}
    return await scope.db.import_rows.find({"import_id": import_id, "_id": bounds}, sort=[("_id", 1)], limit=PART)


def row_id(import_id: str, number: int) -> str:
    """The id of a row, the first being number 0."""
    return f"{import_id}:{number:06d}"


def part_id(import_id: str, at: int) -> str:
    """The id of a part, the first being number 0."""
    return f"{import_id}:{at:04d}"


def file_id(import_id: str, at: int) -> str:
    """The id of a piece of the file as it came, the first being number 0."""
    return f"{import_id}:file:{at:02d}"


def opening_key(import_id: str, member_id: str) -> str:
    """The key of the ledger's entry of what a member brought along."""
    return f"{import_id}:{member_id}"


async def _set_going(scope: Scope, row: Import, changes: Mapping[str, Any], verb: str) -> Import:
    """Give the jobs work, in the name of the actor, unless somebody else was faster."""
    now = utcnow()
    going = {**changes, "open": True, "reason": "", "actor": asdict(scope.actor), "turn_at": now, "updated_at": now}

    async def write(tx: Scope) -> None:
        as_it_is = {"_id": row["_id"], "open": False, "state": row["state"], "version": row["version"]}
        if not await tx.db.imports.update_one(as_it_is, {"$set": going, "$inc": {"version": 1}}):
            raise Conflict("changed")
        await audit.record(tx, f"import.{verb}", row["_id"], name=row["file"])

    await scope.transaction(write)
    return await get(scope, row["_id"])


def _sealed(scope: Scope, octets: bytes, import_id: str) -> list[dict[str, Any]]:
    """A file in sealed pieces. Takes a moment. Invalid."""
    try:
        sheets.glance(octets)
    except sheets.Unreadable as error:
        raise Invalid({"file": error.code}) from None
    pieces = [octets[at : at + _CHUNK] for at in range(0, len(octets), _CHUNK)]
    texts = [base64.b64encode(piece).decode() for piece in pieces]
    now = utcnow()
    return [
        {"_id": file_id(import_id, at), "sealed": scope.seal(text), "created_at": now} for at, text in enumerate(texts)
    ]


def _new(scope: Scope, name: str, key: str) -> dict[str, Any]:
    now = utcnow()
    return {
        "_id": new_id("imp"),
        "file": sheets.normal(name)[:TITLE],
        "titles": [],
        "source": "",
        "columns": {},
        "plan": "",
        "expires": "",
        "state": "reading",
        "phase": "read",
        "open": True,
        "reason": "",
        "at": 0,
        **dict.fromkeys(("parts", "total", "good", "bad", "done", "refused", "made", "removed", "kept"), 0),
        "actor": asdict(scope.actor),
        "uploaded_by": scope.actor.name,
        "key": key,
        "turn_at": now,
        "done_at": None,
        "undo_until": None,
        "passwords_taken_at": None,
        "passwords_taken_by": "",
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def _typed(row: Any) -> Import:
    found: Import = row
    return found
