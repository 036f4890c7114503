"""What can be done to many accounts: what is said of it beforehand is what happens; messages go out once."""

from __future__ import annotations

from typing import Any

import pytest

from saas.errors import AppError, Conflict, Invalid
from saas.tenants import accounts, bulk, life, members, notices_texts, plans, quotas, standing
from saas.tenants.bulk import Choice
from saas.tenants.bulk_tasks import TASKS, MessageForm
from saas.tenants.forms import Form
from saas.tenants.plan_form import PlanForm
from saas.tenants.purchases import NewPlanForm, UnitsForm
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.standing import NoteForm
from tests.tenants.bulk_runs import ALL, asked, counts, opened, outcomes, worked_off
from tests.world import World, set_account

pytestmark = pytest.mark.slow


@pytest.fixture
def scope(world: World) -> Scope:
    """Acme's owner."""
    return world.acme.scope


@pytest.fixture
async def many(scope: Scope, world: World) -> list[str]:
    """Acme's accounts: Alice and 12 more."""
    return [world.acme.account["_id"], *await opened(scope, world.acme.plan["_id"], 12)]


async def test_a_message_goes_to_each_member_once(ps: PlatformScope, world: World, scope: Scope) -> None:
    account = world.acme.account
    other = accounts.new_account(
        scope, await _member(scope, account["member_id"]), account["plan_id"], "alice2", "x" * 8
    )
    await quotas.insert(scope, [other])
    form = MessageForm(subject="Tonight", text="From 2 to 3.\nSorry {name}.")
    run = await worked_off(ps, scope, await asked(scope, "message", form))
    assert set((await outcomes(scope, run)).values()) == {"no_way_to_tell"}
    await members.update(scope, account["member_id"], members.MemberForm(name="Alice", email="alice@example.net"))
    run = await worked_off(ps, scope, await asked(scope, "message", form, Choice(rest_of=run["_id"])))
    assert counts(run) == ("done", 2, 2, 0)
    (notice,) = await scope.db.notices.find({"kind": "message"})
    text = await notices_texts.current(scope, "message", "en")
    mail = notices_texts.rendered(scope, "message", "en", notice["facts"], text)
    assert notice["to"] == "alice@example.net" and mail.subject == "Acme: Tonight"
    assert mail.text == "Hello Alice,\n\nFrom 2 to 3.\nSorry {name}.\n\nAcme"


async def _member(scope: Scope, member_id: str) -> Any:
    return await scope.db.members.get(member_id)


@pytest.mark.parametrize("verb", [verb for verb, task in TASKS.items() if task.of == "accounts"])
async def test_what_is_said_beforehand_is_what_happens(
    ps: PlatformScope, world: World, scope: Scope, many: list[str], verb: str
) -> None:
    """Accounts of every status, on a plan with units and on one without."""
    free = await plans.create(scope, PlanForm.model_validate({"name": "Free", "kind": "free", "price": "0"}))
    dear = await plans.create(scope, PlanForm.model_validate({"name": "Dear", "price": "60"}))
    chosen = [*many[:6], *await opened(scope, free["_id"], 3), many[6]]
    await set_account(scope, many[6], status="pending")
    for number, account_id in enumerate(chosen[:9]):
        act = (None, standing.SUSPEND, standing.CLOSE)[number % 3]
        if act:
            form = standing.CloseForm() if act is standing.CLOSE else NoteForm()
            await life.perform(scope, act, account_id, form, f"put-{account_id}")
    asking: dict[str, Form] = {
        "renew": UnitsForm(units=2),
        "change_plan": NewPlanForm(plan_id=dear["_id"], units=1),
        "message": MessageForm(subject="a", text="b"),
    }
    form = asking.get(verb, NoteForm() if verb == "suspend" else Form())
    said = await bulk.outline(scope, verb, form, Choice(ids=chosen))
    before = await _received(scope)
    run = await worked_off(ps, scope, await asked(scope, verb, form, Choice(ids=chosen)))
    assert said.count == run["total"] == 10
    if verb != "message":
        assert said.refused == run["refused"] and 0 < run["refused"] < 10
        assert said.to_pay == await _received(scope) - before
        assert (said.to_pay > 0) == (verb in ("renew", "change_plan"))


async def _received(scope: Scope) -> int:
    rows = await scope.db.ledger.find({"kind": "payment"}, limit=1000)
    return sum(row["amount"] for row in rows)


async def test_the_first_ones_are_shown(scope: Scope, many: list[str]) -> None:
    await life.perform(scope, standing.SUSPEND, many[0], NoteForm(), "first")
    found = await bulk.first(scope, "suspend", NoteForm(), ALL)
    assert [each.account_id for each, _ in found] == many[:5]
    assert isinstance(found[0][1], AppError) and isinstance(found[1][1], life.Preview)
    with pytest.raises(Invalid):
        await bulk.outline(scope, "change_plan", NewPlanForm(plan_id="pln_none"), ALL)
    assert {shown for _, shown in await bulk.first(scope, "suspend", None, ALL)} == {None}
    assert (await bulk.outline(scope, "suspend", None, ALL)).count == 13


async def test_nothing_is_asked_of_nobody(scope: Scope, world: World) -> None:
    for choice in (Choice(), Choice(ids=["acc_none"]), Choice(where={"q": "nobody"})):
        with pytest.raises(Conflict, match="nothing_chosen"):
            await asked(scope, "resume", choice=choice)
    with pytest.raises(Invalid):
        await asked(scope, "change_plan", NewPlanForm(plan_id="pln_none"))
    assert await scope.db.bulk_runs.count({}) == 0
