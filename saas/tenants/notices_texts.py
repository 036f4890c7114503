"""What notices say: the kinds, what each can name, and their texts in the subscriber's language.

A text is plain, with {names} in it that are replaced by words. Nothing else in it means anything: it is no program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from saas.errors import Conflict, NotFound
from saas.i18n import LANGUAGES, N_, Reader
from saas.tenants import records
from saas.tenants.forms import Form, Line, Prose
from saas.tenants.scope import Scope

TEXT = records.Noun("notice_texts", "notice_text", "ntx", "kind")
_NAME = re.compile(r"\{([^{}\s]{1,40})\}")

# What a text can name, and what it means.
NAMES: Final[Mapping[str, str]] = {
    "system": N_("System name"),
    "name": N_("Real name, or the member's name where there is none"),
    "member": N_("Member"),
    "account": N_("Account"),
    "plan": N_("Plan"),
    "expires": N_("Expiry date"),
    "days": N_("Days left"),
    "balance": N_("Balance"),
    "amount": N_("Amount"),
    "missing": N_("Missing amount"),
    "left": N_("What is left"),
    "at": N_("Time"),
    "subject": N_("Subject"),
    "text": N_("Text"),
    "closes": N_("Day of closing"),
}
_COMMON = ("system", "name", "member")
_LEFT: Final[Mapping[str, Callable[[Reader, Any], str]]] = {"octets": Reader.octets, "seconds": Reader.duration}
_PRINTED: Final[Mapping[str, Callable[[Reader, Any], str]]] = {
    "expires": Reader.minute,
    "at": Reader.minute,
    "closes": Reader.day,
    "balance": Reader.money,
    "amount": Reader.money,
    "missing": Reader.money,
    "left": lambda reader, left: ", ".join(_LEFT[name](reader, amount) for name, amount in left.items()),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """An occasion to tell something. `event`: what a webhook calls it. `names`: those of NAMES that its texts can use
    beside the common ones. `by_hand`: somebody asks for it each time, so the parameters do not.
    """

    title: str
    event: str
    names: tuple[str, ...]
    subject: str
    text: str
    by_hand: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        """Every name that its texts can use."""
        return _COMMON + self.names


@dataclass(frozen=True, slots=True)
class Text:
    """Subject and text of a mail, with their {names}, or with words in place of them."""

    subject: str
    text: str


KINDS: Final[Mapping[str, Kind]] = {
    "expiring": Kind(
        N_("Before expiry"),
        "account.expiring",
        ("account", "plan", "expires", "days"),
        N_("{system}: your plan ends on {expires}"),
        N_(
            "Hello {name},\n\nthe plan {plan} of your account {account} ends on {expires} (days left: {days}). "
            "Please renew it in time, so that you stay online.\n\n{system}"
        ),
    ),
    "expired": Kind(
        N_("On expiry"),
        "account.expired",
        ("account", "plan", "expires"),
        N_("{system}: your plan has ended"),
        N_(
            "Hello {name},\n\nthe plan {plan} of your account {account} ended on {expires}. "
            "Once it is renewed you can go online again.\n\n{system}"
        ),
    ),
    "renewed": Kind(
        N_("Renewed automatically"),
        "account.renewed",
        ("account", "plan", "expires", "amount", "balance"),
        N_("{system}: your plan is renewed"),
        N_(
            "Hello {name},\n\nthe plan {plan} of your account {account} was renewed from your balance for {amount}. "
            "It is good until {expires}; your balance is {balance}.\n\n{system}"
        ),
    ),
    "renewal_unpaid": Kind(
        N_("Balance too low to renew"),
        "account.renewal_unpaid",
        ("account", "plan", "expires", "amount", "missing"),
        N_("{system}: your balance does not suffice to renew"),
        N_(
            "Hello {name},\n\nthe plan {plan} of your account {account}, good until {expires}, is to be renewed for "
            "{amount}, but {missing} are missing from your balance. Once you have topped it up, it is renewed by "
            "itself.\n\n{system}"
        ),
    ),
    "renewal_refused": Kind(
        N_("Plan no longer on sale"),
        "account.renewal_refused",
        ("account", "plan", "expires"),
        N_("{system}: your plan cannot be renewed"),
        N_(
            "Hello {name},\n\nthe plan {plan} of your account {account}, good until {expires}, is not offered any "
            "more and is not renewed by itself. Please ask us for another one.\n\n{system}"
        ),
    ),
    "quota_low": Kind(
        N_("Quota nearly used up"),
        "account.quota_low",
        ("account", "plan", "left"),
        N_("{system}: your quota is nearly used up"),
        N_(
            "Hello {name},\n\nof the quota of the plan {plan} of your account {account} only {left} is left. "
            "Please renew it or top it up in time.\n\n{system}"
        ),
    ),
    "quota_used": Kind(
        N_("Quota used up"),
        "account.quota_exhausted",
        ("account", "plan"),
        N_("{system}: your quota is used up"),
        N_(
            "Hello {name},\n\nthe quota of the plan {plan} of your account {account} is used up. "
            "Please renew it or top it up to go on.\n\n{system}"
        ),
    ),
    "balance_low": Kind(
        N_("Low balance"),
        "balance.low",
        ("balance",),
        N_("{system}: your balance is low"),
        N_("Hello {name},\n\nyour balance is {balance}. Please top it up in time.\n\n{system}"),
    ),
    "payment": Kind(
        N_("Payment received"),
        "payment.succeeded",
        ("amount", "balance", "at"),
        N_("{system}: your payment of {amount}"),
        N_("Hello {name},\n\nwe received your payment of {amount} on {at}. Thank you.\n\n{system}"),
    ),
    "activated": Kind(
        N_("Account active"),
        "account.activated",
        ("account", "plan"),
        N_("{system}: your account is active"),
        N_(
            "Hello {name},\n\nyour account {account} with the plan {plan} is active: you can go online now.\n\n{system}"
        ),
    ),
    "suspended": Kind(
        N_("Account suspended"),
        "account.suspended",
        ("account", "plan"),
        N_("{system}: your account is suspended"),
        N_(
            "Hello {name},\n\nyour account {account} is suspended. What is left of your plan is kept until it is "
            "resumed.\n\n{system}"
        ),
    ),
    "message": Kind(
        N_("Message"),
        "member.message",
        ("subject", "text"),
        N_("{system}: {subject}"),
        N_("Hello {name},\n\n{text}\n\n{system}"),
        by_hand=True,
    ),
    "closing": Kind(
        N_("Before closing"),
        "account.closing",
        ("account", "plan", "closes"),
        N_("{system}: your account will be closed on {closes}"),
        N_(
            "Hello {name},\n\nyour account {account} has been suspended for long. Unless it is resumed, it will be "
            "closed on {closes}; what is left of your plan then goes to your balance.\n\n{system}"
        ),
    ),
    "closed": Kind(
        N_("Closed after a long suspension"),
        "account.closed",
        ("account", "plan", "amount", "balance"),
        N_("{system}: your account is closed"),
        N_(
            "Hello {name},\n\nyour account {account} was suspended for long and is closed now. {amount} of your plan "
            "went to your balance, which is {balance}.\n\n{system}"
        ),
    ),
}


class TextForm(Form):
    """A tenant's own text. Which {names} it can use depends on its kind."""

    subject: Annotated[Line, StringConstraints(min_length=1, max_length=120)] = Field(title=N_("Subject"))
    text: Annotated[Prose, Field(min_length=1)] = Field(
        title=N_("Text"), json_schema_extra={"widget": "textarea", "rows": 9}
    )


