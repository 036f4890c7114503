"""Lists: the grammar of the address, paging by cursor, sorting, export."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import pytest
from openpyxl import load_workbook

from saas.handlers.columns import Column, plain, printed
from saas.handlers.lists import ListPage, make_cursor, read_cursor
from saas.handlers.messages import BadRequest
from saas.handlers.routes import gather
from saas.i18n import Reader
from saas.sheets import XLSX
from saas.tenants import members
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.world import World

READER = Reader.of("en")


@pytest.fixture(scope="module")
async def many(ps: PlatformScope, cast: World) -> list[str]:
    """Seven more members of Acme."""
    names = [f"page-{number}" for number in range(7)]
    for name in names:
        row = members.new_member(name, name=f"=Name {name}", mobile="", note="", password_hash=None)
        await cast.acme.scope.db.members.insert(row)
    return names


def path(cast: World, query: str = "") -> str:
    return f"/t/{cast.acme.slug}/admin/sample/list{query}"


def rows(page: str) -> list[str]:
    return re.findall(r"op-card-title[^>]*>\s*([^<\s]+)", page)


def link(page: str, words: str) -> str:
    found = next(part for part in page.split("<a ") if words in part.split("</a>")[0])
    return found.split('href="')[1].split('"')[0].replace("&amp;", "&")


async def test_pages_follow_one_another_without_gap_or_repeat(owner: Browser, cast: World, many: list[str]) -> None:
    seen: list[str] = []
    address = path(cast, "?q=page-&sort=login&limit=3")
    while address:
        page = text(await owner.get(address, Accept_Language="en"))
        seen += rows(page)
        address = link(page, "Next page") if "Next page" in page else ""
    assert seen == many


async def test_sorting_by_a_time_goes_on_behind_the_cursor(owner: Browser, cast: World, many: list[str]) -> None:
    first = text(await owner.get(path(cast, "?q=page-&sort=-created_at&limit=4"), Accept_Language="en"))
    second = text(await owner.get(link(first, "Next page"), Accept_Language="en"))
    assert rows(first) + rows(second) == many[::-1]
    assert rows(text(await owner.get(link(second, "First page"), Accept_Language="en"))) == rows(first)


@pytest.mark.parametrize(
    "query",
    [
        "?surprise=1",
        "?kind=three",
        "?sort=password",
        "?limit=0",
        "?limit=201",
        "?limit=x",
        "?after=nonsense",
        "?after=A",
    ],
)
async def test_what_the_grammar_does_not_know_is_refused(owner: Browser, cast: World, query: str) -> None:
    answer = await owner.get(path(cast, f"?{query}"))
    assert answer.code == 400


async def test_a_filter_that_hides_everything_can_be_cleared(owner: Browser, cast: World) -> None:
    page = text(await owner.get(path(cast, "?q=nobody-like-this"), Accept_Language="en"))
    assert "Nothing matches." in page and link(page, "Clear the filters") == path(cast)


async def test_the_export_is_the_filter_for_a_spreadsheet(owner: Browser, cast: World, many: list[str]) -> None:
    answer = await owner.get(path(cast, "?q=page-&sort=login&format=csv&limit=2"), Accept_Language="en")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.body.startswith(b"\xef\xbb\xbf")
    lines = answer.body.decode("utf-8-sig").splitlines()
    assert lines[0] == "Login,Name,Opened"
    assert [line.split(",")[0] for line in lines[1:]] == many
    assert lines[1].split(",")[1] == "'=Name page-0"


async def test_the_export_is_a_workbook_too(owner: Browser, cast: World, many: list[str]) -> None:
    answer = await owner.get(path(cast, "?q=page-&sort=login&format=xlsx&limit=2"), Accept_Language="en")
    assert answer.headers["Content-Type"] == XLSX and 'filename="' in answer.headers["Content-Disposition"]
    head, *found = load_workbook(io.BytesIO(answer.body)).active.iter_rows()
    assert [cell.value for cell in head] == ["Login", "Name", "Opened"]
    assert [row[0].value for row in found] == many
    assert (found[0][1].value, found[0][1].data_type) == ("=Name page-0", "s")
    assert isinstance(found[0][2].value, datetime)


async def test_links_to_the_export_follow_the_filter(owner: Browser, cast: World, many: list[str]) -> None:
    page = text(await owner.get(path(cast, "?q=page-"), Accept_Language="en"))
    assert 'hx-select-oob="#tabs,#seen,#export"' in page and 'id="export"' in page
    assert "?q=page-&amp;format=csv" in page and "?q=page-&amp;format=xlsx" in page


async def test_search_text_is_shown_harmlessly(owner: Browser, cast: World) -> None:
    page = text(await owner.get(path(cast, "?q=%22%3E%3Cscript%3E")))
    assert "&#34;&gt;&lt;script&gt;" in page and "<script>" not in page.split("</head>")[1]


def test_a_cursor_is_ours_and_of_its_order(ps: PlatformScope) -> None:
    moment = datetime(2026, 11, 23, 1, 2, 3, 456000, tzinfo=UTC)
    cursor = make_cursor(ps.keys, "-created_at", (moment, "mem_1"))
    assert read_cursor(ps.keys, "-created_at", cursor) == (moment, "mem_1")
    with pytest.raises(BadRequest):
        read_cursor(ps.keys, "created_at", cursor)
    for place in range(len(cursor)):
        forged = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        if forged.rstrip("=") != cursor:
            try:
                assert read_cursor(ps.keys, "-created_at", forged) == (moment, "mem_1"), "only spare bits may differ"
            except BadRequest:
                continue


def test_values_are_printed_for_people_and_for_spreadsheets() -> None:
    money, octets = Column("M", "m", "money"), Column("O", "o.down", "octets")
    assert (printed(READER, money, -123450), plain(READER, money, {"m": -123450})) == ("-¥1,234.50", "-1234.50")
    assert (printed(READER, octets, 1536), plain(READER, octets, {"o": {"down": 1536}})) == ("1.5 KB", "1536")
    assert (
        plain(READER, Column("T", "t"), {"t": datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)}) == "2026-11-23 23:59:59"
    )
    assert plain(READER, Column("X", "x"), {}) == ""
    assert plain(READER, Column("W", "w", words={"cash": "Cash"}), {"w": "cash"}) == "Cash"
    assert plain(READER, Column("F", "f"), {"f": "@SUM(A1)"}) == "'@SUM(A1)"


def test_a_list_with_nothing_in_it_says_what_to_do() -> None:
    lists = [route.handler for route in gather() if issubclass(route.handler, ListPage)]
    assert len(lists) > 15
    for page in lists:
        told = page.create or page.hint or len(re.findall(r"[.:] \w", page.empty))
        assert told, page
