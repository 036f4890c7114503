"""The pages of payments, receipts, invoices and the proof; what is printed is read back out of the PDF."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import Callable
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from pypdfium2.raw import FPDF_PAGEOBJ_TEXT

from saas import pdf
from saas.handlers.papers import capitals, paper_of
from saas.tenants import documents, ledger, life, logos, parameters, payments, proof, purchases, wallet
from saas.tenants.ledger import LedgerEntry
from saas.tenants.payments import ReverseForm
from saas.tenants.scope import PlatformScope, Scope
from tests.browser import Browser, text
from tests.world import Business, make_business, signed_in

pytestmark = pytest.mark.slow

EN = {"Accept_Language": "en"}


@pytest.fixture
async def desk(web: str, ps: PlatformScope) -> tuple[Business, Browser, str]:
    """A business of this test alone, its owner's browser, and where the console lies."""
    business = await make_business(ps, "desk")
    browser = Browser(web)
    browser.cookies["session"] = await signed_in(ps, business)
    return business, browser, f"/t/{business.slug}/admin"


async def opening(business: Business, kind: str = "payment") -> LedgerEntry:
    """What alice paid for her first month, or was charged for it."""
    entry: LedgerEntry = await business.scope.db.ledger.one({"kind": kind})
    return entry


async def renew(business: Business, **values: Any) -> LedgerEntry:
    """The payment of a renewal."""
    form = purchases.RenewForm(**values)
    deed = await life.perform(business.scope, purchases.RENEW, business.account["_id"], form, f"again-{values}")
    entry = await ledger.posted(business.scope, f"{deed['_id']}:1")
    assert entry
    return entry


def words(pdf: bytes) -> str:
    """The text of a PDF, as another program reads it."""
    document = pypdfium2.PdfDocument(pdf)
    return "\n".join(page.get_textpage().get_text_range() for page in document).replace("\r\n", "\n")


def width(pdf: bytes) -> float:
    """Of the first page, in mm."""
    return float(pypdfium2.PdfDocument(pdf)[0].get_width() * 25.4 / 72)


async def test_payments_are_listed_with_price_discount_and_what_was_paid(desk: tuple[Business, Browser, str]) -> None:
    business, browser, base = desk
    await renew(business, paid="25.00", method="wechat")
    shown = text(await browser.get(f"{base}/payments", **EN))
    for part in ("¥30.00", "¥5.00", "¥25.00", "WeChat", "alice", business.email, "entries: 1", "discount ¥5.00"):
        assert part in shown, part
    one = text(await browser.get(f"{base}/payments?method=cash", **EN))
    assert "discount ¥5.00" not in one and "¥25.00" not in one
    rows = text(await browser.get(f"{base}/payments?method=wechat&format=csv", **EN)).splitlines()
    assert len(rows) == 2 and ",Payment,30.00,5.00,25.00,WeChat," in rows[1]
    assert (await browser.get(f"{base}/payments?kind=charge")).code == 400
    assert "No money has moved yet" not in text(await browser.get(f"{base}/payments?actor={business.email}", **EN))
    assert "Nothing matches" in text(await browser.get(f"{base}/payments?actor=nobody", **EN))


async def test_totals_come_in_the_order_of_the_desk_with_what_is_left(desk: tuple[Business, Browser, str]) -> None:
    """The opening in cash, then more by other ways; money that went back is red, also where no way was kept."""
    business, browser, base = desk
    own = {"member_id": business.account["member_id"]}
    for key, amount, method in (("t", 99900, "transfer"), ("a", 500, "alipay"), ("w", 700, "wechat")):
        await ledger.post(business.scope, "payment", amount, key=key, method=method, **own)
    await ledger.post(business.scope, "refund", -200000, key="r", **own)
    totals = text(await browser.get(f"{base}/payments", **EN)).partition('id="totals"')[2].partition('id="list"')[0]
    assert re.findall(r"-?¥[\d,.]+", totals) == ["-¥959.00", "¥30.00", "¥7.00", "¥5.00", "¥999.00", "-¥2,000.00"]
    assert totals.count("op-negative") == 2 and "entries: 5" in totals


async def test_an_entry_shows_its_whole_purchase(desk: tuple[Business, Browser, str]) -> None:
    business, browser, base = desk
    charge = await opening(business, "charge")
    page = text(await browser.get(f"{base}/payments/{charge['_id']}", **EN))
    assert (await opening(business))["_id"] in page and "Issue the invoice" in page and "Issue the receipt" not in page
    assert f"{base}/payments/{charge['_id']}" in text(await browser.get(f"{base}/ledger"))


