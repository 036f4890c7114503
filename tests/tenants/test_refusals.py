"""Refusals and unknown devices: counted, found by name and device, each tenant's own."""

from __future__ import annotations

import time
from typing import Any

import pytest

from saas.tenants import journal, refusals
from saas.tenants.paging import ListQuery
from saas.tenants.refusals import Refusal, UnknownNas
from saas.tenants.scope import PlatformScope, Scope
from saas.values import from_epoch, new_id
from tests.tenants.accounting_events import make_tenant

pytestmark = pytest.mark.slow

HOUR = time.time() // 3600 * 3600 - 7200


@pytest.fixture
def ps(alone: PlatformScope) -> PlatformScope:
    """What others store would be found too."""
    return alone


def refused(scope: Scope, at: float, **values: Any) -> Refusal:
    defaults: dict[str, Any] = {
        "nas_id": "nas_1",
        "username": "alice",
        "account_id": "acc_1",
        "reason": "expiry",
        "data": {"expires_at": HOUR, "plan": "Monthly"},
        "method": "pap",
        "calling_station_id": "AA",
        "source": "192.0.2.7",
    }
    return Refusal(tenant_id=scope.tenant_id, at=HOUR + at, **defaults | values)


async def keep(ps: PlatformScope, *notes: Refusal | UnknownNas) -> None:
    """What engine and job do."""
    await journal.note(ps, "shared", notes)
    entries, found = await journal.read_notes(ps, 1)
    assert found == list(notes)
    await refusals.keep(ps, found)
    await journal.remove_notes(ps, entries)


async def test_repeats_are_counted_by_user_device_reason_and_hour(ps: PlatformScope) -> None:
    scope, other = await make_tenant(ps), await make_tenant(ps)
    await keep(ps, refused(scope, 10), refused(scope, 5), refused(other, 7), refused(scope, 3600))
    await keep(ps, refused(scope, 20, method="chap"), refused(scope, 1, reason="password", data={}))
    last = await refusals.last_of(scope, "alice")
    assert [(row["reason"], row["count"]) for row in last] == [("expiry", 1), ("expiry", 3), ("password", 1)]
    repeated = last[1]
    assert (repeated["first_at"], repeated["last_at"]) == (from_epoch(HOUR + 5), from_epoch(HOUR + 20))
    assert repeated["method"] == "chap"
    assert repeated["data"] == {"expires_at": HOUR, "plan": "Monthly"}
    assert [row["count"] for row in await refusals.last_of(other, "alice")] == [1]


async def test_listing(ps: PlatformScope) -> None:
    scope = await make_tenant(ps)
    await keep(ps, refused(scope, 1), refused(scope, 2, username="bob", nas_id="nas_2", reason="nas"))

    async def names(q: str = "", **filters: str) -> list[str]:
        found = await refusals.listing(scope, ListQuery(q=q, filters=filters, sort="-last_at"))
        return [row["username"] for row in found.rows]

    assert await names() == ["bob", "alice"]
    assert await names("ALICE") == ["alice"]
    assert await names(nas_id="nas_2") == ["bob"]
    assert await names(reason="expiry") == ["alice"]
    assert await names(username="alice", reason="nas") == []


async def test_a_tenant_that_is_gone_stops_nobody(ps: PlatformScope) -> None:
    scope = await make_tenant(ps)
    gone = refused(scope, 1)
    await ps.db.tenants.delete_many({"_id": scope.tenant_id})
    sound = await make_tenant(ps)
    await keep(ps, gone, refused(sound, 1))
    assert [row["count"] for row in await refusals.last_of(sound, "alice")] == [1]


async def test_unknown_devices_are_counted_by_address_and_identifier(ps: PlatformScope) -> None:
    pool = new_id("pool")
    await keep(
        ps,
        UnknownNas(pool, "192.0.2.9", "rb-7", "unknown_nas", 14, HOUR),
        UnknownNas(pool, "192.0.2.9", "rb-7", "bad_authenticator", 2, HOUR + 9),
        UnknownNas(pool, "192.0.2.9", "", "unknown_nas", 1, HOUR),
    )
    await keep(ps, UnknownNas(pool, "192.0.2.9", "rb-7", "bad_authenticator", 1, HOUR + 11))
    found = (await refusals.unknown_listing(ps, ListQuery(q="rb-7", filters={"pool": pool}))).rows
    assert [(row["count"], row["cause"]) for row in found] == [(17, "bad_authenticator")]
    assert (found[0]["first_at"], found[0]["last_at"]) == (from_epoch(HOUR), from_epoch(HOUR + 11))
    assert len((await refusals.unknown_listing(ps, ListQuery(filters={"pool": pool}))).rows) == 2


async def test_a_flood_of_unknown_devices_is_bounded(ps: PlatformScope) -> None:
    pool = new_id("pool")
    for half in range(2):
        notes = [
            UnknownNas(pool, f"10.{half}.{n // 250}.{n % 250}", "", "unknown_nas", 1, HOUR + n) for n in range(700)
        ]
        await refusals.keep(ps, notes)
    assert 0 < await ps.db.unknown_nas.count({"pool": pool}) <= 1000


async def test_notes_that_nobody_understands_are_left_out(ps: PlatformScope) -> None:
    await journal.note(ps, "shared", [])
    await ps.kv.append("pool:shared:notes", [b'["Refusal",{"some":"day"}]'], keep=10)
    entries, found = await journal.read_notes(ps, 1)
    assert found == []
    await journal.remove_notes(ps, entries)
    assert await journal.read_notes(ps, 0.001) == ({}, [])
