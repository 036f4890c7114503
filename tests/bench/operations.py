"""Operations, metering, jobs and pages: how they grow with the accounts of a tenant."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from tests.bench.bench import ACCOUNTS, Bench
from tests.bench.compare import Comparison, Sample, Side, rounds
from tests.bench.ours import Service
from tests.bench.processes import ROOT, SERVER_CORE, Refused, Usage

MANY, FEW = 100_000, 10_000  # accounts
FIGURES = {
    "renew": "Renewals, with payment and charge",
    "open": "Accounts opened, with payment and charge",
    "meter": "Ledger entries of metered sessions",
    "expire": "Expiry job, 5,000 accounts that are told of",
}
PAGES = {
    "home": "The first page",
    "home_counted": "The first page, its figures counted",
    "accounts": "Accounts, first page",
    "accounts_far": "Accounts, hundredth page",
    "accounts_found": "Accounts, by the beginning of a name",
    "ending": "Accounts, those that end soon",
    "account": "An account",
    "sessions": "Sessions, first page",
    "sessions_far": "Sessions, hundredth page",
    "sessions_found": "Sessions of an account's name",
    "search": "The search box",
}
_PROGRAM = (
    "import asyncio; from saas import compiled; compiled.use(); from tests.bench.{module} import main; "
    "asyncio.run(main())"
)


class Desk:
    """A process that works on a data set (operate.py, browse.py), beside its stores on the servers' core."""

    def __init__(self, service: Service, module: str) -> None:
        self._service, self._log = service, service.folder / "operate.out"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(module=module)],
                cwd=ROOT,
                env=service.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
            )
        self._line()

    def measure(self, name: str, seconds: float) -> Sample:
        """Do so for some seconds; what came of it, with the CPU time that each took."""
        usage = Usage(lambda: {"operating": [self._process.pid], **self._stores()})
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {seconds}\n")
        self._process.stdin.flush()
        found: Sample = json.loads(self._line())
        cpu = {role: used / max(1, found["count"]) * 1e6 for role, used in usage.since().items()}
        return {**found, "cpu": cpu}

    def _stores(self) -> dict[str, Sequence[int]]:
        return {role: pids for role, pids in self._service.roles().items() if role in ("mongo", "redis")}

    def end(self) -> None:
        """It ends with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Refused(f"The operations ended: {self._log.read_text()[-500:]}")
        return line


def operations(bench: Bench) -> Iterator[Comparison]:
    """Each on 100,000 accounts against the same on 10,000."""
    with _desk(bench, "operate", MANY) as many, _desk(bench, "operate", FEW) as few:
        for name, title in FIGURES.items():
            one, other = (
                Side(f"{size:,} accounts", partial(desk.measure, name, bench.seconds))
                for size, desk in ((MANY, many), (FEW, few))
            )
            pairs = rounds(one, other, bench.rounds)
            yield Comparison(f"operations_{name}", title, (one.name, other.name), pairs, "rate", 0.85)


def pages(bench: Bench) -> Iterator[Comparison]:
    """A console's pages with as many accounts and sessions as the large data set has in all, against 10,000."""
    size = bench.tenants * ACCOUNTS
    with _desk(bench, "browse", size) as many, _desk(bench, "browse", FEW) as few:
        for name, title in PAGES.items():
            one, other = (
                Side(f"{accounts:,} accounts", partial(desk.measure, name, bench.seconds))
                for accounts, desk in ((size, many), (FEW, few))
            )
            found = Comparison(f"pages_{name}", title, (one.name, other.name), rounds(one, other, bench.rounds), "p99")
            found.goal, found.less = 1.5, True
            found.facts["pages a second"] = [round(found.median(side, "rate"), 1) for side in (0, 1)]
            yield found


@contextmanager
def _desk(bench: Bench, module: str, accounts: int) -> Iterator[Desk]:
    service = Service(bench.folder / f"{module}-{accounts}", 1, accounts)
    with ExitStack() as stack:
        stack.callback(_drop, service)
        bench.say(f"1 tenant with {accounts} accounts, made in {service.fill():.0f} s")
        desk = Desk(service, module)
        stack.callback(desk.end)
        yield desk


def _drop(service: Service) -> None:
    service.end()
    service.stores.drop()
    shutil.rmtree(service.folder)
