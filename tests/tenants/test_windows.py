"""When a plan is good: days and hours on a tenant's clock, over midnight and over the change of the clocks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saas.tenants.windows import Window, window_of

BERLIN = "Europe/Berlin"


def window(days: str = "", start: str = "", until: str = "", zone: str = BERLIN) -> Window | None:
    plan: dict[str, Any] = {"days": days.split(), "hours_from": start, "hours_until": until}
    return window_of(plan, zone)


def at(text: str, zone: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("days", "start", "until"),
    [
        ("", "", ""),
        ("", "00:00", "24:00"),
        ("", "00:00", "00:00"),
        ("", "08:00", "08:00"),
        ("mon tue wed thu fri sat sun", "", ""),
    ],
)
def test_a_plan_that_is_good_at_all_times_has_no_window(days: str, start: str, until: str) -> None:
    assert window(days, start, until) is None


# 2026-11-23 is a Monday; the clocks go forward on 2026-03-29 (Sunday) at 02:00 and back on 2026-10-25 at 03:00
@pytest.mark.parametrize(
    ("days", "start", "until", "now", "is_open", "change"),
    [
        # hours of one day
        ("", "18:00", "23:00", "2026-11-23T17:59:59", False, "2026-11-23T18:00"),
        ("", "18:00", "23:00", "2026-11-23T18:00", True, "2026-11-23T23:00"),
        ("", "18:00", "23:00", "2026-11-23T22:59:59", True, "2026-11-23T23:00"),
        ("", "18:00", "23:00", "2026-11-23T23:00", False, "2026-11-24T18:00"),
        ("", "18:00", "24:00", "2026-11-23T23:59", True, "2026-11-24T00:00"),
        ("", "18:00", "", "2026-11-23T23:59", True, "2026-11-24T00:00"),
        ("", "", "06:00", "2026-11-23T00:00", True, "2026-11-23T06:00"),
        # over midnight
        ("", "22:00", "06:00", "2026-11-23T21:59", False, "2026-11-23T22:00"),
        ("", "22:00", "06:00", "2026-11-23T23:00", True, "2026-11-24T06:00"),
        ("", "22:00", "06:00", "2026-11-24T05:59", True, "2026-11-24T06:00"),
        ("fri", "22:00", "06:00", "2026-11-28T03:00", True, "2026-11-28T06:00"),  # Friday's, on Saturday
        ("fri", "22:00", "06:00", "2026-11-27T03:00", False, "2026-11-27T22:00"),  # Thursday's it is not
        # whole days, and days that touch are one stretch
        ("sat sun", "", "", "2026-11-23T00:00", False, "2026-11-28T00:00"),
        ("sat sun", "", "", "2026-11-28T00:00", True, "2026-11-30T00:00"),
        ("mon tue wed thu fri", "", "", "2026-11-24T12:00", True, "2026-11-28T00:00"),
        ("mon tue wed thu fri sat", "", "", "2026-11-29T12:00", False, "2026-11-30T00:00"),
        ("mon", "12:00", "12:00", "2026-11-24T11:00", True, "2026-11-24T12:00"),
        ("mon", "08:00", "09:00", "2026-11-23T09:00", False, "2026-11-30T08:00"),  # a week to wait
        # the clocks go forward: 02:00 to 03:00 does not exist
        ("", "22:00", "06:00", "2026-03-29T01:59", True, "2026-03-29T06:00"),
        ("", "02:30", "05:00", "2026-03-29T03:15", False, "2026-03-29T03:30"),
        ("", "02:30", "05:00", "2026-03-29T03:30", True, "2026-03-29T05:00"),
        ("", "01:00", "02:30", "2026-03-29T03:20", True, "2026-03-29T03:30"),
        ("", "02:15", "02:45", "2026-03-29T03:20", True, "2026-03-29T03:45"),
        ("", "02:30", "03:00", "2026-03-29T03:10", False, None),  # nothing is left of it on that day
        # the clocks go back: 02:00 to 03:00 comes twice
        ("", "02:30", "05:00", "2026-10-25T02:29", False, "2026-10-25T02:30"),
        ("", "02:30", "05:00", "2026-10-25T02:30", True, "2026-10-25T05:00"),
        ("", "22:00", "06:00", "2026-10-25T02:30", True, "2026-10-25T06:00"),
    ],
)
def test_a_window(days: str, start: str, until: str, now: str, is_open: bool, change: str | None) -> None:
    found = window(days, start, until)
    assert found is not None
    assert found.is_open(at(now)) is is_open
    if change is not None:
        assert found.until(at(now)) == at(change)


def test_a_window_that_ends_in_the_hour_that_comes_twice_ends_the_second_time() -> None:
    found = window("", "01:00", "02:30")
    assert found is not None
    assert found.is_open(at("2026-10-25T02:45"))  # the first 02:45: the second 02:30 is still to come
    assert found.until(at("2026-10-25T02:45")) == at("2026-10-25T02:30", fold=1)
    assert not found.is_open(at("2026-10-25T02:30", fold=1))


def test_a_night_is_an_hour_shorter_or_longer_when_the_clocks_change() -> None:
    found = window("", "22:00", "06:00")
    assert found is not None
    lengths = [found.until(at(day)) - at(day) for day in ("2026-03-27T22:00", "2026-03-28T22:00", "2026-10-24T22:00")]
    assert lengths == [8 * 3600, 7 * 3600, 9 * 3600]


def test_the_clock_is_the_tenants() -> None:
    found = window("", "18:00", "24:00", "Asia/Shanghai")
    assert found is not None
    assert found.is_open(at("2026-11-23T11:00", "UTC")) and not found.is_open(at("2026-11-23T09:59", "UTC"))


def test_what_is_remembered_never_differs_from_what_is_looked_up() -> None:
    """One window asked every 20 minutes over the change of the clocks, forward and back, against a fresh one."""
    kept = window("sat sun", "22:00", "04:00")
    assert kept is not None
    moments = [at("2026-10-23T00:00") + step * 1200 for step in range(400)]
    for now in [*moments, *reversed(moments)]:
        fresh = window("sat sun", "22:00", "04:00")
        assert fresh is not None
        assert (kept.is_open(now), kept.until(now)) == (fresh.is_open(now), fresh.until(now))
        assert kept.until(now) > now


@pytest.mark.parametrize("zone", [BERLIN, "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
def test_until_is_always_ahead_and_always_a_change(zone: str) -> None:
    found = window("mon thu", "23:30", "00:30", zone)
    assert found is not None
    now = at("2026-01-01T00:00", zone)
    end = now + timedelta(days=400).total_seconds()
    openings = 0
    while now < end:
        before = found.is_open(now)
        change = found.until(now)
        assert change > now and found.is_open(change) is not before
        openings += before
        now = change
    assert openings == pytest.approx(400 / 7 * 2, abs=2)
