"""Imports: looked at without a change, taken over once whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from saas.errors import Conflict, Invalid, Limit
from saas.permissions import Permission
from saas.tenants import (
    accounts,
    import_parts,
    import_reading,
    import_work,
    imports,
    ledger,
    login,
    operators,
    plans,
    turns,
    verify,
)
from saas.tenants.import_columns import ColumnsForm
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import Actor, Change, PlatformScope, Scope
from saas.values import new_id
from tests.tenants.import_files import (
    account,
    as_csv,
    as_xlsx,
    checked,
    counts,
    everything,
    line,
    member,
    problems,
    rows_of,
    taken_over,
    turn,
    uploaded,
    worked_off,
)
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def scope(world: World) -> Scope:
    return world.acme.scope


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
    assert [said for check in verify.CHECKS for said in await check(scope)] == []
    assert await scope.db.notices.count({}) == 0
    row = (await rows_of(scope, run, "done"))[0]
    assert (row["account_id"], first["attempt"]) == (first["_id"], row["_id"])


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows are a part."""
    monkeypatch.setattr(imports, "PART", 2)


async def test_parts_know_of_one_another(ps: PlatformScope, scope: Scope, small_parts: None) -> None:
    rows = [line("p-1", login="boss", balance="5"), line("p-2"), line("p-3", login="boss", balance="5.00")]
    rows += [line("p-2"), line("p-4", login="boss", balance="6"), line("p-5", login="boss", name="Other"), line("p-6")]
    rows += [line("p-7", login="boss", name="Boss")]
    run = await checked(ps, scope, *rows)
    assert await problems(scope, run) == [
        (5, "username", "taken_in_file"),
        (6, "balance", "balance_in_file"),
        (9, "name", "other_in_file"),
    ]
    done = await worked_off(ps, scope, await imports.begin(scope, run["_id"]))
    assert counts(done) == ("done", 5, 3, 5, 0)
    boss = await member(scope, "boss")
    assert boss["balance"] == 500 and await scope.db.accounts.count({"member_id": boss["_id"]}) == 3
    assert await ledger.differences(scope) == []


async def test_whoever_is_killed_does_a_part_again_and_nothing_twice(
    ps: PlatformScope, scope: Scope, small_parts: None
) -> None:
    run = await checked(ps, scope, *(line(f"k-{number}", balance="1.00") for number in range(5)))
    await imports.begin(scope, run["_id"])
    stale = await imports.get(scope, run["_id"])
    await turns.turn(ps, import_work.WORK)
    before = await everything(scope)
    await import_work._portion(scope, stale)  # another process that does not know that the part is done
    assert await everything(scope) == before
    done = await worked_off(ps, scope, run)
    assert counts(done) == ("done", 5, 0, 5, 0) and await scope.db.ledger.count({"kind": "opening"}) == 5
    await imports.undo(scope, run["_id"])
    stale = await imports.get(scope, run["_id"])
    await turns.turn(ps, import_work.WORK)
    before = await everything(scope)
    await import_work._portion(scope, stale)
    assert await everything(scope) == before


async def test_stopped_half_way_it_says_what_was_done_and_goes_on_or_back(
    ps: PlatformScope, scope: Scope, small_parts: None
) -> None:
    run = await checked(ps, scope, *(line(f"h-{number}") for number in range(6)))
    await imports.begin(scope, run["_id"])
    await turns.turn(ps, import_work.WORK)
    halted = await imports.cancel(scope, run["_id"])
    assert counts(halted) == ("cancelled", 6, 0, 2, 0) and not halted["open"]
    assert [row["state"] for row in await rows_of(scope, run)] == ["done"] * 2 + ["good"] * 4
    assert await verify._imports(scope) == [] and len(await import_parts.take_passwords(scope, run["_id"])) == 2
    assert await turns.turn(ps, import_work.WORK) == 0
    with pytest.raises(Conflict, match="import_over"):
        await imports.cancel(scope, run["_id"])
    assert counts(await worked_off(ps, scope, await imports.begin(scope, run["_id"]))) == ("done", 6, 0, 6, 0)
    assert len(await import_parts.take_passwords(scope, run["_id"])) == 4
    gone = await worked_off(ps, scope, await imports.undo(scope, run["_id"]))
    assert (gone["state"], gone["removed"], gone["kept"]) == ("undone", 6, 0)
    assert await scope.db.import_parts.count({}) == 0


