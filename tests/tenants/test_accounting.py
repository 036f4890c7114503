"""What events do to sessions, without any store: losses, repeats, reordering, wraps, resets, reused ids."""

from __future__ import annotations

import random
from typing import Any

import pytest

from saas.tenants.accounting import AcctEvent, Row, begin, close, event_key, fold, match, search_texts
from saas.values import from_epoch
from tests.tenants.accounting_events import GIGA, T0, event, session


def play(*events: AcctEvent, rows: list[Row] | None = None) -> list[Row]:
    """The sessions that come of events, the earliest start first."""
    found: list[Row] = [] if rows is None else rows
    for each in events:
        row = match([row for row in found if row["key"] == event_key(each)], each)
        if row is None:
            found.append(begin(each))
        else:
            fold(row, each)
    return sorted(found, key=lambda row: row["started_at"])


def one(*events: AcctEvent) -> Row:
    """The only session that comes of events."""
    (row,) = play(*events)
    return row


def at(seconds: float) -> Any:
    return from_epoch(T0 + seconds)


def totals(rows: list[Row]) -> list[tuple[Any, ...]]:
    """What a bill would be made of."""
    names = ("started_at", "stopped_at", "open", "session_time", "input_octets", "output_octets", "start_source")
    return [
        tuple(row[name] for name in names) for row in sorted(rows, key=lambda row: (row["username"], row["started_at"]))
    ]


def test_a_whole_session() -> None:
    row = one(*session(0, (300, 10, 100), (600, 20, 200), (700, 25, 250)))
    assert totals([row]) == [(at(0), at(700), False, 700, 25, 250, "start")]
    assert row["stop_source"] == "stop"
    assert row["terminate_cause"] == "User-Request"
    assert row["flags"] == []


def test_start_twice_is_one_session() -> None:
    row = one(event("start", 0), event("start", 0), event("start", 200))
    assert row["open"]
    assert row["started_at"] == at(0)


def test_start_lost_is_reckoned_back_from_the_first_interim() -> None:
    row = one(event("interim", 900, session_time=600, up=5, down=6))
    assert totals([row]) == [(at(300), None, True, 600, 5, 6, "interim")]


def test_late_start_corrects_the_reckoned_one() -> None:
    row = one(event("interim", 300.8, session_time=300, up=5, down=6), event("start", 0, received=301))
    assert row["started_at"] == at(0)
    assert row["start_source"] == "start"


def test_stop_without_start_is_a_record_all_the_same() -> None:
    row = one(event("stop", 500, session_time=500, up=7, down=8, terminate_cause="Idle-Timeout"))
    assert totals([row]) == [(at(0), at(500), False, 500, 7, 8, "stop")]
    assert row["terminate_cause"] == "Idle-Timeout"


def test_stop_twice_counts_once_and_ends_when_it_first_ended() -> None:
    stop = event("stop", 500, session_time=500, up=7, down=8, terminate_cause="Idle-Timeout")
    again = event("stop", 504, session_time=500, up=7, down=8, terminate_cause="Idle-Timeout")
    row = one(event("start", 0), stop, again)
    assert totals([row]) == [(at(0), at(500), False, 500, 7, 8, "start")]


def test_interim_after_stop_reopens_nothing_and_adds_nothing() -> None:
    late = event("interim", 300, received=705, session_time=300, up=10, down=100)
    unstamped = event("interim", 703, session_time=600, up=20, down=200)  # sent before the Stop, without a delay time
    row = one(*session(0, (300, 10, 100), (700, 25, 250)), late, unstamped)
    assert not row["open"]
    assert (row["input_octets"], row["output_octets"], row["session_time"]) == (25, 250, 700)
    assert row["stopped_at"] == at(700)


def test_counters_in_the_interim_alone_survive_a_stop_without_any() -> None:
    stop = event("stop", 400)
    interim = event("interim", 300, session_time=300, up=10, down=100)
    assert totals([one(event("start", 0), interim, stop)]) == [(at(0), at(400), False, 300, 10, 100, "start")]


