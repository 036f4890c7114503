"""Logging in, being out at once, and how fast one may guess."""

from __future__ import annotations

import secrets

import pytest

from saas.errors import Denied, Invalid, Limit
from saas.permissions import ALL, Permission
from saas.tenants import login, operators, platform
from saas.tenants.login import LoginForm, PasswordForm
from tests.world import PASSWORD, Business, World

ADDRESS = "198.51.100.7"


def _proof(name: str, password: str = PASSWORD) -> LoginForm:
    return LoginForm(login=name, password=password)


async def _operator(world: World, business: Business) -> login.Session:
    return await login.operator(world.ps, business.slug, _proof("bob"), _address())


def _address() -> str:
    """Each test comes from elsewhere: attempts are counted for each address."""
    return f"test-{secrets.token_hex(8)}"


async def test_an_owner_logs_in_and_has_every_permission_at_home_only(world: World) -> None:
    session = await login.cloud(world.ps, _proof(world.acme.email.upper()), _address())
    token = await login.open_session(world.ps, session)
    kept = await login.session(world.ps, token, "203.0.113.9")
    assert kept is not None and kept.actor.address == "203.0.113.9"
    scope = await login.scope_of(world.ps, kept, world.acme.scope.tenant)
    assert scope is not None and scope.permissions == ALL and scope.tenant_id == world.acme.id
    assert await login.scope_of(world.ps, kept, world.zeta.scope.tenant) is None


async def test_operators_of_the_same_name_are_two_people(world: World) -> None:
    session = await _operator(world, world.acme)
    assert session.actor.id == world.acme.operator["_id"]
    assert await login.scope_of(world.ps, session, world.zeta.scope.tenant) is None


@pytest.mark.parametrize("name", ["nobody@example.com", ""])
async def test_wrong_names_and_wrong_passwords_are_told_alike(world: World, name: str) -> None:
    with pytest.raises(Denied) as denied:
        await login.cloud(world.ps, _proof(name or world.acme.email, "wrong" if not name else PASSWORD), _address())
    assert denied.value.code == "bad_credentials"


async def test_a_disabled_operator_is_out_at_once(world: World) -> None:
    session = await _operator(world, world.acme)
    token = await login.open_session(world.ps, session)
    form = operators.OperatorForm(login="bob", group_id=world.acme.operator["group_id"], disabled=True)
    await operators.update(world.acme.scope, world.acme.operator["_id"], form)
    assert await login.session(world.ps, token, ADDRESS) is None
    with pytest.raises(Denied):
        await _operator(world, world.acme)
    assert (await _operator(world, world.zeta)).actor.id == world.zeta.operator["_id"]


async def test_permissions_are_read_now(world: World) -> None:
    session = await _operator(world, world.acme)
    before = await login.scope_of(world.ps, session, world.acme.scope.tenant)
    group_id = world.acme.operator["group_id"]
    form = operators.GroupForm(name="manager", permissions=[Permission.NAS_READ])
    await operators.update_group(world.acme.scope, group_id, form)
    after = await login.scope_of(world.ps, session, world.acme.scope.tenant)
    assert before is not None and before.permissions == ALL
    assert after is not None and after.permissions == {Permission.NAS_READ}


async def test_a_new_password_ends_the_other_sessions(world: World) -> None:
    for session in (
        await login.cloud(world.ps, _proof(world.acme.email), _address()),
        await _operator(world, world.zeta),
    ):
        other = await login.open_session(world.ps, session)
        form = PasswordForm(old_password=PASSWORD, new_password="a-new-password", repeat="a-new-password")
        renewed = await login.change_password(world.ps, session, form)
        assert await login.session(world.ps, other, ADDRESS) is None
        mine = await login.open_session(world.ps, renewed)
        assert await login.session(world.ps, mine, ADDRESS) is not None


@pytest.mark.parametrize(
    ("old", "repeat", "field"), [("wrong", "a-new-password", "old_password"), (PASSWORD, "another-one", "repeat")]
)
async def test_the_old_password_is_asked_and_the_new_one_twice(world: World, old: str, repeat: str, field: str) -> None:
    session = await login.cloud(world.ps, _proof(world.acme.email), _address())
    form = PasswordForm(old_password=old, new_password="a-new-password", repeat=repeat)
    with pytest.raises(Invalid) as invalid:
        await login.change_password(world.ps, session, form)
    assert list(invalid.value.fields) == [field]
    await login.cloud(world.ps, _proof(world.acme.email), _address())


async def test_guessing_is_slow_for_one_name_from_many_addresses(world: World) -> None:
    for _ in range(10):
        with pytest.raises(Denied):
            await login.cloud(world.ps, _proof(world.acme.email, "guess"), _address())
    with pytest.raises(Limit) as limit:
        await login.cloud(world.ps, _proof(world.acme.email), _address())
    assert 0 < limit.value.data["retry_after"] <= 600


async def test_guessing_is_slow_for_many_names_from_one_address(world: World) -> None:
    address = _address()
    for n in range(30):
        with pytest.raises(Denied):
            await login.cloud(world.ps, _proof(f"user{n}@{world.acme.slug}.example.com"), address)
    with pytest.raises(Limit):
        await login.cloud(world.ps, _proof(world.acme.email), address)


async def test_a_stopped_tenants_operators_cannot_log_in(world: World) -> None:
    await platform.set_status(world.ps, world.acme.id, "stopped")
    with pytest.raises(Denied):
        await _operator(world, world.acme)


async def test_logging_out_ends_the_session(world: World) -> None:
    token = await login.open_session(world.ps, await _operator(world, world.acme))
    await login.close_session(world.ps, token)
    assert await login.session(world.ps, token, ADDRESS) is None
    assert await login.session(world.ps, "", ADDRESS) is None
