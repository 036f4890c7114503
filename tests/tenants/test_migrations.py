"""Rows of earlier versions get what they lack."""

from __future__ import annotations

from typing import Any

from saas import migrations
from tests.world import World


async def test_tenants_and_members_of_old_can_be_told_something(world: World) -> None:
    scope, member_id = world.acme.scope, world.acme.account["member_id"]
    fresh: Any = scope.tenant["parameters"]
    later = {
        "closed",
        "closing",
        "renewal_refused",
        "renewal_unpaid",
        "renewed",
    }  # kinds that came with later migrations
    then = fresh | {"notice_mail": sorted(set(fresh["notice_mail"]) - later)}
    names = [name for name in fresh if name.startswith("notice_")]
    await world.ps.db.tenants.update(world.acme.id, {"$unset": {f"parameters.{name}": "" for name in names}})
    await scope.db.members.update(member_id, {"$unset": {"language": ""}})
    await world.zeta.scope.db.tenants.update(world.zeta.id, {"$set": {"parameters.notice_days": 9}})
    for _ in range(2):
        await migrations.notices_begin(world.ps)
    assert (await world.ps.db.tenants.get(world.acme.id))["parameters"] == then
    assert (await scope.db.members.get(member_id))["language"] == "system"
    assert (await world.ps.db.tenants.get(world.zeta.id))["parameters"]["notice_days"] == 9
