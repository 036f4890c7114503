"""Imports taken back: as if they had not been, but for what somebody has used, paid for or changed since."""

from __future__ import annotations

from datetime import timedelta

import pytest

from saas.errors import Conflict
from saas.tenants import imports, ledger, life, lines, members, verify, wallet
from saas.tenants.accounting import AcctEvent
from saas.tenants.apply import apply
from saas.tenants.journal import Group
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.standing import SUSPEND, NoteForm
from saas.values import new_id, utcnow
from tests.tenants.import_files import account, everything, line, member, problems, taken_over, worked_off
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def scope(world: World) -> Scope:
    return world.acme.scope


async def test_it_is_taken_back_as_if_it_had_not_been(ps: PlatformScope, scope: Scope) -> None:
    before = await everything(scope)
    run = await taken_over(ps, scope, line("b-1", balance="7"), line("b-2", login="b-1"), line("b-3", login="alice"))
    with pytest.raises(Conflict, match="import_not_ready"):
        await imports.begin(scope, run["_id"])
    gone = await worked_off(ps, scope, await imports.undo(scope, run["_id"]))
    assert (gone["state"], gone["removed"], gone["kept"]) == ("undone", 3, 0)
    after = await everything(scope)
    entries = [entry for entry in after.pop("ledger") if entry not in before["ledger"]]
    assert [(entry["kind"], entry["amount"]) for entry in reversed(entries)] == [("opening", 700), ("opening", -700)]
    assert entries[0]["reverses"] == entries[1]["_id"]
    assert after == {name: rows for name, rows in before.items() if name != "ledger"}
    assert await ledger.differences(scope) == []
    with pytest.raises(Conflict, match="undo_too_late"):
        await imports.undo(scope, run["_id"])


async def test_what_was_touched_stays(ps: PlatformScope, scope: Scope, world: World) -> None:
    names = ("free", "online", "renamed", "paid", "changed", "pair-1", "pair-2", "deleted")
    rows = [line(name, login="pair" if name.startswith("pair") else "", balance="1") for name in names]
    run = await taken_over(ps, scope, *rows)
    ids = {name: (await account(scope, name))["_id"] for name in names}
    event = AcctEvent(scope.tenant_id, world.acme.nas["_id"], "start", "s-1", "online", 1.7e9, 1.7e9)
    await apply(ps, [Group("", "1", event.received, (event,), b"")])
    await members.update(scope, (await member(scope, "renamed"))["_id"], members.MemberForm(name="New"))
    await wallet.top_up(scope, (await member(scope, "paid"))["_id"], wallet.TopUpForm(amount=100), new_id("pay"))
    await life.perform(scope, SUSPEND, ids["changed"], NoteForm(), new_id("act"))
    await lines.update(scope, ids["pair-2"], lines.LineForm(mac="AA-BB-CC-DD-EE-FF"))
    await scope.db.accounts.delete(ids["deleted"])
    await scope.db.quotas.delete(ids["deleted"])
    gone = await worked_off(ps, scope, await imports.undo(scope, run["_id"]))
    assert (gone["removed"], gone["kept"]) == (3, 5) and await verify._imports(scope) == []
    await scope.db.imports.update(run["_id"], {"$set": {"removed": 4}})
    assert len(await verify._imports(scope)) == 2
    assert await problems(scope, run) == [
        (3, "username", "used_since"),
        (4, "username", "changed_since"),
        (5, "username", "booked_since"),
        (6, "username", "changed_since"),
        (8, "username", "changed_since"),
    ]
    left = await scope.db.accounts.find({"_id": {"$in": list(ids.values())}}, limit=10)
    assert {row["username"] for row in left} == {"online", "renamed", "paid", "changed", "pair-2"}
    assert await member(scope, "pair") and not await member(scope, "free") and not await member(scope, "deleted")
    assert await ledger.differences(scope) == []


async def test_a_day_later_it_cannot_be_taken_back(ps: PlatformScope, scope: Scope) -> None:
    run = await taken_over(ps, scope, line("late"))
    assert run["undo_until"] == (run["done_at"] or utcnow()) + timedelta(hours=24)
    await scope.db.imports.update(run["_id"], {"$set": {"undo_until": utcnow()}})
    with pytest.raises(Conflict, match="undo_too_late"):
        await imports.undo(scope, run["_id"])
