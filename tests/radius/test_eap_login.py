"""Logging in by EAP over real UDP: through one engine or several, with every rule that may refuse."""

from __future__ import annotations

from datetime import timedelta

import pytest

from saas.radius import codec, eap
from saas.radius.authenticators import access_request, parse_reply
from saas.radius.client import NoAnswer
from saas.radius.codec import parse, plain
from saas.radius.engine import Engine
from saas.tenants import accounts, journal, nas
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.radius.conftest import Gateway, Wire, engine_settings, gateway_to, set_plan
from tests.radius.eap_peer import Peer, codes, dialogue, message_of, state_of
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, Business, World

CHALLENGE, ACCEPT, REJECT = codec.ACCESS_CHALLENGE, codec.ACCESS_ACCEPT, codec.ACCESS_REJECT
METHODS = [eap.MSCHAPV2, eap.MD5]
LONG = "D" * 300

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unlimited")]


async def ended(business: Business) -> None:
    """The account's plan is over."""
    await business.scope.db.accounts.update(
        business.account["_id"], {"$set": {"expires_at": utcnow() - timedelta(days=1)}}
    )


async def noted(ps: PlatformScope, business: Business) -> set[tuple[str, str, str]]:
    """(account, reason, method) of the refusals that engines which have ended handed over."""
    _, notes = await journal.read_notes(ps, 0.1)
    ours = [note for note in notes if isinstance(note, journal.Refusal) and note.tenant_id == business.id]
    return {(note.account_id, note.reason, note.method) for note in ours}


# right


async def test_mschapv2_gives_both_sides_the_same_keys(world: World, gateway: Gateway) -> None:
    peer = Peer(USERNAME, USER_PASSWORD)
    async with gateway(world.acme) as device:
        answers = await dialogue(peer, device)
    assert codes(answers) == [CHALLENGE, CHALLENGE, ACCEPT]
    assert peer.ended == eap.SUCCESS
    assert len(peer.msk) == 32 and peer.msk == answers[-1].mppe_recv + answers[-1].mppe_send
    assert answers[-1].value("Class") and answers[-1].value("Session-Timeout")


async def test_md5_for_those_who_ask_for_it(world: World, gateway: Gateway) -> None:
    peer = Peer(USERNAME, USER_PASSWORD, wants=eap.MD5)
    async with gateway(world.acme) as device:
        answers = await dialogue(peer, device)
    assert codes(answers) == [CHALLENGE, CHALLENGE, ACCEPT]
    assert (peer.ended, answers[-1].mppe_recv, answers[-1].mppe_send) == (eap.SUCCESS, b"", b"")


@pytest.mark.parametrize("name", [f"ACME\\{USERNAME}", USERNAME.upper(), f"{LONG}\\{USERNAME}"])
async def test_names_as_clients_spell_them(world: World, gateway: Gateway, name: str) -> None:
    """The long one takes more than one EAP-Message attribute."""
    peer = Peer(name if len(name) < 250 else USERNAME, USER_PASSWORD, name=name)
    async with gateway(world.acme) as device:
        assert (await dialogue(peer, device))[-1].accepted
    assert peer.msk


async def test_a_realm_is_part_of_the_name(world: World, gateway: Gateway) -> None:
    name = "carol@example.com"
    opening = accounts.QuickOpenForm(username=name, password=USER_PASSWORD, plan_id=world.acme.plan["_id"])
    await accounts.quick_open(world.acme.scope, opening, f"open-carol-{world.acme.slug}")
    async with gateway(world.acme) as device:
        assert (await dialogue(Peer(name, USER_PASSWORD), device))[-1].accepted
        assert not (await dialogue(Peer("carol", USER_PASSWORD), device))[-1].accepted


@pytest.mark.parametrize("wants", METHODS)
async def test_engines_take_over_from_one_another(ps: PlatformScope, world: World, wants: int) -> None:
    async with (
        Engine(ps, engine_settings()) as one,
        Engine(ps, engine_settings()) as other,
        gateway_to(one, world.acme) as first,
        gateway_to(other, world.acme) as second,
    ):
        peer = Peer(USERNAME, USER_PASSWORD, wants=wants)
        assert codes(await dialogue(peer, first, second)) == [CHALLENGE, CHALLENGE, ACCEPT]
        assert codes(await dialogue(peer, second, first)) == [CHALLENGE, CHALLENGE, ACCEPT]
        assert (one.counters.accepted, other.counters.accepted) == (1, 1)


async def test_eap_start(world: World, gateway: Gateway) -> None:
    peer = Peer(USERNAME, USER_PASSWORD)
    async with gateway(world.acme) as device:
        asked = await device.eap(USERNAME, b"", extra={"EAP-Message": b""})
        first = await device.eap(USERNAME, peer.answer(message_of(asked)))
    assert (asked.packet.code, first.packet.code) == (CHALLENGE, CHALLENGE)


