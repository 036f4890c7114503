"""What size, a second worker and a bad neighbour do to an engine, and how it begins."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.bench.bench import ACCOUNTS, Bench
from tests.bench.compare import Comparison, Sample, Side, rounds, sample
from tests.bench.ours import Service
from tests.bench.processes import Refused, memory, wait_until

SOCKETS = 32  # the kernel spreads sources over workers: enough of them for both to have the same
OUTSTANDING = 64  # requests, for each worker
NEIGHBOUR = 500  # requests a second of the tenant whose latencies are looked at
STARTS = 3


def growth(bench: Bench) -> Iterator[Comparison]:
    """Many tenants against one with as many accounts each."""
    for service in (bench.large, bench.small):
        service.warm(bench.generator)
    many, one = bench.side(bench.large, kind="pap"), bench.side(bench.small, kind="pap")
    names = (f"{bench.tenants} × {ACCOUNTS} accounts", f"1 × {ACCOUNTS}")
    pairs = rounds(many, one, bench.rounds)
    yield Comparison("growth", "PAP with many tenants against one", names, pairs, "rate", 0.85)


def second_worker(bench: Bench) -> Iterator[Comparison]:
    """The engine's CPU time an answer with one and with two workers: on a core each, two are worth twice the ratio.

    Each worker has as much to do as the one alone: on half the load it would wake up as often for half the packets.
    """
    ours = bench.small

    def measure(workers: int) -> Sample:
        ours.stop("radius")
        ours.start(bench.generator, workers)
        for _ in range(3 * workers):  # each worker has its own cache
            bench.generator.run(ours.stream(kind="pap", count=ACCOUNTS, sockets=SOCKETS, tries=10))
        stream = ours.stream(kind="pap", seconds=bench.seconds, sockets=SOCKETS, outstanding=OUTSTANDING * workers)
        found = sample(bench.generator, ours.roles, stream)
        return {**found, "engine": found["cpu"]["engine"]}

    pairs = rounds(Side("1", partial(measure, 1)), Side("2", partial(measure, 2)), bench.rounds)
    found = Comparison(
        "second_worker", "Engine CPU an answer, one worker against two", ("1", "2"), pairs, "engine", 0.85
    )
    found.facts = {"worth": [2 * ratio for ratio in found.ratios()]}
    yield found
    ours.stop("radius")
    ours.start(bench.generator)


def isolation(bench: Bench) -> Iterator[Comparison]:
    """The 99th percentile of a tenant while another one storms at ten times its limit, against its quiet."""
    ours = bench.large
    ours.limit(bench.storm // 10, bench.generator)
    ours.warm(bench.generator)
    common = {"seconds": bench.seconds, "kind": "pap"}
    mine = ours.stream(**common, only=1, rate=NEIGHBOUR)
    # each answer is tested: a late copy's may meet a new request under the same identifier
    storm = {"only": 0, "outstanding": 16_384, "tries": 1, "timeout": 1500, "verify": 1}
    rejects = ours.stream(**common, **storm, wrong=1, rate=bench.storm)
    repeats = ours.stream(**common, **storm, copies=10, rate=bench.storm / 10)
    quiet = Side("quiet", partial(sample, bench.generator, ours.roles, mine))
    for key, title, other in (("rejects", "wrong passwords", rejects), ("repeats", "retransmissions", repeats)):
        loud = Side("storm", partial(_neighbour, bench, ours, other, mine))
        pairs = rounds(loud, quiet, bench.rounds)
        title = f"A tenant's 99th percentile, its neighbour sending {bench.storm} {title} a second"
        facts = {"lost": sum(pair[0]["lost"] for pair in pairs)}
        yield Comparison(f"isolation_{key}", title, ("storm", "quiet"), pairs, "p99", 1.5, less=True, facts=facts)
    ours.limit(0, bench.generator)


def _neighbour(bench: Bench, ours: Service, storm: dict[str, object], mine: dict[str, object]) -> Sample:
    found = sample(bench.generator, ours.roles, storm, mine, faults=True)
    if found["unexpected"] or found["unproven"]:
        raise Refused("The neighbour of a storm got wrong answers.")
    return found


def beginning(bench: Bench) -> Iterator[Comparison]:
    """A cold engine over the large data set until its first accept, and what a worker's memory grows to."""
    ours = bench.large
    ours.start_jobs()  # so that embedded stores have a user and stay
    try:
        seconds = [_first_accept(bench, ours) for _ in range(STARTS)]
        fresh = _resident(ours)
        ours.warm(bench.generator)
        warm = _resident(ours)
        bench.generator.run(ours.stream(kind="pap", seconds=bench.seconds))
        facts = {"seconds": seconds, "fresh": fresh, "warm": warm, "loaded": _resident(ours)}
    finally:
        ours.stop("jobs")
    title = f"A cold engine with {bench.tenants * ACCOUNTS} accounts in the store: seconds until its first accept"
    pairs = [({"seconds": each}, {"seconds": 1.0}) for each in seconds]
    names = ("OpenPNS", "one second")
    yield Comparison("cold", title, names, pairs, "seconds", 2.0, less=True, facts=facts)


def _first_accept(bench: Bench, ours: Service) -> float:
    """Seconds from the start of the process to the first accept; the request is repeated every 20 ms."""
    ours.stop("radius")
    ours.launch()
    stream = ours.stream(kind="pap", count=1, outstanding=1, timeout=20, tries=3000)
    return float(bench.generator.run(stream)[0]["max"]) / 1e6


def _resident(ours: Service) -> int:
    """Octets of memory that the one worker has."""
    engines = wait_until(lambda: ours.roles()["engine"], "there is a worker")
    return memory(engines[0])
