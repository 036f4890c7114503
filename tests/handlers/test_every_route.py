"""Every route of every console: with another tenant's objects, without the permission, without a log-in."""

from __future__ import annotations

import re
from typing import Any

import pytest

from saas.handlers.routes import PUBLIC, WRITING, Guard, Route, gather
from saas.permissions import Permission
from saas.schema import COLLECTIONS
from saas.tenants import bulk, card_making, certificates, documents, login, notices, operators, traces, views
from saas.tenants.accounting import AcctEvent
from saas.tenants.apply import apply
from saas.tenants.bulk import Choice
from saas.tenants.card_making import BatchForm
from saas.tenants.cards import Card
from saas.tenants.forms import Form
from saas.tenants.journal import Group
from saas.tenants.scope import PlatformScope
from tests.browser import Browser
from tests.tenants.import_files import as_csv, line, uploaded
from tests.world import PASSWORD, USERNAME, Business, World

pytestmark = pytest.mark.slow

ROUTES = gather()
VERBS = [(route, verb, guard) for route in ROUTES for verb, guard in route.guards.items()]
ADMIN = [(route, verb, guard) for route, verb, guard in VERBS if route.console.name == "admin"]
PLATFORM = [(route, verb, guard) for route, verb, guard in VERBS if route.console.name == "platform"]


def _name(case: object) -> str | None:
    return case.url if isinstance(case, Route) else case if isinstance(case, str) else ""


async def ids_of(ps: PlatformScope, business: Business) -> dict[str, str]:
    """An object of the business for every noun that a path begins with."""
    audit = await business.scope.db.audit.find(limit=1)
    payment = await business.scope.db.ledger.one({"kind": "payment"})
    return {
        "accounts": business.account["_id"],
        "card-batches": (await _card(business))["batch_id"],
        "cards": (await _card(business))["_id"],
        "bulk": await _bulk_run(business),
        "certificates": await _certificate(business),
        "documents": (await documents.receipt(business.scope, payment["_id"]))["_id"],
        "groups": business.operator["group_id"],
        "imports": await _import(business),
        "log": audit[0]["_id"],
        "members": business.account["member_id"],
        "nas": business.nas["_id"],
        "notices": (await notices.tell_me(business.scope, "expiring", "en"))["_id"],
        "operators": business.operator["_id"],
        "payments": payment["_id"],
        "plans": business.plan["_id"],
        "sessions": await _session(ps, business),
        "views": (await views.save(business.scope, "/plans", views.ViewForm(name="Every route"), {}, "", []))["_id"],
        "traces": (await traces.start_nas(business.scope, business.nas["_id"], traces.TraceForm())).id,
    }


async def _card(business: Business) -> Card:
    """The card that every business here has."""
    if await business.scope.db.cards.one({"serial": "EVERY-ROUTE-00001"}) is None:
        form = BatchForm(kind="balance", amount=5000, count=1, prefix="every-route")
        await card_making.create(business.scope, form, "every-route")
    card: Card = await business.scope.db.cards.one({"serial": "EVERY-ROUTE-00001"})
    return card


async def _bulk_run(business: Business) -> str:
    """The id of the run that every business here has waiting."""
    choice = Choice(ids=[business.account["_id"]])
    return (await bulk.ask(business.scope, "resume", Form(), choice, "every-route"))["_id"]


async def _import(business: Business) -> str:
    """The id of the import that every business here has waiting."""
    return (await uploaded(business.scope, as_csv([line("every-route")]), "every-route"))["_id"]


async def _certificate(business: Business) -> str:
    """The id of a certificate that is good, of the device that every business here has."""
    device = business.nas["_id"]
    if not [row for row in await certificates.of_device(business.scope, device) if row["status"] == "active"]:
        await certificates.issue(business.scope, device)
    return (await certificates.of_device(business.scope, device))[0]["_id"]


async def _session(ps: PlatformScope, business: Business) -> str:
    """The id of the session that every business here has open."""
    event = AcctEvent(business.id, business.nas["_id"], "start", "every-route", USERNAME, 1.7e9, 1.7e9)
    if await business.scope.db.online.one({"acct_session_id": event.session_id}) is None:
        await apply(ps, [Group("", "1", event.received, (event,), b"")])
    return str((await business.scope.db.online.one({"acct_session_id": event.session_id}))["_id"])


def path_of(route: Route, business: Business, ids: dict[str, str]) -> str:
    """The route's path; every {name} is filled with the id of the noun that the path begins with."""
    path = route.url.replace("{tenant}", business.slug)
    noun = route.path.strip("/").split("/")[0]
    return re.sub(r"\{\w+\}", lambda _: ids[noun], path)


