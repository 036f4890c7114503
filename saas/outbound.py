"""The only door to foreign servers: mail, webhooks, host names."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
import ssl
import time
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid, parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib

from saas.errors import Unavailable
from saas.values import new_id, normal_address

log = logging.getLogger(__name__)

_MAIL_PATIENCE = 30.0  # seconds for one mail
_POST_PATIENCE = 15.0  # seconds for one post
_RESOLVE_PATIENCE = 5.0  # seconds
POST_PORTS = (443, 8443)
_BUSY = (429, 503)
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*([^\r]*?)[ \t]*\r", re.IGNORECASE)
_GLOBAL6 = ipaddress.IPv6Network("2000::/3")


class Mailer:
    """Sends mail by SMTP; without a server it writes the mail to the log and, where given, into a folder.

    `smtp_url`: ``smtp://user:password@host:port`` (STARTTLS when offered) or ``smtps://…`` (TLS from the start).
    """

    def __init__(self, smtp_url: str = "", sender: str = "openpns@localhost", folder: Path | None = None) -> None:
        self._url = urlsplit(smtp_url)
        self._sender = sender
        self._folder = folder

    async def send(self, to: str, subject: str, text: str, *, sender: str = "", message_id: str = "") -> None:
        """Send one plain mail, with `sender` as the sender's name; a mail that is sent again has the same `message_id`.

        Unavailable when it was not taken. Its data: `cause` ("unreachable": the server; "refused": this mail), `answer`
        (what the server said), `final` (whether sending it again would be in vain).
        """
        domain = self._sender.rpartition("@")[2]
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = formataddr((sender, self._sender)), to, " ".join(subject.split())
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{message_id}@{domain}>" if message_id else make_msgid(domain=domain)
        mail.set_content(text)
        if not self._url.hostname:
            self._keep(mail, text)
            return
        try:
            async with asyncio.timeout(_MAIL_PATIENCE):
                await self._hand_over(mail)
        except (aiosmtplib.SMTPException, OSError) as error:
            log.warning("mail to %s was not sent: %s", to, error)
            raise Unavailable(server="smtp", **_mail_failure(error)) from error

    async def _hand_over(self, mail: EmailMessage) -> None:
        await aiosmtplib.send(
            mail,
            hostname=self._url.hostname,
            port=self._url.port,
            username=unquote(self._url.username) if self._url.username else None,
            password=unquote(self._url.password) if self._url.password else None,
            use_tls=self._url.scheme == "smtps",
            timeout=15,
        )

    def _keep(self, mail: EmailMessage, text: str) -> None:
        """Without a server this is a first look or a test: whoever runs it must be able to read the mail."""
        log.info("no SMTP server is set; mail to %s, %s:\n%s", mail["To"], mail["Subject"], text)
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{new_id('mail')}.eml").write_bytes(bytes(mail))


def _mail_failure(error: Exception) -> dict[str, Any]:
    """What is wrong with this very mail, such as its address; anything else is wrong with the server."""
    refusals = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else [error]
    refusal = refusals[0]
    if isinstance(refusal, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError):
        return {"cause": "refused", "answer": f"{refusal.code} {refusal.message}", "final": refusal.code >= 500}
    return {"cause": "unreachable", "answer": str(error), "final": False}


class Poster:
    """Posts to addresses that tenants name, and lets nobody reach by it what only this machine may reach.

    Only https, to port 443 or 8443 of public addresses, looked up once and held to; no redirects. `trusted`: places
    "host:port" to which none of that applies; `tls`: who is believed, if not the authorities that everybody knows.
    """

    def __init__(self, trusted: frozenset[str] = frozenset(), tls: ssl.SSLContext | None = None) -> None:
        self._trusted = trusted
        self._tls = tls

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Post `body`; any 2xx is success. Unavailable otherwise, with `cause`, `answer` and `final` as from a Mailer.

        `cause`: "unreachable", "not_public" (the address), "gone" (410, final), "answered" (something else than
        success). `retry_after`, where it asked for it with 429 or 503: for how many seconds it is to be left alone.
        """
        target = urlsplit(url)
        port = target.port or (443 if target.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_POST_PATIENCE):
                status, wait = await self._exchange(target, port, _request(target, headers, body))
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            answer = str(error) or type(error).__name__
            raise Unavailable(server="webhook", cause="unreachable", answer=answer, final=False) from error
        if not 200 <= status < 300:
            gone = status == 410
            asked: dict[str, Any] = {"retry_after": wait} if wait and status in _BUSY else {}
            cause = "gone" if gone else "answered"
            raise Unavailable(server="webhook", cause=cause, answer=str(status), final=gone, **asked)

    async def _exchange(self, target: SplitResult, port: int, request: bytes) -> tuple[int, int]:
        """Send the request; status and Retry-After of the answer, in seconds."""
        address = await self._address(target, port)
        tls = (self._tls or ssl.create_default_context()) if target.scheme == "https" else None
        name = target.hostname if tls else None
        reader, writer = await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)
        try:
            writer.write(request)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), _retry_after(head)
        finally:
            writer.close()

    async def _address(self, target: SplitResult, port: int) -> str:
        """The address to connect to. Unavailable where nobody may be sent."""
        host = target.hostname or ""
        trusted = f"{host}:{port}" in self._trusted
        found = await resolve(host, _RESOLVE_PATIENCE)
        if not found:
            raise OSError(f"{host} has no address")
        allowed = target.scheme == "https" and port in POST_PORTS and all(is_public(each) for each in found)
        if not (trusted or allowed):
            raise Unavailable(server="webhook", cause="not_public", answer="", final=True)
        return min(found, key=lambda each: (":" in each, each))  # IPv4 first: not every machine has the other one


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, and leads to no private one by a way round."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and (parsed not in _GLOBAL6 or parsed.sixtofour or parsed.teredo):
        return False
    return parsed.is_global and not parsed.is_multicast


def _retry_after(head: bytes) -> int:
    """Seconds to wait, by the header that says so, in either of its forms; 0 without, or where it makes no sense."""
    found = _RETRY_AFTER.search(head)
    text = found[1].decode("latin-1") if found else ""
    if text.isdecimal():
        return int(text[:9])
    try:
        return max(0, int(parsedate_to_datetime(text).timestamp() - time.time()))
    except (ValueError, OverflowError):
        return 0


def _request(target: SplitResult, headers: Mapping[str, str], body: bytes) -> bytes:
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    host = target.netloc.rpartition("@")[2]
    standard = {"Host": host, "User-Agent": "OpenPNS", "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**standard, **headers}.items())]
    if any(not line.isascii() or not line.isprintable() for line in lines):
        raise ValueError("the address holds characters that no address has")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def resolve(name: str, patience: float) -> frozenset[str]:
    """The addresses of a host name in normal spelling; none when it does not resolve within `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, TimeoutError):
        return frozenset()
    return frozenset(normal_address(str(address[4][0])) for address in found)