def test_missing_counters_keep_the_last() -> None:
    row = one(event("start", 0), event("interim", 300, session_time=300, up=10, down=100), event("interim", 600))
    assert (row["input_octets"], row["output_octets"], row["session_time"]) == (10, 100, 300)
    assert row["seen_at"] == at(600)


def test_zero_counters_keep_the_last() -> None:
    row = one(
        event("start", 0),
        event("interim", 300, session_time=300, up=10, down=100),
        event("interim", 600, session_time=0, up=0, down=0),
        event("interim", 900, session_time=900, up=0, down=150),
    )
    assert (row["input_octets"], row["output_octets"], row["session_time"]) == (10, 150, 900)
    assert row["flags"] == ["counter_regressed"]


def test_session_time_jumping_backwards_keeps_counting() -> None:
    """A device that computes the time from a clock which was put back."""
    row = one(
        event("start", 0),
        event("interim", 3600, session_time=3600, up=100, down=1000),
        event("interim", 3900, session_time=3000, up=110, down=1100),
        event("interim", 4200, session_time=3300, up=120, down=1200),
    )
    assert (row["input_octets"], row["output_octets"], row["session_time"]) == (120, 1200, 3600)
    assert row["open"]


def test_wrap_without_gigawords() -> None:
    row = one(
        event("start", 0),
        event("interim", 300, session_time=300, up=1, down=GIGA - 1000),
        event("interim", 600, session_time=600, up=2, down=500),
        event("interim", 900, session_time=900, up=3, down=GIGA - 10),
        event("stop", 1200, session_time=1200, up=4, down=90),
    )
    assert row["output_octets"] == 2 * GIGA + 90
    assert row["input_octets"] == 4
    assert row["flags"] == ["counter_wrapped"]


