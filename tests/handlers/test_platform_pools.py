"""The platform's pages of engine pools, moving a tenant, and what the tenant is told of it."""

from __future__ import annotations

import re
import secrets
import time
from datetime import timedelta
from typing import Any

import pytest

from saas.tenants import engines, login, moves, platform, pools
from saas.tenants.engines import EngineReport, PoolState
from saas.tenants.pools import Pool, PortsForm
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.people import new_system
from tests.tenants.test_pools import make_pool
from tests.world import PASSWORD

EN = {"Accept_Language": "en"}


@pytest.fixture(scope="module")
async def staff_token(ps: PlatformScope) -> str:
    email = f"{secrets.token_hex(4)}@platform.example.com"
    await platform.create_cloud_account(ps, platform.OwnerForm(email=email, password=PASSWORD), platform=True)
    return await login.open_session(ps, await login.cloud(ps, login.LoginForm(login=email, password=PASSWORD), email))


@pytest.fixture
def staff(web: str, staff_token: str) -> Browser:
    """A browser of the platform's staff."""
    browser = Browser(web)
    browser.cookies["session"] = staff_token
    return browser


async def alive(ps: PlatformScope, pool: Pool, **values: Any) -> None:
    """A worker of the pool has said that it runs."""
    now = time.time()
    fields: dict[str, Any] = {
        "pool": pool["name"],
        "worker": f"{pool['host']}:7",
        "host": f"{pool['name']}.example.net",
        "auth_port": pool["auth_port"],
        "acct_port": pool["acct_port"],
        "radsec_port": 0,
        "state": "running",
        "version": "9.9",
        "started_at": now - 60,
        "at": now,
        "auth_rate": 12.3,
        "dropped": {"unknown_nas": 3, "too_short": 1200},
        "memory": 64 * 2**20,
        "devices": 41,
        "logins": 4242,
    }
    await engines.heartbeat(ps, EngineReport(**fields | values))


async def told(ps: PlatformScope, pool: Pool, **values: Any) -> None:
    """The supervisor of the pool's host has said how it fares."""
    auth, acct, _ = pools.ports_of(pool)
    fields: dict[str, Any] = {"pool": pool["name"], "host": pool["host"], "auth_port": auth, "acct_port": acct}
    fields |= {"until": 0.0, "state": "running", "taken_port": 0, "restarts": 2, "at": time.time()}
    await engines.tell_pools(ps, [PoolState(**fields | values)])


async def test_a_pool_is_added_changed_and_retired(staff: Browser, ps: PlatformScope) -> None:
    shown = text(await staff.get("/platform/pools/new", **EN))
    assert "Up to 9999" in shown and re.search(r'value="18\d2"', shown)
    name = f"p{secrets.token_hex(5)}"
    fields = {"name": name, "kind": "dedicated", "host": f"h-{name}", "auth_port": "7812", "acct_port": "7812"}
    answer = await staff.post("/platform/pools/new", fields, **EN)
    assert answer.code == 422 and "Named twice." in text(answer)
    answer = await staff.post("/platform/pools/new", fields | {"acct_port": "7813", "workers": "2"})
    assert answer.code == 303
    page = answer.headers["Location"]
    shown = text(await staff.get(page, **EN))
    for words in (name, "Of one tenant", "7812", "7813", "0 / 2", "No worker of this pool is running.", "Not running"):
        assert words in shown, words
    assert name in text(await staff.get("/platform/pools"))

    pool = await pools.named(ps, name)
    change = {"_version": str(pool["version"]), "auth_port": "7912", "acct_port": "7813", "workers": "3", "note": "n"}
    assert (await staff.post(f"{page}/edit", change)).code == 303
    assert (await staff.post(f"{page}/edit", change)).code == 409
    shown = text(await staff.get(page, **EN))
    assert "7912" in shown and "7812 / 7813 · answered until" in shown and "0 / 3" in shown
    assert (await staff.post(f"{page}/ports/end")).code == 303
    assert "answered until" not in text(await staff.get(page, **EN))

    assert (await staff.post(f"{page}/retire", {"confirm": "another"})).code == 422
    assert (await staff.post(f"{page}/retire", {"confirm": name})).code == 303
    shown = text(await staff.get(page, **EN))
    assert "Retired" in shown and f"{page}/edit" not in shown
    logged = text(await staff.get(f"/platform/log?q={name}", **EN))
    for words in ("Added a pool", "Changed a pool", "Gave up former ports of a pool", "Retired a pool"):
        assert words in logged, words
    changed = re.findall(r"/platform/log/(aud_\w+)", logged)[2]
    shown = text(await staff.get(f"/platform/log/{changed}", **EN))
    for words in ("Authentication port", "7812", "7912", "Former ports", "7812 / 7813"):
        assert words in shown, words


