"""Two sides measured in turn, and what their pairs say: every figure is a ratio of one run.

A machine that does other things too drifts by more than what is looked for, so each side is measured once in each
round, next to the other; a ratio is formed within a round, and the median of the rounds counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench.generator import Generator, Report, Stream
from tests.bench.processes import Usage

Roles = Callable[[], Mapping[str, Sequence[int]]]
Sample = dict[str, Any]  # what the generator reports, and "cpu": role -> microseconds an answer


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: `measure` plays its load once."""

    name: str
    measure: Callable[[], Sample]


@dataclass(slots=True)
class Comparison:
    """What a scenario found. `goal` is what the ratio shall reach, or stay below with `less`; 0: there is none.

    `figure` names what the ratio is formed of: "rate", "p99" or "cpu_total"; `facts` are figures besides.
    """

    key: str
    title: str
    sides: tuple[str, str]
    pairs: list[tuple[Sample, Sample]]
    figure: str = "rate"
    goal: float = 0.0
    less: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def ratios(self, figure: str = "") -> list[float]:
        """The first side over the second, a round each."""
        name = figure or self.figure
        return [one[name] / other[name] for one, other in self.pairs if other[name]]

    def median(self, side: int, figure: str) -> float:
        """The median of a figure of one side."""
        return median(pair[side][figure] for pair in self.pairs)

    def cpu(self, side: int) -> dict[str, float]:
        """Microseconds of CPU time an answer, by role; roles that did nothing are left out."""
        roles = {role for pair in self.pairs for role in pair[side].get("cpu", ())}
        used = {role: median(pair[side]["cpu"].get(role, 0.0) for pair in self.pairs) for role in sorted(roles)}
        return {role: value for role, value in used.items() if value >= 0.05}

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        ratios = self.ratios()
        return {
            "key": self.key,
            "title": self.title,
            "sides": self.sides,
            "figure": self.figure,
            "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios)} if ratios else None,
            "goal": self.goal,
            "less": self.less,
            "facts": self.facts,
            "pairs": self.pairs,
        }


def rounds(one: Side, other: Side, count: int) -> list[tuple[Sample, Sample]]:
    """Both sides in turn; who begins changes from round to round, so that neither always follows the other."""
    pairs = []
    for number in range(count):
        if number % 2:
            second = other.measure()
            pairs.append((one.measure(), second))
        else:
            pairs.append((one.measure(), other.measure()))
    return pairs


def sample(
    generator: Generator,
    roles: Roles,
    *streams: Stream,
    faults: bool = False,
    then: Callable[[], None] = lambda: None,
) -> Sample:
    """Play streams; the report of the last one, with the CPU time that the servers took for each of all answers.

    `then` waits for work that the answers have caused: "overall" is the rate that includes it.
    """
    usage, begun = Usage(roles), time.monotonic()
    reports: list[Report] = generator.run(*streams, faults=faults)
    then()
    took, used = time.monotonic() - begun, usage.since()
    answers = sum(report["answered"] for report in reports)
    cpu = {role: seconds / max(1, answers) * 1e6 for role, seconds in used.items()}
    return {**reports[-1], "overall": answers / took, "cpu": cpu, "cpu_total": sum(cpu.values())}
