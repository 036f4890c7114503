"""The pages of recharge cards: made, printed once, activated, voided; redeemed with a look at what it does before."""

from __future__ import annotations

import base64
import csv
import io
import re
from datetime import timedelta

import pytest

from saas.permissions import Permission
from saas.tenants import card_codes, card_making, cards, members, operators, plans
from saas.tenants.accounts import Account, QuickOpenForm, quick_open
from saas.tenants.card_making import BatchForm
from saas.tenants.cards import Batch
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id, utcnow
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import operator_browser
from tests.handlers.test_admin_life import EN, ZH, do, form_of, said
from tests.tenants.card_cast import Made, make
from tests.world import Business

pytestmark = pytest.mark.slow


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


@pytest.fixture
async def account(own: Business) -> Account:
    """A new account, paid for a month."""
    name = new_id("u")[-12:]
    return (await quick_open(own.scope, QuickOpenForm(username=name, plan_id=own.plan["_id"]), f"open{name}"))[0]


async def batch_at(scope: Scope, address: str) -> Batch:
    return await cards.get_batch(scope, address.rpartition("/")[2])


async def test_a_batch_is_made_once_by_a_double_click(boss: Browser, admin: str, scope: Scope) -> None:
    html = text(await boss.get(f"{admin}/card-batches/new", **EN))
    next_year = (utcnow() + timedelta(days=365)).strftime("%Y")
    assert re.search(rf'name="expires_on"[^>]*value="{next_year}|value="{next_year}[^>]*name="expires_on"', html)
    fields = {**await form_of(boss, f"{admin}/card-batches/new"), "kind": "balance", "amount": "50", "count": "4"}
    fields |= {"prefix": "twice", "price": "45"}
    before = await scope.db.cards.count()
    answers = [await boss.post(f"{admin}/card-batches/new", fields) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {answers[0].headers["Location"]}
    batch = await batch_at(scope, answers[0].headers["Location"])
    assert (batch["amount"], batch["price"], batch["prefix"]) == (5000, 4500, "TWICE")
    assert await scope.db.cards.count() == before + 4
    page = said(text(await boss.get(answers[0].headers["Location"], **EN)))
    assert "TWICE-00001 – TWICE-00004" in page and "Not activated 4" in page and "Codes taken out not yet" in page
    assert "¥45.00" in said(text(await boss.get(f"{admin}/card-batches?q=twi", **EN)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "balance", "count": "1"}, "Please fill this in."),
        ({"kind": "balance", "count": "10001", "amount": "5"}, "at most 10000"),
        ({"kind": "balance", "count": "1", "amount": "5", "price": "6"}, "more than the card is worth"),
        ({"kind": "balance", "count": "1", "amount": "5", "expires_on": "2020-01-01"}, "This day is over."),
        ({"kind": "plan", "count": "1"}, "Please fill this in."),
        ({"kind": "balance", "count": "1", "amount": "5", "prefix": "a b"}, "not allowed here"),
    ],
)
async def test_what_cannot_be_made_is_told_at_its_field(
    boss: Browser, admin: str, scope: Scope, fields: dict[str, str], words: str
) -> None:
    before = await scope.db.card_batches.count()
    form = {**await form_of(boss, f"{admin}/card-batches/new"), **fields}
    answer = await boss.post(f"{admin}/card-batches/new", form, **EN)
    assert answer.code == 422 and words in text(answer)
    assert await scope.db.card_batches.count() == before


