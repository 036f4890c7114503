"""What is done to accounts: shown before, done once, refused where it makes no sense; money and dates agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from saas.errors import AppError, Conflict, Invalid, NotFound
from saas.tenants import accounts, billing, ledger, life, plans, wallet
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.forms import Form
from saas.tenants.life import Act
from saas.tenants.paging import ListQuery
from saas.tenants.plan_form import PlanForm
from saas.tenants.purchases import ADD, CHANGE_PLAN, KEEP_PLAN, RENEW, AdditionForm, ChangePlanForm, RenewForm
from saas.tenants.scope import Scope
from saas.tenants.standing import (
    CLOSE,
    DELETE,
    RESUME,
    SUSPEND,
    TRANSFER,
    CloseForm,
    NoteForm,
    TransferForm,
)
from saas.values import utcnow
from tests.world import World, set_account

pytestmark = pytest.mark.slow

ZONE = "Asia/Shanghai"
GB = 2**30
DAY = timedelta(days=1)


class Clerk:
    """Does things to Acme's account, and looks that each was shown before as it is afterwards. `now` is its clock."""

    def __init__(self, world: World) -> None:
        self.scope: Scope = world.acme.scope
        self.id: str = world.acme.account["_id"]
        self.now = utcnow()
        self.count = 0

    async def __call__(self, act: Act, form: Form | None = None, key: str = "") -> life.Deed:
        self.count += 1
        form = form or Form()
        shown = await life.preview(self.scope, act, self.id, form)
        deed = await life.perform(self.scope, act, self.id, form, key or f"clerk-{self.id}-{self.count}")
        assert await ledger.differences(self.scope) == []
        if act is not DELETE:
            after = await self.account()
            assert await self.balance(after["member_id"]) == shown.balance_after or act is TRANSFER
            kept = ("version", "updated_at")
            assert {**after, **dict.fromkeys(kept)} == {**shown.after, **dict.fromkeys(kept)}
        return deed

    async def account(self) -> accounts.Account:
        return await accounts.get(self.scope, self.id)

    async def balance(self, member_id: str = "") -> int:
        member_id = member_id or (await self.account())["member_id"]
        return int((await self.scope.db.members.get(member_id))["balance"])

    async def entries(self) -> list[tuple[str, int, str]]:
        """Kind, amount and method of what was booked since the opening, in order."""
        rows = await self.scope.db.ledger.find({"account_id": self.id}, sort=[("_id", 1)], limit=1000)
        return [(row["kind"], row["amount"], row["method"]) for row in rows[2:]]

    async def put(self, **values: Any) -> accounts.Account:
        """The account as it would be after some time."""
        await set_account(self.scope, self.id, **values)
        return await self.account()

    async def plan(self, **values: Any) -> str:
        form = PlanForm.model_validate({"name": f"Plan {self.count}", "price": "60", **values})
        return (await plans.create(self.scope, form))["_id"]

    async def refused(self, act: Act, form: Form | None = None) -> str:
        """The code with which both the preview and the act itself are refused, nothing being changed."""
        before = [await self.account(), await self.balance(), await self.scope.db.deeds.count()]
        codes = []
        for attempt in (life.preview(self.scope, act, self.id, form or Form()), self._try(act, form or Form())):
            with pytest.raises(AppError) as refused:
                await attempt
            fields = refused.value.fields if isinstance(refused.value, Invalid) else {}
            codes.append(" ".join(f"{name}:{code}" for name, code in fields.items()) or refused.value.code)
        assert codes[0] == codes[1]
        assert before == [await self.account(), await self.balance(), await self.scope.db.deeds.count()]
        return codes[0]

    async def _try(self, act: Act, form: Form) -> Any:
        return await life.perform(self.scope, act, self.id, form, f"refused-{self.id}")


@pytest.fixture
def clerk(world: World, monkeypatch: pytest.MonkeyPatch) -> Clerk:
    found = Clerk(world)
    monkeypatch.setattr(life, "utcnow", lambda: found.now)
    return found


def months(start: datetime, count: int) -> datetime:
    return billing.later(start, count, 0, ZONE)


async def test_a_renewal_takes_the_money_and_goes_on_from_the_end(clerk: Clerk) -> None:
    opened = await clerk.account()
    deed = await clerk(RENEW, RenewForm(units=2, method="wechat"))
    after = await clerk.account()
    assert after["expires_at"] == deed["expires_at"] == months(opened["created_at"], 3)
    assert await clerk.entries() == [("payment", 6000, "wechat"), ("charge", -6000, "")]
    assert (deed["charged"], deed["received"], after["term"]["paid"]) == (6000, 6000, 9000)
    log = await clerk.scope.db.audit.find({"target": clerk.id, "action": "account.renew"})
    assert log[0]["changes"]["expires_at"] == [opened["expires_at"], after["expires_at"]]


