"""Imports: a file is uploaded, looked at, taken over, and taken back if need be; each with a page that says how far."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.files import UploadPage, send, workbook
from saas.handlers.forms import Bound, Choices, ConfirmPage, FormPage, new_attempt
from saas.handlers.import_words import HELP, REASONS, ROW_STATES, RUN_STATES, problem_text
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.sheets import Writer
from saas.tenants import import_parts, imports, plans
from saas.tenants.import_columns import SOURCES, TITLES, ColumnsForm
from saas.tenants.paging import ListQuery, Page

_LINE, _PROBLEM = N_("Line in the file"), N_("What is wrong")


class Imports(ListPage):
    """Every import, newest first, below the form for another one: five taps are enough, also on a phone."""

    title = N_("Import accounts")
    template = "admin/imports/list.html"
    export = "imports"
    columns = (
        Column(N_("File"), "file", link="/imports/{_id}", role="title"),
        Column(N_("State"), "state", "status", words=RUN_STATES),
        Column(N_("Rows"), "total", "number"),
        Column(N_("Wrong"), "bad", "number"),
        Column(N_("Imported"), "done", "number"),
        Column(N_("Undone"), "removed", "number", role="minor"),
        Column(N_("Uploaded"), "created_at", "minute"),
        Column(N_("By"), "uploaded_by", role="minor"),
    )
    empty = N_("Nothing was imported yet. Bring your accounts from a table or from another system.")

    async def rows(self, query: ListQuery) -> Page:
        """See imports.listing."""
        return await imports.listing(self.scope, query)

    async def extra(self) -> Mapping[str, Any]:
        """The form, and which of the imports can be undone."""
        form = Bound(imports.FileForm, attempt=new_attempt())
        return {
            "form": form,
            "submit": New.submit,
            "may_undo": imports.may_undo,
            "has_passwords": import_parts.has_passwords,
        }


class New(UploadPage):
    """Upload a file; it is looked at at once."""

    form = imports.FileForm
    most = imports.MOST_OCTETS
    title = N_("Import a file")
    template = "admin/imports/new.html"
    submit = N_("Upload and check")
    saved = N_("The file is being read and checked. Nothing is imported before you say so.")
    back = "/imports"
    creates = True

    async def extra(self) -> Mapping[str, Any]:
        """What the columns are."""
        columns = (Column(N_("Column"), "column", role="title"), Column(N_("What it takes"), "help"))
        rows = [{"column": self.reader(TITLES[name]), "help": self.reader(HELP[name])} for name in TITLES]
        return {"columns": columns, "rows": rows, "sources": list(SOURCES.values())}

    async def save(self, form: imports.FileForm) -> str:
        """See imports.upload."""
        run = await imports.upload(self.scope, form, self.file_name("file"), self.attempt)
        return self.url("/imports/{id}", id=run["_id"])


class Template(Handler):
    """The template to be filled in, with a sheet that says what each column takes."""

    async def get(self) -> None:
        """As XLSX; its columns are of texts, so that a spreadsheet leaves digits and dates alone."""
        titles = [self.reader(title) for title in TITLES.values()]
        helps = [(self.reader(TITLES[name]), self.reader(HELP[name])) for name in TITLES]
        writer = await asyncio.to_thread(Writer, titles, typed=True)
        try:
            writer.sheet(self.reader(N_("What it takes")), helps)
            await send(self, "accounts.xlsx", await asyncio.to_thread(writer.save))
        finally:
            writer.close()


class Show(ListPage):
    """One import: how far it is, what can be done now, and every row of it."""

    title = N_("Import accounts")
    template = "admin/imports/show.html"
    sort = "state"  # what is wrong stands first
    export = "import"
    columns = (
        Column(_LINE, "line", "number"),
        Column(N_("Account"), "username", link="/accounts/{account_id}", role="title"),
        Column(N_("Member name"), "login", role="minor"),
        Column(N_("Plan"), "plan"),
        Column(N_("State"), "state", "status", words=ROW_STATES),
        Column(_PROBLEM, "wrong"),
    )
    filters = (Filter("state", N_("State"), tuple(ROW_STATES.items())),)
    empty = N_("No row yet.")
    hint = N_("The file is being read. Load the page again in a moment.")

    async def rows(self, query: ListQuery) -> Page:
        """See imports.results; in words what is wrong with them. No link leads to accounts that are not there."""
        found = await imports.results(self.scope, self.path_kwargs["id"], query)
        rows = [
            {
                **row,
                "wrong": " · ".join(problem_text(self.reader, each) for each in row["problems"]),
                "_id": row["_id"] if row["state"] in ("done", "kept") else "",
            }
            for row in found.rows
        ]
        return Page(rows, found.next)

    async def extra(self) -> Mapping[str, Any]:
        """The import itself. NotFound."""
        run = await imports.get(self.scope, self.path_kwargs["id"])
        told = not run["open"] and run["phase"] == "check"
        return {
            "run": run,
            "words": RUN_STATES,
            "reason": REASONS.get(run["reason"], ""),
            "gaps": await imports.gaps(self.scope, run["_id"]) if told else [],
            "source": SOURCES.get(run["source"], ""),
            "guessed": [(TITLES[name], run["titles"][at]) for name, at in sorted(run["columns"].items())],
            "ignored": [title for at, title in enumerate(run["titles"]) if at not in run["columns"].values()],
            "may_begin": imports.may_begin(run),
            "may_undo": imports.may_undo(run),
            "has_passwords": import_parts.has_passwords,
            "polled": self.htmx,
        }


class Columns(FormPage):
    """Which column of the file is which."""

    form = ColumnsForm
    title = N_("Columns of the file")
    template = "admin/imports/columns.html"
    submit = N_("Check again")
    saved = N_("The file is being checked. Nothing is imported before you say so.")
    back = "/imports/{id}"

    async def initial(self) -> Mapping[str, Any]:
        """As they are now."""
        run = await imports.get(self.scope, self.part("id"))
        return {**run["columns"], "default_plan": run["plan"], "default_expires": run["expires"]}

    async def choices(self) -> Mapping[str, Choices]:
        """The columns of the file, and the plans on sale by their names."""
        run = await imports.get(self.scope, self.part("id"))
        found = [(str(at), title or f"{at + 1}") for at, title in enumerate(run["titles"])]
        names = [plan["name"] for plan in await plans.for_sale(self.scope)]
        return {**dict.fromkeys(TITLES, found), "default_plan": [(name, name) for name in names]}

    async def extra(self) -> Mapping[str, Any]:
        """Whose columns they are."""
        return {"run": await imports.get(self.scope, self.part("id"))}

    async def save(self, form: Any) -> str:
        """See imports.recheck."""
        await imports.recheck(self.scope, self.part("id"), form)
        return self.url("/imports/{id}", id=self.part("id"))


class Begin(Handler):
    """Take the good rows over."""

    async def post(self, id: str) -> None:
        """See imports.begin."""
        await imports.begin(self.scope, id)
        self.done(
            self.url("/imports/{id}", id=id), N_("It is under way. You can leave this page: it goes on by itself.")
        )


class Undo(ConfirmPage):
    """Take back what was taken over."""

    title = N_("Undo this import?")
    text = N_(
        "Its accounts are removed, with the members that came with them. What was used, paid for or changed since "
        "stays, and the list says so."
    )
    submit = N_("Undo the import")
    saved = N_("It is under way. You can leave this page: it goes on by itself.")
    back = "/imports/{id}"

    async def subject(self) -> str:
        """The file."""
        return (await imports.get(self.scope, self.part("id")))["file"]

    async def act(self) -> str:
        """See imports.undo."""
        await imports.undo(self.scope, self.part("id"))
        return self.url("/imports/{id}", id=self.part("id"))


class Cancel(ConfirmPage):
    """Stop it half-way."""

    title = N_("Stop this import?")
    text = N_("What has been done stays, and the list says what that is. It can be gone on with later, or taken back.")
    submit = N_("Stop it")
    saved = N_("It is stopped.")
    back = "/imports/{id}"

    async def subject(self) -> str:
        """The file."""
        return (await imports.get(self.scope, self.part("id")))["file"]

    async def act(self) -> str:
        """See imports.cancel."""
        await imports.cancel(self.scope, self.part("id"))
        return self.url("/imports/{id}", id=self.part("id"))


class Passwords(Handler):
    """The passwords that were made: asked first, because they are erased as they are sent."""

    async def get(self, id: str) -> None:
        """The question; afterwards, who has taken them out."""
        run = await imports.get(self.scope, id)
        title = N_("Passwords that were made")
        self.page("admin/imports/passwords.html", title, run=run, waiting=import_parts.has_passwords(run))

    async def post(self, id: str) -> None:
        """The file. See import_parts.take_passwords."""
        run = await imports.get(self.scope, id)
        titles = [self.reader(title) for title in (_LINE, TITLES["username"], TITLES["password"])]
        taken = await import_parts.take_passwords(self.scope, id)
        async with workbook(self, f"passwords-{_stem(run)}", titles) as add:
            await add(taken)


class LeftOut(Handler):
    """The rows that were not taken over, as they stand in the file, with what is wrong: to be uploaded anew."""

    async def post(self, id: str) -> None:
        """The file. See import_parts.left_out."""
        run = await imports.get(self.scope, id)
        width = len(run["titles"])
        async with workbook(self, f"left-out-{_stem(run)}", [*run["titles"], self.reader(_PROBLEM)]) as add:
            async for found in import_parts.left_out(self.scope, id):
                rows = []
                for line, row in found:
                    cells = (line.cells + [""] * width)[:width]
                    rows.append([*cells, " · ".join(problem_text(self.reader, each) for each in row["problems"])])
                await add(rows)


def _stem(run: imports.Import) -> str:
    """The file's name as an answer can carry it, without its ending."""
    return re.sub(r"[^A-Za-z0-9]+", "-", run["file"].rpartition(".")[0]).strip("-")[:40] or "accounts"


_READ, _WRITE, _SECRET = Permission.IMPORTS_READ, Permission.IMPORTS_WRITE, Permission.IMPORTS_SECRET
_BOTH = {"GET": _WRITE, "POST": _WRITE}
ROUTES = [
    Route("/imports", Imports, {"GET": _READ}, Menu("Subscribers", N_("Import accounts"), "upload", 27)),
    Route("/imports/new", New, _BOTH),
    Route("/imports/template", Template, {"GET": _READ}),
    Route("/imports/{id}", Show, {"GET": _READ}),
    Route("/imports/{id}/columns", Columns, _BOTH),
    Route("/imports/{id}/begin", Begin, {"POST": _WRITE}),
    Route("/imports/{id}/undo", Undo, _BOTH),
    Route("/imports/{id}/cancel", Cancel, _BOTH),
    Route("/imports/{id}/passwords", Passwords, {"GET": _SECRET, "POST": _SECRET}),
    Route("/imports/{id}/left-out", LeftOut, {"POST": _SECRET}),
]
