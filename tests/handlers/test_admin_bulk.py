"""The pages of bulk operations: chosen in the list, shown beforehand, followed, and listed account by account."""

from __future__ import annotations

import csv
import io
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from saas.permissions import Permission
from saas.tenants import accounts, bulk, bulk_work, operators, plans
from saas.tenants.bulk import Choice
from saas.tenants.plan_form import PlanForm
from saas.tenants.purchases import UnitsForm
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import operator_browser
from tests.handlers.test_admin_life import form_of
from tests.world import Business

pytestmark = pytest.mark.slow

EN = {"Accept_Language": "en"}
ZH = {"Accept_Language": "zh"}


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


@pytest.fixture
async def three(own: Business) -> list[str]:
    """Three new accounts with a common beginning of their names; their ids."""
    name = new_id("u")[-12:]
    forms = [accounts.QuickOpenForm(username=f"{name}-{n}", plan_id=own.plan["_id"]) for n in range(3)]
    return [(await accounts.quick_open(own.scope, form, new_id("open")))[0]["_id"] for form in forms]


async def beginning(scope: Scope, ids: list[str]) -> str:
    return str((await accounts.get(scope, ids[0]))["username"]).partition("-")[0]


async def run_of(scope: Scope, place: str) -> bulk.Run:
    return await bulk.get(scope, place.rpartition("/")[2])


async def over(ps: PlatformScope, scope: Scope) -> None:
    """Every run of the business is worked off."""
    while await scope.db.bulk_runs.count({"open": True}):
        await bulk_work.turn(ps)


async def ask(browser: Browser, address: str, **fields: Any) -> str:
    """Send the page's form; the run's page."""
    hidden = dict(
        re.findall(r'<input type="hidden" name="(_attempt)" value="([^"]*)">', text(await browser.get(address)))
    )
    answer = await browser.post(address, {**hidden, **fields})
    assert answer.code == 303, text(answer)
    return str(answer.headers["Location"])