async def _rows(ps: PlatformScope, business: Business) -> dict[str, list[Any]]:
    """Everything a business has."""
    fenced = [name for name, collection in COLLECTIONS.items() if "tenant_id" in collection.fence]
    return {name: await getattr(business.scope.db, name).find(limit=10_000) for name in fenced}


async def _send(browser: Browser, verb: str, path: str) -> int:
    if path.endswith("/changes"):  # an answer without an end
        return (await browser.begun(path))[0]
    answer = await (browser.post(path, {}) if verb in WRITING else browser.get(path))
    return answer.code


@pytest.mark.parametrize(("route", "verb", "guard"), ADMIN, ids=_name)
async def test_another_tenants_object_is_not_found_and_not_touched(
    owner: Browser, cast: World, ps: PlatformScope, route: Route, verb: str, guard: Guard
) -> None:
    foreign = await ids_of(ps, cast.zeta)
    before = await _rows(ps, cast.zeta)
    if "{" in route.path:
        assert await _send(owner, verb, path_of(route, cast.acme, foreign)) == 404
    if guard is not PUBLIC:
        assert await _send(owner, verb, path_of(route, cast.zeta, foreign)) == 404
    assert await _rows(ps, cast.zeta) == before


@pytest.mark.parametrize(("route", "verb", "guard"), ADMIN + PLATFORM, ids=_name)
async def test_without_a_log_in_there_is_only_the_log_in_page(
    visitor: Browser, cast: World, ps: PlatformScope, route: Route, verb: str, guard: Guard
) -> None:
    ids = await ids_of(ps, cast.acme) | {"tenants": cast.acme.id, "pools": "pol_any"}
    path = path_of(route, cast.acme, ids)
    answer = await (visitor.post(path, {}) if verb in WRITING else visitor.get(path))
    assert answer.code == 303 and "/login" in answer.headers["Location"]


@pytest.fixture(scope="session")
async def readers_group(cast: World) -> operators.Group:
    """A group of Acme with every reading permission and no other."""
    reading = [p for p in Permission if p.endswith(":read")]
    return await operators.create_group(cast.acme.scope, operators.GroupForm(name="readers", permissions=reading))


@pytest.fixture(scope="session")
async def nobodys_group(cast: World) -> operators.Group:
    """A group of Acme without any permission."""
    return await operators.create_group(cast.acme.scope, operators.GroupForm(name="nobodies", permissions=[]))


async def _token(ps: PlatformScope, business: Business, group: operators.Group) -> str:
    name = f"one-of-{group['name']}"
    form = operators.OperatorForm(login=name, password=PASSWORD, group_id=group["_id"])
    await operators.create(business.scope, form)
    session = await login.operator(ps, business.slug, login.LoginForm(login=name, password=PASSWORD), name)
    return await login.open_session(ps, session)


@pytest.fixture(scope="session")
async def reader_token(ps: PlatformScope, cast: World, readers_group: operators.Group) -> str:
    """A reader's session."""
    return await _token(ps, cast.acme, readers_group)


@pytest.fixture(scope="session")
async def nobody_token(ps: PlatformScope, cast: World, nobodys_group: operators.Group) -> str:
    """The session of someone who may do nothing."""
    return await _token(ps, cast.acme, nobodys_group)


@pytest.mark.parametrize(("route", "verb", "guard"), ADMIN, ids=_name)
async def test_a_verb_opens_to_its_permission_only(
    web: str,
    cast: World,
    ps: PlatformScope,
    nobody_token: str,
    reader_token: str,
    route: Route,
    verb: str,
    guard: Guard,
) -> None:
    path = path_of(route, cast.acme, await ids_of(ps, cast.acme))
    for token, held in (
        (nobody_token, frozenset[str]()),
        (reader_token, {p for p in Permission if p.endswith(":read")}),
    ):
        browser = Browser(web)
        browser.cookies["session"] = token
        if isinstance(guard, Permission) and guard not in held:
            assert await _send(browser, verb, path) == 403
        elif verb == "GET":
            assert await _send(browser, verb, path) in (200, 404)


@pytest.mark.parametrize(("route", "verb", "guard"), PLATFORM, ids=_name)
async def test_the_platforms_pages_are_for_its_staff(
    owner: Browser, cast: World, ps: PlatformScope, route: Route, verb: str, guard: Guard
) -> None:
    path = re.sub(r"\{\w+\}", cast.zeta.id, route.url)
    answer = await (owner.post(path, {}) if verb in WRITING else owner.get(path))
    assert answer.code in (303, 403, 404)
    assert (await ps.db.tenants.get(cast.zeta.id))["status"] == "active"
