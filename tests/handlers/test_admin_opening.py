"""Quick open: accounts that are opened ahead."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saas.tenants import plans
from saas.tenants.plan_form import PlanForm
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.test_admin_accounts import EN, opening
from tests.world import Business


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


async def test_an_account_is_opened_ahead_and_activated(boss: Browser, admin: str, own: Business) -> None:
    day = (utcnow().astimezone(ZoneInfo("Asia/Shanghai")) + timedelta(days=30)).date().isoformat()
    fields = opening(own, "ahead-1", opens="later", activates_on=day)
    place = str((await boss.post(f"{admin}/accounts/open", fields)).headers["Location"])
    page = text(await boss.get(place, **EN))
    for words in (
        "Cannot get online: the account is not active yet.",
        "Neither suspended nor closed",
        day,
        "2 months from when it is active",
    ):
        assert words in page, words
    assert f"{place}/activate" in page and f"{place}/suspend" not in page
    assert "ahead-1" in text(await boss.get(f"{admin}/accounts?status=pending"))
    shown = text(await boss.get(f"{place}/activate", **EN))
    assert "Not active yet" in shown and "Normal" in shown
    attempt = {"_attempt": "activateahead1"}
    assert (await boss.post(f"{place}/activate", attempt)).code == 303
    assert "Can get online." in text(await boss.get(place, **EN))


async def test_a_price_that_rose_after_it_was_shown_is_not_taken(boss: Browser, admin: str, own: Business) -> None:
    values = {"name": "Dearer at the counter", "price": "30"}
    plan = await plans.create(own.scope, PlanForm.model_validate(values))
    box = f"{admin}/accounts/open/price?plan_id={plan['_id']}&units=2&opens=now"
    found = re.search(r'name="_shown" value="([^"]+)" form="form"', text(await boss.get(box, HX_Request="true")))
    await plans.update(own.scope, plan["_id"], PlanForm.model_validate({**values, "price": "45"}))
    fields = opening(own, "dearer-1", plan_id=plan["_id"], name="Dora") | {"_shown": found[1] if found else ""}
    answer = await boss.post(f"{admin}/accounts/open", fields, **EN)
    assert answer.code == 409 and "it was ¥60.00 and is ¥90.00 now" in text(answer)
    assert 'value="Dora"' in text(answer) and 'value="dearer-1"' in text(answer), "nothing that was typed is lost"
    assert await own.scope.db.accounts.count({"username": "dearer-1"}) == 0
    assert (await boss.post(f"{admin}/accounts/open", {**fields, "_shown": ""})).code == 303


async def test_an_account_is_opened_without_payment(boss: Browser, admin: str, own: Business) -> None:
    price = f"{admin}/accounts/open/price?plan_id={own.plan['_id']}&units=2&opens="
    shown = text(await boss.get(f"{price}unpaid", HX_Request="true", **EN))
    assert "¥0.00" in shown and "Not paid yet" in shown
    assert "¥60.00" in text(await boss.get(f"{price}later", HX_Request="true", **EN))
    assert "¥60.00" in text(await boss.get(f"{price}nonsense", HX_Request="true", **EN))
    answer = await boss.post(f"{admin}/accounts/open", opening(own, "unpaid-1", opens="unpaid"))
    place = str(answer.headers["Location"])
    assert "不能上网：账号未激活。" in text(await boss.get(place, Accept_Language="zh"))
    account = await own.scope.db.accounts.one({"username": "unpaid-1"})
    assert await own.scope.db.ledger.count({"account_id": account["_id"]}) == 0
    refused = await boss.post(f"{place}/activate", {"_attempt": "activateunpaid1"}, **EN)
    assert refused.code == 409 and "Nothing is paid for unpaid-1 yet." in text(refused)


async def test_a_mail_address_is_the_members_from_the_start(boss: Browser, admin: str, own: Business) -> None:
    answer = await boss.post(f"{admin}/accounts/open", opening(own, "mail-1", email="Mail-1@Example.com"))
    assert answer.code == 303
    member = await own.scope.db.members.one({"login": "mail-1"})
    assert member["email"] == "mail-1@example.com"
    told = await own.scope.db.notices.one({"member_id": member["_id"], "kind": "payment", "channel": "mail"})
    assert (told["to"], told["facts"]["amount"]) == ("mail-1@example.com", 6000)


async def test_a_day_that_is_none_is_told_at_its_field(boss: Browser, admin: str, own: Business) -> None:
    async def rows() -> Any:
        return await own.scope.db.accounts.find(limit=1000)

    bad = {
        "email": ["nobody", "a@b", "x" * 130 + "@example.com", HTML],
        "activates_on": ["", "soon", "2020-01-01", "9999-12-31", HTML],
        "opens": ["never", HTML],
    }
    good = opening(own, "never-1", opens="later", activates_on="2020-01-01")
    await refuse(boss, f"{admin}/accounts/open", good, bad, rows)
