"""How much of a worker one tenant may take: a rate of packets, so that its storm is nobody else's.

A lane lets `rate` packets a second through, and as many again that come at once after a quiet second. Packets of a
tenant are counted after they were proven, so nobody can use up another's rate; retransmissions count like any other.
"""

from __future__ import annotations

from typing import Final

MARK: Final = 4  # octets of a lane's mark


class Lane:
    """A tenant's share of a port. `rate` 0 is without limit. `mark` is short for it among its Lanes."""

    __slots__ = ("_burst", "_left", "_rate", "_then", "mark")

    def __init__(self, rate: float, now: float, mark: bytes = bytes(MARK)) -> None:
        self.mark = mark
        self._rate = rate
        self._burst = 2 * rate
        self._left = self._burst
        self._then = now

    def admits(self, now: float) -> bool:
        """Whether one more packet may pass at `now`, any clock in seconds that never goes far back."""
        if not self._rate:
            return True
        left = self._left
        if now != self._then:  # the packets of one wake-up come at one moment
            left = min(self._burst, left + max(0.0, now - self._then) * self._rate)
            self._then = now
        if left < 1.0:
            self._left = left
            return False
        self._left = left - 1.0
        return True


class Lanes:
    """The lanes of a port by tenant."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lanes: dict[str, Lane] = {}
        self._marked: list[Lane] = []

    def of(self, tenant_id: str, now: float) -> Lane:
        """The tenant's lane; full when it is the first time."""
        lane = self._lanes.get(tenant_id)
        if lane is None:
            lane = self._lanes[tenant_id] = Lane(self._rate, now, len(self._marked).to_bytes(MARK, "big"))
            self._marked.append(lane)
        return lane

    def marked(self, octets: bytes) -> Lane:
        """The lane whose mark these octets begin with."""
        return self._marked[int.from_bytes(octets[:MARK], "big")]
