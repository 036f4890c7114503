"""Receipts, invoices and credit notes: found again, and printed as A4 or as a slip, in either language."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from saas import pdf
from saas.errors import Limit, NotFound
from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.lists import Filter, ListPage, Sender
from saas.handlers.messages import BadRequest
from saas.handlers.papers import paper_of
from saas.handlers.routes import Menu, Route
from saas.handlers.words import DOCUMENTS
from saas.i18n import LANGUAGES, N_
from saas.permissions import Permission
from saas.tenants import documents, logos, payments
from saas.tenants.paging import ListQuery, Page

PAPER_COLUMNS = (
    Column(N_("Number"), "number", "code", link="/documents/{_id}", role="title"),
    Column(N_("Kind"), "kind", words=DOCUMENTS),
    Column(N_("Amount"), "total", "money"),
    Column(N_("Issued at"), "issued_at", "moment"),
)
MOST = 100  # papers that are printed at once
SIZES: dict[pdf.Size, str] = {"a4": N_("A4"), "slip": N_("Slip, 80 mm"), "slip58": N_("Slip, 58 mm")}


async def print_all(page: ListPage, query: ListQuery) -> None:
    """What the list has as one PDF on A4, each paper in the language of its member."""
    found = (await documents.listing(page.scope, replace(query, limit=MOST + 1))).rows
    if not found:
        raise NotFound()
    if len(found) > MOST:
        raise Limit("too_many_papers", most=MOST)
    pictures = {logo: await logos.png(page.scope, logo) for logo in {each["issuer"]["logo"] for each in found}}
    papers = [paper_of(each, each["language"], pictures[each["issuer"]["logo"]]) for each in found]
    send(page, await asyncio.to_thread(pdf.draw_all, papers), page.export)


def send(page: Handler, drawn: bytes, name: str) -> None:
    """Answer with a PDF."""
    page.clear_header("Content-Security-Policy")  # the browser's reader of PDF is no page of ours
    page.set_header("Content-Type", "application/pdf")
    page.set_header("Content-Disposition", f'inline; filename="{name}.pdf"')
    page.finish(drawn)


class Documents(ListPage):
    """Everything that was issued, newest first."""

    title = N_("Receipts and invoices")
    search = N_("Number or member name")
    export = "documents"
    columns = (
        Column(N_("Number"), "number", "code", link="/documents/{_id}", role="title"),
        Column(N_("Kind"), "kind", words=DOCUMENTS),
        Column(N_("Member"), "receiver.login", link="/members/{member_id}"),
        Column(N_("Account"), "receiver.account", role="minor"),
        Column(N_("Tax included"), "tax", "money", role="minor"),
        Column(N_("Amount"), "total", "money"),
        Column(N_("Issued at"), "issued_at", "moment"),
        Column(N_("Issued by"), "issued_by"),
    )
    filters = (
        Filter("kind", N_("Kind"), tuple(DOCUMENTS.items())),
        Filter("since", N_("From"), widget="date"),
        Filter("until", N_("To"), widget="date"),
    )
    further: ClassVar[Mapping[str, Sender]] = {"pdf": print_all}
    empty = N_("Nothing was issued yet. A payment’s page issues its receipt and its invoice.")

    async def rows(self, query: ListQuery) -> Page:
        """See documents.listing."""
        return await documents.listing(self.scope, query)


class Document(Handler):
    """One document as it will be printed."""

    async def get(self, id: str) -> None:
        """The page."""
        found = await documents.get(self.scope, id)
        paper = paper_of(found, self.reader.language, None)
        columns = [Column(title, str(n), role="" if n else "title") for n, title in enumerate(paper.columns)]
        lines = [{str(n): cell for n, cell in enumerate(line)} for line in paper.lines]
        others = await documents.of_purchase(self.scope, found["purchase"])
        self.page(
            "admin/documents/detail.html",
            found["number"],
            others=[other for other in others if other["_id"] != id],
            other_columns=PAPER_COLUMNS,
            taken_back=bool(await payments.reversed_by(self.scope, {found["subject"]})),
            document=found,
            paper=paper,
            columns=columns,
            lines=lines,
            sizes=SIZES,
            logo=bool(found["issuer"]["logo"]),
        )


class Pdf(Handler):
    """The PDF."""

    async def get(self, id: str) -> None:
        """``?size=a4|slip|slip58&language=zh|en``; the member's language where none is asked for."""
        found = await documents.get(self.scope, id)
        asked, language = self.query("size", "a4"), self.query("language", found["language"])
        size = next((known for known in SIZES if known == asked), None)
        if size is None or language not in LANGUAGES:
            raise BadRequest()
        paper = paper_of(found, language, await logos.png(self.scope, found["issuer"]["logo"]))
        send(self, await asyncio.to_thread(pdf.draw, paper, size), found["number"])


_READ = Permission.DOCUMENTS_READ
ROUTES = [
    Route("/documents", Documents, {"GET": _READ}, Menu("Finance", N_("Receipts and invoices"), "receipt", 40)),
    Route("/documents/{id}", Document, {"GET": _READ}),
    Route("/documents/{id}/pdf", Pdf, {"GET": _READ}),
]
