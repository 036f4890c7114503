"""Bulk operations: asked for with a preview, followed while they run, and what became of each account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from pydantic import BaseModel

from saas.errors import AppError, Invalid
from saas.handlers import tariffs
from saas.handlers.admin.sessions import shown as sessions_shown
from saas.handlers.base import Handler
from saas.handlers.columns import Column, Row
from saas.handlers.disconnects import Outcome, outcome
from saas.handlers.forms import Choices, ConfirmPage, FormPage
from saas.handlers.forms.bound import Bound
from saas.handlers.forms.fields import describe
from saas.handlers.forms.shown import agreed, mark
from saas.handlers.lists import MAX_LIMIT, Filter, ListPage
from saas.handlers.messages import BadRequest
from saas.handlers.previews import sheet
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.handlers.words import BULK_REASONS, BULK_RUN_STATES, BULK_STATES, BULK_VERBS, refusal
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import accounts, bulk, life, plans
from saas.tenants.bulk import Choice
from saas.tenants.bulk_tasks import TASKS
from saas.tenants.paging import ListQuery, Page

_ACCOUNT = Column(N_("Account"), "username", link="{page}", role="title")
_FIRST_COLUMNS = (
    _ACCOUNT,
    Column(N_("Device"), "device"),
    Column(N_("Address"), "framed_ip", "code"),
    Column(N_("Duration"), "seconds", "duration"),
    Column(N_("What happens"), "what"),
    Column(N_("To pay"), "to_pay", "money"),
)
_FILTERS: Mapping[str, Sequence[str]] = {"accounts": tuple(accounts.FILTERS), "sessions": ("nas_id", "plan_id")}
_NOTHING = N_("Choose accounts first: tick their boxes.")


class Runs(ListPage):
    """What was asked for, newest first."""

    title = N_("Bulk operations")
    export = "bulk"
    columns = (
        Column(N_("What"), "verb", words=BULK_VERBS, link="/bulk/{_id}", role="title"),
        Column(N_("State"), "state", "status", words=BULK_RUN_STATES),
        Column(N_("Total"), "total", "number"),
        Column(N_("Done"), "ok", "number"),
        Column(N_("Refused"), "refused", "number"),
        Column(N_("Asked for"), "created_at", "minute"),
        Column(N_("By"), "actor.name", role="minor"),
    )
    empty = N_("Nothing yet. Choose accounts in their list, then what is done to them.")

    async def rows(self, query: ListQuery) -> Page:
        """See bulk.listing."""
        return await bulk.listing(self.scope, query)


class Results(ListPage):
    """One run: how far it is, and what became of each account."""

    title = N_("Bulk operation")
    template = "admin/bulk/run.html"
    sort = "_id"
    export = "results"
    columns = (
        _ACCOUNT,
        Column(N_("State"), "state", "status", words=BULK_STATES),
        Column(N_("Reason"), "reason"),
        Column(N_("What to do"), "advice", role="export"),
        Column(N_("Time"), "at", "moment", role="minor"),
    )
    filters = (Filter("state", N_("State"), tuple(BULK_STATES.items())),)
    empty = N_("Nothing here yet.")
    hint = N_("It is still being counted. Load the page again in a moment.")
    answers: Sequence[Outcome] = ()  # of devices that did not do it, each once, with what to do about it

    async def rows(self, query: ListQuery) -> Page:
        """See bulk.results; the rows say in words why they were refused."""
        found = await bulk.results(self.scope, self.path_kwargs["id"], query)
        answers = [outcome(self.reader, row["data"]) if "result" in row["data"] else None for row in found.rows]
        self.answers = list({answer.text: answer for answer in answers if answer and answer.advice}.values())
        return Page(
            [self._told(row, answer) for row, answer in zip(found.rows, answers, strict=True)],
            found.next,
        )

    def _told(self, row: Row, answer: Outcome | None) -> dict[str, Any]:
        """With the reason in words: a device's answer where one was asked."""
        reason = f"{answer.text} {answer.meaning}".strip() if answer else refusal(self.reader, row["code"], row["data"])
        page = page_of(row["account_id"], row.get("session_id", ""))
        return {**row, "page": page, "reason": reason, "advice": " ".join(answer.advice) if answer else ""}

    async def extra(self) -> Mapping[str, Any]:
        """The run itself. NotFound."""
        run = await bulk.get(self.scope, self.path_kwargs["id"])
        return {
            "run": run,
            "verb": BULK_VERBS[run["verb"]],
            "reason": BULK_REASONS.get(run["reason"], ""),
            "form": await self._form(run),
            "may": bulk.may(self.scope, run["verb"]),
            "polled": self.htmx,
            "words": BULK_RUN_STATES,
            "of": TASKS[run["verb"]].of,
            "answers": self.answers,
        }

    async def _form(self, run: bulk.Run) -> list[tuple[str, str]]:
        """What stood in the form, in words."""
        names = await plans.names(self.scope)
        said = []
        for info in describe(TASKS[run["verb"]].form):
            value = run["form"][info.name]
            labels = info.hints.get("labels", {})
            said.append(
                (info.title, self.reader(labels[value]) if value in labels else names.get(str(value), str(value)))
            )
        return said


