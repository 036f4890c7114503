"""Members: list, page, change."""

from __future__ import annotations

import re
from typing import Any

import pytest

from saas.tenants.scope import Scope
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.world import Business

EN = {"Accept_Language": "en"}


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


@pytest.fixture
def member_id(own: Business) -> str:
    return str(own.account["member_id"])


async def test_the_list_shows_and_searches(boss: Browser, admin: str, member_id: str) -> None:
    page = text(await boss.get(f"{admin}/members?q=ali", **EN))
    assert f"/members/{member_id}" in page and "¥0.00" in page
    assert "Nothing matches." in text(await boss.get(f"{admin}/members?q=nobody-at-all", **EN))
    head, row, *_ = text(await boss.get(f"{admin}/members?q=alice&format=csv", **EN)).splitlines()
    assert head == "\ufeffMember,Real name,Mobile,Balance,Accounts,Since" and row.startswith("alice,")


async def test_the_page_shows_accounts_and_entries(boss: Browser, admin: str, member_id: str, own: Business) -> None:
    page = text(await boss.get(f"{admin}/members/{member_id}", **EN))
    assert f"{admin}/accounts/{own.account['_id']}" in page
    for words in ("Payment", "Charge", "-¥30.00", "Monthly × 1"):
        assert words in page, words


async def test_a_member_is_changed_and_found_by_it(boss: Browser, admin: str, member_id: str, scope: Scope) -> None:
    path = f"{admin}/members/{member_id}/edit"
    page = text(await boss.get(path))
    version = re.findall(r'name="_version" value="(\d+)"', page)[0]
    fields = {"name": "Alice Li", "mobile": "13800138000", "note": "pays late", "_version": version}
    assert (await boss.post(path, fields)).code == 303
    member = await scope.db.members.get(member_id)
    assert (member["name"], member["mobile"], member["note"]) == ("Alice Li", "13800138000", "pays late")
    assert member_id in text(await boss.get(f"{admin}/members?q=13800138000"))
    assert "Alice Li" in text(await boss.get(f"{admin}/accounts?q=13800"))
    stale = await boss.post(path, {**fields, "name": "Too late"}, **EN)
    assert stale.code == 409 and "Someone else has changed this since you opened it" in text(stale)
    assert "Real name: Alice → Alice Li" in text(stale) and 'value="Too late"' in text(stale)
    assert (await scope.db.members.get(member_id))["name"] == "Alice Li"


async def test_a_member_gets_and_loses_a_mail_address(boss: Browser, admin: str, member_id: str, scope: Scope) -> None:
    path = f"{admin}/members/{member_id}"
    fields = {"name": "Alice", "email": "Alice@Example.com", "language": "en"}
    assert (await boss.post(f"{path}/edit", fields)).code == 303
    member = await scope.db.members.get(member_id)
    assert (member["email"], member["language"]) == ("alice@example.com", "en")
    assert "alice@example.com" in text(await boss.get(path)) and "alice@example.com" in text(
        await boss.get(f"{path}/edit")
    )
    assert "This is not an e-mail address." in text(await boss.post(f"{path}/edit", {"email": "alice@"}, **EN))
    assert (await boss.post(f"{path}/edit", {"name": "Alice"})).code == 303
    assert (await scope.db.members.get(member_id))["email"] == ""


async def test_bad_input_is_told_at_the_field(boss: Browser, admin: str, member_id: str, scope: Scope) -> None:
    async def rows() -> Any:
        return await scope.db.members.get(member_id)

    good = {"name": "Alice", "mobile": "", "email": "", "language": "system", "note": ""}
    bad = {"name": ["x" * 65, HTML, "a\nb"], "mobile": ["abc", "1" * 21, HTML], "note": ["x" * 501, HTML]}
    bad |= {"email": ["alice", "a@b", "a@example.com\nBcc: b@example.com"], "language": ["fr"]}
    await refuse(boss, f"{admin}/members/{member_id}/edit", good, bad, rows)
