"""The session cookie: set at log-in, read on every request, cleared at log-out. What it stands for is the domain's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saas.tenants import login

if TYPE_CHECKING:
    from saas.handlers.base import Handler

COOKIE = "session"


async def sign_in(handler: Handler, session: login.Session) -> None:
    """Open a session for this browser; the one it had before ends, so that nobody's old token is taken over."""
    await sign_out(handler)
    browser = handler.request.headers.get("User-Agent", "")[:300]
    handler.keep(COOKIE, await login.open_session(handler.ps, session, browser), days=None)


async def sign_out(handler: Handler) -> None:
    """End the browser's session, if it has one."""
    if token := handler.get_cookie(COOKIE, ""):
        await login.close_session(handler.ps, token)
        handler.clear_cookie(COOKIE)


def token(handler: Handler) -> str:
    """The token of the browser's session, "" without one."""
    return handler.get_cookie(COOKIE, "") or ""


async def current(handler: Handler) -> login.Session | None:
    """The browser's session as it is at this moment: None when it ended, was disabled, or the password changed."""
    token = handler.get_cookie(COOKIE, "")
    return await login.session(handler.ps, token, handler.address) if token else None
