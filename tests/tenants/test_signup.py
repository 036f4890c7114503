"""From a stranger's form to a tenant, by way of a real mail server."""

from __future__ import annotations

import email
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saas.errors import Conflict, Invalid, Limit, NotFound, Taken, Unavailable
from saas.outbound import Mailer
from saas.tenants import login, operators, platform, signup
from saas.tenants.scope import PlatformScope, Services, platform_scope
from saas.tenants.signup import CodeForm, SignupForm
from tests.postbox import Postbox, postbox
from tests.support import free_ports


@pytest.fixture
def post(ps: PlatformScope) -> Iterator[tuple[PlatformScope, Postbox]]:
    """The platform with a mail server, and that server's box."""
    with postbox() as box:
        mailer = Mailer(box.url, "no-reply@example.com")
        services = ps.services
        yield platform_scope(Services(services.store, services.kv, services.keys, mailer)), box


def _code_of(box: Postbox) -> str:
    """The code in the newest mail."""
    found = re.search(r"\d{6}", box.mails[-1].get_content())
    assert found
    return found.group()


def _form(**values: str) -> SignupForm:
    slug = f"new-{secrets.token_hex(4)}"
    given = {"system_name": "New", "slug": slug, "email": f"{slug}@example.com", "password": "long-enough"}
    return SignupForm.model_validate({**given, **values})


async def _start(ps: PlatformScope, form: SignupForm) -> str:
    return await signup.start(ps, form, address=secrets.token_hex(8), locale="en")


def _other(code: str) -> CodeForm:
    return CodeForm(code=f"{(int(code) + 1) % 10**6:06d}")


async def test_the_code_of_the_mail_makes_account_and_tenant(post: tuple[PlatformScope, Postbox]) -> None:
    ps, box = post
    form = _form()
    pending = await _start(ps, form)
    assert await platform.tenant_by_slug(ps, form.slug) is None
    assert box.mails[-1]["To"] == form.email and await signup.pending_email(ps, pending) == form.email
    session, tenant = await signup.confirm(ps, pending, CodeForm(code=_code_of(box)), address="192.0.2.8")
    assert (tenant["slug"], tenant["tier"], tenant["owner_id"]) == (form.slug, "free", session.actor.id)
    assert await login.session(ps, await login.open_session(ps, session), "192.0.2.8") == session
    assert tenant["parameters"]["locale"] == "en"
    session = await login.cloud(ps, login.LoginForm(login=form.email, password="long-enough"), secrets.token_hex(8))
    scope = await login.scope_of(ps, session, tenant)
    assert scope is not None and len(await operators.groups(scope)) == 4
    with pytest.raises(NotFound):
        await signup.confirm(ps, pending, CodeForm(code=_code_of(box)))


async def test_a_wrong_code_makes_nothing_and_guessing_ends(post: tuple[PlatformScope, Postbox]) -> None:
    ps, box = post
    form = _form()
    pending = await _start(ps, form)
    for _ in range(10):
        with pytest.raises(Invalid):
            await signup.confirm(ps, pending, _other(_code_of(box)))
    with pytest.raises(NotFound):
        await signup.confirm(ps, pending, CodeForm(code=_code_of(box)))
    assert await platform.tenant_by_slug(ps, form.slug) is None


async def test_a_new_code_voids_the_old_one_and_mails_are_few(post: tuple[PlatformScope, Postbox]) -> None:
    ps, box = post
    pending = await _start(ps, _form())
    first = _code_of(box)
    for _ in range(4):
        await signup.resend(ps, pending)
    with pytest.raises(Limit):
        await signup.resend(ps, pending)
    assert len(box.mails) == 5
    if first != _code_of(box):
        with pytest.raises(Invalid):
            await signup.confirm(ps, pending, CodeForm(code=first))
    await signup.confirm(ps, pending, CodeForm(code=_code_of(box)))


async def test_names_and_addresses_in_use_are_told_at_once(post: tuple[PlatformScope, Postbox]) -> None:
    ps, box = post
    form = _form()
    await signup.confirm(ps, await _start(ps, form), CodeForm(code=_code_of(box)))
    for values, name in (({"slug": form.slug}, "slug"), ({"email": form.email}, "email")):
        with pytest.raises(Taken) as taken:
            await _start(ps, _form(**values))
        assert taken.value.field == name
    with pytest.raises(Conflict):
        await _start(ps, _form(slug="platform"))


async def test_two_sign_ups_for_one_name_make_one_tenant(post: tuple[PlatformScope, Postbox]) -> None:
    ps, box = post
    form = _form()
    first = await _start(ps, form)
    first_code = _code_of(box)
    rival = _form(slug=form.slug)
    second = await _start(ps, rival)
    second_code = _code_of(box)
    await signup.confirm(ps, first, CodeForm(code=first_code))
    with pytest.raises(Taken):
        await signup.confirm(ps, second, CodeForm(code=second_code))
    assert await ps.db.cloud_accounts.one({"email": rival.email}) is None


async def test_a_mail_server_that_is_away_is_said(ps: PlatformScope, expect_log: Any) -> None:
    expect_log("was not sent")
    (port,) = free_ports(1)
    services = ps.services
    away = Mailer(f"smtp://127.0.0.1:{port}", "no-reply@example.com")
    lost = platform_scope(Services(services.store, services.kv, services.keys, away))
    with pytest.raises(Unavailable):
        await _start(lost, _form())


async def test_without_a_server_the_mail_is_in_the_folder(tmp_path: Path) -> None:
    await Mailer(folder=tmp_path / "mail").send("someone@example.com", "Hello", "The text")
    (path,) = (tmp_path / "mail").iterdir()
    mail = email.message_from_bytes(path.read_bytes())
    assert (mail["To"], mail["Subject"]) == ("someone@example.com", "Hello")
