"""What devices do, what becomes of their packets on the way, and what the books must say in the end.

The truth is a list of sessions, each with its readings. A device tells of them in packets that are lost, come twice,
late or out of order. `expected` is the plain reference: it knows which session a packet is of, and needs only the
greatest reading that was recorded. The code under test has to find that out from ids, times and names.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from saas.tenants.journal import AcctEvent
from tests.tenants.accounting_events import GIGA, T0, event

INTERVAL = 300  # seconds between two interim updates
# Seconds after which a device may give the same id to the same user again. Below 300 a Start of which nothing else is
# heard cannot be told from a repeat of an earlier one.
REUSE = 320


@dataclass(frozen=True)
class Kind:
    """How a device tells. `delays`: seconds that a packet may be late; `exact`: it says so by Acct-Delay-Time."""

    name: str
    delays: tuple[int, ...]
    exact: bool
    gigawords: bool = True


KINDS = (
    Kind("relayed", (0, 0, 3, 40, 400, 3000), exact=True),  # stored and forwarded: any order
    Kind("plain", (0, 0, 1, 3), exact=False),  # repeats octet for octet, a few seconds later
    Kind("narrow", (0, 0, 2), exact=False, gigawords=False),  # 32-bit counters that wrap
)


@dataclass(eq=False)
class Life:
    """A session as it truly was. `readings`: (seconds since T0, session time, upload, download)."""

    nas_id: str
    session_id: str
    username: str
    begin: int
    readings: list[tuple[int, int, int, int]] = field(default_factory=list)
    stopped: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        return self.nas_id, self.session_id, self.username

    @property
    def end(self) -> int:
        return self.readings[-1][0] if self.readings else self.begin


@dataclass(frozen=True)
class Packet:
    """One arrival: the event, and the session it is of (None: the device began or ended its service)."""

    event: AcctEvent
    life: Life | None


class Gateway:
    """One device of a tenant over its whole life."""

    def __init__(self, dice: random.Random, tenant_id: str, nas_id: str, kind: Kind, users: tuple[str, ...]) -> None:
        self._dice = dice
        self._base = {"tenant_id": tenant_id, "nas_id": nas_id}
        self._kind = kind
        self._users = users
        self._ends: dict[tuple[str, str, str], int] = {}
        self.packets: list[Packet] = []

    def live(self, span: int) -> None:
        """Serve, reboot, serve, for `span` seconds."""
        now = self._dice.randrange(600)
        while now < span:
            until = now + self._dice.randrange(1800, 9000)
            lives = self._serve(now, until)
            last = max((life.end for life in lives), default=now)
            now = max(last, until) + 10
            if self._dice.random() < 0.4:
                self._tell("off", now)
                now += 60
            now += self._dice.randrange(30, 120)
            self._tell("on", now)
            now += 10

    def _serve(self, now: int, until: int) -> list[Life]:
        """Sessions of every user, one after the other; the reboot at `until` cuts off what still runs."""
        lives, number = [], 0
        for user in self._users:
            at = now + self._dice.randrange(60)
            while at < until:
                number = number % 4 + 1  # ids are few, and the same again after a reboot
                life = Life(self._base["nas_id"], f"{number:04d}", user, at)
                if at < self._ends.get(life.key, -REUSE) + REUSE:
                    at += 200
                    continue
                self._run(life, until)
                self._ends[life.key] = life.end
                lives.append(life)
                at = life.end + self._dice.randrange(20, 1500)
        return lives

    def _run(self, life: Life, until: int) -> None:
        lasts = self._dice.choice((1, 5, 40, 299, 700, 1900, 4000))
        cut = life.begin + lasts > until
        up = down = 0
        moments = [*range(INTERVAL, lasts, INTERVAL), lasts]
        self._tell("start", life.begin, life)
        for seconds in moments:
            if life.begin + seconds > until:
                return
            elapsed = seconds - (life.readings[-1][1] if life.readings else 0)
            up += self._grown(elapsed)
            down += self._grown(elapsed)
            life.readings.append((life.begin + seconds, seconds, up, down))
            life.stopped = seconds == lasts and not cut and self._dice.random() < 0.9
            self._tell("stop" if life.stopped else "interim", life.begin + seconds, life)

    def _grown(self, elapsed: int) -> int:
        """Octets of some seconds. Two steps of a narrow counter stay below half of what it can count."""
        most = min(elapsed * 100_000_000, GIGA // 4 if not self._kind.gigawords else 3 * GIGA)
        return self._dice.choice((0, 1, self._dice.randrange(10**6), self._dice.randrange(most)))

    def _tell(self, status: str, at: int, life: Life | None = None) -> None:
        values: dict[str, Any] = {"session_id": "", "username": "", "gigawords": self._kind.gigawords}
        if life is not None:
            values |= {"session_id": life.session_id, "username": life.username}
        if life is not None and life.readings and status != "start":
            _, seconds, up, down = life.readings[-1]
            wrap = 2**63 if self._kind.gigawords else GIGA
            values |= {"session_time": seconds, "up": up % wrap, "down": down % wrap, "input_packets": up // 1000}
        if status == "stop":
            values["terminate_cause"] = "User-Request"
        for delay in self._arrivals(status):
            shown = at if self._kind.exact else at + delay
            told = event(status, shown, received=at + delay, **self._base, **values)
            self.packets.append(Packet(told, life))

    def _arrivals(self, status: str) -> Iterator[int]:
        """How late each copy comes that is recorded. A device's last word before a reboot is not repeated after it."""
        delays = self._kind.delays if status not in ("on", "off") or self._kind.exact else (0, 1)
        lost = 0.15 if self._kind.gigawords else 0.05  # two losses in a row would hide a narrow counter's wrap
        if self._dice.random() < lost:
            return
        for _ in range(self._dice.choice((1, 1, 1, 2, 3))):
            yield self._dice.choice(delays)


@dataclass
class Expected:
    """What the books must say of a session. `open` None: it depends on the order of arrival."""

    life: Life
    session_time: int = 0
    input_octets: int = 0
    output_octets: int = 0
    stopped: bool = False
    open: bool | None = True


def expected(recorded: list[Packet]) -> list[Expected]:
    """The reference: what these packets tell, in the order of their recording."""
    found: dict[int, Expected] = {}
    for packet in recorded:
        told, life = packet.event, packet.life
        if life is None:
            for each in found.values():
                if each.life.nas_id == told.nas_id and T0 + each.life.begin < told.at:
                    each.open = False
            continue
        known = id(life) in found
        each = found.setdefault(id(life), Expected(life))
        reading = next((r for r in life.readings if r[1] == told.session_time), (0, 0, 0, 0))
        if told.status != "start":
            each.session_time = max(each.session_time, reading[1])
            each.input_octets = max(each.input_octets, reading[2])
            each.output_octets = max(each.output_octets, reading[3])
        each.stopped = each.stopped or told.status == "stop"
        if not known and any(_ends_it(other, life) for other in recorded):
            each.open = None  # its first packet may have come after what ended it
    for each in found.values():
        newer = any(other.life.key == each.life.key and other.life.begin > each.life.begin for other in found.values())
        if each.stopped or newer:
            each.open = False
    return sorted(found.values(), key=lambda each: (each.life.key, each.life.begin))


def _ends_it(packet: Packet, life: Life) -> bool:
    told = packet.event
    return packet.life is None and told.nas_id == life.nas_id and told.at > T0 + life.begin