async def test_taking_back_shows_what_it_does_and_does_it_once(desk: tuple[Business, Browser, str]) -> None:
    business, browser, base = desk
    entry = await opening(business)
    path = f"{base}/payments/{entry['_id']}/reverse"
    page = text(await browser.get(path, **EN))
    assert "The payment and its charge" in page and "stay as they are" in page
    assert "The member owes ¥30.00 afterwards: what was bought stays charged." in page
    void = text(await browser.get(f"{path}?what=sale&note=", HX_Request="true", **EN))
    assert "The member owes" not in void and "¥30.00" in void
    attempt = re.findall(r'name="_attempt" value="(\w+)"', page)[0]
    nothing = await browser.post(path, {"what": "entry", "note": "", "_attempt": attempt}, **EN)
    assert nothing.code == 422 and "Please fill this in." in text(nothing)
    fields = {"what": "sale", "note": "Wrong member", "_attempt": attempt}
    for _ in range(2):
        answer = await browser.post(path, fields, **EN)
        assert (answer.code, answer.headers["Location"]) == (303, f"{base}/payments/{entry['_id']}")
    assert await business.scope.db.ledger.count({"reverses": {"$gt": ""}}) == 2
    shown = text(await browser.get(f"{base}/payments/{entry['_id']}", **EN))
    assert "Wrong member" in shown and "Issue the" not in shown and "/reverse" not in shown
    again = await browser.post(path, {"what": "entry", "note": "Once more"}, **EN)
    assert again.code == 409 and "This has been taken back already." in text(again)
    listed = text(await browser.get(f"{base}/payments", **EN))
    assert "Taken back" in listed and "Takes back" in listed


async def test_a_receipt_is_issued_once_and_printed_as_it_was(desk: tuple[Business, Browser, str]) -> None:
    business, browser, base = desk
    entry = await renew(business, paid="25.00")
    answers = [await browser.post(f"{base}/payments/{entry['_id']}/receipt") for _ in range(2)]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    path = answers[0].headers["Location"]
    page = text(await browser.get(path, **EN))
    assert "Receipt" in page and "Monthly × 1" in page and "¥25.00" in page
    first = await browser.get(f"{path}/pdf")
    assert first.headers["Content-Type"] == "application/pdf" and width(first.body) == pytest.approx(210, abs=0.5)
    read = words(first.body)
    for part in ("收据", "Desk", "Alice (alice)", "Monthly × 1", "¥30.00", "¥5.00", "¥25.00", "现金", "贰拾伍元整"):
        assert part in read, part
    scope = business.scope
    known = {name: scope.tenant["parameters"][name] for name in parameters.ParametersForm.model_fields}
    changed = known | {"legal_name": "Somebody else", "timezone": "Europe/Berlin", "locale": "en"}
    await parameters.update(scope, parameters.ParametersForm.model_validate(changed))
    assert (await browser.get(f"{path}/pdf")).body == first.body


async def test_papers_come_in_both_languages_and_sizes(desk: tuple[Business, Browser, str]) -> None:
    business, browser, base = desk
    path = (await browser.post(f"{base}/payments/{(await opening(business))['_id']}/invoice")).headers["Location"]
    for size, mm in (("a4", 210), ("slip", 80), ("slip58", 58)):
        for language, title in (("zh", "账单"), ("en", "Invoice")):
            pdf = (await browser.get(f"{path}/pdf?size={size}&language={language}")).body
            read = words(pdf)
            assert width(pdf) == pytest.approx(mm, abs=0.5)
            assert title in read and "¥30.00" in read and ("叁拾元整" in read) == (language == "zh")
            assert len(pypdfium2.PdfDocument(pdf)) == 1
    for query in ("size=a5", "language=fr"):
        assert (await browser.get(f"{path}/pdf?{query}")).code == 400


