"""The demo tenant, deterministic datasets, and the check of everything stored."""

from __future__ import annotations

import pytest

from saas import security
from saas.migrations import migrate
from saas.tenants import demo, login_records, platform, pools
from saas.tenants.apply import apply
from saas.tenants.journal import Group
from saas.tenants.scope import PlatformScope
from saas.tenants.verify import verify
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
async def ps(alone: PlatformScope) -> PlatformScope:
    """What others store would be found too. As every process does at its start, the shared pool is made."""
    await pools.ensure_shared(alone, pools.Ports(1812, 1813, 2083))
    return alone


async def _sentences(ps: PlatformScope, slug: str) -> list[str]:
    return [sentence async for sentence in verify(ps) if sentence.startswith(f"{slug}: ")]


async def test_the_demo_tenant_is_made_once(ps: PlatformScope) -> None:
    first = await demo.demo_tenant(ps)
    again = await demo.demo_tenant(ps)
    assert first.tenant_id == again.tenant_id
    assert await again.db.nas.count() == await again.db.accounts.count() == 1
    assert await _sentences(ps, demo.SLUG) == []


async def test_a_dataset_is_deterministic_and_may_grow(ps: PlatformScope) -> None:
    await demo.fill(ps, demo.Dataset(tenants=2, nas=3, accounts=5))
    await demo.fill(ps, demo.Dataset(tenants=2, nas=5, accounts=12))
    await demo.fill(ps, demo.Dataset(tenants=2, nas=5, accounts=12))
    identifiers: set[str] = set()
    for slug in ("t0000", "t0001"):
        tenant = await platform.tenant_by_slug(ps, slug)
        assert tenant is not None
        scope = ps.enter(tenant, ps.actor)
        assert (await scope.db.accounts.count(), await scope.db.members.count()) == (12, 2)
        record = (await login_records.find(ps, [(scope.tenant_id, "u000011")]))[scope.tenant_id, "u000011"]
        assert record.nt_hash == security.nt_hash("p000011")
        assert (record.concurrency, record.expires_at) == (0, demo.EXPIRES.timestamp())
        rows = await scope.db.nas.find()
        identifiers |= {row["identifier"] for row in rows}
        assert {scope.unseal(row["sealed_secret"]) for row in rows} <= {f"secret-{n:04d}" for n in range(5)}
        assert await _sentences(ps, slug) == []
    assert identifiers == {f"nas-{n:04d}" for n in range(5)}


@pytest.mark.parametrize(
    ("collection", "field", "value", "sentence"),
    [
        ("accounts", "plan_id", "pln_gone", "plan pln_gone does not exist"),
        ("accounts", "status", "suspended", "it is suspended, and its clock says otherwise"),
        ("accounts", "member_id", "mem_gone", "member mem_gone does not exist"),
        ("accounts", "sealed_password", b"altered", "cannot be unsealed"),
        ("accounts", "username", "ALICE ", "not in the normal spelling"),
        ("quotas", "member_id", "mem_gone", "its quota is missing, or another member's"),
        ("nas", "sealed_secret", b"altered", "cannot be unsealed"),
        ("operators", "group_id", "grp_gone", "group grp_gone does not exist"),
        ("members", "balance", 5, "balance 5, entries 0"),
    ],
)
async def test_what_is_broken_is_said(world: World, collection: str, field: str, value: object, sentence: str) -> None:
    assert await _sentences(world.ps, world.acme.slug) == []
    table = getattr(world.acme.scope.db, collection)
    row = (await table.find(limit=1))[0]
    db = world.ps.db if field == "member_id" else world.acme.scope.db
    await getattr(db, collection).update(row["_id"], {"$set": {field: value}})
    found = await _sentences(world.ps, world.acme.slug)
    assert len(found) == 1 and row["_id"] in found[0] and sentence in found[0]
    assert await _sentences(world.ps, world.zeta.slug) == []


async def test_events_that_were_put_aside_are_said(ps: PlatformScope) -> None:
    group = Group("", "1", 1.7e9, (), b"no group", "ValueError: unreadable")
    assert await apply(ps, [group]) == 1
    (sentence,) = [said async for said in verify(ps) if said.startswith("accounting event ded_")]
    assert sentence.endswith("of nobody was put aside: ValueError: unreadable")


async def test_a_migration_is_done_once_and_in_order(ps: PlatformScope) -> None:
    done: list[str] = []

    async def first(scope: PlatformScope) -> None:
        done.append("first")

    async def second(scope: PlatformScope) -> None:
        done.append("second")

    assert await migrate(ps, [first]) == ["first"]
    assert await migrate(ps, [first, second]) == ["second"]
    assert done == ["first", "second"]