def test_wrap_is_implausible_when_no_line_is_that_fast() -> None:
    row = one(
        event("start", 0),
        event("interim", 300, session_time=300, down=GIGA // 2 + 10),
        event("interim", 301, session_time=301, down=500),
    )
    assert row["output_octets"] == GIGA // 2 + 10 + 500  # reset, then
    assert row["flags"] == ["counter_reset"]


def test_gigawords_never_wrap() -> None:
    row = one(
        event("start", 0),
        event("interim", 300, session_time=300, down=GIGA - 1000, gigawords=True),
        event("interim", 600, session_time=600, down=GIGA + 500, gigawords=True),
        event("stop", 900, session_time=900, down=5 * GIGA, gigawords=True),
    )
    assert row["output_octets"] == 5 * GIGA
    assert row["flags"] == []


def test_reset_counters_go_on_from_the_old_total() -> None:
    row = one(
        event("start", 0),
        event("interim", 300, session_time=300, up=10, down=1000),
        event("interim", 600, session_time=600, up=2, down=40),
        event("interim", 300, session_time=300, up=10, down=1000, received=601),  # repeated: older than the reset
        event("stop", 900, session_time=900, up=4, down=90),
    )
    assert (row["input_octets"], row["output_octets"]) == (14, 1090)
    assert row["flags"] == ["counter_reset"]


def test_a_slightly_smaller_counter_is_inexact_and_not_a_reset() -> None:
    row = one(
        event("start", 0),
        event("interim", 300, session_time=300, down=1000),
        event("stop", 301, session_time=301, down=990),
    )
    assert row["output_octets"] == 1000
    assert row["flags"] == ["counter_regressed"]


def test_an_id_reused_long_after_the_stop_is_another_session() -> None:
    found = play(*session(0, (300, 10, 100)), *session(5000, (60, 1, 2)))
    assert totals(found) == [
        (at(0), at(300), False, 300, 10, 100, "start"),
        (at(5000), at(5060), False, 60, 1, 2, "start"),
    ]


def test_an_id_reused_at_once_is_another_session() -> None:
    found = play(*session(0, (300, 10, 100)), *session(306, (400, 50, 60)))
    assert [(row["input_octets"], row["output_octets"]) for row in found] == [(10, 100), (50, 60)]


def test_an_id_reused_with_its_start_lost_is_another_session() -> None:
    found = play(*session(0, (300, 10, 100)), event("interim", 5000, session_time=700, up=1, down=2))
    assert totals(found)[1] == (at(4300), None, True, 700, 1, 2, "interim")


def test_a_reboot_that_nobody_announced_is_another_session() -> None:
    """No Stop, no Accounting-On, no Start: only the session time begins anew."""
    found = play(
        event("start", 0),
        event("interim", 1000, session_time=1000, up=10, down=100),
        event("interim", 1400, session_time=390, up=3, down=4),
    )
    assert [(row["input_octets"], row["started_at"]) for row in found] == [(10, at(0)), (3, at(1010))]


def test_late_packets_of_the_earlier_session_find_it() -> None:
    first, second = session(0, (300, 10, 100)), session(5000, (60, 1, 2))
    found = play(*second, *first)
    assert totals(found) == totals(play(*first, *second))


def test_after_a_reboot_the_same_id_begins_at_once_another_session() -> None:
    found = play(event("start", 0), event("interim", 300, session_time=300, up=1, down=1))
    close(found[0], at(400), "NAS-Reboot", "on")
    found = play(event("start", 402), rows=found)
    assert [row["open"] for row in found] == [False, True]


def test_an_interim_reopens_what_was_only_thought_to_have_ended() -> None:
    for source in ("stale", "clear", "disconnect", "on"):
        found = play(event("start", 0), event("interim", 300, session_time=300, up=10, down=100))
        close(found[0], at(300), "Lost-Carrier", source)
        play(event("interim", 300, session_time=300, up=10, down=100), rows=found)
        assert not found[0]["open"], "a repeat is no sign of life"
        (row,) = play(event("interim", 4000, session_time=4000, up=30, down=300), rows=found)
        assert row["open"], source
        assert (row["stopped_at"], row["stop_source"], row["terminate_cause"]) == (None, "", "")
        assert row["flags"] == ["reopened"]
        assert row["input_octets"] == 30


def test_the_devices_stop_corrects_ours() -> None:
    found = play(event("start", 0), event("interim", 300, session_time=300, up=10, down=100))
    close(found[0], at(300), "Lost-Carrier", "stale")
    stop = event("stop", 900, session_time=900, up=20, down=200, terminate_cause="User-Request")
    (row,) = play(stop, rows=found)
    assert totals([row]) == [(at(0), at(900), False, 900, 20, 200, "start")]
    assert (row["stop_source"], row["terminate_cause"]) == ("stop", "User-Request")


def test_a_device_whose_clock_is_ahead_lives_in_our_present() -> None:
    row = one(event("interim", 900, received=600, session_time=300, up=1, down=1))
    assert row["seen_at"] == at(600)
    assert row["started_at"] == at(300)


def test_nonsense_session_time_is_as_none() -> None:
    row = one(event("interim", 600, session_time=2**32 - 1, up=1, down=1))
    assert row["started_at"] == at(600)
    assert row["session_time"] == 0


def test_facts_are_the_newest_known() -> None:
    row = one(
        event("start", 0, framed_ip="", nas_port=7, connect_info="100 Mbit/s"),
        event("interim", 300, session_time=300, framed_ip="10.0.0.9", nas_port=None),
        event("interim", 100, received=301, session_time=100, framed_ip="10.0.0.8", tunnel_client="198.51.100.4"),
    )
    assert (row["framed_ip"], row["nas_port"], row["connect_info"]) == ("10.0.0.9", 7, "100 Mbit/s")
    assert row["tunnel_client"] == "198.51.100.4"


def test_search_finds_by_name_address_and_any_spelling_of_the_hardware_address() -> None:
    row = one(event("start", 0, username="Alice", calling_station_id="aabb.ccdd.ee01"))
    assert search_texts(row) == ["10.0.0.5", "aa-bb-cc-dd-ee-01", "aabb.ccdd.ee01", "alice"]


@pytest.mark.parametrize("other", [{"nas_id": "nas_2"}, {"session_id": "0002"}, {"username": "bob"}])
def test_another_device_id_or_user_is_another_session(other: dict[str, str]) -> None:
    assert len(play(event("start", 0), event("start", 0, **other))) == 2


def test_names_are_compared_in_their_normal_spelling() -> None:
    one(event("start", 0), event("stop", 9, session_time=9, username="CORP\\Alice "))


@pytest.mark.parametrize("seed", range(60))
def test_repeated_reordered_and_partly_lost_events_give_the_same_totals(seed: int) -> None:
    """Sessions of several users and reused ids, with delay times told: any order, any number of times."""
    chance = random.Random(seed)
    events: list[AcctEvent] = []
    for name in ("alice", "bob"):
        begin_at = 0
        for _ in range(chance.randint(1, 3)):
            lasts = chance.randint(2, 6)
            readings = [(300 * n, 1000 * n + chance.randint(0, 99), 9000 * n) for n in range(1, lasts + 1)]
            events += session(begin_at, *readings, username=name)
            begin_at += 300 * lasts + chance.randint(60, 9000)
    expected = totals(play(*events))

    shuffled = [*events, *chance.choices(events, k=len(events))]
    chance.shuffle(shuffled)
    assert totals(play(*shuffled)) == expected

    rows = play(*events)
    for prefix in range(len(events) + 1):
        assert totals(play(*events[:prefix], rows=rows)) == expected, "repeating a prefix changes nothing"

    lossy = [each for each in events if each.status == "stop" or chance.random() < 0.5]
    chance.shuffle(lossy)
    usage = [row[3:6] for row in expected]
    assert [row[3:6] for row in totals(play(*lossy))] == usage, "the Stop alone tells the totals"


def test_a_guessed_end_does_not_swallow_another_session_under_the_same_id() -> None:
    """Its Stop was lost, the device rebooted long after; what began in between and is told of late is another one."""
    found = play(event("start", 0), event("interim", 300, session_time=300, up=7, down=7))
    close(found[0], at(9000), "NAS-Reboot", "on")
    play(event("stop", 5040, session_time=40, up=1, down=2), event("start", 7000), rows=found)
    assert [(row["session_time"], row["input_octets"]) for row in found] == [(300, 7), (40, 1), (0, 0)]


def test_an_end_may_be_told_late_by_a_device_that_tells_no_times() -> None:
    found = play(event("start", 0), event("interim", 300, up=7, down=7))
    close(found[0], at(900), "NAS-Reboot", "on")
    play(event("stop", 600, up=9, down=9), rows=found)
    assert [(row["stop_source"], row["input_octets"]) for row in found] == [("stop", 9)]


def test_counters_never_outgrow_the_store() -> None:
    most = 2**63 - 1
    found = play(*session(0, (300, most, most), (600, 5, 5)), event("stop", 600, session_time=600, up=5, down=5))
    assert [(row["input_octets"], row["input_base"], row["flags"]) for row in found] == [
        (most, most, ["counter_reset"])
    ]


def test_a_speed_never_outgrows_the_store() -> None:
    most = 2**63 - 1
    found = one(*session(0, (300, 0, 0), (302, most, most)))
    assert (found["input_rate"], found["output_rate"]) == (most, most)


def test_a_speed_is_of_the_time_between_two_reports() -> None:
    found = one(*session(0, (300, 300, 3000), (400, 1300, 3000)))
    assert (found["input_rate"], found["output_rate"]) == (80, 0)
