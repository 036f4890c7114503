"""The pages of what is done to accounts: shown before, done by one button, refused in words."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from saas.permissions import Permission
from saas.tenants import accounts, billing, operators, plans
from saas.tenants.accounts import Account, QuickOpenForm
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id, utcnow
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import operator_browser
from tests.handlers.usage import online
from tests.world import Business, set_account

pytestmark = pytest.mark.slow

EN = {"Accept_Language": "en"}
ZH = {"Accept_Language": "zh"}
ZONE = "Asia/Shanghai"


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


@pytest.fixture
async def account(own: Business) -> Account:
    """A new account, paid for a month."""
    name = new_id("u")[-12:]
    form = QuickOpenForm(username=name, plan_id=own.plan["_id"])
    return (await accounts.quick_open(own.scope, form, f"open{name}"))[0]


@pytest.fixture
def page(own: Business, account: Account) -> str:
    return f"/t/{own.slug}/admin/accounts/{account['_id']}"


async def form_of(browser: Browser, address: str) -> dict[str, str]:
    """What the page's form carries unseen."""
    html = text(await browser.get(address))
    found = re.findall(r'<input type="hidden" name="(_\w+)" value="([^"]*)"[^>]*>', html)
    return {name: value for name, value in found if name != "_xsrf"}


async def do(browser: Browser, address: str, **fields: Any) -> str:
    """Send the page's form; the address that it leads to."""
    answer = await browser.post(address, {**await form_of(browser, address), **fields})
    assert answer.code == 303, text(answer)
    return str(answer.headers["Location"])


async def preview(browser: Browser, address: str, **headers: str) -> str:
    """What the box beside the form says while this stands in the form."""
    return said(text(await browser.get(address, HX_Request="true", **(headers or EN))))


