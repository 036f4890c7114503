"""At the concurrency limit the oldest session is forced off for the newcomer, over real UDP."""

from __future__ import annotations

import pytest

from saas.jobs.kicks import kick_oldest
from saas.radius.client import Client, DisconnectListener
from saas.radius.codec import Packet
from saas.tenants import apply, journal, nas
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import Gateway, set_plan
from tests.support import until
from tests.tenants.test_slots import age
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, Business, World

FIRST, SECOND, THIRD = ({"Calling-Station-Id": f"AA-BB-CC-00-00-0{n}"} for n in (1, 2, 3))


async def dial(device: Client, station: dict[str, str], session_id: str) -> bool:
    """Log in, and report the start if that was accepted."""
    answer = await device.pap(USERNAME, USER_PASSWORD, station)
    if answer.accepted:
        facts = {**station, "Class": answer.value("Class")}
        await device.accounting("start", USERNAME, session_id, facts)
    return answer.accepted


async def applied(ps: PlatformScope) -> None:
    """Apply all that was recorded, also what other tests left behind."""
    complete = False
    while not complete:
        reading = await journal.read(ps, 0.05)
        await apply.apply(ps, reading.groups)
        await journal.remove(ps, reading.groups)
        complete = reading.complete


async def listens(business: Business, port: int) -> None:
    """The business's device takes Disconnect-Requests at this port."""
    form = nas.NasForm.model_validate(nas.form_of(business.nas) | {"coa_port": port})
    await nas.update(business.scope, business.nas["_id"], form)


@pytest.mark.parametrize(("cause", "result"), [(0, "ack"), (504, "nak")])
async def test_the_newcomer_is_let_in_and_the_oldest_forced_off(
    ps: PlatformScope, world: World, gateway: Gateway, cause: int, result: str
) -> None:
    await set_plan(world.acme, concurrency=2, over_limit="kick_oldest")
    async with DisconnectListener(NAS_SECRET, lambda packet: cause) as gate, gateway(world.acme) as device:
        await listens(world.acme, gate.port)
        for station, session_id in ((FIRST, "s1"), (SECOND, "s2"), (THIRD, "s3")):
            assert await dial(device, station, session_id), "the newcomer does not wait"
            await age(ps, world.acme.scope, 10, world.acme.account["_id"])
        await applied(ps)

        async def told() -> bool:
            await kick_oldest(ps)
            return bool(gate.received)

        await until(told, "the device is asked to end the oldest")
        (request,) = gate.received
        assert request.value("Acct-Session-Id") == "s1"
        (attempt,) = await world.acme.scope.db.disconnects.find({})
        assert (attempt["result"], attempt["actor_name"]) == (result, "system")
        (entry,) = await world.acme.scope.db.audit.find({"action": "session.disconnect"})
        assert entry["actor_kind"] == "system"
        await device.accounting("stop", USERNAME, "s1", FIRST)
        assert await dial(device, THIRD, "s4"), "who is in returns without forcing anybody off"
        await kick_oldest(ps)
        assert len(gate.received) == 1, "it is done once"


async def test_a_session_that_is_not_applied_yet_is_forced_off_as_soon_as_it_is(
    ps: PlatformScope, world: World, gateway: Gateway
) -> None:
    await set_plan(world.acme, concurrency=1, over_limit="kick_oldest")
    async with DisconnectListener(NAS_SECRET) as gate, gateway(world.acme) as device:
        await listens(world.acme, gate.port)
        assert await dial(device, FIRST, "s1") and await dial(device, SECOND, "s2")
        await kick_oldest(ps)
        assert gate.received == []
        await applied(ps)

        async def told() -> bool:
            await kick_oldest(ps)
            return bool(gate.received)

        await until(told, "the device is asked")


async def test_a_session_that_has_ended_is_left_alone(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    await set_plan(world.acme, concurrency=1, over_limit="kick_oldest")
    received: list[Packet] = []
    async with DisconnectListener(NAS_SECRET, lambda packet: received.append(packet)) as gate:
        await listens(world.acme, gate.port)
        async with gateway(world.acme) as device:
            assert await dial(device, FIRST, "s1") and await dial(device, SECOND, "s2")
            await device.accounting("stop", USERNAME, "s1", FIRST)
        await applied(ps)
        await kick_oldest(ps)
    assert received == []
