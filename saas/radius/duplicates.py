"""Answers that are still remembered: a retransmitted request gets the same octets again (RFC 5080 section 2.2.2)."""

from __future__ import annotations

from typing import Any, Final

from saas.radius.lanes import Lane

Key = tuple[tuple[Any, ...], bytes]  # where the request came from, and its header: code, id, length, authenticator

TTL: Final = 10.0  # seconds an answer is remembered at least, unless the limit is reached; at most twice that
LIMIT: Final = 65_536  # requests in one generation


class Answer:
    """What a request was answered: `octets`, b"" while it is being worked on. Its repeats go down the same `lane`."""

    __slots__ = ("lane", "octets")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.octets = b""


class Duplicates:
    """Two generations of requests, so that forgetting the old ones costs nothing."""

    def __init__(self, ttl: float = TTL, limit: int = LIMIT) -> None:
        self._ttl = ttl
        self._limit = limit
        self._young: dict[Key, Answer] = {}
        self._old: dict[Key, Answer] = {}
        self._turned = 0.0

    def seen(self, key: Key) -> Answer | None:
        """The answer to this request; None when the request is new."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def begin(self, key: Key, lane: Lane, now: float) -> Answer:
        """A new request is being worked on; its answer is to be put into what is returned. `now` in seconds."""
        if now - self._turned >= self._ttl or len(self._young) >= self._limit:
            self._old, self._young, self._turned = self._young, {}, now
        answer = self._young[key] = Answer(lane)
        return answer

    def forget(self, key: Key) -> None:
        """There will be no answer: the next try is a new request."""
        self._young.pop(key, None)
        self._old.pop(key, None)