async def test_what_was_taken_meanwhile_is_refused(ps: PlatformScope, scope: Scope, world: World) -> None:
    run = await checked(ps, scope, line("race"), line("free-1"), line("free-2", login="walk-in", balance="3"))
    form = accounts.QuickOpenForm(username="race", plan_id=world.acme.plan["_id"])
    await accounts.quick_open(scope, form, new_id("open"))
    await accounts.quick_open(scope, form.model_copy(update={"username": "walk-in"}), new_id("open"))
    done = await worked_off(ps, scope, await imports.begin(scope, run["_id"]))
    assert counts(done) == ("done", 3, 0, 1, 2)
    assert await problems(scope, run) == [(2, "username", "taken"), (4, "balance", "member_has_balance")]


async def test_it_is_done_in_the_name_of_who_asked_while_he_may(ps: PlatformScope, scope: Scope, world: World) -> None:
    bob = Actor("operator", world.acme.operator["_id"], "bob")
    his = await login.acting(ps, bob, scope.tenant)
    assert his
    run = await checked(ps, his, line("bobs", balance="1"))
    await imports.begin(his, run["_id"])
    group = next(
        group for group in await operators.groups(scope) if Permission.IMPORTS_WRITE not in group["permissions"]
    )
    await scope.db.operators.update(bob.id, {"$set": {"group_id": group["_id"]}})
    halted = await worked_off(ps, scope, run)
    assert (halted["state"], halted["reason"], halted["done"]) == ("stopped", "denied", 0)
    done = await worked_off(ps, scope, await imports.begin(scope, run["_id"]))
    assert counts(done) == ("done", 1, 0, 1, 0)
    assert (await scope.db.ledger.one({"kind": "opening"}))["actor_name"] == scope.actor.name


async def test_plans_that_one_may_not_sell_are_none(ps: PlatformScope, scope: Scope, world: World) -> None:
    other = await plans.create(scope, PlanForm.model_validate({"name": "Other", "price": "1"}))
    gone = await plans.create(scope, PlanForm.model_validate({"name": "Gone", "price": "1"}))
    await plans.set_status(scope, gone["_id"], "retired")
    await scope.db.operators.update(world.acme.operator["_id"], {"$set": {"plan_ids": [other["_id"]]}})
    his = await login.acting(ps, Actor("operator", world.acme.operator["_id"], "bob"), scope.tenant)
    assert his
    run = await checked(ps, his, line("o-1", plan="OTHER"), line("o-2"), line("o-3", plan="Gone"))
    assert await problems(scope, run) == [(3, "plan", "plan_not_sold"), (4, "plan", "plan_not_sold")]


async def test_the_tier_is_asked_before(ps: PlatformScope, scope: Scope) -> None:
    await ps.db.tenants.update(scope.tenant_id, {"$set": {"tier": "free"}})
    tight = ps.enter(await ps.db.tenants.get(scope.tenant_id), scope.actor)
    run = await checked(ps, tight, *(line(f"t-{number}") for number in range(50)))
    with pytest.raises(Limit, match="tier_limit"):
        await imports.begin(tight, run["_id"])
    fits = await checked(ps, tight, *(line(f"t-{number}") for number in range(49)))
    assert counts(await worked_off(ps, tight, await imports.begin(tight, fits["_id"])))[3] == 49


