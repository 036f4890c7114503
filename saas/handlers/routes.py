"""Route = permission = menu. Every handler file ends in a ROUTES table; this module gathers and checks them.

A console is a package of handler files with one base path. What is in the tables is all there is: the URL map, the
permission of each verb, the menu, the role editor's tree and the buttons of a page are derived from them.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import ModuleType
from typing import Any

from tornado.web import RequestHandler

from saas.i18n import N_
from saas.permissions import Permission

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
VERBS = ("GET", *sorted(WRITING))


class Access(Enum):
    """Guards that are no permission of a group."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"


PUBLIC = Access.PUBLIC
SIGNED_IN = Access.SIGNED_IN
Guard = Permission | Access


@dataclass(frozen=True, slots=True)
class Console:
    """A family of pages: package under saas.handlers, base path, and the kinds of actor that may enter."""

    name: str
    base: str
    actors: frozenset[str]


CONSOLES = (
    Console("public", "", frozenset({"owner", "operator", "platform"})),
    Console("admin", "/t/{tenant}/admin", frozenset({"owner", "operator"})),
    Console("platform", "/platform", frozenset({"platform"})),
)
# The menu's groups, in their order. A route names one of these.
GROUPS = (N_("Overview"), N_("Subscribers"), N_("Network"), N_("Finance"), N_("Reports"), N_("System"))
_ACTIONS = {
    "read": N_("View"),
    "write": N_("Add and change"),
    "secret": N_("Show secrets"),
    "disconnect": N_("Force off, change speed"),
    "redeem": N_("Redeem"),
    "reverse": N_("Reverse entries"),
    "adjust": N_("Change balances"),
}


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu entry: group (one of GROUPS), title, icon (a name of static/icons.txt), place within the group."""

    group: str
    title: str
    icon: str
    order: int = 50


@dataclass(frozen=True, slots=True)
class Route:
    """`path` below the console's base, with {names} for its parts; the guard of every verb; the menu entry.

    `console` is filled in when the tables are gathered.
    """

    path: str
    handler: type[RequestHandler]
    guards: Mapping[str, Guard]
    menu: Menu | None = None
    console: Console = CONSOLES[0]

    @property
    def url(self) -> str:
        """The whole path pattern, e.g. /t/{tenant}/admin/nas/{id}."""
        return (self.console.base + self.path) or "/"

    @property
    def pattern(self) -> str:
        """The same as a regular expression with named groups."""
        return re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z0-9_-]{1,64})", self.url) + "$"


class Unguarded(Exception):
    """A route table that must not be served. The application does not start."""


def implemented(handler: type[RequestHandler]) -> set[str]:
    """The verbs a handler has a method for."""
    blank = RequestHandler._unimplemented_method
    return {verb for verb in VERBS if getattr(handler, verb.lower()) is not blank}


def check(routes: Iterable[Route]) -> None:
    """Raise Unguarded, with a sentence, when a table would leave a door open or point at nothing."""
    seen: set[str] = set()
    for route in routes:
        where = f"{route.handler.__module__}: {route.path}"
        verbs = implemented(route.handler)
        if unguarded := verbs - set(route.guards):
            raise Unguarded(f"{where}: no permission for {', '.join(sorted(unguarded))}")
        if empty := set(route.guards) - verbs:
            raise Unguarded(f"{where}: the table names {', '.join(sorted(empty))}, the handler has no such method")
        for verb, guard in route.guards.items():
            if not isinstance(guard, Permission | Access):
                raise Unguarded(f"{where}: {verb} is guarded by {guard!r}, which is no permission")
            if verb in WRITING and isinstance(guard, Permission) and guard.endswith(":read"):
                raise Unguarded(f"{where}: {verb} writes, yet stands under {guard}")
        if route.menu and route.menu.group not in GROUPS:
            raise Unguarded(f"{where}: the menu has no group {route.menu.group!r}")
        if route.url in seen:
            raise Unguarded(f"{where}: {route.url} is taken by another route")
        seen.add(route.url)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Menu entries that stand for one noun, and what can be allowed there: (permission, action's message id)."""

    titles: tuple[str, ...]
    actions: tuple[tuple[Permission, str], ...]


class RouteMap:
    """The checked routes of every console."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=_literal_first))
        check(self.routes)
        self._by_path = {(route.console.name, route.path): route for route in self.routes}

    def find(self, console: str, path: str) -> Route:
        """The route of a console with exactly this path pattern. KeyError when there is none."""
        return self._by_path[console, path]

    def __contains__(self, place: tuple[str, str]) -> bool:
        return place in self._by_path

    def menu(self, console: str, permissions: frozenset[str]) -> list[tuple[str, list[Route]]]:
        """Groups with the entries these permissions open; a group without entries is left out."""
        shown = [route for route in self.routes if route.console.name == console and route.menu]
        entries = [route for route in shown if opens(route.guards["GET"], permissions)]
        entries.sort(key=lambda route: (route.menu.order, route.path) if route.menu else (0, ""))
        grouped = [(group, [r for r in entries if r.menu and r.menu.group == group]) for group in GROUPS]
        return [(group, found) for group, found in grouped if found]

    def tree(self, console: str) -> list[tuple[str, list[Leaf]]]:
        """The role editor: menu group -> entries with their permissions. Entries of one noun are one leaf.

        A short cut into a noun (quick open) has none: the noun's own entries list them.
        """
        leaves: dict[str, tuple[str, list[str]]] = {}
        for group, found in self.menu(console, frozenset(Permission)):
            for entry in found:
                noun, _, action = str(entry.guards["GET"]).partition(":")
                if entry.menu and action == "read":
                    leaves.setdefault(noun, (group, []))[1].append(entry.menu.title)
        placed = [(group, Leaf(tuple(titles), actions(noun))) for noun, (group, titles) in leaves.items()]
        grouped = [(group, [leaf for at, leaf in placed if at == group]) for group in GROUPS]
        return [(group, found) for group, found in grouped if found]


def _literal_first(route: Route) -> list[bool]:
    """Sorts /accounts/open before /accounts/{id}: the first pattern that fits is taken."""
    return [part.startswith("{") for part in route.path.split("/")]


def actions(noun: str) -> tuple[tuple[Permission, str], ...]:
    """Every permission of a noun, reading first."""
    return tuple((p, title) for action, title in _ACTIONS.items() for p in Permission if p == f"{noun}:{action}")


def opens(guard: Guard, permissions: frozenset[str]) -> bool:
    """Whether someone signed in with these permissions passes the guard."""
    return isinstance(guard, Access) or guard in permissions


def gather(consoles: Iterable[Console] = CONSOLES) -> list[Route]:
    """The ROUTES tables of every file in every console's package."""
    found: list[Route] = []
    for console in consoles:
        for module in _modules(f"saas.handlers.{console.name}"):
            table: list[Route] = getattr(module, "ROUTES", [])
            found += [replace(route, console=console) for route in table]
    return found


def _modules(package: str) -> list[ModuleType]:
    try:
        root: Any = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name == package:  # a console that has no pages yet
            return []
        raise
    names = sorted(info.name for info in pkgutil.iter_modules(root.__path__, f"{package}."))
    return [importlib.import_module(name) for name in names]
