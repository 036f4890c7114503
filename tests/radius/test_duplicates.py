"""Answers that a worker remembers for retransmissions, and the lanes that these go down."""

from __future__ import annotations

import gc

from saas.radius.duplicates import Duplicates, answer_of
from saas.radius.lanes import Lane, Lanes

KEY = (("198.51.100.1", 1024), b"header")


def test_a_request_is_new_then_in_flight_then_answered() -> None:
    cache = Duplicates()
    assert cache.seen(*KEY) is None
    remembered = cache.begin(*KEY, b"mark", 0.0)
    assert cache.seen(*KEY) == b"mark" and answer_of(b"mark") == b""
    remembered[KEY[1]] += b"answer"
    assert cache.seen(*KEY) == b"markanswer" and answer_of(b"markanswer") == b"answer"
    del remembered[KEY[1]]
    assert cache.seen(*KEY) is None


def test_requests_of_a_source_and_of_another_are_told_apart() -> None:
    cache = Duplicates()
    for number in range(3):
        for port in range(3):
            cache.begin(("x", port), b"%d" % number, b"%d%d.." % (port, number), 0.0)
    assert cache.seen(("x", 1), b"2") == b"12.."
    assert cache.seen(("x", 3), b"2") is None and cache.seen(("x", 1), b"3") is None


def test_an_answer_is_remembered_for_its_time_and_then_forgotten() -> None:
    cache = Duplicates(ttl=10.0)
    cache.begin(("x", 0), b"", b"mark", 100.0)
    remembered = cache.begin(*KEY, b"mark", 100.0)
    cache.begin(("x", 1), b"", b"mark", 110.0)
    remembered[KEY[1]] += b"late"
    assert cache.seen(*KEY) == b"marklate", "what is answered late is remembered with its generation"
    cache.begin(("x", 2), b"", b"mark", 120.0)
    assert cache.seen(*KEY) is None


def test_the_number_of_answers_is_bounded() -> None:
    cache = Duplicates(ttl=1e9, limit=10)
    for number in range(100):
        cache.begin(("x", number // 7), b"%d" % number, b"mark", 1.0)
    assert sum(cache.seen(("x", number // 7), b"%d" % number) is not None for number in range(100)) <= 20
    assert cache.seen(("x", 14), b"99") is not None


def test_what_is_remembered_is_nothing_to_look_through_for_cycles() -> None:
    cache = Duplicates()
    cache.begin(*KEY, b"mark", 0.0)
    before = len(gc.get_objects())
    for number in range(1000):
        cache.begin(KEY[0], b"%d" % number, b"mark", 0.0)[b"%d" % number] += b"answer"
    assert len(gc.get_objects()) - before < 100


def test_a_lane_lets_its_rate_through_and_a_burst_after_quiet() -> None:
    lane = Lane(10, 100.0)
    assert sum(lane.admits(100.0) for _ in range(50)) == 20
    assert sum(lane.admits(100.5) for _ in range(50)) == 5
    assert sum(lane.admits(1000.0) for _ in range(50)) == 20
    assert not lane.admits(900.0), "a clock that was set back grants nothing"


def test_a_lane_without_rate_is_without_limit() -> None:
    lane = Lane(0, 100.0)
    assert all(lane.admits(100.0) for _ in range(1000))


def test_each_tenant_has_a_lane_of_its_own() -> None:
    lanes = Lanes(1)
    assert [lanes.of("loud", 0.0).admits(0.0) for _ in range(3)] == [True, True, False]
    assert lanes.of("quiet", 0.0).admits(0.0)
    for name in ("loud", "quiet"):
        assert lanes.marked(lanes.of(name, 0.0).mark + b"answer") is lanes.of(name, 0.0)
