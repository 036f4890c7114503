"""Every kind of packet that must not be answered: dropped, counted by its reason, and not a word in the log."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from saas.radius import codec
from saas.radius.authenticators import ZEROS, Secret, access_request, hide_password, keyed_request, parse_reply
from saas.radius.client import NoAnswer
from saas.radius.codec import attributes, plain
from saas.radius.engine import Engine
from saas.tenants import engines, journal, nas
from saas.tenants.apply import apply
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import Gateway, Wire, engine_settings, gateway_to
from tests.support import until
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, World, sessions_of

pytestmark = pytest.mark.slow

SECRET = Secret(NAS_SECRET.encode())
WRONG = Secret(b"another-secret")
AUTHENTICATOR = b"0123456789abcdef"


def login(identity: bytes, secret: Secret = SECRET, extra: bytes = b"", *, prove: bool = True, code: int = 1) -> bytes:
    hidden = hide_password(USER_PASSWORD.encode(), secret, AUTHENTICATOR)
    body = plain(codec.USER_NAME, USERNAME.encode()) + plain(codec.USER_PASSWORD, hidden) + identity + extra
    return access_request(code, 1, AUTHENTICATOR, secret, body, prove=prove)


def report(identity: bytes, secret: Secret = SECRET, **values: object) -> bytes:
    named = {"Acct-Status-Type": 1, "Acct-Session-Id": "s1", "User-Name": USERNAME} | {
        name.replace("_", "-"): value for name, value in values.items()
    }
    body = attributes(*((name, value) for name, value in named.items() if value is not None))
    return keyed_request(codec.ACCOUNTING_REQUEST, 1, secret, identity + body)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda good: b"", "too_short"),
        (lambda good: good[:19], "too_short"),
        (lambda good: good[:-1], "too_short"),
        (lambda good: good[:2] + b"\0\x10" + good[4:], "bad_length"),
        (lambda good: good[:2] + b"\xff\xff" + good[4:], "bad_length"),
        (lambda good: good[:64] + bytes((good[64] + 1,)) + good[65:], "bad_attribute"),
        (lambda good: good[:38] + b"\1\0" + good[40:], "bad_attribute"),
        (lambda good: b"\x63" + good[1:], "unknown_code"),
        (lambda good: bytes((codec.ACCESS_ACCEPT,)) + good[1:], "unknown_code"),
        (lambda good: bytes((codec.ACCOUNTING_REQUEST,)) + good[1:], "unknown_code"),
        (lambda good: bytes((codec.DISCONNECT_REQUEST,)) + good[1:], "unknown_code"),
        (lambda good: good[:22] + ZEROS + good[38:], "bad_authenticator"),
        (lambda good: good[:-1] + bytes((good[-1] ^ 1,)), "unknown_nas"),
    ],
)
async def test_spoilt_access_requests(engine: Engine, wire: Wire, change: object, reason: str) -> None:
    assert callable(change)
    wire.send(change(login(wire.identity)))
    assert await wire.silent_before_alive()
    assert dict(engine.counters.dropped) == {reason: 1}


async def test_a_wrong_secret_is_not_answered(engine: Engine, wire: Wire) -> None:
    wire.send(login(wire.identity, WRONG))
    assert await wire.silent_before_alive()
    wire.send(report(wire.identity, WRONG), "acct")
    assert await wire.silent_before_alive("acct")
    assert dict(engine.counters.dropped) == {"bad_authenticator": 2}


async def test_a_wrong_secret_without_proof_is_seen_by_the_garbled_password(
    ps: PlatformScope, world: World, engine: Engine, wire: Wire
) -> None:
    form = nas.NasForm(name="Old", vendor="standard", message_authenticator="optional", secret=NAS_SECRET)
    old = await nas.create(world.acme.scope, form)
    identity = attributes(("NAS-Identifier", old["identifier"]))
    async with gateway_to(engine, world.acme, identifier=old["identifier"], prove=False) as device:
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted
    wire.send(login(identity, WRONG, prove=False))
    assert await wire.silent_before_alive()
    assert engine.counters.dropped["secret_mismatch"] == 1


async def test_an_unknown_device_is_not_answered(engine: Engine, wire: Wire) -> None:
    stranger = attributes(("NAS-Identifier", "stranger"))
    wire.send(login(stranger))
    wire.send(login(b""))
    assert await wire.silent_before_alive()
    wire.send(report(stranger), "acct")
    assert await wire.silent_before_alive("acct")
    assert dict(engine.counters.dropped) == {"unknown_nas": 3}


async def test_without_message_authenticator_from_an_unknown_address(engine: Engine, wire: Wire) -> None:
    wire.send(login(wire.identity, prove=False))
    wire.send(login(wire.identity, prove=False, code=codec.STATUS_SERVER))
    assert await wire.silent_before_alive()
    assert dict(engine.counters.dropped) == {"missing_message_authenticator": 2}


async def test_a_login_without_a_name(engine: Engine, wire: Wire) -> None:
    wire.send(access_request(codec.ACCESS_REQUEST, 1, AUTHENTICATOR, SECRET, wire.identity))
    wire.send(access_request(codec.ACCESS_REQUEST, 2, AUTHENTICATOR, SECRET, wire.identity + plain(1, b"  ")))
    assert await wire.silent_before_alive()
    assert dict(engine.counters.dropped) == {"bad_request": 2}


@pytest.mark.parametrize(
    "values",
    [
        {"Acct_Status_Type": None},
        {"Acct_Status_Type": 99},
        {"Acct_Session_Id": None},
    ],
)
async def test_a_report_that_says_too_little(engine: Engine, wire: Wire, values: dict[str, object]) -> None:
    wire.send(report(wire.identity, **values), "acct")
    assert await wire.silent_before_alive("acct")
    assert dict(engine.counters.dropped) == {"bad_request": 1}


async def test_the_accounting_port_takes_no_logins(engine: Engine, wire: Wire) -> None:
    wire.send(login(wire.identity), "acct")
    assert await wire.silent_before_alive("acct")
    assert dict(engine.counters.dropped) == {"unknown_code": 1}


async def test_noise_of_every_length(engine: Engine, wire: Wire) -> None:
    for length in range(200):
        wire.send(bytes((length * 7 + at * 13) & 255 for at in range(length)))
    assert await wire.silent_before_alive()
    assert engine.counters.dropped.total() == 200


async def test_after_all_that_a_login_still_works(world: World, wire: Wire, gateway: Gateway) -> None:
    wire.send(b"\1" * 50)
    async with gateway(world.acme) as device:
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted


async def test_unknown_devices_and_wrong_secrets_are_told_to_the_consoles(ps: PlatformScope, world: World) -> None:
    """The platform hears of strangers, the tenant of its device's troubles."""
    async with Engine(ps, engine_settings()) as engine:
        wire = Wire(engine, world.acme)
        wire.send(login(attributes(("NAS-Identifier", "stranger-1"))))
        wire.send(login(wire.identity, WRONG))
        assert await wire.silent_before_alive()
        wire.socket.close()
    _, notes = await journal.read_notes(ps, 0.1)
    told = {(note.identifier, note.cause) for note in notes if isinstance(note, journal.UnknownNas)}
    assert {("stranger-1", "unknown_nas"), (world.acme.nas["identifier"], "bad_authenticator")} <= told
    stats = await engines.device_stats(world.acme.scope, [world.acme.nas["_id"]])
    assert stats[world.acme.nas["_id"]].dropped == {"bad_authenticator": 1}