async def test_a_discount_is_kept_in_the_books(clerk: Clerk) -> None:
    await clerk(RENEW, RenewForm(units=2, paid=5000))
    rows = await clerk.scope.db.ledger.find({"account_id": clerk.id}, limit=2)
    assert [(row["list_price"], row["discount"], abs(row["amount"])) for row in rows] == [(6000, 1000, 5000)] * 2
    assert (await clerk.account())["term"]["paid"] == 3000 + 5000
    assert await clerk.refused(RENEW, RenewForm(paid=3001)) == "paid:above_price"


async def test_the_balance_pays_as_far_as_it_goes(clerk: Clerk) -> None:
    member_id = (await clerk.account())["member_id"]
    await ledger.post(clerk.scope, "payment", 3500, key="in", member_id=member_id, method="cash")
    await clerk(RENEW, RenewForm(method="balance"))
    assert await clerk.balance() == 500
    assert await clerk.refused(RENEW, RenewForm(method="balance")) == "balance_too_low"


async def test_after_the_end_a_renewal_counts_from_today_and_a_quota_begins_anew(clerk: Clerk) -> None:
    await clerk.put(octets_left=5)
    clerk.now += 40 * DAY
    await clerk(RENEW, RenewForm())
    after = await clerk.account()
    assert after["expires_at"] == months(clerk.now, 1)
    assert (after["octets_left"], after["term"]["paid"]) == (None, 3000)


async def test_more_traffic_and_time_are_bought_or_given(clerk: Clerk) -> None:
    plan_id = await clerk.plan(kind="buyout_traffic", octets="1073741824", valid_days=30)
    await clerk(CHANGE_PLAN, ChangePlanForm(plan_id=plan_id, units=1))
    before = await clerk.account()
    assert before["octets_left"] is not None and before["expires_at"] is not None
    await clerk(ADD, AdditionForm(octets=GB, days=2, price=500, method="cash"))
    await clerk(ADD, AdditionForm(octets=GB))
    after = await clerk.account()
    assert after["octets_left"] == before["octets_left"] + 2 * GB
    assert after["expires_at"] == billing.later(before["expires_at"], 0, 2, ZONE)
    assert (await clerk.entries())[-2:] == [("payment", 500, "cash"), ("charge", -500, "")]
    assert await clerk.refused(ADD, AdditionForm(seconds=60)) == "seconds:not_limited"
    assert "octets:nothing_asked" in await clerk.refused(ADD, AdditionForm(price=5))


async def test_a_suspended_account_keeps_what_is_left_to_the_second(clerk: Clerk) -> None:
    ends = (await clerk.account())["expires_at"]
    assert ends is not None
    await clerk(SUSPEND, NoteForm(note="travels"))
    left = ends - clerk.now
    assert [await clerk.refused(act) for act in (SUSPEND, DELETE)] == ["is_suspended", "not_closed"]
    clerk.now += timedelta(days=400, seconds=7)
    await clerk(RESUME)
    after = await clerk.account()
    assert (after["status"], after["suspended_at"], after["expires_at"]) == ("normal", None, clerk.now + left)
    assert await clerk.refused(RESUME) == "not_suspended"
    assert (await life.history(clerk.scope, clerk.id))[1]["note"] == "travels"


async def test_who_renews_while_suspended_has_as_much_more(clerk: Clerk) -> None:
    ends = (await clerk.account())["expires_at"]
    assert ends is not None
    await clerk(SUSPEND, NoteForm())
    clerk.now += 400 * DAY
    await clerk(RENEW, RenewForm())
    after = await clerk.account()
    assert (after["status"], after["expires_at"]) == ("suspended", months((await clerk.account())["created_at"], 2))


async def test_a_plan_is_changed_and_the_rest_converted(clerk: Clerk) -> None:
    opened = await clerk.account()
    assert opened["expires_at"] is not None
    half = (opened["expires_at"] - opened["created_at"]) / 2
    clerk.now = (opened["created_at"] + half).replace(microsecond=0)
    plan_id = await clerk.plan()
    await clerk(CHANGE_PLAN, ChangePlanForm(plan_id=plan_id))
    after = await clerk.account()
    assert 1499 <= after["term"]["paid"] <= 1500 and after["expires_at"] is not None
    whole = months(clerk.now, 1) - clerk.now
    assert abs((after["expires_at"] - clerk.now) - whole / 4) < timedelta(minutes=10)
    kinds = [(kind, amount > 0) for kind, amount, _ in await clerk.entries()]
    assert kinds == [("charge", True), ("charge", False)] and await clerk.balance() == 0
    assert await clerk.refused(CHANGE_PLAN, ChangePlanForm(plan_id=plan_id)) == "same_plan"
    await plans.update(clerk.scope, plan_id, PlanForm(name="New version", price=7000, keeps=True))
    await clerk(CHANGE_PLAN, ChangePlanForm(plan_id=plan_id, units=1))
    assert (await clerk.account())["terms"] is None and (await clerk.entries())[-1][1] == -7000


