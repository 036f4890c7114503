"""The one base of all handlers: who, where, may they, and how errors are told.

`prepare` runs before every verb, in this order: the tenant of the path, the session, the permission of the verb, the
XSRF token, the Scope. What passes it finds `self.scope` (tenant pages), `self.ps` and `self.reader`.
"""

from __future__ import annotations

import json
import logging
import secrets
from base64 import b64encode
from typing import Any, ClassVar, cast
from urllib.parse import urlencode, urlsplit

from tornado.web import HTTPError, RequestHandler

from saas.errors import AppError, Denied, NotFound
from saas.handlers import auth
from saas.handlers.columns import printed
from saas.handlers.messages import (
    TITLE,
    BadRequest,
    FactorFirst,
    SignInFirst,
    code_of,
    field_message,
    sentence,
    state,
    status_of,
)
from saas.handlers.page import Pages
from saas.handlers.routes import PUBLIC, WRITING, Console, Route, RouteMap, opens
from saas.i18n import CURRENCIES, DEFAULT, LANGUAGES, N_, Reader, negotiate
from saas.permissions import ALL
from saas.tenants import login, platform
from saas.tenants.scope import Actor, PlatformScope, Scope, platform_scope

log = logging.getLogger(__name__)

CSP = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
THEMES = {"auto": N_("Like the device"), "light": N_("Light"), "dark": N_("Dark")}
YEAR = 365


