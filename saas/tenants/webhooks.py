"""The webhook of a tenant: its notices as signed posts to a program of its own (Standard Webhooks 1.0.0).

One that says that it is gone, or has taken nothing for days, is switched off until somebody switches it on again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, NotRequired, TypedDict
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from saas import security
from saas.errors import Conflict, Unavailable
from saas.i18n import N_
from saas.outbound import POST_PORTS
from saas.tenants import audit
from saas.tenants.forms import Form
from saas.tenants.notices_texts import KINDS
from saas.tenants.scope import Scope
from saas.values import utcnow

ROTATES = timedelta(hours=24)  # how long the former secret signs as well
PATIENCE = timedelta(days=3)  # how long nothing may be taken, when a notice is given up
_MONEY = ("amount", "balance", "missing")


class Webhook(TypedDict):
    """What stands in a tenant's row: `url` "" sends nothing.

    `sealed_former` signs as well until `former_until`. `failing_since`: from when on nothing was taken. `off`: why
    nothing is posted any more since `off_at`, "gone" or "failing"; "" while it is.
    """

    url: str
    sealed_secret: bytes
    sealed_former: NotRequired[bytes]
    former_until: NotRequired[datetime]
    failing_since: NotRequired[datetime | None]
    off: NotRequired[str]
    off_at: NotRequired[datetime | None]


_ON: Final[Mapping[str, Any]] = {"failing_since": None, "off": "", "off_at": None}


def _https(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        good = parts.scheme == "https" and parts.hostname and parts.port in (None, *POST_PORTS)
    except ValueError:
        good = False
    if not good or parts.username or parts.password or parts.fragment:
        raise PydanticCustomError("bad_webhook", "bad webhook address")
    return text


WebhookUrl = Annotated[str, StringConstraints(max_length=500, pattern=r"^[!-~]*$"), AfterValidator(_https)]


class WebhookForm(Form):
    """Where notices are posted to."""

    url: WebhookUrl = Field(
        default="",
        title=N_("Address"),
        description=N_("https, port 443 or 8443, a public address. Empty: nothing is posted."),
        json_schema_extra={"widget": "text", "placeholder": "https://"},
    )


def stored(scope: Scope) -> Webhook | None:
    """The tenant's webhook; None before there is one."""
    found: Webhook | None = scope.tenant.get("webhook")
    return found


def url(scope: Scope) -> str:
    """Where notices are posted to, "" for nowhere: there is no webhook, or it is off."""
    webhook = stored(scope)
    return webhook["url"] if webhook and not webhook.get("off") else ""


def secret(scope: Scope) -> str:
    """The secret that signs, "" before there is one."""
    webhook = stored(scope)
    return scope.unseal(webhook["sealed_secret"]) if webhook else ""


async def reveal(scope: Scope) -> str:
    """The secret in clear; the look is logged. Conflict("no_webhook")."""
    await audit.record(scope, "webhook.secret", scope.tenant_id, name=_there(scope)["url"])
    return secret(scope)


def former_until(scope: Scope) -> datetime | None:
    """Until when posts are signed with the former secret as well; None when they are not."""
    webhook = stored(scope)
    until = webhook.get("former_until") if webhook else None
    return until if until and until > utcnow() else None


async def save(scope: Scope, form: WebhookForm, version: int | None = None) -> None:
    """Set where notices go, and let them go there; the secret is made with the first address. Conflict("changed")."""
    webhook = stored(scope) or Webhook(url="", sealed_secret=scope.seal(security.new_webhook_secret()))
    await _write(scope, "webhook.update", {**webhook, "url": form.url, **_ON}, version)


async def rotate(scope: Scope) -> None:
    """Sign with a new secret from now on, and for a day with the present one as well. Conflict("no_webhook")."""
    webhook = _there(scope)
    fresh = scope.seal(security.new_webhook_secret())
    former = {"sealed_former": webhook["sealed_secret"], "former_until": utcnow() + ROTATES}
    await _write(scope, "webhook.rotate", {**webhook, **former, "sealed_secret": fresh})


