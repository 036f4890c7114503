"""The second factor: what lets in, once, and what does not."""

from __future__ import annotations

import asyncio
import email
import email.policy
import secrets
import time
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest

from saas import totp
from saas.errors import Conflict, Denied, Invalid, Limit, NotFound
from saas.outbound import Mailer
from saas.permissions import Permission
from saas.tenants import factors, login, operators, signins, verify
from saas.tenants.factors import CodeForm, ProofForm
from saas.tenants.scope import PlatformScope
from tests.world import PASSWORD, World

WRONG = "000000"


@pytest.fixture
async def session(world: World) -> login.Session:
    """Bob's, of Acme, who has no second factor yet."""
    return await logged_in(world)


async def logged_in(world: World) -> login.Session:
    form = login.LoginForm(login="bob", password=PASSWORD)
    await world.ps.kv.delete(f"hit:login:as:{world.acme.slug}/bob")
    session = await login.operator(world.ps, world.acme.slug, form, f"from-{secrets.token_hex(8)}")
    await world.ps.kv.delete(f"hit:factor:code:{session.actor.id}")
    return session


async def enrol(ps: PlatformScope, session: login.Session) -> tuple[str, list[str]]:
    """Switch it on; the secret, and the recovery codes. The code of these 30 seconds is used then."""
    await factors.begin(ps, session, ProofForm(password=PASSWORD))
    secret, _ = await factors.begun(ps, session)
    proven = await factors.confirm(ps, session, CodeForm(code=pyotp.TOTP(secret).now()))
    assert proven.proven and not session.proven
    return secret, await factors.take_codes(ps, session)


def later(secret: str, steps: int = 1) -> str:
    """The code of the next 30 seconds: clocks may differ by as much."""
    return pyotp.TOTP(secret).at(int(time.time()) + totp.SECONDS * steps)


async def test_whoever_has_one_needs_its_code(world: World, session: login.Session) -> None:
    ps = world.ps
    assert await factors.hold(ps, session) == ""
    secret, _ = await enrol(ps, session)
    held = await factors.hold(ps, await logged_in(world))
    with pytest.raises(Invalid):
        await factors.admit(ps, held, WRONG, "")
    opened = await factors.admit(ps, held, later(secret), "203.0.113.9")
    assert opened.proven and opened.actor.id == session.actor.id and opened.actor.address == "203.0.113.9"
    with pytest.raises(Denied):  # one log-in, one session
        await factors.admit(ps, held, later(secret), "")
    for unknown in ("", "made-up"):
        with pytest.raises(Denied):
            await factors.admit(ps, unknown, later(secret), "")


async def test_a_code_is_used_once(world: World, session: login.Session) -> None:
    secret, _ = await enrol(world.ps, session)
    code = later(secret)
    held = [await factors.hold(world.ps, await logged_in(world)) for _ in range(3)]
    tries = (factors.admit(world.ps, token, code, "") for token in held)
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Invalid", "Invalid", "Session"]
    with pytest.raises(Invalid):  # nor one of before
        await factors.admit(world.ps, await factors.hold(world.ps, session), later(secret, 0), "")


async def test_each_recovery_code_lets_in_once_and_that_is_logged(world: World, session: login.Session) -> None:
    ps = world.ps
    _, codes = await enrol(ps, session)
    assert len(set(codes)) == factors.CODES and await factors.take_codes(ps, session) == []
    opened = await factors.admit(ps, await factors.hold(ps, session), codes[3].upper().replace("-", " "), "")
    assert opened.proven
    with pytest.raises(Invalid):
        await factors.admit(ps, await factors.hold(ps, session), codes[3], "")
    row = await factors.get(ps, session.actor.id)
    assert row and len(row["codes"]) == factors.CODES - 1 and codes[0] not in str(row)
    assert await world.acme.scope.db.audit.count({"action": "operator.recovered", "target": session.actor.id}) == 1


