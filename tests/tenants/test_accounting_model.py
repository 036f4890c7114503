"""Random lives of devices, through the real journal into the real store, against a plain reference: equal to the octet.

MODEL_SEED=n repeats a failure; MODEL_ROUNDS=n (or `make model`) makes it search longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from saas.errors import Unavailable
from saas.tenants import apply, journal
from saas.tenants.scope import PlatformScope, Scope
from saas.values import from_epoch, utcnow
from tests.tenants.accounting_events import T0, drain, make_account, make_tenant
from tests.tenants.accounting_model import INTERVAL, KINDS, Expected, Gateway, Packet, expected

ROUNDS = int(os.environ.get("MODEL_ROUNDS", "3"))
SEED = int(os.environ.get("MODEL_SEED", str(secrets.randbits(32))))
USERS = ("alice", "bob", "carol")

pytestmark = pytest.mark.timeout(120 + 30 * ROUNDS)


class Away:
    """A Redis that nobody reaches."""

    async def run(self, *_args: Any) -> None:
        raise Unavailable(store="redis")


class Books:
    """The journal and its appliers, and all the harm that may come to them."""

    def __init__(self, ps: PlatformScope, dice: random.Random) -> None:
        self._ps = ps
        self._without_redis = replace(ps, services=replace(ps.services, kv=Away()))  # type: ignore[arg-type]
        self._dice = dice

    async def record(self, packets: Sequence[Packet]) -> None:
        """One write of an engine, into either store."""
        ps = self._without_redis if self._dice.random() < 0.2 else self._ps
        await journal.record(ps, "shared", [packet.event for packet in packets])

    async def work(self) -> None:
        """What an applier may do, and one that is killed, and two at once."""
        how = self._dice.randrange(5)
        reading = await journal.read(self._ps, 0.001)
        groups = reading.groups
        prefix = groups[: self._dice.randrange(len(groups) + 1)]
        if how == 0:  # killed somewhere on the way
            await self._killed(groups)
        elif how == 1:  # killed between applying and removing
            await apply.apply(self._ps, prefix)
        elif how == 2:  # two at once, one of which is behind
            await asyncio.gather(apply.apply(self._ps, groups), apply.apply(self._ps, prefix))
            await journal.remove(self._ps, groups)
            await apply.apply(self._ps, prefix)
        else:
            assert await apply.apply(self._ps, groups) == 0
            await journal.remove(self._ps, groups)

    async def finish(self) -> None:
        """Apply all that is left."""
        while groups := (await journal.read(self._ps, 0.001)).groups:
            assert await apply.apply(self._ps, groups) == 0
            await journal.remove(self._ps, groups)

    async def stale(self, until: float) -> None:
        """End what is silent; every packet recorded so far must have been applied."""
        await self.finish()
        await apply.close_stale(self._ps, from_epoch(until))

    async def _killed(self, groups: Sequence[journal.Group]) -> None:
        task = asyncio.create_task(apply.apply(self._ps, groups))
        await asyncio.wait([task], timeout=self._dice.random() * 0.03)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def grouped(packets: list[Packet], dice: random.Random) -> list[list[Packet]]:
    """Packets of one moment's arrival, and a few that followed, are one write."""
    packets.sort(key=lambda packet: packet.event.received)
    groups: list[list[Packet]] = []
    for packet in packets:
        if groups and (dice.random() < 0.6 or groups[-1][0].event.received == packet.event.received):
            groups[-1].append(packet)
        else:
            groups.append([packet])
    return groups


def facts(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("nas_id", "acct_session_id", "username", "session_time", "input_octets", "output_octets")
    return (*(row[name] for name in names), row["stop_source"] == "stop")


def wanted(each: Expected) -> tuple[Any, ...]:
    return (*each.life.key, each.session_time, each.input_octets, each.output_octets, each.stopped)


async def compare(scope: Scope, packets: list[Packet], accounts: dict[str, str], seed: int) -> None:
    """The books of a tenant against the reference."""
    rows = await scope.db.sessions.find(limit=10_000)
    rows.sort(key=lambda row: (row["nas_id"], row["acct_session_id"], row["username"], row["started_at"]))
    model = expected(packets)
    differing = [pair for pair in zip(map(facts, rows), map(wanted, model), strict=False) if pair[0] != pair[1]]
    assert len(rows) == len(model) and not differing, f"seed {seed}: {len(rows)} of {len(model)}, {differing[:3]}"
    for row, each in zip(rows, model, strict=True):
        where = f"seed {seed}: {each.life}, {row['stop_source']} {row['flags']}"
        assert each.open is None or row["open"] == each.open or row["stop_source"] == "stale", where
        assert not row["open"] or each.open is not False, where
        assert row["account_id"] == accounts.get(row["username"], ""), where
        if row["stop_source"] == "stop" and row["nas_id"] == "nas-relayed":
            assert row["stopped_at"] == from_epoch(T0 + each.life.end), where
            assert row["started_at"] == from_epoch(T0 + each.life.begin), where
    total = sum(each.input_octets + each.output_octets for each in model)
    assert sum(row["input_octets"] + row["output_octets"] for row in rows) == total, f"seed {seed}"


async def one_round(ps: PlatformScope, seed: int) -> int:
    """Two tenants with devices, users and session ids of the same names; how many packets."""
    dice = random.Random(seed)
    scopes = [await make_tenant(ps, interim_interval=INTERVAL) for _ in range(2)]
    accounts = [{name: await make_account(scope, name) for name in USERS[:2]} for scope in scopes]
    packets: list[Packet] = []
    for scope in scopes:
        for kind in KINDS:
            gateway = Gateway(dice, scope.tenant_id, f"nas-{kind.name}", kind, USERS)
            gateway.live()
            packets += gateway.packets
    books = Books(ps, dice)
    groups = grouped(packets, dice)
    stale_at = dice.sample(range(len(groups)), 3)
    for number, group in enumerate(groups):
        await books.record(group)
        if number in stale_at:
            await books.stale(group[-1].event.received)
        elif dice.random() < 0.08:
            await books.work()
    await books.finish()
    told = [packet for group in groups for packet in group]
    for scope, known in zip(scopes, accounts, strict=True):
        await compare(scope, [each for each in told if each.event.tenant_id == scope.tenant_id], known, seed)
    await apply.close_stale(ps, utcnow())
    for scope in scopes:
        assert not await scope.db.sessions.count({"open": True}), f"seed {seed}: silence ends every session"
        assert not await ps.db.dead_events.count({"tenant_id": scope.tenant_id}), f"seed {seed}"
    return len(told)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_the_books_agree_with_what_was_recorded(alone: PlatformScope, number: int) -> None:
    await drain(alone)
    seed = SEED + number
    assert await one_round(alone, seed) > 100, f"seed {seed}"
