"""The rules of plans and accounts over real UDP: what is refused, what is granted, what is learnt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saas.i18n import catalogue
from saas.jobs.notes import keep_notes
from saas.radius import codec, methods, replies
from saas.radius.client import Answer
from saas.radius.codec import MICROSOFT
from saas.radius.engine import Engine
from saas.tenants import accounts, lines
from saas.tenants.adjusting import adjust_due
from saas.tenants.lines import LineForm
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests import world as cast
from tests.radius.conftest import Gateway, set_plan
from tests.radius.test_kick import applied
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, Business, World

pytestmark = pytest.mark.usefixtures("unlimited")

MAC, OTHER = "AA-BB-CC-00-00-01", "aa:bb:cc:00:00:02"
GB = 2**30


async def set_account(business: Business, **values: Any) -> None:
    await cast.set_account(business.scope, business.account["_id"], **values)
    await business.scope.changed("account", USERNAME)


async def login(gateway: Gateway, business: Business, **facts: Any) -> Answer:
    names = {"mac": "Calling-Station-Id", "port": "NAS-Port-Id"}
    async with gateway(business) as device:
        return await device.pap(USERNAME, USER_PASSWORD, {names[name]: value for name, value in facts.items()})


async def test_what_is_left_is_told_to_the_device(world: World, gateway: Gateway) -> None:
    await set_account(world.acme, octets_left=5 * GB, seconds_left=900)
    answer = await login(gateway, world.acme)
    assert (answer.value("Mikrotik-Total-Limit"), answer.value("Mikrotik-Total-Limit-Gigawords")) == (GB, 1)
    assert answer.value("Session-Timeout") == 900


@pytest.mark.parametrize("left", [{"octets_left": 0}, {"octets_left": -9}, {"seconds_left": -1}])
async def test_nothing_left_is_refused_and_named(world: World, gateway: Gateway, left: dict[str, int]) -> None:
    await set_account(world.acme, **left)
    async with gateway(world.acme) as device:
        answer = await device.mschapv2(USERNAME, USER_PASSWORD)
    assert answer.value("Reply-Message") == catalogue("zh")[replies.REASONS["quota"]]
    error = answer.packet.vendor(MICROSOFT, methods.MS_CHAP_ERROR)
    assert error is not None and error[1:].startswith(b"E=647 R=0 ")


async def test_an_expired_account_is_let_into_the_pool_until_it_is_renewed(
    world: World, engine: Engine, gateway: Gateway
) -> None:
    plan = {"at_end": "pool", "end_pool": "expired", "address_pool": "pool-a", "ipv6_pool": "six"}
    await set_plan(world.acme, concurrency=0, **plan)
    await set_account(world.acme, expires_at=utcnow() - timedelta(days=3), static_ip="10.0.0.9")
    answer = await login(gateway, world.acme)
    assert answer.accepted
    assert (answer.value("Framed-Pool"), answer.value("Session-Timeout")) == ("expired", 300)
    assert answer.value("Framed-IP-Address") is None and answer.value("Framed-IPv6-Pool") is None
    await set_account(world.acme, expires_at=utcnow() + timedelta(days=3), static_ip="")

    async def normal() -> bool:
        return (await login(gateway, world.acme)).value("Framed-Pool") == "pool-a"

    await until(normal, "renewed, it leaves the pool at its next login")


async def test_an_expired_account_is_let_in_slowly(world: World, gateway: Gateway) -> None:
    await set_plan(world.acme, concurrency=0, at_end="slow", end_up_rate="0.064", end_down_rate="0.128")
    await set_account(world.acme, octets_left=0)
    answer = await login(gateway, world.acme)
    assert answer.value("Mikrotik-Rate-Limit") == "64k/128k"
    assert answer.value("Mikrotik-Total-Limit") is None


async def test_bound_accounts_dial_in_from_their_line_alone(world: World, gateway: Gateway) -> None:
    await set_plan(world.acme, concurrency=0, bind_mac="given", bind_vlan="given")
    assert (await login(gateway, world.acme, mac=OTHER)).accepted, "nothing is entered"
    await lines.update(world.acme.scope, world.acme.account["_id"], LineForm(mac=MAC, vlan="100.2"))
    port = "slot=1;subslot=0;port=2;vlanid=100;vlanid2=2;"

    async def held() -> bool:
        return not (await login(gateway, world.acme, mac=OTHER, port=port)).accepted

    await until(held, "the engine knows of the binding")
    assert (await login(gateway, world.acme, mac="aabb.cc00.0001", port="1/0/2:100.2")).accepted
    assert not (await login(gateway, world.acme, port=port)).accepted, "a device that tells no address proves nothing"
    refused = await login(gateway, world.acme, mac=MAC, port="1/0/2:100.3")
    assert refused.value("Reply-Message") == catalogue("zh")[replies.REASONS["vlan"]]


async def test_the_first_login_is_learnt_and_the_next_held_to_it(
    ps: PlatformScope, world: World, gateway: Gateway
) -> None:
    await set_plan(world.acme, concurrency=0, bind_mac="learn", bind_vlan="learn")
    assert (await login(gateway, world.acme, mac="192.0.2.9", port="ether1")).accepted, "nothing to learn from it"
    assert (await login(gateway, world.acme, mac=MAC, port="1/0/2:100.2")).accepted

    async def learnt() -> bool:
        await keep_notes(ps)
        account = await accounts.get(world.acme.scope, world.acme.account["_id"])
        return (account["mac"], account["vlan"]) == (MAC, "100.2")

    await until(learnt, "the line is learnt")

    async def held() -> bool:
        return not (await login(gateway, world.acme, mac=OTHER, port="1/0/2:100.2")).accepted

    await until(held, "another station is refused")
    assert (await login(gateway, world.acme, mac=MAC, port="1/0/2:100.2")).accepted
    await lines.release(world.acme.scope, world.acme.account["_id"])

    async def free() -> bool:
        return (await login(gateway, world.acme, mac=OTHER, port="1/0/2:100.2")).accepted

    await until(free, "released, it may come from another station")


async def test_hours_are_the_tenants(world: World, gateway: Gateway) -> None:
    """The window is around now on one day of the week and not on the others."""
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    zone = world.acme.scope.tenant["parameters"]["timezone"]
    local = utcnow().astimezone(ZoneInfo(zone))
    elsewhere = names[(local.weekday() + 3) % 7]
    await set_plan(world.acme, concurrency=0, days=[elsewhere])
    refused = await login(gateway, world.acme)
    assert refused.packet.code == codec.ACCESS_REJECT
    assert refused.value("Reply-Message") == catalogue("zh")[replies.REASONS["window"]]
    near = [names[(local.weekday() + offset) % 7] for offset in (-1, 0, 1)]
    await set_plan(world.acme, concurrency=0, days=near)

    async def let_in() -> bool:
        answer = await login(gateway, world.acme)
        return answer.accepted and 0 < answer.value("Session-Timeout") <= 86400

    await until(let_in, "the engine knows the new hours")


async def test_what_sessions_use_up_is_refused_at_the_next_login(
    ps: PlatformScope, world: World, gateway: Gateway
) -> None:
    await set_account(world.acme, octets_left=3000)
    async with gateway(world.acme) as device:
        answer = await device.pap(USERNAME, USER_PASSWORD)
        assert answer.value("Mikrotik-Total-Limit") == 3000
        facts = {"Class": answer.value("Class"), "Acct-Session-Time": 5}
        await device.accounting("start", USERNAME, "s1", facts)
        usage = {"Acct-Input-Octets": 1000, "Acct-Output-Octets": 2500}
        await device.accounting("interim", USERNAME, "s1", facts | usage)
        await ps.db.adjustments.delete_many({})  # of other tests
        await applied(ps)
        assert await adjust_due(ps) == 1

        async def refused() -> bool:
            return not (await device.pap(USERNAME, USER_PASSWORD)).accepted

        await until(refused, "nothing is left, and the engine has heard of it")
    account = await accounts.get(world.acme.scope, world.acme.account["_id"])
    assert account["octets_left"] == -500