async def test_new_recovery_codes_void_the_old_ones(world: World, session: login.Session) -> None:
    ps = world.ps
    with pytest.raises(Conflict):
        await factors.make_codes(ps, session, ProofForm(password=PASSWORD))
    _, old = await enrol(ps, session)
    with pytest.raises(Invalid):
        await factors.make_codes(ps, session, ProofForm(password="wrong"))
    await factors.make_codes(ps, session, ProofForm(password=PASSWORD))
    fresh = await factors.take_codes(ps, session)
    held = await factors.hold(ps, session)
    with pytest.raises(Invalid):
        await factors.admit(ps, held, old[0], "")
    assert (await factors.admit(ps, held, fresh[0], "")).proven


async def test_guessing_is_limited(world: World, session: login.Session) -> None:
    secret, _ = await enrol(world.ps, session)
    held = await factors.hold(world.ps, session)
    for _ in range(10):
        with pytest.raises(Invalid):
            await factors.admit(world.ps, held, WRONG, "")
    for token in (held, await factors.hold(world.ps, session)):
        with pytest.raises(Limit):
            await factors.admit(world.ps, token, later(secret), "")


async def test_guessing_is_limited_when_it_is_set_up(world: World, session: login.Session) -> None:
    ps = world.ps
    for _ in range(2):  # another secret is no new beginning
        await factors.begin(ps, session, ProofForm(password=PASSWORD))
        for _ in range(5):
            with pytest.raises(Invalid):
                await factors.confirm(ps, session, CodeForm(code=WRONG))
    secret, _ = await factors.begun(ps, session)
    with pytest.raises(Limit) as limit:
        await factors.confirm(ps, session, CodeForm(code=pyotp.TOTP(secret).now()))
    assert limit.value.data["retry_after"] > 0
    assert await factors.get(ps, session.actor.id) is None


async def test_it_is_set_up_with_password_and_code(world: World, session: login.Session) -> None:
    ps = world.ps
    with pytest.raises(NotFound):
        await factors.begun(ps, session)
    with pytest.raises(Invalid) as wrong:
        await factors.begin(ps, session, ProofForm(password="wrong"))
    assert wrong.value.fields == {"password": "bad_password"}
    await factors.begin(ps, session, ProofForm(password=PASSWORD))
    with pytest.raises(Invalid):
        await factors.confirm(ps, session, CodeForm(code=WRONG))
    assert await factors.get(ps, session.actor.id) is None


async def test_setting_it_up_ends_other_sessions(world: World, session: login.Session) -> None:
    ps = world.ps
    here, there = [await login.open_session(ps, session) for _ in range(2)]
    await factors.begin(ps, session, ProofForm(password=PASSWORD))
    secret, _ = await factors.begun(ps, session)
    await factors.confirm(ps, session, CodeForm(code=pyotp.TOTP(secret).now()), here)
    assert await login.session(ps, here, "") and await login.session(ps, there, "") is None


async def test_secrets_lie_nowhere_in_clear(world: World, session: login.Session) -> None:
    ps = world.ps
    secret, codes = await enrol(ps, session)
    await operators.delete(world.acme.scope, session.actor.id)
    everything = str([*await ps.db.audit.find({}, limit=1000), *await ps.db.factors.find({}, limit=1000)])
    assert not [each for each in (secret, *codes, *(code.replace("-", "") for code in codes)) if each in everything]
    assert await factors.get(ps, session.actor.id) is None


async def test_switching_it_off_takes_the_password(world: World, session: login.Session) -> None:
    await enrol(world.ps, session)
    with pytest.raises(Invalid):
        await factors.remove(world.ps, session, ProofForm(password="wrong"))
    await factors.remove(world.ps, session, ProofForm(password=PASSWORD))
    assert await factors.hold(world.ps, session) == ""
    log = await world.acme.scope.db.audit.find({"target": session.actor.id}, limit=2)
    assert [row["action"] for row in log] == ["operator.factor_off", "operator.factor_on"]


