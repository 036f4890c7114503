"""Devices that ask for no password, or let in anybody: what is waived there, over real UDP, and what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from saas.errors import Invalid
from saas.radius import codec, eap, replies
from saas.radius.authenticators import access_request, parse_reply
from saas.radius.client import NoAnswer
from saas.radius.codec import plain
from saas.radius.engine import Engine
from saas.radius.guard import Guard
from saas.tenants import accounts, apply, journal, nas, slots, user_checks
from saas.tenants.nas import UserCheck
from saas.tenants.scope import PlatformScope
from saas.tenants.user_checks import UserCheckForm
from saas.values import utcnow
from tests.radius.conftest import Gateway, Wire, gateway_to, set_parameters, set_plan
from tests.radius.eap_peer import Peer, codes, dialogue
from tests.support import until
from tests.tenants.accounting_events import drain
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, Business, World, sessions_of

ANY = "whatever"
NOBODY = "nobody-has-this"
AUTHENTICATOR = b"0123456789abcdef"


async def opens(engine: Engine, business: Business, check: UserCheck) -> None:
    """The business's device checks less, or as much as any; the engine has heard of it."""
    name = business.nas["name"]
    await user_checks.change(business.scope, business.nas["_id"], UserCheckForm(user_check=check, confirm=name))
    await until(lambda: _known(engine, business) == check, "the engine knows what the device checks")


def _known(engine: Engine, business: Business) -> str:
    return engine.table.devices[business.nas["_id"]].device.user_check


@pytest.mark.parametrize("check", ["account", "none"])
async def test_an_account_gets_in_with_any_password_where_none_has_to_be_proven(
    engine: Engine, world: World, gateway: Gateway, wire: Wire, check: UserCheck
) -> None:
    await set_plan(world.acme, concurrency=0, up_rate="5", down_rate="20")
    async with gateway(world.acme) as device:
        assert not (await device.pap(USERNAME, ANY)).accepted
        await opens(engine, world.acme, check)
        for answer in (await device.pap(USERNAME, ANY), await device.chap(USERNAME, ANY)):
            assert answer.accepted and answer.value("Mikrotik-Rate-Limit") == "5M/20M"
        octets = access_request(codec.ACCESS_REQUEST, 1, AUTHENTICATOR, wire.secret, wire.identity + plain(1, b"alice"))
        wire.send(octets)
        assert parse_reply(await wire.receive(), octets, wire.secret).code == codec.ACCESS_ACCEPT
        await opens(engine, world.acme, "password")
        assert not (await device.pap(USERNAME, ANY)).accepted
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted


@pytest.mark.parametrize("check", ["account", "none"])
async def test_what_proves_the_servers_knowledge_needs_the_right_password(
    engine: Engine, world: World, gateway: Gateway, check: UserCheck
) -> None:
    await set_plan(world.acme, concurrency=0)
    await opens(engine, world.acme, check)
    async with gateway(world.acme) as device:
        for name in (USERNAME, NOBODY):
            assert not (await device.mschapv1(name, ANY)).accepted
            assert not (await device.mschapv2(name, ANY)).accepted
            for kind in (eap.MSCHAPV2, eap.MD5):
                assert codes(await dialogue(Peer(name, ANY, wants=kind), device))[-1] == codec.ACCESS_REJECT
        assert len((await device.mschapv2(USERNAME, USER_PASSWORD)).mppe_send) == 16
        assert (await dialogue(Peer(USERNAME, USER_PASSWORD), device))[-1].accepted


async def test_every_other_rule_holds_without_a_password(engine: Engine, world: World, gateway: Gateway) -> None:
    await opens(engine, world.acme, "none")
    scope, account = world.acme.scope, world.acme.account
    async with gateway(world.acme) as device:
        assert (await device.pap(USERNAME, ANY, {"Calling-Station-Id": "02-00-00-00-00-01"})).accepted
        again = await device.pap(USERNAME, ANY, {"Calling-Station-Id": "02-00-00-00-00-02"})
        words = replies.refusal_text("concurrency", "zh")
        assert (again.accepted, again.value("Reply-Message")) == (False, words), "one session at a time"
        await scope.db.accounts.update(account["_id"], {"$set": {"expires_at": utcnow() - timedelta(days=1)}})
        await scope.changed("account", USERNAME)

        async def refused() -> bool:
            return not (await device.pap(USERNAME, ANY, {"Calling-Station-Id": "02-00-00-00-00-01"})).accepted

        await until(refused, "the account is known to have ended")


async def test_the_account_must_exist_where_only_the_password_is_waived(
    engine: Engine, world: World, gateway: Gateway
) -> None:
    await opens(engine, world.acme, "account")
    async with gateway(world.acme) as device, gateway(world.zeta) as elsewhere:
        assert not (await device.pap(NOBODY, ANY)).accepted
        assert not (await elsewhere.pap(USERNAME, ANY)).accepted, "another tenant's device checks"


