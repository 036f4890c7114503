"""How long a silent session keeps its slot is the tenant's to say, and the engine's without asking a store."""

from __future__ import annotations

import pytest

from saas.radius.engine import Engine
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import Gateway, set_parameters
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, Business, World

pytestmark = pytest.mark.usefixtures("engine")


async def lifetimes(ps: PlatformScope, business: Business) -> list[int]:
    """Of the account's slots, in seconds; of ended sessions 0."""
    script = "return redis.call('HVALS', KEYS[1])"
    values = await ps.slots.run(script, [f"t:{business.id}:slots:{business.account['_id']}"], [])
    return [int(value[20:28]) for value in values if len(value) > 28]


async def test_slots_live_as_long_as_the_tenant_says_from_the_login_and_from_each_report_on(
    engine: Engine, ps: PlatformScope, world: World, gateway: Gateway
) -> None:
    device_id = world.acme.nas["_id"]
    await set_parameters(world.acme, interim_interval=60, stale_factor=5)
    await until(lambda: engine.table.devices[device_id].device.stale_after == 360, "the engine has heard of it")
    async with gateway(world.acme) as device:
        answer = await device.pap(USERNAME, USER_PASSWORD)
        assert answer.accepted and await lifetimes(ps, world.acme) == [360]
        told = {"Class": answer.value("Class")}
        await device.accounting("start", USERNAME, "one", told)
        assert await lifetimes(ps, world.acme) == [360]
        await set_parameters(world.acme, interim_interval=60, stale_factor=10)
        await until(lambda: engine.table.devices[device_id].device.stale_after == 660, "the engine has heard of it")
        await device.accounting("interim", USERNAME, "one", told)
        assert await lifetimes(ps, world.acme) == [660]
