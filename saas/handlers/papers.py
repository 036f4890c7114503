"""Receipts, invoices and credit notes as they are printed: a stored document in the words of a language."""

from __future__ import annotations

import re

from saas.handlers.words import DOCUMENTS, METHODS
from saas.i18n import N_, Reader
from saas.pdf import Paper
from saas.tenants import ledger
from saas.tenants.documents import Document, Line

_LAST = {ledger.BALANCE: N_("Balance"), ledger.USE: METHODS[ledger.USE]}
PAID_BY = {**{name: word for name, word in METHODS.items() if name not in _LAST}, **_LAST}  # as people expect them
_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("仟", "佰", "拾", "")


def paper_of(document: Document, language: str, logo: bytes | None) -> Paper:
    """The paper in one of LANGUAGES; moments and money as they were when it was issued."""
    reader = Reader.of(language, document["zone"], document["currency"])
    taxed = document["kind"] != "receipt"
    issuer = document["issuer"]
    named = {N_("Telephone"): issuer["phone"], N_("Tax number"): issuer["tax_id"]}
    columns = [N_("Item"), N_("List price"), N_("Discount"), *([N_("Tax rate")] if taxed else []), N_("Amount")]
    return Paper(
        title=reader(DOCUMENTS[document["kind"]]),
        number=document["number"],
        issuer=[
            issuer["name"],
            *([issuer["address"]] if issuer["address"] else []),
            *(f"{reader(title)} {text}" for title, text in named.items() if text),
        ],
        logo=logo,
        facts=[(reader(title), text) for title, text in _facts(reader, document).items() if text],
        columns=[reader(title) for title in columns],
        lines=[_cells(reader, line, taxed) for line in document["lines"]],
        totals=_totals(reader, document, taxed),
        words=_in_words(reader, document),
        footer=issuer["footer"],
    )


def _facts(reader: Reader, document: Document) -> dict[str, str]:
    receiver = document["receiver"]
    name = f"{receiver['name']} ({receiver['login']})" if receiver["name"] else receiver["login"]
    return {
        N_("Member"): name,
        N_("Account"): receiver["account"],
        N_("Invoice"): document["of"],
        N_("Paid by"): reader(PAID_BY.get(document["method"], document["method"])),
        N_("Paid at"): reader.moment(document["paid_at"]) if document["paid_at"] else "",
        N_("Issued at"): reader.moment(document["issued_at"]),
        N_("Issued by"): document["issued_by"],
    }


def _cells(reader: Reader, line: Line, taxed: bool) -> list[str]:
    return [
        line["text"] or reader(N_("Paid onto the balance")),
        reader.money(line["list_price"]),
        reader.money(line["discount"]) if line["discount"] else "",
        *([rate(line["tax_rate"])] if taxed else []),
        reader.money(line["amount"]),
    ]


def _totals(reader: Reader, document: Document, taxed: bool) -> list[tuple[str, str]]:
    total = (reader(N_("Total")), reader.money(document["total"]))
    if not taxed:
        return [total]
    net = document["total"] - document["tax"]
    parts = ((N_("Net amount"), net), (N_("Tax included"), document["tax"]))
    return [*((reader(title), reader.money(amount)) for title, amount in parts), total]


def rate(basis_points: int) -> str:
    """600 -> "6%"."""
    return f"{basis_points / 100:g}%"


def _in_words(reader: Reader, document: Document) -> str:
    """The sum in words, which Chinese papers have and others do without."""
    if reader.language != "zh" or document["currency"] != "CNY":
        return ""
    return reader(N_("In words: {amount}"), amount=capitals(document["total"]))


def capitals(minor: int) -> str:
    """A sum of fen in the capital numerals of Chinese papers: 123405 -> 壹仟贰佰叁拾肆元零伍分."""
    yuan, (jiao, fen) = abs(minor) // 100, divmod(abs(minor) % 100, 10)
    text = f"{_integer(yuan)}元" if yuan or not (jiao or fen) else ""
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    elif fen and yuan:
        text += "零"
    text += f"{_DIGITS[fen]}分" if fen else "整"
    return f"负{text}" if minor < 0 else text


def _integer(number: int) -> str:
    """Zeros between two digits are read once, those at the end of a group of four not at all."""
    text = ""
    for group, unit in ((number // 10**8, "亿"), (number // 10**4 % 10**4, "万"), (number % 10**4, "")):
        digits = zip(f"{group:04d}", _PLACES, strict=False)
        read = "".join(_DIGITS[int(digit)] + (place if digit != "0" else "") for digit, place in digits)
        text += read.rstrip("零") + unit if group else "零"
    return re.sub("零+", "零", text).strip("零") or "零"
