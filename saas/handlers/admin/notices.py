"""Notices: what subscribers were told, and the texts by which they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from saas.handlers.base import Handler
from saas.handlers.forms import ConfirmPage, FormPage
from saas.handlers.lists import Column, Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.i18n import LANGUAGES, N_
from saas.permissions import Permission
from saas.tenants import notices, notices_texts, webhooks
from saas.tenants.notices_texts import KINDS, NAMES
from saas.tenants.paging import ListQuery, Page
from saas.values import utcnow

STATES = {"waiting": N_("Waiting"), "sent": N_("Sent"), "failed": N_("Failed")}
KIND_NAMES: Mapping[str, str] = {key: kind.title for key, kind in KINDS.items()}
# Why a notice was not sent (outbox.py).
ERRORS: Mapping[str, str] = {
    "unreachable": N_("The server did not answer as it should"),
    "refused": N_("The server did not take it: is the address right?"),
    "answered": N_("The webhook answered with an error"),
    "not_public": N_("The webhook's address is not a public one"),
    "gone": N_("The webhook answered that it is gone for good"),
    "no_webhook": N_("There is no webhook any more"),
    "webhook_off": N_("The webhook is switched off"),
}
TEXT_COLUMNS = (
    Column(N_("Kind"), "kind", words=KIND_NAMES, link="/notices/texts/{key}", role="title"),
    Column(N_("Language"), "language", words=LANGUAGES),
    Column(N_("Origin"), "whose"),
    Column(N_("Subject"), "subject", role="minor"),
)


class Notices(ListPage):
    """What was told, newest first."""

    title = N_("Notices")
    template = "admin/notices/list.html"
    search = N_("Account or member")
    export = "notices"
    columns = (
        Column(N_("Kind"), "kind", words=KIND_NAMES, role="title"),
        Column(N_("To whom"), "subject_name"),
        Column(N_("Channel"), "channel", words=notices.CHANNELS),
        Column(N_("Address"), "to"),
        Column(N_("State"), "state", "status", words=STATES),
        Column(N_("Tries"), "tries", "number"),
        Column(N_("Last error"), "why"),
        Column(N_("Written"), "created_at", "moment", role="minor"),
    )
    filters = (
        Filter("kind", N_("Kind"), tuple(KIND_NAMES.items())),
        Filter("state", N_("State"), tuple(STATES.items())),
    )
    empty = N_("Nobody has been told anything yet.")
    hint = N_("The parameters say of what subscribers are told, and when.")

    async def extra(self) -> Mapping[str, Any]:
        """Whether the webhook is off."""
        return {"webhook": webhooks.stored(self.scope) or {}}

    async def rows(self, query: ListQuery) -> Page:
        """See notices.listing; the rows say in words why they were not sent."""
        found = await notices.listing(self.scope, query)
        return Page([{**row, "why": self._why(row)} for row in found.rows], found.next)

    def _why(self, row: notices.Notice) -> str:
        words = self.reader(ERRORS.get(row["error"], row["error"])) if row["error"] else ""
        return f"{words} ({row['answer']})" if row["answer"] else words


class Resend(Handler):
    """Send one again."""

    async def post(self, id: str) -> None:
        """See notices.resend."""
        await notices.resend(self.scope, id)
        self.done(self.url("/notices"), N_("It will be sent again."))


class Texts(Handler):
    """Every text: of each kind in each language."""

    async def get(self) -> None:
        """The page."""
        own = await notices_texts.owned(self.scope)
        rows = [
            {
                "key": f"{kind}-{language}",
                "kind": kind,
                "language": language,
                "whose": self.reader(N_("Own text") if (kind, language) in own else N_("Default text")),
                "subject": own.get((kind, language)) or notices_texts.default(kind, language).subject,
            }
            for kind in KINDS
            for language in LANGUAGES
        ]
        self.page("admin/notices/texts.html", N_("Texts of notices"), texts=rows, columns=TEXT_COLUMNS)


class EditText(FormPage):
    """A text, with what it looks like when it is sent."""

    form = notices_texts.TextForm
    title = N_("Text of a notice")
    template = "admin/notices/text.html"
    back = "/notices/texts"

    async def initial(self) -> Mapping[str, Any]:
        """The text that holds."""
        kind, language = notices_texts.place(self.part("id"))
        row = await notices_texts.own(self.scope, kind, language)
        text = await notices_texts.current(self.scope, kind, language)
        return {"subject": text.subject, "text": text.text, "version": row["version"] if row else 0}

    async def extra(self) -> Mapping[str, Any]:
        """What it is for, and what it can name."""
        kind, language = notices_texts.place(self.part("id"))
        return {
            "key": self.part("id"),
            "kind": KINDS[kind].title,
            "language": LANGUAGES[language],
            "names": [(f"{{{name}}}", NAMES[name]) for name in KINDS[kind].known],
            "edited": await notices_texts.own(self.scope, kind, language) is not None,
            "testable": self.scope.actor.kind == "owner",
        }

    async def save(self, form: notices_texts.TextForm) -> str:
        """See notices_texts.write."""
        await notices_texts.write(self.scope, *notices_texts.place(self.part("id")), form, self.version)
        return self.url("/notices/texts/{id}", id=self.part("id"))


class Preview(Handler):
    """What a text looks like with made-up facts: the box beside the form."""

    async def post(self, id: str) -> None:
        """The box."""
        kind, language = notices_texts.place(id)
        subject, text = (self.get_body_argument(name, "")[:4000] for name in ("subject", "text"))
        draft = notices_texts.Text(subject, text)
        shown = notices_texts.rendered(self.scope, kind, language, notices_texts.sample(kind, utcnow()), draft)
        unknown = notices_texts.unknown(kind, f"{subject}\n{text}")
        self.page("admin/notices/preview.html", N_("Preview"), shown=shown, unknown=unknown)


class SendTest(Handler):
    """The text that holds, to whoever asks for it."""

    async def post(self, id: str) -> None:
        """See notices.tell_me."""
        notice = await notices.tell_me(self.scope, *notices_texts.place(id))
        self.done(self.url("/notices/texts/{id}", id=id), N_("A test goes to {address}."), address=notice["to"])


class UseDefault(Handler):
    """Back to the text that the system came with."""

    async def post(self, id: str) -> None:
        """See notices_texts.reset."""
        await notices_texts.reset(self.scope, *notices_texts.place(id))
        self.done(self.url("/notices/texts/{id}", id=id), N_("The default text holds again."))


class Webhook(FormPage):
    """Where notices are posted to, and what they are signed with."""

    form = webhooks.WebhookForm
    title = N_("Webhook")
    template = "admin/notices/webhook.html"
    back = "/notices"

    async def initial(self) -> Mapping[str, Any]:
        """The address."""
        webhook = webhooks.stored(self.scope)
        return {"url": webhook["url"] if webhook else "", "version": self.scope.tenant["version"]}

    async def extra(self) -> Mapping[str, Any]:
        """How it goes, and what is posted; its secret as dots."""
        now = utcnow()
        sample: dict[str, Any] = {"kind": "payment", "member_id": "mem_…", "subject": "mem_…", "created_at": now}
        sample["facts"] = notices_texts.sample("payment", now)
        return {
            "webhook": webhooks.stored(self.scope) or {},
            "former_until": webhooks.former_until(self.scope),
            "events": [kind.event for kind in KINDS.values()],
            "example": json.dumps(webhooks.event(self.scope, sample), indent=2, ensure_ascii=False),
        }

    async def save(self, form: webhooks.WebhookForm) -> str:
        """See webhooks.save."""
        await webhooks.save(self.scope, form, self.version)
        return self.url("/notices/webhook")


class LookAtSecret(Handler):
    """The secret, shown on demand; the look is logged."""

    async def post(self) -> None:
        """The part of the page that it stands in."""
        secret, until = await webhooks.reveal(self.scope), webhooks.former_until(self.scope)
        self.page("admin/notices/look.html", Webhook.title, secret=secret, former_until=until)


class NewSecret(ConfirmPage):
    """Another secret."""

    title = N_("Make a new secret?")
    text = N_(
        "For 24 hours what is posted is signed with the present secret too: tell your program the new one by then."
    )
    back = "/notices/webhook"

    async def subject(self) -> str:
        """The address."""
        return webhooks.url(self.scope)

    async def act(self) -> str:
        """See webhooks.rotate."""
        await webhooks.rotate(self.scope)
        return self.url("/notices/webhook")


class SwitchOn(Handler):
    """Let notices go there again."""

    async def post(self) -> None:
        """See webhooks.switch_on."""
        await webhooks.switch_on(self.scope)
        self.done(self.url("/notices/webhook"), N_("The webhook is on again."))


class TestWebhook(Handler):
    """Something made up, to the webhook."""

    async def post(self) -> None:
        """See notices.tell_webhook."""
        await notices.tell_webhook(self.scope, "payment")
        self.done(self.url("/notices"), N_("It is being sent. See below what becomes of it."))


_READ, _WRITE = Permission.PARAMETERS_READ, Permission.PARAMETERS_WRITE
ROUTES = [
    Route("/notices", Notices, {"GET": Permission.MEMBERS_READ}, Menu("System", N_("Notices"), "mail", 45)),
    Route("/notices/texts", Texts, {"GET": _READ}),
    Route("/notices/texts/{id}", EditText, {"GET": _WRITE, "POST": _WRITE}),
    Route("/notices/texts/{id}/preview", Preview, {"POST": _WRITE}),
    Route("/notices/texts/{id}/test", SendTest, {"POST": _WRITE}),
    Route("/notices/texts/{id}/default", UseDefault, {"POST": _WRITE}),
    Route("/notices/webhook", Webhook, {"GET": _WRITE, "POST": _WRITE}),
    Route("/notices/webhook/secret", NewSecret, {"GET": _WRITE, "POST": _WRITE}),
    Route("/notices/webhook/look", LookAtSecret, {"POST": _WRITE}),
    Route("/notices/webhook/on", SwitchOn, {"POST": _WRITE}),
    Route("/notices/webhook/test", TestWebhook, {"POST": _WRITE}),
    Route("/notices/{id}/resend", Resend, {"POST": Permission.MEMBERS_WRITE}),
]