async def test_the_ports_of_the_shared_pool_are_not_changed_here(staff: Browser, ps: PlatformScope) -> None:
    shared = await pools.ensure_shared(ps, pools.Ports(1812, 1813, 2083))
    page = f"/platform/pools/{shared['_id']}"
    shown = text(await staff.get(page, **EN))
    assert "are those of the settings" in shown and f"{page}/retire" not in shown
    assert "auth_port" not in text(await staff.get(f"{page}/edit", **EN))
    assert (await staff.post(f"{page}/edit", {"workers": "2"})).code == 303
    assert (await staff.post(f"{page}/edit", {"workers": "2", "auth_port": "99"})).code == 422
    assert (await staff.post(f"{page}/retire", {"confirm": "shared"})).code == 409
    after = await pools.get(ps, shared["_id"])
    assert (after["workers"], pools.ports_of(after)) == (2, pools.ports_of(shared))


async def test_how_a_pool_fares(staff: Browser, ps: PlatformScope) -> None:
    pool = await make_pool(ps)
    await alive(ps, pool)
    await told(ps, pool)
    page = f"/platform/pools/{pool['_id']}"
    shown = text(await staff.get(page, **EN))
    for words in ("1 / 1", "12.3/s", "Running", "64", "41", "4,242", "Not a RADIUS packet 1,200, Not registered 3"):
        assert words in shown, words
    assert "4,242" in text(await staff.get("/platform/engines", **EN))
    await told(ps, pool, state="port_taken", taken_port=pool["auth_port"])
    for path in (page, "/platform/pools"):
        assert "Port taken" in text(await staff.get(path, **EN))
    assert "Another program has a port of this pool." in text(await staff.get(page, **EN))


async def test_a_tenant_is_moved_and_told(staff: Browser, web: str, ps: PlatformScope) -> None:
    one, two, other = [await make_pool(ps) for _ in range(3)]
    own = await make_pool(ps, kind="dedicated")
    for pool in (one, two):
        await alive(ps, pool)
    scope, owner = await new_system(web, ps, pool=one["name"])
    occupant, _ = await new_system(web, ps, pool=other["name"])
    await moves.move_tenant(ps, occupant.tenant_id, own["name"], timedelta())
    page, console = f"/platform/tenants/{scope.tenant_id}", f"/t/{scope.tenant['slug']}/admin"
    assert str(one["auth_port"]) in text(await owner.get(console))

    shown = text(await staff.get(f"{page}/move", **EN))
    assert "What this means" in shown and f'value="{two["name"]}"' in shown and 'value="7"' in shown
    for wrong in (one["name"], own["name"]):
        assert f'value="{wrong}"' not in shown
        answer = await staff.post(f"{page}/move", {"pool": wrong, "days": "7"}, **EN)
        assert answer.code == 409 and re.search("in this pool already|belongs to another tenant", text(answer))
    assert (await staff.post(f"{page}/move", {"pool": two["name"], "days": "7"})).code == 303
    shown = text(await staff.get(page, **EN))
    for words in ("In transition to another pool.", f"answered in {one['name']} as well", two["name"]):
        assert words in shown, words

    told_them = "Your devices must be pointed to the new ports until"
    home = text(await owner.get(console, **EN))
    assert told_them in home and str(two["auth_port"]) in home and str(one["auth_port"]) not in home
    assert "请在" in text(await owner.get(console, Accept_Language="zh"))
    made = await owner.post(f"{console}/nas/new", {"name": "gate", "vendor": "openvpn", "mode": "identifier"})
    shown = text(await owner.get(made.headers["Location"], **EN))
    assert told_them in shown and f"authport={two['auth_port']}" in shown
    assert (await staff.post(f"{page}/move/end")).code == 303
    assert told_them not in text(await owner.get(console, **EN))
    logged = text(await staff.get(f"/platform/log?q={scope.tenant['slug']}", **EN))
    assert "Moved a tenant to another pool" in logged and "Ended a tenant" in logged


async def test_tenants_of_a_pool_whose_ports_change_are_told(web: str, ps: PlatformScope) -> None:
    pool = await make_pool(ps)
    scope, owner = await new_system(web, ps, pool=pool["name"])
    other = pool["auth_port"] + 5
    now = await pools.update(ps, pool["_id"], PortsForm(auth_port=other, acct_port=other + 1))
    for each in (pool, now):
        await alive(ps, each, worker=f"w:{each['auth_port']}")
    await told(ps, now)
    await told(ps, pool, until=(utcnow() + timedelta(days=7)).timestamp())
    home = text(await owner.get(f"/t/{scope.tenant['slug']}/admin", **EN))
    assert "Your devices must be pointed to the new ports until" in home
    assert str(other) in home and str(pool["auth_port"]) not in home
