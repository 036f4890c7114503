"""Session details that were kept long enough are removed, and nothing that is still needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from saas.tenants import accounting, parameters, retention, sums, verify
from saas.tenants.schedules import Occasion
from saas.tenants.scope import Scope
from saas.values import new_id
from tests.tenants.accounting_events import event
from tests.world import World

NOW = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def scope(world: World) -> Scope:
    return world.acme.scope


async def keep(scope: Scope, days: int, sums_due: datetime = NOW) -> Scope:
    """The tenant keeps so many days; its daily sums are reckoned until then."""
    scope.tenant["parameters"]["keep_sessions"] = days  # type: ignore[index]
    schedule = {"due_at": sums_due, "next_at": sums_due, "failures": 0}
    change = {"$set": schedule, "$setOnInsert": {"_id": new_id("sch")}}
    await scope.db.schedules.update_one({"job": "day_sums"}, change, upsert=True)
    return scope


async def ended(scope: Scope, name: str, ago: timedelta, *, table: str = "sessions") -> str:
    """A session that ended, or began, so long ago, with an attempt at forcing it off; its id."""
    row: Any = accounting.begin(event("start", 0, tenant_id=scope.tenant_id, session_id=name))
    row |= {"stopped_at": NOW - ago if table == "sessions" else None, "open": table == "online"}
    row |= {"input_octets": 100, "output_octets": 1000, "started_at": NOW - ago, "stale_at": NOW, "search": []}
    await getattr(scope.db, table).insert(row)
    await scope.db.disconnects.insert({"_id": new_id("dsc"), "session_id": row["_id"]})
    return str(row["_id"])


async def left(scope: Scope) -> set[str]:
    ids = {row["_id"] for table in (scope.db.sessions, scope.db.online) for row in await table.find({}, limit=10_000)}
    attempts = {row["session_id"] for row in await scope.db.disconnects.find({}, limit=10_000)}
    assert attempts == ids
    return ids


def run(now: datetime = NOW) -> Occasion:
    return Occasion(now, now - DAY, now)


async def test_what_ended_before_the_days_that_are_kept_is_removed(world: World, scope: Scope) -> None:
    await keep(scope, 180)
    await ended(scope, "old", 180 * DAY + timedelta(seconds=1))
    last = await ended(scope, "just kept", 180 * DAY - timedelta(seconds=1))
    is_open = await ended(scope, "open", 300 * DAY, table="online")
    others = await ended(world.zeta.scope, "another tenant's", 900 * DAY)
    assert await retention.forget_sessions(scope, run()) == 1
    assert await left(scope) == {last, is_open} and await left(world.zeta.scope) == {others}
    assert await retention.forget_sessions(scope, run()) == 0
    assert await retention.forget_sessions(scope, run(NOW + DAY)) == 1
    assert await left(scope) == {is_open}
    assert await verify._sessions(scope) == []


async def test_for_ever_is_the_default_and_180_days_the_least(world: World, scope: Scope) -> None:
    await ended(scope, "old", 9000 * DAY)
    assert scope.tenant["parameters"]["keep_sessions"] == 0
    assert await retention.forget_sessions(scope, run()) == 0 and len(await left(scope)) == 1
    values = {name: scope.tenant["parameters"][name] for name in parameters.ParametersForm.model_fields}
    for days in (1, 179, -1, 3651):
        with pytest.raises(ValidationError):
            parameters.ParametersForm.model_validate({**values, "keep_sessions": days})
    for days in (0, 180, 3650):
        parameters.ParametersForm.model_validate({**values, "keep_sessions": days})


async def test_days_that_are_not_summed_up_yet_are_kept(scope: Scope) -> None:
    """Jobs were away for long, and the sums have to catch up first."""
    day = (NOW - 200 * DAY).astimezone(ZoneInfo("Asia/Shanghai")).date()
    await keep(scope, 180, sums_due=NOW - 199 * DAY)
    await ended(scope, "older", 205 * DAY)
    needed = await ended(scope, "needed", 200 * DAY)
    assert await retention.forget_sessions(scope, run()) == 1
    assert await left(scope) == {needed}
    row = await sums.reckon(scope, day)
    assert (row["sessions"], row["input_octets"]) == (1, 100)
    await keep(scope, 180)
    assert await retention.forget_sessions(scope, run()) == 1
    assert (await sums.between(scope, day, day))[0]["input_octets"] == 100, "the day's row stays"


async def test_many_go_in_portions_and_what_is_left_another_night(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PORTION", 3)
    monkeypatch.setattr(retention, "_MOST", 8)
    await keep(scope, 365)
    for number in range(10):
        await ended(scope, str(number), (400 - number) * DAY)
    assert await retention.forget_sessions(scope, run()) == 8
    rest = await scope.db.sessions.find({}, sort=[("stopped_at", 1)])
    assert [row["acct_session_id"] for row in rest] == ["8", "9"], "the oldest went first"
    assert await retention.forget_sessions(scope, run(NOW + DAY)) == 2
    assert await left(scope) == set()


async def test_who_is_cut_off_goes_on_where_it_was(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PORTION", 2)
    await keep(scope, 180)
    for number in range(5):
        await ended(scope, str(number), 200 * DAY)
    forget, calls = retention._forget, 0

    async def cut_off(*args: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError
        return await forget(*args)

    monkeypatch.setattr(retention, "_forget", cut_off)
    with pytest.raises(RuntimeError):
        await retention.forget_sessions(scope, run())
    assert len(await left(scope)) == 3
    assert await retention.forget_sessions(scope, run()) == 3
    assert await left(scope) == set()


async def test_the_operation_log_says_what_was_removed(scope: Scope) -> None:
    await keep(scope, 180)
    for number in range(3):
        await ended(scope, str(number), 200 * DAY)
    await retention.forget_sessions(scope, run())
    (entry,) = await scope.db.audit.find({"action": "session.forget"})
    assert entry["changes"] == {"sessions": [None, 3], "ended_before": [None, NOW - 180 * DAY]}
