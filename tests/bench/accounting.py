"""Accounting: durable in bursts, and all the way to the sessions, against FreeRADIUS with PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.bench import ACCOUNTS, Bench
from tests.bench.compare import Comparison, Sample, Side, rounds, sample
from tests.bench.freeradius import FreeRadius, Postgres, with_sql
from tests.bench.ours import Service
from tests.bench.processes import Refused

TENANTS = 10
PEOPLE = TENANTS * ACCOUNTS
PROBE = 3000  # requests, to learn how fast the stores are
PATIENCE = 300.0  # seconds for what a burst leaves to do
SHARE = 0.9  # of what is reached end to end: at that pace a backlog has no reason to grow


def accounting(bench: Bench) -> Iterator[Comparison]:
    """Bursts: answered when durable. End to end: answered and applied, the job running beside the engine."""
    database = Postgres(bench.folder / "postgresql")
    try:

        def make(folder: Path, single: bool) -> FreeRadius:
            return with_sql(folder, database, single=single)

        with bench.better(make, kind="acct", accounts=PEOPLE) as peer:
            other = bench.peer(peer, lambda: {**peer.roles(), **database.roles()}, kind="acct", accounts=PEOPLE)
            names = ("OpenPNS", f"{peer.name}, PostgreSQL")
            with bench.service("bursts", TENANTS) as ours:
                pairs = rounds(bench.side(ours, kind="acct"), other, bench.rounds)
            yield Comparison("acct_burst", "Accounting in bursts, durable", names, pairs, "rate", 10.0)
            with bench.service("accounting", TENANTS) as ours:
                yield from _end_to_end(bench, ours, other, names)
    finally:
        database.end()


def _end_to_end(bench: Bench, ours: Service, other: Side, names: tuple[str, str]) -> Iterator[Comparison]:
    ours.start_jobs()
    probe = _applied(bench, ours, PROBE)
    count = max(PROBE, int(probe["overall"] * bench.seconds))
    pairs = rounds(Side("OpenPNS", lambda: _applied(bench, ours, count)), other, bench.rounds)
    found = Comparison("acct_applied", "Accounting answered and applied", names, pairs, "overall", 2.0)
    yield found
    if bench.sustain:
        peer = found.median(1, "overall")
        pace = min(2.2 * peer, SHARE * found.median(0, "overall"))
        facts = _sustained(bench, ours, pace)
        pair = ({"overall": facts["overall"]}, {"overall": peer})
        title = f"Accounting answered and applied for {bench.sustain:.0f} s at a steady pace"
        yield Comparison("acct_sustained", title, names, [pair], "overall", 2.0, facts=facts)


def _applied(bench: Bench, ours: Service, count: int) -> Sample:
    """A burst of so many requests, until the last of them is applied; every session that was begun must be there."""
    before = ours.stores.sessions()
    found = sample(bench.generator, ours.roles, ours.stream(kind="acct", count=count), then=lambda: _finish(ours))
    made = ours.stores.sessions() - before
    if made != found["starts"]:
        raise Refused(f"{found['starts']} sessions were begun and answered, {made} are stored.")
    return found


def _finish(ours: Service) -> None:
    if not ours.applied(PATIENCE):
        raise Refused(f"What was recorded is not applied after {PATIENCE:.0f} s.")


def _sustained(bench: Bench, ours: Service, pace: float) -> dict[str, Any]:
    """The backlog, in groups of the journal, before, in the middle of and after a load at a steady pace.

    What is left then gets twice that time; when that is too short, "overall" is more than what was reached.
    """
    groups: dict[str, int] = {"start": ours.stores.backlog()}
    middle = threading.Timer(bench.sustain / 2, lambda: groups.update(middle=ours.stores.backlog()))
    middle.start()

    def finish() -> None:
        middle.join()
        groups["end"] = ours.stores.backlog()
        ours.applied(2 * bench.sustain)
        groups["later"] = ours.stores.backlog()

    stream = ours.stream(kind="acct", rate=pace, seconds=bench.sustain, outstanding=512)
    found = sample(bench.generator, ours.roles, stream, then=finish)
    figures = {name: found[name] for name in ("overall", "rate", "p50", "p99", "lost", "retransmits")}
    return {"pace": pace, "backlog": groups, **figures}