def place(key: str) -> tuple[str, str]:
    """Kind and language of "kind-language", as addresses have it. NotFound."""
    kind, _, language = key.rpartition("-")
    if kind not in KINDS or language not in LANGUAGES:
        raise NotFound(id=key)
    return kind, language


async def own(scope: Scope, kind: str, language: str) -> Any:
    """The row of the tenant's own text, with its `subject` and `text`; None where the default holds."""
    return await scope.db.notice_texts.one({"kind": kind, "language": language})


async def owned(scope: Scope) -> dict[tuple[str, str], str]:
    """The subjects of the tenant's own texts, by kind and language."""
    rows = await scope.db.notice_texts.find({}, limit=1000, fields=["kind", "language", "subject"])
    return {(row["kind"], row["language"]): row["subject"] for row in rows}


async def current(scope: Scope, kind: str, language: str) -> Text:
    """The text that holds: the tenant's own, else the default."""
    row = await own(scope, kind, language)
    return Text(row["subject"], row["text"]) if row else default(kind, language)


async def write(scope: Scope, kind: str, language: str, form: TextForm, version: int | None = None) -> None:
    """Keep a text of the tenant's own. Conflict("unknown_names") for a name that this kind does not have,
    Conflict("changed") where it is not `version` any more; 0 is the default text.
    """
    names = unknown(kind, f"{form.subject}\n{form.text}")
    if names:
        known = ", ".join(f"{{{name}}}" for name in KINDS[kind].known)
        raise Conflict("unknown_names", names=", ".join(f"{{{name}}}" for name in names), known=known)
    values = {"subject": form.subject, "text": form.text.replace("\r\n", "\n")}
    row = await own(scope, kind, language)
    if row:
        await records.change(scope, TEXT, row["_id"], values, version=version)
    else:
        await records.create(scope, TEXT, {"kind": kind, "language": language, **values})


async def reset(scope: Scope, kind: str, language: str) -> None:
    """Let the default hold again."""
    row = await own(scope, kind, language)
    if row:
        await records.remove(scope, TEXT, row["_id"])


def unknown(kind: str, text: str) -> list[str]:
    """The names in a text that this kind does not have."""
    return [name for name in dict.fromkeys(_NAME.findall(text)) if name not in KINDS[kind].known]


def fill(text: str, words: Mapping[str, str]) -> str:
    """The text with words for its names. What the words hold is not looked at again."""
    return _NAME.sub(lambda found: words.get(found[1], found[0]), text)


def default(kind: str, language: str) -> Text:
    """The text that holds until a tenant writes its own."""
    say = Reader.of(language)
    return Text(say(KINDS[kind].subject), say(KINDS[kind].text))


def rendered(scope: Scope, kind: str, language: str, facts: Mapping[str, Any], text: Text) -> Text:
    """What is sent: the facts in words, amounts and times as the tenant counts them."""
    own = scope.tenant["parameters"]
    reader = Reader.of(language, own["timezone"], own["currency"])
    words = {"system": own["system_name"]} | {name: _printed(reader, name, value) for name, value in facts.items()}
    return Text(fill(text.subject, words), fill(text.text, words))


def sample(kind: str, now: datetime) -> dict[str, Any]:
    """Facts to show a text with."""
    facts = {"name": "Alice", "member": "alice", "account": "alice", "plan": "VPN 20M", "expires": now, "days": 3}
    facts |= {"balance": 350, "amount": 3000, "missing": 2650, "at": now, "closes": now}
    facts |= {"left": {"octets": 2 * 2**30}}
    facts |= {"subject": "Maintenance", "text": "Tonight from 2 to 3 nobody can go online."}
    return {name: facts[name] for name in KINDS[kind].known if name in facts}


def _printed(reader: Reader, name: str, value: Any) -> str:
    return _PRINTED[name](reader, value) if name in _PRINTED else str(value)
