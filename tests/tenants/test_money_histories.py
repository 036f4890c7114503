"""Whole businesses at random: everything that moves money, at once, twice, cut off and tried again, while sessions are
metered and many accounts are renewed in bulk. What must hold afterwards is plain.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from saas.errors import AppError
from saas.tenants import (
    accounts,
    apply,
    billing,
    bulk_work,
    journal,
    ledger,
    life,
    login_records,
    payments,
    plans,
    purchases,
    redemptions,
    standing,
    verify,
    wallet,
)
from saas.tenants.access import LoginRequest, decide
from saas.tenants.accounts import QuickOpenForm
from saas.tenants.adjusting import adjust_due
from saas.tenants.forms import Form
from saas.tenants.journal import AcctEvent, Group
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.tenants import bulk_runs, card_cast
from tests.tenants.accounting_events import rows, session
from tests.world import World

pytestmark = pytest.mark.slow

ROUNDS, STEPS, PEOPLE = 6, 14, 5
GB, MB = 2**30, 2**20
PLANS: tuple[dict[str, Any], ...] = (
    {"price": "30", "octets": GB},
    {"price": "12.34", "kind": "buyout_time", "seconds": 3600},
    {"price": "2.37", "kind": "per_hour"},
    {"price": "0.03", "kind": "per_mb", "at_end": "slow", "end_up_rate": "1", "end_down_rate": "1"},
)

Doing = Callable[[], Awaitable[Any]]


class Town:
    """A business, its people, and what has been done so far: by key, how often it succeeded."""

    def __init__(self, world: World, seed: int) -> None:
        self.ps, self.scope = world.ps, world.acme.scope
        self.chance = random.Random(seed)
        self.accounts: list[str] = []
        self.plan_ids: list[str] = []
        self.codes: list[str] = []
        self.events: list[Group] = []
        self.redeemed: Counter[str] = Counter()
        self.keys = 0

    async def begin(self) -> None:
        for number, values in enumerate(PLANS):
            form = PlanForm.model_validate({"name": f"Plan {number}", "concurrency": 0, **values})
            self.plan_ids.append((await plans.create(self.scope, form))["_id"])
        for number in range(PEOPLE):
            plan_id = self.plan_ids[number % len(PLANS)]
            opening = QuickOpenForm(username=f"p{number}", plan_id=plan_id)
            self.accounts.append((await accounts.quick_open(self.scope, opening, f"open-{number}"))[0]["_id"])
        self.codes += (await card_cast.make(self.scope, count=4, amount=700)).codes
        plan_cards = {"kind": "plan", "plan_id": self.plan_ids[0], "units": 1, "count": 4}
        self.codes += (await card_cast.make(self.scope, **plan_cards)).codes

    def key(self) -> str:
        self.keys += 1
        return f"{self.scope.tenant_id}-{self.keys}"

    async def some(self) -> tuple[str, str]:
        """An account and the member it belongs to."""
        account_id = self.chance.choice(self.accounts)
        return account_id, (await accounts.get(self.scope, account_id))["member_id"]

    async def step(self) -> None:
        """A handful of things at once: each once, twice, or cut off and tried again with its key."""
        doing = [await self.chance.choice(self._choices())() for _ in range(self.chance.randint(2, 5))]
        self.events += [self._report() for _ in range(3)]
        doing += [self._metered, lambda: adjust_due(self.ps), lambda: bulk_work.turn(self.ps)]
        await asyncio.gather(*(self._somehow(each) for each in doing))

    def _choices(self) -> list[Callable[[], Awaitable[Doing]]]:
        return [self._pay, self._act, self._act, self._by_hand, self._redeem, self._reverse, self._bulk]

    async def _somehow(self, do: Doing) -> None:
        way = self.chance.choice(["once", "twice", "cut off"])
        if way == "cut off":
            task = asyncio.ensure_future(do())
            await asyncio.wait([task], timeout=self.chance.random() * 0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        times = 2 if way == "twice" else 1
        for answer in await asyncio.gather(*(do() for _ in range(times)), return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, AppError):
                raise answer

    async def _pay(self) -> Doing:
        (_, member_id), key = await self.some(), self.key()
        form = wallet.TopUpForm(amount=self.chance.randint(1, 5000))
        return lambda: wallet.top_up(self.scope, member_id, form, key)

    async def _by_hand(self) -> Doing:
        (_, member_id), key = await self.some(), self.key()
        values = {"amount": self.chance.randint(1, 2000), "login": f"p{self.chance.randrange(PEOPLE)}", "note": "so"}
        change = self.chance.choice(list(wallet.CHANGES))
        form = wallet.BalanceForm.model_validate({"change": change, **values})
        return lambda: wallet.change(self.scope, member_id, form, key)

    async def _act(self) -> Doing:
        (account_id, _), key = await self.some(), self.key()
        method = self.chance.choice(["cash", "balance"])
        acts: list[tuple[life.Act, Form]] = [
            (purchases.RENEW, purchases.RenewForm(units=self.chance.randint(1, 3), method=method)),
            (purchases.ADD, purchases.AdditionForm(octets=GB, price=199, method=method)),
            (purchases.CHANGE_PLAN, purchases.ChangePlanForm(plan_id=self.chance.choice(self.plan_ids), method=method)),
            (standing.SUSPEND, standing.NoteForm()),
            (standing.RESUME, Form()),
            (standing.TRANSFER, standing.TransferForm(login=f"p{self.chance.randrange(PEOPLE)}")),
        ]
        act, form = self.chance.choice(acts)
        return lambda: life.perform(self.scope, act, account_id, form, key)

    async def _redeem(self) -> Doing:
        (account_id, member_id), key, code = await self.some(), self.key(), self.chance.choice(self.codes)
        form = redemptions.RedeemForm(code=code, account_id=account_id, change_plan=self.chance.random() < 0.5)

        async def do() -> None:
            await redemptions.redeem(self.scope, member_id, form, key)

        return do

    async def _reverse(self) -> Doing:
        found = await self.scope.db.ledger.find({}, limit=40)
        entry = self.chance.choice(found)
        what = self.chance.choice(["entry", "sale"])
        return lambda: payments.reverse(self.scope, entry["_id"], payments.ReverseForm(what=what, note="wrong"))

    async def _bulk(self) -> Doing:
        key, form = self.key(), purchases.UnitsForm(units=1, method="cash")
        return lambda: bulk_runs.asked(self.scope, "renew", form, key=key)

    def _report(self) -> Group:
        """A session of somebody, its reports lost, repeated and late."""
        chance, readings, seconds, octets = self.chance, [], 0, 0
        for _ in range(chance.randint(1, 5)):
            seconds, octets = seconds + chance.randint(60, 900), octets + chance.randint(0, 200 * MB)
            readings.append((seconds, octets // 7, octets))
        number = len(self.events)
        values = {"username": f"p{chance.randrange(PEOPLE)}", "session_id": f"{number:04}"}
        sent = session(number, *readings, tenant_id=self.scope.tenant_id, **values)
        arrived: list[AcctEvent] = [each for each in sent if chance.random() < 0.8]
        arrived += [each for each in arrived if chance.random() < 0.3]
        chance.shuffle(arrived)
        return Group("stream", "1-0", 0.0, tuple(arrived), journal.encode(arrived))

    async def _metered(self) -> None:
        await apply.apply(self.ps, self.events[self.chance.randrange(len(self.events)) :])

    async def end(self) -> None:
        """All that was begun is brought to its end."""
        await apply.apply(self.ps, self.events)
        while await bulk_work.turn(self.ps):
            pass

    async def check(self) -> None:
        """What must hold."""
        assert await ledger.differences(self.scope) == []
        for check in verify.CHECKS:
            assert await check(self.scope) == []
        entries = await self.scope.db.ledger.find({}, limit=5000)
        assert len({entry["key"] for entry in entries}) == len(entries)
        assert all(entry["before"] + entry["amount"] == entry["after"] for entry in entries)
        taken_back = [entry["reverses"] for entry in entries if entry.get("reverses")]
        assert len(set(taken_back)) == len(taken_back)
        assert sum(entry["amount"] for entry in entries if entry["kind"] == "transfer") == 0
        await self._check_use(entries)
        await self._check_cards(entries)
        await self._check_access()

    async def _check_use(self, entries: list[Any]) -> None:
        charged: Counter[str] = Counter()
        for entry in entries:
            if entry["method"] == ledger.USE and not entry.get("reverses"):
                charged[entry["key"].split(":")[1]] -= entry["amount"]
        for row in await rows(self.scope):
            assert charged.pop(row["_id"], 0) == row.get("charged_amount", 0)
        assert not charged

    async def _check_cards(self, entries: list[Any]) -> None:
        used = [row async for row in verify._rows(self.scope.db.cards) if row["state"] == "used"]
        assert len({row["attempt"] for row in used}) == len(used)
        onto = {entry["key"].split(":")[1] for entry in entries if entry["key"].startswith("card:")}
        done = {deed["key"] for deed in await self.scope.db.deeds.find({"verb": "redeem"}, limit=1000)}
        assert onto | {row["_id"] for row in used if row["attempt"] in done} == {row["_id"] for row in used}

    async def _check_access(self) -> None:
        now = utcnow()
        for number in range(PEOPLE):
            name = (self.scope.tenant_id, f"p{number}")
            record = (await login_records.find(self.ps, [name]))[name]
            account = await accounts.get(self.scope, record.account_id)
            member = await self.scope.db.members.get(account["member_id"])
            kind = (await plans.get(self.scope, account["plan_id"]))["kind"]
            expected = account["status"] == "normal"
            if kind in billing.METERED:
                expected = expected and member["balance"] > 0
            else:
                expected = expected and not billing.is_over(account, now)
            found = decide(LoginRequest("", None, now.timestamp(), None, True, 0), record)
            assert (found.accepted and not found.restricted) == expected


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_whatever_happens_at_once_the_books_agree(ps: PlatformScope, world: World, seed: int) -> None:
    await ps.db.adjustments.delete_many({})  # of other tests
    town = Town(world, seed)
    await town.begin()
    for _ in range(STEPS):
        await town.step()
    await town.end()
    await town.check()