async def test_columns_are_chosen_where_they_are_not_told(ps: PlatformScope, scope: Scope) -> None:
    octets = as_csv([["c-1", "Monthly", "2031-01-01"]], ["was ist das", "und das", "expires"])
    run = await worked_off(ps, scope, await uploaded(scope, octets))
    assert (run["state"], run["open"], run["columns"]) == ("columns", False, {"expires": 2})
    for wrong in ({"username": 0}, {"username": 0, "plan": 0}, {"username": 0, "plan": 7}):
        with pytest.raises(Invalid):
            await imports.recheck(scope, run["_id"], ColumnsForm.model_validate(wrong))
    right = ColumnsForm.model_validate({"username": 0, "plan": 1, "expires": 2})
    for _ in range(2):  # a second look forgets the first
        seen = await worked_off(ps, scope, await imports.recheck(scope, run["_id"], right))
        assert counts(seen) == ("checked", 1, 0, 0, 0) and len(await rows_of(scope, run)) == 1
    await worked_off(ps, scope, await imports.begin(scope, run["_id"]))
    with pytest.raises(Conflict, match="import_begun"):
        await imports.recheck(scope, run["_id"], right)


async def test_passwords_that_were_made_are_taken_once(ps: PlatformScope, scope: Scope, small_parts: None) -> None:
    run = await taken_over(ps, scope, line("m-1"), line("m-2", password="own-one"), line("m-3"))
    taken = await import_parts.take_passwords(scope, run["_id"])
    made = {name: scope.unseal((await account(scope, name))["sealed_password"]) for name in ("m-1", "m-3")}
    assert taken == [(2, "m-1", made["m-1"]), (4, "m-3", made["m-3"])] and all(
        len(each) == 10 for each in made.values()
    )
    with pytest.raises(Conflict, match="passwords_taken"):
        await import_parts.take_passwords(scope, run["_id"])
    assert await scope.db.import_passwords.count({}) == 0