async def test_an_eap_packet_in_pieces(world: World, wire: Wire) -> None:
    begin = Peer(USERNAME, USER_PASSWORD).begin()
    pieces = b"".join(plain(codec.EAP_MESSAGE, begin[at : at + 2]) for at in range(0, len(begin), 2))
    states = plain(33, b"first") + plain(33, b"second")
    attributes = plain(1, USERNAME.encode()) + wire.identity + pieces + states
    octets = access_request(codec.ACCESS_REQUEST, 1, bytes(16), wire.secret, attributes)
    wire.send(octets)
    answer = parse_reply(await wire.receive(), octets, wire.secret)
    assert (answer.code, answer.all(33)) == (CHALLENGE, [b"first", b"second"])


# refused


@pytest.mark.parametrize("wants", METHODS)
async def test_a_wrong_password_ends_at_once(ps: PlatformScope, world: World, wants: int) -> None:
    """With the packet that carries it, and like that of a stranger."""
    async with Engine(ps, engine_settings()) as engine, gateway_to(engine, world.acme) as device:
        wrong = Peer(USERNAME, "wrong-password", wants=wants)
        nobody = Peer("nobody", USER_PASSWORD, wants=wants)
        rounds = [codes(await dialogue(peer, device)) for peer in (wrong, nobody)]
    assert rounds[0] == rounds[1] == [CHALLENGE] * (2 if wants == eap.MD5 else 1) + [REJECT]
    assert wrong.ended == nobody.ended == eap.FAILURE
    method = "eap-md5" if wants == eap.MD5 else "eap-mschapv2"
    assert await noted(ps, world.acme) == {
        (world.acme.account["_id"], "password", method),
        ("", "account", method),
    }


async def test_a_method_that_we_do_not_have(ps: PlatformScope, world: World) -> None:
    peer = Peer(USERNAME, USER_PASSWORD, wants=25)
    async with Engine(ps, engine_settings()) as engine, gateway_to(engine, world.acme) as device:
        assert codes(await dialogue(peer, device)) == [CHALLENGE, REJECT]
    assert peer.ended == eap.FAILURE
    assert await noted(ps, world.acme) == {(world.acme.account["_id"], "method", "eap")}


@pytest.mark.parametrize("wants", METHODS)
async def test_a_rule_refuses_who_has_shown_the_password(ps: PlatformScope, world: World, wants: int) -> None:
    await ended(world.acme)
    peer = Peer(USERNAME, USER_PASSWORD, wants=wants)
    async with Engine(ps, engine_settings()) as engine, gateway_to(engine, world.acme) as device:
        assert codes(await dialogue(peer, device))[-1] == REJECT
    assert (peer.ended, peer.msk) == (eap.FAILURE, b"")
    method = "eap-md5" if wants == eap.MD5 else "eap-mschapv2"
    assert await noted(ps, world.acme) == {(world.acme.account["_id"], "expiry", method)}


async def test_a_session_is_taken_by_the_last_round_alone(world: World, engine: Engine, gateway: Gateway) -> None:
    await set_plan(world.acme, concurrency=1)
    async with gateway(world.acme) as device:
        for _ in range(3):
            assert codes(await dialogue(Peer(USERNAME, USER_PASSWORD), device, rounds=2)) == [CHALLENGE] * 2
        assert (await dialogue(Peer(USERNAME, USER_PASSWORD), device))[-1].accepted
        late = Peer(USERNAME, USER_PASSWORD)
        assert codes(await dialogue(late, device)) == [CHALLENGE, CHALLENGE, REJECT]
    assert late.ended == eap.FAILURE


async def test_an_identity_that_is_not_the_user_name(ps: PlatformScope, world: World) -> None:
    peer = Peer("somebody", USER_PASSWORD)
    async with Engine(ps, engine_settings()) as engine, gateway_to(engine, world.acme) as device:
        assert codes(await dialogue(peer, device, username=USERNAME)) == [REJECT]
    assert peer.ended == eap.FAILURE
    assert await noted(ps, world.acme) == {(world.acme.account["_id"], "eap", "eap")}


async def test_a_state_of_another_tenant(world: World, gateway: Gateway) -> None:
    """Zeta's alice has the same password as Acme's."""
    peer = Peer(USERNAME, USER_PASSWORD)
    async with gateway(world.acme) as ours, gateway(world.zeta) as theirs:
        first = await ours.eap(USERNAME, peer.begin())
        proof = peer.answer(message_of(first))
        answer = await theirs.eap(USERNAME, proof, state_of(first))
        assert (answer.packet.code, message_of(answer)[0]) == (REJECT, eap.FAILURE)
        assert (await ours.eap(USERNAME, proof, state_of(first))).packet.code == CHALLENGE


