"""The operation log: list and entry."""

from __future__ import annotations

import re

import pytest

from saas.tenants import plans
from saas.tenants.scope import Scope
from tests.browser import Browser, text
from tests.world import Business

EN = {"Accept_Language": "en"}


@pytest.fixture
def page(own: Business) -> str:
    return f"/t/{own.slug}/admin/log"


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


async def test_who_did_what_when_and_from_where(boss: Browser, page: str, own: Business) -> None:
    shown = text(await boss.get(f"{page}?q=alice", **EN))
    for words in ("Opened an account", own.email, "192.0.2.1", "alice"):
        assert words in shown, words


async def test_the_log_is_searched_and_filtered(boss: Browser, page: str, scope: Scope) -> None:
    await plans.create(scope, plans.PlanForm(name="Logged plan", price=0))
    found = text(await boss.get(f"{page}?q=Logged plan".replace(" ", "%20"), **EN))
    assert "Added a plan" in found and "Opened an account" not in found
    found = text(await boss.get(f"{page}?noun=plan", **EN))
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
    assert "Not on sale" in text(await boss.get(f"{page}/{entries['plan.retire']}", **EN))


async def test_no_secret_is_in_the_log(boss: Browser, page: str, scope: Scope) -> None:
    row = (await scope.db.audit.find({"action": "account.open"}, limit=1))[0]
    shown = text(await boss.get(f"{page}/{row['_id']}", **EN))
    assert "Password" in shown and "•" in shown and "alice-secret" not in shown


async def test_the_export_holds_the_words(boss: Browser, page: str) -> None:
    head, *rows = text(await boss.get(f"{page}?q=alice&noun=account&format=csv", **EN)).splitlines()
    assert head == "\ufeffTime,Who,As,From where,What,On what"
    assert any(row.endswith(",192.0.2.1,Opened an account,alice") for row in rows)
