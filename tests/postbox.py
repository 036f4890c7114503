"""A mail server for tests, which speaks real SMTP and keeps what it is given."""

from __future__ import annotations

import email
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.support import free_ports


@dataclass
class Postbox:
    """Takes every mail but those to the `refused` addresses, whom it answers with their line."""

    mails: list[EmailMessage] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    url: str = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        """The mails to an address, in order."""
        return [mail for mail in self.mails if mail["To"] == address]


@contextmanager
def postbox() -> Iterator[Postbox]:
    """The server, at `url`."""
    (port,) = free_ports(1)
    box = Postbox(url=f"smtp://127.0.0.1:{port}")
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield box
    finally:
        server.stop()
