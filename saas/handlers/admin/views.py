"""Saved views of lists, and the columns that somebody chooses: what the menu above each list posts."""

from __future__ import annotations

from urllib.parse import parse_qsl

from pydantic import ValidationError

from saas.handlers.base import Handler
from saas.handlers.lists import ListPage
from saas.handlers.messages import BadRequest
from saas.handlers.routes import SIGNED_IN, Route
from saas.i18n import N_
from saas.tenants import views

_LONGEST = 128


class _OfList(Handler):
    """What is posted from a list: `list` is its path, `where` the query of its address, `column` the titles ticked."""

    def listed(self) -> tuple[str, type[ListPage]]:
        """Path and page of the list. BadRequest for what is none, or not for the reader to see."""
        path = self.get_body_argument("list", "")
        handler = self.routes.find("admin", path).handler if self.linked(path) else None
        if handler is None or not issubclass(handler, ListPage):
            raise BadRequest("unknown_parameter", parameter="list")
        return path, handler

    def columns(self, handler: type[ListPage]) -> list[str]:
        """The titles that were ticked; none when all were."""
        known = [column.title for column in handler.columns if column.role != "export"]
        ticked = [title for title in known if title in self.get_body_arguments("column")]
        return [] if ticked == known else ticked

    def query_of(self, handler: type[ListPage]) -> dict[str, str]:
        """The query that the list was asked with, as far as it is the list's."""
        names = {"q", "sort", *(f.name for f in handler.filters)}
        given = parse_qsl(self.get_body_argument("where", ""), max_num_fields=30)
        return {name: value[:_LONGEST] for name, value in given if name in names and value}


class Save(_OfList):
    """Keep the list as it is seen, under a name."""

    async def post(self) -> None:
        """See views.save; then on to the view."""
        path, handler = self.listed()
        asked = self.query_of(handler)
        sort = asked.pop("sort", "")
        given = {"name": self.get_body_argument("name", ""), "shared": bool(self.get_body_argument("shared", ""))}
        try:
            form = views.ViewForm.model_validate(given)
        except ValidationError:
            self.flash("danger", self.reader(N_("Give the view a name.")))
            self.go(self.url(path, **asked, sort=sort))
            return
        view = await views.save(self.scope, path, form, asked, sort, self.columns(handler))
        self.done(self.url(path, **asked, sort=sort, view=view["_id"]), N_("The view is saved."))


class Columns(_OfList):
    """Choose the columns of a list."""

    async def post(self) -> None:
        """See views.remember."""
        path, handler = self.listed()
        await views.remember(self.scope, path, self.columns(handler))
        self.go(self.url(path, **self.query_of(handler)))


class Delete(Handler):
    """Forget a view; the list stays as it is."""

    async def post(self, id: str) -> None:
        """See views.delete."""
        view = await views.delete(self.scope, id)
        self.done(self.url(view["list"]), N_("The view is deleted."))


ROUTES = [
    Route("/views", Save, {"POST": SIGNED_IN}),
    Route("/views/columns", Columns, {"POST": SIGNED_IN}),
    Route("/views/{id}/delete", Delete, {"POST": SIGNED_IN}),
]
