"""Who had an address at a moment."""

from __future__ import annotations

from typing import Any

from saas.errors import Invalid
from saas.handlers.admin.sessions import BRIEF_SESSIONS, shown
from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.forms.bound import Bound
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import holders
from saas.tenants.holders import HolderForm

_COLUMNS = (
    Column(N_("Account"), "username", link="/sessions/{_id}", role="title"),
    BRIEF_SESSIONS[0],
    Column(N_("To"), "stopped_at", "moment"),
    *BRIEF_SESSIONS[1:3],
    Column(N_("Calling station"), "calling_station_id", "code"),
)


class Holders(Handler):
    """A box for an address and a moment, and below it whose it was. The question stands in the address of the page."""

    async def get(self) -> None:
        """The page."""
        asked = {name: [self.query(name)] for name in HolderForm.model_fields}
        bound = Bound(HolderForm)
        answer: dict[str, Any] = {"found": None, "rows": []}
        if any(text for texts in asked.values() for text in texts):
            try:
                found = await holders.who_had(self.scope, bound.parse(asked))
                nearest = [session for session in (found.before, found.after) if session]
                answer = {"found": found, "rows": await shown(self, found.then or nearest)}
            except Invalid as error:
                bound.fail(error)
        self.page("admin/sessions/holders.html", N_("Who had an address"), form=bound, columns=_COLUMNS, **answer)


ROUTES = [Route("/who-had", Holders, {"GET": Permission.SESSIONS_READ})]
