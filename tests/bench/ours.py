"""Our service as real processes: a data set in its stores, the engine with its workers, the job.

Everything that serves runs on the servers' core: engine, job and both stores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from saas.config import PREFIX
from saas.embedded import MONGO, VALKEY
from tests.bench.generator import Generator, Stream
from tests.bench.processes import ROOT, Process, Refused, every, idle, read, wait_until
from tests.bench.stores import Stores
from tests.support import free_ports

CACHED = 200_000  # accounts that a worker remembers as a rule
COMMAND = [sys.executable, "-m", "saas"]
_ROLES = (("engine", b"\0worker\0"), ("jobs", b"\0jobs\0"), ("mongo", MONGO.word), ("redis", VALKEY.word))


class Service:
    """A data set and what serves it: `tenants` with a device each, every account limited to one session at a time."""

    def __init__(self, folder: Path, tenants: int, accounts: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.tenants, self.accounts = folder.resolve(), tenants, accounts
        self.stores = Stores(self.folder)
        names = ("AUTH_PORT", "ACCT_PORT", "HTTP_PORT", "RADSEC_PORT")
        ports = dict(zip(names, free_ports(4), strict=True))
        self._auth, self._acct = ports["AUTH_PORT"], ports["ACCT_PORT"]
        values = {name: str(port) for name, port in ports.items()}
        everybody = str(max(CACHED, tenants * accounts))  # a worker remembers the whole data set
        settings = {"DATA_DIR": str(self.folder), "TENANT_RATE": "0", "CACHED_ACCOUNTS": everybody, **values}
        self._environment = {PREFIX + name: value for name, value in settings.items()} | self.stores.environment()
        self._running: dict[str, Process] = {}

    def fill(self) -> float:
        """Make the data set, or what is missing of it; how many seconds that took."""
        begun = time.monotonic()
        size = (("tenants", self.tenants), ("nas", self.tenants), ("accounts", self.accounts), ("concurrency", 1))
        words = [word for name, value in size for word in (f"--{name}", str(value))]
        command = [*COMMAND, "demo", *words]
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), capture_output=True, text=True)
        if done.returncode:
            raise Refused(f"The data set could not be made: {done.stderr.strip()[-500:]}")
        return time.monotonic() - begun

    def environment(self) -> dict[str, str]:
        """Of processes that work on the data set."""
        return {**os.environ, **self._environment}

    def start(self, generator: Generator, workers: int = 1) -> None:
        """Start the engine; returns when it has accepted a log-in."""
        self.launch(workers)
        self._running["radius"].ready(lambda: self.accepts(generator) and len(self.roles()["engine"]) == workers, 120)

    def limit(self, rate: int, generator: Generator) -> None:
        """Start the engine again, with a limit of packets a second for each tenant; 0 is none."""
        self._environment[f"{PREFIX}TENANT_RATE"] = str(rate)
        self.stop("radius")
        self.start(generator)

    def launch(self, workers: int = 1) -> None:
        """Start the engine and do not wait for it."""
        command = [*COMMAND, "radius", "--workers", str(workers)]
        self._running["radius"] = Process(command, self.folder / "radius.out", environment=self._environment)

    def accepts(self, generator: Generator) -> bool:
        """Whether it accepts a log-in, asked again and again for a second."""
        stream = self.stream(kind="pap", count=1, outstanding=1, timeout=20, tries=50)
        return bool(generator.run(stream, faults=True)[0]["accepted"])

    def start_jobs(self) -> None:
        """Start the job, which applies what is recorded."""
        command = [*COMMAND, "jobs"]
        self._running["jobs"] = Process(command, self.folder / "jobs.out", environment=self._environment)

    def stop(self, name: str) -> None:
        """Stop "radius" or "jobs"."""
        self._running.pop(name).end()

    def stream(self, **options: object) -> Stream:
        """A stream of the generator over the whole data set."""
        size: Stream = {"tenants": self.tenants, "devices": self.tenants, "accounts": self.accounts}
        return {"auth": self._auth, "acct": self._acct, "timeout": 3000, **size, **options}

    def warm(self, generator: Generator) -> None:
        """Let everybody log in once, so that a steady state is measured; tenant by tenant, which reads fastest."""
        people = self.tenants * self.accounts
        generator.run(self.stream(kind="pap", count=people, outstanding=256, tries=10, spread=0))

    def roles(self) -> dict[str, Sequence[int]]:
        """Its processes by role; the supervisor and the keeper have nothing to do with a packet."""
        found: dict[str, list[int]] = {role: [] for role, _ in _ROLES}
        for pid in self._processes():
            line = b"\0" + read(pid, "cmdline") + b"\0"
            if role := next((role for role, word in _ROLES if word in line), None):
                found[role].append(pid)
        return {**found, **self.stores.roles()}

    def _processes(self) -> list[int]:
        """Everything that was started for it. Valkey writes its title over its environment: its folder tells."""
        mine = f"{PREFIX}DATA_DIR={self.folder}".encode()
        return [
            pid for pid in every() if mine in read(pid, "environ").split(b"\0") or self.folder in _working(pid).parents
        ]

    def applied(self, seconds: float) -> bool:
        """Wait for the job to apply what is recorded; whether it did in time."""
        deadline = time.monotonic() + seconds
        while (left := self.stores.backlog()) and time.monotonic() < deadline:
            idle(0.1)
        return not left

    def end(self) -> None:
        """Stop every process that was started; embedded stores and their keeper end after their last user."""
        for name in reversed(list(self._running)):
            self.stop(name)
        wait_until(lambda: not self._processes(), "its stores have ended")


def _working(pid: int) -> Path:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return Path()
