"""Every list's pages, filters, orders and searches are found by an index: read from the store's own query plans.

A page behind the first asks by the same keyset wherever it is, so the second stands for the hundredth.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from saas.handlers.lists import ListPage
from saas.handlers.routes import Route, gather
from saas.schema import COLLECTIONS
from saas.store import NEWEST, Table
from saas.tenants.scope import PlatformScope
from tests.browser import text
from tests.handlers.people import log_in
from tests.handlers.usage import ended, online
from tests.world import Business, make_business

# Of these a tenant has few, however large it is: the order of so many is found in memory.
FEW = {
    "card_batches",
    "nas",
    "plans",
    "operators",
    "groups",
    "views",
    "notice_texts",
    "webhooks",
    "schedules",
    "tenants",
    "pools",
}
LISTS = [
    route
    for route in gather()
    if route.console.name == "admin" and issubclass(route.handler, ListPage) and "{" not in route.path
]
# The embedded server's plans sort whatever its index has in order; of a server for large systems they are the truth.
EMBEDDED = not os.environ.get("OPENPNS_MONGO_URL")
SEARCHED = ("ali", "alice", "张三", "13800000001", "10.9.0.2", "AA-BB-CC-DD-EE-01")
Asked = list[tuple[Any, dict[str, Any], Sequence[tuple[str, int]]]]


@pytest.fixture
async def business(ps: PlatformScope) -> Business:
    """With sessions that are open and that have ended."""
    made = await make_business(ps, "queries")
    for number in range(3):
        await online(ps, made, f"open-{number}")
        await ended(ps, made, f"over-{number}", "User-Request")
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Collection, filter and order of all that is looked for from here on."""
    found: Asked = []
    find = Table.find

    async def noted(
        self: Table, filter: Any = None, *, sort: Any = NEWEST, limit: int = 100, fields: Any = None
    ) -> Any:
        found.append((self._rows, self._within(filter or {}), list(sort)))
        return await find(self, filter, sort=sort, limit=limit, fields=fields)

    monkeypatch.setattr(Table, "find", noted)
    return found


def stages(plan: Any) -> Iterator[Mapping[str, Any]]:
    """A plan's stages."""
    yield plan
    for inner in (plan.get("inputStage"), *plan.get("inputStages", ())):
        if inner:
            yield from stages(inner)


def in_order(name: str, filter: Mapping[str, Any], sort: Sequence[tuple[str, int]]) -> bool:
    """Whether an index has the rows together and in their order: what is fixed, then the order, cut by a range."""
    ranges = {field for field, value in filter.items() if isinstance(value, dict) and "$all" not in value}
    fixed = filter.keys() - ranges
    wanted = [(field, way) for field, way in sort if field not in fixed]
    for index in COLLECTIONS[name].indexes:
        told = fixed - {field for field, _ in index.partial}
        first, rest = index.keys[: len(told)], index.keys[len(told) :][: len(wanted)]
        ways = {way * asked for (_, way), (_, asked) in zip(rest, wanted, strict=False)}
        together = {field for field, _ in first} == told and ranges <= {field for field, _ in rest[:1]}
        if together and [field for field, _ in rest] == [field for field, _ in wanted] and len(ways) <= 1:
            return True
    return False


async def faults(asked: Asked) -> list[str]:
    """The looks that no index answers, in their order."""
    found = set()
    for rows, filter, sort in asked:
        few = rows.name in FEW or any(isinstance(value, dict) and "$in" in value for value in filter.values())
        if few or isinstance(filter.get("_id"), str):
            continue
        plan = (await rows.find(filter).sort(sort).limit(51).explain())["queryPlanner"]["winningPlan"]
        names = {str(stage.get("stage")) for stage in stages(plan)}
        bad = names & ({"COLLSCAN"} if EMBEDDED else {"COLLSCAN", "SORT"})
        if rows.name == "ledger" and filter.keys() & {"account_id", "member_id"}:  # one subscriber's entries are few
            filter = {field: value for field, value in filter.items() if field != "kind"}
            bad -= {"COLLSCAN"} if EMBEDDED else set()
        if bad or not in_order(rows.name, filter, sort):
            found.add(f"{rows.name} {filter} {sort}: {sorted(names)}")
    return sorted(found)


def addresses(route: Route) -> list[str]:
    """The list with each of its filters, orders and searches."""
    page: Any = route.handler
    queries = ["", "limit=1"]
    queries += [f"q={words}" for words in SEARCHED if page.search]
    queries += [f"sort={way}{column.sort}" for column in page.columns if column.sort for way in ("", "-")]
    queries += [f"{f.name}={value}" for f in page.filters for value, _ in f.choices]
    queries += [f"{f.name}=2026-11-01" for f in page.filters if f.widget == "date"]
    queries += ["&".join(f"{name}={value}" for name, value in where.items()) for _, where in page.tabs]
    return queries


def _name(route: Route) -> str:
    return route.path


@pytest.mark.parametrize("route", LISTS, ids=_name)
async def test_every_look_of_a_list_is_answered_by_an_index(
    web: str, ps: PlatformScope, business: Business, asked: Asked, route: Route
) -> None:
    browser = await log_in(web, ps, business, "bob")
    base = f"/t/{business.slug}/admin{route.path}"
    asked.clear()
    for query in addresses(route):
        page = text(await browser.get(f"{base}?{query}", HX_Request="true"))
        for link in re.findall(r'href="([^"]+after=[^"]+)"', page)[:1]:
            assert (await browser.get(link.replace("&amp;", "&"))).code == 200
    assert await faults(asked) == []
