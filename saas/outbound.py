"""The only door to foreign servers: mail, host names."""

from __future__ import annotations

import asyncio
import logging
import socket
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from saas.errors import Unavailable
from saas.values import new_id, normal_address

log = logging.getLogger(__name__)

_MAIL_PATIENCE = 30.0  # seconds for one mail


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


async def resolve(name: str, patience: float) -> frozenset[str]:
    """The addresses of a host name in normal spelling; none when it does not resolve within `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, TimeoutError):
        return frozenset()
    return frozenset(normal_address(str(address[4][0])) for address in found)
