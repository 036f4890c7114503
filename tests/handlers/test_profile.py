"""One's own profile: second factor from set-up to log-in, sessions; what is required, and who is out at once."""

from __future__ import annotations

import re
import time

import pyotp
import pytest

from saas import totp
from saas.tenants import factors, operators
from saas.tenants.scope import PlatformScope, Scope
from tests.browser import Browser, text
from tests.handlers.people import new_system, operator_browser
from tests.world import PASSWORD, Business, World

EN = {"Accept_Language": "en"}


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


async def set_up(browser: Browser, admin: str) -> tuple[str, list[str]]:
    """Switch the second factor on by the pages, as without scripts; the secret and the recovery codes."""
    answer = await browser.post(f"{admin}/profile/factor", {"password": PASSWORD})
    assert answer.headers["Location"] == f"{admin}/profile/factor/confirm", text(answer)
    page = text(await browser.get(answer.headers["Location"], **EN))
    assert 'src="data:image/svg+xml' in page
    secret = re.findall(r"<code>([A-Z2-7 ]{39})</code>", page)[0].replace(" ", "")
    assert (await browser.post(f"{admin}/profile/factor/confirm", {"code": "000000"})).code == 422
    answer = await browser.post(f"{admin}/profile/factor/confirm", {"code": pyotp.TOTP(secret).now()})
    assert answer.headers["Location"] == f"{admin}/profile/factor/codes"
    page = text(await browser.get(answer.headers["Location"], **EN))
    codes = re.findall(r"[a-z2-9]{5}-[a-z2-9]{5}", page.partition("<pre")[2].partition("</pre>")[0])
    assert len(codes) == factors.CODES
    assert codes[0] not in text(await browser.get(answer.headers["Location"]))
    return secret, codes


async def test_an_operator_sets_it_up_and_logs_in_with_it(
    web: str, ps: PlatformScope, own: Business, admin: str
) -> None:
    person = await operator_browser(web, ps, own, "tess", own.operator["group_id"])
    assert "Off" in text(await person.get(f"{admin}/profile", **EN))
    secret, codes = await set_up(person, admin)
    page = text(await person.get(f"{admin}/profile", **EN))
    assert "10 recovery codes are left" in page
    other, door = Browser(web), f"/t/{own.slug}/login"
    await ps.kv.delete(f"hit:login:as:{own.slug}/tess")
    answer = await other.post(f"{door}?next={admin}/plans", {"login": "tess", "password": PASSWORD})
    place = answer.headers["Location"]
    assert place.startswith(f"{door}/code?next=") and "session" not in other.cookies
    assert (await other.get(f"{admin}/plans")).code == 303
    assert "one-time-code" in text(await other.get(place))
    assert (await other.post(place, {"code": "000000"})).code == 422
    answer = await other.post(place, {"code": pyotp.TOTP(secret).at(int(time.time()) + totp.SECONDS)})
    assert answer.headers["Location"] == f"{admin}/plans"
    assert (await other.get(f"{admin}/plans")).code == 200
    again = Browser(web)
    answer = await again.post(door, {"login": "tess", "password": PASSWORD})
    answer = await again.post(answer.headers["Location"], {"code": codes[0]})
    assert answer.headers["Location"] == admin and (await again.get(f"{admin}/plans")).code == 200


async def test_without_a_password_there_is_no_code_to_give(web: str, own: Business) -> None:
    visitor = Browser(web)
    for door in ("/login", f"/t/{own.slug}/login"):
        assert (await visitor.get(f"{door}/code")).headers["Location"] == door
        assert (await visitor.post(f"{door}/code", {"code": "000000"})).code == 403


async def test_an_owner_and_the_platforms_people_have_one_too(web: str, ps: PlatformScope) -> None:
    scope, browser = await new_system(web, ps)
    admin = f"/t/{scope.tenant['slug']}/admin"
    secret, _ = await set_up(browser, admin)
    other = Browser(web)
    answer = await other.post("/login", {"login": scope.actor.name, "password": PASSWORD})
    assert answer.headers["Location"] == "/login/code"
    answer = await other.post("/login/code", {"code": pyotp.TOTP(secret).at(int(time.time()) + totp.SECONDS)})
    assert answer.headers["Location"] == admin
    await ps.db.cloud_accounts.update(scope.actor.id, {"$set": {"platform": True}})
    staff = Browser(web)
    answer = await staff.post("/login", {"login": scope.actor.name, "password": PASSWORD})
    held = await factors.get(ps, scope.actor.id)
    assert answer.headers["Location"] == "/login/code" and held
    await ps.db.factors.update_one({"_id": scope.actor.id}, {"$set": {"step": 0}})
    answer = await staff.post("/login/code", {"code": pyotp.TOTP(secret).now()})
    assert answer.headers["Location"] == "/platform"
    for path in ("/platform/profile", "/platform/profile/factor", "/platform/password"):
        assert (await staff.get(path)).code == 200


async def require(scope: Scope, wanted: bool) -> None:
    await scope.db.tenants.update_one({"_id": scope.tenant_id}, {"$set": {"parameters.second_factor": wanted}})


