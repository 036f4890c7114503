"""Imports: looked at without a change, taken over once whatever happens, taken back where nobody touched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from saas.tenants import accounts, imports, ledger, members, verify
from saas.tenants.scope import PlatformScope, Scope
from tests.tenants.import_files import (
    checked,
    counts,
    line,
    problems,
    rows_of,
    taken_over,
)
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def scope(world: World) -> Scope:
    return world.acme.scope


async def everything(scope: Scope) -> dict[str, list[Any]]:
    tables = ("members", "accounts", "quotas", "ledger", "deeds", "notices")
    return {name: await getattr(scope.db, name).find({}, limit=10_000) for name in tables}


async def account(scope: Scope, username: str) -> accounts.Account:
    row = await scope.db.accounts.one({"username": username})
    return await accounts.get(scope, row["_id"])


async def member(scope: Scope, login: str) -> members.Member:
    found: members.Member = await scope.db.members.one({"login": login})
    return found


async def test_a_look_changes_nothing_and_finds_what_is_wrong_by_row_and_cell(ps: PlatformScope, scope: Scope) -> None:
    before = await everything(scope)
    run = await checked(
        ps,
        scope,
        line("new-1"),
        line("alice"),
        line("new-1"),
        line("new-2", plan="Nothing like it", mobile="1.38E+10"),
        line("new-3", expires=""),
        line("new-4", expires="05/06/2031", agent="somebody", status="odd"),
        line("", balance="1.234"),
        line("new-5", plan=" monthly ", expires="never"),
    )
    assert counts(run) == ("checked", 2, 6, 0, 0)
    assert await everything(scope) == before
    assert await problems(scope, run) == [
        (3, "username", "taken"),
        (4, "username", "taken_in_file"),
        (5, "mobile", "scientific"),
        (5, "plan", "unknown_plan"),
        (6, "expires", "expiry_missing"),
        (7, "expires", "ambiguous_date"),
        (7, "status", "unknown_status"),
        (7, "agent", "no_agents"),
        (8, "username", "missing"),
        (8, "balance", "too_many_decimals"),
    ]
    assert await imports.gaps(scope, run["_id"]) == [("Nothing like it", 1)]
    assert (await rows_of(scope, run))[2]["problems"][0]["data"] == {"line": 2}


async def test_good_rows_become_accounts_and_the_others_are_left_out(ps: PlatformScope, scope: Scope) -> None:
    run = await taken_over(
        ps,
        scope,
        line(
            "Zhang-1",
            login="zhang",
            name="张三",
            mobile="13800000000",
            password="1234",
            balance="12.50",
            mac="aabbccddeeff",
        ),
        line("zhang-2", login="zhang", status="停机", static_ip="10.1.2.3", expires="2031-05-31 18:00"),
        line("li", status="pending", expires="", balance="-3"),
        line("alice"),
        line("alice-2", login="alice", password="secret-2"),
    )
    assert counts(run) == ("done", 4, 1, 4, 0) and run["made"] == 2
    first, second, third = [await account(scope, name) for name in ("zhang-1", "zhang-2", "li")]
    zhang = await member(scope, "zhang")
    assert first["member_id"] == second["member_id"] == zhang["_id"] and zhang["balance"] == 1250
    assert zhang["password_hash"] is None and (zhang["name"], zhang["mobile"]) == ("张三", "13800000000")
    assert scope.unseal(first["sealed_password"]) == "1234" and first["mac"] == "AA-BB-CC-DD-EE-FF"
    assert first["expires_at"] == datetime(2031, 5, 31, 15, 59, 59, tzinfo=UTC)  # the end of the day in Shanghai
    assert second["expires_at"] == datetime(2031, 5, 31, 10, 0, tzinfo=UTC)
    assert (second["status"], second["static_ip"]) == ("suspended", "10.1.2.3") and second["suspended_at"]
    assert third["status"] == "pending" and third["term"]["waits"]
    assert (await account(scope, "alice-2"))["member_id"] == (await member(scope, "alice"))["_id"]
    booked = await scope.db.ledger.find({"kind": "opening"}, limit=10)
    assert sorted((entry["amount"], entry["before"], entry["after"]) for entry in booked) == [
        (-300, 0, -300),
        (1250, 0, 1250),
    ]
    assert await ledger.differences(scope) == []
    assert [text async for text in verify.verify(ps) if scope.tenant["slug"] in text and "account" in text] == []
    assert await scope.db.notices.count({}) == 0
    row = (await rows_of(scope, run, "done"))[0]
    assert (row["account_id"], first["attempt"]) == (first["_id"], row["_id"])
