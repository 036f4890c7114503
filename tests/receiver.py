"""A program that receives webhooks, for tests: real HTTP over TLS, which keeps what it is sent."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.web import Application, RequestHandler

from saas import certs
from saas.outbound import Poster
from tests.support import free_ports


@dataclass
class Receiver:
    """Answers with the next of `answers`, the last one again and again, and with `retry_after` where it is not "".

    `poster` believes its certificate.
    """

    url: str
    poster: Poster
    answers: list[int] = field(default_factory=lambda: [200])
    retry_after: str = ""
    posts: list[tuple[HTTPHeaders, bytes]] = field(default_factory=list)


class _Hook(RequestHandler):
    def initialize(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def post(self) -> None:
        answers = self.receiver.answers
        self.receiver.posts.append((self.request.headers, self.request.body))
        self.set_status(answers.pop(0) if len(answers) > 1 else answers[0])
        if self.get_status() == 302:
            self.set_header("Location", "https://127.0.0.1/elsewhere")
        if self.receiver.retry_after:
            self.set_header("Retry-After", self.receiver.retry_after)
        self.write("as you wish")


@asynccontextmanager
async def receiver(folder: Path) -> AsyncIterator[Receiver]:
    """It, on a free port; its keys lie in the folder."""
    (port,) = free_ports(1)
    authority = certs.authority("Test", timedelta(days=1))
    pair = certs.server(authority, "127.0.0.1", timedelta(days=1))
    path = folder / "server.pem"
    path.write_text(f"{pair.certificate}\n{pair.key}")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(path)
    ours = ssl.create_default_context(cadata=authority.certificate)
    place = f"127.0.0.1:{port}"
    it = Receiver(f"https://{place}/hook?of=acme", Poster(frozenset({place}), ours))
    server = HTTPServer(
        Application([("/hook", _Hook, {"receiver": it})], log_function=lambda handler: None), ssl_options=theirs
    )
    server.listen(port, "127.0.0.1")
    yield it
    server.stop()
    await server.close_all_connections()
