"""One page of a list: the same for every noun and every face."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from saas.errors import Invalid
from saas.store import Filter, Table
from saas.values import first_id, from_epoch

_PORTION = 500
_LONGEST = 32  # characters of a beginning
_COMPARED = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}


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
    """The rows of `filter` behind `query.after` in the order of `query.sort`, whose field is in `filter` no more than a
    value or a range.

    What is behind a place is looked for in parts: first those of the same value, then those beyond. In one filter that
    would be an $or, which not every server answers from an index.
    """
    order = -1 if query.sort.startswith("-") else 1
    name = query.sort.lstrip("-")
    alone = name == "_id" or table.unique(name)
    sort = [(name, order)] if alone else [(name, order), ("_id", order)]
    found: list[Any] = []
    for behind in _behind(name, order, query.after, alone):
        both = together(filter, behind)
        if both is not None and len(found) <= query.limit:
            found += await table.find(both, sort=sort, limit=query.limit + 1 - len(found))
    rows = found[: query.limit]
    return Page(rows, _place(name, rows[-1]) if len(found) > query.limit else None)


async def page_of(looks: Sequence[tuple[Table, Filter]], query: ListQuery) -> Page:
    """One page of what several looks find, each answered by an index of its own, in the order of `query.sort`.

    What two of them find is there once, and so is a row that moves meanwhile from an earlier look to a later one.
    """
    pages = [await page(table, filter, query) for table, filter in looks]
    found = {row["_id"]: row for each in pages for row in each.rows}
    name, down = query.sort.lstrip("-"), query.sort.startswith("-")
    rows = sorted(found.values(), key=partial(_rank, name), reverse=down)[: query.limit]
    more = len(found) > query.limit or any(each.next for each in pages)
    return Page(rows, _place(name, rows[-1]) if more else None)


def apart(table: Table, filter: Filter, name: str) -> list[tuple[Table, Filter]]:
    """A look for each value that `name` may have by an $in, so that each is in the order of its index."""
    wanted = filter.get(name)
    values = wanted.get("$in") if isinstance(wanted, Mapping) else None
    return [(table, {**filter, name: value}) for value in values] if values else [(table, filter)]


def together(one: Filter, other: Filter) -> Filter | None:
    """A filter for what fits both, of which each is values and ranges; None where nothing can.

    Of what both name a range becomes one: not every server looks for an index inside of $and.
    """
    both = {**one, **other}
    for name in one.keys() & other.keys():
        met = _met(one[name], other[name])
        if met is None:
            return None
        both[name] = met
    return both


def _met(one: Any, other: Any) -> Any:
    if not isinstance(other, Mapping):
        return other if _fits(other, one) else None
    if not isinstance(one, Mapping):
        return one if _fits(one, other) else None
    met = dict(one)
    for compared, bound in other.items():
        same = next((each for each in met if each.startswith(compared[:3])), compared)
        if same not in met or _fits(bound, {same: met[same]}):
            met.pop(same, None)
            met[compared] = bound
    return met


def _fits(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return bool(value == wanted)
    return value is not None and all(_COMPARED[how](value, bound) for how, bound in wanted.items())


def _place(name: str, row: Mapping[str, Any]) -> tuple[Any, str]:
    return row.get(name), row["_id"]


def _rank(name: str, row: Mapping[str, Any]) -> tuple[bool, Any, str]:
    value, row_id = _place(name, row)
    return value is not None, value, row_id


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


def _behind(name: str, order: int, after: tuple[Any, str] | None, alone: bool) -> list[dict[str, Any]]:
    """The parts of what is behind a place, in order; `alone`: no two rows have the same value.

    Rows without a value sort before all others; it is only moments that they are without.
    """
    if after is None:
        return [{}]
    value, row_id = after
    beyond = "$lt" if order < 0 else "$gt"
    if alone:
        return [{name: {beyond: value}}]
    tie: dict[str, Any] = {name: value, "_id": {beyond: row_id}}
    if value is None:
        return [tie] if order < 0 else [tie, {name: {"$gte": from_epoch(0)}}]
    rest: list[dict[str, Any]] = [tie, {name: {beyond: value}}]
    return [*rest, {name: None}] if order < 0 and isinstance(value, datetime) else rest


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
    """A filter on a `search` array: what begins with `q`, letter case aside, as far as beginnings are kept."""
    return {"search": q.strip().lower()[:_LONGEST]}


def search_keys(*texts: str) -> list[str]:
    """The elements of a `search` array: every beginning of what a row can be found by.

    So a search is for one value: a range of them would be found by an index, but not in the order of the list.
    """
    whole = {text.strip().lower() for text in texts}
    return sorted({text[:length] for text in whole for length in range(1, min(len(text), _LONGEST) + 1)})
