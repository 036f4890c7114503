"""The hours in which a plan is good: days of the week, from and until, on the clock of the tenant's zone. Pure.

Times are wall clock times, so the stretches are an hour shorter or longer where the clocks change. A time that the
clock skips is taken as the same time after the change; one that it shows twice begins a window the first time and ends
it the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AHEAD: Final = 9  # days: more than a week, so that the next opening is always among them
_DAY: Final = 24 * 60  # minutes


class Window:
    """When a plan is good. It remembers the stretch it was last asked about: most questions cost two comparisons."""

    __slots__ = ("_days", "_from", "_length", "_open", "_since", "_until", "_zone")

    def __init__(self, days: frozenset[int], start: int, length: int, zone: str) -> None:
        """`days` as date.weekday() counts them; `start` in minutes after midnight, `length` in minutes."""
        self._days = days
        self._from = start
        self._length = length
        self._zone = ZoneInfo(zone)
        self._open = False
        self._since = self._until = 0.0

    def is_open(self, now: float) -> bool:
        """Whether the plan is good at `now`, seconds since 1970."""
        if not self._since <= now < self._until:
            self._look(now)
        return self._open

    def until(self, now: float) -> float:
        """When that changes, seconds since 1970."""
        if not self._since <= now < self._until:
            self._look(now)
        return self._until

    def _look(self, now: float) -> None:
        """Find the stretch around `now`: open from an opening to the next closing, windows that touch being one."""
        today = datetime.fromtimestamp(now, self._zone).date()
        (opened, closes), *later = [window for window in self._windows(today) if window[1] > now]
        for opens, ends in later:
            if opens > closes:
                break
            closes = max(closes, ends)
        self._open = opened <= now
        self._since, self._until = (opened, closes) if self._open else (now, opened)

    def _windows(self, today: date) -> Iterator[tuple[float, float]]:
        """Opening and closing times of the windows that begin around `today`, in order."""
        for ahead in range(-2, _AHEAD):
            day = today + timedelta(days=ahead)
            if day.weekday() in self._days:
                yield self._moment(day, self._from), self._closing(day, self._from + self._length)

    def _moment(self, day: date, minutes: int, fold: int = 0) -> float:
        day += timedelta(days=minutes // _DAY)
        clock = time(minutes % _DAY // 60, minutes % 60, fold=fold)
        return datetime.combine(day, clock, self._zone).timestamp()

    def _closing(self, day: date, minutes: int) -> float:
        """Of a time that the clock shows twice the second one; a skipped one is the same for both."""
        return max(self._moment(day, minutes), self._moment(day, minutes, fold=1))


def window_of(plan: Mapping[str, Any], zone: str) -> Window | None:
    """The window of a plan's row on the clock of `zone`; None when the plan is good at all times."""
    start = _minutes(plan["hours_from"] or "00:00")
    end = _minutes(plan["hours_until"] or "24:00")
    length = end - start if end > start else end - start + _DAY
    days = frozenset(_WEEK.index(day) for day in plan["days"]) or frozenset(range(7))
    if len(days) == len(_WEEK) and length >= _DAY:
        return None
    return Window(days, start, length, zone)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
