"""Answers that are still remembered: a retransmitted request gets the same octets again (RFC 5080 section 2.2.2).

There are hundreds of thousands of them at times, so none is an object that Python looks through for cycles: under its
source a request is its header, and what is remembered of it the mark of its tenant's lane with the answer behind it.
"""

from __future__ import annotations

from typing import Any, Final

from saas.radius.lanes import MARK

Source = tuple[Any, ...]  # the address that a request came from
Remembered = dict[bytes, bytes]  # a source's: header (code, identifier, length, authenticator) -> mark and answer

TTL: Final = 10.0  # seconds an answer is remembered at least, unless the limit is reached; at most twice that
LIMIT: Final = 65_536  # requests in one generation


class Duplicates:
    """Two generations of requests, so that forgetting the old ones costs nothing."""

    def __init__(self, ttl: float = TTL, limit: int = LIMIT) -> None:
        self._ttl = ttl
        self._limit = limit
        self._young: dict[Source, Remembered] = {}
        self._old: dict[Source, Remembered] = {}
        self._count = 0  # requests of the young generation
        self._turned = 0.0

    def seen(self, source: Source, header: bytes) -> bytes | None:
        """What is remembered of this request, see `answer_of`; None when the request is new."""
        remembered = self._young.get(source)
        found = remembered.get(header) if remembered is not None else None
        if found is None and source in self._old:
            return self._old[source].get(header)
        return found

    def begin(self, source: Source, header: bytes, mark: bytes, now: float) -> Remembered:
        """A new request is being worked on, in the lane of this mark. Mark and answer are to be put under its header
        into what is returned, or that is to be taken out of it when there is no answer. `now` in seconds.
        """
        if now - self._turned >= self._ttl or self._count >= self._limit:
            self._old, self._young, self._turned, self._count = self._young, {}, now, 0
        self._count += 1
        remembered = self._young.get(source)
        if remembered is None:
            remembered = self._young[source] = {}
        remembered[header] = mark
        return remembered


def answer_of(found: bytes) -> bytes:
    """The answer in what is remembered, b"" while it is being worked on."""
    return found[MARK:]
