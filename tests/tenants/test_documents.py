"""Receipts and invoices: numbered without gaps, issued once, and what they say does not change any more."""

from __future__ import annotations

import asyncio
import base64
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from saas.errors import Conflict, Invalid, NotFound
from saas.store import FenceError
from saas.tenants import documents, ledger, logos, members, parameters, plans, verify, wallet
from saas.tenants.ledger import LedgerEntry
from saas.tenants.paging import ListQuery
from saas.tenants.scope import Scope
from tests.world import Business, World

pytestmark = pytest.mark.slow


async def paid(business: Business, number: int, **values: Any) -> LedgerEntry:
    """A payment onto alice's balance."""
    form = wallet.TopUpForm(amount=100 + number, **values)
    return await wallet.top_up(business.scope, business.account["member_id"], form, f"paid{number}")


async def opening(business: Business) -> LedgerEntry:
    """What alice paid for her first month."""
    filter = {"account_id": business.account["_id"], "kind": "payment"}
    entry: LedgerEntry = await business.scope.db.ledger.one(filter)
    return entry


async def entered(world: World) -> Scope:
    """Acme's scope with its parameters as they are now."""
    scope = world.acme.scope
    return world.ps.enter(await world.ps.db.tenants.get(world.acme.id), scope.actor)


async def set_parameters(world: World, **values: Any) -> Scope:
    """Acme's scope after a change of parameters."""
    now = (await entered(world)).tenant["parameters"]
    known = {name: now[name] for name in parameters.ParametersForm.model_fields}
    await parameters.update(world.acme.scope, parameters.ParametersForm.model_validate(known | values))
    return await entered(world)