async def test_codes_are_printed_and_exported_once(boss: Browser, admin: str, scope: Scope) -> None:
    form = {**await form_of(boss, f"{admin}/card-batches/new"), "kind": "balance", "amount": "50", "count": "3"}
    page = (await boss.post(f"{admin}/card-batches/new", form)).headers["Location"]
    assert "The codes are shown this once." in text(await boss.get(f"{page}/codes", **EN))
    batch = await batch_at(scope, page)
    shown = await boss.post(f"{page}/codes", {}, **EN)
    html = text(shown)
    codes = re.findall(r'op-coupon-code">([A-Z0-9-]{19})<', html)
    assert shown.code == 200 and len(set(codes)) == 3 and html.count("¥50.00") == 3
    packed = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', html)
    assert packed is not None
    file = base64.b64decode(packed[1].replace("&#43;", "+")).decode()
    assert file.startswith("\ufeffCard number,Card code,Value,List price,Good until\r\n")
    rows = list(csv.reader(io.StringIO(file)))[1:]
    assert [row[1] for row in rows] == codes and rows[0][2:] == ["¥50.00", "50.00", ""]
    assert rows[0][0] == f"{batch['prefix']}-00001"
    again = await boss.post(f"{page}/codes", {}, **EN)
    assert again.code == 409 and "taken out already" in text(again) and codes[0] not in text(again)
    assert "These codes cannot be shown again." in text(await boss.get(f"{page}/codes", **EN))
    for address in (
        page,
        f"{admin}/cards",
        f"{admin}/cards?format=csv",
        f"{admin}/card-batches?format=csv",
        f"{admin}/log",
    ):
        assert codes[0] not in text(await boss.get(address)), address
    card = await scope.db.cards.one({"hash": cards.code_hash(scope, card_codes.normal_code(codes[2]))})
    assert card["serial"].endswith("-00003")


async def test_a_range_is_activated_and_voided(boss: Browser, admin: str, scope: Scope) -> None:
    made = await make(scope, active=False, count=5)
    page = f"{admin}/card-batches/{made.batch['_id']}"
    asked = said(text(await boss.get(f"{page}/void", **EN)))
    assert "cannot be undone" in asked and "Not activated 5" in asked
    await do(boss, f"{page}/activate", first="2", last="4")
    assert "已激活 3 张卡。" in text(await boss.get(page))
    await do(boss, f"{page}/void", first="4", last="5")
    await do(boss, f"{page}/deactivate", first="2", last="2")
    assert await made.states() == ["inactive", "inactive", "active", "void", "void"]
    for name, fields, words in (
        ("activate", {"first": "4", "last": "5"}, "None of these cards waits to be activated."),
        ("void", {"first": "3", "last": "9"}, "no such range"),
    ):
        answer = await boss.post(f"{page}/{name}", {**await form_of(boss, f"{page}/{name}"), **fields}, **EN)
        assert answer.code in (409, 422) and words in text(answer)


async def test_single_cards_are_found_and_changed(boss: Browser, admin: str, scope: Scope) -> None:
    made = await make(scope, active=False, prefix=new_id("p")[-10:].upper())
    listed = text(await boss.get(f"{admin}/cards?batch_id={made.batch['_id']}&state=inactive&sort=serial", **EN))
    assert [serial for serial in (row["serial"] for row in await made.rows()) if serial in listed] and "Void" in listed
    one, other, _ = await made.rows()
    await do(boss, f"{admin}/cards/{one['_id']}/activate")
    again = await boss.post(f"{admin}/cards/{one['_id']}/activate", {}, **EN)
    assert again.code == 409 and f"Card {one['serial']} is activated already." in text(again)
    await do(boss, f"{admin}/cards/{one['_id']}/deactivate")
    assert "cannot be undone" in text(await boss.get(f"{admin}/cards/{other['_id']}/void", **EN))
    await do(boss, f"{admin}/cards/{other['_id']}/void")
    assert await made.states() == ["inactive", "void", "inactive"]
    assert (await boss.get(f"{admin}/cards?batch_id={new_id('bat')}")).code == 404
    exported = text(await boss.get(f"{admin}/cards?format=csv&q={other['serial']}", **EN))
    assert exported.startswith("\ufeffCard number,") and f"{other['serial']}" in exported and "Void" in exported


async def seen(browser: Browser, page: str, code: str, **fields: str) -> str:
    """What the box beside the form says of a code."""
    return said(text(await browser.post(f"{page}/preview", {"code": code, **fields}, HX_Request="true", **EN)))


