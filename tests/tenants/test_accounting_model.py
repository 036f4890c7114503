"""Random lives of devices, through the real journal into the real store, against a plain reference: equal to the octet.

MODEL_SEED=n repeats a failure; MODEL_ROUNDS=n (or `make model`) makes it search longer.
The same without stores, by the pure functions alone, takes fifty times as many lives.
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
from saas.tenants import accounting, apply, journal
from saas.tenants.accounting import Row
from saas.tenants.scope import PlatformScope
from saas.values import from_epoch, utcnow
from tests.tenants.accounting_events import T0, drain, make_account, make_tenant
from tests.tenants.accounting_model import INTERVAL, KINDS, Expected, Gateway, Packet, expected
from tests.world import sessions_of

ROUNDS = int(os.environ.get("MODEL_ROUNDS", "2"))
SEED = int(os.environ.get("MODEL_SEED", str(secrets.randbits(32))))
USERS = ("alice", "bob", "carol")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 30 * ROUNDS)]


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


def lives(dice: random.Random, tenant_ids: Sequence[str], span: int) -> list[Packet]:
    """Devices of every kind at each tenant, with the same names; what of their packets is recorded."""
    packets: list[Packet] = []
    for tenant_id in tenant_ids:
        for kind in KINDS:
            gateway = Gateway(dice, tenant_id, f"nas-{kind.name}", kind, USERS)
            gateway.live(span)
            packets += gateway.packets
    return packets


def compare(rows: list[Row], packets: list[Packet], accounts: dict[str, str], seed: int) -> None:
    """The books of a tenant against the reference."""
    rows.sort(key=lambda row: (row["nas_id"], row["acct_session_id"], row["username"], row["started_at"]))
    model = expected(packets)
    differing = [pair for pair in zip(map(facts, rows), map(wanted, model), strict=False) if pair[0] != pair[1]]
    assert len(rows) == len(model) and not differing, f"seed {seed}: {len(rows)} of {len(model)}, {differing[:3]}"
    for row, each in zip(rows, model, strict=True):
        where = f"seed {seed}: {each.life}, {row['stop_source']} {row['flags']}"
        if each.open is True:
            assert row["open"] or row["stop_source"] == "stale", where
        elif each.open is False and not (told_stale_too_early(row) and not each.stopped):
            assert not row["open"], where
        assert row["account_id"] == accounts.get(row["username"], ""), where
        if row["stop_source"] == "stop" and row["nas_id"] == "nas-relayed":
            assert row["stopped_at"] == from_epoch(T0 + each.life.end), where
            assert row["started_at"] == from_epoch(T0 + each.life.begin), where
    total = sum(each.input_octets + each.output_octets for each in model)
    assert sum(row["input_octets"] + row["output_octets"] for row in rows) == total, f"seed {seed}"


def told_stale_too_early(row: Row) -> bool:
    """Taken for lost, then the device rebooted, then a late packet of before the reboot came: silence ends it again."""
    return "reopened" in row["flags"]


async def one_round(ps: PlatformScope, seed: int) -> int:
    """Two tenants with devices, users and session ids of the same names; how many packets."""
    dice = random.Random(seed)
    scopes = [await make_tenant(ps, interim_interval=INTERVAL) for _ in range(2)]
    accounts = [{name: await make_account(scope, name) for name in USERS[:2]} for scope in scopes]
    packets = lives(dice, [scope.tenant_id for scope in scopes], 5400)
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
        rows = await sessions_of(scope.db)
        compare(rows, [each for each in told if each.event.tenant_id == scope.tenant_id], known, seed)
    await apply.close_stale(ps, utcnow())
    for scope in scopes:
        assert not await scope.db.online.count(), f"seed {seed}: silence ends every session"
        assert not await ps.db.dead_events.count({"tenant_id": scope.tenant_id}), f"seed {seed}"
    return len(told)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_the_books_agree_with_what_was_recorded(alone: PlatformScope, number: int) -> None:
    await drain(alone)
    seed = SEED + number
    assert await one_round(alone, seed) > 100, f"seed {seed}"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_the_rules_alone_agree_with_what_was_recorded(number: int) -> None:
    """Events one by one in the order of their recording, as the applier would take them."""
    for seed in range(SEED + number * 15, SEED + number * 15 + 15):
        dice = random.Random(seed)
        told = [packet for group in grouped(lives(dice, ["ten_1"], 6 * 3600), dice) for packet in group]
        books: dict[str, list[Row]] = {}
        for packet in told:
            _take(books, packet.event)
        rows = [row for found in books.values() for row in found]
        compare(rows, told, {}, seed)


def _take(books: dict[str, list[Row]], event: journal.AcctEvent) -> None:
    if event.status not in ("on", "off"):
        rows = books.setdefault(accounting.event_key(event), [])
        row = accounting.match(rows, event)
        if row is None:
            rows.append(accounting.begin(event))
        else:
            accounting.fold(row, event)
        newest = max(rows, key=lambda each: each["started_at"])
        for other in rows:
            if other["open"] and other is not newest:
                accounting.close(other, other["seen_at"], "Lost-Carrier", "reused")
        return
    _, at = accounting.span(event)
    for row in [row for rows in books.values() for row in rows]:
        if row["nas_id"] == event.nas_id and row["open"] and row["started_at"] < at and row["seen_at"] <= at:
            accounting.close(row, at, "NAS-Reboot", event.status)
