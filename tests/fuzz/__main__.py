"""`make fuzz`: a given number of mutated packets of each kind, in processes side by side.

python -m tests.fuzz [--packets 1000000] [--seed N] [--kinds auth,wire] [--processes 2]

A seed and a number of packets stand for the same packets on every machine. What breaks an invariant is added to the
corpus, where the test suite keeps it. The exit status is the number of kinds that broke.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import uvloop

import tests.fuzz.native  # noqa: F401  # before the engine
from saas import config, embedded
from saas.kv import Kv
from saas.security import Keys
from saas.store import Store
from saas.tenants.scope import Services, platform_scope
from tests.fuzz import corpus, wire
from tests.fuzz.corpus import Sample
from tests.fuzz.gates import Fault
from tests.fuzz.runs import RUNS, Run

_PARTS = 4  # of a kind, so that processes have equally much to do
_WAYS = {"auth": "auth", "acct": "acct", "replies": "answer", "answers": "answer"}  # of findings that are packets


async def _requests(samples: Sequence[Sample], seed: int, packets: int) -> None:
    with tempfile.TemporaryDirectory(prefix="openpns-fuzz-") as folder:
        settings = config.load(data_dir=Path(folder))
        async with embedded.stores(settings) as urls:
            store = await Store.open(urls.mongo_url)
            await store.prepare()
            kv = await Kv.open(urls.redis_url)
            try:
                ps = platform_scope(Services(store, kv, Keys(settings.secret_key)))
                await wire.requests(ps, samples, seed, packets)
            finally:
                await kv.close()
                store.close()


KINDS: dict[str, Run] = {**RUNS, "wire": _requests, "answers": wire.answers}


def _part(kind: str, seed: int, packets: int) -> tuple[float, str, list[bytes]]:
    """In a process of its own: seconds it took, and what broke, "" when nothing did."""
    logging.getLogger().addHandler(logging.NullHandler())
    began = time.monotonic()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(KINDS[kind](corpus.load(), seed, packets))
    except Fault as fault:
        return time.monotonic() - began, str(fault), fault.packets
    return time.monotonic() - began, "", []


def main() -> int:
    """Run the kinds, say how long each took, keep what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--packets", type=int, default=1_000_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--kinds", default=",".join(KINDS), help="of " + ", ".join(KINDS))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    print(f"seed {args.seed}: {args.packets} packets of each of {', '.join(kinds)}", flush=True)
    began, seconds, broken = time.monotonic(), dict.fromkeys(kinds, 0.0), set()
    with ProcessPoolExecutor(args.processes) as pool:
        share = -(-args.packets // _PARTS)
        parts = {
            pool.submit(_part, kind, args.seed + number, share): kind for kind in kinds for number in range(_PARTS)
        }
        left = dict.fromkeys(kinds, _PARTS)
        for part in as_completed(parts):
            kind = parts[part]
            took, what, packets = part.result()
            seconds[kind] += took
            left[kind] -= 1
            if what:
                broken.add(kind)
                print(f"{kind}: {what}", flush=True)
                if kind in _WAYS and packets:
                    print(f"  kept as {corpus.keep(_WAYS[kind], what, packets)}", flush=True)
            if not left[kind]:
                rate = args.packets / max(seconds[kind], 0.001)
                print(f"{kind}: {seconds[kind]:.0f} s of one process, {rate:.0f} packets/s", flush=True)
    print(f"{time.monotonic() - began:.0f} s with {args.processes} processes, {len(broken)} kinds broke")
    return len(broken)


if __name__ == "__main__":
    sys.exit(main())
