"""The search box of the console: the hits under it, and the page of them for whoever has no JavaScript."""

from __future__ import annotations

from saas.handlers.base import Handler
from saas.handlers.finder import answer
from saas.handlers.routes import SIGNED_IN, Route
from saas.i18n import N_


class Search(Handler):
    """What the text may mean. What it names in full is opened at once, unless hits are asked for while typing."""

    async def get(self) -> None:
        """The hits, or the way to the only one."""
        text = self.query("q").strip()[:128]
        found = await answer(self, self.query("q").lstrip()[:128].rstrip() if text else "")
        if found.goes and not self.htmx:
            self.go(found.goes)
            return
        self.page("admin/search/search.html", N_("Search"), text=text, answer=found)


ROUTES = [Route("/search", Search, {"GET": SIGNED_IN})]
