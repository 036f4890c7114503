"""What was found: as a table for eyes, as JSON, and in docs/performance.md between its two marks."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.compare import Comparison
from tests.bench.processes import ROOT

PAGE = ROOT / "docs" / "performance.md"
MARKS = ("<!-- figures: written by the bench -->", "<!-- end of figures -->")
UNITS = {"rate": "/s", "overall": "/s", "p99": " µs", "engine": " µs", "seconds": " s"}


def conditions(options: dict[str, Any]) -> dict[str, Any]:
    """What the figures depend on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "Day": datetime.now(UTC).date().isoformat(),
        "Machine": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, {kilobytes / 2**20:.0f} GiB",
        "Kernel": platform.release(),
        "Python": platform.python_version(),
        "OpenPNS": _said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "FreeRADIUS": _said("dpkg-query", "-W", "-f", "${Version}", "freeradius"),
        "PostgreSQL": _said("dpkg-query", "-W", "-f", "${Version}", "postgresql"),
        **options,
    }


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def row(found: Comparison) -> list[str]:
    """A comparison in words: what, both sides' medians, the ratio with its range, the goal, CPU time an answer."""
    ratios = found.ratios()
    middle = median(ratios)
    reached = middle <= found.goal if found.less else middle >= found.goal
    goal = f"{'≤' if found.less else '≥'} {found.goal:g} {'yes' if reached else 'no'}" if found.goal else ""
    spread = f"{middle:.2f} [{min(ratios):.2f}–{max(ratios):.2f}]"
    return [found.title, *(_side(found, side) for side in (0, 1)), spread, goal]


def _side(found: Comparison, side: int) -> str:
    value = found.median(side, found.figure)
    return (
        f"{found.sides[side]}: {value:,.0f}{UNITS[found.figure]}"
        if value >= 100
        else (f"{found.sides[side]}: {value:.2f}{UNITS[found.figure]}")
    )


def besides(found: Comparison) -> list[str]:
    """Lines below the table: CPU time by role, and the facts of a scenario."""
    lines = []
    for side in (0, 1):
        # the percentiles come from the rounds of the rates
        if found.figure != "p99" and (cpu := found.cpu(side)):
            used = ", ".join(f"{role} {value:.1f}" for role, value in cpu.items())
            lines.append(f"{found.title}, {found.sides[side]}: µs of CPU an answer: {used}")
    if found.facts:
        lines.append(f"{found.title}: {_plain(found.facts)}")
    return lines


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " / ".join(_plain(each) for each in value)
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


HEAD = ["Measured", "One side", "The other", "Ratio, median [min–max]", "Goal"]


def table(found: Sequence[Comparison]) -> str:
    """All of it, as Markdown."""
    rows = [HEAD, ["---"] * len(HEAD), *(row(each) for each in found)]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([*lines, "", *(f"- {line}" for each in found for line in besides(each))])


def write(path: Path, facts: dict[str, Any], found: Sequence[Comparison]) -> None:
    """The same with every sample, as JSON."""
    path.write_text(json.dumps({"conditions": facts, "comparisons": [each.as_json() for each in found]}, indent=1))


def keep(facts: dict[str, Any], found: Sequence[Comparison]) -> None:
    """Put the figures into docs/performance.md."""
    told = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{told}\n\n{table(found)}\n\n{MARKS[1]}{after}")