def said(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_chosen_accounts_are_renewed(
    boss: Browser, admin: str, ps: PlatformScope, scope: Scope, three: list[str]
) -> None:
    name = await beginning(scope, three)
    html = text(await boss.get(f"{admin}/accounts?q={name}", **EN))
    for words in (f'value="{three[0]}" form="picked"', f'formaction="{admin}/bulk/renew"', f'value="q={name}"'):
        assert words in html, words
    assert "/bulk/renew" not in text(await boss.get(f"{admin}/accounts?q=nobody", **EN))
    address = f"{admin}/bulk/renew?" + urlencode({"where": "status=closed", "id": three[:2]}, doseq=True)
    shown = said(text(await boss.get(address, **EN)))
    assert "Accounts 2 " in shown and "To pay in all ¥60.00" in shown and "To pay ¥" not in shown
    assert f"{name}-0" in shown and f"{name}-1" in shown and f"{name}-2" not in shown and "Expires 20" in shown
    shown = said(text(await boss.get(f"{address}&units=3&method=cash", HX_Request="true", **ZH)))
    assert "应收合计 ¥180.00" in shown
    wrong = said(text(await boss.get(f"{address}&units=99&method=cash", HX_Request="true", **EN)))
    assert "Some fields need your attention." in wrong and "To pay in all" not in wrong
    place = await ask(boss, address, units="3", method="wechat")
    waiting = said(text(await boss.get(place, **EN)))
    assert "Waiting 0 of 0 accounts (still counting)" in waiting and "WeChat" in waiting and "Stop it" in waiting
    assert 'hx-trigger="every 2s"' in text(await boss.get(place))
    await over(ps, scope)
    ended = said(text(await boss.get(place, **EN)))
    assert "Ended 2 of 2 accounts" in ended and "Stop it" not in ended and "Do the rest" not in ended
    assert 'hx-trigger="load"' in text(await boss.get(place, HX_Request="true"))
    assert "hx-trigger" not in text(await boss.get(place)).split('id="progress"')[1].split(">")[0]
    assert "批量续费" in text(await boss.get(f"{admin}/bulk", **ZH))
    assert "Asked for the renewal of many accounts" in text(await boss.get(f"{admin}/log?noun=bulk", **EN))
    paid = await scope.db.ledger.find({"account_id": three[0], "kind": "payment"}, limit=1)
    assert (paid[0]["amount"], paid[0]["method"]) == (9000, "wechat")


@pytest.mark.parametrize("price", ["30.00", "0.00"])
async def test_what_became_dearer_meanwhile_is_not_done_before_it_is_shown(
    boss: Browser, own: Business, price: str
) -> None:
    """Another sum than the page showed is agreed to by nobody; the same click, shown anew, is done."""
    values = {"name": f"Dearer {new_id('p')}", "price": price}
    plan = await plans.create(own.scope, PlanForm.model_validate(values))
    opening = accounts.QuickOpenForm(username=new_id("u")[-12:], plan_id=plan["_id"])
    account, _ = await accounts.quick_open(own.scope, opening, new_id("open"))
    address = f"/t/{own.slug}/admin/bulk/renew?{urlencode({'id': account['_id']})}"
    seen = await form_of(boss, address)
    await plans.update(own.scope, plan["_id"], PlanForm.model_validate({**values, "price": "45"}))
    before = await own.scope.db.bulk_runs.count({})
    answer = await boss.post(address, {**seen, "units": "1", "method": "cash"}, **EN)
    assert answer.code == 409 and f"it was ¥{price} and is ¥45.00 now. Nothing has been done." in text(answer)
    assert await own.scope.db.bulk_runs.count({}) == before
    agreed = {**await form_of(boss, address), "units": "1", "method": "cash"}
    assert (await boss.post(address, agreed)).code == 303


async def test_all_that_match_are_suspended_and_the_refused_are_listed(
    boss: Browser, admin: str, ps: PlatformScope, scope: Scope, three: list[str]
) -> None:
    name = await beginning(scope, three)
    where = urlencode({"where": f"q={name}"})
    assert text(await boss.get(f"{admin}/bulk/count?{where}")) == "3"
    await scope.db.accounts.update(three[1], {"$set": {"status": "suspended", "suspended_at": None}})
    address = f"{admin}/bulk/suspend?all=1&{where}"
    shown = said(text(await boss.get(address, **EN)))
    assert "Accounts 3 " in shown and "1 of them will be refused" in shown and "is suspended already" in shown
    place = await ask(boss, address, note="works")
    await over(ps, scope)
    html = said(text(await boss.get(place, **EN)))
    assert "3 of 3 accounts" in html and "Do the rest" in html and "works" in html
    refused = text(await boss.get(f"{place}?state=refused", **EN))
    assert f"{name}-1 is suspended already. Resume it first." in refused and f"{name}-0" not in refused
    table = list(csv.reader(io.StringIO(text(await boss.get(f"{place}?format=csv", **EN)).removeprefix("\ufeff"))))
    assert [row[:3] for row in table] == [
        ["Account", "State", "Reason"],
        [f"{name}-0", "Done", ""],
        [f"{name}-1", "Refused", f"{name}-1 is suspended already. Resume it first."],
        [f"{name}-2", "Done", ""],
    ]
    rest = text(await boss.get(f"{admin}/bulk/suspend?rest_of={place.rpartition('/')[2]}", **EN))
    assert ">works</textarea>" in rest and "Accounts 1 " in said(rest) and f"{name}-0" not in rest


async def test_it_is_stopped_on_demand(
    boss: Browser, admin: str, ps: PlatformScope, scope: Scope, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_work, "_DONE", 1)
    choice = Choice(ids=three)
    run = await bulk.ask(scope, "renew", UnitsForm(), choice, new_id("ask"))
    for _ in range(3):
        await bulk_work.turn(ps)
    place = f"{admin}/bulk/{run['_id']}"
    assert "What has been done stays." in text(await boss.get(f"{place}/cancel", **EN))
    answer = await boss.post(f"{place}/cancel", {})
    assert (answer.code, answer.headers["Location"]) == (303, place)
    html = said(text(await boss.get(place, **EN)))
    assert re.search("Stopped [12] of 3 accounts", html) and "Do the rest" in html and "Not done" in html
    assert (await boss.post(f"{place}/cancel", {}, **EN)).code == 409
    rest = await ask(boss, f"{admin}/bulk/renew?rest_of={run['_id']}", units="1", method="cash")
    await over(ps, scope)
    assert (await run_of(scope, rest))["ok"] + (await bulk.get(scope, run["_id"]))["ok"] == 3


async def test_another_plan_and_a_message(
    boss: Browser, admin: str, ps: PlatformScope, scope: Scope, three: list[str]
) -> None:
    plan = await plans.create(scope, PlanForm.model_validate({"name": new_id("plan"), "price": "60"}))
    address = f"{admin}/bulk/change_plan?" + urlencode({"id": three}, doseq=True)
    html = text(await boss.get(address, **EN))
    assert f"{plan['name']} · ¥60.00 a month" in html and "To pay in all" not in html
    chosen = urlencode({"plan_id": plan["_id"], "when": "now", "units": "1", "method": "cash"})
    assert "To pay in all ¥180.00" in said(text(await boss.get(f"{address}&{chosen}", HX_Request="true", **EN)))
    place = await ask(boss, address, plan_id=plan["_id"], when="now", units="1", method="cash")
    await over(ps, scope)
    html = text(await boss.get(place, **EN))
    assert plan["name"] in html and "3 of 3 accounts" in html
    assert (await accounts.get(scope, three[2]))["plan_id"] == plan["_id"]
    address = f"{admin}/bulk/message?" + urlencode({"id": three}, doseq=True)
    assert "What happens" not in text(await boss.get(address, **EN))
    place = await ask(boss, address, subject="Tonight", text="From 2 to 3.")
    await over(ps, scope)
    assert "has no mail address, and there is no webhook." in text(await boss.get(place, **EN))


async def test_a_double_click_asks_once(
    boss: Browser, admin: str, scope: Scope, ps: PlatformScope, three: list[str]
) -> None:
    address = f"{admin}/bulk/suspend?id={three[0]}"
    before = await scope.db.bulk_runs.count({})
    fields = {"_attempt": new_id("a").replace("_", ""), "note": ""}
    answers = [await boss.post(address, fields) for _ in range(2)]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert await scope.db.bulk_runs.count({}) == before + 1
    await over(ps, scope)


async def test_bad_input_is_told_at_its_field(
    boss: Browser, admin: str, own: Business, scope: Scope, three: list[str]
) -> None:
    async def rows() -> Any:
        return await scope.db.bulk_runs.count({})

    chosen = f"id={three[0]}"
    bad = {"units": ["abc", "0", "37", HTML], "method": ["barter", HTML], "paid": ["1"]}
    unknown = bad.pop("paid")
    await refuse(boss, f"{admin}/bulk/renew?{chosen}", {"units": "1"}, bad, rows)
    assert (await boss.post(f"{admin}/bulk/renew?{chosen}", {"units": "1", "paid": unknown})).code == 422
    bad = {"plan_id": ["", "pln_none", HTML], "when": ["never"], "units": ["37"]}
    await refuse(boss, f"{admin}/bulk/change_plan?{chosen}", {"plan_id": own.plan["_id"]}, bad, rows)
    bad = {"subject": ["", "x" * 65, HTML], "text": ["", "x" * 2001, HTML]}
    await refuse(boss, f"{admin}/bulk/message?{chosen}", {"subject": "a", "text": "b"}, bad, rows)
    await refuse(boss, f"{admin}/bulk/suspend?{chosen}", {}, {"note": ["x" * 501, HTML]}, rows)


async def test_bad_choices(boss: Browser, admin: str) -> None:
    for query in ("", "id=acc_none", "all=1&where=q%3Dnobody", urlencode({"id": [HTML, "$gt"]}, doseq=True)):
        answer = await boss.get(f"{admin}/bulk/renew?{query}")
        assert (answer.code, answer.headers.get("Location")) == (303, f"{admin}/accounts"), query
    assert "请先勾选账号" in text(await boss.get(f"{admin}/accounts"))
    assert (await boss.get(f"{admin}/bulk/renew?all=1&where=password%3Dx")).code == 400
    assert (await boss.get(f"{admin}/bulk/count?where=%24where%3Dx")).code == 400
    assert (await boss.get(f"{admin}/bulk/renew?" + urlencode({"id": range(201)}, doseq=True))).code == 400
    assert (await boss.get(f"{admin}/bulk/renew?rest_of=blk_none")).code == 303
    assert (await boss.post(f"{admin}/bulk/renew?rest_of=blk_none", {"units": "1"})).code == 404
    assert (await boss.post(f"{admin}/bulk/renew", {"units": "1"})).code == 409


async def test_each_verb_takes_its_permission(
    web: str, ps: PlatformScope, own: Business, admin: str, scope: Scope, three: list[str]
) -> None:
    async def person(*permissions: Permission) -> Browser:
        form = operators.GroupForm(name=new_id("grp"), permissions=list(permissions))
        group = await operators.create_group(scope, form)
        return await operator_browser(web, ps, own, new_id("op")[-10:], group["_id"])

    reader, blind = await person(Permission.ACCOUNTS_READ), await person(Permission.MEMBERS_WRITE)
    teller = await person(Permission.ACCOUNTS_READ, Permission.MEMBERS_WRITE)
    assert (await teller.get(f"{admin}/bulk/message?id={three[0]}")).code == 200
    for answer in (await blind.get(f"{admin}/bulk/message?id={three[0]}"), await blind.get(f"{admin}/bulk")):
        assert answer.code == 403
    assert (await blind.post(f"{admin}/bulk/message?id={three[0]}", {"subject": "a", "text": "b"})).code == 403
    assert "picked" not in text(await reader.get(f"{admin}/accounts"))
    html = text(await teller.get(f"{admin}/accounts"))
    assert f"{admin}/bulk/message" in html and f"{admin}/bulk/renew" not in html
    assert (await teller.get(f"{admin}/bulk/renew?id={three[0]}")).code == 403
    assert (await reader.get(f"{admin}/bulk/message?id={three[0]}")).code == 403
    run = await bulk.ask(scope, "renew", UnitsForm(), Choice(ids=three), new_id("ask"))
    place = f"{admin}/bulk/{run['_id']}"
    assert "Stop it" not in text(await teller.get(place, **EN))
    assert (await teller.post(f"{place}/cancel", {})).code == 403
    assert (await bulk.get(scope, run["_id"]))["open"]
    await over(ps, scope)
    assert f'href="{admin}/bulk/{run["_id"]}"' in text(await reader.get(f"{admin}/bulk"))
