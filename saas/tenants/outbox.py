"""Sending what waits in the outbox: a try at a time, later after a failure, given up after some days.

A try is claimed before it begins, so that it is counted whatever becomes of it, and no two processes make the same one.
Who is killed between sending and saying so sends once more, with the same message id: receivers know it by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from saas.errors import Unavailable
from saas.store import Filter
from saas.tenants import notices, notices_texts, platform, webhooks
from saas.tenants.fanout import each_tenant
from saas.tenants.notices import CHANNELS, Notice
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow

_LOOKED_AT = 2000  # due rows, for whose they are
_EACH = 25  # rows of a tenant, a portion
# Minutes until the next try; the first is longer than any try takes.
_PAUSES: Final = (1, 5, 30, 120, 300, 600, 840, 1200, 1440)
TRIES: Final = len(_PAUSES) + 1
_LONGEST: Final = timedelta(days=1)  # that a server is left alone because it asks for it
_ALL_FAIL: Final = ("unreachable", "gone")  # what is wrong with the server, not with this notice


async def send_due(ps: PlatformScope) -> int:
    """Send the next portion of what is due, some of each tenant's; how many were sent."""
    due = {"state": "waiting", "next_at": {"$lte": utcnow()}}
    rows = await ps.db.notices.find(due, sort=[("next_at", 1)], limit=_LOOKED_AT, fields=["tenant_id"])
    work = {row["tenant_id"]: due for row in rows}
    return await each_tenant(ps, "notices", work, _send_all)


async def _send_all(scope: Scope, due: Filter) -> int:
    """A tenant's channels side by side, so that one that hangs holds up no other."""
    rows = await scope.db.notices.find(due, sort=[("next_at", 1)], limit=_EACH)
    lanes = [[row for row in rows if row["channel"] == channel] for channel in CHANNELS]
    return sum(await asyncio.gather(*(_send_lane(scope, lane) for lane in lanes)))


async def _send_lane(scope: Scope, rows: Sequence[Notice]) -> int:
    """One after the other. When the server does not answer, or asks to be left alone, nothing else is tried there for a
    while.
    """
    sent = 0
    for row in rows:
        if not await _claim(scope, row):
            continue
        failure = await _try(scope, row)
        await _settle(scope, row, failure)
        if failure is not None and (failure["cause"] in _ALL_FAIL or failure.get("retry_after")):
            await _put_off(scope, row["channel"], _wait(failure))
            break
        sent += failure is None
    return sent


async def _claim(scope: Scope, row: Notice) -> bool:
    """Begin a try, unless somebody else has."""
    as_read = {"_id": row["_id"], "state": "waiting", "next_at": row["next_at"]}
    return await scope.db.notices.update_one(
        as_read, {"$set": {"next_at": utcnow() + _pause(row)}, "$inc": {"tries": 1}}
    )


async def _try(scope: Scope, row: Notice) -> Mapping[str, Any] | None:
    """None when it was sent, else why not: {"cause", "answer", "final"}."""
    send = {"mail": _mail, "webhook": webhooks.deliver}[row["channel"]]
    try:
        await send(scope, row)
    except Unavailable as error:
        if "server" not in error.data:  # one of our own stores: nothing is known of the try
            raise
        return error.data
    return None


async def _mail(scope: Scope, row: Notice) -> None:
    text = await notices_texts.current(scope, row["kind"], row["language"])
    mail = notices_texts.rendered(scope, row["kind"], row["language"], row["facts"], text)
    sender = scope.tenant["parameters"]["system_name"]
    await scope.services.mailer.send(row["to"], mail.subject, mail.text, sender=sender, message_id=row["_id"])


async def _settle(scope: Scope, row: Notice, failure: Mapping[str, Any] | None) -> None:
    """Write down what became of a try."""
    values: dict[str, Any]
    if failure is None:
        values = {"state": "sent", "sent_at": utcnow(), "error": "", "answer": ""}
    else:
        over = failure.get("final") or row["tries"] + 1 >= TRIES
        values = {"state": "failed"} if over else {"next_at": utcnow() + max(_pause(row), _wait(failure))}
        values |= {"error": failure["cause"], "answer": str(failure["answer"])[:300]}
        if over and row["channel"] == "webhook":
            await _give_up(scope, gone=failure["cause"] == "gone")
    await scope.db.notices.update(row["_id"], {"$set": values})


async def _give_up(scope: Scope, *, gone: bool) -> None:
    """Switch the webhook off where it is time, and tell the owner by mail; the log has it in any case."""
    if await webhooks.given_up(scope, gone=gone):
        ps = PlatformScope(scope.services, scope.actor, scope.services.store.platform())
        with suppress(Unavailable):
            owner = await platform.owner_email(ps, scope.tenant)
            await notices.webhook_is_off(scope, owner, webhooks.url(scope), gone=gone)


def _pause(row: Notice) -> timedelta:
    """Until the next try, counted from the one that begins."""
    return timedelta(minutes=_PAUSES[min(row["tries"], len(_PAUSES) - 1)])


def _wait(failure: Mapping[str, Any]) -> timedelta:
    """For how long nothing is to be tried there: as long as it asks, within bounds."""
    asked = timedelta(seconds=failure.get("retry_after", 0))
    return min(max(asked, timedelta(minutes=_PAUSES[0])), _LONGEST)


async def _put_off(scope: Scope, channel: str, wait: timedelta) -> None:
    """Whatever else is due there waits, without a try being counted."""
    now = utcnow()
    others = {"state": "waiting", "next_at": {"$lte": now}, "channel": channel}
    await scope.db.notices.update_many(others, {"$set": {"next_at": now + wait}})
