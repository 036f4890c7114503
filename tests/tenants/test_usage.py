"""Prices per hour and per MB: what sessions use is charged to the balance, once and to the minor unit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from saas.tenants import accounts, apply, billing, journal, ledger, life, payments, plans, standing, wallet
from saas.tenants.accounts import Account, QuickOpenForm
from saas.tenants.billing import METERED
from saas.tenants.journal import AcctEvent, Group
from saas.tenants.plan_form import PlanForm
from saas.tenants.scope import PlatformScope, Scope
from tests.tenants.accounting_events import event, record_and_apply, rows, session
from tests.world import World

pytestmark = pytest.mark.slow

MB = 2**20
HOURLY: dict[str, Any] = {"name": "Hourly", "kind": "per_hour", "price": "2.00", "tax_rate": 600}


async def plan_of(scope: Scope, **values: Any) -> plans.Plan:
    return await plans.create(scope, PlanForm.model_validate(HOURLY | values))


async def make(scope: Scope, username: str, plan: plans.Plan) -> Account:
    account, _ = await accounts.quick_open(scope, QuickOpenForm(username=username, plan_id=plan["_id"]), username)
    return account


async def give(scope: Scope, account: Account, amount: int, attempt: str = "first") -> None:
    await wallet.top_up(scope, account["member_id"], wallet.TopUpForm(amount=amount), f"{account['_id']}-{attempt}")


async def balance(scope: Scope, account: Account) -> int:
    return int((await scope.db.members.get(account["member_id"]))["balance"])


async def charges(scope: Scope, account: Account) -> list[ledger.LedgerEntry]:
    """The earliest first."""
    filter = {"account_id": account["_id"], "kind": "charge"}
    return await scope.db.ledger.find(filter, sort=[("_id", 1)], limit=1000)


def of(scope: Scope, *readings: tuple[int, int, int], **values: Any) -> list[AcctEvent]:
    return session(0, *readings, tenant_id=scope.tenant_id, **{"username": "hana", **values})


async def test_the_charges_of_an_hour_are_those_of_the_book(ps: PlatformScope, world: World) -> None:
    """docs/billing.md: 45 minutes at 2.00 an hour are 1.50, in nine parts of five minutes."""
    scope = world.acme.scope
    account = await make(scope, "hana", await plan_of(scope))
    await give(scope, account, 1000)
    for each in of(scope, *((300 * n, n, n) for n in range(1, 10))):
        await record_and_apply(ps, each)
    entries = await charges(scope, account)
    assert [-entry["amount"] for entry in entries] == [16, 17, 17, 16, 17, 17, 16, 17, 17]
    assert [entry["after"] for entry in entries] == [
        1000 - sum((16, 17, 17, 16, 17, 17, 16, 17, 17)[:n]) for n in range(1, 10)
    ]
    assert all(entry["before"] + entry["amount"] == entry["after"] for entry in entries)
    assert {(entry["method"], entry["note"], entry["tax_rate"]) for entry in entries} == {("use", "Hourly", 600)}
    assert await balance(scope, account) == 850
    (row,) = await rows(scope)
    assert (row["charged_seconds"], row["charged_octets"], row["charged_amount"]) == (2700, 0, 150)
    assert await ledger.differences(scope) == []


@pytest.mark.parametrize(("counted", "octets"), [("both", 7), ("down", 5), ("up", 2)])
async def test_per_mb_the_direction_counts_that_the_plan_says(
    ps: PlatformScope, world: World, counted: str, octets: int
) -> None:
    scope = world.acme.scope
    account = await make(scope, "hana", await plan_of(scope, kind="per_mb", price="0.03", counted=counted))
    await record_and_apply(ps, *of(scope, (300, MB, 2 * MB), (600, 2 * MB, 5 * MB + MB // 2)))
    assert -await balance(scope, account) == 3 * (octets * MB + (MB // 2 if counted != "up" else 0)) // MB
    (row,) = await rows(scope)
    assert row["charged_seconds"] == 0


async def test_a_repeat_charges_nothing_and_less_than_a_cent_waits(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    account = await make(scope, "hana", await plan_of(scope, price="0.10"))
    start, first, second, stop = of(scope, (300, 1, 1), (600, 2, 2), (3600, 3, 3))
    seen = []
    for each in (start, first, first, second, first, second, stop, stop):
        await record_and_apply(ps, each)
        seen.append(await balance(scope, account))
    assert seen == [0, 0, 0, -1, -1, -1, -10, -10]
    assert len(await charges(scope, account)) == 2


async def test_accounts_of_one_member_in_one_portion(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    plan = await plan_of(scope)
    first, second = await make(scope, "hana", plan), await make(scope, "ivan", plan)
    transfer = standing.TransferForm(login="hana")
    await life.perform(scope, standing.TRANSFER, second["_id"], transfer, "to hana")
    await give(scope, first, 500)
    await record_and_apply(
        ps,
        *of(scope, (3600, 1, 1)),
        *of(scope, (1800, 1, 1), session_id="0002"),
        *of(scope, (900, 1, 1), session_id="0003", username="ivan"),
    )
    assert await balance(scope, first) == 500 - 200 - 100 - 50
    assert await balance(scope, second) == 0, "the member it was opened for pays nothing any more"
    assert await ledger.differences(scope) == []


async def test_who_owns_the_account_pays_from_then_on(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    plan = await plan_of(scope)
    hana, ivan = await make(scope, "hana", plan), await make(scope, "ivan", plan)
    start, first, stop = of(scope, (3600, 1, 1), (7200, 2, 2))
    await record_and_apply(ps, start, first)
    await life.perform(scope, standing.TRANSFER, hana["_id"], standing.TransferForm(login="ivan"), "to ivan")
    await record_and_apply(ps, stop)
    assert (await balance(scope, hana), await balance(scope, ivan)) == (-200, -200)


async def test_another_tenants_members_pay_nothing(ps: PlatformScope, world: World) -> None:
    ours, theirs = world.acme.scope, world.zeta.scope
    mine, other = await make(ours, "hana", await plan_of(ours)), await make(theirs, "hana", await plan_of(theirs))
    await record_and_apply(ps, *of(ours, (3600, 1, 1)))
    assert (await balance(ours, mine), await balance(theirs, other)) == (-200, 0)
    claimed = of(theirs, (3600, 1, 1), username="nobody", account_id=mine["_id"])
    await record_and_apply(ps, *claimed)
    assert (await balance(ours, mine), await balance(theirs, other)) == (-200, 0)


async def test_a_kept_version_keeps_its_price(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    plan = await plan_of(scope, keeps=True)
    account = await make(scope, "hana", plan)
    dearer = PlanForm.model_validate(plans.form_of(plan) | {"price": "8.00"})
    await plans.update(scope, plan["_id"], dearer)
    newcomer = await make(scope, "ivan", plan)
    await record_and_apply(ps, *of(scope, (3600, 1, 1)), *of(scope, (3600, 1, 1), session_id="2", username="ivan"))
    assert (await balance(scope, account), await balance(scope, newcomer)) == (-200, -800)


async def test_a_charge_for_use_can_be_given_back_and_touches_no_term(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    account = await make(scope, "hana", await plan_of(scope))
    await record_and_apply(ps, *of(scope, (3600, 1, 1)))
    (entry,) = await charges(scope, account)
    await payments.reverse(scope, entry["_id"], payments.ReverseForm(note="the line was down"))
    assert await balance(scope, account) == 0
    assert (await accounts.get(scope, account["_id"]))["term"] == account["term"]


async def test_a_low_balance_is_told_once(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    parameters = scope.tenant["parameters"] | {"notice_balance": 500, "notice_mail": ["balance_low"]}
    await ps.db.tenants.update(scope.tenant_id, {"$set": {"parameters": parameters}})
    account = await make(scope, "hana", await plan_of(scope))
    await scope.db.members.update(account["member_id"], {"$set": {"email": "hana@example.com"}})
    await give(scope, account, 600)
    for each in of(scope, *((1800 * n, n, n) for n in range(1, 6))):
        await record_and_apply(ps, each)
    told = await scope.db.notices.find({"kind": "balance_low"})
    assert [(each["subject"], each["facts"]["balance"]) for each in told] == [(account["member_id"], 400)]


async def test_a_balance_that_ends_is_seen_by_every_account_it_pays_for(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    plan = await plan_of(scope)
    hana, ivan = await make(scope, "hana", plan), await make(scope, "ivan", plan)
    await life.perform(scope, standing.TRANSFER, ivan["_id"], standing.TransferForm(login="hana"), "to hana")
    await life.perform(
        scope, standing.TRANSFER, world.acme.account["_id"], standing.TransferForm(login="hana"), "the monthly one too"
    )
    await give(scope, hana, 300)
    start, first, second = of(scope, (3600, 1, 1), (7200, 2, 2))
    await scope.db.adjustments.delete_many({})
    await record_and_apply(ps, start, first)
    assert await scope.db.adjustments.find({}) == [], "there is balance still"
    await record_and_apply(ps, second)
    marked = await scope.db.adjustments.find({}, sort=[("_id", 1)])
    assert [row["_id"] for row in marked] == sorted([hana["_id"], ivan["_id"]])
    assert all(row["since"] for row in marked)


# random histories


KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "per_hour", "price": "2.37"},
    {"kind": "per_mb", "price": "0.03"},
    {"kind": "per_mb", "price": "0.07", "counted": "down"},
)


def history(chance: random.Random, scope: Scope, names: Sequence[str]) -> list[AcctEvent]:
    """Sessions of which a third of the reports never arrives, some come twice, some late."""
    arrived: list[AcctEvent] = []
    for number in range(9):
        seconds, up, down = 0, 0, 0
        readings = []
        for _ in range(chance.randint(1, 6)):
            seconds += chance.randint(60, 900)
            up, down = up + chance.randint(0, 50 * MB), down + chance.randint(0, 500 * MB)
            readings.append((seconds, up, down))
        life = of(scope, *readings, username=chance.choice(names), session_id=f"{number:04}", gigawords=True)
        some = [each for each in life if chance.random() < 0.7]
        arrived += some + [each for each in some if chance.random() < 0.3]
    late = [each._replace(received=each.received + chance.choice([0, 1, 30, 900, 5000])) for each in arrived]
    return sorted(late, key=lambda each: each.received)


@pytest.mark.parametrize("seed", range(6))
async def test_any_history_charges_what_was_used_once(ps: PlatformScope, world: World, seed: int) -> None:
    """Applied in portions, any prefix again now and then, by two appliers, while money comes in and accounts move."""
    scope, chance = world.acme.scope, random.Random(seed)
    names = ("hana", "ivan", "jana")
    made = [
        await make(scope, name, await plan_of(scope, name=name, **values))
        for name, values in zip(names, KINDS, strict=True)
    ]
    events = history(chance, scope, names)
    groups: list[Group] = []
    while events:
        part, events = events[: chance.randint(1, 9)], events[9:]
        groups.append(Group("stream", "1-0", part[0].received, tuple(part), journal.encode(part)))

    async def pay_in(step: int) -> None:
        account = chance.choice(made)
        await give(scope, account, chance.randint(1, 900), f"step {step}")

    async def move(step: int) -> None:
        account, to = chance.choice(made), chance.choice(names)
        try:
            await life.perform(
                scope, standing.TRANSFER, account["_id"], standing.TransferForm(login=to), f"{seed}-{step}"
            )
        except Exception as error:
            assert getattr(error, "code", "") == "same_member", error

    done = 0
    while done < len(groups):
        done += chance.randint(1, 5)
        again = chance.randint(0, done)
        portions = (groups[:done], groups[again:done], groups[:done])
        await asyncio.gather(*(apply.apply(ps, part) for part in portions), pay_in(done), move(done))
    assert await ledger.differences(scope) == []
    await _check(scope, {account["_id"]: account["plan_id"] for account in made})


async def _check(scope: Scope, plan_ids: dict[str, str]) -> None:
    entries = await scope.db.ledger.find({"method": "use"}, limit=1000)
    used = {row["_id"]: row for row in await rows(scope) if row["account_id"]}
    for session_id, row in used.items():
        plan = await plans.get(scope, plan_ids[row["account_id"]])
        unit = "seconds" if METERED[plan["kind"]] == 3600 else "octets"
        up, down = row["input_octets"], row["output_octets"]
        all_of_it = row["lasted"] if unit == "seconds" else {"both": up + down, "down": down}[plan["counted"]]
        assert row[f"charged_{unit}"] == all_of_it  # type: ignore[literal-required]
        own = [entry for entry in entries if entry["key"].startswith(f"use:{session_id}:")]
        assert -sum(entry["amount"] for entry in own) == billing.metered(plan, 0, all_of_it)
        assert row.get("charged_amount", 0) == billing.metered(plan, 0, all_of_it)
    assert len(entries) == len({entry["key"] for entry in entries})


async def test_a_start_alone_costs_nothing(ps: PlatformScope, world: World) -> None:
    scope = world.acme.scope
    account = await make(scope, "hana", await plan_of(scope))
    await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id, username="hana"))
    assert await charges(scope, account) == [] and await balance(scope, account) == 0
