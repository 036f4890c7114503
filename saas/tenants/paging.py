"""One page of a list: the same for every noun and every face."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from saas.errors import Invalid
from saas.store import Filter, Table
from saas.values import first_id

_PORTION = 500


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a reader asks of a list.

    `q`: words to search; `filters`: chosen values by name, unchecked text; `sort`: a field, "-" before it for
    descending, ties by id; `after`: sort value and id of the last row seen (keyset: no page costs more than the first).
    """

    q: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = "-_id"
    after: tuple[Any, str] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and the `after` of the next page: None on the last."""

    rows: list[Any]
    next: tuple[Any, str] | None


async def page(table: Table, filter: Filter, query: ListQuery) -> Page:
    """The rows of `filter` behind `query.after` in the order of `query.sort`."""
    order = -1 if query.sort.startswith("-") else 1
    name = query.sort.lstrip("-")
    behind = _behind(name, order, query.after) if query.after is not None else {}
    # Side by side where possible: not every server looks for an index inside of $and.
    both = {"$and": [dict(filter), behind]} if filter.keys() & behind.keys() else {**filter, **behind}
    sort = [("_id", order)] if name == "_id" else [(name, order), ("_id", order)]
    found = await table.find(both, sort=sort, limit=query.limit + 1)
    rows = found[: query.limit]
    return Page(rows, (rows[-1].get(name), rows[-1]["_id"]) if len(found) > query.limit else None)


async def page_of(tables: Sequence[Table], filter: Filter, query: ListQuery) -> Page:
    """One page of what lies in several collections, in the order of ids. A row that moves meanwhile, from an earlier
    collection to a later one, is there once.
    """
    pages = [await page(table, filter, query) for table in tables]
    found = {row["_id"]: row for each in pages for row in each.rows}
    ids = sorted(found, reverse=query.sort.startswith("-"))[: query.limit]
    more = len(found) > query.limit or any(each.next for each in pages)
    return Page([found[each] for each in ids], (ids[-1], ids[-1]) if more else None)


async def portions(
    table: Table, field: str, since: datetime, until: datetime, only: Filter | None = None
) -> AsyncIterator[Sequence[Any]]:
    """The rows whose `field` lies from `since` on and before `until`, so that runs that touch see each once.

    Many rows have the same moment: more than a portion of one goes by id. `only` fixes fields that stand before
    `field` in an index; both bounds are given: not every server answers anything else from one.
    """
    only = only or {}
    while True:
        within = {**only, field: {"$gte": since, "$lt": until}}
        rows = await table.find(within, sort=[(field, 1), ("_id", 1)], limit=_PORTION)
        more = len(rows) == _PORTION
        while rows:
            yield rows
            since = rows[-1][field]
            same = {**only, field: since, "_id": {"$gt": rows[-1]["_id"]}}
            rows = await table.find(same, sort=[("_id", 1)], limit=_PORTION) if more else []
        if not more:
            return
        since += timedelta(milliseconds=1)  # the store keeps no less


def _behind(name: str, order: int, after: tuple[Any, str]) -> dict[str, Any]:
    value, row_id = after
    beyond = "$lt" if order < 0 else "$gt"
    if name == "_id":
        return {"_id": {beyond: row_id}}
    tie = {name: value, "_id": {beyond: row_id}}
    if value is None:  # rows without a value sort before all others
        return tie if order < 0 else {"$or": [tie, {name: {"$ne": None}}]}
    rest: list[dict[str, Any]] = [{name: {beyond: value}}, tie]
    return {"$or": [*rest, {name: None}] if order < 0 else rest}


def made_between(query: ListQuery, kind: str, zone: str) -> dict[str, Any]:
    """A filter on the ids of `kind` made on the days `since` to `until` of the query, both included, as `zone` counts.

    Answered by the index of the id. Invalid for what is not a date.
    """
    since, until = (midnight(query.filters.get(name, ""), name, zone) for name in ("since", "until"))
    bounds = {"$gte": first_id(kind, since)} if since else {}
    if until:
        bounds["$lt"] = first_id(kind, until + timedelta(days=1))
    return {"_id": bounds} if bounds else {}


def midnight(text: str, name: str, zone: str) -> datetime | None:
    """When the day of a filter `name` begins in a zone; None for "". Invalid for what is no date."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), ZoneInfo(zone)) if text else None
    except ValueError:
        raise Invalid({name: "bad_date"}) from None


def beginning(text: str) -> dict[str, str]:
    """What a field must be to begin with a text. Answered by the index."""
    return {"$gte": text, "$lt": text + "\uffff"}


def starts_with(q: str) -> dict[str, Any]:
    """A filter on a `search` array: some element begins with `q`, letter case aside. Answered by the index."""
    return {"search": {"$elemMatch": beginning(q.strip().lower())}}


def search_keys(*texts: str) -> list[str]:
    """The elements of a `search` array: what a row can be found by."""
    return sorted({text.strip().lower() for text in texts if text.strip()})
