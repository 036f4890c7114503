"""When a job is due next: minutes, and days of a zone, also where the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from saas.tenants.schedules import Daily, Every

SHANGHAI: dict[str, Any] = {"timezone": "Asia/Shanghai"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(schedule: Daily, zone: str, first: str, count: int) -> list[str]:
    """The moments that follow on `first`, each from the one before."""
    moment, found = at(first), []
    for _ in range(count):
        moment = schedule.after(moment, moment, {"timezone": zone})
        found.append(moment.isoformat(" ", "minutes")[:16])
    return found


def test_minutes_are_counted_from_the_run() -> None:
    every = Every(10)
    assert every.after(at("2026-01-01 10:00"), at("2026-01-01 10:00:30"), SHANGHAI) == at("2026-01-01 10:10:30")
    late = every.after(at("2026-01-01 10:00"), at("2026-01-03 12:00"), SHANGHAI)
    assert late == at("2026-01-03 12:10"), "one run makes up for all that were missed"


def test_days_are_those_of_the_zone() -> None:
    assert days(Daily(time(0, 10)), SHANGHAI["timezone"], "2026-02-27 16:09", 3) == [
        "2026-02-27 16:10",
        "2026-02-28 16:10",
        "2026-03-01 16:10",
    ]


def test_the_hour_may_be_the_tenants_to_say() -> None:
    daily = Daily(time(), "notice_hour")
    for hour, first, second in (
        (0, "2026-03-01 16:00", "2026-03-02 16:00"),
        (23, "2026-03-01 15:00", "2026-03-02 15:00"),
    ):
        moment = daily.after(at("2026-03-01 04:00"), at("2026-03-01 04:00"), SHANGHAI | {"notice_hour": hour})
        assert moment == at(first)
        assert daily.after(moment, moment, SHANGHAI | {"notice_hour": hour}) == at(second)


def test_a_day_that_was_missed_comes_before_the_next_one() -> None:
    due, now = at("2026-01-01 16:10"), at("2026-01-09 00:00")
    assert Daily(time(0, 10)).after(due, now, SHANGHAI) == at("2026-01-02 16:10")


@pytest.mark.parametrize(
    ("zone", "clock", "first", "expected"),
    [
        # 2026-03-29 the clock goes from 2 to 3, 2026-10-25 from 3 back to 2
        ("Europe/Berlin", time(9, 0), "2026-03-27 08:00", ["2026-03-28 08:00", "2026-03-29 07:00", "2026-03-30 07:00"]),
        ("Europe/Berlin", time(2, 30), "2026-03-28 01:30", ["2026-03-29 01:30", "2026-03-30 00:30"]),
        ("Europe/Berlin", time(2, 30), "2026-10-24 00:30", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        # in Santiago midnight itself is skipped: 2026-09-06 begins at 1
        ("America/Santiago", time(0, 10), "2026-09-05 04:10", ["2026-09-06 04:10", "2026-09-07 03:10"]),
        # Samoa had no 30 December 2011
        ("Pacific/Apia", time(0, 10), "2011-12-29 10:10", ["2011-12-30 10:10", "2011-12-31 10:10"]),
    ],
)
def test_each_day_has_one_run_where_the_clocks_change(zone: str, clock: time, first: str, expected: list[str]) -> None:
    assert days(Daily(clock), zone, first, len(expected)) == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"])
def test_a_year_has_a_run_for_each_of_its_days(zone: str) -> None:
    moment = Daily(time(0, 10)).after(at("2025-12-31 12:00"), at("2025-12-31 12:00"), {"timezone": zone})
    gaps = set()
    for _ in range(365):
        following = Daily(time(0, 10)).after(moment, moment, {"timezone": zone})
        gaps.add(following - moment)
        moment = following
    assert gaps <= {timedelta(hours=hours) for hours in (23, 23.5, 24, 24.5, 25)}
    assert moment.year == 2027 or moment > at("2026-12-31 00:00")
