"""The web application: every console's routes, static files, and the server that listens."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, GZipContentEncoding, HTTPError, RequestHandler, StaticFileHandler

from saas.handlers.base import Missing
from saas.handlers.page import Pages
from saas.handlers.routes import CONSOLES, PUBLIC, VERBS, Route, RouteMap, gather
from saas.tenants.scope import Services, platform_scope
from saas.tenants.watching import Watch

log = logging.getLogger(__name__)

STATIC = Path(__file__).resolve().parents[2] / "static"
MAX_BODY = 1024 * 1024
_NOWHERE = Route("/", Missing, dict.fromkeys(VERBS, PUBLIC))


class Static(StaticFileHandler):
    """Files under static/; an address with the version of its content may be kept for a year."""

    def set_extra_headers(self, path: str) -> None:
        """Say what may be kept."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Server", "OpenPNS")
        if self.get_argument("v", None):
            self.set_header("Cache-Control", "public, max-age=31536000, immutable")

    @classmethod
    def get_version(cls, settings: dict[str, Any], path: str) -> str | None:
        """The beginning of the content's hash: the whole of it, once an icon, makes pages heavy."""
        version = super().get_version(settings, path)
        return version and version[:12]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """A file that is not there is nobody's fault; the rest is recorded."""
        if not isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """No page: nobody reads this one."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")


class Compressed(GZipContentEncoding):
    """What is sent, as small as it gets: files are kept by browsers for a year, and pages are short."""

    GZIP_LEVEL = 9


def log_request(handler: RequestHandler) -> None:
    """One line a request, without its query: that may name people. A refusal is no warning: nobody has to act.

    The number is the one that error pages show.
    """
    request = handler.request
    number, took = getattr(handler, "request_id", "-"), 1000 * request.request_time()
    log.info("%s %s %d %.1f ms %s", request.method, request.path, handler.get_status(), took, number)


def make_app(
    services: Services, *, secure: bool = False, debug: bool = False, routes: list[Route] | None = None
) -> Application:
    """The application over the stores. `secure`: the world sees it by https only. Unguarded for a bad route table."""
    every = RouteMap(gather() if routes is None else routes)
    settings: dict[str, Any] = {
        "platform": platform_scope(services),
        "routes": every,
        "pages": Pages(debug=debug),
        "watch": Watch(services.kv),
        "secure": secure,
        "static_path": str(STATIC),
        "static_handler_class": Static,
        "cookie_secret": services.keys.key("cookies"),
        "xsrf_cookie_kwargs": {"httponly": True, "samesite": "Lax", "secure": secure},
        "log_function": log_request,
        "default_handler_class": Missing,
        "default_handler_args": {"route": _NOWHERE},
    }
    known = [(route.pattern, route.handler, {"route": route}) for route in every.routes]
    strays = [replace(_NOWHERE, path="/", console=console) for console in CONSOLES if console.base]
    nowhere = [(route.pattern.removesuffix("$") + ".*", Missing, {"route": route}) for route in strays]
    return Application([*known, *nowhere], transforms=[Compressed], **settings)


def serve(app: Application, address: str, port: int, *, proxies: list[str] | None = None) -> HTTPServer:
    """Listen; port 0 takes a free one. `proxies`: addresses whose X-Forwarded-For and -Proto are believed."""
    server = HTTPServer(
        app, max_body_size=MAX_BODY, xheaders=bool(proxies), trusted_downstream=proxies, idle_connection_timeout=75
    )
    server.listen(port, address)
    return server
