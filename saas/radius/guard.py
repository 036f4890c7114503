"""Guessing passwords is made slow: after so many wrong ones within a while, further ones are not even tested.

Counted is each account, whatever the name of it, and each calling station, whatever accounts it tries; a station may
be wrong more often, because many subscribers may stand behind one address. Where an account was let in before, that
is from the same station at the same device, wrong passwords count for that place alone: no stranger's guesses lock a
subscriber out. Nobody is kept out longer than the window lasts, for what is not tested does not count.

All is counted in this worker, without a store: a pool of n workers tests up to n times as many. What is counted is
bounded for each tenant; who floods it with names makes others forgotten, at the price of a wrong password for each.
"""

from __future__ import annotations

from typing import Final

from saas.radius.identify import Nas
from saas.radius.logins import Name

LIMIT: Final = 1024  # counts of one tenant
STATION: Final = 5  # times as many wrong passwords as of an account
PLACES: Final = 4  # that are remembered of an account
ACCOUNTS: Final = 100_000  # whose places are remembered

Key = str | tuple[str, ...]  # an account's name, (station,), or (name, device id, station): an account at a place
Places = tuple[tuple[str, str], ...]


class Guard:
    """The wrong passwords of a worker. Where there are none, asking costs one look-up."""

    def __init__(self, limit: int = LIMIT, accounts: int = ACCOUNTS) -> None:
        """`limit` counts of one tenant, the places of so many `accounts`."""
        self._limit = limit
        self._accounts = accounts
        # account -> (device id, station), the latest first; of accounts, who got a new place last stands last
        self._places: dict[Name, Places] = {}
        # tenant -> what is counted -> since when (seconds since 1970), how many; the oldest first
        self._tenants: dict[str, dict[Key, tuple[float, int]]] = {}

    def holds(self, nas: Nas, name: Name, station: str, now: float) -> bool:
        """Whether a password is to be refused without a test."""
        counts = self._tenants.get(name[0])
        if not counts:
            return False
        bare = _bare(station)
        if name[1] not in counts and (bare,) not in counts and (name[1], nas.id, bare) not in counts:
            return False
        window, most = nas.device.guard_window, nas.device.guard_attempts
        for key, share in self._keys(nas, name, station):
            since, wrong = counts.get(key, (0.0, 0))
            if 0 < most * share <= wrong and now - since < window:
                return True
        return False

    def failed(self, nas: Nas, name: Name, station: str, now: float) -> None:
        """A password was wrong, or there is no such account."""
        if not nas.device.guard_attempts:
            return
        counts = self._tenants.setdefault(name[0], {})
        for key, _ in self._keys(nas, name, station):
            since, wrong = counts.get(key, (now, 0))
            if now - since >= nas.device.guard_window:
                del counts[key]
                since, wrong = now, 0
            elif not wrong and len(counts) >= self._limit:
                del counts[next(iter(counts))]
            counts[key] = (since, wrong + 1)

    def account_changed(self, tenant_id: str, username: str) -> None:
        """Forget an account's wrong passwords: it may have a new one."""
        counts = self._tenants.get(tenant_id, {})
        for key in [key for key in counts if key == username or _is_place(key, username)]:
            del counts[key]

    def let_in(self, nas: Nas, name: Name, station: str) -> None:
        """Remember where an account was let in."""
        places = self._places.pop(name, ())
        if (nas.id, station) not in places:
            places = ((nas.id, station), *places[: PLACES - 1])
        if len(self._places) >= self._accounts:
            del self._places[next(iter(self._places))]
        self._places[name] = places

    def _keys(self, nas: Nas, name: Name, station: str) -> tuple[tuple[Key, int], ...]:
        """What an attempt counts for, and how many times as many wrong passwords that may have."""
        if not station:
            return ((name[1], 1),)
        place = (nas.id, _bare(station))
        if any((nas_id, _bare(known)) == place for nas_id, known in self._places.get(name, ())):
            return (((name[1], *place), 1),)
        return ((name[1], 1), ((_bare(station),), STATION))


def _is_place(key: Key, username: str) -> bool:
    return isinstance(key, tuple) and len(key) == 3 and key[0] == username


def _bare(station: str) -> str:
    """A station without the port that some devices put behind its address: ``10.0.0.2[4500]``."""
    return station.partition("[")[0]
