"""Who had an address at a moment: what a complaint or an authority asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import Field

from saas.i18n import N_
from saas.store import Table
from saas.tenants.forms import Form
from saas.tenants.scope import Scope
from saas.tenants.sessions import Session
from saas.values import first_id, normal_mac

_PAGE, _MOST = 500, 5000  # rows
_TOLD_LATE = timedelta(days=2)  # after its start a session has been heard of
_FIELDS = ("started_at", "seen_at", "stopped_at")


class HolderForm(Form):
    """An address, or a hardware address; and a moment on the tenant's clock, to the minute or the second."""

    address: str = Field(
        min_length=3,
        max_length=64,
        title=N_("Address"),
        description=N_("IPv4 or IPv6, the peer's own address, or a MAC."),
    )
    at: datetime = Field(
        title=N_("At"),
        description=N_("In the time zone of the parameters."),
        json_schema_extra={"widget": "moment"},
    )


class Holders(NamedTuple):
    """The sessions that had an address at a moment; where there are none, the nearest before and after."""

    then: list[Session]
    before: Session | None
    after: Session | None


async def who_had(scope: Scope, form: HolderForm) -> Holders:
    """Sessions of an address at a moment, the latest first, among the newest 5,000 of the address that had begun by
    two days later. A minute without seconds is all of it.
    """
    zone = ZoneInfo(scope.tenant["parameters"]["timezone"])
    at = form.at.replace(tzinfo=zone) if form.at.tzinfo is None else form.at
    until = at + timedelta(seconds=59 if not at.second else 0)
    text = (normal_mac(form.address) or form.address).strip().lower()
    rows = [(table, row) for table in (scope.db.online, scope.db.sessions) for row in await _of(table, text, until)]
    then = [each for each in rows if each[1]["started_at"] <= until and _end(each[1]) >= at]
    if then:
        latest = sorted(then, key=_begin, reverse=True)
        return Holders([await table.get(row["_id"]) for table, row in latest], None, None)
    before = max((each for each in rows if _end(each[1]) < at), key=lambda each: _end(each[1]), default=None)
    after = min((each for each in rows if each[1]["started_at"] > until), key=_begin, default=None)
    nearest = [await each[0].get(each[1]["_id"]) if each else None for each in (before, after)]
    return Holders([], nearest[0], nearest[1])


async def _of(table: Table, text: str, until: datetime) -> list[Any]:
    """When the newest sessions of an address began and ended."""
    found: list[Any] = []
    below = first_id("ses", until + _TOLD_LATE)
    while len(found) < _MOST:
        rows = await table.find({"search": text, "_id": {"$lt": below}}, limit=_PAGE, fields=_FIELDS)
        found += rows
        if len(rows) < _PAGE:
            break
        below = rows[-1]["_id"]
    return found


def _begin(each: tuple[Table, Any]) -> Any:
    return each[1]["started_at"]


def _end(row: Any) -> Any:
    """When it had the address last; while it is online, as far as that has been heard."""
    return row["stopped_at"] or row["seen_at"]
