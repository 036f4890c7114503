"""Guessing: how far it goes, whom it locks out and whom not, what is remembered; and over real UDP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from saas.radius import codec, eap, replies
from saas.radius.engine import Engine
from saas.radius.guard import LIMIT, PLACES, STATION, Guard
from saas.radius.identify import Nas
from saas.radius.logins import Name
from saas.tenants import accounts, journal, slots
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import Gateway, engine_settings, gateway_to, set_parameters
from tests.radius.eap_peer import Peer, codes, dialogue
from tests.radius.test_identify import device
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, World

MOST, WINDOW = 3, 600
GATE = Nas(device("gate", guard_attempts=MOST, guard_window=WINDOW))
OTHER_GATE = Nas(device("other", guard_attempts=MOST, guard_window=WINDOW))
OPEN_GATE = Nas(device("open", guard_attempts=0))
ALICE: Name = ("ten_1", "alice")
HOME, AWAY = "AA-BB-CC-00-00-01", "AA-BB-CC-00-00-02"


def guard_of(*places: tuple[Nas, str]) -> Guard:
    """A guard that knows where Alice was let in."""
    guard = Guard()
    for nas, station in places or ((GATE, HOME),):
        guard.let_in(nas, ALICE, station)
    return guard


def wrong(
    guard: Guard, times: int, at: float = 0.0, *, name: Name = ALICE, station: str = AWAY, nas: Nas = GATE
) -> None:
    for _ in range(times):
        guard.failed(nas, name, station, at)


def held(guard: Guard, at: float = 0.0, *, name: Name = ALICE, station: str = AWAY, nas: Nas = GATE) -> bool:
    return guard.holds(nas, name, station, at)


def test_so_many_are_tested_and_no_more_until_the_window_ends() -> None:
    guard = guard_of()
    for at in range(MOST):
        assert not held(guard, at)
        wrong(guard, 1, at)
    assert held(guard, MOST)
    assert held(guard, WINDOW - 1)
    assert not held(guard, WINDOW), "it began with the first wrong password"
    wrong(guard, MOST, WINDOW)
    assert held(guard, WINDOW + 1) and not held(guard, 2 * WINDOW)


def test_a_stranger_locks_nobody_out_of_where_he_was_let_in() -> None:
    guard = guard_of()
    wrong(guard, 100)
    assert held(guard) and held(guard, station="AA-BB-CC-00-00-03"), "every other place is closed"
    assert held(guard, nas=OTHER_GATE, station=HOME), "also the station at another device"
    assert not held(guard, station=HOME)
    wrong(guard, MOST, station=HOME)
    assert held(guard, station=HOME), "who guesses there has his own count"


def test_wrong_passwords_of_a_known_place_count_for_it_alone() -> None:
    guard = guard_of()
    wrong(guard, 100, station=HOME)
    assert held(guard, station=HOME) and not held(guard, station=AWAY)


def test_a_station_may_be_wrong_more_often_whatever_accounts_it_tries() -> None:
    guard = guard_of()
    for n in range(MOST * STATION):
        assert not held(guard, name=("ten_1", f"u{n}"))
        wrong(guard, 1, name=("ten_1", f"u{n}"))
    assert held(guard, name=("ten_1", "u999"))
    assert not held(guard, name=("ten_1", "u999"), station="AA-BB-CC-00-00-03")
    assert not held(guard, station=HOME), "and a known account of that very station is not kept out"


def test_a_device_that_tells_no_station_is_no_station() -> None:
    guard = guard_of()
    for n in range(100):
        wrong(guard, 1, name=("ten_1", f"u{n}"), station="")
    assert not held(guard, station="")
    wrong(guard, MOST, station="")
    assert held(guard, station="") and held(guard, station=AWAY)


def test_a_port_behind_the_address_makes_no_other_station() -> None:
    guard = guard_of((GATE, "10.0.0.2[4500]"))
    wrong(guard, 100)
    assert not held(guard, station="10.0.0.2[61000]")
    assert held(guard, station="10.0.0.3[4500]")


def test_tenants_are_apart() -> None:
    guard = guard_of()
    wrong(guard, 100)
    assert not held(guard, name=("ten_2", "alice"))


def test_a_tenant_that_wants_no_guard_has_none() -> None:
    guard = guard_of()
    wrong(guard, 100, nas=OPEN_GATE)
    assert not held(guard, nas=OPEN_GATE)
    wrong(guard, 100)
    assert not held(guard, nas=OPEN_GATE)


def test_a_changed_account_begins_anew() -> None:
    guard = guard_of()
    wrong(guard, 100)
    wrong(guard, 100, station=HOME)
    guard.account_changed(*ALICE)
    guard.account_changed("ten_unknown", "alice")
    assert not held(guard, station="AA-BB-CC-00-00-03") and not held(guard, station=HOME)


def test_what_is_remembered_is_bounded() -> None:
    guard = guard_of()
    for n in range(3 * LIMIT):
        wrong(guard, 1, n / 1000, name=("ten_1", f"u{n}"), station=f"s{n}")
    (counts,) = guard._tenants.values()
    assert len(counts) <= LIMIT
    kept = Guard(accounts=10)
    for n in range(40):
        kept.let_in(GATE, ("ten_1", f"u{n % 20}"), f"s{n}")
    assert len(kept._places) == 10
    kept = guard_of(*((GATE, f"s{n}") for n in range(20)))
    assert kept._places[ALICE] == tuple((GATE.id, f"s{n}") for n in (19, 18, 17, 16))
    assert len(kept._places[ALICE]) == PLACES


# over the wire


@pytest.mark.usefixtures("unlimited")
async def test_guesses_are_refused_untested_and_the_subscriber_gets_in(ps: PlatformScope, world: World) -> None:
    await set_parameters(world.acme, guard_attempts=MOST)
    home, away = {"Calling-Station-Id": HOME}, {"Calling-Station-Id": AWAY}
    async with Engine(ps, engine_settings()) as engine, gateway_to(engine, world.acme) as gate:
        assert (await gate.pap(USERNAME, USER_PASSWORD, home)).accepted
        for n in range(MOST):
            assert not (await gate.chap(USERNAME, f"guess-{n}", away)).accepted
        guarded = await gate.mschapv2(USERNAME, USER_PASSWORD, away)
        assert guarded.packet.code == codec.ACCESS_REJECT, "even the right one"
        wrong_one = await gate.mschapv2(USERNAME, "guess", away)
        assert guarded.value("Reply-Message") == wrong_one.value("Reply-Message"), "nobody is told which"
        assert replies.refusal_text("guarded", "en") == replies.GENERIC
        assert (await gate.pap(USERNAME, USER_PASSWORD, home)).accepted
    _, notes = await journal.read_notes(ps, 0.1)
    ours = [note for note in notes if isinstance(note, journal.Refusal) and note.tenant_id == world.acme.id]
    assert [note.reason for note in ours] == ["password"] * MOST + ["guarded"] * 2


async def test_a_guess_between_log_in_and_accept_takes_nobodys_place(
    ps: PlatformScope, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def room(_ps: PlatformScope, requests: Sequence[slots.SlotRequest]) -> list[int]:
        asked.set()
        await go.wait()
        return [0] * len(requests)

    monkeypatch.setattr(slots, "reserve", room)
    home, away = {"Calling-Station-Id": HOME}, {"Calling-Station-Id": AWAY}
    async with (
        Engine(ps, engine_settings()) as engine,
        gateway_to(engine, world.acme) as gate,
        gateway_to(engine, world.acme) as other,
    ):
        login = asyncio.create_task(gate.pap(USERNAME, USER_PASSWORD, home))
        await asked.wait()
        assert not (await other.pap(USERNAME, "guess", away)).accepted
        go.set()
        assert (await login).accepted
        assert (await other.pap(USERNAME, USER_PASSWORD, away)).accepted
        places = engine._auth.guard._places[world.acme.id, USERNAME]
        assert [station for _, station in places] == [AWAY, HOME]


@pytest.mark.usefixtures("unlimited")
async def test_a_new_password_ends_the_guard(world: World, engine: Engine, gateway: Gateway) -> None:
    await set_parameters(world.acme, guard_attempts=MOST)
    device_id = world.acme.nas["_id"]
    await until(lambda: engine.table.devices[device_id].device.guard_attempts == MOST, "the engine knows the limit")
    away = {"Calling-Station-Id": AWAY}
    async with gateway(world.acme) as gate:
        for n in range(MOST):
            await gate.pap(USERNAME, f"guess-{n}", away)
        assert not (await gate.pap(USERNAME, USER_PASSWORD, away)).accepted
        form = accounts.AccountPasswordForm(password="new-password")
        await accounts.change_password(world.acme.scope, world.acme.account["_id"], form)

        async def let_in_again() -> bool:
            return (await gate.pap(USERNAME, "new-password", away)).accepted

        await until(let_in_again, "the account begins anew")


@pytest.mark.usefixtures("unlimited")
async def test_guessing_by_eap_is_counted_and_guarded_too(ps: PlatformScope, world: World) -> None:
    await set_parameters(world.acme, guard_attempts=MOST)
    async with Engine(ps, engine_settings()) as engine, gateway_to(engine, world.acme) as gate:
        for n in range(MOST):
            guess = await dialogue(Peer(USERNAME, f"guess-{n}", wants=eap.MSCHAPV2), gate)
            assert codes(guess)[-1] == codec.ACCESS_REJECT
        right = Peer(USERNAME, USER_PASSWORD, wants=eap.MSCHAPV2)
        assert codes(await dialogue(right, gate)) == [codec.ACCESS_REJECT], "at its first round"
        assert right.ended == eap.FAILURE
