"""Unknown devices as a tenant sees them: its own by identifier, address, host name or pool, and never another's."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from saas.errors import Invalid, Limit
from saas.tenants import adoption, nas, refusals
from saas.tenants.platform import SHARED_POOL
from saas.tenants.refusals import UnknownNas
from saas.tenants.scope import PlatformScope
from saas.values import new_id, utcnow
from tests.world import Business, make_business

pytestmark = pytest.mark.slow

HERE, OFFICE, GATE, LAN = "203.0.113.7", "203.0.113.8", "198.51.100.4", "2001:db8::4"


@pytest.fixture
async def ps(alone: PlatformScope) -> PlatformScope:
    """Stores in which no other test has registered an address."""
    await alone.db.nas.update_many({}, {"$set": {"address": ""}})
    return alone


@pytest.fixture
def pool() -> str:
    """The pool that both businesses share with nobody else."""
    return new_id("pool")


async def member(ps: PlatformScope, pool: str, name: str) -> Business:
    made = await make_business(ps, name)
    tenant = await ps.db.tenants.update(made.id, {"$set": {"pool": pool}})
    return replace(made, scope=ps.enter(tenant, made.scope.actor))


@pytest.fixture
async def acme(ps: PlatformScope, pool: str) -> Business:
    return await member(ps, pool, "acme")


@pytest.fixture
async def zeta(ps: PlatformScope, pool: str) -> Business:
    return await member(ps, pool, "zeta")


async def knock(ps: PlatformScope, pool: str, source: str, identifier: str = "", cause: str = "unknown_nas") -> None:
    await refusals.keep(ps, [UnknownNas(pool, source, identifier, cause, 1, time.time())])


async def sees(ps: PlatformScope, business: Business, browser: str = "", typed: str = "") -> set[tuple[str, str]]:
    found = await adoption.unknown(ps, business.scope, browser, typed)
    return {(row["source"], row["identifier"]) for row in found}


async def moved(business: Business, **values: Any) -> None:
    """Change the business's device."""
    form = nas.form_of(await nas.get(business.scope, business.nas["_id"])) | values
    await nas.update(business.scope, business.nas["_id"], nas.NasForm.model_validate(form))


async def test_nothing_speaks_for_it_nothing_is_shown(
    ps: PlatformScope, pool: str, acme: Business, zeta: Business
) -> None:
    await knock(ps, pool, HERE, "rb-7")
    await knock(ps, pool, HERE)
    assert await sees(ps, acme) == await sees(ps, acme, OFFICE) == await sees(ps, acme, "", OFFICE) == set()


async def test_a_device_of_ours_is_known_by_its_identifier(
    ps: PlatformScope, pool: str, acme: Business, zeta: Business
) -> None:
    identifier = acme.nas["identifier"]
    await knock(ps, pool, HERE, identifier, "bad_authenticator")
    (row,) = await adoption.unknown(ps, acme.scope)
    assert (row["nas_id"], row["named"], row["cause"]) == (acme.nas["_id"], True, "bad_authenticator")
    assert await sees(ps, zeta, HERE, HERE) == set(), "not even who sits behind the same address sees it"


async def test_a_device_of_ours_is_known_by_its_fixed_address(
    ps: PlatformScope, pool: str, acme: Business, zeta: Business
) -> None:
    await moved(acme, mode="ip", address=GATE)
    await knock(ps, pool, GATE, "MikroTik", "bad_authenticator")
    (row,) = await adoption.unknown(ps, acme.scope)
    assert (row["nas_id"], row["named"]) == (acme.nas["_id"], False)
    assert await sees(ps, zeta, GATE, GATE) == set(), "it comes from another tenant's registered address"


