"""Sign-up, log-in, choice of the tenant: as a visitor does it."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from saas.handlers.app import make_app, serve
from saas.outbound import Mailer
from saas.tenants import platform
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.conftest import address
from tests.world import PASSWORD, World


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    """The folder that mails are written to."""
    return tmp_path


@pytest.fixture
async def guest(ps: PlatformScope, mails: Path) -> AsyncIterator[Browser]:
    """A visitor of a server whose mails can be read; attempts from here are not counted yet."""
    await ps.kv.delete("hit:login:from:127.0.0.1", "hit:signup:from:127.0.0.1")
    server = serve(make_app(replace(ps.services, mailer=Mailer(folder=mails))), "127.0.0.1", 0)
    yield Browser(address(server))
    server.stop()
    await server.close_all_connections()
    await ps.kv.delete("hit:login:from:127.0.0.1", "hit:signup:from:127.0.0.1")


def codes(mails: Path) -> list[str]:
    """The codes mailed so far, oldest first."""
    texts = [
        message_from_bytes(path.read_bytes(), policy=default).get_content() for path in sorted(mails.glob("*.eml"))
    ]
    return [found for text in texts for found in re.findall(r"(?<!\d)\d{6}(?!\d)", text)]


def names() -> dict[str, str]:
    slug = f"new-{secrets.token_hex(4)}"
    return {"system_name": "江南宽带", "slug": slug, "email": f"{slug}@example.com", "password": PASSWORD}


async def test_from_sign_up_to_the_console(guest: Browser, mails: Path) -> None:
    who = names()
    sent = await guest.post("/signup", who)
    assert (sent.code, sent.headers["Location"]) == (303, "/signup/confirm")
    assert who["email"] in text(await guest.get("/signup/confirm"))
    (code,) = codes(mails)
    wrong = await guest.post("/signup/confirm", {"code": f"{(int(code) + 1) % 10**6:06d}"})
    assert wrong.code == 422 and "验证码不正确" in text(wrong)
    done = await guest.post("/signup/confirm", {"code": code})
    assert (done.code, done.headers["Location"]) == (303, f"/t/{who['slug']}/admin")
    home = await guest.get(done.headers["Location"])
    assert home.code == 200 and "江南宽带" in text(home)


async def test_a_new_code_makes_the_old_one_void(guest: Browser, mails: Path) -> None:
    await guest.post("/signup", names())
    (old,) = codes(mails)
    again = await guest.post("/signup/resend")
    assert again.headers["Location"] == "/signup/confirm"
    assert "新的验证码已发送" in text(await guest.get("/signup/confirm"))
    new = codes(mails)[-1]
    if old != new:
        assert (await guest.post("/signup/confirm", {"code": old})).code == 422
    assert (await guest.post("/signup/confirm", {"code": new})).code == 303


async def test_a_code_without_sign_up_leads_nowhere(guest: Browser) -> None:
    answer = await guest.get("/signup/confirm")
    assert answer.code == 404 and "注册已失效" in text(answer)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("system_name", "", "此项必填"),
        ("system_name", "x" * 65, "最多 64 个字符"),
        ("system_name", "<b>x</b>", "不能含有 &lt; 和 &gt; 符号"),
        ("slug", "", "此项必填"),
        ("slug", "a", "至少 3 个字符"),
        ("slug", '{"$gt": ""}', "不允许的字符"),
        ("slug", "platform", "系统保留"),
        ("email", "", "此项必填"),
        ("email", '{"$gt": ""}', "邮箱地址格式不正确"),
        ("password", "short", "至少 8 个字符"),
        ("password", "x" * 129, "最多 128 个字符"),
    ],
)
async def test_sign_up_says_what_is_wrong_at_the_field(
    guest: Browser, mails: Path, field: str, value: str, words: str
) -> None:
    answer = await guest.post("/signup", names() | {field: value})
    assert answer.code in (409, 422)
    assert words in text(answer).split('class="op-error"')[1].split("</div>")[0]
    assert PASSWORD not in text(answer)
    assert codes(mails) == []


async def test_names_that_are_taken(guest: Browser, cast: World) -> None:
    for field, value in (("slug", cast.acme.slug), ("email", cast.acme.email)):
        answer = await guest.post("/signup", names() | {field: value})
        assert answer.code == 422 and "已被占用" in text(answer)


async def test_an_owner_of_one_system_goes_there(guest: Browser, cast: World) -> None:
    answer = await guest.post("/login", {"login": cast.acme.email, "password": PASSWORD})
    assert answer.headers["Location"] == f"/t/{cast.acme.slug}/admin"
    cookie = next(line for line in answer.headers.get_list("Set-Cookie") if line.startswith("session="))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "expires" not in cookie.lower()


async def test_an_owner_of_several_systems_chooses(guest: Browser, ps: PlatformScope) -> None:
    who = names()
    owner = await platform.create_cloud_account(ps, platform.OwnerForm(email=who["email"], password=PASSWORD))
    for slug in (who["slug"], f"{who['slug']}-2"):
        form = platform.TenantForm(system_name=f"System {slug}", slug=slug)
        await platform.create_tenant(ps, form, owner["_id"])
    answer = await guest.post("/login", {"login": who["email"], "password": PASSWORD})
    assert answer.headers["Location"] == "/tenants"
    page = text(await guest.get("/tenants"))
    assert f"/t/{who['slug']}/admin" in page and f"/t/{who['slug']}-2/admin" in page


async def test_an_operator_logs_in_at_the_tenant(guest: Browser, cast: World) -> None:
    door = f"/t/{cast.acme.slug}/login"
    answer = await guest.post(f"{door}?next=//evil.example/", {"login": "bob", "password": PASSWORD})
    assert answer.headers["Location"] == f"/t/{cast.acme.slug}/admin"
    assert (await guest.get("/tenants")).code == 404


async def test_a_new_log_in_ends_the_old_session(guest: Browser, cast: World) -> None:
    door = f"/t/{cast.acme.slug}/login"
    await guest.post(door, {"login": "bob", "password": PASSWORD})
    old = guest.cookies["session"]
    await guest.post(door, {"login": "bob", "password": PASSWORD})
    assert guest.cookies["session"] != old
    guest.cookies["session"] = old
    assert (await guest.get(f"/t/{cast.acme.slug}/admin")).code == 303


@pytest.mark.parametrize("door", ["/login", "/t/{slug}/login"])
async def test_guessing_is_stopped(guest: Browser, cast: World, door: str) -> None:
    path, name = door.format(slug=cast.acme.slug), f"nobody-{secrets.token_hex(4)}"
    for _ in range(10):
        refused = await guest.post(path, {"login": name, "password": "guess"})
        assert refused.code == 403 and "账号或密码错误" in text(refused)
    stopped = await guest.post(path, {"login": name, "password": "guess"})
    assert stopped.code == 429
    assert 1 <= int(stopped.headers["Retry-After"]) <= 601
    assert "尝试次数过多" in text(stopped)
    assert "guess" not in text(stopped)
