"""Authentication: every method against FreeRADIUS with its users file, which decides nothing but the password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench import mschap
from tests.bench.bench import ACCOUNTS, Bench
from tests.bench.compare import Comparison, rounds
from tests.bench.freeradius import FreeRadius, with_users

USERS = 100_000  # of FreeRADIUS


def authentication(bench: Bench) -> Iterator[Comparison]:
    """PAP and CHAP with the full decision and a limit of one session; MS-CHAPv2 by the measure of our PAP."""
    ours = bench.large

    def make(folder: Path, single: bool) -> FreeRadius:
        return with_users(folder, USERS, single=single)

    with bench.better(make, kind="pap", accounts=USERS) as peer:
        ours.warm(bench.generator)
        for kind, title in (("pap", "PAP"), ("chap", "CHAP")):
            one = bench.side(ours, kind=kind)
            other = bench.peer(peer, peer.roles, kind=kind, accounts=USERS)
            pairs = rounds(one, other, bench.rounds)
            names = (one.name, f"{other.name}, users file")
            yield Comparison(f"auth_{kind}", f"{title}, answers a second", names, pairs, "rate", 1.0)
            yield Comparison(f"auth_{kind}_p99", f"{title}, 99th percentile", names, pairs, "p99", 1.0, less=True)
    blocks = bench.folder / "blocks"
    mschap.write(blocks, ACCOUNTS)
    one, other = bench.side(ours, "MS-CHAPv2", kind="mschapv2", blocks=blocks), bench.side(ours, "PAP", kind="pap")
    pairs = rounds(one, other, bench.rounds)
    yield Comparison("auth_mschapv2", "MS-CHAPv2 against our PAP", (one.name, other.name), pairs, "rate", 0.5)
