"""One thing done to many accounts: each once, whatever is killed, and a row that says what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from saas.errors import Conflict, Denied, NotFound
from saas.permissions import Permission
from saas.tenants import (
    accounts,
    bulk,
    bulk_work,
    ledger,
    life,
    operators,
    standing,
    verify,
)
from saas.tenants.bulk import Choice, Run
from saas.tenants.bulk_tasks import MessageForm
from saas.tenants.paging import ListQuery
from saas.tenants.purchases import UnitsForm
from saas.tenants.scope import Actor, PlatformScope, Scope
from saas.tenants.standing import NoteForm
from tests.support import until
from tests.tenants.bulk_runs import asked, counts, opened, outcomes, renewals, worked_off
from tests.world import PASSWORD, World

pytestmark = pytest.mark.slow


@pytest.fixture
def scope(world: World) -> Scope:
    """Acme's owner."""
    return world.acme.scope


@pytest.fixture
async def many(scope: Scope, world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Acme's accounts: Alice and 12 more, which is more than two portions of each kind."""
    monkeypatch.setattr(bulk_work, "_DONE", 5)
    monkeypatch.setattr(bulk_work, "_GATHERED", 6)
    return [world.acme.account["_id"], *await opened(scope, world.acme.plan["_id"], 12)]


async def test_each_account_is_renewed_once(ps: PlatformScope, scope: Scope, many: list[str]) -> None:
    ends = {row["_id"]: row["expires_at"] for row in await scope.db.accounts.find({}, limit=100)}
    run = await asked(scope, "renew", UnitsForm(units=2, method="wechat"))
    assert counts(run) == ("waiting", 0, 0, 0)
    run = await worked_off(ps, scope, run)
    assert counts(run) == ("done", 13, 13, 0) and run["ended_at"]
    assert await outcomes(scope, run) == dict.fromkeys(many, "ok")
    assert await renewals(scope) == dict.fromkeys(many, 1)
    assert await ledger.differences(scope) == []
    paid = await scope.db.ledger.find({"kind": "payment", "method": "wechat"}, limit=1000)
    assert [row["amount"] for row in paid] == [6000] * 13
    assert {row["actor_name"] for row in paid} == {scope.actor.name}
    for row in await scope.db.accounts.find({}, limit=100):
        assert row["expires_at"] > ends[row["_id"]]


async def test_the_same_key_asks_once(ps: PlatformScope, scope: Scope) -> None:
    first = await asked(scope, "suspend", NoteForm(), key="twice")
    again = await asks_at_once(scope)
    assert {first["_id"]} == again
    await worked_off(ps, scope, first)


async def asks_at_once(scope: Scope) -> set[str]:
    runs = await asyncio.gather(*(asked(scope, "suspend", NoteForm(), key="twice") for _ in range(3)))
    return {run["_id"] for run in runs}


async def test_what_was_cut_off_is_done_again_without_doing_it_twice(
    ps: PlatformScope, scope: Scope, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Portion after portion is killed after some of its rows, and the portion begins anew."""
    run = await asked(scope, "renew", UnitsForm())
    done, perform = 0, life.perform

    async def dying(*args: Any) -> Any:
        nonlocal done
        done += 1
        deed = await perform(*args)
        if done % 7 == 0:
            raise asyncio.CancelledError
        return deed

    monkeypatch.setattr(life, "perform", dying)
    while (await bulk.get(scope, run["_id"]))["open"]:
        task = asyncio.ensure_future(bulk_work.turn(ps))
        await asyncio.wait([task])
        assert done < 1000
        if done > 15:  # from here on it lives
            monkeypatch.setattr(life, "perform", perform)
    assert done > 15
    assert await verify._bulk_runs(scope) == []
    assert counts(await bulk.get(scope, run["_id"])) == ("done", 13, 13, 0)
    assert await renewals(scope) == dict.fromkeys(many, 1)
    assert await ledger.differences(scope) == []


async def test_verify_tells_of_counts_that_are_not_those_of_the_rows(ps: PlatformScope, scope: Scope) -> None:
    run = await worked_off(ps, scope, await asked(scope, "suspend", NoteForm()))
    assert await verify._bulk_runs(scope) == []
    await scope.db.bulk_runs.update(run["_id"], {"$inc": {"ok": 1}})
    assert len(await verify._bulk_runs(scope)) == 2


async def test_two_who_lead_at_once_do_nothing_twice(ps: PlatformScope, scope: Scope, many: list[str]) -> None:
    run = await asked(scope, "renew", UnitsForm())
    while (await bulk.get(scope, run["_id"]))["open"]:
        await asyncio.gather(bulk_work.turn(ps), bulk_work.turn(ps))
    assert counts(await bulk.get(scope, run["_id"])) == ("done", 13, 13, 0)
    assert await renewals(scope) == dict.fromkeys(many, 1)


async def test_a_filter_finds_what_was_there_when_it_was_asked(
    ps: PlatformScope, world: World, scope: Scope, many: list[str]
) -> None:
    suspended = many[3:9]
    for account_id in suspended:
        await life.perform(scope, standing.SUSPEND, account_id, NoteForm(), account_id)
    run = await asked(scope, "resume", choice=Choice(where={"status": "suspended"}))
    (late,) = await opened(scope, world.acme.plan["_id"], 1)
    await life.perform(scope, standing.SUSPEND, late, NoteForm(), late)
    run = await worked_off(ps, scope, run)
    assert await outcomes(scope, run) == dict.fromkeys(suspended, "ok")
    assert (await accounts.get(scope, late))["status"] == "suspended"


async def test_a_search_and_named_accounts(ps: PlatformScope, world: World, scope: Scope, many: list[str]) -> None:
    run = await worked_off(ps, scope, await asked(scope, "suspend", NoteForm(), Choice(where={"q": "ali"})))
    assert await outcomes(scope, run) == {world.acme.account["_id"]: "ok"}
    stranger = world.zeta.account["_id"]
    run = await worked_off(ps, scope, await asked(scope, "suspend", NoteForm(), Choice(ids=[*many[:3], stranger])))
    assert await outcomes(scope, run) == {many[0]: "is_suspended", many[1]: "ok", many[2]: "ok"}


async def test_other_tenants_are_left_alone(ps: PlatformScope, world: World, scope: Scope) -> None:
    before = await world.zeta.scope.db.accounts.find({})
    run = await worked_off(ps, scope, await asked(scope, "suspend", NoteForm()))
    assert counts(run) == ("done", 1, 1, 0)
    assert await world.zeta.scope.db.accounts.find({}) == before
    with pytest.raises(NotFound):
        await bulk.get(world.zeta.scope, run["_id"])
    with pytest.raises(NotFound):
        await asked(world.zeta.scope, "suspend", NoteForm(), Choice(rest_of=run["_id"]))
    assert (await bulk.results(world.zeta.scope, run["_id"], ListQuery())).rows == []


async def test_who_is_refused_is_listed_with_the_reason_and_may_be_tried_again(
    ps: PlatformScope, scope: Scope, many: list[str]
) -> None:
    rich, poor = many[:2], many[2:5]
    for account_id in rich:
        member_id = (await accounts.get(scope, account_id))["member_id"]
        await ledger.post(scope, "payment", 3000, key=f"rich-{account_id}", member_id=member_id, method="cash")
    form, choice = UnitsForm(method="balance"), Choice(ids=[*rich, *poor])
    run = await worked_off(ps, scope, await asked(scope, "renew", form, choice))
    assert counts(run) == ("done", 5, 2, 3)
    assert await outcomes(scope, run, "refused") == dict.fromkeys(poor, "balance_too_low")
    row = (await bulk.results(scope, run["_id"], ListQuery(filters={"state": "refused"}))).rows[0]
    assert row["data"] == {"missing": 3000}
    rest = await worked_off(ps, scope, await asked(scope, "renew", UnitsForm(), Choice(rest_of=run["_id"])))
    assert await outcomes(scope, rest) == dict.fromkeys(poor, "ok")
    assert await renewals(scope) == dict.fromkeys([*rich, *poor], 1)
    with pytest.raises(Conflict, match="nothing_chosen"):
        await asked(scope, "renew", UnitsForm(), Choice(rest_of=rest["_id"]))
    with pytest.raises(Conflict, match="nothing_chosen"):
        await asked(scope, "suspend", NoteForm(), Choice(rest_of=run["_id"]))


async def test_a_cancelled_run_ends_between_accounts_and_its_rest_can_be_done(
    ps: PlatformScope, scope: Scope, many: list[str]
) -> None:
    run = await asked(scope, "renew", UnitsForm())
    with pytest.raises(Conflict, match="bulk_runs"):
        await asked(scope, "renew", UnitsForm(), Choice(rest_of=run["_id"]))
    await until(lambda: _some_done(ps, scope, run), "some are done")
    run = await bulk.cancel(scope, run["_id"])
    while await bulk_work.turn(ps):
        pass
    done = [account_id for account_id, state in (await outcomes(scope, run)).items() if state == "ok"]
    run = await bulk.get(scope, run["_id"])
    assert counts(run) == ("cancelled", 13, len(done), 0) and 0 < len(done) < 13
    assert await renewals(scope) == dict.fromkeys(done, 1)
    with pytest.raises(Conflict, match="bulk_over"):
        await bulk.cancel(scope, run["_id"])
    rest = await worked_off(ps, scope, await asked(scope, "renew", UnitsForm(), Choice(rest_of=run["_id"])))
    assert counts(rest) == ("done", 13 - len(done), 13 - len(done), 0)
    assert await renewals(scope) == dict.fromkeys(many, 1)


async def _some_done(ps: PlatformScope, scope: Scope, run: Run) -> bool:
    await bulk_work.turn(ps)
    return (await bulk.get(scope, run["_id"]))["ok"] > 0


async def test_what_was_done_and_not_written_down_is_not_done_by_the_rest(
    ps: PlatformScope, scope: Scope, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the accounts and before the run's row; cancelled; then the rest is asked for."""
    run = await asked(scope, "renew", UnitsForm())
    perform, calls = life.perform, 0

    async def dying(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        await perform(*args)
        if calls == 5:
            raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(life, "perform", dying)
        while calls < 5:
            await asyncio.wait([asyncio.ensure_future(bulk_work.turn(ps))])
    await bulk.cancel(scope, run["_id"])
    assert len(await renewals(scope)) == 5
    rest = await worked_off(ps, scope, await asked(scope, "renew", UnitsForm(units=3), Choice(rest_of=run["_id"])))
    assert counts(rest) == ("done", 13, 13, 0)
    assert await renewals(scope) == dict.fromkeys(many, 1)


async def test_who_may_not_any_more_has_his_runs_stopped(ps: PlatformScope, world: World, scope: Scope) -> None:
    form = operators.GroupForm(name="desk", permissions=[Permission.ACCOUNTS_READ, Permission.ACCOUNTS_WRITE])
    desk = await operators.create_group(scope, form)
    person = operators.OperatorForm(login="carol", password=PASSWORD, group_id=desk["_id"])
    carol = await operators.create(scope, person)
    hers = ps.enter(scope.tenant, Actor("operator", carol["_id"], "carol"), frozenset(form.permissions))
    with pytest.raises(Denied):
        await asked(hers, "message", MessageForm(subject="Hello", text="you"))
    run = await asked(hers, "suspend", NoteForm())
    await operators.update_group(scope, desk["_id"], operators.GroupForm(name="desk"))
    stopped = await worked_off(ps, scope, run)
    assert (counts(stopped), stopped["reason"]) == (("stopped", 0, 0, 0), "denied")
    await operators.update_group(scope, desk["_id"], form)
    run = await asked(hers, "suspend", NoteForm())
    await operators.update(scope, carol["_id"], person.model_copy(update={"disabled": True, "password": ""}))
    assert (await worked_off(ps, scope, run))["reason"] == "actor_gone"
    run = await asked(scope, "suspend", NoteForm())
    await ps.db.tenants.update(scope.tenant_id, {"$set": {"status": "stopped"}})
    assert (await worked_off(ps, scope, run))["reason"] == "tenant_stopped"
    assert (await accounts.get(scope, world.acme.account["_id"]))["status"] == "normal"


async def test_runs_are_done_in_the_order_they_were_asked_for_and_not_too_many(
    ps: PlatformScope, scope: Scope, many: list[str]
) -> None:
    runs = [await asked(scope, "suspend", NoteForm())]
    runs += [await asked(scope, "resume") for _ in range(bulk.MOST_OPEN - 1)]
    with pytest.raises(Conflict, match="too_many_runs"):
        await asked(scope, "resume")
    ends = [await worked_off(ps, scope, run) for run in runs]
    assert counts(ends[0]) == ("done", 13, 13, 0) and counts(ends[1]) == ("done", 13, 13, 0)
    assert counts(ends[2]) == ("done", 13, 0, 13)


async def test_a_small_run_does_not_wait_for_another_tenants_large_one(
    ps: PlatformScope, world: World, scope: Scope, many: list[str]
) -> None:
    large = await asked(scope, "renew", UnitsForm())
    small = await asked(world.zeta.scope, "renew", UnitsForm())
    await worked_off(ps, world.zeta.scope, small)
    assert (await bulk.get(scope, large["_id"]))["open"]
    await worked_off(ps, scope, large)


async def test_a_defect_is_one_accounts_alone(
    ps: PlatformScope, scope: Scope, many: list[str], expect_log: Callable[[str], None]
) -> None:
    expect_log("bulk run .* failed for account or session")
    await scope.db.accounts.update(many[1], {"$unset": {"term": ""}})
    run = await worked_off(ps, scope, await asked(scope, "renew", UnitsForm(), Choice(ids=many[:3])))
    assert await outcomes(scope, run) == {many[0]: "ok", many[1]: "error", many[2]: "ok"}


async def test_a_deleted_account_is_not_found(ps: PlatformScope, scope: Scope, many: list[str]) -> None:
    run = await asked(scope, "suspend", NoteForm(), Choice(ids=many[:2]))
    await bulk_work.turn(ps)
    await scope.db.accounts.delete(many[0])
    run = await worked_off(ps, scope, run)
    assert await outcomes(scope, run) == {many[0]: "not_found", many[1]: "ok"}