async def test_a_plan_card_is_previewed_and_redeemed(
    boss: Browser, admin: str, scope: Scope, own: Business, account: Account
) -> None:
    made = await make(scope, kind="plan", plan_id=own.plan["_id"], units=2, price=5500)
    page = f"{admin}/accounts/{account['_id']}"
    assert f'href="{page}/redeem"' in text(await boss.get(page, **EN))
    own_account = {"account_id": account["_id"]}
    shown = await seen(boss, f"{page}/redeem", card_codes.grouped(made.codes[0]).lower(), **own_account)
    assert "The card is worth Monthly × 2" in shown and "Expires" in shown and "→" in shown
    assert await made.states() == ["active"] * 3, "a preview changes nothing"
    assert "Fill in the form" in await seen(boss, f"{page}/redeem", "", **own_account)
    assert "16 letters and digits" in await seen(boss, f"{page}/redeem", "ABC", **own_account)
    assert await do(boss, f"{page}/redeem", code=card_codes.grouped(made.codes[0]), **own_account) == page
    after = said(text(await boss.get(page, **EN)))
    assert "兑换成功：Monthly × 2。" in after and "Card redeemed · ¥55.00" in after
    ledger = said(text(await boss.get(f"{admin}/ledger?method=card&q={account['username']}", **EN)))
    assert "¥55.00" in ledger and "Recharge card" in ledger
    refused = await boss.post(
        f"{page}/redeem", {**await form_of(boss, f"{page}/redeem"), "code": made.codes[0], **own_account}, **EN
    )
    assert refused.code == 409 and "has been used already" in text(refused)
    listed = said(text(await boss.get(f"{admin}/cards?q={account['username']}", **EN)))
    assert account["username"] in listed and made.batch["prefix"] in listed


async def test_a_balance_card_is_redeemed_on_the_members_page(
    boss: Browser, admin: str, scope: Scope, account: Account
) -> None:
    made = await make(scope)
    page = f"{admin}/members/{account['member_id']}"
    assert f'href="{page}/redeem"' in text(await boss.get(page))
    html = text(await boss.get(f"{page}/redeem", **EN))
    assert f'<option value="{account["_id"]}" selected' in html, "the only account is chosen"
    assert "Balance ¥0.00 → ¥50.00" in await seen(boss, f"{page}/redeem", made.codes[0])
    fields = {**await form_of(boss, f"{page}/redeem"), "code": made.codes[0]}
    answers = [await boss.post(f"{page}/redeem", fields) for _ in range(2)]
    assert [answer.code for answer in answers] == [303, 303], "a double click is one redemption"
    assert "¥50.00" in said(text(await boss.get(page, **EN)))
    assert (await scope.db.members.get(account["member_id"]))["balance"] == 5000


async def test_who_has_no_account_has_a_balance_all_the_same(boss: Browser, admin: str, scope: Scope) -> None:
    row = members.new_member(new_id("m")[-10:], name="", mobile="", note="", password_hash=None)
    await scope.db.members.insert(row)
    page = f"{admin}/members/{row['_id']}/redeem"
    assert '<select class="form-select" id="f-account_id"' in text(await boss.get(page, **EN))
    made = await make(scope)
    await do(boss, page, code=made.codes[0])
    card = (await made.rows())[0]
    assert (card["used_by"], card["member_id"], card["account_id"]) == (row["login"], row["_id"], "")


async def test_a_file_runs_nothing_in_a_spreadsheet(boss: Browser, admin: str, scope: Scope) -> None:
    plan = await plans.create(scope, PlanForm.model_validate({"name": "=1+1", "price": "60"}))
    batch = await card_making.create(scope, BatchForm(kind="plan", plan_id=plan["_id"], count=1), new_id("try"))
    html = text(await boss.post(f"{admin}/card-batches/{batch['_id']}/codes", {}, **EN))
    packed = re.search(r'base64,([^"]+)"', html)
    assert packed is not None and ",'=1+1 × 1," in base64.b64decode(packed[1].replace("&#43;", "+")).decode()


async def test_a_plan_card_asks_for_the_account_and_for_the_change(
    boss: Browser, admin: str, scope: Scope, own: Business, account: Account
) -> None:
    plan = await plans.create(scope, PlanForm.model_validate({"name": new_id("Plan"), "price": "60"}))
    made = await make(scope, kind="plan", plan_id=plan["_id"])
    page = f"{admin}/members/{account['member_id']}/redeem"
    assert "Please choose one." in await seen(boss, page, made.codes[0])
    chosen = {"account_id": account["_id"]}
    assert f"for the plan {plan['name']}" in await seen(boss, page, made.codes[0], **chosen)
    shown = await seen(boss, page, made.codes[0], change_plan="1", **chosen)
    assert f"Monthly → {plan['name']}" in shown
    await do(boss, page, code=made.codes[0], change_plan="1", **chosen)
    assert (await scope.db.accounts.get(account["_id"]))["plan_id"] == plan["_id"]


