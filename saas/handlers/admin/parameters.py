"""Parameters: what a tenant sets for itself. All at a glance, searched; changed part by part, or set to default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from saas.handlers.base import Handler
from saas.handlers.changes import value_text
from saas.handlers.forms import Choices, FormPage
from saas.handlers.forms.fields import describe
from saas.handlers.routes import Menu, Route
from saas.i18n import LANGUAGES, N_
from saas.permissions import Permission
from saas.tenants import audit, parameters, user_checks


class Row(NamedTuple):
    """A parameter as it is read: texts, who changed it last, whether it can be set to its default.

    `spoken`: a time in words, of what is kept in seconds.
    """

    name: str
    title: str
    effect: str
    value: str
    spoken: str
    default: str | None
    entry: audit.Entry | None
    resettable: bool


class Elsewhere(NamedTuple):
    """What one may look for here and is set at another place: that page's path and name."""

    title: str
    effect: str
    path: str
    page: str


_ELSEWHERE = (
    Elsewhere(
        N_("Log-ins after the end"),
        N_("Whether those who have expired are refused, get into another address pool, or a low speed: by plan."),
        "/plans",
        N_("Plans"),
    ),
    Elsewhere(
        N_("Above the concurrency limit"),
        N_("How many sessions an account may have, and whether its oldest gives way by itself: by plan."),
        "/plans",
        N_("Plans"),
    ),
    Elsewhere(
        N_("User check"),
        N_("Authentication with the password, free of it, or without any check of the user: by device."),
        "/nas",
        N_("NAS devices"),
    ),
    Elsewhere(
        N_("Webhook"),
        N_("The other channel of notices beside mail: every notice is posted to a program of yours."),
        "/notices/webhook",
        N_("Webhook"),
    ),
    Elsewhere(
        N_("Operation log"),
        N_("It is kept for ever and cannot be shortened: each entry proves the one before it."),
        "/log",
        N_("Operation log"),
    ),
)


class Parameters(Handler):
    """Every parameter with its effect, default and value, and who changed it. `?q=` searches."""

    async def get(self) -> None:
        """The page."""
        asked = self.query("q").strip()[:64]
        rows = list(self._rows(await parameters.changed_by(self.scope)))
        parts = []
        for key, title in parameters.PARTS.items():
            of_part = [row for row in rows if parameters.part_of(row.name) == key]
            whole = _has(asked, self.reader(title))
            found = [row for row in of_part if whole or _has(asked, row.title, row.effect, row.name)]
            parts += [(key, title, found)] if found else []
        elsewhere = [each for each in _ELSEWHERE if _has(asked, self.reader(each.title), self.reader(each.effect))]
        self.page(
            "admin/parameters/list.html",
            N_("Parameters"),
            asked=asked,
            parts=parts,
            elsewhere=elsewhere,
            unchecked=await user_checks.open_ones(self.scope),
        )

    def _rows(self, changed: Mapping[str, audit.Entry]) -> Iterator[Row]:
        form, stored = parameters.ParametersForm, self.scope.tenant["parameters"]
        for info in describe(form):
            value, default = stored[info.name], parameters.default_of(info.name)
            yield Row(
                name=info.name,
                title=self.reader(info.title),
                effect=self.reader(info.help),
                value=value_text(self.reader, form, info.name, value),
                spoken=self.reader.duration(value) if info.hints.get("seconds") else "",
                default=None if default is None else value_text(self.reader, form, info.name, default),
                entry=changed.get(info.name),
                resettable=default not in (None, value),
            )


def _has(asked: str, *texts: str) -> bool:
    """Whether each of the words asked for stands in one of the texts."""
    whole = " ".join(texts).lower()
    return all(word in whole for word in asked.lower().split())


class _Part(FormPage):
    key: str
    template = "admin/parameters/form.html"
    saved = N_("The parameters are saved.")
    back = "/parameters"

    @property
    def model(self) -> type[BaseModel]:
        """The form of the part."""
        return parameters.form_of(self.key)

    async def initial(self) -> Mapping[str, Any]:
        """The parameters as they are."""
        tenant = self.scope.tenant
        return tenant["parameters"] | {"version": tenant["version"]}

    async def choices(self) -> Mapping[str, Choices]:
        """Languages by their own names, and time zones."""
        return {"locale": tuple(LANGUAGES.items()), "timezone": [(zone, zone) for zone in parameters.zones()]}

    async def save(self, form: BaseModel) -> str:
        """Replace them, unless someone else did."""
        await parameters.update(self.scope, form, self.version)
        return self.url("/parameters")


class System(_Part):
    """Name, language, time zone, currency."""

    key, title = "system", parameters.PARTS["system"]


class Sessions(_Part):
    """What devices are told."""

    key, title = "sessions", parameters.PARTS["sessions"]


class Security(_Part):
    """Passwords and second factors."""

    key, title = "security", parameters.PARTS["security"]


class Life(_Part):
    """What time does to accounts."""

    key, title = "life", parameters.PARTS["life"]


class Notices(_Part):
    """What members are told."""

    key, title = "notices", parameters.PARTS["notices"]


class Papers(_Part):
    """What stands on receipts and invoices."""

    key, title = "papers", parameters.PARTS["papers"]


class Reset(Handler):
    """Set one parameter to its default."""

    async def post(self) -> None:
        """See parameters.reset."""
        await parameters.reset(self.scope, self.get_body_argument("name", ""))
        self.done(self.url("/parameters"), N_("It is at its default again."))


_READ, _WRITE = Permission.PARAMETERS_READ, Permission.PARAMETERS_WRITE
ROUTES = [
    Route("/parameters", Parameters, {"GET": _READ}, Menu("System", N_("Parameters"), "settings", 40)),
    *(
        Route(f"/parameters/{page.key}", page, {"GET": _WRITE, "POST": _WRITE})
        for page in (System, Sessions, Security, Life, Notices, Papers)
    ),
    Route("/parameters/reset", Reset, {"POST": _WRITE}),
]