async def test_an_altered_state_and_none(world: World, gateway: Gateway) -> None:
    peer = Peer(USERNAME, USER_PASSWORD)
    async with gateway(world.acme) as device:
        second = (await dialogue(peer, device, rounds=2))[-1]
        proof, state = peer.answer(message_of(second)), state_of(second)
        for wrong in (state[:-1] + bytes((state[-1] ^ 1,)), state[:-1], state.ljust(253, b"\0"), b""):
            answer = await device.eap(USERNAME, proof, wrong)
            assert (answer.packet.code, message_of(answer)[0]) == (REJECT, eap.FAILURE)
        assert (await device.eap(USERNAME, proof, state)).accepted


async def test_an_expired_state(world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(USERNAME, USER_PASSWORD)
    async with gateway(world.acme) as device:
        monkeypatch.setattr(eap, "LIFETIME", -1)
        first = await device.eap(USERNAME, peer.begin())
        answer = await device.eap(USERNAME, peer.answer(message_of(first)), state_of(first))
    assert (answer.packet.code, message_of(answer)[0]) == (REJECT, eap.FAILURE)


async def test_a_password_changed_between_the_rounds(world: World, gateway: Gateway) -> None:
    peer = Peer(USERNAME, USER_PASSWORD)
    async with gateway(world.acme) as device:
        second = (await dialogue(peer, device, rounds=2))[-1]
        form = accounts.AccountPasswordForm(password="new-password")
        await accounts.change_password(world.acme.scope, world.acme.account["_id"], form)

        async def known() -> bool:
            return (await dialogue(Peer(USERNAME, "new-password"), device))[-1].accepted

        await until(known, "the new password is good")
        answer = await device.eap(USERNAME, peer.answer(message_of(second)), state_of(second))
    assert (answer.packet.code, message_of(answer)[0]) == (REJECT, eap.FAILURE)


async def test_without_message_authenticator_there_is_no_answer(world: World, engine: Engine, gateway: Gateway) -> None:
    """Whatever the device's policy (RFC 3579 section 3.1)."""
    form = nas.NasForm(name="Old gate", vendor="openvpn", secret="old-secret", message_authenticator="optional")
    old = await nas.create(world.acme.scope, form)
    await until(lambda: old["_id"] in engine.table.devices, "the engine knows the device")
    options = {"identifier": old["identifier"], "prove": False, "timeout": 0.2, "tries": 2}
    async with gateway(world.acme, "old-secret", **options) as device:
        with pytest.raises(NoAnswer):
            await device.eap(USERNAME, Peer(USERNAME, USER_PASSWORD).begin())
    assert engine.counters.dropped["missing_message_authenticator"] == 2


async def test_a_reject_waits_as_every_other(ps: PlatformScope, world: World) -> None:
    async with Engine(ps, engine_settings(reject_delay=60.0)) as engine:
        wire = Wire(engine, world.acme)
        attributes = plain(1, USERNAME.encode()) + wire.identity + plain(codec.EAP_MESSAGE, b"\2\5\0\6\1x")
        octets = access_request(codec.ACCESS_REQUEST, 1, bytes(16), wire.secret, attributes)
        wire.send(octets)
        await until(lambda: engine.counters.rejected, "the packet is judged")
        assert await wire.silent_before_alive()
    assert parse_reply(await wire.receive(), octets, wire.secret).code == REJECT
    wire.socket.close()


# sent again


async def test_a_repeated_round_gets_the_same_octets(
    world: World, engine: Engine, gateway: Gateway, wire: Wire
) -> None:
    peer = Peer(USERNAME, USER_PASSWORD)
    async with gateway(world.acme) as device:
        second = (await dialogue(peer, device, rounds=2))[-1]
    attributes = plain(1, USERNAME.encode()) + wire.identity + eap.attributes(peer.answer(message_of(second)))
    attributes += plain(codec.STATE, state_of(second))
    octets = access_request(codec.ACCESS_REQUEST, 1, bytes(16), wire.secret, attributes)
    answers = []
    for _ in range(3):
        wire.send(octets)
        answers.append(await wire.receive())
    assert parse(answers[0]).code == ACCEPT and len(set(answers)) == 1
    assert (engine.counters.accepted, engine.counters.replayed) == (1, 2)


async def test_a_state_used_again_is_the_same_session(ps: PlatformScope, world: World) -> None:
    """As a new request, at another engine: the gateway has failed over. One session, of the two there may be."""
    await set_plan(world.acme, concurrency=2)
    peer = Peer(USERNAME, USER_PASSWORD)
    async with (
        Engine(ps, engine_settings()) as one,
        Engine(ps, engine_settings()) as other,
        gateway_to(one, world.acme) as first,
        gateway_to(other, world.acme) as second,
    ):
        shown = (await dialogue(peer, first, rounds=2))[-1]
        last, state = peer.answer(message_of(shown)), state_of(shown)
        classes = {(await device.eap(USERNAME, last, state)).value("Class") for device in (first, second, first)}
        assert len(classes) == 1
        assert (await dialogue(Peer(USERNAME, USER_PASSWORD), first))[-1].accepted
        assert not (await dialogue(Peer(USERNAME, USER_PASSWORD), first))[-1].accepted