async def test_into_a_free_plan_the_rest_goes_to_the_balance(clerk: Clerk) -> None:
    await clerk(CHANGE_PLAN, ChangePlanForm(plan_id=await clerk.plan(kind="free")))
    account = await clerk.account()
    assert account["expires_at"] is None and 2990 <= await clerk.balance() <= 3000
    assert await clerk.refused(RENEW, RenewForm()) == "nothing_to_buy"


async def test_a_plan_changes_at_expiry_with_the_first_renewal_after_it(clerk: Clerk) -> None:
    old = (await clerk.account())["plan_id"]
    new = await clerk.plan()
    assert await clerk.refused(KEEP_PLAN) == "nothing_planned"
    await clerk(CHANGE_PLAN, ChangePlanForm(plan_id=new, when="expiry"))
    await clerk(KEEP_PLAN)
    await clerk(CHANGE_PLAN, ChangePlanForm(plan_id=new, when="expiry"))
    await clerk(RENEW, RenewForm())
    account = await clerk.account()
    assert (account["plan_id"], account["next_plan_id"]) == (old, new)
    clerk.now = (account["expires_at"] or clerk.now) + DAY
    await clerk(RENEW, RenewForm())
    account = await clerk.account()
    assert (account["plan_id"], account["next_plan_id"], account["term"]["paid"]) == (new, "", 6000)
    assert account["expires_at"] == months(clerk.now, 1)


async def test_a_planned_plan_that_is_sold_no_more_is_not_changed_to(clerk: Clerk) -> None:
    old = (await clerk.account())["plan_id"]
    new = await clerk.plan()
    await clerk(CHANGE_PLAN, ChangePlanForm(plan_id=new, when="expiry"))
    await plans.set_status(clerk.scope, new, "retired")
    clerk.now += 40 * DAY
    await clerk(RENEW, RenewForm())
    assert (await clerk.account())["plan_id"] == old
    assert await clerk.refused(CHANGE_PLAN, ChangePlanForm(plan_id=new)) == "plan_id:bad_choice"


async def test_an_account_goes_to_another_member_and_the_money_stays(clerk: Clerk) -> None:
    opening = QuickOpenForm(username="carol", plan_id=(await clerk.account())["plan_id"], name="Carol")
    other, _ = await accounts.quick_open(clerk.scope, opening, "other")
    assert await clerk.refused(TRANSFER, TransferForm(login="nobody")) == "login:unknown"
    assert await clerk.refused(TRANSFER, TransferForm(login="alice")) == "same_member"
    await clerk(TRANSFER, TransferForm(login="CAROL"))
    account = await clerk.account()
    assert (account["member_id"], account["member_name"]) == (other["member_id"], "Carol")
    assert [row["_id"] for row in (await accounts.listing(clerk.scope, ListQuery(q="alice"))).rows] == [clerk.id]
    assert clerk.id in [row["_id"] for row in (await accounts.listing(clerk.scope, ListQuery(q="carol"))).rows]


async def test_closing_gives_back_what_the_rest_is_worth(clerk: Clerk) -> None:
    assert await clerk.refused(CLOSE, CloseForm(refund=3001)) == "refund:above_paid"
    await clerk(CLOSE, CloseForm(method="cash"))
    back, out = await clerk.entries()
    assert back[0] == "charge" and 2990 <= back[1] <= 3000 and out == ("refund", -back[1], "cash")
    assert (await clerk.account())["status"] == "closed" and await clerk.balance() == 0
    refused = [(RENEW, RenewForm()), (SUSPEND, NoteForm()), (CLOSE, CloseForm()), (TRANSFER, TransferForm(login="bo"))]
    assert {await clerk.refused(act, form) for act, form in refused} == {"is_closed"}
    await clerk(DELETE)
    with pytest.raises(NotFound):
        await clerk.account()


