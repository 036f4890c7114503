"""What came of a device: each finding from what engines tell, and the two that are mended with a click."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from saas.errors import NotFound
from saas.tenants import engines, findings, nas, refusals
from saas.tenants.refusals import Refusal, UnknownNas
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id, normal_address
from tests.world import make_business

REPORT = engines.EngineReport("findings", "one:1", "radius.test", 1812, 1813, 0, "running", "1", 0.0, 0.0)


@pytest.fixture
async def scope(ps: PlatformScope) -> Scope:
    """A business that has its pool alone, so that whatever knocks there may be its own."""
    business = await make_business(ps, "findings")
    tenant = await ps.db.tenants.update(business.id, {"$set": {"pool": new_id("pool")}})
    return ps.enter(tenant, business.scope.actor)


@pytest.fixture
async def device(scope: Scope) -> nas.Nas:
    return await nas.create(scope, nas.NasForm(name="Gate", vendor="mikrotik"))


async def saw(ps: PlatformScope, device: nas.Nas, last_at: float = 0.0, **seen: Any) -> None:
    """An engine tells what it saw of the device."""
    report = replace(REPORT, at=time.time())
    await engines.heartbeat(ps, report, [engines.DeviceCount(device["tenant_id"], device["_id"], last_at, **seen)])


async def test_the_last_packet_decides(ps: PlatformScope, scope: Scope, device: nas.Nas) -> None:
    finding = partial(findings.of_device, ps, scope, device, "127.0.0.1")
    assert (await finding()).kind == "nothing"
    await saw(ps, device, dropped={"bad_attribute": 1}, dropped_at=100.0, last_drop="bad_attribute")
    assert ((found := await finding()).kind, found.reason) == ("dropped", "bad_attribute")
    for at, reason, kind in (
        (110.0, "bad_authenticator", "secret"),
        (120.0, "missing_message_authenticator", "unsigned"),
        (130.0, "unproven_proxy_state", "unsigned"),
        (140.0, "secret_mismatch", "secret"),
    ):
        await saw(ps, device, dropped={reason: 1}, dropped_at=at, last_drop=reason)
        assert ((found := await finding()).kind, found.reason) == (kind, reason)
    await saw(ps, device, 150.0, accounting=1)
    assert (await finding()).kind == "works"
    await saw(ps, device, dropped={"rate_limited": 1}, dropped_at=160.0, last_drop="rate_limited")
    assert (await finding()).kind == "works"  # too much of what is good
    await saw(
        ps,
        device,
        dropped={"missing_message_authenticator": 1},
        dropped_at=161.0,
        last_drop="missing_message_authenticator",
    )
    assert (await finding()).kind == "works"  # somebody uses its name, which is no reason to take unsigned packets
    await saw(ps, device, dropped={"bad_authenticator": 1}, dropped_at=170.0, last_drop="bad_authenticator")
    await saw(ps, device, dropped={"overload": 1}, dropped_at=165.0, last_drop="overload")  # of a slower worker
    assert (await finding()).kind == "secret"


async def test_a_method_that_is_not_offered(ps: PlatformScope, scope: Scope, device: nas.Nas) -> None:
    async def refuse(reason: str, at: float) -> str:
        facts: dict[str, Any] = {"data": {}, "method": "", "calling_station_id": "", "source": "192.0.2.1", "at": at}
        note = Refusal(
            tenant_id=scope.tenant_id, nas_id=device["_id"], username="carol", account_id="", reason=reason, **facts
        )
        await refusals.keep(ps, [note])
        return (await findings.of_device(ps, scope, device, "")).kind

    await saw(ps, device, 100.0, rejected=1)
    assert await refuse("password", 100.0) == "works"
    assert await refuse("method", 101.0) == "method"
    await saw(ps, device, 102.0, accepted=1)
    assert await refuse("method", 103.0) == "works"


def address() -> str:
    """One that no other test has registered: another tenant's are left out."""
    return normal_address(f"2001:db8::{secrets.token_hex(2)}:{secrets.token_hex(2)}")


async def knock(ps: PlatformScope, scope: Scope, identifier: str, source: str = "") -> None:
    """Later than whatever was added until now, by more than a clock's tick."""
    note = UnknownNas(scope.tenant["pool"], source or address(), identifier, "unknown_nas", 3, time.time() + 1)
    await refusals.keep(ps, [note])


async def test_what_knocks_is_adopted_by_its_identifier_or_its_address(
    ps: PlatformScope, scope: Scope, device: nas.Nas
) -> None:
    identifier = f"rb-{secrets.token_hex(4)}"
    await knock(ps, scope, identifier)
    found = await findings.of_device(ps, scope, device, "127.0.0.1")
    assert found.kind == "unknown" and found.knocked and found.knocked["identifier"] == identifier
    changed = await findings.adopt(ps, scope, device, found.knocked["_id"], "127.0.0.1")
    assert (changed["mode"], changed["identifier"]) == ("identifier", identifier)
    assert changed["sealed_secret"] == device["sealed_secret"]
    changed["updated_at"] += timedelta(seconds=2)  # the knock was before that
    assert (await findings.of_device(ps, scope, changed, "")).kind == "nothing"
    second = await nas.create(scope, nas.NasForm(name="Second", vendor="mikrotik"))
    assert (await findings.of_device(ps, scope, second, "")).kind == "nothing"  # it is the first one's now
    with pytest.raises(NotFound):
        await findings.adopt(ps, scope, second, found.knocked["_id"], "")
    source = address()
    await knock(ps, scope, "a name with blanks", source)
    found = await findings.of_device(ps, scope, second, "")
    assert found.knocked
    changed = await findings.adopt(ps, scope, second, found.knocked["_id"], "")
    assert (changed["mode"], changed["address"]) == ("ip", source)


async def test_another_tenants_knocks_are_not_found(ps: PlatformScope, scope: Scope, device: nas.Nas) -> None:
    await knock(ps, scope, f"rb-{secrets.token_hex(4)}")
    found = await findings.of_device(ps, scope, device, "")
    other = (await make_business(ps, "strangers")).scope
    theirs = await nas.create(other, nas.NasForm(name="Gate", vendor="mikrotik"))
    assert (await findings.of_device(ps, other, theirs, "")).kind == "nothing"
    assert found.knocked
    with pytest.raises(NotFound):
        await findings.adopt(ps, other, theirs, found.knocked["_id"], "")


async def test_a_device_may_be_answered_unsigned(scope: Scope, device: nas.Nas) -> None:
    changed = await findings.allow_unsigned(scope, device)
    assert changed["message_authenticator"] == "optional"
    assert changed["identifier"] == device["identifier"] and changed["sealed_secret"] == device["sealed_secret"]
