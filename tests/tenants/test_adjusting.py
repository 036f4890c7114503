"""Open sessions follow what their account may do: forced off, slowed down, at full speed again, and not left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from saas import tasks
from saas.tenants import (
    accounts,
    adjusting,
    adjustments,
    disconnects,
    life,
    nas,
    plans,
    purchases,
    sessions,
    standing,
    wallet,
)
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.forms import Form
from saas.tenants.scope import PlatformScope
from saas.tenants.sessions import Session
from saas.values import new_id, utcnow
from tests.handlers.usage import online
from tests.support import until
from tests.world import Business, make_business, set_account

pytestmark = pytest.mark.slow

GB = 2**30
FULL, SLOW = (5_000_000, 20_000_000), (64_000, 128_000)
SPEEDS = {"up_rate": "5", "down_rate": "20", "end_up_rate": "0.064", "end_down_rate": "0.128"}


@pytest.fixture
async def business(alone: PlatformScope) -> Business:
    """A business with an engine pool of its own, whose plan has speeds."""
    made = await make_business(alone, "hold")
    await alone.db.tenants.update(made.id, {"$set": {"pool": new_id("pool")}})
    await sells(made, **SPEEDS)
    await alone.db.adjustments.delete_many({})
    return made


class Worker:
    """A worker of the pool that answers everything by `answers` (by the command's kind); what it took."""

    def __init__(self) -> None:
        self.answers = {"disconnect": CommandResult("ack", 1), "coa": CommandResult("ack", 1)}
        self.taken: list[Command] = []

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """What was asked of devices so far, forgotten thereby."""
        taken, self.taken = self.taken, []
        return [(each.kind, each.speed if each.kind == "coa" else each.session_id) for each in taken]


@pytest.fixture
async def worker(alone: PlatformScope, business: Business) -> AsyncIterator[Worker]:
    found = Worker()
    tenant = await alone.db.tenants.get(business.id)

    async def serve() -> None:
        async for command in disconnects.commands(alone, tenant["pool"]):
            found.taken.append(command)
            await disconnects.answer(alone, command.id, found.answers[command.kind])

    task = asyncio.create_task(serve())
    yield found
    await tasks.end([task])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(adjusting, "utcnow", lambda: utcnow() + found.ahead)
    return found


class Clock:
    """How far ahead of us the job is."""

    ahead = timedelta()

    def on(self, **span: float) -> None:
        self.ahead += timedelta(**span)


async def be(business: Business, vendor: str) -> None:
    form = nas.form_of(await nas.get(business.scope, business.nas["_id"])) | {"vendor": vendor}
    await nas.update(business.scope, business.nas["_id"], nas.NasForm.model_validate(form))


async def sells(business: Business, **values: Any) -> None:
    plan = await plans.get(business.scope, business.plan["_id"])
    form = plans.PlanForm.model_validate(plans.form_of(plan) | values)
    await plans.update(business.scope, plan["_id"], form)


async def begin(ps: PlatformScope, business: Business, number: str = "s1") -> Session:
    """An open session, of ten minutes ago."""
    return await online(ps, business, number)


async def use_up(ps: PlatformScope, business: Business, number: str = "s1") -> Session:
    """A session of ten minutes ago by which a quota ends, reported just now."""
    await set_account(business.scope, business.account["_id"], octets_left=GB)
    return await online(ps, business, number)


async def renew(business: Business, **values: Any) -> None:
    form = purchases.RenewForm(**values)
    await life.perform(business.scope, purchases.RENEW, business.account["_id"], form, new_id("try"))


async def pending(business: Business) -> list[adjustments.Adjustment]:
    return await business.scope.db.adjustments.find({})


async def test_a_quota_that_ends_forces_off_at_once_and_tells_the_engines(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    row = await use_up(alone, business)
    told: list[str] = []
    ready = asyncio.Event()

    async def listen() -> None:
        async for change in alone.kv.news(5):
            ready.set()
            if change is not None and change.tenant_id == business.id:
                told.append(change.key)

    listener = asyncio.create_task(listen())
    await ready.wait()
    assert await adjusting.adjust_due(alone) == 1
    await until(lambda: told == ["alice"], "the engines are told")
    await tasks.end([listener])
    assert worker.asked == [("disconnect", "s1")]
    assert (await sessions.get(business.scope, row["_id"]))["closing_at"]
    (attempt,) = await disconnects.history(business.scope, row["_id"])
    assert attempt["actor_name"] == "system"
    assert await adjusting.adjust_due(alone) == 0, "it is waited for the end"
    clock.on(seconds=80)
    await business.scope.db.online.update_one({"_id": row["_id"]}, {"$set": {"closing_at": None}})
    assert await adjusting.adjust_due(alone) == 1, "the device did not obey"
    assert worker.asked == [("disconnect", "s1")]
    await sessions.close_one(business.scope, row["_id"], "Admin-Reset", "clear")
    clock.on(seconds=80)
    assert await adjusting.adjust_due(alone) == 1
    assert await pending(business) == [] and worker.asked == []


async def test_who_is_slow_after_the_end_is_slowed_down_and_gets_full_speed_when_it_renews(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    await sells(business, at_end="slow", octets=GB)
    row = await use_up(alone, business)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", SLOW)]
    clock.on(seconds=20)
    await adjusting.adjust_due(alone)
    assert worker.asked == [] and await pending(business) == [], "what is right is left alone"

    await renew(business, units=3)
    clock.on(seconds=1)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", FULL)]
    assert disconnects.own_speed(await sessions.get(business.scope, row["_id"])) == FULL


async def test_a_renewal_that_changes_nothing_for_sessions_asks_no_device(
    alone: PlatformScope, business: Business, worker: Worker
) -> None:
    await begin(alone, business)
    await renew(business)
    assert await pending(business) == []


@pytest.mark.parametrize("vendor", ["cisco", "strongswan"])
async def test_what_takes_no_new_speed_is_forced_off_to_be_slow(
    alone: PlatformScope, business: Business, worker: Worker, vendor: str
) -> None:
    await be(business, vendor)
    await sells(business, at_end="slow", octets=GB)
    await use_up(alone, business)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("disconnect", "s1")]


async def test_what_refuses_a_new_speed_is_forced_off_to_be_slow_and_left_as_it_is_otherwise(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    worker.answers["coa"] = CommandResult("nak", 1, 401)
    await sells(business, at_end="slow", octets=GB)
    await use_up(alone, business)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", SLOW), ("disconnect", "s1")]
    await renew(business, units=3)
    await business.scope.db.online.update_one({}, {"$set": {"closing_at": None}})
    clock.on(seconds=1)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", FULL)]
    clock.on(seconds=20)
    await adjusting.adjust_due(alone)
    assert [kind for kind, _ in worker.asked] == ["coa"], "looked at once more"
    assert await pending(business) == []


async def test_the_pool_after_the_end_needs_a_new_login_of_those_who_began_before(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    await sells(business, at_end="pool", end_pool="expired", octets=GB)
    await use_up(alone, business)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("disconnect", "s1")]
    later = await online(alone, business, "s2")
    began = {"$set": {"started_at": utcnow() + timedelta(seconds=10)}}
    await business.scope.db.online.update_one({"_id": later["_id"]}, began)
    clock.on(seconds=80)
    await adjusting.adjust_due(alone)
    assert ("disconnect", "s2") not in worker.asked, "it was given the pool when it logged in"


async def test_a_login_that_was_under_way_is_caught(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    """An engine may have judged it by what was before; its Start comes a moment later."""
    await sells(business, at_end="slow", octets=GB)
    await set_account(business.scope, business.account["_id"], octets_left=0)
    await adjustments.mark(business.scope, business.account["_id"])
    assert await adjusting.adjust_due(alone) == 1
    assert worker.asked == []
    row = await online(alone, business, "s1")
    began = {"$set": {"started_at": utcnow() + timedelta(seconds=2)}}
    await business.scope.db.online.update_one({"_id": row["_id"]}, began)
    clock.on(seconds=16)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", SLOW)]


async def test_a_silent_device_is_asked_again_and_less_often(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    worker.answers["disconnect"] = CommandResult("timeout", 3)
    await use_up(alone, business)
    waits = []
    for _ in range(4):
        assert await adjusting.adjust_due(alone) == 1
        assert worker.asked == [("disconnect", "s1")]
        (row,) = await pending(business)
        waits.append(round((row["next_at"] - utcnow() - clock.ahead).total_seconds()))
        assert await adjusting.adjust_due(alone) == 0
        clock.on(seconds=waits[-1] + 1)
    assert waits == [5, 10, 20, 40]
    worker.answers["disconnect"] = CommandResult("nak", 1, 503)
    assert await adjusting.adjust_due(alone) == 1
    assert await pending(business) == [], "the device knew of no such session"


async def test_a_change_meanwhile_is_not_lost(
    alone: PlatformScope, business: Business, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_up(alone, business)
    ask = disconnects.request

    async def change_meanwhile(scope: Any, session_id: str) -> Any:
        await adjustments.mark(business.scope, business.account["_id"])
        return await ask(scope, session_id)

    monkeypatch.setattr(disconnects, "request", change_meanwhile)
    await adjusting.adjust_due(alone)
    (row,) = await pending(business)
    assert row["told_at"] is None and row["next_at"] <= utcnow(), "it is looked at anew"


async def test_what_cannot_be_told_is_not_asked(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    await be(business, "openvpn")
    await use_up(alone, business)
    await adjusting.adjust_due(alone)
    clock.on(seconds=20)
    await adjusting.adjust_due(alone)
    assert worker.asked == [] and await pending(business) == []


@pytest.mark.parametrize("act", [standing.SUSPEND, standing.CLOSE])
async def test_suspended_or_closed_is_offline(
    alone: PlatformScope, business: Business, worker: Worker, act: life.Act
) -> None:
    await begin(alone, business)
    form: Form = standing.CloseForm() if act is standing.CLOSE else standing.NoteForm()
    shown = await life.preview(business.scope, act, business.account["_id"], form)
    assert (shown.online, shown.become) == (1, "end")
    await life.perform(business.scope, act, business.account["_id"], form, new_id("try"))
    await adjusting.adjust_due(alone)
    assert worker.asked == [("disconnect", "s1")]


async def test_another_plan_is_another_speed_at_once(alone: PlatformScope, business: Business, worker: Worker) -> None:
    await begin(alone, business)
    values = {"name": "Fast", "price": "60", "up_rate": "50", "down_rate": "100"}
    fast = await plans.create(business.scope, plans.PlanForm.model_validate(values))
    form = purchases.ChangePlanForm(plan_id=fast["_id"])
    shown = await life.preview(business.scope, purchases.CHANGE_PLAN, business.account["_id"], form)
    assert shown.become == "speed"
    await life.perform(business.scope, purchases.CHANGE_PLAN, business.account["_id"], form, new_id("try"))
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", (50_000_000, 100_000_000))]


async def test_a_balance_that_ends_forces_off_and_money_lets_in_again(
    alone: PlatformScope, business: Business, worker: Worker, clock: Clock
) -> None:
    scope = business.scope
    values = {"name": "By MB", "kind": "per_mb", "price": "0.01", "at_end": "slow", **SPEEDS}
    by_use = await plans.create(scope, plans.PlanForm.model_validate(values))
    account_id, member_id = business.account["_id"], business.account["member_id"]
    await scope.db.accounts.update(account_id, {"$set": {"plan_id": by_use["_id"]}})
    await wallet.top_up(scope, member_id, wallet.TopUpForm(amount=3000), "first")
    await scope.db.adjustments.delete_many({})
    await begin(alone, business)  # 3 GiB and 5 MiB: 30.77
    assert (await scope.db.members.get(member_id))["balance"] == -77
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", SLOW)]
    assert (await accounts.get(scope, account_id))["octets_left"] is None
    await wallet.top_up(scope, member_id, wallet.TopUpForm(amount=1000), "second")
    clock.on(seconds=1)
    await adjusting.adjust_due(alone)
    assert worker.asked == [("coa", FULL)]
    clock.on(seconds=20)
    await adjusting.adjust_due(alone)
    await wallet.top_up(scope, member_id, wallet.TopUpForm(amount=1000), "third")
    clock.on(seconds=1)
    assert await adjusting.adjust_due(alone) == 1, "the engines are told of the balance"
    assert worker.asked == []


async def test_one_tenant_does_not_keep_the_others_waiting(
    alone: PlatformScope, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adjusting, "_OF_TENANT", 2)
    other = await make_business(alone, "other")
    for number in range(5):
        await adjustments.mark(business.scope, f"acc_{number}")
    await adjustments.mark(other.scope, other.account["_id"])
    assert await adjusting.adjust_due(alone) == 3