@pytest.mark.parametrize(("refund", "method", "balance", "booked"), [(0, "cash", 0, 0), (700, "balance", 700, 1)])
async def test_the_refund_can_be_chosen(clerk: Clerk, refund: int, method: Any, balance: int, booked: int) -> None:
    await clerk(CLOSE, CloseForm(refund=refund, method=method))
    assert (await clerk.balance(), len(await clerk.entries())) == (balance, booked)


async def test_a_repeat_finds_what_was_done(clerk: Clerk) -> None:
    first = await life.perform(clerk.scope, RENEW, clerk.id, RenewForm(), "once")
    again = await life.perform(clerk.scope, RENEW, clerk.id, RenewForm(units=5), "once")
    assert first == again and len(await clerk.entries()) == 2
    with pytest.raises(Conflict) as reused:
        await life.perform(clerk.scope, SUSPEND, clerk.id, NoteForm(), "once")
    assert reused.value.code == "key_reused"


async def test_what_another_operation_did_with_the_same_key_pays_for_nothing(clerk: Clerk) -> None:
    member_id = (await clerk.account())["member_id"]
    await wallet.top_up(clerk.scope, member_id, wallet.TopUpForm(amount=3000), "shared")
    await clerk(RENEW, RenewForm(), "shared")
    assert await clerk.balance() == 3000 and len(await clerk.entries()) == 2


async def test_what_was_changed_meanwhile_is_not_done_unseen(clerk: Clerk) -> None:
    version = (await clerk.account())["version"]
    await clerk(SUSPEND, NoteForm())
    with pytest.raises(Conflict) as changed:
        await life.perform(clerk.scope, RENEW, clerk.id, RenewForm(), "late", version)
    assert changed.value.code == "changed"


async def test_another_sum_than_was_shown_is_neither_taken_nor_given(clerk: Clerk) -> None:
    clerk.now += DAY
    for act, form in (
        (RENEW, RenewForm()),
        (RENEW, RenewForm(paid=1500)),
        (CLOSE, CloseForm()),
    ):
        shown = (await life.preview(clerk.scope, act, clerk.id, form)).charged
        with pytest.raises(Conflict) as refused:
            await life.perform(clerk.scope, act, clerk.id, form, "another", expected=shown + 1)
        assert (refused.value.code, refused.value.data) == ("price_changed", {"shown": shown + 1, "now": shown})
        assert not await clerk.scope.db.deeds.count({"key": "another"})
        key = f"as shown {act.verb} {shown}"
        assert (await life.perform(clerk.scope, act, clerk.id, form, key, expected=shown))["charged"] == shown
        # a repeat of what was done finds it, whatever it would cost now
        assert (await life.perform(clerk.scope, act, clerk.id, form, key, expected=0))["charged"] == shown


async def test_another_tenants_account_is_not_there(clerk: Clerk, world: World) -> None:
    for attempt in (
        life.preview(clerk.scope, RENEW, world.zeta.account["_id"], RenewForm()),
        life.perform(clerk.scope, RENEW, world.zeta.account["_id"], RenewForm(), "theirs"),
    ):
        with pytest.raises(NotFound):
            await attempt


@pytest.mark.parametrize(("key", "count"), [(lambda n: "same", 1), (lambda n: f"own-{n}", 64)])
async def test_64_at_once_renew_once_for_each_key(clerk: Clerk, key: Callable[[int], str], count: int) -> None:
    opened = await clerk.account()
    forms = [life.perform(clerk.scope, RENEW, clerk.id, RenewForm(), key(n)) for n in range(64)]
    deeds = await asyncio.gather(*forms)
    assert len({deed["_id"] for deed in deeds}) == count
    after = await clerk.account()
    assert after["expires_at"] == months(opened["created_at"], 1 + count)
    entries = await clerk.entries()
    assert sum(amount for _, amount, _ in entries) == 0
    assert sorted(amount for _, amount, _ in entries) == [-3000] * count + [3000] * count
    assert after["term"]["paid"] == 3000 * (1 + count)
    assert await ledger.differences(clerk.scope) == []


async def test_processes_that_know_nothing_of_each_other_lose_nothing(
    clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoTurns(dict[str, asyncio.Lock]):
        def setdefault(self, key: str, default: Any = None) -> Any:
            return default

    monkeypatch.setattr(life, "_turns", NoTurns())
    opened = await clerk.account()
    await asyncio.gather(*(life.perform(clerk.scope, RENEW, clerk.id, RenewForm(), f"try-{n % 5}") for n in range(10)))
    after = await clerk.account()
    assert after["expires_at"] == months(opened["created_at"], 6) and after["term"]["paid"] == 6 * 3000
    assert len(await clerk.entries()) == 10 and await ledger.differences(clerk.scope) == []
