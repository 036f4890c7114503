"""Payments and what takes them back: once, by an entry of its own, and never more than was there."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import saas.tenants
from saas.errors import AppError, Conflict, NotFound
from saas.tenants import accounts, documents, ledger, life, payments, plans, purchases, renewals, standing, wallet
from saas.tenants.ledger import LedgerEntry
from saas.tenants.paging import ListQuery
from saas.tenants.payments import ReverseForm
from saas.values import utcnow
from tests.world import Business, World, set_account

pytestmark = pytest.mark.slow


async def opening(business: Business, kind: str = "payment") -> LedgerEntry:
    """What alice paid for her first month, or was charged for it."""
    filter = {"account_id": business.account["_id"], "kind": kind}
    entry: LedgerEntry = await business.scope.db.ledger.one(filter)
    return entry


async def balance(business: Business) -> int:
    return int((await business.scope.db.members.get(business.account["member_id"]))["balance"])


async def renew(business: Business, attempt: str = "again", **values: Any) -> list[LedgerEntry]:
    """The entries of a renewal."""
    form = purchases.RenewForm(**values)
    deed = await life.perform(business.scope, purchases.RENEW, business.account["_id"], form, attempt)
    filter = {"key": {"$gte": f"{deed['_id']}:", "$lt": f"{deed['_id']};"}}
    return await business.scope.db.ledger.find(filter, sort=[("key", 1)])


def form(what: str = "entry", note: str = "The transfer was called back") -> ReverseForm:
    return ReverseForm.model_validate({"what": what, "note": note})


async def test_a_payment_is_taken_back_alone_and_then_owed(world: World) -> None:
    acme, entry = world.acme, await opening(world.acme)
    shown = await payments.preview(acme.scope, entry["_id"], form())
    assert (shown.balance, shown.balance_after, shown.credited) == (0, -3000, False)
    (back,) = await payments.reverse(acme.scope, entry["_id"], form())
    assert (back["kind"], back["amount"], back["method"], back["list_price"]) == ("payment", -3000, "cash", -3000)
    assert back["reverses"] == entry["_id"] and back["note"] == "The transfer was called back"
    assert await balance(acme) == -3000 and await ledger.differences(acme.scope) == []
    assert (await acme.scope.db.accounts.get(acme.account["_id"]))["term"]["paid"] == 3000


async def test_a_sale_is_made_void_with_its_charge(world: World) -> None:
    acme, entry = world.acme, await opening(world.acme)
    before = await acme.scope.db.accounts.get(acme.account["_id"])
    backs = await payments.reverse(acme.scope, entry["_id"], form("sale"))
    assert [(back["kind"], back["amount"]) for back in backs] == [("payment", -3000), ("charge", 3000)]
    after = await acme.scope.db.accounts.get(acme.account["_id"])
    assert await balance(acme) == 0 and after["expires_at"] == before["expires_at"]
    assert after["term"]["paid"] == 0
    closed = standing.CloseForm()
    assert (await life.preview(acme.scope, standing.CLOSE, acme.account["_id"], closed)).postings == ()


async def test_what_was_paid_with_a_discount_is_what_comes_back(world: World) -> None:
    paid, charge = await renew(world.acme, paid="25.00")
    assert (paid["list_price"], paid["discount"], paid["amount"]) == (3000, 500, 2500)
    backs = await payments.reverse(world.acme.scope, paid["_id"], form("sale"))
    assert [(back["list_price"], back["discount"]) for back in backs] == [(-3000, -500)] * 2
    assert backs[1]["reverses"] == charge["_id"] and await balance(world.acme) == 0
    assert (await world.acme.scope.db.accounts.get(world.acme.account["_id"]))["term"]["paid"] == 3000


async def test_it_is_taken_back_once_however_many_try(world: World) -> None:
    scope, entry = world.acme.scope, await opening(world.acme)
    tries = [payments.reverse(scope, entry["_id"], form(what)) for what in ("entry", "sale", "entry", "entry")]
    found = await asyncio.gather(*tries, return_exceptions=True)
    refused = [each.code for each in found if isinstance(each, AppError)]
    assert refused == ["is_reversed"] * 3
    assert await scope.db.ledger.count({"kind": "payment", "amount": -3000}) == 1
    assert await ledger.differences(scope) == []
    with pytest.raises(Conflict, match="is_reversed"):
        await payments.preview(scope, entry["_id"], form())


async def test_what_takes_back_is_not_taken_back(world: World) -> None:
    entry = await opening(world.acme)
    (back,) = await payments.reverse(world.acme.scope, entry["_id"], form())
    with pytest.raises(Conflict, match="is_reversal"):
        await payments.reverse(world.acme.scope, back["_id"], form())
    with pytest.raises(ValueError, match="note"):
        form(note="")


async def test_a_charge_comes_back_only_while_it_is_the_last(world: World) -> None:
    """Otherwise it is not known whether what was paid for the present term holds it."""
    acme = world.acme
    first, charge = await opening(acme), await opening(acme, "charge")
    later = await renew(acme)
    for entry_id, what in ((first["_id"], "sale"), (charge["_id"], "entry")):
        with pytest.raises(Conflict, match="bought_since"):
            await payments.reverse(acme.scope, entry_id, form(what))
    await payments.reverse(acme.scope, later[1]["_id"], form())
    assert await balance(acme) == 3000
    await payments.reverse(acme.scope, first["_id"], form())
    assert await balance(acme) == 0 and await ledger.differences(acme.scope) == []


async def test_nor_is_one_after_which_the_account_renewed_itself(world: World) -> None:
    acme, account = world.acme, world.acme.account
    await wallet.top_up(acme.scope, account["member_id"], wallet.TopUpForm(amount=3000), "ahead")
    await set_account(acme.scope, account["_id"], renews=True)
    form_ = renewals.EndForm(expires_at=account["expires_at"])
    await life.perform(acme.scope, renewals.AUTO_RENEW, account["_id"], form_, "itself")
    with pytest.raises(Conflict, match="bought_since"):
        await payments.reverse(acme.scope, (await opening(acme))["_id"], form("sale"))


def test_every_act_is_known_to_change_what_was_paid_or_not_to() -> None:
    """A new one is to be put where it belongs: what is paid for a term would be given back twice."""
    files = Path(saas.tenants.__file__).parent.glob("*.py")
    modules = [import_module(f"saas.tenants.{file.stem}") for file in files if file.stem != "__init__"]
    verbs = {each.verb for module in modules for each in vars(module).values() if isinstance(each, life.Act)}
    neither = {"activate", "begin", "delete", "keep_plan", "renews", "renews_not", "resume", "suspend", "transfer"}
    assert verbs == neither | set(payments.BUYING)


async def test_after_closing_nothing_comes_back_twice(world: World) -> None:
    acme, entry = world.acme, await opening(world.acme)
    await life.perform(acme.scope, standing.CLOSE, acme.account["_id"], standing.CloseForm(method="cash"), "close")
    with pytest.raises(Conflict, match="bought_since"):
        await payments.reverse(acme.scope, entry["_id"], form("sale"))
    refund = await acme.scope.db.ledger.one({"kind": "refund"})
    (back,) = await payments.reverse(acme.scope, refund["_id"], form())
    assert back["amount"] == -refund["amount"] > 0
    given = await acme.scope.db.ledger.one({"kind": "charge", "amount": {"$gt": 0}})
    with pytest.raises(Conflict, match="not_reversible"):
        await payments.reverse(acme.scope, given["_id"], form())


async def test_money_onto_the_balance_is_a_purchase_of_its_own(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    first, second = [
        await wallet.top_up(scope, member_id, wallet.TopUpForm(amount=amount), attempt)
        for amount, attempt in ((500, "1"), (700, "2"))
    ]
    assert await ledger.purchase(scope, first) == [first]
    assert await payments.charge_of(scope, second) is None
    await payments.reverse(scope, second["_id"], form("sale"))
    assert await balance(world.acme) == 500


@pytest.mark.parametrize(
    ("key", "purchase"),
    [("dee_1:2", "dee_1"), ("top-up:ab:1", "top-up:ab"), ("top-up:ab", "top-up:ab"), ("pay:alipay:2026112300", None)],
)
def test_the_key_of_a_purchase(key: str, purchase: str | None) -> None:
    assert ledger.purchase_key(key) == (purchase or key)


async def test_another_tenants_payment_is_not_found(world: World) -> None:
    entry = await opening(world.zeta)
    for act in (payments.preview, payments.reverse):
        with pytest.raises(NotFound):
            await act(world.acme.scope, entry["_id"], form())
    assert await balance(world.zeta) == 0


async def test_totals_are_of_the_filter_and_less_what_was_taken_back(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    entry = await opening(world.acme)
    await renew(world.acme, "r1", paid="25.00", method="wechat")
    await renew(world.acme, "r2", method="wechat")
    await wallet.top_up(scope, member_id, wallet.TopUpForm(amount=500, method="transfer"), "top")
    await ledger.post(scope, "refund", -100, key="out", member_id=member_id, method="cash")
    await payments.reverse(scope, entry["_id"], form())

    async def totals(**filters: str) -> dict[tuple[str, str], tuple[int, int, int]]:
        sums, cut = await payments.totals(scope, ListQuery(filters=filters))
        assert not cut
        return {(each.kind, each.method): (each.entries, each.discount, each.amount) for each in sums}

    wechat = {("payment", "wechat"): (2, 500, 5500)}
    others = {("payment", "transfer"): (1, 0, 500), ("refund", "cash"): (1, 0, -100), ("payment", "cash"): (2, 0, 0)}
    assert await totals() == wechat | others
    assert await totals(method="wechat") == wechat
    assert await totals(kind="refund") == {("refund", "cash"): (1, 0, -100)}
    assert await totals(actor=scope.actor.name) == wechat | others and await totals(actor="nobody") == {}
    assert await totals(since=f"{utcnow() + timedelta(days=2):%Y-%m-%d}") == {}


async def test_totals_look_at_a_bounded_number_of_entries(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payments, "_SUMMED", 2)
    for number in (1, 10, 100):
        await ledger.post(
            world.acme.scope, "payment", number, key=f"p{number}", member_id=world.acme.account["member_id"]
        )
    sums, cut = await payments.totals(world.acme.scope, ListQuery())
    assert cut and sum(each.amount for each in sums) == 110


async def test_the_reversal_is_in_the_log_once(world: World) -> None:
    scope, entry = world.acme.scope, await opening(world.acme)
    await payments.reverse(scope, entry["_id"], form("sale"))
    logged = await scope.db.audit.find({"action": {"$in": ["payment.reverse", "charge.reverse"]}})
    assert sorted(row["action"] for row in logged) == ["charge.reverse", "payment.reverse"]
    assert {row["changes"]["note"][1] for row in logged} == {"The transfer was called back"}


async def test_a_credit_note_follows_the_invoice(world: World) -> None:
    acme = world.acme
    values = plans.form_of(acme.plan) | {"tax_rate": 600}
    await plans.update(acme.scope, acme.plan["_id"], plans.PlanForm.model_validate(values))
    paid, charge = await renew(acme)
    billed = await documents.invoice(acme.scope, paid["_id"])
    assert (await payments.preview(acme.scope, paid["_id"], form("sale"))).credited
    assert not (await payments.preview(acme.scope, paid["_id"], form())).credited
    await payments.reverse(acme.scope, paid["_id"], form("sale"))
    papers = await documents.of_purchase(acme.scope, billed["purchase"])
    assert [paper["kind"] for paper in papers] == ["invoice", "credit_note"]
    note = papers[1]
    assert (note["of"], note["total"], note["tax"], note["subject"]) == (billed["number"], -3000, -170, charge["_id"])
    assert (billed["total"], billed["tax"]) == (3000, 170)
    with pytest.raises(Conflict, match="is_reversed"):
        await documents.receipt(acme.scope, paid["_id"])


async def test_names_of_accounts(world: World) -> None:
    account = world.acme.account
    assert await accounts.usernames(world.acme.scope, {account["_id"], "acc_gone"}) == {account["_id"]: "alice"}
    assert await accounts.usernames(world.zeta.scope, {account["_id"]}) == {}