class Ask(FormPage):
    """The form of a task, beside it what it would do to the accounts of the address. Declare `verb`."""

    verb: ClassVar[str]
    template = "admin/bulk/ask.html"
    back = "/accounts"
    creates = True
    saved = N_("It is under way. You can leave this page: it goes on by itself.")

    @property
    def model(self) -> type[BaseModel]:
        """The task's form."""
        return TASKS[self.verb].form

    @property
    def choice(self) -> Choice:
        """Which accounts: `id`, as often as there are; `all` of a list with the filters `where`; `rest_of` a run."""
        if rest_of := self.query("rest_of"):
            return Choice(rest_of=rest_of)
        if self.query("all"):
            return Choice(where=where(self.query("where"), self.verb))
        ids = self.get_query_arguments("id")
        if len(ids) > MAX_LIMIT:
            raise BadRequest("unknown_parameter", parameter="id")
        return Choice(ids=list(dict.fromkeys(ids)))

    async def get(self, **parts: str) -> None:
        """The form, or back to the list when there is nobody to do it to. Denied for who may not see accounts."""
        bulk.check(self.scope, self.verb)
        if await bulk.candidates(self.scope, self.verb, self.choice, limit=1):
            await super().get(**parts)
        else:
            self.flash("warning", self.reader(_NOTHING))
            self.go(self.url(self.back))

    async def initial(self) -> Mapping[str, Any]:
        """What stood in the form of the run whose rest it is."""
        rest_of = self.choice.rest_of
        return (await bulk.get(self.scope, rest_of))["form"] if rest_of else {}

    async def extra(self) -> Mapping[str, Any]:
        """How many accounts, what they pay, and what happens to the first ones."""
        form, refused = await self._given()
        first = await bulk.first(self.scope, self.verb, form, self.choice)
        names = await plans.names(self.scope)
        rows = await self.told([self._row(each, shown, names) for each, shown in first])
        outline = await bulk.outline(self.scope, self.verb, form, self.choice)
        return {
            "address": self.request.uri,
            "of": TASKS[self.verb].of,
            "columns": [column for column in _FIRST_COLUMNS if any(column.of(row) for row in rows)],
            "rows": rows,
            "refused": refused,
            "outline": outline,
            "mark": "" if outline.to_pay is None else mark(outline.to_pay, form),
        }

    async def told(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The first ones with what else is to be shown of them."""
        return rows

    async def save(self, form: Any) -> str:
        """See bulk.ask."""
        expected = agreed(self.body(), form)
        run = await bulk.ask(self.scope, self.verb, form, self.choice, self.attempt, expected)
        return self.url("/bulk/{id}", id=run["_id"])

    async def _given(self) -> tuple[Any, AppError | None]:
        """The form as it was posted; or as it stands, of which htmx tells in the query; or untouched."""
        posted = self.request.method == "POST"
        fields = [name for name in self.model.model_fields if name in self.request.query_arguments]
        query = {name: self.get_query_arguments(name) for name in fields} if self.htmx else {}
        try:
            form: Any = Bound(self.model).parse(self.body() if posted else query or await self.initial())
            await bulk.check_form(self.scope, form)
        except Invalid as error:
            return None, error if query and not posted else None  # the form itself tells it
        return form, None

    def _row(
        self, each: bulk.Candidate, shown: life.Preview | AppError | None, names: Mapping[str, str]
    ) -> dict[str, Any]:
        page = page_of(each.account_id, each.session_id)
        row: dict[str, Any] = {"username": each.username, "page": page, "what": "", "to_pay": None}
        row["session_id"] = each.session_id
        if isinstance(shown, AppError):
            row["what"] = refusal(self.reader, *bulk.code_of(shown))
        elif shown:
            lines = sheet(self.reader, shown, names).lines
            row["what"] = " · ".join(f"{self.reader(title)} {before} → {after}" for title, before, after in lines)
            row["to_pay"] = shown.to_pay or None
        return row


class Renew(Ask):
    """Renew them all at the price."""

    verb = "renew"
    title = BULK_VERBS["renew"]
    submit = N_("Take the money and renew all")


class Suspend(Ask):
    """Stop their clocks."""

    verb = "suspend"
    title = BULK_VERBS["suspend"]
    submit = N_("Suspend all")


class Resume(Ask):
    """Let their clocks run again."""

    verb = "resume"
    title = BULK_VERBS["resume"]
    submit = N_("Resume all")


class ChangePlan(Ask):
    """Another plan for all."""

    verb = "change_plan"
    title = BULK_VERBS["change_plan"]
    submit = N_("Change the plan of all")

    async def choices(self) -> Mapping[str, Choices]:
        """The plans on sale, with their prices."""
        sold = await plans.for_sale(self.scope)
        return {"plan_id": [(plan["_id"], f"{plan['name']} · {tariffs.price(self.reader, plan)}") for plan in sold]}


class Message(Ask):
    """Tell them all something."""

    verb = "message"
    title = BULK_VERBS["message"]
    submit = N_("Send to all")


class Kick(Ask):
    """Have their devices end the sessions."""

    verb = "kick"
    title = BULK_VERBS["kick"]
    submit = N_("Force all off")
    back = "/online"

    async def told(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """With device, address and the time so far."""
        open_ones = await self.scope.db.online.among(row["session_id"] for row in rows)
        details = {row["_id"]: row for row in await sessions_shown(self, list(open_ones.values()))}
        return [{**details.get(row["session_id"], {}), **row} for row in rows]


class Count(Handler):
    """How many rows a list shows on all its pages: for the box that chooses them all."""

    async def get(self) -> None:
        """The number, for what is to be done to them."""
        verb = self.query("verb") or "resume"
        if verb not in TASKS:
            raise BadRequest("unknown_parameter", parameter="verb")
        found = await bulk.outline(self.scope, verb, None, Choice(where=where(self.query("where"), verb)))
        self.finish(self.reader.number(found.count))


class Cancel(ConfirmPage):
    """End a run before all is done."""

    title = N_("Stop this operation?")
    text = N_("What has been done stays. The rest can be done later.")
    submit = N_("Stop it")
    saved = N_("It is stopped.")
    back = "/bulk/{id}"

    async def subject(self) -> str:
        """What it does."""
        run = await bulk.get(self.scope, self.part("id"))
        return self.reader(BULK_VERBS[run["verb"]])

    async def act(self) -> str:
        """See bulk.cancel."""
        await bulk.cancel(self.scope, self.part("id"))
        return self.url("/bulk/{id}", id=self.part("id"))


def page_of(account_id: str, session_id: str) -> str:
    """The page of what a row is about."""
    return f"/sessions/{session_id}" if session_id else f"/accounts/{account_id}"


def where(text: str, verb: str) -> dict[str, str]:
    """The filters of the list that is chosen from, as its address has them. BadRequest for what it does not know."""
    given = dict(parse_qsl(text[:1000]))
    for name in given.keys() - {"q", *_FILTERS[TASKS[verb].of]}:
        raise BadRequest("unknown_parameter", parameter=name)
    return given


_PAGES: tuple[type[Ask], ...] = (Renew, Suspend, Resume, ChangePlan, Message, Kick)
_READ = Permission.ACCOUNTS_READ
ROUTES = [
    Route("/bulk", Runs, {"GET": _READ}, Menu("Subscribers", N_("Bulk operations"), "list-details", 25)),
    Route("/bulk/count", Count, {"GET": _READ}),
    Route("/bulk/{id}", Results, {"GET": _READ}),
    # whose verb it is, hence which permission it takes, stands in the run
    Route("/bulk/{id}/cancel", Cancel, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    *(
        Route(f"/bulk/{page.verb}", page, dict.fromkeys(("GET", "POST"), TASKS[page.verb].permission))
        for page in _PAGES
    ),
]
