"""Sessions whose time is over on devices that do not end them: who is forced off, who is not, and not twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from saas import tasks
from saas.jobs.overdue import Overdue
from saas.tenants import disconnects, nas, overdue
from saas.tenants.disconnects import Command, CommandResult
from saas.tenants.scope import PlatformScope
from saas.values import new_id, utcnow
from tests.handlers.usage import online
from tests.world import Business, make_business

pytestmark = pytest.mark.slow

AFTER = timedelta(minutes=-1)
BEFORE = timedelta(days=1)


@pytest.fixture
async def business(alone: PlatformScope) -> Business:
    """A business whose device is a strongSwan gateway, with an engine pool of its own."""
    made = await make_business(alone, "late")
    await alone.db.tenants.update(made.id, {"$set": {"pool": new_id("pool")}})
    await be(made, "strongswan")
    return made


async def be(business: Business, vendor: str) -> None:
    form = nas.form_of(await nas.get(business.scope, business.nas["_id"])) | {"vendor": vendor}
    await nas.update(business.scope, business.nas["_id"], nas.NasForm.model_validate(form))


async def expires(business: Business, at: datetime | None) -> None:
    await business.scope.db.accounts.update(business.account["_id"], {"$set": {"expires_at": at}})


@pytest.fixture
async def taken(alone: PlatformScope, business: Business) -> AsyncIterator[list[Command]]:
    """A worker of the pool that acknowledges everything; what it took."""
    found: list[Command] = []
    tenant = await alone.db.tenants.get(business.id)

    async def serve() -> None:
        async for command in disconnects.commands(alone, tenant["pool"]):
            found.append(command)
            await disconnects.answer(alone, command.id, CommandResult("ack", 1))

    worker = asyncio.create_task(serve())
    yield found
    await tasks.end([worker])


@pytest.mark.parametrize(("over", "count"), [(AFTER, 1), (BEFORE, 0), (None, 0)])
async def test_who_has_expired_is_forced_off_once(
    alone: PlatformScope, business: Business, taken: list[Command], over: timedelta | None, count: int
) -> None:
    await online(alone, business, "s1")
    await expires(business, utcnow() + over if over else None)
    job = Overdue()
    assert await job.end(alone) == count
    assert [(command.kind, command.username) for command in taken] == [("disconnect", "alice")] * count
    assert sum(await asyncio.gather(job.end(alone), Overdue().end(alone))) == 0, "its device has been asked already"
    log = await business.scope.db.audit.find({"action": "session.disconnect"})
    assert [entry["actor_name"] for entry in log] == ["system"] * count


async def test_the_longest_session_time_counts_from_its_start(
    alone: PlatformScope, business: Business, taken: list[Command]
) -> None:
    await online(alone, business, "s1")  # ten minutes ago
    for seconds, count in ((3600, 0), (300, 1)):
        await alone.db.tenants.update(business.id, {"$set": {"parameters.max_session_time": seconds}})
        assert await Overdue().end(alone) == count
    assert len(taken) == 1


async def test_a_device_that_ends_sessions_by_itself_is_left_alone(
    alone: PlatformScope, business: Business, taken: list[Command]
) -> None:
    await online(alone, business, "s1")
    await expires(business, utcnow() + AFTER)
    for vendor in ("mikrotik", "openvpn"):
        await be(business, vendor)
        assert await Overdue().end(alone) == 0
    assert taken == []


async def test_nobody_is_left_out_however_many_there_are(
    alone: PlatformScope, business: Business, taken: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Portions of one device and pages of two sessions: round after round every one of them has its turn."""
    monkeypatch.setattr(overdue, "_DEVICES", 1)
    monkeypatch.setattr(overdue, "_PAGE", 2)
    monkeypatch.setattr(overdue, "_AT_MOST", 3)
    for number in range(3):
        form = nas.NasForm(name=f"gate {number}", vendor="strongswan")
        other = await nas.create(business.scope, form)
        await online(alone, business, f"other-{number}", nas_id=other["_id"])
    for number in range(5):
        await online(alone, business, f"s{number}")
    await expires(business, utcnow() + AFTER)
    job, devices = Overdue(), await alone.db.nas.count({"vendor": "strongswan"})
    for _ in range(2 * devices + 2):  # two rounds
        await job.end(alone)
    names = {f"other-{number}" for number in range(3)} | {f"s{number}" for number in range(5)}
    assert {command.session_id for command in taken} == names
