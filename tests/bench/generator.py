"""The load generator as Python sees it: compiled once, run on its own core, its report read."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.processes import LOAD_CORE, Refused, tool

HERE = Path(__file__).resolve().parent

Report = dict[str, Any]  # what radgen prints of a stream
Stream = dict[str, Any]  # its options


def build(folder: Path) -> Generator:
    """Compile radgen into a folder. Refused: there is no compiler."""
    binary = folder / "radgen"
    subprocess.run([tool("gcc", "gcc"), "-O2", "-o", str(binary), str(HERE / "radgen.c")], check=True)
    return Generator(binary)


@dataclass(frozen=True, slots=True)
class Generator:
    """A compiled radgen."""

    binary: Path
    core: int | None = LOAD_CORE  # None: wherever there is room

    def run(self, *streams: Stream, faults: bool = False) -> list[Report]:
        """Play streams at the same time; a report of each. `faults`: losses and refusals are what is looked for."""
        words = [word for stream in streams for word in ["+", *(f"{name}={value}" for name, value in stream.items())]]
        command = [str(self.binary), *words[1:]]
        pin = None if self.core is None else partial(os.sched_setaffinity, 0, {self.core})
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin)
        if done.returncode not in (0, 1):
            raise Refused(done.stderr.strip())
        reports: list[Report] = json.loads(done.stdout)
        for report in reports:
            wrong = {name: report[name] for name in ("lost", "unexpected", "unproven") if report[name]}
            if wrong and not faults:
                raise Refused(f"{report['kind']} at {report['rate']:.0f}/s: {wrong} of {report['sent']} requests.")
        return reports