async def test_a_device_of_ours_is_known_by_its_host_name(
    ps: PlatformScope, pool: str, acme: Business, zeta: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(name: str, patience: float) -> frozenset[str]:
        return frozenset({GATE, LAN} if name == "gate.example.com" else ())

    monkeypatch.setattr(adoption.outbound, "resolve", resolve)
    await moved(acme, mode="ddns", ddns="gate.example.com")
    await knock(ps, pool, GATE)
    await knock(ps, pool, LAN, "rb-7")
    assert await sees(ps, acme) == {(GATE, ""), (LAN, "rb-7")}
    assert await sees(ps, zeta) == set()


async def test_the_address_that_one_comes_from_or_types_in_counts_in_full(
    ps: PlatformScope, pool: str, acme: Business, zeta: Business
) -> None:
    for source in (HERE, OFFICE, "203.0.113.70", LAN):
        await knock(ps, pool, source, "rb-7")
    assert await sees(ps, acme, HERE) == {(HERE, "rb-7")}
    assert await sees(ps, acme, HERE, OFFICE) == {(HERE, "rb-7"), (OFFICE, "rb-7")}
    assert await sees(ps, acme, f"::ffff:{HERE}", "2001:0db8:0:0::4") == {(HERE, "rb-7"), (LAN, "rb-7")}
    for text in ("203.0.113", "203.0.113.*", "gate.example.com", "203.0.113.0/24"):
        with pytest.raises(Invalid):
            await sees(ps, acme, "", text)


async def test_a_proxy_on_this_machine_is_nobodys_address(ps: PlatformScope, pool: str, acme: Business) -> None:
    await member(ps, pool, "third")
    await knock(ps, pool, "127.0.0.1")
    assert await sees(ps, acme, "127.0.0.1") == await sees(ps, acme, "::1") == await sees(ps, acme, "unix") == set()
    assert await sees(ps, acme, "", "127.0.0.1") == {("127.0.0.1", "")}


async def test_nobody_searches_for_the_addresses_of_others(ps: PlatformScope, acme: Business) -> None:
    for number in range(10):
        for _ in range(3):
            await sees(ps, acme, "", f"192.0.2.{number}")
    for _ in range(2):
        with pytest.raises(Limit) as refused:
            await sees(ps, acme, "", "192.0.2.99")
        assert 0 < refused.value.data["retry_after"] <= 3601
    await sees(ps, acme, "", "192.0.2.3")


async def test_a_pool_of_ones_own_shows_everything(ps: PlatformScope, pool: str, acme: Business) -> None:
    other = await make_business(ps, "elsewhere")
    await knock(ps, pool, HERE, "rb-7")
    await knock(ps, pool, GATE)
    await knock(ps, pool, OFFICE, other.nas["identifier"])
    assert await sees(ps, acme) == {(HERE, "rb-7"), (GATE, "")}
    await member(ps, pool, "second")
    assert await sees(ps, acme) == set(), "now it is shared"


async def test_the_shared_pool_is_never_ones_own_and_another_pool_is_not_looked_at(
    ps: PlatformScope, pool: str, acme: Business
) -> None:
    business = await make_business(ps, "shared")
    source = f"10.77.{int(time.time()) % 250}.9"
    await knock(ps, SHARED_POOL, source, "rb-7")
    assert (source, "rb-7") not in await sees(ps, business)
    assert await sees(ps, business, source) == {(source, "rb-7")}
    assert await sees(ps, acme, source) == set()


async def test_whatever_is_claimed_another_tenants_rows_never_appear(
    ps: PlatformScope, pool: str, acme: Business, zeta: Business
) -> None:
    """Zeta claims Acme's address in every way there is; and a third device of Acme's shares it by its identifier."""
    await moved(acme, mode="ip", address=GATE)
    second = await nas.create(acme.scope, nas.NasForm(name="West", vendor="standard"))
    for identifier in ("", "MikroTik", acme.nas["identifier"], second["identifier"]):
        await knock(ps, pool, GATE, identifier, "bad_authenticator")
        await knock(ps, pool, HERE, identifier, "missing_message_authenticator")
    await moved(zeta, mode="ip", address=GATE)
    await nas.create(zeta.scope, nas.NasForm(name="Claim", vendor="standard", mode="ip", address=HERE))
    ours = {acme.nas["identifier"], second["identifier"]}
    found = await sees(ps, zeta, GATE, HERE)
    assert not {row for row in found if row[1] in ours}
    assert not {row for row in found if row[0] == GATE}, "Acme has registered this address"
    assert found == {(HERE, ""), (HERE, "MikroTik")}, "nobody has registered this one but Zeta"
    assert {row for row in await sees(ps, acme) if row[1] in ours} == {(s, i) for s in (GATE, HERE) for i in ours}


async def test_a_device_that_still_knocks_at_the_pool_we_left_is_seen(
    ps: PlatformScope, pool: str, acme: Business, zeta: Business
) -> None:
    identifier = acme.nas["identifier"]
    await knock(ps, pool, HERE, identifier, "bad_authenticator")
    for until, seen in ((timedelta(hours=1), {(HERE, identifier)}), (timedelta(hours=-1), set())):
        former = [{"pool": pool, "until": utcnow() + until}]
        tenant = await ps.db.tenants.update(acme.id, {"$set": {"pool": "elsewhere", "former_pools": former}})
        left = replace(acme, scope=ps.enter(tenant, acme.scope.actor))
        assert await sees(ps, left) == seen
