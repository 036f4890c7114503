"""Terms that begin with the first login: they wait without end, and begin once, when the first session is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from saas.tenants import accounts, billing, life, login_records, plans
from saas.tenants.access import LoginRequest, decide
from saas.tenants.accounting import AcctEvent
from saas.tenants.accounts import Account, QuickOpenForm
from saas.tenants.apply import apply
from saas.tenants.first_logins import begin_terms
from saas.tenants.forms import Form
from saas.tenants.journal import Group
from saas.tenants.life import Act
from saas.tenants.plan_form import PlanForm
from saas.tenants.purchases import ADD, RENEW, AdditionForm, RenewForm
from saas.tenants.standing import CLOSE, CloseForm
from saas.values import utcnow
from tests.world import World

ZONE = "Asia/Shanghai"
NAME = "carol"


@pytest.fixture
async def waiting(world: World) -> Account:
    """A new account that has not been online yet."""
    form = PlanForm.model_validate({"name": "From the first", "price": "30", "starts": "first_login"})
    plan = await plans.create(world.acme.scope, form)
    return (await accounts.quick_open(world.acme.scope, QuickOpenForm(username=NAME, plan_id=plan["_id"]), "open"))[0]


async def log_in(world: World, at: float, session: str = "first") -> None:
    event = AcctEvent(world.acme.id, world.acme.nas["_id"], "start", session, NAME, at, at)
    await apply(world.ps, [Group("", "1", event.received, (event,), b"")])


async def now(world: World, account: Account) -> Account:
    return await accounts.get(world.acme.scope, account["_id"])


async def do(world: World, account: Account, act: Act, form: Form) -> Any:
    return await life.perform(world.acme.scope, act, account["_id"], form, f"do-{act.verb}")


async def test_time_runs_from_the_first_login(world: World, waiting: Account) -> None:
    assert waiting["expires_at"] is None and waiting["term"]["waits"]
    record = (await login_records.find(world.ps, [(world.acme.id, NAME)]))[world.acme.id, NAME]
    assert decide(LoginRequest("", None, utcnow().timestamp(), None, True, 0), record).accepted
    await begin_terms(world.ps)
    assert await now(world, waiting) == waiting
    first = (utcnow() + timedelta(days=40)).replace(microsecond=0)
    await log_in(world, first.timestamp())
    await log_in(world, first.timestamp() + 86_400, "second")
    assert await begin_terms(world.ps) >= 1
    begun = await now(world, waiting)
    assert begun["expires_at"] == billing.later(first, 1, 0, ZONE) and not begun["term"]["waits"]
    await begin_terms(world.ps)
    assert await now(world, waiting) == begun
    assert [deed["verb"] for deed in await life.history(world.acme.scope, waiting["_id"])] == ["begin"]


async def test_what_is_bought_while_it_waits_is_added(world: World, waiting: Account) -> None:
    await do(world, waiting, RENEW, RenewForm(units=2))
    await do(world, waiting, ADD, AdditionForm(days=5))
    term = (await now(world, waiting))["term"]
    assert (term["months"], term["days"], term["paid"]) == (3, 5, 9000)
    await log_in(world, utcnow().timestamp() - 86_400)  # a clock that is slow: not before it was opened
    await begin_terms(world.ps)
    assert (await now(world, waiting))["expires_at"] == billing.later(waiting["term"]["started_at"], 3, 5, ZONE)


async def test_closed_before_it_began_all_is_given_back(world: World, waiting: Account) -> None:
    await log_in(world, utcnow().timestamp())
    deed = await do(world, waiting, CLOSE, CloseForm())
    assert deed["charged"] == -3000
    await begin_terms(world.ps)
    closed = await now(world, waiting)
    assert (closed["status"], closed["expires_at"], closed["term"]["waits"]) == ("closed", None, False)
