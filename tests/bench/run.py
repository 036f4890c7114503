"""The bench: ``make bench``, ``make bench ARGS="--only auth --rounds 3"``. See docs/performance.md.

Every figure is a ratio measured in one run, in turn. All that serves runs on core 0, the load generator on core 1.
Exit status 0: measured; 2: it cannot be measured here, with a sentence that says why. Nothing is left behind.

    radgen.c            the load generator, with stream.h, packets.h; its options stand at its beginning
    mschap.py           what it needs for MS-CHAPv2
    generator.py        compiles it, runs it, reads its report
    processes.py        processes on a core of their own; what they used
    stores.py, ours.py  our service: stores, data set, engine, job
    freeradius.py       the peers: FreeRADIUS and PostgreSQL
    compare.py          two sides in turn, and the ratio
    bench.py            what scenarios share
    authentication.py, accounting.py, scaling.py, operations.py    the scenarios
    operate.py, browse.py    the operations and the pages of the last, in a process of their own
    report.py           table, JSON, docs/performance.md
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from saas.config import PREFIX
from tests.bench import generator, report
from tests.bench.accounting import accounting
from tests.bench.authentication import authentication
from tests.bench.bench import Bench
from tests.bench.compare import Comparison
from tests.bench.operations import operations, pages
from tests.bench.processes import LOAD_CORE, SERVER_CORE, Refused
from tests.bench.scaling import beginning, growth, isolation, second_worker

SCENARIOS: dict[str, Callable[[Bench], Iterator[Comparison]]] = {
    "auth": authentication,
    "acct": accounting,
    "growth": growth,
    "workers": second_worker,
    "isolation": isolation,
    "cold": beginning,
    "operations": operations,
    "pages": pages,
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Speed, as ratios measured in one run.")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these scenarios alone")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each time")
    parser.add_argument("--tenants", type=int, default=100, help="of the large data set, with 1,000 accounts each")
    parser.add_argument("--full", action="store_true", help="1,000 tenants: takes long to make on the embedded store")
    parser.add_argument("--storm", type=int, default=10_000, help="requests a second of a bad neighbour")
    parser.add_argument("--sustain", type=float, default=60.0, help="seconds of steady accounting; 0: none")
    parser.add_argument("--json", type=Path, help="file for every sample")
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/performance.md")
    return parser.parse_args()


def say(line: str) -> None:
    """Tell how far it is, with the time since the beginning."""
    print(f"{time.monotonic() - BEGUN:6.0f} s  {line}", file=sys.stderr, flush=True)


BEGUN = time.monotonic()


def measure(args: argparse.Namespace, folder: Path) -> list[Comparison]:
    """Play the chosen scenarios."""
    bench = Bench(
        folder=folder,
        generator=generator.build(folder),
        say=say,
        tenants=1000 if args.full else args.tenants,
        rounds=args.rounds,
        seconds=args.seconds,
        storm=args.storm,
        sustain=args.sustain,
    )
    found: list[Comparison] = []
    with bench.stack:
        for name in args.only:
            say(f"scenario {name}")
            for each in SCENARIOS[name](bench):
                found.append(each)
                say(" · ".join(report.row(each)))
    return found


def main() -> int:
    """Measure, and tell."""
    args = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        print("bench: cores 0 and 1 are needed, one for the servers and one for the load.", file=sys.stderr)
        return 2
    stores = "given by URL" if os.environ.get(f"{PREFIX}MONGO_URL") else "embedded"
    try:
        # servers that run as another user must be able to enter it
        with tempfile.TemporaryDirectory(prefix="openpns-bench-") as name:
            os.chmod(name, 0o755)
            found = measure(args, Path(name))
    except Refused as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: ended; nothing is left behind.", file=sys.stderr)
        return 130
    options = {"Document store": stores, "Rounds": f"{args.rounds} of {args.seconds:g} s"}
    facts = report.conditions(options)
    print(report.table(found))
    if args.json:
        report.write(args.json, facts, found)
    if args.keep:
        report.keep(facts, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
