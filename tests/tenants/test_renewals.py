"""Accounts that renew by themselves: in time, once, out of what is there; and who is told what."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from saas import migrations
from saas.errors import Conflict
from saas.tenants import accounts, billing, ledger, life, paging, plans, renewals, standing
from saas.tenants.accounts import Account, QuickOpenForm
from saas.tenants.forms import Form
from saas.tenants.members import MemberForm, update
from saas.tenants.plan_form import PlanForm
from saas.tenants.purchases import CHANGE_PLAN, RENEW, ChangePlanForm, RenewForm
from saas.tenants.renewals import RENEWS, RENEWS_NOT, TRIED_FOR, renew_due
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.tenants.standing import CloseForm, NoteForm
from saas.values import new_id
from tests.world import World

pytestmark = pytest.mark.slow

ZONE = "Asia/Shanghai"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Shop:
    """Acme, its account on automatic renewal, and a clock."""

    def __init__(self, world: World) -> None:
        self.scope: Scope = world.acme.scope
        self.account: Account = world.acme.account
        self.member_id: str = self.account["member_id"]
        self.ends: datetime = self.account["expires_at"] or self.account["created_at"]
        self.now = self.ends - HOUR
        self.since = self.now - timedelta(minutes=10)

    async def do(self, act: life.Act, form: Form | None = None) -> None:
        await life.perform(self.scope, act, self.account["_id"], form or Form(), new_id("try"))

    async def pay(self, amount: int) -> None:
        await ledger.post(self.scope, "payment", amount, key=new_id("pay"), member_id=self.member_id)

    async def run(self) -> int:
        done = await renew_due(self.scope, Occasion(self.now, self.since, self.now))
        self.since = self.now
        assert await ledger.differences(self.scope) == []
        return done

    async def row(self) -> Account:
        return await accounts.get(self.scope, self.account["_id"])

    async def balance(self) -> int:
        return int((await self.scope.db.members.get(self.member_id))["balance"])

    async def told(self) -> list[tuple[str, Any]]:
        """Kinds of the notices on renewals, with what is missing."""
        kinds = {"$in": ["renewed", "renewal_unpaid", "renewal_refused"]}
        rows = await self.scope.db.notices.find({"kind": kinds}, sort=[("_id", 1)])
        return [(row["kind"], row["facts"].get("missing")) for row in rows]


@pytest.fixture
async def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> Shop:
    found = Shop(world)
    monkeypatch.setattr(life, "utcnow", lambda: found.now)
    await update(found.scope, found.member_id, MemberForm(name="Alice", email="alice@example.net"))
    await found.do(RENEWS)
    return found


async def test_it_is_renewed_once_before_its_end(shop: Shop) -> None:
    await shop.pay(7000)
    shop.now = shop.ends - 24 * HOUR - timedelta(seconds=1)
    assert await shop.run() == 0 and await shop.balance() == 7000
    shop.now = shop.ends - 23 * HOUR
    assert [await shop.run() for _ in range(3)] == [1, 0, 0]
    after = await shop.row()
    assert after["expires_at"] == billing.later(shop.account["created_at"], 2, 0, ZONE)
    assert (await shop.balance(), await shop.told()) == (4000, [("renewed", None)])
    (deed,) = await shop.scope.db.deeds.find({"verb": "auto_renew"})
    assert (deed["charged"], deed["received"], deed["actor_name"]) == (3000, 0, shop.scope.actor.name)
    assert await shop.scope.db.audit.count({"action": "account.auto_renew"}) == 1
    notice = await shop.scope.db.notices.one({"kind": "renewed"})
    assert {"amount": 3000, "balance": 4000, "expires": after["expires_at"]}.items() <= notice["facts"].items()


async def test_two_runs_at_once_renew_once(shop: Shop) -> None:
    await shop.pay(9000)
    assert sum(await asyncio.gather(*(shop.run() for _ in range(4)))) >= 1
    assert await shop.balance() == 6000
    assert await shop.scope.db.deeds.count({"verb": "auto_renew"}) == 1


async def test_who_has_not_switched_it_on_is_left_alone(shop: Shop) -> None:
    await shop.pay(3000)
    await shop.do(RENEWS_NOT)
    assert await shop.run() == 0 and await shop.told() == []


async def test_a_low_balance_is_told_once_and_made_good_by_a_payment(shop: Shop) -> None:
    await shop.pay(1234)
    assert [await shop.run() for _ in range(2)] == [0, 0]
    shop.now = shop.ends + 2 * DAY  # it has ended meanwhile
    assert await shop.run() == 0
    assert await shop.told() == [("renewal_unpaid", 1766)]
    await shop.pay(1766)
    assert await shop.run() == 1
    assert (await shop.row())["expires_at"] == billing.later(shop.now, 1, 0, ZONE)
    assert await shop.told() == [("renewal_unpaid", 1766), ("renewed", None)]


async def test_it_is_given_up_a_week_after_the_end_unless_no_run_saw_it(shop: Shop) -> None:
    await shop.pay(3000)
    shop.now = shop.ends + TRIED_FOR + DAY
    seen, shop.since = shop.since, shop.now - HOUR
    assert await shop.run() == 0
    shop.since = seen  # nothing ran in all that time
    assert await shop.run() == 1


async def test_two_accounts_of_one_member_share_what_is_there(shop: Shop) -> None:
    other = {**shop.account, "_id": new_id("acc"), "username": "second", "search": [], "renews": True}
    await shop.scope.db.accounts.insert(other)
    await shop.pay(5000)
    assert await shop.run() == 1
    assert await shop.balance() == 2000
    assert await shop.told() == [("renewed", None), ("renewal_unpaid", 1000)]


async def test_a_plan_that_is_not_sold_any_more_is_refused_and_told(shop: Shop) -> None:
    await shop.pay(3000)
    await plans.set_status(shop.scope, shop.account["plan_id"], "retired")
    assert [await shop.run() for _ in range(2)] == [0, 0]
    assert (await shop.balance(), await shop.told()) == (3000, [("renewal_refused", None)])


@pytest.mark.parametrize("state", ["suspended", "closed"])
async def test_nothing_is_taken_for_what_is_not_in_use(shop: Shop, state: str) -> None:
    await shop.do(standing.SUSPEND, NoteForm()) if state == "suspended" else await shop.do(
        standing.CLOSE, CloseForm(refund=0)
    )
    await shop.pay(3000)
    assert await shop.run() == 0
    assert (await shop.balance(), await shop.told()) == (3000, [])
    assert (await shop.row())["renews"] is (state == "suspended")


async def test_a_change_of_plan_at_the_end_is_bought_at_the_end(shop: Shop) -> None:
    form = PlanForm.model_validate({"name": "Better", "price": "50"})
    better = await plans.create(shop.scope, form)
    await shop.do(CHANGE_PLAN, ChangePlanForm(plan_id=better["_id"], when="expiry"))
    await shop.pay(6000)
    assert await shop.run() == 0 and await shop.told() == []
    shop.now = shop.ends + HOUR
    assert await shop.run() == 1
    assert ((await shop.row())["plan_id"], await shop.balance()) == (better["_id"], 1000)


async def test_who_was_renewed_by_hand_meanwhile_is_not_renewed_again(shop: Shop) -> None:
    await shop.pay(9000)
    stale = await shop.row()
    await shop.do(RENEW, RenewForm(method="balance"))
    form = renewals.EndForm(expires_at=stale["expires_at"])
    with pytest.raises(Conflict) as refused:
        await life.perform(shop.scope, renewals.AUTO_RENEW, stale["_id"], form, "late")
    assert refused.value.code == "changed" and await shop.balance() == 6000


async def test_what_a_plan_says_is_what_new_accounts_begin_with(shop: Shop) -> None:
    for renews in (True, False):
        form = PlanForm.model_validate({"name": f"By itself {renews}", "price": "1", "renews": renews})
        plan = await plans.create(shop.scope, form)
        opening = QuickOpenForm(username=f"auto-{renews}".lower(), plan_id=plan["_id"])
        account, _ = await accounts.quick_open(shop.scope, opening, new_id("open"))
        assert account["renews"] is renews


async def test_what_never_ends_cannot_be_switched_on(shop: Shop) -> None:
    plan = await plans.create(shop.scope, PlanForm(name="Free", kind="free", price=0))
    await shop.do(CHANGE_PLAN, ChangePlanForm(plan_id=plan["_id"]))
    with pytest.raises(Conflict) as refused:
        await shop.do(RENEWS)
    assert refused.value.code == "never_ends"


async def test_many_that_end_at_once_are_all_renewed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "_PORTION", 3)
    for number in range(7):
        other = {**shop.account, "_id": new_id("acc"), "username": f"many{number}", "search": [], "renews": True}
        await shop.scope.db.accounts.insert(other)
    await shop.pay(8 * 3000)
    assert await shop.run() == 8
    assert await shop.balance() == 0


async def test_rows_of_old_renew_nothing(world: World) -> None:
    acme, fresh = world.acme, dict(world.acme.scope.tenant["parameters"])
    kinds = ["renewal_refused", "renewal_unpaid", "renewed"]
    await world.ps.db.tenants.update(
        acme.id, {"$unset": {"parameters.renew_hours": ""}, "$pullAll": {"parameters.notice_mail": kinds}}
    )
    await acme.scope.db.accounts.update(acme.account["_id"], {"$unset": {"renews": ""}})
    await acme.scope.db.plans.update(acme.plan["_id"], {"$unset": {"renews": ""}})
    for _ in range(2):
        await migrations.renewals_begin(world.ps)
    stored = (await world.ps.db.tenants.get(acme.id))["parameters"]
    assert sorted(stored.pop("notice_mail")) == sorted(fresh.pop("notice_mail")) and stored == fresh
    assert (await accounts.get(acme.scope, acme.account["_id"]))["renews"] is False
    assert (await plans.get(acme.scope, acme.plan["_id"]))["renews"] is False
