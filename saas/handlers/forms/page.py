"""The page of a form: shown by GET; by POST read, handed to an operation, and shown again with what was wrong."""

from __future__ import annotations

import asyncio
import secrets
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from saas.errors import AppError, Conflict, Invalid, NotFound
from saas.handlers import changes
from saas.handlers.base import Handler
from saas.handlers.forms.bound import Bound, Choices
from saas.handlers.messages import status_of
from saas.i18n import N_
from saas.tenants import audit
from saas.tenants.forms import Form, Name
from saas.tenants.paging import ListQuery

_ATTEMPT_AGE = 3600
_WAIT = 0.05  # seconds between two looks at a twin that is still at work
_LOOKS = 200
_OTHERS = 3  # how many changes by others are told


class FormPage(Handler):
    """Declare `form`, `title` and `save`; the rest has defaults.

    With `creates`, the page carries an attempt key: however often it is sent, the operation runs once and every
    answer is the first one's.
    """

    form: ClassVar[type[BaseModel]]
    title: ClassVar[str]
    template: ClassVar[str] = "ui/form_page.html"
    submit: ClassVar[str] = N_("Save")
    saved: ClassVar[str] = N_("Saved.")
    back: ClassVar[str] = ""  # path of this console that "Cancel" leads to, with the {names} of the route's own
    creates: ClassVar[bool] = False
    version: int | None = None  # for `save`: the object's version that the page showed
    attempt: str = ""  # for `save`: the attempt key, the same at every repeat

    @abstractmethod
    async def save(self, form: Any) -> str:
        """Run the operation; the address to go on to. An AppError is told at the form."""

    @property
    def model(self) -> type[BaseModel]:
        """The form's model."""
        return self.form

    async def initial(self) -> Mapping[str, Any]:
        """The values shown first, e.g. the stored row; its "version" travels with the form."""
        return {}

    async def choices(self) -> Mapping[str, Choices]:
        """Field -> (value, label) for what may be chosen from stored rows."""
        return {}

    async def extra(self) -> Mapping[str, Any]:
        """What else the template needs."""
        return {}

    async def get(self, **parts: str) -> None:
        """The form, with its first values."""
        values = await self.initial()
        bound = Bound(self.model, values, await self.choices(), version=values.get("version"))
        bound.attempt = new_attempt() if self.creates else ""
        await self.show(bound)

    async def post(self, **parts: str) -> None:
        """Save and go on, or show again."""
        body = self.body()
        values = await self.initial()  # what is not there, or not ours, is no form to be filled in
        bound = Bound(self.model, values, await self.choices(), posted=body)
        try:
            self.version = bound.version = _version(body)
            self.attempt = bound.attempt = _attempt(body) if self.creates else ""
            target = await self._once(bound.attempt, bound, body)
        except NotFound:
            raise
        except AppError as error:
            bound.fail(error)
            if error.code == "changed" and bound.version is not None and "version" in values:
                await self._met(bound, str(error.data["id"]), values["version"])
            self.set_status(status_of(error))
            if "retry_after" in error.data:
                self.set_header("Retry-After", str(error.data["retry_after"]))
            if self.wants_json:
                raise
            await self.show(bound)
            return
        self.go(target)

    async def show(self, bound: Bound[Any]) -> None:
        """Draw the page."""
        back = self.back.format_map(self.path_kwargs)
        self.page(self.template, self.title, form=bound, submit=self.submit, back=back, **await self.extra())

    def part(self, name: str) -> str:
        """A {name} of the route's path."""
        return str(self.path_kwargs[name])

    async def _save(self, bound: Bound[Any], body: Mapping[str, Any]) -> str:
        target = await self.save(bound.parse(body))
        if self.saved:
            self.flash("success", self.reader(self.saved))
        return target

    async def _met(self, bound: Bound[Any], row_id: str, version: int) -> None:
        """Tell what others changed since the page was made. What was typed stays; sent again, it replaces theirs."""
        query = ListQuery(filters={"target": row_id}, limit=min(max(version - (bound.version or 0), 1), _OTHERS))
        bound.version = version
        if self._scope is None:
            entries, names = (await audit.platform_listing(self.ps, query)).rows, {}
        else:
            entries = (await audit.listing(self._scope, query)).rows
            names = await audit.names(self._scope, entries)
        told = [(entry, changes.changes_text(self.reader, entry, names)) for entry in entries]
        bound.meanwhile = [
            f"{entry['actor_name']} · {self.reader.moment(entry['at'])} · {text}" for entry, text in told if text
        ]

    async def _once(self, attempt: str, bound: Bound[Any], body: Mapping[str, Any]) -> str:
        """Save; for an attempt that runs or has run already, wait for its outcome instead."""
        if not attempt:
            return await self._save(bound, body)
        name = f"attempt:{self.actor.id if self.actor else self.address}:{self.request.path}:{attempt}"
        for _ in range(_LOOKS):
            if await self.ps.kv.lease(name, self.request_id, 60):
                break
            await asyncio.sleep(_WAIT)
        else:
            raise Conflict()
        try:
            # looked up under the lease: without it a twin might end between the look and the lease
            if (done := await self.ps.kv.get(name)) is not None:
                return str(done)
            target = await self._save(bound, body)
            await self.ps.kv.put(name, target, _ATTEMPT_AGE)
            return target
        finally:
            await self.ps.kv.release(name, self.request_id)


def new_attempt() -> str:
    """A fresh attempt key, for a form that a page carries beside other things."""
    return secrets.token_hex(12)


def _attempt(body: Mapping[str, Any]) -> str:
    """The attempt key that the page carried; a body without one is an attempt of its own."""
    text = str(_first(body, "_attempt"))
    return text if text.isalnum() and len(text) <= 64 else new_attempt()


def _first(body: Mapping[str, Any], name: str) -> Any:
    value = body.get(name, "")
    return value[0] if isinstance(value, list) and value else value


def _version(body: Mapping[str, Any]) -> int | None:
    text = str(_first(body, "_version"))
    return int(text) if text.isdigit() and len(text) < 10 else None


class ConfirmForm(Form):
    """A yes."""


class TypedForm(Form):
    """A yes that takes thought: the name typed again."""

    confirm: Name = Field(title=N_("Name"), json_schema_extra={"autocomplete": "off"})


class ConfirmPage(FormPage):
    """The question before harm: a page of its own, a dialog with JavaScript. Declare `title`, `text` and `act`.

    With `typed`, the name of the subject must be typed.
    """

    template = "ui/confirm_page.html"
    text: ClassVar[str]
    typed: ClassVar[bool] = False
    submit = N_("Yes, go on")
    saved = N_("Done.")

    @abstractmethod
    async def subject(self) -> str:
        """The name of what is about to be changed. NotFound."""

    @abstractmethod
    async def act(self) -> str:
        """Run the operation; the address to go on to."""

    async def extra(self) -> Mapping[str, Any]:
        """What the question shows."""
        dialog = self.request.headers.get("HX-Target") == "dialog#dialog"
        return {"subject": await self.subject(), "text": self.text, "typed": self.typed, "dialog": dialog}

    @property
    def model(self) -> type[BaseModel]:
        """The form."""
        return TypedForm if self.typed else ConfirmForm

    async def save(self, form: ConfirmForm | TypedForm) -> str:
        """Check the name, then act."""
        if isinstance(form, TypedForm) and form.confirm != (await self.subject()).strip():
            raise Invalid({"confirm": "not_the_name"})
        return await self.act()
