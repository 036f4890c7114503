"""The first page, and what every visitor may set: language and appearance."""

from __future__ import annotations

from saas.handlers.base import THEMES, Handler, local_path
from saas.handlers.routes import PUBLIC, Route
from saas.i18n import LANGUAGES, N_


class Landing(Handler):
    """What OpenPNS is; sign-up and log-in."""

    async def get(self) -> None:
        """The page."""
        self.page("public/landing.html", N_("Run your access business in the cloud"))


class Preferences(Handler):
    """Language and theme, kept in the browser."""

    async def post(self) -> None:
        """Keep what was chosen and go back."""
        language, theme = self.get_body_argument("lang", ""), self.get_body_argument("theme", "")
        if language in LANGUAGES:
            self.keep("lang", language)
        if theme in THEMES:
            self.keep("theme", theme)
        self.go(local_path(self.get_body_argument("_next", "/")))


ROUTES = [
    Route("", Landing, {"GET": PUBLIC}),
    Route("/preferences", Preferences, {"POST": PUBLIC}),
]
