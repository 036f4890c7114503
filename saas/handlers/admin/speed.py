"""Another speed for a session that goes on: the form, then the device's answer in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.errors import Conflict
from saas.handlers.admin.sessions import shown
from saas.handlers.base import Handler
from saas.handlers.disconnects import outcome
from saas.handlers.forms import FormPage
from saas.handlers.routes import Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import disconnects, plans, sessions


class ChangeSpeed(FormPage):
    """Ask a device to let a session go on at another speed. With ?attempt= what came of it."""

    form = disconnects.SpeedForm
    title = N_("Change speed")
    template = "admin/sessions/speed.html"
    submit = N_("Change speed")
    saved = ""
    back = "/sessions/{id}"

    async def initial(self) -> Mapping[str, Any]:
        """The speed that it has, as far as is known."""
        session = await sessions.get(self.scope, self.part("id"))
        speed = disconnects.own_speed(session) or await disconnects.plan_speed(self.scope, session)
        up, down = speed or (0, 0)
        return {"up_rate": plans.mbps(up), "down_rate": plans.mbps(down)}

    async def extra(self) -> Mapping[str, Any]:
        """The session, what its device can, and the answer to an attempt."""
        session = await sessions.get(self.scope, self.part("id"))
        (row,) = await shown(self, [session])
        attempt = await disconnects.get(self.scope, self.query("attempt")) if self.query("attempt") else None
        return {
            "session": row,
            "kind": await disconnects.device_type(self.scope, session),
            "plan": await disconnects.plan_speed(self.scope, session),
            "given": disconnects.own_speed(session),
            "attempt": attempt,
            "answer": outcome(self.reader, attempt) if attempt else None,
        }

    async def save(self, form: disconnects.SpeedForm) -> str:
        """See disconnects.change_speed."""
        return answered(self, await disconnects.change_speed(self.scope, self.part("id"), form.speed))


class PlanSpeed(Handler):
    """Back to what the plan says."""

    async def post(self, id: str) -> None:
        """See disconnects.change_speed."""
        session = await sessions.get(self.scope, id)
        speed = await disconnects.plan_speed(self.scope, session)
        if speed is None:
            raise Conflict("no_plan", name=session["username"])
        self.go(answered(self, await disconnects.change_speed(self.scope, id, speed)))


def answered(page: Handler, attempt: disconnects.Disconnect) -> str:
    """Where the answer is shown."""
    return page.url("/sessions/{id}/speed", id=attempt["session_id"], attempt=attempt["_id"])


_DISCONNECT = Permission.SESSIONS_DISCONNECT
ROUTES = [
    Route("/sessions/{id}/speed", ChangeSpeed, {"GET": _DISCONNECT, "POST": _DISCONNECT}),
    Route("/sessions/{id}/speed/plan", PlanSpeed, {"POST": _DISCONNECT}),
]