async def test_a_wrong_secret_is_no_password(engine: Engine, world: World, gateway: Gateway) -> None:
    await opens(engine, world.acme, "none")
    async with gateway(world.acme, "another-secret", timeout=0.2, tries=2) as device:
        with pytest.raises(NoAnswer):
            await device.pap(USERNAME, ANY)


async def test_who_is_guarded_stays_so(engine: Engine, world: World, gateway: Gateway) -> None:
    await set_plan(world.acme, concurrency=0)
    await opens(engine, world.acme, "account")
    await set_parameters(world.acme, guard_attempts=2)
    device_id = world.acme.nas["_id"]
    await until(lambda: engine.table.devices[device_id].device.guard_attempts == 2, "the engine knows the limit")
    async with gateway(world.acme) as device:
        for _ in range(2):
            assert not (await device.mschapv2(USERNAME, ANY)).accepted
        assert not (await device.pap(USERNAME, ANY)).accepted


async def test_anybody_is_let_in_for_the_maximum_session_time_and_recorded_without_an_account(
    engine: Engine, ps: PlatformScope, world: World, gateway: Gateway
) -> None:
    await drain(ps)
    await opens(engine, world.acme, "none")
    async with gateway(world.acme) as device:
        answer = await device.pap(NOBODY, ANY)
        assert answer.accepted
        assert answer.value("Session-Timeout") == world.acme.scope.tenant["parameters"]["max_session_time"]
        assert 300 <= answer.value("Acct-Interim-Interval") <= 330
        assert answer.value("Mikrotik-Rate-Limit") is None and answer.value("Framed-IP-Address") is None
        await device.accounting("start", NOBODY, "guest-1", {"Class": answer.value("Class")})
        await device.accounting("stop", NOBODY, "guest-1", {"Class": answer.value("Class"), "Acct-Session-Time": 60})
    reading = await journal.read(ps, 0.1)
    assert await apply.apply(ps, reading.groups) == 0
    (row,) = await sessions_of(world.acme.scope.db)
    assert (row["username"], row["account_id"], row["member_id"], row["open"]) == (NOBODY, "", "", False)
    await drain(ps)


async def test_who_was_let_in_unchecked_is_nobody_elsewhere(
    engine: Engine, world: World, gateway: Gateway, ps: PlatformScope
) -> None:
    await opens(engine, world.acme, "none")
    form = nas.NasForm(name="West gate", vendor="mikrotik", secret=NAS_SECRET)
    west = await nas.create(world.acme.scope, form)
    await until(lambda: west["_id"] in engine.table.devices, "the engine knows the other device")
    there = gateway_to(engine, world.acme, identifier=west["identifier"])
    async with gateway(world.acme) as device, there as other:
        for _ in range(2):
            assert (await device.pap(NOBODY, ANY)).accepted
            assert not (await other.pap(NOBODY, ANY)).accepted
        opening = accounts.QuickOpenForm(username=NOBODY, password="its-own", plan_id=world.acme.plan["_id"])
        await accounts.quick_open(world.acme.scope, opening, f"open-{world.acme.slug}-nobody")

        async def known() -> bool:
            return (await other.pap(NOBODY, "its-own")).accepted

        await until(known, "an account of that name is one everywhere")
    assert await slots.occupied(world.acme.scope, "") == 0


async def test_strangers_crowd_out_no_place_that_the_guard_remembers(
    engine: Engine, world: World, gateway: Gateway
) -> None:
    """A name may be new each time: where these were let in is not remembered."""
    await opens(engine, world.acme, "none")
    guard: Guard = engine._auth.guard
    async with gateway(world.acme) as device:
        for number in range(5):
            assert (await device.pap(f"{NOBODY}-{number}", ANY)).accepted
    assert not any(name[1].startswith(NOBODY) for name in guard._places)


async def test_checking_less_takes_the_name_of_the_device_and_is_logged(world: World) -> None:
    scope, device = world.acme.scope, world.acme.nas
    for confirm in ("", "east gate", "West gate"):
        with pytest.raises(Invalid) as refused:
            await user_checks.change(scope, device["_id"], UserCheckForm(user_check="account", confirm=confirm))
        assert refused.value.fields == {"confirm": "not_the_name"}
    assert await user_checks.open_ones(scope) == []
    await user_checks.change(scope, device["_id"], UserCheckForm(user_check="none", confirm=device["name"]))
    assert [row["name"] for row in await user_checks.open_ones(scope)] == [device["name"]]
    await user_checks.change(scope, device["_id"], UserCheckForm(user_check="account"))
    with pytest.raises(Invalid):
        await user_checks.change(scope, device["_id"], UserCheckForm(user_check="none"))
    await user_checks.change(scope, device["_id"], UserCheckForm(user_check="password"))
    logged = await scope.db.audit.find({"action": "nas.user_check"}, sort=[("_id", 1)])
    steps = [entry["changes"]["user_check"] for entry in logged]
    assert steps == [["password", "none"], ["none", "account"], ["account", "password"]]
