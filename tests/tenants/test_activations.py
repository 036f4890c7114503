"""Accounts that are opened ahead: they let nobody in, and their time begins when they are active."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saas.errors import AppError, Invalid
from saas.tenants import access, accounts, billing, ledger, life, login_records, plans, standing, verdict
from saas.tenants.accounts import Account, QuickOpenForm
from saas.tenants.activations import ACTIVATE, activate_due
from saas.tenants.forms import Form
from saas.tenants.plan_form import PlanForm
from saas.tenants.purchases import ADD, CHANGE_PLAN, RENEW, AdditionForm, ChangePlanForm, RenewForm
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.tenants.standing import CloseForm, NoteForm
from saas.values import new_id, utcnow
from tests.world import World

pytestmark = pytest.mark.slow

ZONE = "Asia/Shanghai"
GB = 2**30


class Shop:
    """Acme and a clock; `open` opens an account ahead."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.scope: Scope = world.acme.scope
        self.now = utcnow()
        self.day = (self.now.astimezone(ZoneInfo(ZONE)) + timedelta(days=10)).date()
        self.id = ""

    async def open(self, plan_id: str = "", **values: Any) -> Account:
        form = {"username": new_id("u")[-12:], "plan_id": plan_id or self.world.acme.plan["_id"], **values}
        account, _ = await accounts.quick_open(self.scope, QuickOpenForm.model_validate(form), new_id("open"))
        self.id = account["_id"]
        return account

    async def plan(self, **values: Any) -> str:
        form = PlanForm.model_validate({"name": new_id("plan"), "price": "30", **values})
        return (await plans.create(self.scope, form))["_id"]

    async def do(self, act: life.Act, form: Form | None = None) -> Account:
        shown = await life.preview(self.scope, act, self.id, form or Form())
        await life.perform(self.scope, act, self.id, form or Form(), new_id("try"))
        after = await self.row()
        assert (after["status"], after["expires_at"]) == (shown.after["status"], shown.after["expires_at"])
        return after

    async def refused(self, act: life.Act, form: Form | None = None) -> str:
        with pytest.raises(AppError) as error:
            await life.perform(self.scope, act, self.id, form or Form(), new_id("try"))
        return error.value.code

    async def run(self, now: datetime) -> int:
        self.now = now
        return await activate_due(self.scope, Occasion(now, now - timedelta(minutes=5), now))

    async def row(self) -> Account:
        return await accounts.get(self.scope, self.id)

    async def booked(self) -> int:
        return await self.scope.db.ledger.count({"account_id": self.id})

    async def reason(self) -> str:
        return (await verdict.accounts_verdict(self.scope, self.id)).decision.reason


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


@pytest.fixture
def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> Shop:
    found = Shop(world)
    monkeypatch.setattr(life, "utcnow", lambda: found.now)
    return found


async def test_what_is_paid_ahead_begins_on_its_day_however_late_the_run(shop: Shop) -> None:
    opened = await shop.open(opens="later", activates_on=shop.day, units=2)
    assert (opened["status"], opened["expires_at"], opened["activates_at"]) == ("pending", None, midnight(shop.day))
    assert await shop.booked() == 2 and await shop.reason() == "pending"
    assert await shop.run(midnight(shop.day) - timedelta(seconds=1)) == 0
    assert [await shop.run(midnight(shop.day) + timedelta(days=3)) for _ in range(2)] == [1, 0]
    after = await shop.row()
    assert (after["status"], after["activates_at"]) == ("normal", None)
    assert after["expires_at"] == billing.later(midnight(shop.day), 2, 0, ZONE)
    assert await shop.booked() == 2 and await shop.reason() == ""
    (deed,) = await shop.scope.db.deeds.find({"account_id": shop.id})
    assert (deed["verb"], deed["charged"]) == ("activate", 0)
    assert await ledger.differences(shop.scope) == []


async def test_it_is_activated_by_hand_before_its_day(shop: Shop) -> None:
    await shop.open(opens="later", activates_on=shop.day)
    after = await shop.do(ACTIVATE)
    assert after["expires_at"] == billing.later(shop.now, 1, 0, ZONE)
    assert await shop.refused(ACTIVATE) == "not_pending"
    assert await shop.run(midnight(shop.day) + timedelta(minutes=1)) == 0


