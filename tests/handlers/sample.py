"""Pages of the tests' own: one of each kind, below /t/<slug>/admin/sample."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from saas.errors import Conflict
from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.forms import ConfirmPage, FormPage
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import CONSOLES, PUBLIC, SIGNED_IN, Menu, Route
from saas.permissions import Permission
from saas.tenants import members
from saas.tenants.forms import Address, Email, Form, Money, Name, Note
from saas.tenants.paging import ListQuery, Page


class SampleForm(Form):
    """A field of every kind."""

    name: Name = Field(title="Name")
    email: Email = Field(title="E-mail")
    address: Address = Field(default="", title="Address")
    count: int = Field(default=1, ge=1, le=9, title="Count")
    price: Money = Field(title="Price")
    rate: int = Field(default=0, ge=0, title="Rate", json_schema_extra={"scale": 1_000_000, "unit": "Mbps"})
    kind: Literal["one", "two"] = Field(title="Kind", json_schema_extra={"labels": {"one": "First", "two": "Second"}})
    tags: list[str] = Field(default=[], title="Tags")
    since: date | None = Field(default=None, title="Since")
    on: bool = Field(default=False, title="On")
    note: Note = Field(default="", title="Note")
    secret: Annotated[str, Field(min_length=8, max_length=64)] = Field(
        default="", title="Secret", json_schema_extra={"widget": "password"}
    )


class SampleList(ListPage):
    """The members, two a page."""

    title = "Sample list"
    search = "Member"
    columns = (
        Column("Login", "login", sort="login", role="title"),
        Column("Name", "name"),
        Column("Opened", "created_at", "moment", sort="created_at"),
    )
    filters = (Filter("kind", "Kind", (("one", "First"), ("two", "Second"))),)

    async def rows(self, query: ListQuery) -> Page:
        return await members.listing(self.scope, query)


class SampleFormPage(FormPage):
    """Counts how often it was saved."""

    form = SampleForm
    title = "Sample form"
    creates = True
    saves: list[SampleForm] = []

    async def save(self, form: SampleForm) -> str:
        await asyncio.sleep(0)
        if form.name == "taken by state":
            raise Conflict("reserved", field="name")
        if form.name == "changed":
            raise Conflict("changed")
        self.saves.append(form)
        return self.url("/sample/list", q=str(len(self.saves)))


class SampleConfirm(ConfirmPage):
    """Asks for a name."""

    title = "Really?"
    text = "It hurts."
    typed = True
    acts: list[str] = []

    async def subject(self) -> str:
        return "The & victim"

    async def act(self) -> str:
        self.acts.append(self.part("id"))
        return self.url("/sample/list")


class Broken(Handler):
    """A defect."""

    async def get(self) -> None:
        raise ZeroDivisionError("a secret detail")

    async def post(self) -> None:
        """Something harmless to write."""
        self.done(self.url("/sample/list"), "Written.")


class Echo(Handler):
    """What was understood of a request."""

    async def post(self) -> None:
        self.finish({name: value for name, value in self.body().items() if name != "_xsrf"})

    async def get(self, **parts: Any) -> None:
        self.finish({"address": self.address, "language": self.reader.language, "htmx": self.htmx})


_TABLE = [
    Route("/sample/list", SampleList, {"GET": Permission.MEMBERS_READ}, Menu("Subscribers", "Sample", "users")),
    Route("/sample/form", SampleFormPage, {"GET": Permission.MEMBERS_WRITE, "POST": Permission.MEMBERS_WRITE}),
    Route("/sample/{id}/confirm", SampleConfirm, {"GET": Permission.MEMBERS_WRITE, "POST": Permission.MEMBERS_WRITE}),
    Route("/sample/broken", Broken, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
]
ROUTES = [replace(route, console=CONSOLES[1]) for route in _TABLE] + [
    Route("/sample/echo", Echo, {"GET": PUBLIC, "POST": PUBLIC})
]