async def test_what_the_list_has_is_printed_at_once(
    desk: tuple[Business, Browser, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    business, browser, base = desk
    assert (await browser.get(f"{base}/documents?format=pdf")).code == 404  # nothing was issued
    entry = await opening(business)
    papers = [
        await documents.receipt(business.scope, entry["_id"]),
        await documents.invoice(business.scope, entry["_id"]),
    ]
    assert "format=pdf" in text(await browser.get(f"{base}/documents?kind=receipt", **EN))
    answer = await browser.get(f"{base}/documents?format=pdf")
    assert answer.headers["Content-Type"] == "application/pdf" and len(pypdfium2.PdfDocument(answer.body)) == 2
    for paper in papers:
        assert paper["number"] in words(answer.body)
    one = (await browser.get(f"{base}/documents?format=pdf&kind=invoice")).body
    assert len(pypdfium2.PdfDocument(one)) == 1 and papers[0]["number"] not in words(one)
    monkeypatch.setattr("saas.handlers.admin.documents.MOST", 1)
    refused = await browser.get(f"{base}/documents?format=pdf", **EN)
    assert refused.code == 409 and "At most 1 can be printed at once" in text(refused)


async def test_glyphs_and_logo_are_in_the_pdf(desk: tuple[Business, Browser, str]) -> None:
    """Seen by another program: every font is in the file, and the logo has its colour."""
    business, browser, base = desk
    out = io.BytesIO()
    Image.new("RGB", (400, 100), (10, 120, 240)).save(out, "PNG")
    await logos.replace(
        business.scope, logos.LogoForm.model_validate({"picture": base64.b64encode(out.getvalue()).decode()})
    )
    path = (await browser.post(f"{base}/payments/{(await opening(business))['_id']}/receipt")).headers["Location"]
    pdf = (await browser.get(f"{path}/pdf?language=zh")).body
    page = pypdfium2.PdfDocument(pdf)[0]
    drawn = [part.get_font() for part in page.get_objects(filter=[FPDF_PAGEOBJ_TEXT])]
    assert drawn and all(font.is_embedded and "NotoSansSC" in font.get_base_name() for font in drawn)
    assert len(pdf) < 200_000
    colours = page.render(scale=1).to_pil().convert("RGB").getcolors(100_000) or []
    assert max((count for count, colour in colours if colour == (10, 120, 240)), default=0) > 1000


async def test_the_same_paper_is_the_same_file_whoever_else_prints(desk: tuple[Business, Browser, str]) -> None:
    """Fonts are shared: what one paper needs must not get into another one that is drawn at the same time."""
    business, browser, base = desk
    receipt = await documents.receipt(business.scope, (await opening(business))["_id"])
    invoice = await documents.invoice(business.scope, (await opening(business))["_id"])
    paths = [
        f"{base}/documents/{paper['_id']}/pdf?size={size}&language={language}"
        for paper in (receipt, invoice)
        for size in ("a4", "slip")
        for language in ("zh", "en")
    ]
    alone = [(await browser.get(path)).body for path in paths]
    together = await asyncio.gather(*(browser.get(path) for path in paths * 3))
    assert [answer.body for answer in together] == alone * 3 and len(set(alone)) == len(paths)


def test_long_texts_markup_and_rare_characters_are_printed() -> None:
    lines = [
        [f"Plan {number} & <b>more</b> of it, in a name that is too long", "-¥1,234,567.00"] for number in range(99)
    ]
    paper = pdf.Paper(
        "收据", "R1", ["堃昇喆 & Co"], None, [("会员", "赟")], ["项目", "金额"], lines, [("合计", "¥1")], "", "x"
    )
    for size in ("a4", "slip", "slip58"):
        drawn = pdf.draw(paper, size)  # type: ignore[arg-type]
        assert (len(pypdfium2.PdfDocument(drawn)) > 1) == (size == "a4")
        read = words(drawn)
        for part in ("堃昇喆 & Co", "赟", "Plan 98 & <b>more</b>", "-¥1,234,567.00"):
            assert part in read, part


async def test_the_logo_is_sent_as_a_file(desk: tuple[Business, Browser, str]) -> None:
    _, browser, base = desk
    page = text(await browser.get(f"{base}/parameters/logo", **EN))
    assert 'enctype="multipart/form-data"' in page and 'type="file"' in page
    assert (await browser.get(f"{base}/parameters/logo/picture")).code == 404
    out = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(out, "JPEG")
    for data, code in ((out.getvalue(), 303), (b"GIF89a", 422), (b"", 422), (b"x" * (logos.MOST + 1), 422)):
        assert (await _upload(browser, f"{base}/parameters/logo", data)) == code
    picture = await browser.get(f"{base}/parameters/logo/picture")
    assert picture.headers["Content-Type"] == "image/png" and picture.body.startswith(b"\x89PNG")
    assert (await browser.post(f"{base}/parameters/logo/remove")).code == 303
    assert (await browser.get(f"{base}/parameters/logo/picture")).code == 404


async def _upload(browser: Browser, path: str, data: bytes) -> int:
    """Send a file as a browser does; the status of the answer."""
    mark = "0123456789abcdef"
    parts = [f'--{mark}\r\nContent-Disposition: form-data; name="_xsrf"\r\n\r\n{browser.cookies["_xsrf"]}\r\n'.encode()]
    name = 'name="picture"; filename="logo.jpg"' if data else 'name="picture"; filename=""'
    head = f"--{mark}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: image/jpeg\r\n\r\n"
    body = b"".join([*parts, head.encode(), data, f"\r\n--{mark}--\r\n".encode()])
    answer = await browser.send("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={mark}"})
    return answer.code


async def test_another_tenants_papers_are_not_printed(desk: tuple[Business, Browser, str], owner: Browser) -> None:
    business, browser, base = desk
    path = (await browser.post(f"{base}/payments/{(await opening(business))['_id']}/receipt")).headers["Location"]
    assert (await browser.get(f"{path}/pdf")).code == 200
    assert (await owner.get(f"{path}/pdf")).code == 404


async def test_documents_are_listed_and_a_credit_note_names_its_invoice(desk: tuple[Business, Browser, str]) -> None:
    business, browser, base = desk
    entry = await opening(business)
    billed = await documents.invoice(business.scope, entry["_id"])
    await payments.reverse(business.scope, entry["_id"], ReverseForm(what="sale", note="Void"))
    listed = text(await browser.get(f"{base}/documents", **EN))
    assert billed["number"] in listed and "Credit note" in listed and "-¥30.00" in listed
    note = (await documents.of_purchase(business.scope, billed["purchase"]))[1]
    assert note["number"] in text(await browser.get(f"{base}/documents/{billed['_id']}"))
    read = words((await browser.get(f"{base}/documents/{note['_id']}/pdf?language=en")).body)
    assert billed["number"] in read and note["number"] in read and "-¥30.00" in read


async def test_money_onto_the_balance_has_a_receipt(scope_of_desk: Scope, desk: tuple[Business, Browser, str]) -> None:
    business = desk[0]
    form = wallet.TopUpForm(amount=123405, method="transfer")
    entry = await wallet.top_up(scope_of_desk, business.account["member_id"], form, "top")
    paper = paper_of(await documents.receipt(scope_of_desk, entry["_id"]), "zh", None)
    assert paper.lines == [["余额充值", "¥1,234.05", "", "¥1,234.05"]]
    assert paper.words.endswith("壹仟贰佰叁拾肆元零伍分")


@pytest.fixture
def scope_of_desk(desk: tuple[Business, Browser, str]) -> Scope:
    return desk[0].scope


async def test_the_proof_says_when_it_was_made_and_what_differs(
    desk: tuple[Business, Browser, str], expect_log: Callable[[str], None]
) -> None:
    business, browser, base = desk
    assert "Not proven yet" in text(await browser.get(f"{base}/proof", **EN))
    await proof.prove(business.scope)
    assert "All 1 balances are the sums of their 2 entries" in text(await browser.get(f"{base}/proof", **EN))
    expect_log("1 balances are not the sum")
    await business.scope.db.members.update(business.account["member_id"], {"$inc": {"balance": 777}})
    await proof.prove(business.scope)
    page = text(await browser.get(f"{base}/proof", **EN))
    assert "1 balances are not the sum of their entries" in page and "¥7.77" in page
    assert f"{base}/members/{business.account['member_id']}" in page


@pytest.mark.parametrize(
    ("minor", "said"),
    [
        (0, "零元整"),
        (5, "伍分"),
        (50, "伍角整"),
        (105, "壹元零伍分"),
        (3000, "叁拾元整"),
        (100000, "壹仟元整"),
        (1000100, "壹万零壹元整"),
        (10500000, "壹拾万伍仟元整"),
        (10000000100, "壹亿零壹元整"),
        (1005000000, "壹仟零伍万元整"),
        (-123456, "负壹仟贰佰叁拾肆元伍角陆分"),
    ],
)
def test_sums_in_capital_numerals(minor: int, said: str) -> None:
    assert capitals(minor) == said
