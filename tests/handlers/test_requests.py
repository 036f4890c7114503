"""Every request: headers, who may enter, XSRF, errors, language, theme, redirects."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tornado.httpclient import HTTPResponse

from saas.handlers.app import make_app, serve
from saas.handlers.base import local_path
from saas.permissions import Permission
from saas.tenants import operators
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.conftest import address
from tests.world import World


def sample(cast: World, path: str) -> str:
    return f"/t/{cast.acme.slug}/admin/sample{path}"


def policy(answer: HTTPResponse) -> dict[str, str]:
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


async def test_headers_of_every_page(visitor: Browser) -> None:
    for path in ("/", "/login", "/nowhere"):
        answer = await visitor.get(path)
        rules = policy(answer)
        assert rules["default-src"] == "'self'"
        assert rules["frame-ancestors"] == "'none'"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Tornado" not in answer.headers["Server"]
        assert "Strict-Transport-Security" not in answer.headers


async def test_cookies_are_strict_and_secure_behind_https(ps: PlatformScope) -> None:
    server = serve(make_app(ps.services, secure=True), "127.0.0.1", 0)
    try:
        answer = await Browser(address(server)).get("/login")
    finally:
        server.stop()
        await server.close_all_connections()
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie and "secure" in cookie and "samesite=lax" in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


async def test_a_write_without_the_token_is_refused(owner: Browser, cast: World) -> None:
    answer = await owner.send("POST", sample(cast, "/broken"), "")
    assert answer.code == 403
    assert "页面打开太久" in text(answer)


async def test_the_token_may_come_in_the_header(owner: Browser, cast: World) -> None:
    await owner.get(sample(cast, "/list"))
    answer = await owner.send("POST", sample(cast, "/broken"), "", {"X-Xsrftoken": owner.cookies["_xsrf"]})
    assert answer.code == 303


async def test_nobody_is_sent_to_the_log_in_and_back(visitor: Browser, cast: World) -> None:
    answer = await visitor.get(sample(cast, "/list?q=a"))
    assert answer.code == 303
    wanted = f"%2Ft%2F{cast.acme.slug}%2Fadmin%2Fsample%2Flist%3Fq%3Da"
    assert answer.headers["Location"] == f"/t/{cast.acme.slug}/login?next={wanted}"


async def test_a_program_without_session_is_told(visitor: Browser, cast: World) -> None:
    answer = await visitor.get(sample(cast, "/list"), Accept="application/json")
    assert answer.code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body)["code"] == "sign_in"


@pytest.mark.parametrize("path", ["/nowhere", "/t/no-such-tenant/admin/sample/list", "/t/no-such-tenant/login"])
async def test_what_is_not_there(owner: Browser, path: str) -> None:
    answer = await owner.get(path)
    assert answer.code == 404
    assert "找不到" in text(answer)
    assert answer.headers["X-Request-Id"] in text(answer)


async def test_a_stray_path_stays_in_the_frame(owner: Browser, visitor: Browser, cast: World) -> None:
    path = f"/t/{cast.acme.slug}/admin/nothing/here"
    answer = await owner.get(path)
    assert answer.code == 404 and f'href="/t/{cast.acme.slug}/admin"' in text(answer)
    assert (await visitor.get(path)).code == 404


async def test_another_tenant_does_not_exist(owner: Browser, operator: Browser, cast: World) -> None:
    for browser in (owner, operator):
        answer = await browser.get(f"/t/{cast.zeta.slug}/admin/sample/list")
        assert answer.code == 404
        assert cast.zeta.slug not in text(answer).replace(f"/t/{cast.zeta.slug}/", "")


async def test_a_verb_that_is_not_there(owner: Browser, cast: World) -> None:
    answer = await owner.send("DELETE", sample(cast, "/list"))
    assert answer.code == 405


async def test_an_error_tells_nothing_but_its_number(
    owner: Browser, cast: World, expect_log: Callable[[str], None]
) -> None:
    expect_log("saas.handlers.base: request [0-9a-f]{16} GET /t/.*/sample/broken")
    answer = await owner.get(sample(cast, "/broken"))
    assert answer.code == 500
    assert "a secret detail" not in text(answer) and "ZeroDivisionError" not in text(answer)
    assert answer.headers["X-Request-Id"] in text(answer)


async def test_permissions_are_read_at_every_request(operator: Browser, cast: World) -> None:
    scope = cast.acme.scope
    assert (await operator.get(sample(cast, "/form"))).code == 200
    group = await operators.create_group(
        scope, operators.GroupForm(name="reads", permissions=[Permission.MEMBERS_READ])
    )
    await scope.db.operators.update(cast.acme.operator["_id"], {"$set": {"group_id": group["_id"]}})
    try:
        assert (await operator.get(sample(cast, "/list"))).code == 200
        refused = await operator.get(sample(cast, "/form"))
        assert refused.code == 403
        assert "没有权限" in text(refused)
        assert (await operator.post(sample(cast, "/form"), {"name": "x"})).code == 403
    finally:
        before = {"$set": {"group_id": cast.acme.operator["group_id"]}}
        await scope.db.operators.update(cast.acme.operator["_id"], before)


async def test_a_disabled_operator_is_out_at_once(operator: Browser, cast: World) -> None:
    table = cast.acme.scope.db.operators
    await table.update(cast.acme.operator["_id"], {"$set": {"disabled": True}})
    try:
        assert (await operator.get(sample(cast, "/list"))).code == 303
    finally:
        await table.update(cast.acme.operator["_id"], {"$set": {"disabled": False}})
    assert (await operator.get(sample(cast, "/list"))).code == 303  # the session has ended for good


async def test_log_out_ends_the_session(operator: Browser, cast: World) -> None:
    token = operator.cookies["session"]
    answer = await operator.post("/logout")
    assert answer.headers["Location"] == f"/t/{cast.acme.slug}/login"
    assert "session" not in operator.cookies
    operator.cookies["session"] = token
    assert (await operator.get(sample(cast, "/list"))).code == 303


async def test_the_language_is_chosen(visitor: Browser) -> None:
    async def language(**headers: str) -> str:
        return str(json.loads((await visitor.get("/sample/echo", **headers)).body)["language"])

    assert await language() == "zh"
    assert await language(Accept_Language="en-GB,zh;q=0.5") == "en"
    assert await language(Accept_Language="zh-Hans-CN,en;q=0.9") == "zh"
    assert await language(Accept_Language="fr, de;q=0.9, garbage;q=x") == "zh"
    answer = await visitor.post("/preferences", {"lang": "en", "_next": "/login?next=%2Fx"})
    assert (answer.code, answer.headers["Location"]) == (303, "/login?next=%2Fx")
    assert await language(Accept_Language="zh") == "en"
    assert '<html lang="en"' in text(await visitor.get("/login"))
    await visitor.post("/preferences", {"lang": "tlh"})
    assert await language() == "en"


async def test_the_theme_is_chosen(visitor: Browser) -> None:
    assert 'data-theme="auto"' in text(await visitor.get("/"))
    await visitor.post("/preferences", {"theme": "dark"})
    assert 'data-theme="dark" data-bs-theme="dark"' in text(await visitor.get("/"))


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "",
        "/a\nb",
        "/\t/evil.example",
        "evil",
        "/\\/evil.example",
    ],
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    assert local_path(path) == "/"


@pytest.mark.parametrize("path", ["/", "/t/acme/admin?q=%2F%2Fx&b=1", "/login#x"])
def test_local_paths_stay(path: str) -> None:
    assert local_path(path) == path


async def test_preferences_go_nowhere_else(visitor: Browser) -> None:
    answer = await visitor.post("/preferences", {"theme": "dark", "_next": "//evil.example/x"})
    assert answer.headers["Location"] == "/"


async def test_htmx_gets_the_fragment(owner: Browser, cast: World) -> None:
    whole = text(await owner.get(sample(cast, "/list")))
    part = text(await owner.get(sample(cast, "/list"), HX_Request="true"))
    assert "<html" in whole and 'id="list"' in whole
    assert "<html" not in part and 'id="list"' in part and "<title>" in part


async def test_htmx_is_redirected_by_header_and_told_errors_by_toast(owner: Browser, cast: World) -> None:
    done = await owner.post(sample(cast, "/broken"), HX_Request="true")
    assert (done.code, done.headers["HX-Redirect"]) == (200, sample(cast, "/list"))
    missing = await owner.get("/nowhere", HX_Request="true")
    assert (missing.code, missing.headers["HX-Reswap"]) == (404, "none")
    assert json.loads(missing.headers["HX-Trigger"])["toast"]["level"] == "danger"


async def test_what_was_done_is_said_once(owner: Browser, cast: World) -> None:
    await owner.post(sample(cast, "/broken"))
    assert "Written." in text(await owner.get(sample(cast, "/list")))
    assert "Written." not in text(await owner.get(sample(cast, "/list")))


async def test_static_files_are_kept_by_their_content(visitor: Browser) -> None:
    page = text(await visitor.get("/"))
    path = next(part.split('"')[0] for part in page.split('href="') if part.startswith("/static/app.css"))
    assert "?v=" in path
    kept = await visitor.get(path)
    assert kept.code == 200
    assert "immutable" in kept.headers["Cache-Control"]
    assert (await visitor.get("/static/../saas/app.py")).code in (403, 404)


async def test_head_is_answered_like_get(visitor: Browser) -> None:
    answer = await visitor.send("HEAD", "/login")
    assert (answer.code, answer.body) == (200, b"")


async def test_a_body_that_is_too_big_or_no_json_is_refused(visitor: Browser) -> None:
    await visitor.get("/login")
    token = {"X-Xsrftoken": visitor.cookies["_xsrf"], "Content-Type": "application/json"}
    for body in ("[1, 2]", "{", "nonsense"):
        assert (await visitor.send("POST", "/sample/echo", body, token)).code == 400
    assert (await visitor.send("POST", "/sample/echo", "x" * 2_000_000, token)).code in (400, 413, 599)
