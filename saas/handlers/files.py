"""Large files: those that are made here row by row, and uploads that are larger than a form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

from tornado.http1connection import HTTP1Connection
from tornado.web import stream_request_body

from saas.handlers.base import Handler
from saas.handlers.forms import FormPage
from saas.sheets import XLSX, Writer

_CHUNK = 256 * 1024  # octets
_AROUND = 64 * 1024  # octets that a form has beside its file

Add = Callable[[Sequence[Sequence[Any]]], Awaitable[None]]


@asynccontextmanager
async def workbook(page: Handler, name: str, titles: Sequence[str]) -> AsyncIterator[Add]:
    """Answer with an XLSX file: rows go to what this gives, some at a time; at the end it is sent.

    However many rows, memory and loop hold a portion of them: the file lies on disk until it is sent.
    """
    writer = await asyncio.to_thread(Writer, titles)

    async def add(rows: Sequence[Sequence[Any]]) -> None:
        await asyncio.to_thread(writer.add, rows)

    try:
        yield add
        await send(page, f"{name}.xlsx", await asyncio.to_thread(writer.save))
    finally:
        await asyncio.to_thread(writer.close)


async def send(page: Handler, name: str, path: Path) -> None:
    """A workbook that lies on disk, to be kept under a name."""
    page.set_header("Content-Type", XLSX)
    page.set_header("Content-Disposition", f'attachment; filename="{name}"')
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            page.write(chunk)
            await page.flush()
    await page.finish()


@stream_request_body
class UploadPage(FormPage):
    """A form with a file of up to `most` octets, more than other requests may have: who may not is told before it is
    taken, and nobody can send more.
    """

    most: ClassVar[int]

    async def prepare(self) -> None:
        """As for every page; then let the file come."""
        self._chunks: list[bytes] = []
        await super().prepare()
        cast(HTTP1Connection, self.request.connection).set_max_body_size(self.most + _AROUND)

    def data_received(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(chunk)

    async def post(self, **parts: str) -> None:
        """The body is whole: read it, then go on as with any form."""
        self.request.body = b"".join(self._chunks)
        self._chunks.clear()
        self.request._parse_body()
        super()._check_xsrf()
        await super().post(**parts)

    def file_name(self, field: str) -> str:
        """What the file is called where it comes from."""
        sent = self.request.files.get(field)
        return str(sent[0].filename) if sent else ""

    def _check_xsrf(self) -> None:
        """The token comes with the body: `post` looks at it."""
