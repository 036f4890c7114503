"""Lists: one grammar for pages, exports and the API, ``?q=&<filter>=&sort=&after=&limit=``.

Columns are described once and serve the table, the cards of a phone, and the export of the same filter. Pages go
by keyset: the cursor is opaque and signed. A parameter that is not known is refused.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from saas.handlers.base import Handler
from saas.handlers.columns import Column, Row, plain, typed
from saas.handlers.files import workbook
from saas.handlers.forms import Choices
from saas.handlers.messages import BadRequest
from saas.i18n import N_
from saas.security import Keys, same
from saas.tenants import views
from saas.tenants.paging import ListQuery, Page

MAX_LIMIT = 200
EXPORT_STEP = 500
_GRAMMAR = ("q", "sort", "after", "limit", "format", "view")


@dataclass(frozen=True, slots=True)
class Filter:
    """One choice above a list: query parameter, title, and (value, label) pairs; none: a box to type in, or a date.

    `unset`: what is shown when nothing is chosen. Choices that come from stored rows are given by `ListPage.choices`.
    """

    name: str
    title: str
    choices: Choices = ()
    widget: str = "select"
    unset: str = N_("all")

    def takes(self, value: str) -> bool:
        """Whether this may stand in the address."""
        if self.widget == "date":
            return len(value) == 10 and is_date(value)
        return not self.choices or value in dict(self.choices)


Sender = Callable[["ListPage", ListQuery], Awaitable[None]]


class ListPage(Handler):
    """Declare `title`, `columns` and `rows`; the rest has defaults. ``?format=csv`` or ``xlsx`` is the export."""

    title: ClassVar[str]
    columns: ClassVar[Sequence[Column]]
    filters: ClassVar[Sequence[Filter]] = ()
    search: ClassVar[str] = ""  # placeholder of the search box; "" shows none
    sort: ClassVar[str] = "-_id"
    orders: ClassVar[Mapping[str, str]] = {}  # parameter -> the order that comes with it, of the index that serves it
    empty: ClassVar[str] = N_("Nothing here yet.")
    hint: ClassVar[str] = ""  # said below it: what to do, where neither `empty` nor `create` says so
    create: ClassVar[tuple[str, str] | None] = None  # path of the page that adds one, and its label
    template: ClassVar[str] = "ui/list_page.html"
    live: ClassVar[int] = 0  # seconds after which the list draws itself anew; 0: only when asked
    news: ClassVar[str] = ""  # path of the events "changed" at which it does so; "" for none
    export: ClassVar[str] = "list"  # file name of the export, without its ending; "" offers none
    further: ClassVar[Mapping[str, Sender]] = {}  # its formats beside CSV and XLSX, which a browser shows itself
    tabs: ClassVar[Sequence[tuple[str, Mapping[str, str]]]] = ()  # views that everybody has: title, query
    elsewhere: ClassVar[
        Sequence[tuple[str, str, Mapping[str, str]]]
    ] = ()  # and those of other lists: title, path, query

    @abstractmethod
    async def rows(self, query: ListQuery) -> Page:
        """One page of rows: the operation's answer."""

    async def choices(self) -> Mapping[str, Choices]:
        """Filter -> (value, label), where they come from stored rows."""
        return {}

    async def extra(self) -> Mapping[str, Any]:
        """What else the template needs."""
        return {}

    async def get(self, **parts: str) -> None:
        """The list, or its export."""
        stored = await self.choices()
        filters = [replace(known, choices=stored.get(known.name, known.choices)) for known in self.filters]
        query = self.asked(filters)
        formats = {**_FORMATS, **self.further}
        if self.export and self.query("format") in formats:
            await formats[self.query("format")](self, replace(query, after=None, limit=EXPORT_STEP))
            return
        found = await self.rows(query)
        kept = await views.of_list(self.scope, self.route.path) if self.keeps_views else []
        self.page(
            self.template,
            self.title,
            listing=Listing(self, query, filters, found, self.ps.keys, kept),
            **await self.extra(),
        )

    @property
    def keeps_views(self) -> bool:
        """Whether the list has one address, in a tenant's console: then views of it can be saved."""
        return self.tenant is not None and (self.console.name, "/views") in self.routes and "{" not in self.route.path

    def asked(self, filters: Sequence[Filter]) -> ListQuery:
        """The query of the address. BadRequest for what the grammar does not know."""
        given = {name: self.query(name) for name in self.request.query_arguments}
        named = {f.name: f for f in filters}
        for name in given.keys() - named.keys() - set(_GRAMMAR):
            raise BadRequest("unknown_parameter", parameter=name)
        chosen = {name: given[name][:128] for name in named if given.get(name)}
        for name, value in chosen.items():
            if not named[name].takes(value):
                raise BadRequest("unknown_parameter", parameter=f"{name}={value}")
        usual = next((order for name, order in self.orders.items() if given.get(name)), self.sort)
        sort = given.get("sort") or usual
        if sort.lstrip("-") not in {self.sort.lstrip("-"), *(c.sort for c in self.columns if c.sort)}:
            raise BadRequest("unknown_parameter", parameter=f"sort={sort}")
        after = read_cursor(self.ps.keys, sort, given["after"]) if given.get("after") else None
        return ListQuery(given.get("q", "").strip()[:128], chosen, sort, after, _limit(given.get("limit", "")))

    async def each_page(self, query: ListQuery) -> AsyncIterator[list[Any]]:
        """Every row of the filter, page by page."""
        while True:
            found = await self.rows(query)
            yield found.rows
            if found.next is None:
                return
            query = replace(query, after=found.next)