async def test_the_file_is_sealed_and_the_log_names_it(
    ps: PlatformScope, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await checked(ps, scope, line("sealed", password="very-secret"))
    for name in ("imports", "import_parts", "import_rows"):
        assert "very-secret" not in repr(await getattr(scope.db, name).find({}, limit=100))
    monkeypatch.setattr(imports, "_MOST_UPLOADS", 1)
    with pytest.raises(Limit):
        await uploaded(scope, as_csv([line("x")]))
    again = await uploaded(scope, as_csv([line("x")]), key=run["key"])
    assert again["_id"] == run["_id"]
    logged = await scope.db.audit.find({"noun": "import"}, limit=10)
    assert [entry["action"] for entry in logged] == ["import.upload"]


async def test_what_is_seen_to_be_no_table_is_not_kept(scope: Scope) -> None:
    for octets, code in (
        (b"PK\x03\x04", "not_a_table"),
        (b"%PDF\0", "not_a_table"),
        (b"\xd0\xcf\x11\xe0", "old_spreadsheet"),
    ):
        with pytest.raises(Invalid) as error:
            await uploaded(scope, octets)
        assert error.value.fields == {"file": code}
    assert await scope.db.imports.count({}) == await scope.db.import_parts.count({}) == 0


async def test_files_that_cannot_be_read_are_refused_before_a_row_is_looked_at(
    ps: PlatformScope, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MOST", 2)
    for octets, code in (
        (as_csv([line(""), line(""), line("")]), "too_many_rows"),
        (as_xlsx([line(""), line(""), line("")]), "too_many_rows"),
        (as_csv([]), "empty_table"),
        (as_csv([line("x", note="x" * 20_000)]), "unpacks_too_big"),
    ):
        run = await worked_off(ps, scope, await uploaded(scope, octets))
        assert (run["state"], run["reason"]) == ("stopped", code) and await rows_of(scope, run) == []
        assert await scope.db.import_parts.count({"_id": imports.file_id(run["_id"], 0)}) == 0
        with pytest.raises(Conflict, match="import_not_ready"):
            await imports.begin(scope, run["_id"])
        with pytest.raises(Conflict, match="import_not_ready"):
            await imports.recheck(scope, run["_id"], ColumnsForm.model_validate({"default_plan": "Monthly"}))


async def test_a_file_is_read_by_the_jobs_and_twice_is_as_good_as_once(
    ps: PlatformScope, scope: Scope, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_CHUNK", 100)  # so that the file lies in pieces
    stale = await uploaded(scope, as_csv([line(f"r-{number}") for number in range(50)]))
    assert (stale["state"], stale["open"], stale["total"]) == ("reading", True, 0)
    await turns.turn(ps, import_reading.WORK)
    read = await imports.get(scope, stale["_id"])
    assert (read["state"], read["total"], read["parts"]) == ("checking", 50, 25)
    assert await scope.db.import_parts.count({}) == 25  # and not the file as it came
    again = await uploaded(scope, as_csv([line(f"r-{number}") for number in range(50)]))
    octets = await import_parts.file_of(scope, again["_id"])
    await turns.turn(ps, import_reading.WORK)
    await import_reading._read(scope, again, octets)  # another process that does not know
    assert await scope.db.import_parts.count({}) == 50
    assert counts(await worked_off(ps, scope, again)) == ("checked", 50, 0, 0, 0)


async def test_reading_ends_when_it_is_stopped(ps: PlatformScope, scope: Scope, small_parts: None) -> None:
    run = await uploaded(scope, as_csv([line(f"s-{number}") for number in range(50)]))
    octets = await import_parts.file_of(scope, run["_id"])
    await imports.cancel(scope, run["_id"])
    assert await import_reading._read(scope, run, octets) == 20  # the first ten parts
    assert (await imports.get(scope, run["_id"]))["state"] == "cancelled" and not await turn(ps)


async def test_the_file_goes_after_a_week_and_the_import_says_so(ps: PlatformScope, scope: Scope) -> None:
    run = await checked(ps, scope, line("w-1"))
    await import_parts.forget(scope, run["_id"])
    halted = await worked_off(ps, scope, await imports.begin(scope, run["_id"]))
    assert (halted["state"], halted["reason"]) == ("stopped", "file_gone")


async def test_what_a_file_does_not_say_is_said_for_all_its_rows(ps: PlatformScope, scope: Scope) -> None:
    rows = [["d-1", "2031-01-01", ""], ["d-2", "", "Active"], ["d-3", "", "pending"], ["d-4", "never", ""]]
    run = await worked_off(ps, scope, await uploaded(scope, as_csv(rows, ["username", "expiry", "status"])))
    assert run["state"] == "columns"
    form = {"username": 0, "expires": 1, "status": 2, "default_plan": "Monthly", "default_expires": "2032-02-29"}
    seen = await imports.recheck(scope, run["_id"], ColumnsForm.model_validate(form))
    assert counts(await worked_off(ps, scope, seen)) == ("checked", 4, 0, 0, 0)
    await worked_off(ps, scope, await imports.begin(scope, run["_id"]))
    ends = [(await account(scope, f"d-{number}"))["expires_at"] for number in range(1, 5)]
    assert ends == [
        datetime(2031, 1, 1, 15, 59, 59, tzinfo=UTC),
        datetime(2032, 2, 29, 15, 59, 59, tzinfo=UTC),
        None,
        None,
    ]


async def test_engines_are_told_once_and_not_for_every_row(ps: PlatformScope, scope: Scope, small_parts: None) -> None:
    run = await checked(ps, scope, *(line(f"n-{number}") for number in range(5)))
    heard: list[Change] = []
    news = ps.kv.news(0.2)
    assert await anext(news) is None
    for ask in (imports.begin, imports.undo):
        await worked_off(ps, scope, await ask(scope, run["_id"]))
        while change := await anext(news):
            heard += [change] if change.tenant_id == scope.tenant_id else []
    await news.aclose()  # type: ignore[attr-defined]
    assert heard == [Change("tenant", scope.tenant_id, scope.tenant["slug"])] * 2
