"""What a list reads of the store, a page at a time, against all its rows put in order by hand."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from saas.store import Store, Table
from saas.tenants.paging import ListQuery, beginning, page
from saas.values import from_epoch, new_id
from tests.conftest import GIVEN

ROWS = 120
MOMENT = from_epoch(1_700_000_000)
MOMENTS = [None, *(MOMENT + timedelta(milliseconds=after) for after in (-5, 0, 1, 255, 256, 65_536))]
NAMES = ["", "a", "ab", "ab\0", "ab\0c", "abc", "b", "\uffff", "张"]
Row = Mapping[str, Any]


@pytest.fixture(scope="module")
async def accounts(store: Store) -> tuple[Table, list[Row]]:
    """Accounts of a tenant whose id is the beginning of another's, with many of the same values and few of none."""
    drawn = random.Random(5)
    tenant_id = new_id("ten")
    for owner in (tenant_id, f"{tenant_id}0", tenant_id[:-1]):
        rows: list[dict[str, Any]] = [
            {
                "_id": new_id("acc"),
                "username": f"u{number}",
                "status": drawn.choice(["normal", "suspended"]),
                "plan_id": drawn.choice(NAMES),
                "search": drawn.sample(NAMES, drawn.randrange(len(NAMES))),
                "expires_at": drawn.choice(MOMENTS),
                "member_id": drawn.choice(NAMES),
            }
            for number in range(ROWS)
        ]
        drawn.shuffle(rows)
        await store.fenced({"tenant_id": owner}).accounts.insert_many(rows)
        if owner == tenant_id:
            own: list[Row] = list(rows)
    return store.fenced({"tenant_id": tenant_id}).accounts, own


def _rank(row: Row, name: str) -> tuple[bool, Any, bytes]:
    """The place of a row in the order of a field; texts are in the order of their octets."""
    value = row[name]
    return value is not None, value.encode() if isinstance(value, str) else value, row["_id"].encode()


def _fitting(rows: list[Row], fits: Callable[[Row], bool]) -> list[Row]:
    return [row for row in rows if fits(row)]


FILTERS: list[tuple[Mapping[str, Any], Callable[[Row], bool]]] = [
    ({}, lambda row: True),
    ({"status": "normal"}, lambda row: row["status"] == "normal"),
    ({"plan_id": "ab"}, lambda row: row["plan_id"] == "ab"),
    ({"search": "ab"}, lambda row: "ab" in row["search"]),
    ({"search": "", "status": "normal"}, lambda row: "" in row["search"] and row["status"] == "normal"),
    ({"username": beginning("u1")}, lambda row: row["username"].startswith("u1")),
    ({"username": {"$gt": "u1", "$lte": "u5"}}, lambda row: "u1" < row["username"] <= "u5"),
    (
        {"status": "suspended", "expires_at": {"$gte": MOMENT, "$lt": MOMENT + timedelta(seconds=1)}},
        lambda row: (
            row["status"] == "suspended"
            and row["expires_at"] is not None
            and MOMENT <= row["expires_at"] < MOMENT + timedelta(seconds=1)
        ),
    ),
]


@pytest.mark.parametrize("sort", ["_id", "-_id", "expires_at", "-expires_at", "username", "-username"])
async def test_the_pages_of_a_list_are_its_rows_in_order(accounts: tuple[Table, list[Row]], sort: str) -> None:
    table, rows = accounts
    name = sort.lstrip("-")
    for filter, fits in FILTERS:
        query, seen = ListQuery(sort=sort, limit=25), []
        while True:
            found = await page(table, filter, query)
            seen += [row["_id"] for row in found.rows]
            if found.next is None:
                break
            query = ListQuery(sort=sort, limit=25, after=found.next)
        wanted = sorted(_fitting(rows, fits), key=lambda row: _rank(row, name), reverse=sort.startswith("-"))
        assert seen == [row["_id"] for row in wanted], filter


async def test_rows_are_counted_no_further_than_the_limit(accounts: tuple[Table, list[Row]]) -> None:
    table, rows = accounts
    for filter, fits in FILTERS:
        there = len(_fitting(rows, fits))
        for limit in (1, max(1, there - 1), there + 1):
            assert await table.count(filter, limit=limit) == min(limit, there)


@pytest.mark.skipif(
    not GIVEN["mongo_url"], reason="the embedded server collects all rows of a list before it cuts them"
)
@pytest.mark.parametrize(
    ("filter", "sort"),
    [
        ({}, [("_id", -1)]),
        ({"status": "normal"}, [("_id", -1)]),
        ({"search": "u"}, [("_id", -1)]),
        ({}, [("expires_at", 1), ("_id", 1)]),
        ({"status": "normal", "expires_at": {"$gte": MOMENT, "$lt": MOMENT + timedelta(days=1)}}, [("expires_at", 1)]),
        ({"username": beginning("u")}, [("username", 1)]),
        ({"_id": {"$lt": "acc_z"}}, [("_id", -1)]),
    ],
)
async def test_a_page_reads_what_it_shows(store: Store, filter: Row, sort: list[tuple[str, int]]) -> None:
    """By the server's own count of the rows that it fetches; others may ask it something meanwhile."""
    table = store.fenced({"tenant_id": new_id("ten")}).accounts
    same = {"status": "normal", "search": ["u"], "expires_at": MOMENT}
    await table.insert_many([same | {"_id": new_id("acc"), "username": f"u{number}"} for number in range(2000)])
    looks: list[Callable[[], Awaitable[Any]]] = [
        lambda: table.find(filter, sort=sort, limit=10),
        lambda: table.count(filter, limit=10),
        lambda: table.aggregate([{"$match": filter}, {"$sort": dict(sort)}, {"$limit": 10}]),
    ]
    async with AsyncMongoClient(GIVEN["mongo_url"]) as client:

        async def fetched() -> int:
            status = await client.admin.command("serverStatus")
            return int(status["wiredTiger"]["cursor"]["cursor search calls"])

        for look in looks:
            took = []
            for _ in range(10):
                before = await fetched()
                await look()
                took.append(await fetched() - before)
            assert min(took) < 100