async def _send_csv(page: ListPage, query: ListQuery) -> None:
    """CSV that a spreadsheet reads (UTF-8 with a mark), streamed."""
    page.set_header("Content-Type", "text/csv; charset=utf-8")
    page.set_header("Content-Disposition", f'attachment; filename="{page.export}.csv"')
    page.write("\ufeff" + csv_text([[page.reader(column.title) for column in page.columns]]))
    async for rows in page.each_page(query):
        page.write(csv_text([[plain(page.reader, column, row) for column in page.columns] for row in rows]))
        await page.flush()
    await page.finish()


async def _send_xlsx(page: ListPage, query: ListQuery) -> None:
    """A workbook, put together in a file."""
    async with workbook(page, page.export, [page.reader(column.title) for column in page.columns]) as add:
        async for rows in page.each_page(query):
            await add([[typed(page.reader, column, row) for column in page.columns] for row in rows])


_FORMATS: Mapping[str, Sender] = {"csv": _send_csv, "xlsx": _send_xlsx}


class Listing:
    """What the table's template needs: rows, columns, the state of filters and sorting, and the addresses around it."""

    def __init__(
        self,
        page: ListPage,
        query: ListQuery,
        filters: Sequence[Filter],
        found: Page,
        keys: Keys,
        kept: Sequence[views.View] = (),
    ) -> None:
        self.page = page
        self.query = query
        self.filters = filters
        self.views = [view for view in kept if view["name"]]
        self.view = next((view for view in kept if view["_id"] == page.query("view")), None)
        usual = next((view for view in kept if not view["name"]), None)
        self.choosable = [column for column in page.columns if column.role != "export"]
        self.columns = self._chosen((self.view or usual or {"columns": ()})["columns"])
        self.rows = found.rows
        self._next = make_cursor(keys, query.sort, found.next) if found.next else ""

    @property
    def filtered(self) -> bool:
        """Whether a search or a filter hides rows."""
        return bool(self.query.q or self.query.filters)

    @property
    def next(self) -> str:
        """Address of the next page, "" on the last."""
        return self._address(after=self._next) if self._next else ""

    @property
    def first(self) -> str:
        """Address of the first page, "" when this is it."""
        return self._address() if self.query.after else ""

    @property
    def here(self) -> str:
        """Address of this very page of the list."""
        return self._address(after=self.page.query("after"))

    def _chosen(self, titles: Sequence[str]) -> Sequence[Column]:
        """The columns of these titles, all without any; what heads a row is always there."""
        if not titles:
            return [c for c in self.choosable if c.role != "extra"]
        return [c for c in self.choosable if c.role == "title" or c.title in titles]

    @property
    def tabs(self) -> list[tuple[str, str, bool]]:
        """Title, address and whether it is shown: the whole list, the views that everybody has, and saved ones."""
        here = self._asked()
        everybody = (("", {}), *self.page.tabs) if self.page.tabs or self.views else ()
        found = [
            (self.page.reader(title or N_("All")), self._bare(query), not self.view and here == query)
            for title, query in everybody
        ]
        for title, path, query in self.page.elsewhere:
            if self.page.linked(path):
                found.append((self.page.reader(title), self.page.url(path, **query), False))
        for view in self.views:
            query = {**view["where"], **({"sort": view["sort"]} if view["sort"] else {})}
            found.append((view["name"], self._bare(query, view=view["_id"]), view == self.view))
        return found

    @property
    def asked(self) -> str:
        """The search, the filters and the order as the address has them: what a view of the list keeps."""
        return urlencode(self._asked())

    @property
    def own_view(self) -> str:
        """The id of the view that is shown, where it is the reader's own to delete."""
        mine = self.view and self.view["owner"] == self.page.scope.actor.id
        return self.view["_id"] if self.view and mine else ""

    def _asked(self) -> dict[str, str]:
        sort = {"sort": self.query.sort} if self.query.sort != self.page.sort else {}
        return {name: value for name, value in {"q": self.query.q, **self.query.filters, **sort}.items() if value}

    def _bare(self, query: Mapping[str, str], **more: str) -> str:
        return self.page.url(self.page.route.path, **query, **more)

    @property
    def where(self) -> str:
        """The search and the filters alone, as the address has them: what the list is a list of."""
        return urlencode({name: value for name, value in {"q": self.query.q, **self.query.filters}.items() if value})

    @property
    def exports(self) -> list[tuple[str, str, bool]]:
        """Names and addresses of the export, and whether a browser shows that format itself."""
        formats = {**_FORMATS, **self.page.further} if self.page.export else {}
        return [(name.upper(), self._address(format=name), name in self.page.further) for name in formats]

    def sorted_by(self, column: Column) -> str:
        """ "ascending", "descending" or ""."""
        if column.sort != self.query.sort.lstrip("-"):
            return ""
        return "descending" if self.query.sort.startswith("-") else "ascending"

    def sort_link(self, column: Column) -> str:
        """Address of the list sorted by the column, the other way round when it is already."""
        return self._address(sort=("-" if self.sorted_by(column) == "ascending" else "") + column.sort)

    def link(self, column: Column, row: Row) -> str:
        """Where a cell leads, "" for nowhere. A row without an id is not stored: nothing leads from it."""
        if not column.link or row.get("_id") == "":
            return ""
        return self.page.url(column.link.format_map(row)) if column.of(row) not in (None, "") else ""

    def _address(self, **changes: str) -> str:
        """This list with its filters, and `changes`. A new order starts at the first page."""
        sort = self.query.sort if self.query.sort != self.page.sort else ""
        limit = str(self.query.limit) if self.query.limit != ListQuery().limit else ""
        view = self.view["_id"] if self.view else ""
        kept = {"q": self.query.q, **self.query.filters, "sort": sort, "limit": limit, "view": view, **changes}
        return self.page.url(self.page.request.path.removeprefix(self.page.base), **kept)


