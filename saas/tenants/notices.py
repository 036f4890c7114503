"""What is told to subscribers, each thing once: the outbox, and what is written into it.

A notice is a row, unique by what it is about and by its occasion, written in the transaction of what caused it where
there is one. `outbox.py` sends it: to the member's mail address and to the tenant's webhook, as far as there are such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict

from saas.errors import Conflict
from saas.i18n import N_, Reader
from saas.store import Update
from saas.tenants import audit, webhooks
from saas.tenants.notices_texts import KINDS, sample
from saas.tenants.paging import ListQuery, Page, page
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id, utcnow

CHANNELS: Final[Mapping[str, str]] = {"mail": N_("Mail"), "webhook": N_("Webhook")}
_PARTICULARS = ("agent_id", "login", "name", "email", "language")

_CODE_SUBJECT = N_("Your OpenPNS code is {code}")
_CODE_TEXT = N_(
    "Your code is {code}. It is good for 30 minutes.\n\nIf you did not sign up for OpenPNS, ignore this mail."
)
_RESET_SUBJECT = N_("The second factor of {name} was reset")
_RESET_TEXT = N_(
    "The second factor of {name} was reset by {by}. Until a new one is set up, the password alone lets in.\n\n"
    "If you did not expect this, ask {by}, and change the password."
)
_OFF_SUBJECT = N_("The webhook of {system} is switched off")
_OFF_GONE = N_("{url} answered that it is gone (410), so nothing is posted there any more.")
_OFF_FAILING = N_("{url} has taken nothing for days, so nothing is posted there any more.")
_OFF_NEXT = N_("Mails to subscribers go on. When the receiver works again, switch the webhook on: Notices, Webhook.")


class Notice(TypedDict):
    """`kind` is one of KINDS; `subject` the id of what it is about (an account, a member), `subject_name` its name.

    `occasion` tells one of the same subject from another, for instance the moment of expiry. `facts` are what its text
    can name: minor units, UTC. `channel` is one of CHANNELS, `to` the address. `state`: "waiting", then "sent" or
    "failed". `tries`: how many were begun; `next_at`: when the next may begin. `error`: why the last one failed, a
    code, with `answer`, what the other side said.
    """

    _id: str
    tenant_id: str
    member_id: str
    agent_id: str | None
    kind: str
    subject: str
    subject_name: str
    occasion: str
    channel: str
    to: str
    language: str
    facts: Mapping[str, Any]
    state: str
    tries: int
    next_at: datetime
    sent_at: datetime | None
    error: str
    answer: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell a member; the fields are as in Notice."""

    member_id: str
    subject: str
    subject_name: str
    occasion: str
    facts: Mapping[str, Any]


async def signup_code(ps: PlatformScope, to: str, code: str, locale: str) -> None:
    """The code that proves a mail address."""
    say = Reader.of(locale)
    await ps.services.mailer.send(to, say(_CODE_SUBJECT, code=code), say(_CODE_TEXT, code=code))


async def factor_was_reset(ps: PlatformScope, to: str, name: str, by: str, locale: str) -> None:
    """Somebody's second factor was taken away."""
    say = Reader.of(locale)
    await ps.services.mailer.send(to, say(_RESET_SUBJECT, name=name), say(_RESET_TEXT, name=name, by=by))


async def webhook_is_off(scope: Scope, to: str, url: str, *, gone: bool) -> None:
    """The tenant's webhook was switched off. Unavailable."""
    parameters = scope.tenant["parameters"]
    say = Reader.of(parameters["locale"])
    subject = say(_OFF_SUBJECT, system=parameters["system_name"])
    text = f"{say(_OFF_GONE if gone else _OFF_FAILING, url=url)}\n\n{say(_OFF_NEXT)}"
    await scope.services.mailer.send(to, subject, text)


async def tell(scope: Scope, kind: str, news: Sequence[News]) -> int:
    """Write notices of a kind into the outbox, each once however often it is told; how many there are now.

    Call it in the transaction of what caused them. Whoever has no way to be told is left out.
    """
    if not news or scope.tenant["status"] != "active" or not (_mailed(scope, kind) or webhooks.url(scope)):
        return 0
    members = await scope.db.members.among((each.member_id for each in news), _PARTICULARS)
    updates = [
        Update(key, {"$setOnInsert": row}, upsert=True)
        for each in news
        if each.member_id in members
        for key, row in _rows(scope, kind, each, members[each.member_id])
    ]
    return await scope.db.notices.bulk(updates, ordered=False)


def _mailed(scope: Scope, kind: str) -> bool:
    """Whether members are written of it, those who have an address."""
    return KINDS[kind].by_hand or kind in scope.tenant["parameters"]["notice_mail"]


