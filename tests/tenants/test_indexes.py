"""What the search box and the first page ask of the store: each look-up begins an index, the tenant first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from saas.schema import COLLECTIONS
from saas.store import Table
from saas.tenants import finding, overview
from tests.world import World

EVERY = ("accounts", "members", "sessions", "nas", "plans", "payments")
NAMES = {id(collection): name for name, collection in COLLECTIONS.items()}
SMALL = {"nas", "schedules"}  # of which a tenant has few, however large it is

Asked = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Collection and filter, the fence in it, of all that is asked of the store from here on."""
    found: Asked = []
    within = Table._within

    def noted(table: Table, filter: Mapping[str, Any]) -> dict[str, Any]:
        whole = within(table, filter)
        found.append((NAMES[id(table._collection)], whole))
        return whole

    monkeypatch.setattr(Table, "_within", noted)
    return found


def answered(name: str, filter: Mapping[str, Any]) -> bool:
    """Whether an index finds just these rows: equalities on its first fields, a range or a choice on the next."""
    if name in SMALL:
        return True
    fields = set(filter)
    spread = [field for field, value in filter.items() if isinstance(value, dict)]
    if "_id" in fields and "_id" not in spread:
        return True
    if fields == {"tenant_id", "_id"} and "$in" in filter["_id"]:
        return True
    for index in COLLECTIONS[name].indexes:
        keys = [field for field, _ in index.keys][: len(fields)]
        if keys[0] == "tenant_id" and set(keys) == fields and set(keys[-1:]) >= set(spread):
            return True
    return False


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "ali",
        "al",
        "张三",
        "13800000001",
        "1380",
        "10.0.0.1",
        "2001:db8::1",
        "aa:bb:cc:dd:ee:01",
        "acc_01kc3q00000000000000000000",
    ],
)
async def test_every_look_of_the_search_box_begins_an_index(world: World, asked: Asked, text: str) -> None:
    await finding.open_sessions(world.acme.scope, await finding.find(world.acme.scope, text, EVERY))
    assert asked
    assert [each for each in asked if not answered(*each)] == []


async def test_every_figure_of_the_first_page_begins_an_index(world: World, asked: Asked) -> None:
    scope = world.acme.scope
    await overview._count(scope)
    await overview.curves(scope)
    await overview.failures(scope)
    assert len(asked) > 12
    assert [each for each in asked if not answered(*each)] == []


def test_what_no_index_answers_is_caught() -> None:
    assert not answered("accounts", {"tenant_id": "t", "member_name": "x"})
    assert not answered("accounts", {"tenant_id": "t", "username": {"$gte": "a"}, "status": "normal"})
    assert not answered("accounts", {"tenant_id": "t", "$or": [{"username": "a"}]})
    assert answered("accounts", {"tenant_id": "t", "status": "normal", "expires_at": {"$gte": 1}})
