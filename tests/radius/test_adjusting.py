"""A quota or a balance that ends while somebody is online, and money that comes in again, over real UDP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from saas.radius import codec
from saas.radius.client import Client, DisconnectListener
from saas.radius.codec import Packet
from saas.tenants import life, plans, purchases, wallet
from saas.tenants.adjusting import adjust_due
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import Gateway, set_plan
from tests.radius.test_kick import applied, listens
from tests.support import until
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, Business, World, set_account

MB = 2**20


@pytest.fixture(autouse=True)
async def nothing_waits(ps: PlatformScope) -> None:
    """What other tests have changed is none of ours."""
    await ps.db.adjustments.delete_many({})


SPEEDS = {"up_rate": "5", "down_rate": "20", "at_end": "slow", "end_up_rate": "1", "end_down_rate": "2"}
FULL, SLOW = "5M/20M", "1M/2M"


async def dial(device: Client) -> str:
    """Log in and report the start; the speed that was given."""
    answer = await device.pap(USERNAME, USER_PASSWORD)
    assert answer.accepted, answer.value("Reply-Message")
    await device.accounting("start", USERNAME, "s1", {"Class": answer.value("Class")})
    return str(answer.value("Mikrotik-Rate-Limit"))


async def use(device: Client, octets: int, seconds: int) -> None:
    facts = {"Acct-Session-Time": seconds, "Acct-Input-Octets": 0, "Acct-Output-Octets": octets}
    await device.accounting("interim", USERNAME, "s1", facts)


def asked(ps: PlatformScope, gate: DisconnectListener, count: int) -> Callable[[], Awaitable[bool]]:
    """Whether the device has been asked so often; the jobs run meanwhile."""

    async def come() -> bool:
        await applied(ps)
        await adjust_due(ps)
        return len(gate.received) >= count

    return come


def told(packet: Packet) -> tuple[int, str]:
    """The code of a request, and the speed in it."""
    return packet.code, str(packet.value("Mikrotik-Rate-Limit") or "")


async def test_traffic_that_ends_slows_down_and_a_renewal_speeds_up_again(
    ps: PlatformScope, world: World, gateway: Gateway
) -> None:
    business = world.acme
    await set_plan(business, octets=MB, **SPEEDS)
    await set_account(business.scope, business.account["_id"], octets_left=MB)
    await business.scope.changed("account", USERNAME)
    async with DisconnectListener(NAS_SECRET) as gate, gateway(business) as device:
        await listens(business, gate.port)
        assert await dial(device) == FULL
        await use(device, MB + 1, 300)
        await until(asked(ps, gate, 1), "the device is asked for the low speed")
        assert told(gate.received[0]) == (codec.COA_REQUEST, SLOW)
        await life.perform(business.scope, purchases.RENEW, business.account["_id"], purchases.RenewForm(), "renew")
        await until(asked(ps, gate, 2), "the device is asked for full speed, without dialling anew")
        assert told(gate.received[1]) == (codec.COA_REQUEST, FULL)


@pytest.mark.parametrize("at_end", ["slow", "reject"])
async def test_a_balance_that_ends_and_money_that_comes_in(
    ps: PlatformScope, world: World, gateway: Gateway, at_end: str
) -> None:
    business, scope = world.acme, world.acme.scope
    await _by_mb(business, at_end)
    member = business.account["member_id"]
    async with DisconnectListener(NAS_SECRET) as gate, gateway(business) as device:
        await listens(business, gate.port)
        answer = await device.pap(USERNAME, USER_PASSWORD)
        if at_end == "reject":
            assert not answer.accepted and "余额已用完" in str(answer.value("Reply-Message"))
        else:
            assert answer.value("Mikrotik-Rate-Limit") == SLOW
        await wallet.top_up(scope, member, wallet.TopUpForm(amount=10), "first")
        await adjust_due(ps)

        async def full() -> bool:
            found = await device.pap(USERNAME, USER_PASSWORD)
            return found.accepted and found.value("Mikrotik-Rate-Limit") == FULL

        await until(full, "the engine knows of the money")
        limit = (await device.pap(USERNAME, USER_PASSWORD)).value("Mikrotik-Total-Limit")
        assert limit == 10 * MB, "what the balance pays for"
        assert await dial(device) == FULL
        await use(device, 11 * MB, 300)
        await until(asked(ps, gate, 1), "the device is told of the end")
        assert (await scope.db.members.get(member))["balance"] == -1
        expected = (codec.COA_REQUEST, SLOW) if at_end == "slow" else (codec.DISCONNECT_REQUEST, "")
        assert told(gate.received[0]) == expected


async def _by_mb(business: Business, at_end: str) -> None:
    values = {"name": "By MB", "kind": "per_mb", "price": "0.01", "concurrency": 0, **SPEEDS, "at_end": at_end}
    plan = await plans.create(business.scope, plans.PlanForm.model_validate(values))
    await set_account(business.scope, business.account["_id"], plan_id=plan["_id"])
    await business.scope.changed("account", USERNAME)