def _rows(
    scope: Scope, kind: str, news: News, member: Mapping[str, Any]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The key and the rest of a row for each way to tell the member."""
    own = scope.tenant["parameters"]["locale"]
    language = own if member["language"] == "system" else member["language"]
    facts = {"name": member["name"] or member["login"], "member": member["login"], **news.facts}
    mail = member["email"] if _mailed(scope, kind) else ""
    found = []
    for channel, to in (("mail", mail), ("webhook", webhooks.url(scope))):
        if to:
            key = {"kind": kind, "subject": news.subject, "occasion": news.occasion, "channel": channel}
            row = _row(member["_id"], member["agent_id"], news.subject_name, to, language, facts)
            found.append((key, row))
    return found


def _row(
    member_id: str, agent_id: str | None, name: str, to: str, language: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """A row that waits, but for its key."""
    now = utcnow()
    return {
        "_id": new_id("ntc"),
        "member_id": member_id,
        "agent_id": agent_id,
        "subject_name": name,
        "to": to,
        "language": language,
        "facts": dict(facts),
        "state": "waiting",
        "tries": 0,
        "next_at": now,
        "sent_at": None,
        "error": "",
        "answer": "",
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


async def tell_me(scope: Scope, kind: str, language: str) -> Notice:
    """Write a notice of a kind to the actor, with made-up facts, by the way that all take.

    Conflict("no_mail_address"): only the cloud account is known to have one.
    """
    if scope.actor.kind != "owner":
        raise Conflict("no_mail_address")
    return await _try_out(scope, kind, "mail", scope.actor.name, language)


async def tell_webhook(scope: Scope, kind: str) -> Notice:
    """Write a notice of a kind to the webhook, with made-up facts. Conflict("no_webhook") where there is none."""
    if not webhooks.url(scope):
        raise Conflict("no_webhook")
    return await _try_out(scope, kind, "webhook", webhooks.url(scope), scope.tenant["parameters"]["locale"])


async def _try_out(scope: Scope, kind: str, channel: str, to: str, language: str) -> Notice:
    key = {"kind": kind, "subject": scope.actor.id, "occasion": new_id("try"), "channel": channel}
    row = _row("", None, scope.actor.name, to, language, {**sample(kind, utcnow()), "test": True})
    notice: Notice = await scope.db.notices.insert({**key, **row})
    return notice


async def activated(scope: Scope, account: Mapping[str, Any], plan_name: str) -> None:
    """Tell that an account is active that was opened ahead, in its transaction; `account` is the row as it is then."""
    await _tell_of(scope, "activated", account, plan_name)


async def suspended(scope: Scope, account: Mapping[str, Any], plan_name: str) -> None:
    """Tell of a suspension, in its transaction; `account` is the row as it is then."""
    await _tell_of(scope, "suspended", account, plan_name)


async def _tell_of(scope: Scope, kind: str, account: Mapping[str, Any], plan_name: str) -> None:
    facts = {"account": account["username"], "plan": plan_name}
    news = News(account["member_id"], account["_id"], account["username"], str(account["version"]), facts)
    await tell(scope, kind, [news])


async def posted(scope: Scope, entries: Sequence[Mapping[str, Any]], member: Mapping[str, Any]) -> None:
    """Tell of ledger entries that were posted together, in their transaction: of payments, and of a balance that falls
    below the tenant's limit by all of them. What came in by the same operation was never meant to stay.
    """
    if not (member["email"] or webhooks.url(scope)):
        return
    paid = [entry for entry in entries if entry["kind"] == "payment" and entry["amount"] > 0]
    await tell(scope, "payment", [_of_entry(entry, member) for entry in paid])
    limit, last = scope.tenant["parameters"]["notice_balance"], entries[-1]
    if last["after"] < limit <= entries[0]["before"]:
        await tell(scope, "balance_low", [_of_entry(last, member)])


def _of_entry(entry: Mapping[str, Any], member: Mapping[str, Any]) -> News:
    facts = {"balance": entry["after"], "amount": entry["amount"], "at": entry["at"]}
    return News(member["_id"], member["_id"], member["login"], entry["key"], facts)


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Notices, newest first. Filters: `kind`, `state`, `member_id`; `q` is the name of an account or member."""
    wanted = ("kind", "state", "member_id")
    filter: dict[str, Any] = {name: query.filters[name] for name in wanted if query.filters.get(name)}
    if query.q:
        filter["subject_name"] = query.q.lower()
    return await page(scope.db.notices, filter, query)


async def get(scope: Scope, notice_id: str) -> Notice:
    """One notice. NotFound."""
    notice: Notice = await scope.db.notices.get(notice_id)
    return notice


async def resend(scope: Scope, notice_id: str) -> Notice:
    """Send a notice again, to the member's present address. NotFound; Conflict while it waits to be sent anyway."""

    async def write(tx: Scope) -> Notice:
        before = await get(tx, notice_id)
        if before["state"] == "waiting":
            raise Conflict("notice_waits")
        address = await _present_address(tx, before) or before["to"]
        anew = {"state": "waiting", "tries": 0, "next_at": utcnow(), "to": address}
        notice: Notice = await tx.db.notices.update(notice_id, {"$set": anew}, version=before["version"])
        await audit.record(tx, "notice.resend", notice_id, name=notice["subject_name"])
        return notice

    return await scope.transaction(write)


async def _present_address(scope: Scope, notice: Notice) -> str:
    if notice["channel"] == "webhook":
        return webhooks.url(scope)
    member = await scope.db.members.one({"_id": notice["member_id"]}, ["email"])
    return str(member["email"]) if member else ""
