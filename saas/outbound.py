"""The only door to foreign servers: mail, host names."""

from __future__ import annotations

import asyncio
import logging
import socket
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib

from saas.errors import Unavailable
from saas.values import new_id, normal_address

log = logging.getLogger(__name__)


class Mailer:
    """Sends mail by SMTP; without a server it writes the mail to the log and, where given, into a folder.

    `smtp_url`: ``smtp://user:password@host:port`` (STARTTLS when offered) or ``smtps://…`` (TLS from the start).
    """

    def __init__(self, smtp_url: str = "", sender: str = "openpns@localhost", folder: Path | None = None) -> None:
        self._url = urlsplit(smtp_url)
        self._sender = sender
        self._folder = folder

    async def send(self, to: str, subject: str, text: str) -> None:
        """Send one plain mail. Unavailable when the server refuses it or does not answer."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._sender, to, subject
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain=self._sender.rpartition("@")[2])
        mail.set_content(text)
        if not self._url.hostname:
            self._keep(mail, text)
            return
        try:
            await aiosmtplib.send(
                mail,
                hostname=self._url.hostname,
                port=self._url.port,
                username=unquote(self._url.username) if self._url.username else None,
                password=unquote(self._url.password) if self._url.password else None,
                use_tls=self._url.scheme == "smtps",
                timeout=15,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            log.warning("mail to %s was not sent: %s", to, error)
            raise Unavailable(server="smtp") from error

    def _keep(self, mail: EmailMessage, text: str) -> None:
        """Without a server this is a first look or a test: whoever runs it must be able to read the mail."""
        log.info("no SMTP server is set; mail to %s, %s:\n%s", mail["To"], mail["Subject"], text)
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{new_id('mail')}.eml").write_bytes(bytes(mail))


async def resolve(name: str, patience: float) -> frozenset[str]:
    """The addresses of a host name in normal spelling; none when it does not resolve within `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, TimeoutError):
        return frozenset()
    return frozenset(normal_address(str(address[4][0])) for address in found)
