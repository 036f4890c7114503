"""The webhook of a tenant: its notices as signed posts to a program of its own (Standard Webhooks 1.0.0)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypedDict
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from saas import security
from saas.errors import Unavailable
from saas.i18n import N_
from saas.outbound import POST_PORTS
from saas.tenants import audit
from saas.tenants.forms import Form
from saas.tenants.notices_texts import KINDS
from saas.tenants.scope import Scope

_MONEY = ("amount", "balance", "missing")


class Webhook(TypedDict):
    """What stands in a tenant's row: `url` "" sends nothing."""

    url: str
    sealed_secret: bytes


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
    """Where notices are posted to, "" for nowhere."""
    webhook = stored(scope)
    return webhook["url"] if webhook else ""


def secret(scope: Scope) -> str:
    """The secret that signs, "" before there is one."""
    webhook = stored(scope)
    return scope.unseal(webhook["sealed_secret"]) if webhook else ""


async def save(scope: Scope, form: WebhookForm, version: int | None = None) -> None:
    """Set where notices go; the secret is made with the first address. Conflict("changed")."""
    webhook = stored(scope)
    sealed = webhook["sealed_secret"] if webhook else scope.seal(security.new_webhook_secret())
    await _write(scope, "webhook.update", Webhook(url=form.url, sealed_secret=sealed), version)


async def rotate(scope: Scope) -> None:
    """Sign with a new secret from now on."""
    fresh = scope.seal(security.new_webhook_secret())
    await _write(scope, "webhook.rotate", Webhook(url=url(scope), sealed_secret=fresh))


async def _write(scope: Scope, action: str, webhook: Webhook, version: int | None = None) -> None:
    async def write(tx: Scope) -> None:
        await tx.db.tenants.update(tx.tenant_id, {"$set": {"webhook": webhook}}, version=version)
        await audit.record(tx, action, tx.tenant_id, name=webhook["url"], before=stored(scope), after=webhook)

    await scope.transaction(write)
    await scope.changed("tenant", scope.tenant["slug"])


async def deliver(scope: Scope, notice: Mapping[str, Any]) -> None:
    """Post a notice. Unavailable as from the poster, and with the cause "no_webhook" when there is none any more."""
    if not url(scope):
        raise Unavailable(server="webhook", cause="no_webhook", answer="", final=True)
    body = json.dumps(event(scope, notice), separators=(",", ":")).encode()
    now = int(time.time())
    signature = security.webhook_signature(secret(scope), notice["_id"], now, body)
    headers = {"webhook-id": notice["_id"], "webhook-timestamp": str(now), "webhook-signature": signature}
    headers["Content-Type"] = "application/json"
    await scope.services.poster.post(url(scope), headers, body)


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
