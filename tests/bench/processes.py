"""Processes that are measured: started on a core of their own, asked for what they used, ended for certain."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SERVER_CORE, LOAD_CORE = 0, 1
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 30.0  # seconds that a process has to end


class Refused(Exception):
    """It cannot be measured here. The text is one sentence for whoever typed the command."""


def tool(name: str, package: str, *folders: str) -> str:
    """The path of a program. Refused: it is in a Debian package that is not installed."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *folders]))
    if found is None:
        raise Refused(f"{name} is not there: install Debian's {package}, as `tools/setup.sh bench` does.")
    return found


def idle(seconds: float) -> None:
    """Let time pass: for a measurement that takes so long, not to wait for something."""
    threading.Event().wait(seconds)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """The condition's first true answer. Refused when it does not come."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise Refused(f"Within {seconds:.0f} s it did not come about that {what}.")
        idle(0.02)
    return answer


class Process:
    """A program that runs on the servers' core, its output in `log`."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        cores: Iterable[int] = (SERVER_CORE,),
    ) -> None:
        chosen = set(cores)
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT if user is None else "/",
                env=None if environment is None else {**os.environ, **environment},
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, chosen),
            )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def said(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])

    def ready(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait until it serves. Refused when it ended instead."""
        name = Path(self.log).stem
        wait_until(lambda: not self.running or condition(), f"{name} serves", seconds)
        if not self.running:
            raise Refused(f"{name} ended at once: {self.said()}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait; by force when it takes too long."""
        if self.running:
            self._process.send_signal(number)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def every() -> Iterator[int]:
    """The ids of all processes."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def below(pid: int) -> list[int]:
    """A process and everything that it started."""
    parents = {each: _parent(each) for each in every()}
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def read(pid: int, name: str) -> bytes:
    """A file of /proc/<pid>; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, its threads and kernel time included; 0 when it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def memory(pid: int) -> int:
    """Resident octets."""
    lines = read(pid, "status").decode().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on: the second, a name in brackets, may hold anything."""
    return read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


class Usage:
    """CPU seconds by role between two moments. `roles` answers role -> process ids, asked at both."""

    def __init__(self, roles: Callable[[], Mapping[str, Sequence[int]]]) -> None:
        self._roles = roles
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {role: sum(map(cpu_seconds, pids)) for role, pids in self._roles().items()}

    def since(self) -> dict[str, float]:
        """Used since this object was made."""
        return {role: used - self._before.get(role, 0.0) for role, used in self._now().items()}