def said(html: str) -> str:
    """The text of a page, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_a_renewal_is_shown_and_done_in_two_clicks(
    boss: Browser, page: str, scope: Scope, account: Account
) -> None:
    assert f'href="{page}/renew"' in text(await boss.get(page))
    ends = billing.later(account["created_at"], 2, 0, ZONE)
    local = ends.astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M")
    shown = said(text(await boss.get(f"{page}/renew", **EN)))
    assert "To pay ¥30.00" in shown and f"→ {local}" in shown and "Balance ¥0.00 → ¥0.00" in shown
    assert await do(boss, f"{page}/renew") == page
    after = said(text(await boss.get(page, **EN)))
    assert local in after and "Renewed · ¥30.00" in after
    assert (await accounts.get(scope, account["_id"]))["expires_at"] == ends


async def test_the_preview_follows_what_stands_in_the_form(boss: Browser, page: str) -> None:
    asked = f"{page}/renew?units=3&method=cash&paid=80"
    shown = await preview(boss, asked)
    assert "To pay ¥80.00" in shown and "The price is ¥90.00: a discount of ¥10.00." in shown
    shown = await preview(boss, asked, **ZH)
    assert "应收 ¥90.00，优惠 ¥10.00。" in shown and "操作预览" in shown
    assert "To pay ¥30.00" in said(text(await boss.get(asked, **EN))), "a whole page is that of the untouched form"
    for query, words in (
        ("units=99&method=cash", "Some fields need your attention."),
        ("units=1&method=balance", "The balance does not cover this."),
        (f"units=1&method={quote(HTML)}", "Some fields need your attention."),
    ):
        html = text(await boss.get(f"{page}/renew?{query}", HX_Request="true", **EN))
        assert words in html and HTML not in html


async def test_a_double_click_renews_once(boss: Browser, page: str, scope: Scope, account: Account) -> None:
    fields = {**await form_of(boss, f"{page}/renew"), "units": "2", "method": "wechat"}
    answers = [await boss.post(f"{page}/renew", fields) for _ in range(2)]
    assert [answer.code for answer in answers] == [303, 303]
    assert await scope.db.ledger.count({"account_id": account["_id"]}) == 4


async def test_what_was_not_seen_is_not_done(boss: Browser, page: str, scope: Scope, account: Account) -> None:
    seen = await form_of(boss, f"{page}/renew")
    await do(boss, f"{page}/suspend", note="away")
    answer = await boss.post(f"{page}/renew", seen, **EN)
    assert answer.code == 409 and "Someone else has changed this" in text(answer)


async def test_a_price_that_rose_after_it_was_shown_is_not_taken(boss: Browser, own: Business) -> None:
    values = {"name": f"Dearer {new_id('p')}", "price": "30"}
    plan = await plans.create(own.scope, PlanForm.model_validate(values))
    opening = QuickOpenForm(username=new_id("u")[-12:], plan_id=plan["_id"])
    account, _ = await accounts.quick_open(own.scope, opening, new_id("open"))
    address = f"/t/{own.slug}/admin/accounts/{account['_id']}/renew"
    seen = await form_of(boss, address)
    await plans.update(own.scope, plan["_id"], PlanForm.model_validate({**values, "price": "45"}))
    sent = {**seen, "units": "1", "method": "cash", "paid": ""}
    for language, words in (
        (EN, "it was ¥30.00 and is ¥45.00 now. Nothing has been done."),
        (ZH, "当时为 ¥30.00，现在为 ¥45.00。尚未执行任何操作"),
    ):
        answer = await boss.post(address, sent, **language)
        assert answer.code == 409 and words in text(answer)
        assert await own.scope.db.ledger.count({"account_id": account["_id"]}) == 2
    assert "¥45.00" in said(text(answer)).partition("操作预览")[2], "and what it costs now stands beside it"
    problem = await boss.post(address, sent, Accept="application/json")
    assert (problem.code, json.loads(problem.body)["code"]) == (409, "price_changed")
    typed = await boss.post(address, {**sent, "units": "2"})
    assert typed.code == 303, "what was not shown of two months is not expected of them"
    assert "_shown" in seen
    assert (await boss.post(address, await form_of(boss, address))).code == 303


async def test_suspended_and_resumed(boss: Browser, page: str) -> None:
    await do(boss, f"{page}/suspend", note="on a journey")
    html = text(await boss.get(page, **EN))
    for words in ("Suspended since", "on a journey", f'href="{page}/resume"'):
        assert words in html, words
    assert f'href="{page}/suspend"' not in html
    refused = await boss.post(f"{page}/suspend", await form_of(boss, f"{page}/suspend"), **EN)
    assert refused.code == 409 and "is suspended already" in text(refused)
    assert "is suspended already" in text(await boss.get(f"{page}/suspend", **EN))
    await do(boss, f"{page}/resume")
    assert "Resumed" in said(text(await boss.get(page, **EN)))


async def test_another_plan_now_or_at_expiry(boss: Browser, page: str, scope: Scope, account: Account) -> None:
    form = PlanForm.model_validate({"name": f"Other {account['username']}", "price": "60"})
    plan = await plans.create(scope, form)
    empty = said(text(await boss.get(f"{page}/plan", **EN)))
    assert "Fill in the form" in empty and f"{plan['name']} · ¥60.00 a month" in empty
    shown = await preview(boss, f"{page}/plan?plan_id={plan['_id']}&when=now&units=1&method=cash")
    assert "To pay ¥60.00" in shown and f"Monthly → {plan['name']}" in shown
    await do(boss, f"{page}/plan", plan_id=plan["_id"], when="expiry")
    assert "Next plan" in text(await boss.get(page, **EN))
    await do(boss, f"{page}/keep-plan")
    assert "Next plan" not in text(await boss.get(page, **EN))
    await do(boss, f"{page}/plan", plan_id=plan["_id"], when="now", units="1")
    assert (await accounts.get(scope, account["_id"]))["plan_id"] == plan["_id"]


async def test_traffic_is_topped_up(boss: Browser, page: str, scope: Scope, account: Account) -> None:
    await set_account(scope, account["_id"], octets_left=2**30)
    shown = await preview(boss, f"{page}/add?octets=2&price=5&method=cash")
    assert "To pay ¥5.00" in shown and "Traffic left 1.0 GB → 3.0 GB" in shown
    await do(boss, f"{page}/add", octets="2", price="5")
    assert (await accounts.get(scope, account["_id"]))["octets_left"] == 3 * 2**30


async def test_handed_to_another_member(boss: Browser, page: str, scope: Scope, account: Account) -> None:
    await do(boss, f"{page}/transfer", login="alice")
    alice = await scope.db.members.one({"login": "alice"})
    assert (await accounts.get(scope, account["_id"]))["member_id"] == alice["_id"]


async def test_closed_with_a_refund_and_deleted(boss: Browser, page: str, scope: Scope, account: Account) -> None:
    shown = await preview(boss, f"{page}/close?refund=12.50&method=cash")
    assert "To pay out ¥12.50" in shown and "Status Normal → Closed" in shown
    kept = await preview(boss, f"{page}/close?refund=12.50&method=balance")
    assert "Balance ¥0.00 → ¥12.50" in kept and "To pay" not in kept
    await do(boss, f"{page}/close", refund="12.50", method="cash")
    html = text(await boss.get(page, **EN))
    assert f'href="{page}/delete"' in html and f'href="{page}/renew"' not in html
    gone = await do(boss, f"{page}/delete", confirm=account["username"])
    assert gone == page.rpartition("/")[0]
    assert (await boss.get(page)).code == 404


async def test_automatic_renewal_is_switched_on_and_off_and_says_what_is_missing(
    boss: Browser, own: Business, page: str, scope: Scope, account: Account
) -> None:
    listed = f"{page.rpartition('/')[0]}?q={account['username']}&renews="
    assert "Automatic renewal off · Switch it on" in said(text(await boss.get(page, **EN)))
    assert "Automatic renewal off → on" in said(text(await boss.get(f"{page}/renews", **EN)))
    assert await do(boss, f"{page}/renews") == page
    assert "Automatic renewal on · ¥30.00 missing · Switch it off" in said(text(await boss.get(page, **EN)))
    assert account["_id"] in text(await boss.get(f"{listed}yes"))
    await do(boss, f"/t/{own.slug}/admin/members/{account['member_id']}/top-up", amount="30", method="cash")
    assert "Automatic renewal on · Switch it off" in said(text(await boss.get(page, **EN)))
    await plans.set_status(scope, account["plan_id"], "retired")
    assert "自动续费 开启 · 套餐已停售 · 关闭" in said(text(await boss.get(page, **ZH)))
    await plans.set_status(scope, account["plan_id"], "active")
    assert await do(boss, f"{page}/renews-not") == page
    assert "Automatic renewal off · Switch it on" in said(text(await boss.get(page, **EN)))
    assert account["_id"] not in text(await boss.get(f"{listed}yes"))
    assert account["_id"] in text(await boss.get(f"{listed}no"))


async def test_who_is_suspended_for_long_is_shown_when_it_ends(
    boss: Browser, ps: PlatformScope, own: Business, page: str
) -> None:
    await do(boss, f"{page}/suspend")
    assert "Is closed on" not in said(text(await boss.get(page, **EN)))
    await ps.db.tenants.update(own.id, {"$set": {"parameters.suspend_days": 400}})
    closes = (utcnow().astimezone(ZoneInfo(ZONE)) + timedelta(days=400)).date().isoformat()
    assert f"Is closed on {closes}" in said(text(await boss.get(page, **EN)))
    assert f"自动销户日期 {closes}" in said(text(await boss.get(page, **ZH)))
    await ps.db.tenants.update(own.id, {"$set": {"parameters.suspend_days": 0}})


async def test_only_a_closed_account_is_deleted(boss: Browser, page: str, account: Account) -> None:
    fields = {**await form_of(boss, f"{page}/delete"), "confirm": account["username"]}
    answer = await boss.post(f"{page}/delete", fields, **EN)
    assert answer.code == 409 and "Only a closed account can be deleted." in text(answer)


async def test_money_is_taken_onto_the_balance(boss: Browser, own: Business, scope: Scope, account: Account) -> None:
    place = f"/t/{own.slug}/admin/members/{account['member_id']}"
    assert await do(boss, f"{place}/top-up", amount="100", method="alipay") == place
    assert "已收款 ¥100.00，余额 ¥100.00。" in text(await boss.get(place))
    entry = (await scope.db.ledger.find({"member_id": account["member_id"]}, limit=1))[0]
    assert (entry["kind"], entry["amount"], entry["method"]) == ("payment", 10_000, "alipay")


async def test_a_balance_is_changed_by_hand(boss: Browser, own: Business, scope: Scope, account: Account) -> None:
    place = f"/t/{own.slug}/admin/members/{account['member_id']}"
    await do(boss, f"{place}/top-up", amount="100", method="cash")
    paid_out = {"change": "pay_out", "amount": "30", "method": "transfer", "note": "moved away"}
    assert await do(boss, f"{place}/balance", **paid_out) == place
    assert "当前余额 ¥70.00。" in text(await boss.get(place))
    for values, code in (
        ({"change": "take", "note": ""}, 422),
        ({"change": "transfer", "login": "nobody"}, 422),
        ({"change": "pay_out", "amount": "70.01"}, 409),
    ):
        fields = {**await form_of(boss, f"{place}/balance"), "amount": "1", "note": "x", **values}
        assert (await boss.post(f"{place}/balance", fields)).code == code, values
    entry = (await scope.db.ledger.find({"member_id": account["member_id"]}, limit=1))[0]
    assert (entry["kind"], entry["amount"], entry["note"]) == ("refund", -3000, "moved away")


async def test_bad_input_is_told_at_its_field(
    boss: Browser, own: Business, page: str, scope: Scope, account: Account
) -> None:
    async def rows() -> Any:
        return [
            await scope.db.accounts.get(account["_id"]),
            await scope.db.ledger.count({}),
            await scope.db.deeds.count(),
        ]

    numbers = ["abc", "-1", HTML, "1e999", "NaN"]
    money = [*numbers, "0.001", "99999999999999"]
    method = ["barter", HTML]
    await refuse(
        boss,
        f"{page}/renew",
        {"units": "1"},
        {"units": [*numbers, "0", "37"], "paid": [*money, "30.01"], "method": method},
        rows,
    )
    bad = {"octets": numbers, "seconds": numbers, "days": [*numbers, "1101"], "price": money, "method": method}
    await refuse(boss, f"{page}/add", {"days": "1"}, bad, rows)
    bad = {
        "plan_id": ["", "x" * 65, HTML, "pln_none"],
        "when": ["never", HTML],
        "units": [*numbers, "37"],
        "paid": money,
    }
    await refuse(boss, f"{page}/plan", {"plan_id": own.plan["_id"], "units": "1"}, bad, rows)
    await refuse(boss, f"{page}/close", {}, {"refund": [*money, "30.01"], "note": ["x" * 501, HTML]}, rows)
    await refuse(boss, f"{page}/transfer", {"login": "alice"}, {"login": ["", "nobody", HTML, "a b"]}, rows)
    place = f"/t/{own.slug}/admin/members/{account['member_id']}/top-up"
    bad = {"amount": ["", "0", *money], "method": ["balance", HTML], "note": ["x" * 65, HTML]}
    await refuse(boss, place, {"amount": "1"}, bad, rows)


async def test_who_may_only_read_sees_no_buttons(
    web: str, ps: PlatformScope, own: Business, page: str, scope: Scope
) -> None:
    reading = operators.GroupForm(name=new_id("grp"), permissions=[Permission.ACCOUNTS_READ])
    group = await operators.create_group(scope, reading)
    reader = await operator_browser(web, ps, own, new_id("op")[-10:], group["_id"])
    html = text(await reader.get(page))
    assert f"{page}/renew" not in html and "top-up" not in html and "op-menu-card" in html
    assert (await reader.get(f"{page}/renew")).code == 403


async def test_a_term_that_waits_says_what_for(boss: Browser, own: Business, scope: Scope) -> None:
    form = PlanForm.model_validate({"name": new_id("w"), "price": "30", "starts": "first_login"})
    plan = await plans.create(scope, form)
    base = f"/t/{own.slug}/admin/accounts"
    shown = await preview(boss, f"{base}/open/price?plan_id={plan['_id']}&units=2")
    assert "Good until 2 months from the first log-in" in shown
    opening = QuickOpenForm(username=new_id("u")[-12:], plan_id=plan["_id"], units=2)
    account, _ = await accounts.quick_open(scope, opening, new_id("open"))
    assert "2 months from the first log-in" in text(await boss.get(f"{base}/{account['_id']}", **EN))
    shown = await preview(boss, f"{base}/{account['_id']}/renew")
    assert "2 months from the first log-in → 3 months from the first log-in" in shown


async def test_who_is_online_is_told_of(
    boss: Browser, page: str, ps: PlatformScope, own: Business, account: Account
) -> None:
    assert "sessions are open" not in await preview(boss, f"{page}/suspend")
    await online(ps, own, "told", account["username"])
    assert "Sessions that are open: 1. They are forced off." in await preview(boss, f"{page}/suspend")
