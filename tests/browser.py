"""A browser without a screen: cookies, forms with their token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse


class Browser:
    """Cookies, forms with their token, no redirects followed."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.cookies: dict[str, str] = {}
        self._client = AsyncHTTPClient(force_instance=True)

    async def send(
        self, method: str, path: str, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        """One request; the cookies of the answer are kept."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **(headers or {})}
        request = HTTPRequest(
            self.base + path, method, headers=sent, body=body, follow_redirects=False, allow_nonstandard_methods=True
        )
        answer = await self._client.fetch(request, raise_error=False)
        for line in answer.headers.get_list("Set-Cookie"):
            for name, cookie in SimpleCookie(line).items():
                self.cookies[name] = cookie.value
                if cookie.value == "":
                    del self.cookies[name]
        return answer

    async def get(self, path: str, **headers: str) -> HTTPResponse:
        """Header names with "_" for "-"."""
        return await self.send("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def begun(self, path: str, until: bytes = b"\r\n\r\n") -> tuple[int, str]:
        """Status and beginning of an answer that need not have an end."""
        _, _, host = self.base.partition("://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n\r\n".encode())
        start = (await reader.readuntil(until)).decode()
        writer.close()
        return int(start.split()[1]), start

    async def post(self, path: str, fields: Mapping[str, Any] | None = None, **headers: str) -> HTTPResponse:
        """A form, with the token of this browser's cookie."""
        if "_xsrf" not in self.cookies:
            await self.get("/login")
        body = urlencode({"_xsrf": self.cookies["_xsrf"], **(fields or {})}, doseq=True)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded", **sent})

    async def upload(
        self, path: str, field: str, name: str, octets: bytes, fields: Mapping[str, str] | None = None, **headers: str
    ) -> HTTPResponse:
        """A form with a file, with the token of this browser's cookie."""
        if "_xsrf" not in self.cookies:
            await self.get("/login")
        mark = "a-mark-that-no-file-has"
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in {"_xsrf": self.cookies["_xsrf"], **(fields or {})}.items()
        ]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        body = b"".join(parts) + head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + octets
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        return await self.send("POST", path, body + f"\r\n--{mark}--\r\n".encode(), kind | sent)

    async def post_json(self, path: str, value: Any) -> HTTPResponse:
        """A JSON body, the token in the header, a problem document wanted."""
        if "_xsrf" not in self.cookies:
            await self.get("/login")
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return await self.send("POST", path, json.dumps(value), {**headers, "X-Xsrftoken": self.cookies["_xsrf"]})


def text(answer: HTTPResponse) -> str:
    """The body."""
    return answer.body.decode()