async def test_where_it_is_required_nothing_else_is_possible(web: str, ps: PlatformScope) -> None:
    scope, boss = await new_system(web, ps)
    admin = f"/t/{scope.tenant['slug']}/admin"
    await require(scope, True)
    for path in ("", "/plans", "/password", "/profile"):
        assert (await boss.get(admin + path)).headers["Location"] == f"{admin}/profile/factor"
    assert (await boss.post(f"{admin}/plans/new", {"name": "Sly", "price": "1"})).code == 303
    assert (await boss.get(f"{admin}/plans", HX_Request="true")).headers["HX-Redirect"] == f"{admin}/profile/factor"
    assert await scope.db.plans.count({}) == 0
    refused = await boss.get(f"{admin}/plans", Accept="application/json")
    assert refused.code == 403 and "factor_first" in text(refused)
    page = text(await boss.get(f"{admin}/profile/factor", **EN))
    assert "Required here." in page and f'href="{admin}/plans"' not in page
    await set_up(boss, admin)
    assert (await boss.get(f"{admin}/plans")).code == 200
    answer = await boss.post(f"{admin}/profile/factor/off", {"password": PASSWORD}, **EN)
    assert answer.code == 409 and "cannot be switched off" in text(answer)
    await require(scope, False)
    assert (await boss.post(f"{admin}/profile/factor/off", {"password": PASSWORD})).code == 303
    assert await factors.get(ps, scope.actor.id) is None


async def test_sessions_are_seen_and_ended(web: str, ps: PlatformScope, own: Business, admin: str) -> None:
    here = await operator_browser(web, ps, own, "sid", own.operator["group_id"])
    there = Browser(web)
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"
    answer = await there.post(f"/t/{own.slug}/login", {"login": "sid", "password": PASSWORD}, User_Agent=agent)
    assert answer.code == 303
    page = text(await here.get(f"{admin}/profile", **EN))
    assert "Chrome · Windows" in page and page.count("This one") == 1 and "127.0.0.1" in page
    (id,) = re.findall(r'name="id" value="([0-9a-f]{64})"', page)
    assert (await here.post(f"{admin}/profile/sessions/end", {"id": id})).code == 303
    assert (await there.get(f"{admin}/plans")).code == 303 and (await here.get(f"{admin}/plans")).code == 200


async def test_who_is_disabled_is_out_at_the_next_request_and_poll(
    web: str, ps: PlatformScope, own: Business, admin: str, boss: Browser
) -> None:
    person = await operator_browser(web, ps, own, "gone", own.operator["group_id"])
    assert (await person.get(f"{admin}/online", HX_Request="true")).code == 200
    row = await own.scope.db.operators.one({"login": "gone"})
    page = text(await boss.get(f"{admin}/operators/{row['_id']}", **EN))
    assert "Log out everywhere" in page
    form = operators.OperatorForm(login="gone", group_id=row["group_id"], disabled=True)
    await operators.update(own.scope, row["_id"], form)
    polled = await person.get(f"{admin}/online", HX_Request="true")
    assert polled.headers["HX-Redirect"].startswith(f"/t/{own.slug}/login")
    assert (await person.get(f"{admin}/plans")).headers["Location"].startswith(f"/t/{own.slug}/login")
    assert "Logged in nowhere." in text(await boss.get(f"{admin}/operators/{row['_id']}", **EN))


async def test_an_administrator_logs_others_out_and_resets_their_factor(
    web: str, ps: PlatformScope, own: Business, admin: str, boss: Browser
) -> None:
    person = await operator_browser(web, ps, own, "lost", own.operator["group_id"])
    row = await own.scope.db.operators.one({"login": "lost"})
    assert (await boss.post(f"{admin}/operators/{row['_id']}/sign-out")).code == 303
    assert (await person.get(f"{admin}/plans")).code == 303
    assert (await boss.post(f"{admin}/operators/{row['_id']}/factor")).code == 409
    await ps.db.factors.insert({"_id": row["_id"], "tenant_id": own.id, "at": row["created_at"], "codes": []})
    assert "Reset" in text(await boss.get(f"{admin}/operators/{row['_id']}", **EN))
    assert (await boss.post(f"{admin}/operators/{row['_id']}/factor")).code == 303
    assert await factors.get(ps, row["_id"]) is None


async def test_an_operator_names_himself(web: str, ps: PlatformScope, own: Business, admin: str, boss: Browser) -> None:
    person = await operator_browser(web, ps, own, "nina", own.operator["group_id"])
    assert (await person.post(f"{admin}/profile/name", {"name": "Nina Ray"})).code == 303
    assert "Nina Ray" in text(await person.get(f"{admin}/profile"))
    assert (await boss.get(f"{admin}/profile/name")).code == 404


async def test_the_platform_resets_an_owners_factor(web: str, ps: PlatformScope, cast: World) -> None:
    scope, _ = await new_system(web, ps)
    row = {"_id": scope.actor.id, "tenant_id": "", "at": scope.tenant["created_at"], "codes": []}
    await ps.db.factors.insert(row)
    _, staff = await new_system(web, ps)
    mine = (await ps.db.cloud_accounts.find({}, sort=[("_id", -1)], limit=1))[0]
    await ps.db.cloud_accounts.update(mine["_id"], {"$set": {"platform": True}})
    answer = await staff.post("/login", {"login": mine["email"], "password": PASSWORD})
    assert answer.headers["Location"] == "/platform"
    page = f"/platform/tenants/{scope.tenant_id}"
    assert "Reset" in text(await staff.get(page, **EN))
    assert (await staff.post(f"{page}/factor", {"confirm": scope.tenant["slug"]})).code == 303
    assert await factors.get(ps, scope.actor.id) is None
