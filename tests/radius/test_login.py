"""Logging in over real UDP: every method, right and wrong, and what an accept grants."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from saas.i18n import catalogue
from saas.radius import codec, methods, replies
from saas.radius.authenticators import access_request, hide_password, parse_reply
from saas.radius.client import Answer, Client, NoAnswer
from saas.radius.codec import MICROSOFT, parse, plain
from saas.radius.engine import Engine
from saas.tenants import accounts, journal, nas, parameters
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.radius.conftest import HOST, Gateway, Wire, engine_settings, gateway_to, set_plan
from tests.support import until
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, Business, World

METHODS = ["pap", "chap", "mschapv1", "mschapv2"]
AUTHENTICATOR = b"0123456789abcdef"

pytestmark = pytest.mark.usefixtures("unlimited")


# methods


@pytest.mark.parametrize("method", METHODS)
async def test_the_right_password_is_accepted(world: World, gateway: Gateway, method: str) -> None:
    async with gateway(world.acme) as device:
        answer = await getattr(device, method)(USERNAME, USER_PASSWORD)
    assert answer.accepted
    assert next(iter(answer.packet.first)) == codec.MESSAGE_AUTHENTICATOR


@pytest.mark.parametrize("method", METHODS)
async def test_a_wrong_password_is_rejected(world: World, gateway: Gateway, method: str) -> None:
    async with gateway(world.acme) as device:
        answer = await getattr(device, method)(USERNAME, "wrong-password")
    assert answer.packet.code == codec.ACCESS_REJECT
    assert next(iter(answer.packet.first)) == codec.MESSAGE_AUTHENTICATOR
    error = answer.packet.vendor(MICROSOFT, methods.MS_CHAP_ERROR)
    assert (error is not None) is method.startswith("mschap")
    assert error is None or error[1:].startswith(b"E=691 R=1 C=")


@pytest.mark.parametrize("method", METHODS)
async def test_a_wrong_secret_gets_no_answer(world: World, gateway: Gateway, method: str) -> None:
    async with gateway(world.acme, "another-secret", timeout=0.2, tries=2) as device:
        with pytest.raises(NoAnswer):
            await getattr(device, method)(USERNAME, USER_PASSWORD)


async def test_mschapv2_gives_two_different_keys_and_mschapv1_one(world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        second, first = await device.mschapv2(USERNAME, USER_PASSWORD), await device.mschapv1(USERNAME, USER_PASSWORD)
    assert len(second.mppe_send) == len(second.mppe_recv) == len(first.mppe_send) == 16
    assert second.mppe_send != second.mppe_recv


async def test_mschapv2_with_a_domain(world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        assert (await device.mschapv2(f"ACME\\{USERNAME}", USER_PASSWORD)).accepted


@pytest.mark.parametrize("name", [f" {USERNAME} ", USERNAME.upper(), f"DOMAIN\\{USERNAME}"])
async def test_a_name_has_one_spelling(world: World, gateway: Gateway, name: str) -> None:
    async with gateway(world.acme) as device:
        assert (await device.pap(name, USER_PASSWORD)).accepted


async def test_a_request_without_a_password_is_rejected(world: World, wire: Wire) -> None:
    octets = access_request(codec.ACCESS_REQUEST, 1, AUTHENTICATOR, wire.secret, wire.identity + plain(1, b"alice"))
    wire.send(octets)
    assert parse_reply(await wire.receive(), octets, wire.secret).code == codec.ACCESS_REJECT


async def test_names_are_the_tenants_own(world: World, gateway: Gateway) -> None:
    """Zeta's alice has another password than Acme's, though the name is the same."""
    form = accounts.AccountPasswordForm(password="zeta-password")
    await accounts.change_password(world.zeta.scope, world.zeta.account["_id"], form)
    async with gateway(world.acme) as ours, gateway(world.zeta) as theirs:
        assert (await ours.pap(USERNAME, USER_PASSWORD)).accepted
        assert not (await theirs.pap(USERNAME, USER_PASSWORD)).accepted
        assert (await theirs.pap(USERNAME, "zeta-password")).accepted
        assert not (await ours.pap(USERNAME, "zeta-password")).accepted


# what an accept says


async def test_an_accept_grants_what_the_plan_says(world: World, gateway: Gateway) -> None:
    await set_plan(world.acme, up_rate="5", down_rate="20", address_pool="pool-a")
    async with gateway(world.acme) as device:
        answer = await device.pap(USERNAME, USER_PASSWORD)
    assert answer.value("Mikrotik-Rate-Limit") == "5M/20M"
    assert answer.value("Framed-Pool") == "pool-a"
    assert answer.value("Framed-IP-Address") is None
    assert answer.value("Framed-Route") is None
    settings = world.acme.scope.tenant["parameters"]
    assert 0 < answer.value("Session-Timeout") <= settings["max_session_time"]
    interval = settings["interim_interval"]
    assert interval <= answer.value("Acct-Interim-Interval") <= interval * 1.1
    assert len(answer.value("Class")) <= 253


async def test_an_accept_says_what_the_plan_adds_until_the_plan_has_ended(
    ps: PlatformScope, world: World, gateway: Gateway
) -> None:
    added = "Filter-Id = gold\nMikrotik-Address-List = vip\nTunnel-Type = VLAN\nTunnel-Private-Group-Id = 42"
    slow = {"at_end": "slow", "end_up_rate": "1", "end_down_rate": "1"}
    await set_plan(world.acme, attributes=added, concurrency=0, **slow)
    async with gateway(world.acme) as device:
        answer = await device.pap(USERNAME, USER_PASSWORD)
        assert answer.value("Filter-Id") == "gold"
        assert answer.value("Mikrotik-Address-List") == "vip"
        assert (answer.value("Tunnel-Type"), answer.value("Tunnel-Private-Group-Id")) == (13, "42")
        ended = {"$set": {"expires_at": utcnow() - timedelta(days=1)}}
        await ps.db.accounts.update(world.acme.account["_id"], ended)
        await world.acme.scope.changed("account", USERNAME)
        restricted = await until(lambda: _slow(device), "the account is known to have ended")
    assert restricted.value("Mikrotik-Address-List") is None and restricted.value("Filter-Id") is None


async def _slow(device: Client) -> Answer | None:
    answer = await device.pap(USERNAME, USER_PASSWORD)
    return answer if answer.value("Mikrotik-Rate-Limit") == "1M/1M" else None


async def test_a_fixed_address_is_sent_instead_of_a_pool(ps: PlatformScope, world: World, gateway: Gateway) -> None:
    await set_plan(world.acme, address_pool="pool-a")
    opening = accounts.QuickOpenForm(
        username="carol", password="carol-secret", plan_id=world.acme.plan["_id"], static_ip="10.1.2.3"
    )
    await accounts.quick_open(world.acme.scope, opening, f"open-carol-{world.acme.slug}")
    async with gateway(world.acme) as device:
        answer = await device.pap("carol", "carol-secret")
    assert answer.value("Framed-IP-Address") == "10.1.2.3"
    assert answer.value("Framed-Pool") is None


async def test_the_answer_to_proxies_carries_their_state_in_order(world: World, wire: Wire) -> None:
    hidden = plain(2, hide_password(USER_PASSWORD.encode(), wire.secret, AUTHENTICATOR))
    states = plain(33, b"first") + plain(33, b"second")
    octets = access_request(
        codec.ACCESS_REQUEST, 1, AUTHENTICATOR, wire.secret, plain(1, b"alice") + hidden + wire.identity + states
    )
    wire.send(octets)
    answer = parse_reply(await wire.receive(), octets, wire.secret)
    assert answer.code == codec.ACCESS_ACCEPT
    assert answer.all(33) == [b"first", b"second"]


async def test_status_server_is_answered_on_both_ports(world: World, gateway: Gateway, wire: Wire) -> None:
    async with gateway(world.acme) as device:
        assert (await device.status()).accepted
    assert await wire.silent_before_alive("acct")


# refusals


async def reply_message(gateway: Gateway, business: Business, password: str = USER_PASSWORD) -> str:
    async with gateway(business) as device:
        answer = await device.pap(USERNAME, password)
    assert answer.packet.code == codec.ACCESS_REJECT
    return str(answer.value("Reply-Message"))


async def in_english(business: Business) -> None:
    form = parameters.ParametersForm.model_validate(
        {name: business.scope.tenant["parameters"][name] for name in parameters.ParametersForm.model_fields}
        | {"locale": "en"}
    )
    await parameters.update(business.scope, form)


async def test_strangers_learn_nothing_from_a_refusal(world: World, engine: Engine, gateway: Gateway) -> None:
    await in_english(world.acme)
    await until(lambda: gateway_locale(engine, world.acme) == "en", "the engine knows the language")
    async with gateway(world.acme) as device:
        nobody = await device.pap("nobody", USER_PASSWORD)
        wrong = await device.pap(USERNAME, "wrong-password")
    assert nobody.value("Reply-Message") == wrong.value("Reply-Message") == "Wrong user name or password."


def gateway_locale(engine: Engine, business: Business) -> str:
    return engine.table.devices[business.nas["_id"]].device.tenant_locale


async def test_the_tenants_language_is_spoken(world: World, gateway: Gateway) -> None:
    said = await reply_message(gateway, world.acme, "wrong-password")
    assert said == catalogue("zh")[replies.GENERIC] != replies.GENERIC


async def test_who_knows_the_password_is_told_the_reason(world: World, gateway: Gateway) -> None:
    other = await nas.create(world.acme.scope, nas.NasForm(name="West gate", vendor="standard"))
    await set_plan(world.acme, nas_ids=[other["_id"]])
    chinese = catalogue("zh")
    assert await reply_message(gateway, world.acme) == chinese[replies.REASONS["nas"]]
    assert await reply_message(gateway, world.acme, "wrong-password") == chinese[replies.GENERIC]


async def test_mschapv2_names_the_refusal(world: World, gateway: Gateway) -> None:
    other = await nas.create(world.acme.scope, nas.NasForm(name="West gate", vendor="standard"))
    await set_plan(world.acme, nas_ids=[other["_id"]])
    async with gateway(world.acme) as device:
        answer = await device.mschapv2(USERNAME, USER_PASSWORD)
    error = answer.packet.vendor(MICROSOFT, methods.MS_CHAP_ERROR)
    assert error is not None and error[1:].startswith(b"E=649 R=0 ")


async def test_a_concurrency_limit_counts_pending_logins(world: World, engine: Engine, gateway: Gateway) -> None:
    await set_plan(world.acme, concurrency=1)
    async with gateway(world.acme) as device:
        first = await device.pap(USERNAME, USER_PASSWORD, {"Calling-Station-Id": "AA-BB-CC-00-00-01"})
        second = await device.pap(USERNAME, USER_PASSWORD, {"Calling-Station-Id": "AA-BB-CC-00-00-02"})
        again = await device.pap(USERNAME, USER_PASSWORD, {"Calling-Station-Id": "aabb.cc00.0001"})
    assert [first.accepted, second.accepted, again.accepted] == [True, False, True]


async def test_refusals_are_noted_for_the_console(ps: PlatformScope, world: World) -> None:
    async with Engine(ps, engine_settings()) as engine, gateway_to(engine, world.acme) as device:
        await device.chap(USERNAME, "wrong-password", {"Calling-Station-Id": "aa:bb:cc:dd:ee:ff:home"})
        await device.pap("nobody", "x")
    _, notes = await journal.read_notes(ps, 0.1)
    ours = [note for note in notes if isinstance(note, journal.Refusal) and note.tenant_id == world.acme.id]
    told = {(note.username, note.account_id, note.reason, note.method, note.calling_station_id) for note in ours}
    assert told == {
        (USERNAME, world.acme.account["_id"], "password", "chap", "AA-BB-CC-DD-EE-FF"),
        ("nobody", "", "account", "pap", ""),
    }
    assert {note.source for note in ours} == {HOST}


# changes are told


async def test_a_new_password_is_good_at_once_and_the_old_one_is_not(world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as device:
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted
        form = accounts.AccountPasswordForm(password="new-password")
        await accounts.change_password(world.acme.scope, world.acme.account["_id"], form)

        async def old_one_refused() -> bool:
            return not (await device.pap(USERNAME, USER_PASSWORD)).accepted

        await until(old_one_refused, "the old password is refused")
        assert (await device.mschapv2(USERNAME, "new-password")).accepted


async def test_a_new_device_is_known_and_a_disabled_one_is_not(world: World, engine: Engine, gateway: Gateway) -> None:
    form = nas.NasForm(name="West gate", vendor="standard", secret="west-secret")
    west = await nas.create(world.acme.scope, form)
    async with gateway(world.acme, "west-secret", identifier=west["identifier"]) as device:
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted
    await nas.set_status(world.acme.scope, west["_id"], "disabled")
    await until(lambda: west["_id"] not in engine.table.devices, "the engine forgets the device")


# duplicates


def pap_octets(wire: Wire, password: str = USER_PASSWORD) -> bytes:
    hidden = plain(2, hide_password(password.encode(), wire.secret, AUTHENTICATOR))
    return access_request(
        codec.ACCESS_REQUEST, 1, AUTHENTICATOR, wire.secret, plain(1, b"alice") + hidden + wire.identity
    )


async def test_a_repeated_request_gets_the_same_octets(engine: Engine, wire: Wire) -> None:
    wire.send(pap_octets(wire))
    first = await wire.receive()
    for _ in range(3):
        wire.send(pap_octets(wire))
        assert await wire.receive() == first
    assert (engine.counters.accepted, engine.counters.replayed) == (1, 3)


async def test_a_request_repeated_while_it_is_worked_on_is_dropped(engine: Engine, wire: Wire) -> None:
    for _ in range(3):
        wire.send(pap_octets(wire))
    answer = await wire.receive()
    assert parse(answer).code == codec.ACCESS_ACCEPT
    assert await wire.silent_before_alive()
    assert engine.counters.accepted == 1
    assert engine.counters.dropped["duplicate_in_flight"] + engine.counters.replayed == 2


async def test_the_same_request_from_another_port_is_another_one(world: World, engine: Engine, wire: Wire) -> None:
    other = Wire(engine, world.acme)
    wire.send(pap_octets(wire))
    other.send(pap_octets(other))
    await wire.receive()
    await other.receive()
    other.socket.close()
    assert engine.counters.accepted == 2


# rejects wait


async def test_rejects_wait_and_accepts_do_not(ps: PlatformScope, world: World) -> None:
    """An accept overtakes the reject that was asked for before it; ending the engine sends what still waits."""
    async with Engine(ps, engine_settings(reject_delay=60.0)) as engine:
        wire = Wire(engine, world.acme)
        wrong = pap_octets(wire, "wrong-password")
        wire.send(wrong)
        await until(lambda: engine.counters.rejected, "the wrong password is judged")
        assert await wire.silent_before_alive()
        wire.send(wrong)
        assert await wire.silent_before_alive()
        assert engine.counters.dropped["duplicate_in_flight"] == 1
    assert parse_reply(await wire.receive(), wrong, wire.secret).code == codec.ACCESS_REJECT
    wire.socket.close()


async def test_ipv6(ps: PlatformScope, world: World) -> None:
    async with (
        Engine(ps, engine_settings(bind="::1")) as engine,
        Client("::1", engine.auth_port, engine.acct_port, NAS_SECRET, world.acme.nas["identifier"]) as device,
    ):
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted


async def test_a_fixed_ipv4_device_is_known_on_a_socket_for_both(ps: PlatformScope, world: World) -> None:
    form = nas.NasForm(name="Fixed", vendor="standard", mode="ip", address="127.0.0.77", secret="fixed-secret")
    await nas.create(world.acme.scope, form)
    async with (
        Engine(ps, engine_settings(bind="::")) as engine,
        Client(HOST, engine.auth_port, engine.acct_port, "fixed-secret", source="127.0.0.77", prove=False) as device,
    ):
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted


async def test_many_logins_at_once(world: World, gateway: Gateway) -> None:
    async with gateway(world.acme) as one, gateway(world.zeta) as other:
        answers = await asyncio.gather(
            *(device.pap(USERNAME, USER_PASSWORD) for device in (one, other) for _ in range(100))
        )
    assert all(answer.accepted for answer in answers)
