"""What the consoles ask of sessions: lists, one, clearing a device, ending one."""

from __future__ import annotations

import asyncio

import pytest

from saas.errors import NotFound
from saas.tenants import sessions, slots
from saas.tenants.paging import ListQuery
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow
from tests.tenants.accounting_events import (
    T0,
    event,
    make_account,
    make_tenant,
    record_and_apply,
    rows,
    session,
)

pytestmark = pytest.mark.usefixtures("emptied")


async def names(scope: Scope, query: ListQuery) -> list[str]:
    return [row["username"] for row in (await sessions.listing(scope, query)).rows]


async def test_lists_and_their_filters(ps: PlatformScope, scope: Scope) -> None:
    account_id = await make_account(scope, "bob")
    tenant = {"tenant_id": scope.tenant_id}
    await record_and_apply(
        ps,
        *session(0, (60, 1, 1), username="alice", session_id="1", framed_ip="10.0.0.1", **tenant),
        event("start", 100, username="alice", session_id="2", framed_ip="10.0.0.2", **tenant),
        event("start", 200, username="bob", session_id="3", framed_ip="10.0.0.3", nas_id="nas_2", **tenant),
        event("start", 300, username="carol", session_id="4", calling_station_id="aabb.ccdd.ee99", **tenant),
    )
    stranger = await make_tenant(ps)
    await record_and_apply(ps, event("start", 0, username="alice", tenant_id=stranger.tenant_id))

    def query(q: str = "", **filters: str) -> ListQuery:
        return ListQuery(q=q, filters=filters)

    assert sorted(await names(scope, query())) == ["alice", "alice", "bob", "carol"]
    assert sorted(await names(scope, query(state="online"))) == ["alice", "bob", "carol"]
    assert await names(scope, query(state="ended")) == ["alice"]
    assert await names(scope, query(nas_id="nas_2")) == ["bob"]
    assert await names(scope, query(account_id=account_id, state="online")) == ["bob"]
    assert await names(scope, query(account_id=account_id, state="ended")) == []
    assert await names(scope, query(username="ALICE")) == ["alice", "alice"]
    assert await names(scope, query("alice", state="online")) == ["alice"]
    assert await names(scope, query("10.0.0.1")) == ["alice"]
    assert await names(scope, query("alice", address="10.0.0.2")) == ["alice"]
    assert await names(scope, query("bob", address="10.0.0.2")) == []
    assert await names(scope, query("AA-BB-CC-DD-EE-99")) == ["carol"]
    assert await names(scope, query("nobody")) == []
    assert await sessions.online_count(scope) == 3
    assert await sessions.online_among(scope, [account_id, "acc_none"]) == {account_id}
    assert [row["username"] for row in await sessions.online_of(scope, account_id)] == ["bob"]


async def test_pages_follow_one_another(ps: PlatformScope, scope: Scope) -> None:
    starts = [event("start", n, tenant_id=scope.tenant_id, username=f"u{n}", session_id=str(n)) for n in range(7)]
    await record_and_apply(ps, *starts)
    everything = await names(scope, ListQuery(filters={"state": "online"}))
    found, query = list[str](), ListQuery(filters={"state": "online"}, limit=3)
    while True:
        page = await sessions.listing(scope, query)
        found += [row["username"] for row in page.rows]
        if page.next is None:
            break
        query = ListQuery(filters={"state": "online"}, limit=3, after=page.next)
    assert found == everything
    assert len(found) == 7


async def test_another_tenants_session_is_not_found(ps: PlatformScope, scope: Scope) -> None:
    await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id))
    (row,) = await rows(scope)
    assert (await sessions.get(scope, row["_id"]))["username"] == "alice"
    stranger = await make_tenant(ps)
    for refused in (
        sessions.get(stranger, row["_id"]),
        sessions.close_one(stranger, row["_id"], "Admin-Reset", "clear"),
    ):
        with pytest.raises(NotFound):
            await refused
    assert (await rows(scope))[0]["open"]


async def test_clearing_a_device_ends_its_sessions_in_our_books_only(ps: PlatformScope, scope: Scope) -> None:
    nas = await scope.db.nas.insert({"_id": f"nas_{scope.tenant_id}", "name": "East", "identifier": scope.tenant_id})
    here = {"tenant_id": scope.tenant_id, "nas_id": nas["_id"]}
    account_id = await make_account(scope, "alice")
    start, interim, stop = session(0, (300, 10, 100), (900, 30, 300), **here, account_id=account_id)
    elsewhere = event("start", 0, tenant_id=scope.tenant_id, username="bob", nas_id="nas_2")
    await record_and_apply(ps, start, interim, elsewhere)
    assert await slots.occupied(scope, account_id) == 1

    assert await sessions.clear_nas(scope, nas["_id"]) == 1
    cleared, other = sorted(await rows(scope), key=lambda row: row["username"])
    assert (cleared["open"], cleared["stop_source"], cleared["terminate_cause"]) == (False, "clear", "Admin-Reset")
    assert (cleared["input_octets"], cleared["output_octets"]) == (10, 100)
    assert cleared["stopped_at"] is not None
    assert other["open"]
    assert await slots.occupied(scope, account_id) == 0
    (entry,) = await scope.db.audit.find({"target": nas["_id"]})
    assert (entry["action"], entry["changes"]) == ("session.clear", {"sessions": [None, 1]})
    assert await sessions.clear_nas(scope, nas["_id"]) == 0
    with pytest.raises(NotFound):
        await sessions.clear_nas(await make_tenant(ps), nas["_id"])

    await record_and_apply(ps, interim)
    assert not (await sessions.get(scope, cleared["_id"]))["open"], "a repeat is no sign of life"
    await record_and_apply(ps, stop)
    corrected = await sessions.get(scope, cleared["_id"])
    assert (corrected["stop_source"], corrected["output_octets"]) == ("stop", 300)


async def test_ending_one_while_its_packets_are_applied(ps: PlatformScope, scope: Scope) -> None:
    await record_and_apply(ps, event("start", 0, tenant_id=scope.tenant_id))
    (row,) = await rows(scope)
    interims = [
        event("interim", n, tenant_id=scope.tenant_id, session_time=n, up=n, down=n) for n in range(100, 1000, 100)
    ]
    await asyncio.gather(
        sessions.close_one(scope, row["_id"], "Lost-Carrier", "disconnect"),
        *(record_and_apply(ps, interim) for interim in interims),
    )
    (row,) = await rows(scope)
    assert (row["open"], row["stop_source"]) == (False, "disconnect")
    assert (row["input_octets"], row["session_time"]) == (900, 900)


async def test_an_acknowledged_disconnect_shows_until_stop_or_proof_of_life(ps: PlatformScope, scope: Scope) -> None:
    here = {"tenant_id": scope.tenant_id}
    await record_and_apply(ps, event("start", 0, **here), event("start", 0, username="bob", **here))
    for row in await rows(scope):
        await sessions.mark_closing(scope, row["_id"])
    assert all(row["closing_at"] for row in await rows(scope))
    at = utcnow().timestamp() + 90 - T0
    await record_and_apply(
        ps,
        event("stop", at, terminate_cause="Admin-Reset", session_time=int(at), **here),
        event("interim", at, username="bob", session_time=int(at), **here),
    )
    assert {row["username"]: (row["open"], row["closing_at"]) for row in await rows(scope)} == {
        "alice": (False, None),
        "bob": (True, None),
    }
