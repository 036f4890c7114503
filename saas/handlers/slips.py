"""The share card as it is handed over: as text to copy, as a QR code to scan, on paper."""

from __future__ import annotations

from typing import NamedTuple

from saas import qr
from saas.handlers.base import Handler
from saas.handlers.words import expiry
from saas.i18n import N_
from saas.tenants import accounts, plans, share


class Slip(NamedTuple):
    """`picture` is the text as a QR code, the address of an image; `expires` in words."""

    card: share.Card
    plan: str
    expires: str
    text: str
    picture: str


async def slip(page: Handler, account: accounts.Account, plan: plans.Plan) -> Slip | None:
    """The card that was offered to the reader, this once; None when there is none."""
    card = await share.take(page.scope, account, plan)
    if card is None:
        return None
    say = page.reader
    lines = [
        str(page.scope.tenant["parameters"]["system_name"]),
        f"{say(N_('Account'))}: {card.username}",
        f"{say(N_('Password'))}: {card.password}",
        *(f"{say(N_('Server'))}: {address} ({name})" for name, address in card.servers),
    ]
    text = "\n".join(lines)
    return Slip(card, plan["name"], expiry(say, account), text, qr.picture(text))