async def switch_on(scope: Scope) -> None:
    """Let notices go there again. Conflict("no_webhook")."""
    await _write(scope, "webhook.switch_on", {**_there(scope), **_ON})


async def given_up(scope: Scope, *, gone: bool) -> bool:
    """Switch it off where it is `gone`, or has taken nothing for too long, now that a notice was tried in vain.

    Whether that was done: by one of several at once.
    """
    now = utcnow()
    same = {"_id": scope.tenant_id, "webhook.url": url(scope), "webhook.off": {"$in": [None, ""]}}
    too_long = {} if gone else {"webhook.failing_since": {"$lte": now - PATIENCE}}
    after = {"off": "gone" if gone else "failing", "off_at": now}

    async def write(tx: Scope) -> bool:
        change = {"$set": {f"webhook.{name}": value for name, value in after.items()}}
        if not await tx.db.tenants.update_one({**same, **too_long}, change):
            return False
        await audit.record(tx, "webhook.switch_off", tx.tenant_id, name=url(scope), after=after)
        return True

    return await scope.transaction(write)


def _there(scope: Scope) -> Webhook:
    webhook = stored(scope)
    if webhook is None:
        raise Conflict("no_webhook")
    return webhook


async def _write(scope: Scope, action: str, webhook: Mapping[str, Any], version: int | None = None) -> None:
    async def write(tx: Scope) -> None:
        await tx.db.tenants.update(tx.tenant_id, {"$set": {"webhook": webhook}}, version=version)
        await audit.record(tx, action, tx.tenant_id, name=webhook["url"], before=stored(scope), after=webhook)

    await scope.transaction(write)
    await scope.changed("tenant", scope.tenant["slug"])


async def deliver(scope: Scope, notice: Mapping[str, Any]) -> None:
    """Post a notice. Unavailable as from the poster, and with the cause "no_webhook" when there is none any more,
    "webhook_off" when it is off.
    """
    webhook = stored(scope)
    if webhook is None or not url(scope):
        cause = "webhook_off" if webhook and webhook.get("off") else "no_webhook"
        raise Unavailable(server="webhook", cause=cause, answer="", final=True)
    body = json.dumps(event(scope, notice), separators=(",", ":")).encode()
    now = int(time.time())
    secrets = [secret(scope)] + ([scope.unseal(webhook["sealed_former"])] if former_until(scope) else [])
    signatures = [security.webhook_signature(each, notice["_id"], now, body) for each in secrets]
    headers = {"webhook-id": notice["_id"], "webhook-timestamp": str(now), "webhook-signature": " ".join(signatures)}
    headers["Content-Type"] = "application/json"
    try:
        await scope.services.poster.post(url(scope), headers, body)
    except Unavailable:
        await _note(scope, None, utcnow())
        raise
    await _note(scope, {"$ne": None}, None)


async def _note(scope: Scope, before: Mapping[str, Any] | None, since: datetime | None) -> None:
    """Write down since when it fails, where that is news."""
    known = {"_id": scope.tenant_id, "webhook.url": url(scope), "webhook.failing_since": before}
    await scope.db.tenants.update_one(known, {"$set": {"webhook.failing_since": since}})


def event(scope: Scope, notice: Mapping[str, Any]) -> dict[str, Any]:
    """What is posted of a notice, the same at each try: times in RFC 3339, amounts in minor units with currency."""
    currency = scope.tenant["parameters"]["currency"]
    facts = {name: _plain(name, value, currency) for name, value in notice["facts"].items()}
    ids = {"tenant_id": scope.tenant_id, "member_id": notice["member_id"], "subject_id": notice["subject"]}
    return {
        "type": KINDS[notice["kind"]].event,
        "timestamp": notice["created_at"].isoformat(),
        "data": {**ids, **facts},
    }


def _plain(name: str, value: Any, currency: str) -> Any:
    if name in _MONEY:
        return {"amount": value, "currency": currency}
    return value.isoformat() if isinstance(value, datetime) else value
