"""People made for one test, logged in: operators, and the owner of a system of his own."""

from __future__ import annotations

from saas.tenants import login, operators, platform
from saas.tenants.scope import Actor, PlatformScope, Scope
from saas.values import new_id
from tests.browser import Browser
from tests.world import PASSWORD, Business


async def log_in(web: str, ps: PlatformScope, business: Business, name: str, password: str = PASSWORD) -> Browser:
    """A browser of an operator; each log-in is from an address of its own and the first, since log-ins are counted."""
    await ps.kv.delete(f"hit:login:as:{business.slug}/{name}")
    form = login.LoginForm(login=name, password=password)
    session = await login.operator(ps, business.slug, form, new_id("from"))
    browser = Browser(web)
    browser.cookies["session"] = await login.open_session(ps, session)
    return browser


async def operator_browser(web: str, ps: PlatformScope, business: Business, name: str, group_id: str) -> Browser:
    """A browser of a new operator of the group."""
    await operators.create(business.scope, operators.OperatorForm(login=name, password=PASSWORD, group_id=group_id))
    return await log_in(web, ps, business, name)


async def new_system(web: str, ps: PlatformScope, *, pool: str = platform.SHARED_POOL) -> tuple[Scope, Browser]:
    """A tenant of the free tier with nothing in it, and its owner's browser."""
    slug = f"new-{new_id('x')[-8:]}"
    owner = await platform.create_cloud_account(ps, platform.OwnerForm(email=f"{slug}@example.com", password=PASSWORD))
    form = platform.TenantForm(system_name="New", slug=slug)
    tenant = await platform.create_tenant(ps, form, owner["_id"])
    tenant = await ps.db.tenants.update(tenant["_id"], {"$set": {"pool": pool}})
    session = await login.cloud(ps, login.LoginForm(login=owner["email"], password=PASSWORD), slug)
    browser = Browser(web)
    browser.cookies["session"] = await login.open_session(ps, session)
    return ps.enter(tenant, Actor("owner", owner["_id"], owner["email"])), browser
