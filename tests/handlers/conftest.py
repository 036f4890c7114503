"""A real server over the embedded stores, and a browser without a screen.

cast      two businesses that all tests of this folder share      (session)
pages     the project's routes and some of the tests' own          (session)
web       where the server listens                                 (session)
visitor   a browser that is not logged in
owner     a browser of Acme's owner
operator  a browser of Acme's operator
own       a business that the tests of one file share with no other file    (module)
boss      a browser of its owner
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tornado.httpserver import HTTPServer

from saas.handlers.app import make_app, serve
from saas.handlers.routes import Route, gather
from saas.tenants import login
from saas.tenants.scope import PlatformScope
from saas.values import new_id
from tests.browser import Browser
from tests.handlers.sample import ROUTES
from tests.world import PASSWORD, Business, World, make_business, make_world, signed_in


@pytest.fixture(scope="session")
async def cast(ps: PlatformScope) -> World:
    """Acme and Zeta."""
    return await make_world(ps)


@pytest.fixture(scope="session")
def pages() -> list[Route]:
    """Every route."""
    return gather() + ROUTES


@pytest.fixture(scope="session")
async def web(ps: PlatformScope, pages: list[Route]) -> AsyncIterator[str]:
    """The address of the server."""
    server = serve(make_app(ps.services, routes=pages), "127.0.0.1", 0)
    yield address(server)
    server.stop()
    await server.close_all_connections()


def address(server: HTTPServer) -> str:
    """Where it listens."""
    port = next(iter(server._sockets.values())).getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def visitor(web: str) -> Browser:
    """Nobody."""
    return Browser(web)


@pytest.fixture(scope="session")
async def owner_token(ps: PlatformScope, cast: World) -> str:
    """One log-in for all: log-ins are counted."""
    form = login.LoginForm(login=cast.acme.email, password=PASSWORD)
    return await login.open_session(ps, await login.cloud(ps, form, new_id("from")))


@pytest.fixture
def owner(web: str, owner_token: str) -> Browser:
    """Acme's owner."""
    browser = Browser(web)
    browser.cookies["session"] = owner_token
    return browser


@pytest.fixture
async def operator(web: str, ps: PlatformScope, cast: World) -> Browser:
    """Acme's operator."""
    form = login.LoginForm(login="bob", password=PASSWORD)
    browser = Browser(web)
    session = await login.operator(ps, cast.acme.slug, form, new_id("from"))
    browser.cookies["session"] = await login.open_session(ps, session)
    return browser


@pytest.fixture(scope="module")
async def own(ps: PlatformScope) -> Business:
    """A business of this file alone: what its tests leave behind disturbs no other file."""
    return await make_business(ps, "own")


@pytest.fixture(scope="module")
async def boss_token(ps: PlatformScope, own: Business) -> str:
    """One log-in for all: log-ins are counted."""
    return await signed_in(ps, own)


@pytest.fixture
def boss(web: str, boss_token: str) -> Browser:
    """Its owner."""
    browser = Browser(web)
    browser.cookies["session"] = boss_token
    return browser
