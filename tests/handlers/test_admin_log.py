"""The operation log: list and entry."""

from __future__ import annotations

import re

import pytest
from tornado.httpclient import HTTPResponse

from saas.permissions import Permission
from saas.tenants import chain, operators, plans
from saas.tenants.schedules import Occasion
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow
from tests.browser import Browser, text
from tests.world import Business

EN = {"Accept_Language": "en"}


@pytest.fixture
def page(own: Business) -> str:
    return f"/t/{own.slug}/admin/log"


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


def listed(answer: HTTPResponse) -> str:
    """The rows, without the filters above them."""
    return text(answer).partition('<div id="list"')[2]


async def test_who_did_what_when_and_from_where(boss: Browser, page: str, own: Business) -> None:
    shown = text(await boss.get(f"{page}?q=alice", **EN))
    for words in ("Opened an account", own.email, "192.0.2.1", "alice"):
        assert words in shown, words


async def test_the_log_is_searched_and_filtered(boss: Browser, page: str, scope: Scope) -> None:
    await plans.create(scope, plans.PlanForm(name="Logged plan", price=0))
    found = listed(await boss.get(f"{page}?q=Logged plan".replace(" ", "%20"), **EN))
    assert "Added a plan" in found and "Opened an account" not in found
    found = listed(await boss.get(f"{page}?noun=plan", **EN))
    assert "Logged plan" in found and "Opened an account" not in found
    assert "Nothing matches." in text(await boss.get(f"{page}?until=2001-01-01", **EN))
    assert (await boss.get(f"{page}?noun=planet")).code == 400


async def test_an_entry_shows_before_and_after_in_words(boss: Browser, page: str, scope: Scope, own: Business) -> None:
    form = {"name": "Changed plan", "price": "10.00", "up_rate": "5", "nas_ids": [own.nas["_id"]]}
    plan = await plans.create(scope, plans.PlanForm.model_validate(form))
    await plans.update(scope, plan["_id"], plans.PlanForm.model_validate(form | {"price": "12.50", "up_rate": "7.5"}))
    await plans.set_status(scope, plan["_id"], "retired")
    entries = {row["action"]: row["_id"] for row in await scope.db.audit.find({"target": plan["_id"]})}
    shown = re.sub(r"\s+", " ", text(await boss.get(f"{page}/{entries['plan.update']}", **EN)))
    for words in ("Changed a plan", "Price", "¥10.00", "¥12.50", "5 Mbps", "7.5 Mbps"):
        assert words in shown, words
    assert "East gate" in text(await boss.get(f"{page}/{entries['plan.create']}", **EN))
    (added,) = await scope.db.audit.find({"action": "nas.create"}, limit=1)
    assert "MikroTik RouterOS" in text(await boss.get(f"{page}/{added['_id']}", **EN))
    assert "Not on sale" in text(await boss.get(f"{page}/{entries['plan.retire']}", **EN))


async def test_the_list_tells_what_became_of_what(boss: Browser, page: str, scope: Scope) -> None:
    """In short, and only what was something else before: what is new is on the entry's page."""
    form = {"name": "Told plan", "price": "10.00", "note": "old" * 40}
    plan = await plans.create(scope, plans.PlanForm.model_validate(form))
    assert "→" not in listed(await boss.get(f"{page}?q=Told%20plan", **EN))
    await plans.update(scope, plan["_id"], plans.PlanForm.model_validate({**form, "price": "12.50"}))
    await plans.update(scope, plan["_id"], plans.PlanForm.model_validate({**form, "note": ""}))
    found = listed(await boss.get(f"{page}?q=Told%20plan", **EN))
    assert "Price: ¥10.00 → ¥12.50" in found and "oldold…" in found and "old" * 40 not in found


async def test_money_on_a_balance_is_told_as_money(boss: Browser, page: str, scope: Scope, own: Business) -> None:
    form = {"amount": "20.00", "method": "cash", "_attempt": "logtopup"}
    answer = await boss.post(page.replace("/log", f"/members/{own.account['member_id']}/top-up"), form)
    assert answer.code == 303
    entry = await scope.db.audit.one({"action": "member.top_up"})
    shown = re.sub(r"\s+", " ", text(await boss.get(f"{page}/{entry['_id']}", **EN)))
    assert "Balance" in shown and "¥0.00</del>" in shown and "¥20.00</ins>" in shown


async def test_no_secret_is_in_the_log(boss: Browser, page: str, scope: Scope) -> None:
    row = (await scope.db.audit.find({"action": "account.open"}, limit=1))[0]
    shown = text(await boss.get(f"{page}/{row['_id']}", **EN))
    assert "Password" in shown and "•" in shown and "alice-secret" not in shown


async def test_the_export_holds_the_words(boss: Browser, page: str) -> None:
    head, *rows = text(await boss.get(f"{page}?q=alice&noun=account&format=csv", **EN)).splitlines()
    assert head == "\ufeffTime,Who,As,From where,What,On what,What it changed,Number,Hash"
    (row,) = [row for row in rows if ",192.0.2.1,Opened an account,alice," in row]
    assert "Plan:  → Monthly" in row and "Password:  → •" in row


async def test_it_is_filtered_by_who_and_what(boss: Browser, page: str, scope: Scope, own: Business) -> None:
    plan = await plans.create(scope, plans.PlanForm(name="Filtered plan", price=0))
    await plans.set_status(scope, plan["_id"], "retired")
    found = listed(await boss.get(f"{page}?action=plan.retire", **EN))
    assert "Filtered plan" in found and "Opened an account" not in found
    assert "Filtered plan" in text(await boss.get(f"{page}?actor={own.email}&noun=plan", **EN))
    assert "Nothing matches." in text(await boss.get(f"{page}?actor=bob&noun=plan", **EN))
    for wrong in ("actor=nobody", "action=plan.paint"):
        assert (await boss.get(f"{page}?{wrong}")).code == 400


async def test_a_set_shows_what_came_and_what_went(boss: Browser, page: str, scope: Scope) -> None:
    form = operators.GroupForm(name="Night", permissions=[Permission.PLANS_READ, Permission.NAS_READ])
    group = await operators.create_group(scope, form)
    form = operators.GroupForm(name="Night", permissions=[Permission.PLANS_READ, Permission.NAS_SECRET])
    await operators.update_group(scope, group["_id"], form)
    entry = await scope.db.audit.one({"target": group["_id"], "action": "group.update"})
    shown = re.sub(r"\s+", " ", text(await boss.get(f"{page}/{entry['_id']}", **EN)))
    assert "NAS device: View</del>" in shown and "NAS device: Show secrets</ins>" in shown
    assert "1 as before" in shown and "Plan: View" not in shown


async def test_the_page_says_how_the_chain_stands(boss: Browser, page: str, ps: PlatformScope, scope: Scope) -> None:
    plan = await plans.create(scope, plans.PlanForm(name="Chained plan", price=0))
    entry = await scope.db.audit.one({"target": plan["_id"]})
    assert "Not yet" in text(await boss.get(f"{page}/{entry['_id']}", **EN))
    while await chain._link(scope):
        pass
    assert "Fits the entry before it" in text(await boss.get(f"{page}/{entry['_id']}", **EN))
    head = (await chain.state(scope)).head
    assert head and head["hash"] in text(await boss.get(page, **EN))
    now = utcnow()
    await chain.check_due(scope, Occasion(now, now, now))
    assert "Complete" in text(await boss.get(page, **EN))
    await scope.db.audit_heads.update_one({"_id": scope.tenant_id}, {"$set": {"fault": 2}})
    assert "entry number 2 was changed or removed" in text(await boss.get(page, **EN))
