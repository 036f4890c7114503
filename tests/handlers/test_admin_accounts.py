"""Quick open, the list of accounts, the verdict, passwords."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from saas.permissions import Permission
from saas.tenants import accounts, life, nas, operators, plans, purchases, quotas, refusals
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import log_in, new_system, operator_browser
from tests.handlers.usage import online
from tests.world import USER_PASSWORD, Business, World, make_business, set_account

EN = {"Accept_Language": "en"}
HOST = "203.0.113.7"


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


def opening(own: Business, username: str, **values: Any) -> dict[str, Any]:
    fields = {"username": username, "password": f"{username}-pass", "plan_id": own.plan["_id"], "units": "2"}
    return fields | {"method": "wechat", "_attempt": f"attempt{username.replace('-', '')}", **values}


async def opened(boss: Browser, admin: str, own: Business, username: str) -> str:
    """The place of a new account, its share card not taken yet."""
    answer = await boss.post(f"{admin}/accounts/open", opening(own, username))
    assert answer.code == 303
    return str(answer.headers["Location"])


async def test_an_account_is_opened_and_its_card_is_shown_once(boss: Browser, admin: str, own: Business) -> None:
    scope = own.scope
    form = nas.NasForm(name="Card gate", vendor="openvpn", ddns="vpn.example.com", mode="ddns")
    await nas.create(scope, form)
    place = await opened(boss, admin, own, "card-1")
    assert "card-1-pass" not in place
    page = text(await boss.get(place, **EN))
    for words in ("Can get online.", "card-1-pass", "vpn.example.com", "Copy all", "Print", "-¥60.00", "Monthly × 2"):
        assert words in page, words
    assert 'src="data:image/svg+xml' in page
    again = text(await boss.get(place, **EN))
    assert "Can get online." in again and "card-1-pass" not in again
    account = await scope.db.accounts.one({"username": "card-1"})
    assert await scope.db.ledger.count({"account_id": account["_id"]}) == 2


async def test_only_who_opened_it_sees_the_card(
    boss: Browser, admin: str, own: Business, web: str, ps: PlatformScope
) -> None:
    operator = await log_in(web, ps, own, "bob")
    place = await opened(boss, admin, own, "card-2")
    assert "card-2-pass" not in text(await operator.get(place))
    assert "card-2-pass" in text(await boss.get(place))


async def test_a_double_click_opens_once(boss: Browser, admin: str, own: Business) -> None:
    fields = opening(own, "twice")
    answers = [await boss.post(f"{admin}/accounts/open", fields) for _ in range(2)]
    assert [answer.code for answer in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert await own.scope.db.accounts.count({"username": "twice"}) == 1
    account = await own.scope.db.accounts.one({"username": "twice"})
    assert await own.scope.db.ledger.count({"account_id": account["_id"]}) == 2


async def test_without_a_password_one_is_made(boss: Browser, admin: str, own: Business) -> None:
    answer = await boss.post(f"{admin}/accounts/open", opening(own, "made", password=""))
    account = await own.scope.db.accounts.one({"username": "made"})
    password = own.scope.unseal(account["sealed_password"])
    assert len(password) == 10
    assert password in text(await boss.get(answer.headers["Location"]))


async def test_the_form_has_few_fields_and_a_password(boss: Browser, admin: str) -> None:
    page = text(await boss.get(f"{admin}/accounts/open", **EN))
    shown, _, folded = page.partition('<details class="op-fold"')
    assert shown.count('class="op-field') == 7
    assert 'id="f-static_ip"' in folded and 'id="f-note"' in folded
    assert "Monthly · ¥30.00" in page


async def test_the_price_is_told_while_choosing(boss: Browser, admin: str, own: Business, cast: World) -> None:
    path = f"{admin}/accounts/open/price"
    page = text(await boss.get(f"{path}?plan_id={own.plan['_id']}&units=3", HX_Request="true", **EN))
    assert "¥90.00" in page and "23:59" in page and "<html" not in page
    for query in ("", "plan_id=x&units=1", f"plan_id={own.plan['_id']}&units=0", "plan_id=%7B%7D&units=99"):
        page = text(await boss.get(f"{path}?{query}", HX_Request="true", **EN))
        assert "Choose a plan and the quantity" in page, query
    foreign = text(await boss.get(f"{path}?plan_id={cast.zeta.plan['_id']}&units=1", HX_Request="true", **EN))
    assert "Choose a plan and the quantity" in foreign


async def test_bad_input_is_told_at_the_field(boss: Browser, admin: str, own: Business, cast: World) -> None:
    good = opening(own, "never-opened", _attempt="")

    async def rows() -> Any:
        tables = (own.scope.db.accounts, own.scope.db.members, own.scope.db.ledger)
        return [await table.find(limit=1000) for table in tables]

    bad = {
        "username": ["", "x" * 65, HTML, "a", "two words", "alice"],
        "password": ["short", "x" * 129],
        "plan_id": ["", "x" * 65, HTML, "pln_unknown", cast.zeta.plan["_id"]],
        "units": ["0", "37", "-1", "one", "1.5", HTML],
        "method": ["card", HTML],
        "name": ["x" * 65, HTML],
        "mobile": ["x", "1" * 21, HTML],
        "static_ip": ["10.0.0", "x" * 46, HTML],
        "note": ["x" * 501, HTML],
    }
    await refuse(boss, f"{admin}/accounts/open", good, bad, rows)


async def test_without_a_plan_the_page_leads_to_one(web: str, ps: PlatformScope) -> None:
    empty, browser = await new_system(web, ps)
    base = f"/t/{empty.tenant['slug']}/admin"
    page = text(await browser.get(f"{base}/accounts/open", **EN))
    assert "No plan is on sale yet." in page and f'href="{base}/plans/new"' in page
    assert "f-username" not in page


async def test_the_tiers_limit_is_told(web: str, ps: PlatformScope) -> None:
    small, browser = await new_system(web, ps)
    plan = await plans.create(small, plans.PlanForm(name="Free", price=0))
    people = [accounts.new_account(small, _member(n), plan["_id"], f"u{n}", "password") for n in range(50)]
    await quotas.insert(small, people)
    fields = {"username": "one-more", "plan_id": plan["_id"], "units": "1", "method": "cash"}
    answer = await browser.post(f"/t/{small.tenant['slug']}/admin/accounts/open", fields, **EN)
    assert answer.code == 409 and "The limit of your tier is reached" in text(answer)
    assert await small.db.accounts.count({}) == 50


def _member(number: int) -> dict[str, Any]:
    return {"member_id": f"mem_{number}", "name": "", "mobile": "", "agent_id": None}


async def test_the_list_shows_searches_and_filters(boss: Browser, admin: str, own: Business, ps: PlatformScope) -> None:
    scope = own.scope
    fast = await plans.create(scope, plans.PlanForm(name="List fast", price=100))
    form = accounts.QuickOpenForm(username="list-old", password="password", plan_id=fast["_id"], name="Lin")
    old, _ = await accounts.quick_open(scope, form, "list-old")
    await scope.db.accounts.update(old["_id"], {"$set": {"expires_at": utcnow() - timedelta(days=1)}})
    await online(ps, own, "list-1", "list-old")
    page = text(await boss.get(f"{admin}/accounts?q=list-", **EN))
    for words in ("list-old", "Lin", "List fast", "Expired", "Online"):
        assert words in page, words
    page = text(await boss.get(f"{admin}/accounts?plan_id={fast['_id']}"))
    assert "list-old" in page and f"/accounts/{own.account['_id']}" not in page
    assert "list-old" not in text(await boss.get(f"{admin}/accounts?status=closed"))
    assert (await boss.get(f"{admin}/accounts?status=strange")).code == 400


async def test_the_list_as_csv(boss: Browser, admin: str) -> None:
    answer = await boss.get(f"{admin}/accounts?q=alice&format=csv", **EN)
    assert answer.headers["Content-Type"].startswith("text/csv")
    head, row = text(answer).splitlines()
    assert head.startswith("\ufeffAccount,Real name,Plan,Status,Expires")
    assert row.startswith("alice,Alice,Monthly,normal,")


async def test_the_verdict_names_what_stands_in_the_way(boss: Browser, ps: PlatformScope, web: str) -> None:
    business = await make_business(ps, "verdict")
    scope, account_id = business.scope, business.account["_id"]
    group = (await operators.groups(scope))[0]
    browser = await operator_browser(web, ps, business, "verdict-reader", group["_id"])
    path = f"/t/{business.slug}/admin/accounts/{account_id}"

    async def first_line(**values: Any) -> str:
        await set_account(scope, account_id, **values)
        page = text(await browser.get(path, **EN))
        return page.split('op-verdict-text">')[1].split("</p>")[0]

    assert await first_line(status="suspended") == "Cannot get online: the account is Suspended."
    ended = utcnow() - timedelta(days=2)
    assert (await first_line(status="normal", expires_at=ended)).startswith(
        "Cannot get online: the plan Monthly ended on"
    )
    assert await first_line(expires_at=None) == "Can get online."
    await online(ps, business, "verdict-1")
    page = text(await browser.get(path, **EN))
    assert "10.9.0.2" in page and "No expiry date" in page


async def test_the_last_refusals_are_shown(boss: Browser, admin: str, own: Business, ps: PlatformScope) -> None:
    row = own.account
    refusal = refusals.Refusal(
        own.id,
        own.nas["_id"],
        "alice",
        row["_id"],
        "password",
        {},
        "chap",
        "",
        "203.0.113.7",
        utcnow().timestamp(),
    )
    await refusals.keep(ps, [refusal, refusal])
    page = text(await boss.get(f"{admin}/accounts/{row['_id']}", **EN))
    assert "Wrong password" in page and "East gate" in page and "2 times" in page


async def test_a_new_password_is_set_and_shown_once(boss: Browser, admin: str, own: Business) -> None:
    place = await opened(boss, admin, own, "forgetful")
    account_id = place.rsplit("/", 1)[1]
    answer = await boss.post(f"{place}/password", {"password": "quite-another"})
    assert answer.code == 303
    assert "quite-another" in text(await boss.get(place))
    assert "quite-another" not in text(await boss.get(place))
    scope = own.scope
    account = await scope.db.accounts.get(account_id)
    assert scope.unseal(account["sealed_password"]) == "quite-another"


async def test_a_bad_new_password_is_told(boss: Browser, admin: str, scope: Scope, own: Business) -> None:
    async def rows() -> Any:
        return await scope.db.accounts.get(own.account["_id"])

    path = f"{admin}/accounts/{own.account['_id']}/password"
    await refuse(boss, path, {"password": "good-enough"}, {"password": ["", "short", "x" * 129]}, rows)


async def test_the_password_is_shown_where_allowed_and_the_look_is_logged(web: str, ps: PlatformScope) -> None:
    business = await make_business(ps, "secret")
    scope = business.scope
    form = operators.GroupForm(name="lookers", permissions=[Permission.ACCOUNTS_READ, Permission.ACCOUNTS_SECRET])
    group = await operators.create_group(scope, form)
    browser = await operator_browser(web, ps, business, "looker", group["_id"])
    page = f"/t/{business.slug}/admin/accounts/{business.account['_id']}"
    path = f"{page}/secret"
    assert (await browser.get(path)).code == 403
    assert (await browser.post(path)).code == 403
    assert path not in text(await browser.get(page))
    await scope.db.tenants.update(scope.tenant_id, {"$set": {"parameters.show_password": True}})
    assert path in text(await browser.get(page))
    asked = text(await browser.get(path, **EN))
    assert "operation log" in asked and USER_PASSWORD not in asked
    assert USER_PASSWORD in text(await browser.post(path))
    assert await scope.db.audit.count({"action": "account.reveal_password", "actor_name": "looker"}) == 1


async def test_what_a_month_gives_is_given_for_each_month(web: str, ps: PlatformScope) -> None:
    business = await make_business(ps, "gives")
    form = plans.form_of(business.plan) | {"octets": 2**30, "seconds": 3600}
    await plans.update(business.scope, business.plan["_id"], plans.PlanForm.model_validate(form))
    browser, page = await log_in(web, ps, business, "bob"), f"/t/{business.slug}/admin/accounts"
    quote = await browser.get(f"{page}/open/price?plan_id={business.plan['_id']}&units=3", HX_Request="true", **EN)
    assert "3.0 GB" in text(quote) and "3 h" in text(quote)
    answer = await browser.post(f"{page}/open", opening(business, "heavy", units="3"))
    account = await accounts.get(business.scope, answer.headers["Location"].rsplit("/", 1)[1])
    assert (account["octets_left"], account["seconds_left"]) == (3 * 2**30, 3 * 3600)
    shown = text(await browser.get(answer.headers["Location"], **EN))
    assert "3.0 GB, 3 h left" in shown and "Traffic left" in shown


async def test_the_timeline_is_filtered_and_goes_back(boss: Browser, own: Business) -> None:
    path = f"/t/{own.slug}/admin/accounts/{own.account['_id']}"
    for number in range(20):
        await life.perform(own.scope, purchases.RENEW, own.account["_id"], purchases.RenewForm(), f"line-{number}")

    def line(page: str) -> str:
        return page.split('id="timeline"')[1].split("</section>")[0]

    everything = line(text(await boss.get(path, **EN)))
    assert "Renewed" in everything and "Payment" in everything
    money = line(text(await boss.get(f"{path}?kind=money", **EN)))
    assert "Charge" in money and "Renewed" not in money and money.count("<li") >= 15
    older = re.findall(r'href="([^"]*before=\d+)#', money)[0].replace("&amp;", "&")
    before = line(text(await boss.get(older, **EN)))
    assert "Payment" in before and not set(re.findall(r"/payments/led_\w+", before)) & set(
        re.findall(r"/payments/led_\w+", money)
    )
    assert "Nothing before." in line(text(await boss.get(f"{path}?kind=money&before=1", **EN)))
    for wrong in ("x", "9" * 20):
        assert (await boss.get(f"{path}?before={wrong}")).code == 422
