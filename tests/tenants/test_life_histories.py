"""Random lives of an account on the real store: whatever is done in whatever order, once, twice, or at once."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from saas.errors import AppError
from saas.tenants import accounts, billing, ledger, life, login_records, plans, purchases, quotas, standing, wallet
from saas.tenants.access import LoginRequest, decide
from saas.tenants.forms import Form
from saas.tenants.life import Act
from saas.tenants.plan_form import PlanForm
from saas.values import utcnow
from tests.world import USERNAME, World

pytestmark = pytest.mark.slow

ROUNDS, STEPS = 8, 25
GB = 2**30
PLANS: tuple[dict[str, Any], ...] = (
    {"price": "30"},
    {"price": "0.07", "octets": GB, "gift_days": 2, "late_from": "expiry"},
    {"price": "100", "kind": "buyout_months", "bundle_months": 7},
    {"price": "50", "kind": "buyout_traffic", "octets": GB, "valid_days": 30},
    {"price": "19.99", "kind": "buyout_time", "seconds": 36000},
    {"price": "0", "kind": "free"},
)


class Life:
    """One history: what happens next is chance's, what must hold is not."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.scope = world.acme.scope
        self.id: str = world.acme.account["_id"]
        self.chance = random.Random(seed)
        self.now = utcnow()
        self.plan_ids: list[str] = []
        self.step = 0
        self.done: dict[str, life.Deed] = {}

    async def begin(self) -> None:
        """The plans among which there is a choice."""
        for number, values in enumerate(PLANS):
            form = PlanForm.model_validate({"name": f"Plan {number}", **values})
            self.plan_ids.append((await plans.create(self.scope, form))["_id"])

    def choice(self) -> tuple[Act, Form]:
        """An act and its form."""
        chance = self.chance
        units, method = chance.randint(1, 3), chance.choice(["cash", "balance", "wechat"])
        change = {"plan_id": chance.choice(self.plan_ids), "when": chance.choice(["now", "now", "expiry"])}
        found: list[tuple[Act, Form]] = [
            (purchases.RENEW, purchases.RenewForm(units=units, method=method)),
            (purchases.RENEW, purchases.RenewForm(units=units, method=method, paid=chance.randint(0, 9000))),
            (purchases.ADD, purchases.AdditionForm(octets=chance.choice([0, GB]), days=chance.randint(0, 9), price=99)),
            (purchases.CHANGE_PLAN, purchases.ChangePlanForm(**change, units=chance.randint(0, 2), method=method)),
            (purchases.KEEP_PLAN, Form()),
            (standing.SUSPEND, standing.NoteForm()),
            (standing.RESUME, Form()),
        ]
        if self.step > 15 and chance.random() < 0.1:
            return standing.CLOSE, standing.CloseForm(method=method)
        return chance.choice(found)

    async def go_on(self) -> None:
        """Time passes, something is used, something is done: once, again, or twice at once."""
        self.step += 1
        self.now += timedelta(seconds=self.chance.choice([1, 3600, 5 * 86400, 40 * 86400]))
        if self.chance.random() < 0.3:
            await self._use()
        if self.chance.random() < 0.2:
            await self._pay_in()
        act, form = self.choice()
        key = f"{self.id}-{self.step}"
        doing = [life.perform(self.scope, act, self.id, form, key) for _ in range(self.chance.choice([1, 1, 2]))]
        told = await asyncio.gather(*doing, return_exceptions=True)
        deeds = [deed for deed in told if not isinstance(deed, BaseException)]
        assert all(isinstance(error, AppError) for error in told if isinstance(error, BaseException)), told
        assert all(deed == deeds[0] for deed in deeds) and len(deeds) in (0, len(told))
        if deeds:
            self.done[key] = deeds[0]
            again = await life.perform(self.scope, act, self.id, form, key)
            assert again == deeds[0]

    async def _use(self) -> None:
        account = await accounts.get(self.scope, self.id)
        left = {name: account[name] for name in quotas.LEFT}  # type: ignore[literal-required]
        used = {
            name: -self.chance.randint(0, max(2 * amount, 1)) for name, amount in left.items() if amount is not None
        }
        if used:
            await self.scope.db.quotas.update_one({"_id": self.id}, {"$inc": used})

    async def _pay_in(self) -> None:
        member_id = (await accounts.get(self.scope, self.id))["member_id"]
        form = wallet.TopUpForm(amount=self.chance.randint(1, 10_000))
        entries = [await wallet.top_up(self.scope, member_id, form, f"in-{self.id}-{self.step}") for _ in range(2)]
        assert entries[0]["_id"] == entries[1]["_id"]

    async def check(self) -> None:
        """What holds after every step."""
        account = await accounts.get(self.scope, self.id)
        assert await ledger.differences(self.scope) == []
        deeds = await life.history(self.scope, self.id, 1000)
        assert {deed["key"]: deed for deed in deeds} == self.done and len(deeds) == len(self.done)
        rows = await self.scope.db.ledger.find({"account_id": self.id}, limit=1000)
        sums = {
            kind: sum(row["amount"] for row in rows if row["kind"] == kind) for kind in ("charge", "payment", "refund")
        }
        opening = billing.price_of(self.world.acme.plan, 1)
        assert sum(deed["charged"] for deed in deeds) + opening == -sums["charge"]
        assert sum(deed["received"] for deed in deeds) + opening == sums["payment"] + sums["refund"]
        clock = account["suspended_at"] or self.now
        assert 0 <= billing.unused(account, clock) <= account["term"]["paid"]
        await self._check_access(account)

    async def _check_access(self, account: accounts.Account) -> None:
        found = await login_records.find(self.world.ps, [(self.world.acme.id, USERNAME)])
        request = LoginRequest("", None, self.now.timestamp(), None, True, 0)
        ends = account["expires_at"]
        left = (account["octets_left"], account["seconds_left"])
        expected = account["status"] == "normal" and (ends is None or ends > self.now)
        expected = expected and all(amount is None or amount > 0 for amount in left)
        assert decide(request, found[self.world.acme.id, USERNAME]).accepted == expected


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_whatever_is_done_the_books_and_the_dates_agree(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    history = Life(world, seed)
    monkeypatch.setattr(life, "utcnow", lambda: history.now)
    await history.begin()
    for _ in range(STEPS):
        await history.go_on()
        await history.check()
    assert len(history.done) >= 5