def picture(kind: str = "PNG", size: tuple[int, int] = (1600, 400)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#206bc4").save(out, kind)
    return out.getvalue()


def logo_form(data: bytes) -> logos.LogoForm:
    return logos.LogoForm.model_validate({"picture": base64.b64encode(data).decode()})


async def test_64_at_once_get_64_numbers_without_a_gap(world: World) -> None:
    acme = world.acme
    entries = [await paid(acme, number) for number in range(64)]
    twice = [entry["_id"] for entry in entries for _ in range(2)]
    found = await asyncio.gather(*(documents.receipt(acme.scope, entry_id) for entry_id in twice))
    numbers = {paper["subject"]: paper["number"] for paper in found}
    assert len({paper["_id"] for paper in found}) == 64
    year = found[0]["year"]
    assert sorted(numbers.values()) == [f"R{year}-{count:06d}" for count in range(1, 65)]
    assert await acme.scope.db.documents.count() == 64


async def test_two_processes_give_no_number_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the turns that keep one process from disturbing itself, the store alone decides."""

    class NoTurn(dict[str, asyncio.Lock]):
        def setdefault(self, key: str, default: Any = None) -> Any:
            return asyncio.Lock()

    monkeypatch.setattr(documents, "_turns", NoTurn())
    entries = [await paid(world.acme, number) for number in range(6)]
    tries = [documents.receipt(world.acme.scope, entry["_id"]) for entry in entries for _ in range(2)]
    found = await asyncio.gather(*tries)
    assert sorted({paper["count"] for paper in found}) == [1, 2, 3, 4, 5, 6]


async def test_an_issue_that_fails_takes_no_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = await opening(world.acme)

    async def broken(*args: Any, **values: Any) -> None:
        raise RuntimeError("the log is full")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(documents.audit, "record", broken)
        await documents.receipt(world.acme.scope, entry["_id"])
    assert (await documents.receipt(world.acme.scope, entry["_id"]))["count"] == 1


async def test_each_kind_tenant_and_year_has_its_series(world: World) -> None:
    entry = await opening(world.acme)
    papers = [
        await documents.receipt(world.acme.scope, entry["_id"]),
        await documents.invoice(world.acme.scope, entry["_id"]),
        await documents.receipt(world.zeta.scope, (await opening(world.zeta))["_id"]),
    ]
    year = papers[0]["year"]
    assert [paper["number"] for paper in papers] == [f"R{year}-000001", f"I{year}-000001", f"R{year}-000001"]
    await world.acme.scope.db.counters.update_one(
        {"_id": f"{world.acme.id}:receipt:{year}"}, {"$set": {"last": 999999}}
    )
    assert (await documents.receipt(world.acme.scope, (await paid(world.acme, 1))["_id"]))[
        "number"
    ] == f"R{year}-1000000"


async def test_the_year_is_the_tenants(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Shanghai the year begins eight hours earlier than in UTC."""
    first, second = [await paid(world.acme, number) for number in (1, 2)]
    for entry, minute, number in ((first, 59, "R2026-000001"), (second, 0, "R2027-000001")):
        moment = datetime(2026, 12, 31, 15 if minute else 16, minute, tzinfo=UTC)
        monkeypatch.setattr(documents, "utcnow", lambda moment=moment: moment)
        assert (await documents.receipt(world.acme.scope, entry["_id"]))["number"] == number


async def test_a_gap_would_be_found(world: World) -> None:
    entry = await documents.receipt(world.acme.scope, (await opening(world.acme))["_id"])
    assert await verify._numbers(world.acme.scope) == []
    series = f"{world.acme.id}:receipt:{entry['year']}"
    await world.acme.scope.db.counters.update_one({"_id": series}, {"$inc": {"last": 1}})
    told = f"receipts of {entry['year']}: 1 were issued, and the last number is 2"
    assert await verify._numbers(world.acme.scope) == [told]


async def test_an_invoice_says_the_tax_of_the_sale(world: World) -> None:
    acme = world.acme
    plan = plans.PlanForm.model_validate({"name": "Taxed", "price": "30.00", "tax_rate": "600"})
    made = await plans.create(acme.scope, plan)
    entries = ledger.sale(3000, 2500, "cash", "Taxed × 1", made["tax_rate"])
    told = {"member_id": acme.account["member_id"], "account_id": acme.account["_id"]}
    await ledger.book(acme.scope, entries, key="sale", **told)
    charge = await ledger.posted(acme.scope, "sale:2")
    assert charge is not None
    billed = await documents.invoice(acme.scope, charge["_id"])
    assert billed["lines"] == [
        {"text": "Taxed × 1", "list_price": 3000, "discount": 500, "amount": 2500, "tax_rate": 600, "tax": 142}
    ]
    assert (billed["total"], billed["tax"], billed["method"], billed["purchase"]) == (2500, 142, "cash", "sale")
    payment = await ledger.posted(acme.scope, "sale:1")
    assert payment is not None and (await documents.invoice(acme.scope, payment["_id"]))["_id"] == billed["_id"]


async def test_what_the_balance_paid_for_is_billed_too(world: World) -> None:
    acme = world.acme
    told = {"member_id": acme.account["member_id"], "account_id": acme.account["_id"]}
    await paid(acme, 4900)
    await ledger.book(acme.scope, ledger.sale(3000, 3000, ledger.BALANCE, "Monthly"), key="own", **told)
    charge = await ledger.posted(acme.scope, "own:1")
    assert charge is not None
    billed = await documents.invoice(acme.scope, charge["_id"])
    assert (billed["method"], billed["paid_at"], billed["total"]) == ("balance", None, 3000)


async def test_entries_of_old_are_billed_at_their_plans_rate(world: World) -> None:
    acme = world.acme
    await acme.scope.db.plans.update(acme.plan["_id"], {"$set": {"tax_rate": 1300}})
    entry = await opening(acme)
    charge = dict(await acme.scope.db.ledger.one({"kind": "charge"}))
    charge = {name: value for name, value in charge.items() if name not in ("tax_rate", "reverses")}
    await acme.scope.db.ledger.insert({**charge, "_id": "led_old", "key": "old:1"})
    billed = await documents.invoice(acme.scope, "led_old")
    assert (billed["lines"][0]["tax_rate"], billed["tax"]) == (1300, 345)
    assert (await documents.invoice(acme.scope, entry["_id"]))["tax"] == 0


async def test_a_document_stays_what_it_was(world: World) -> None:
    scope = await set_parameters(
        world, legal_name="东门宽带有限公司", postal_address="东门路 100 号", tax_id="9131X", number_prefix="east-"
    )
    await logos.replace(scope, logo_form(picture()))
    scope = await entered(world)
    issued = await documents.receipt(scope, (await opening(world.acme))["_id"])
    assert issued["number"].startswith("EAST-R") and issued["language"] == "zh"
    assert issued["issuer"] == {
        "name": "东门宽带有限公司",
        "logo": scope.tenant["parameters"]["logo"],
        "address": "东门路 100 号",
        "tax_id": "9131X",
        "phone": "",
        "footer": "",
    }
    assert issued["receiver"] == {"name": "Alice", "login": "alice", "account": "alice"}
    await set_parameters(world, legal_name="Another", locale="en")
    await logos.remove(await entered(world))
    await members.update(scope, world.acme.account["member_id"], members.MemberForm(name="Bob"))
    scope = await entered(world)
    assert await documents.receipt(scope, issued["subject"]) == issued
    assert await logos.png(scope, issued["issuer"]["logo"])
    with pytest.raises(FenceError):
        await scope.db.documents.update(issued["_id"], {"$set": {"total": 1}})


async def test_what_is_no_payment_has_no_receipt_and_what_is_no_sale_no_invoice(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    charge = await scope.db.ledger.one({"kind": "charge"})
    refund = await ledger.post(scope, "refund", -100, key="out", member_id=member_id)
    for entry in (charge, refund):
        with pytest.raises(Conflict, match="not_a_payment"):
            await documents.receipt(scope, entry["_id"])
    for entry in (refund, await paid(world.acme, 1)):
        with pytest.raises(Conflict, match="nothing_sold"):
            await documents.invoice(scope, entry["_id"])


async def test_another_tenants_payments_and_papers_are_not_found(world: World) -> None:
    entry = await opening(world.zeta)
    paper = await documents.receipt(world.zeta.scope, entry["_id"])
    for attempt in (
        documents.receipt(world.acme.scope, entry["_id"]),
        documents.invoice(world.acme.scope, entry["_id"]),
        documents.get(world.acme.scope, paper["_id"]),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await world.acme.scope.db.counters.count() == 0


async def test_papers_are_found_by_number_and_member(world: World) -> None:
    scope = world.acme.scope
    paper = await documents.receipt(scope, (await opening(world.acme))["_id"])

    async def found(q: str = "", **filters: str) -> list[str]:
        rows = (await documents.listing(scope, ListQuery(q=q, filters=filters))).rows
        return [row["number"] for row in rows]

    assert await found(paper["number"].lower()) == await found("alice") == await found() == [paper["number"]]
    assert await found(kind="invoice") == await found("nobody") == await found(until="2001-01-01") == []


# the logo


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_a_logo_is_drawn_anew(world: World, kind: str) -> None:
    given = picture(kind) + b"<script>alert(1)</script>"
    await logos.replace(world.acme.scope, logo_form(given))
    logo_id = (await entered(world)).tenant["parameters"]["logo"]
    png = await logos.png(world.acme.scope, logo_id)
    assert png is not None and png.startswith(b"\x89PNG") and b"script" not in png
    assert Image.open(io.BytesIO(png)).size == (800, 200)
    assert await logos.png(world.zeta.scope, logo_id) is None


@pytest.mark.parametrize(
    "data",
    [
        b"no picture",
        picture("GIF"),
        picture()[:60],
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture(size=(6000, 5000)),
    ],
    ids=["text", "gif", "cut off", "svg", "too many pixels"],
)
async def test_what_is_no_picture_is_refused(world: World, data: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        await logos.replace(world.acme.scope, logo_form(data))
    assert refused.value.fields == {"picture": "no_picture"}
    assert (await entered(world)).tenant["parameters"]["logo"] == ""


def test_a_logo_is_not_larger_than_it_may_be() -> None:
    with pytest.raises(ValueError, match="too_long"):
        logo_form(b"x" * (logos.MOST + 1))