def proven_noise(wire: Wire, seed: int) -> tuple[bytes, bytes]:
    """An Access- and an Accounting-Request of a real device, with attributes of every number and any content."""
    dice = random.Random(seed)
    body = b"".join(
        plain(dice.choice([*range(1, 80), *range(81, 256)]), dice.randbytes(dice.choice([0, 1, 4, 6, 16, 50, 253])))
        for _ in range(dice.randrange(14))
    )
    named = body + attributes(("User-Name", USERNAME), ("Acct-Status-Type", 3), ("Acct-Session-Id", f"s{seed}"))
    asked = access_request(codec.ACCESS_REQUEST, seed % 256, dice.randbytes(16), SECRET, wire.identity + body)
    return asked, keyed_request(codec.ACCOUNTING_REQUEST, seed % 256, SECRET, wire.identity + named)


@pytest.mark.usefixtures("unlimited")
async def test_a_real_device_that_sends_nonsense_does_no_harm(
    ps: PlatformScope, world: World, engine: Engine, wire: Wire, gateway: Gateway
) -> None:
    for seed in range(200):
        for octets, port in zip(proven_noise(wire, seed), ("auth", "acct"), strict=True):
            wire.send(octets, port)
    counters = engine.counters
    await until(
        lambda: counters.received == 400 and counters.rejected + counters.accounting + counters.dropped.total() == 400,
        "every packet is answered or counted",
    )
    assert counters.dropped["internal_error"] == 0
    async with gateway(world.acme) as device:
        assert (await device.pap(USERNAME, USER_PASSWORD)).accepted
    reading = await journal.read(ps, 0.05)
    await apply(ps, reading.groups)
    await journal.remove(ps, reading.groups)
    assert len(await sessions_of(world.acme.scope.db)) == counters.accounting > 0


@pytest.mark.usefixtures("unlimited")
async def test_one_spoilt_account_harms_no_other(
    ps: PlatformScope, world: World, engine: Engine, gateway: Gateway, expect_log: Callable[[str], None]
) -> None:
    expect_log("could not be judged")
    spoilt = {"$set": {"sealed_password": b"sealed by nobody at all"}}
    await world.acme.scope.db.accounts.update(world.acme.account["_id"], spoilt)
    async with gateway(world.acme, timeout=0.3, tries=1) as ours, gateway(world.zeta) as theirs:
        with pytest.raises(NoAnswer):
            await ours.pap(USERNAME, USER_PASSWORD)
        assert (await ours.mschapv2(USERNAME, USER_PASSWORD)).accepted
        assert (await theirs.pap(USERNAME, USER_PASSWORD)).accepted
    assert dict(engine.counters.dropped) == {"internal_error": 1}


async def test_one_account_whose_grants_cannot_be_sent_harms_no_other_that_waits_for_a_slot(
    world: World, engine: Engine, wire: Wire, expect_log: Callable[[str], None]
) -> None:
    """Both plans have a limit of one session, so both logins are worked on together."""
    expect_log("could not be judged")
    await world.acme.scope.db.accounts.update(world.acme.account["_id"], {"$set": {"static_ip": "nowhere"}})
    wire.send(login(wire.identity))
    theirs = login(attributes(("NAS-Identifier", world.zeta.nas["identifier"])), extra=plain(24, b"theirs"))
    wire.send(theirs)
    answer = parse_reply(await wire.receive(), theirs, SECRET)
    assert answer.code == codec.ACCESS_ACCEPT
    await until(lambda: engine.counters.dropped["internal_error"] == 1, "the spoilt one is dropped")
    assert engine.counters.accepted == 1