async def test_who_manages_operators_resets_it(world: World, session: login.Session) -> None:
    ps, scope = world.ps, world.acme.scope
    with pytest.raises(Conflict):
        await factors.reset(scope, session.actor.id)
    await enrol(ps, session)
    token = await login.open_session(ps, session)
    weak = ps.enter(scope.tenant, scope.actor, frozenset({Permission.OPERATORS_WRITE}))
    with pytest.raises(Invalid):  # bob may more than whoever asks
        await factors.reset(weak, session.actor.id)
    await factors.reset(scope, session.actor.id)
    assert await login.session(ps, token, "") is None and await factors.get(ps, session.actor.id) is None
    assert await scope.db.audit.count({"action": "operator.factor_reset", "target": session.actor.id}) == 1


async def test_the_owner_is_told_of_a_reset(world: World, session: login.Session, tmp_path: Path) -> None:
    await enrol(world.ps, session)
    scope = replace(world.acme.scope, services=replace(world.ps.services, mailer=Mailer(folder=tmp_path)))
    await factors.reset(scope, session.actor.id)
    (mail,) = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in tmp_path.iterdir()]
    assert mail["To"] == world.acme.email and "bob" in mail["Subject"]
    assert world.acme.scope.actor.name in mail.get_content()


async def test_what_cannot_be_unsealed_is_told(world: World, session: login.Session) -> None:
    ps, me = world.ps, session.actor.id
    await enrol(ps, session)
    assert not [said for said in await verify._factors(ps) if me in said]
    await ps.db.factors.update_one({"_id": me}, {"$set": {"sealed": b"of another key, as it seems"}})
    assert [said for said in await verify._factors(ps) if me in said] == [
        f"second factor {me}: it cannot be unsealed with this secret key"
    ]
    await ps.db.operators.delete(me)
    assert f"second factor {me}: there is no such person" in await verify._factors(ps)
    await ps.db.factors.delete(me)


async def test_a_cloud_account_has_one_too(world: World) -> None:
    ps = world.ps
    form = login.LoginForm(login=world.acme.email, password=PASSWORD)
    session = await login.cloud(ps, form, f"from-{secrets.token_hex(8)}")
    secret, _ = await enrol(ps, session)
    assert (await factors.admit(ps, await factors.hold(ps, session), later(secret), "")).proven
    assert await ps.db.platform_audit.count({"action": "cloud_account.factor_on", "target": session.actor.id}) == 1
    await factors.reset_owner(ps, session.actor.id)
    assert await factors.hold(ps, session) == ""


async def test_sessions_are_listed_and_ended(world: World, session: login.Session) -> None:
    ps, me = world.ps, session.actor.id
    first = await login.open_session(ps, session, "Firefox")
    second = await login.open_session(ps, session, "Chrome")
    found = {each.browser: each for each in await signins.listing(ps.kv, me, second)}
    assert found["Chrome"].here and not found["Firefox"].here
    assert found["Firefox"].address == session.actor.address and found["Firefox"].seen >= found["Firefox"].since
    await signins.end(ps.kv, world.zeta.operator["_id"], found["Firefox"].id)  # not his
    assert await login.session(ps, first, "")
    await signins.end(ps.kv, me, found["Firefox"].id)
    assert await login.session(ps, first, "") is None and await login.session(ps, second, "")
    await login.close_session(ps, second)
    assert await signins.listing(ps.kv, me) == []


async def test_disabling_ends_them_all(world: World, session: login.Session) -> None:
    ps, bob = world.ps, world.acme.operator
    tokens = [await login.open_session(ps, session) for _ in range(2)]
    assert len(await operators.sessions(world.acme.scope, bob["_id"])) == 2
    form = operators.OperatorForm(login="bob", group_id=bob["group_id"], disabled=True)
    await operators.update(world.acme.scope, bob["_id"], form)
    assert await operators.sessions(world.acme.scope, bob["_id"]) == []
    assert not any([await ps.kv.get(signins._key(token)) for token in tokens])