class Handler(RequestHandler):
    """A page or an action. Verbs receive the {names} of their route's path, without the tenant's."""

    route: Route
    ps: PlatformScope
    reader: Reader
    actor: Actor | None
    session: login.Session | None
    tenant: platform.Tenant | None
    permissions: frozenset[str]
    without_factor: ClassVar[bool] = False  # whether who has no second factor gets here, where one is required
    _scope: Scope | None

    # who and where

    def initialize(self, route: Route) -> None:
        """Set what even an error page needs."""
        self.route = route
        self.ps = self.settings["platform"]
        self.request_id = secrets.token_hex(8)
        self.actor = self.tenant = self.session = self._scope = None
        self.permissions = frozenset()
        self.lacks = False  # a second factor, which is required here
        self.base = route.console.base
        self.reader = self._reader()

    async def prepare(self) -> None:
        """Tenant, session, permission, XSRF, Scope. Raises what `write_error` tells."""
        slug = self.path_kwargs.pop("tenant", None)
        if slug is not None:
            self.base = self.route.console.base.replace("{tenant}", slug)
            self.tenant = await platform.tenant_by_slug(self.ps, slug)
            self.reader = self._reader()
            if self.tenant is None:
                raise NotFound()
        verb = "GET" if self.request.method == "HEAD" else str(self.request.method)
        guard = self.route.guards.get(verb)
        if guard is None:
            raise HTTPError(405)
        await self._identify(required=guard is not PUBLIC)
        if not opens(guard, self.permissions):
            raise Denied(permission=str(guard))
        if verb in WRITING:
            self._check_xsrf()

    async def _identify(self, required: bool) -> None:
        """Fill `actor`, `permissions` and the Scope from the session cookie, all read now."""
        session = await auth.current(self)
        if session is not None and session.actor.kind in self.route.console.actors:
            await self._admit(session, required)
        if required and self.actor is None:
            raise SignInFirst()

    async def _admit(self, session: login.Session, required: bool) -> None:
        """Let the session's actor in. Another tenant's people learn nothing about this one."""
        if self.tenant is not None:
            self._scope = await login.scope_of(self.ps, session, self.tenant)
            if self._scope is None:
                if required:
                    raise NotFound()
                return
            if required and self.tenant["status"] != "active":
                raise Denied("tenant_stopped")
            self.lacks = bool(self.tenant["parameters"]["second_factor"]) and not session.proven
            if required and self.lacks and not self.without_factor:
                raise FactorFirst()
            self.permissions = frozenset() if self.lacks else self._scope.permissions
        elif session.actor.kind == "platform":
            self.permissions = ALL
        self.session, self.actor = session, session.actor
        self.ps = platform_scope(self.ps.services, session.actor)

    def _check_xsrf(self) -> None:
        try:
            self.check_xsrf_cookie()
        except HTTPError:
            raise Denied("xsrf") from None

    @property
    def scope(self) -> Scope:
        """The actor's scope in the tenant of the path."""
        assert self._scope is not None, "this route has no tenant, or its guard lets anyone in"
        return self._scope

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return str(self.request.remote_ip or "")

    @property
    def console(self) -> Console:
        """The console this page belongs to."""
        return self.route.console

    @property
    def htmx(self) -> bool:
        """Whether htmx asks, hence for a fragment."""
        return self.request.headers.get("HX-Request") == "true"

    @property
    def wants_json(self) -> bool:
        """Whether a program asks."""
        return "application/json" in self.request.headers.get("Accept", "")

    def _reader(self) -> Reader:
        """Language: the reader's own choice, then the browser's, then the tenant's."""
        chosen = self.get_cookie("lang", "")
        if chosen not in LANGUAGES:
            chosen = negotiate(self.request.headers.get("Accept-Language", ""))
        if self.tenant is None:
            return Reader.of(chosen or DEFAULT)
        own = self.tenant["parameters"]
        return Reader.of(chosen or own["locale"], own["timezone"], own["currency"])

    # input

    def body(self) -> dict[str, Any]:
        """The posted body: values of JSON as they are, of a form as lists of texts, files as base64."""
        if self.request.headers.get("Content-Type", "").startswith("application/json"):
            try:
                parsed = json.loads(self.request.body)
            except ValueError:
                raise BadRequest() from None
            if not isinstance(parsed, dict):
                raise BadRequest()
            return parsed
        files = {name: [b64encode(file.body).decode() for file in sent] for name, sent in self.request.files.items()}
        return files | {name: self.get_body_arguments(name, strip=False) for name in self.request.body_arguments}

    def query(self, name: str, default: str = "") -> str:
        """One query parameter."""
        return self.get_query_argument(name, default)

    # output

    def url(self, path: str, **values: Any) -> str:
        """The address of a page of this console: {names} are filled from `values`, the others become the query."""
        parts = {name: value for name, value in values.items() if f"{{{name}}}" in path}
        query = {name: value for name, value in values.items() if name not in parts and value not in (None, "")}
        whole = self.base + path.format_map(parts)
        return f"{whole}?{urlencode(query)}" if query else whole or "/"

    def can(self, path: str, verb: str = "GET") -> bool:
        """Whether the reader may use this verb of this console's route: for buttons and links."""
        return opens(self.routes.find(self.console.name, path).guards[verb], self.permissions)

    def linked(self, path: str) -> bool:
        """Whether this console has such a page and the reader may see it."""
        if (self.console.name, path) not in self.routes or not self.can(path):
            return False
        found = self.routes.find(self.console.name, path).handler
        return not self.lacks or bool(getattr(found, "without_factor", False))

    @property
    def routes(self) -> RouteMap:
        """Every route of the application."""
        return cast(RouteMap, self.settings["routes"])

    def page(self, template: str, title: str, **context: Any) -> None:
        """Finish with a page; htmx gets the fragment of the same page. `title` is a message id or plain text."""
        self.finish(self.render_page(template, title, **context))

    def render_page(self, template: str, title: str, **context: Any) -> str:
        """The text of a page."""
        layout = "/layout/fragment.html" if self.htmx else f"/layout/{self._frame()}.html"
        pages = cast(Pages, self.settings["pages"])
        return pages.render(template, **self._context(), layout=layout, title=title, **context)

    def _frame(self) -> str:
        return "console" if self.console.name != "public" and self.actor is not None else "public"

    def _context(self) -> dict[str, Any]:
        """What every template may use."""
        menu = self.routes.menu(self.console.name, self.permissions) if self.console.name != "public" else []
        return {
            "_": self.reader,
            "actor": self.actor,
            "can": self.can,
            "currency_sign": CURRENCIES.get(self.reader.currency, self.reader.currency),
            "error_text": lambda error: sentence(self.reader, error.code, status_of(error), error.data),
            "field_text": lambda f: field_message(self.reader, f.error, f.info.limits),
            "flash": self._take_flash(),
            "here": self.request.path,
            "json": json.dumps,
            "languages": LANGUAGES,
            "linked": self.linked,
            "menu": menu,
            "next_path": self.request.uri if self.request.method == "GET" else self.request.path,
            "printed": lambda column, value: printed(self.reader, column, value),
            "own": self.permissions,
            "permission_tree": self.routes.tree,
            "state": state,
            "static": self.static_url,
            "tenant": self.tenant,
            "theme": self.theme,
            "themes": THEMES,
            "url": self.url,
            "xsrf": self.xsrf_token.decode(),
        }

    @property
    def theme(self) -> str:
        """auto, light or dark: the reader's choice."""
        chosen = self.get_cookie("theme", "auto")
        return chosen if chosen in THEMES else "auto"

    def done(self, path: str, message: str = "", **data: Any) -> None:
        """Go on to a page of this console, and say there what has been done. `path` as for the browser (see url)."""
        if message:
            self.flash("success", self.reader(message, **data))
        self.go(path)

    def go(self, path: str) -> None:
        """Redirect within the site, after a form as after a link."""
        if self.htmx:
            self.set_header("HX-Redirect", local_path(path))
            self.finish()
        else:
            self.redirect(local_path(path), status=303)

    def flash(self, level: str, text: str, offer: tuple[str, str] | None = None) -> None:
        """Keep a message for the next page: level success, info, warning or danger. `offer`: what can be done next, as
        the address that a button of the message posts to, and its label.
        """
        self.set_signed_cookie("flash", json.dumps([level, text, offer]), expires_days=None, **self._cookie_rules())

    def _take_flash(self) -> tuple[str, str, tuple[str, str] | None] | None:
        kept = self.get_signed_cookie("flash", max_age_days=1)
        if not kept:
            return None
        self.clear_cookie("flash")
        level, text, *offer = json.loads(kept)  # of a page of the version before it has two parts
        return level, text, tuple(offer[0]) if offer and offer[0] else None

    def keep(self, name: str, value: str, days: float | None = YEAR) -> None:
        """Set a cookie by the rules of the house; `days` None lasts until the browser closes."""
        self.set_cookie(name, value, expires_days=days, **self._cookie_rules())

    def _cookie_rules(self) -> dict[str, Any]:
        return {"httponly": True, "samesite": "Lax", "secure": self.settings["secure"], "path": "/"}

    def toast(self, level: str, text: str) -> None:
        """Show a message at once; for answers to htmx."""
        self.set_header("HX-Trigger", json.dumps({"toast": {"level": level, "text": text}}))

    # headers and errors

    def set_default_headers(self) -> None:
        """What every answer carries."""
        self.set_header("Content-Security-Policy", CSP)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Server", "OpenPNS")
        if self.settings["secure"]:
            self.set_header("Strict-Transport-Security", "max-age=31536000; includeSubDomains")

    def compute_etag(self) -> None:
        """No page is the same twice: each carries a fresh XSRF mask."""

    async def head(self, **parts: str) -> None:
        """As GET, without the body."""
        answer = self.get(**parts)
        if answer is not None:
            await answer

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Record what is our fault; a refusal is no error."""
        if status_of(value) >= 500:
            log.error("request %s %s %s", self.request_id, self.request.method, self.request.path, exc_info=value)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell an error: problem document, toast, or a finished page."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        status = status_of(error, status_code)
        code = code_of(error, status)
        data = error.data if isinstance(error, AppError) else {}
        self.set_status(status)
        self.set_header("X-Request-Id", self.request_id)
        if "retry_after" in data:
            self.set_header("Retry-After", str(data["retry_after"]))
        text = sentence(self.reader, code, status, data)
        if self.wants_json:
            self._write_problem(status, code, text, error)
        elif isinstance(error, SignInFirst):
            self._send_to_login()
        elif isinstance(error, FactorFirst):
            self.set_status(200)
            self.go(self.url("/profile/factor"))
        elif self.htmx:
            self.set_header("HX-Reswap", "none")
            self.toast("danger", text)
            self.finish()
        else:
            title = TITLE.get(status, TITLE[500])
            self.page("errors/error.html", title, status=status, text=text, number=self.request_id)

    def _write_problem(self, status: int, code: str, text: str, error: BaseException | None) -> None:
        """RFC 9457, with the stable code and the fields."""
        fields = getattr(error, "fields", {})
        problem = {
            "type": f"urn:openpns:problem:{code}",
            "title": self.reader(TITLE.get(status, TITLE[500])),
            "status": status,
            "detail": text,
            "code": code,
            "request_id": self.request_id,
            "errors": [{"field": f, "code": c, "detail": field_message(self.reader, c, {})} for f, c in fields.items()],
        }
        self.set_header("Content-Type", "application/problem+json")
        self.finish(json.dumps(problem, ensure_ascii=False))

    def _send_to_login(self) -> None:
        """To the login page that fits, and back afterwards."""
        slug = self.tenant["slug"] if self.tenant else ""
        path = f"/t/{slug}/login" if slug else "/login"
        wanted = self.request.uri if self.request.method == "GET" else ""
        self.set_status(200)
        self.go(f"{path}?{urlencode({'next': wanted})}" if wanted else path)


class Missing(Handler):
    """No route has this path. Whoever is logged in stays in the frame of the console."""

    async def prepare(self) -> None:
        """Find out who it is, then refuse."""
        await super().prepare()
        raise NotFound()


def local_path(path: str) -> str:
    """`path` when it stays on this site, else "/": what a reader may be sent to."""
    clean = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    split = urlsplit(path) if clean else None
    return path if split and not split.scheme and not split.netloc else "/"