async def test_guessing_has_to_wait(
    boss: Browser, web: str, ps: PlatformScope, admin: str, scope: Scope, own: Business, account: Account
) -> None:
    group = operators.GroupForm(name=new_id("g"), permissions=[Permission.CARDS_REDEEM, Permission.MEMBERS_READ])
    group_id = (await operators.create_group(scope, group))["_id"]
    clerk = await operator_browser(web, ps, own, f"clerk-{group_id[-6:]}", group_id)
    page = f"{admin}/members/{account['member_id']}/redeem"
    for _ in range(9):
        assert "no card with this code" in await seen(clerk, page, card_codes.new_code())
    form = await form_of(clerk, page)
    wrong = await clerk.post(page, {**form, "code": card_codes.new_code()}, **EN)
    assert wrong.code == 422 and "no card with this code" in text(wrong)
    late = await clerk.post(page, {**form, "code": card_codes.new_code()}, **EN)
    assert late.code == 429 and "try again in 10 minutes" in text(late) and int(late.headers["Retry-After"]) <= 601
    assert "try again in" in await seen(clerk, page, card_codes.new_code())
    await ps.kv.delete(*(f"hit:t:{own.id}:cards:{key}" for key in ("all", "from:127.0.0.1")))


async def test_who_may_only_redeem_sees_no_more(
    web: str, ps: PlatformScope, admin: str, scope: Scope, own: Business, account: Account
) -> None:
    group = operators.GroupForm(name=new_id("g"), permissions=[Permission.CARDS_READ])
    group_id = (await operators.create_group(scope, group))["_id"]
    reader = await operator_browser(web, ps, own, f"reader-{group_id[-6:]}", group_id)
    made: Made = await make(scope, active=False)
    page = f"{admin}/card-batches/{made.batch['_id']}"
    html = text(await reader.get(page, **EN))
    for name in ("codes", "activate", "void"):
        assert f"{page}/{name}" not in html
        assert (await reader.get(f"{page}/{name}")).code == 403
    assert (await reader.post(f"{admin}/accounts/{account['_id']}/redeem/preview", {"code": "x"})).code == 403


async def test_what_people_type_is_harmless(boss: Browser, admin: str, scope: Scope, account: Account) -> None:
    async def rows() -> list[object]:
        return [await getattr(scope.db, name).find(limit=1000) for name in ("card_batches", "cards", "ledger")]

    good = {"kind": "balance", "amount": "5", "count": "1"}
    numbers = ["x", "-1", "1e9", "9" * 30, HTML]
    bad = {
        "count": [*numbers, "0"],
        "amount": ["x", "-1", "9" * 30, HTML, "0", "1.001"],
        "note": ["x" * 501, HTML],
        "kind": ["x"],
    }
    bad |= {"expires_on": ["tomorrow", "2026-02-30", HTML], "prefix": ["-A", "A_B", "x" * 17, HTML]}
    await refuse(boss, f"{admin}/card-batches/new", good, bad, rows)
    codes = ["", "A" * 16, "0" * 16, HTML, "x" * 65]
    page = f"{admin}/accounts/{account['_id']}/redeem"
    await refuse(boss, page, {"account_id": account["_id"]}, {"code": codes}, rows)
    made = await make(scope, count=2, active=False)
    move = f"{admin}/card-batches/{made.batch['_id']}/void"
    await refuse(boss, move, {"first": "1", "last": "2"}, {"last": [*numbers, "0", "3"], "first": ["x", "0"]}, rows)


async def test_pages_speak_chinese(boss: Browser, admin: str, scope: Scope, account: Account) -> None:
    made = await make(scope, active=False)
    page = f"{admin}/card-batches/{made.batch['_id']}"
    for address, words in (
        (f"{admin}/card-batches", "充值卡"),
        (page, "卡密"),
        (f"{page}/void", "无法恢复"),
        (f"{admin}/cards", "未激活"),
        (f"{admin}/accounts/{account['_id']}/redeem", "兑换充值卡"),
    ):
        assert words in text(await boss.get(address, **ZH)), address