def is_date(text: str) -> bool:
    """Whether this is a day such as 2026-11-23."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _limit(text: str) -> int:
    if not text:
        return ListQuery().limit
    if not text.isdigit() or not 1 <= int(text[:6]) <= MAX_LIMIT:
        raise BadRequest("unknown_parameter", parameter=f"limit={text[:20]}")
    return int(text)


def make_cursor(keys: Keys, sort: str, after: tuple[Any, str]) -> str:
    """The opaque text of a place in a list sorted by `sort`."""
    value, row_id = after
    tagged = {"at": value.isoformat()} if isinstance(value, datetime) else value
    data = json.dumps([sort, tagged, row_id], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(keys.sign("cursor", data) + data).decode().rstrip("=")


def read_cursor(keys: Keys, sort: str, text: str) -> tuple[Any, str]:
    """The place a cursor stands for. BadRequest when it is not ours, or of another order."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise BadRequest("unknown_parameter", parameter="after") from None
    signature, data = raw[:16], raw[16:]
    if not same(keys.sign("cursor", data), signature):
        raise BadRequest("unknown_parameter", parameter="after")
    made_for, tagged, row_id = json.loads(data)
    if made_for != sort:
        raise BadRequest("unknown_parameter", parameter="after")
    return (datetime.fromisoformat(tagged["at"]) if isinstance(tagged, dict) else tagged), row_id


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows as CSV. A file for spreadsheets begins with a mark, "\\ufeff"."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
