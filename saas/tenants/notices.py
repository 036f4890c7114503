"""What is told to people by mail, in their language."""

from __future__ import annotations

from saas.i18n import N_, Reader
from saas.tenants.scope import PlatformScope

_CODE_SUBJECT = N_("Your OpenPNS code is {code}")
_CODE_TEXT = N_(
    "Your code is {code}. It is good for 30 minutes.\n\nIf you did not sign up for OpenPNS, ignore this mail."
)


async def signup_code(ps: PlatformScope, to: str, code: str, locale: str) -> None:
    """The code that proves a mail address."""
    say = Reader.of(locale)
    await ps.services.mailer.send(to, say(_CODE_SUBJECT, code=code), say(_CODE_TEXT, code=code))
