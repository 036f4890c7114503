"""The route tables: what may not be served is refused at the start; menu and role editor follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from saas.handlers.base import Handler
from saas.handlers.routes import (
    CONSOLES,
    PUBLIC,
    SIGNED_IN,
    Leaf,
    Menu,
    Route,
    RouteMap,
    Unguarded,
    gather,
    implemented,
)
from saas.permissions import ALL, PRESETS, Permission

READ, WRITE = Permission.NAS_READ, Permission.NAS_WRITE


class Reads(Handler):
    async def get(self) -> None: ...


class ReadsAndWrites(Handler):
    async def get(self) -> None: ...

    async def post(self) -> None: ...


@pytest.mark.parametrize(
    ("handler", "guards", "sentence"),
    [
        (ReadsAndWrites, {"GET": READ}, "no permission for POST"),
        (Reads, {"GET": READ, "POST": WRITE}, "names POST, the handler has no such method"),
        (ReadsAndWrites, {"GET": READ, "POST": READ}, "POST writes, yet stands under nas:read"),
        (Reads, {"GET": "nas:read"}, "no permission"),
        (Reads, {}, "no permission for GET"),
    ],
)
def test_a_table_that_leaves_a_door_open_is_refused(
    handler: type[Handler], guards: Mapping[str, Any], sentence: str
) -> None:
    with pytest.raises(Unguarded, match=sentence):
        RouteMap([Route("/x", handler, guards)])


def test_two_routes_of_one_path_are_refused() -> None:
    with pytest.raises(Unguarded, match="taken by another route"):
        RouteMap([Route("/x", Reads, {"GET": READ}), Route("/x", Reads, {"GET": SIGNED_IN})])


def test_a_menu_entry_names_a_known_group() -> None:
    with pytest.raises(Unguarded, match="no group 'Nowhere'"):
        RouteMap([Route("/x", Reads, {"GET": READ}, Menu("Nowhere", "X", "x"))])


def test_every_verb_of_the_project_is_guarded() -> None:
    routes = RouteMap(gather()).routes
    assert routes
    for route in routes:
        assert set(route.guards) == implemented(route.handler), route.url
        open_writes = [verb for verb, guard in route.guards.items() if verb != "GET" and guard is PUBLIC]
        assert not open_writes or route.console.name == "public", route.url


def test_the_menu_shows_what_the_permissions_open() -> None:
    routes = [
        Route("/a", Reads, {"GET": READ}, Menu("Network", "A", "router", 20), CONSOLES[1]),
        Route("/b", Reads, {"GET": Permission.LEDGER_READ}, Menu("Finance", "B", "coin"), CONSOLES[1]),
        Route("/c", Reads, {"GET": READ}, Menu("Network", "C", "router", 10), CONSOLES[1]),
    ]
    shown = [(group, [r.path for r in found]) for group, found in RouteMap(routes).menu("admin", frozenset({READ}))]
    assert shown == [("Network", ["/c", "/a"])]


def test_the_role_editor_names_every_permission_of_a_noun_once() -> None:
    everyone = Permission.OPERATORS_READ
    routes = [
        Route("/nas", Reads, {"GET": READ}, Menu("Network", "Devices", "router"), CONSOLES[1]),
        Route("/nas/new", Reads, {"GET": WRITE}, Menu("Network", "New device", "router"), CONSOLES[1]),
        Route("/groups", Reads, {"GET": everyone}, Menu("System", "Groups", "users", 20), CONSOLES[1]),
        Route("/operators", Reads, {"GET": everyone}, Menu("System", "Operators", "users", 10), CONSOLES[1]),
    ]
    devices = ((READ, "View"), (WRITE, "Add and change"), (Permission.NAS_SECRET, "Show secrets"))
    people = ((everyone, "View"), (Permission.OPERATORS_WRITE, "Add and change"))
    assert RouteMap(routes).tree("admin") == [
        ("Network", [Leaf(("Devices",), devices)]),
        ("System", [Leaf(("Operators", "Groups"), people)]),
    ]


def test_the_role_editor_of_the_project_offers_every_permission_once() -> None:
    tree = RouteMap(gather()).tree("admin")
    offered = [permission for _, leaves in tree for leaf in leaves for permission, _ in leaf.actions]
    assert sorted(offered) == sorted(ALL)


def test_presets_hold_known_permissions() -> None:
    assert all(keys <= ALL for keys in PRESETS.values())


def test_path_parts_take_ids_only() -> None:
    pattern = Route("/nas/{id}", Reads, {"GET": READ}, None, CONSOLES[1]).pattern
    assert pattern == r"/t/(?P<tenant>[A-Za-z0-9_-]{1,64})/admin/nas/(?P<id>[A-Za-z0-9_-]{1,64})$"