@pytest.mark.parametrize("kind", ["prepaid_monthly", "buyout_traffic"])
async def test_what_is_not_paid_begins_with_its_first_purchase(shop: Shop, kind: str) -> None:
    traffic = {"octets": 5 * GB, "valid_days": 0 if kind == "prepaid_monthly" else 30}
    opened = await shop.open(await shop.plan(kind=kind, **traffic), opens="unpaid", units=9)
    assert (opened["status"], await shop.booked(), await shop.reason()) == ("pending", 0, "pending")
    assert await shop.refused(ACTIVATE) == "nothing_bought"
    shop.now += timedelta(days=40)
    after = await shop.do(RENEW, RenewForm(units=2))
    months, days = (2, 0) if kind == "prepaid_monthly" else (0, 60)
    assert (after["status"], after["octets_left"]) == ("normal", 10 * GB)
    assert after["expires_at"] == billing.later(shop.now, months, days, ZONE)
    assert (after["term"]["paid"], await shop.booked()) == (6000, 2)


@pytest.mark.parametrize("opens", ["later", "unpaid"])
async def test_who_was_opened_ahead_is_told_once_when_it_is_active(shop: Shop, opens: str) -> None:
    day = shop.day if opens == "later" else None
    account = await shop.open(opens=opens, activates_on=day, email="carol@example.net")
    told = {"kind": "activated", "subject": account["_id"]}
    assert not await shop.scope.db.notices.count(told)
    if opens == "unpaid":
        await shop.do(RENEW, RenewForm())
        await shop.do(RENEW, RenewForm())
    for _ in range(2):
        await shop.run(midnight(shop.day) + timedelta(minutes=1))
    (row,) = await shop.scope.db.notices.find(told)
    assert (row["to"], row["facts"]["account"]) == ("carol@example.net", account["username"])
    assert row["facts"]["plan"] == shop.world.acme.plan["name"]


async def test_a_renewal_before_the_day_is_added_to_what_waits(shop: Shop) -> None:
    await shop.open(opens="later", activates_on=shop.day)
    assert (await shop.do(RENEW, RenewForm(units=2)))["status"] == "pending"
    await shop.run(midnight(shop.day) + timedelta(minutes=1))
    assert (await shop.row())["expires_at"] == billing.later(midnight(shop.day), 3, 0, ZONE)


async def test_a_plan_that_waits_for_the_first_login_goes_on_waiting(shop: Shop) -> None:
    await shop.open(await shop.plan(starts="first_login"), opens="unpaid")
    after = await shop.do(RENEW, RenewForm())
    assert (after["status"], after["expires_at"], after["term"]["waits"]) == ("normal", None, True)


async def test_what_costs_nothing_is_activated_by_hand(shop: Shop) -> None:
    await shop.open(await shop.plan(kind="free"), opens="unpaid")
    assert (await shop.do(ACTIVATE))["status"] == "normal"


async def test_what_is_not_active_cannot_be_suspended_or_moved(shop: Shop) -> None:
    await shop.open(opens="later", activates_on=shop.day)
    other = await shop.plan()
    for act, form in (
        (standing.SUSPEND, NoteForm()),
        (ADD, AdditionForm(days=3)),
        (CHANGE_PLAN, ChangePlanForm(plan_id=other)),
    ):
        assert await shop.refused(act, form) == "is_pending"
    after = await shop.do(standing.CLOSE, CloseForm())
    assert (after["status"], after["activates_at"]) == ("closed", None)
    member = await shop.scope.db.members.get(after["member_id"])
    assert member["balance"] == 3000, "all that was paid, since nothing was used"
    assert await shop.run(midnight(shop.day) + timedelta(minutes=1)) == 0


@pytest.mark.parametrize("ahead", [0, -1, 400, None])
async def test_the_day_lies_ahead(shop: Shop, ahead: int | None) -> None:
    today = shop.now.astimezone(ZoneInfo(ZONE)).date()
    day = None if ahead is None else today + timedelta(days=ahead)
    with pytest.raises(Invalid) as error:
        await shop.open(opens="later", activates_on=day)
    assert list(error.value.fields) == ["activates_on"]


async def test_the_engine_says_so_to_who_knows_the_password(shop: Shop) -> None:
    account = await shop.open(opens="unpaid")
    key = (shop.scope.tenant_id, account["username"])
    record = (await login_records.find(shop.world.ps, [key]))[key]
    for credentials, reason in ((True, "pending"), (False, "password")):
        request = access.LoginRequest("", None, shop.now.timestamp(), credentials, True, None)
        assert access.decide(request, record).reason == reason
