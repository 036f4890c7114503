"""Login records cached in the worker: a packet whose account is known waits for no store.

A change message makes an entry stale at once; its age bounds what a lost message can do. What is not there is fetched
for a whole batch in one operation. While the store is away, accounts known for less than an hour still get in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from saas.errors import Unavailable
from saas.radius.codec import text
from saas.radius.identify import Nas
from saas.radius.replies import Grant
from saas.tenants.access import LoginRecord
from saas.tenants.slots import Counted
from saas.values import normal_username

Name = tuple[str, str]  # (tenant id, user name in its normal spelling)
Fetch = Callable[[list[Name]], Awaitable[Mapping[Name, LoginRecord]]]

MAX_AGE: Final = 600.0  # seconds an account is believed of which no change was told
MAX_AGE_NOBODY: Final = 5.0  # seconds it is believed that nobody has a name
MAX_AGE_AWAY: Final = 3600.0  # seconds an account is believed while the store does not answer
PATIENCE: Final = 0.5  # seconds the store gets: devices repeat after one or more
RETRY: Final = 1.0  # seconds until a store that was away is asked again
LIMIT: Final = 200_000  # accounts in a worker
NOBODIES: Final = 1_000  # names of one tenant that nobody has

_log = logging.getLogger(__name__)


class Login:
    """A cached account, or the knowledge that nobody has that name (`record` None).

    `password`, `counted` and `grant` keep what was worked out from the record, for as long as the entry lives.
    `calling` is the last Calling-Station-Id as it was sent, `station` the same in one spelling. `let_in_by` and
    `let_in_from` are the device and the station of the last accept: of them the guard need not be told again.
    """

    __slots__ = (
        "calling",
        "counted",
        "fetched_at",
        "grant",
        "let_in_by",
        "let_in_from",
        "password",
        "record",
        "station",
    )

    def __init__(self, record: LoginRecord | None, fetched_at: float) -> None:
        self.record = record
        self.counted: Counted | None = None
        self.fetched_at = fetched_at
        self.password: bytes | None = None
        self.calling = b""
        self.station = ""
        self.let_in_by: Nas | None = None
        self.let_in_from = ""
        self.grant: Grant | None = None  # at devices of the vendor that was asked last


Entries = dict[str, Login]


class Logins:
    """The worker's accounts. Each tenant has a cache of its own, so that guessing names at one empties no other's."""

    def __init__(self, fetch: Fetch, limit: int = LIMIT) -> None:
        """`fetch` answers the records that exist of the names asked for; it may raise Unavailable."""
        self._fetch = fetch
        self._limit = limit
        self._count = 0
        self._tenants: dict[str, Entries] = {}
        self._nobodies: dict[str, Entries] = {}
        self._told: Counter[str] = Counter()  # tenant -> how many changes were told of
        self._away_until = 0.0
        self._trusted_from = 0.0  # entries fetched before this moment may have changed unheard

    def __len__(self) -> int:
        """How many accounts are cached."""
        return self._count

    def get(self, name: Name, now: float) -> Login | None:
        """The entry of a name, or None when it must be fetched. `now` is any clock in seconds, always the same one."""
        entries = self._tenants.get(name[0])
        found = entries.get(name[1]) if entries is not None else None
        if found is not None:
            fetched_at = found.fetched_at
            if now - fetched_at < MAX_AGE and fetched_at >= self._trusted_from:
                return found
            return found if now < self._away_until and now - fetched_at < MAX_AGE_AWAY else None
        found = self._nobodies.get(name[0], {}).get(name[1])
        return found if found is not None and now - found.fetched_at < MAX_AGE_NOBODY else None

    async def fetch(self, names: Iterable[Name], now: float) -> dict[Name, Login]:
        """The entries of these names, those not in the cache by one operation.

        A name that is not in the answer is one of which nothing is known and the store is away.
        """
        found: dict[Name, Login] = {}
        missing: list[Name] = []
        for name in dict.fromkeys(names):
            entry = self.get(name, now)
            if entry is None:
                missing.append(name)
            else:
                found[name] = entry
        if missing:
            await self._fetch_missing(found, missing, now)
        return found

    def account_changed(self, tenant_id: str, username: str) -> None:
        """Forget an account."""
        self._told[tenant_id] += 1
        self._nobodies.get(tenant_id, {}).pop(username, None)
        if self._tenants.get(tenant_id, {}).pop(username, None) is not None:
            self._count -= 1

    def tenant_changed(self, tenant_id: str) -> None:
        """Forget the accounts of a tenant."""
        self._told[tenant_id] += 1
        self._nobodies.pop(tenant_id, None)
        self._count -= len(self._tenants.pop(tenant_id, ()))

    def suspect(self, now: float) -> None:
        """Messages may have been missed until `now`: what is known serves only while the store is away."""
        self._told[""] += 1
        self._trusted_from = now
        self._nobodies.clear()

    async def _fetch_missing(self, found: dict[Name, Login], missing: list[Name], now: float) -> None:
        if now < self._away_until:  # left as it is: who asks all the time would put off the next try for ever
            found |= self._known(missing, now)
            return
        before = {tenant_id: self._generation(tenant_id) for tenant_id, _ in missing}
        try:
            async with asyncio.timeout(PATIENCE):
                records = await self._fetch(missing)
        except (Unavailable, TimeoutError):
            _log.warning("accounts cannot be read: those known for less than an hour still get in")
            self._away_until = max(self._away_until, now + PATIENCE + RETRY)
            found |= self._known(missing, now)
            return
        except Exception:  # a store whose disk is full may answer anything; what is known is as good as ever
            _log.exception("accounts were not read: those known for less than an hour still get in")
            found |= self._known(missing, now)
            return
        for name in missing:
            entry = found[name] = Login(records.get(name), now)
            # what was told of while the store was asked may not be in its answer: use it once, do not keep it
            if self._generation(name[0]) == before[name[0]]:
                self._keep(name, entry)

    def _known(self, names: Iterable[Name], now: float) -> dict[Name, Login]:
        """The entries of these names that may serve where nothing newer is to be had."""
        known = {name: self._tenants.get(name[0], {}).get(name[1]) for name in names}
        return {name: entry for name, entry in known.items() if entry and now - entry.fetched_at < MAX_AGE_AWAY}

    def _generation(self, tenant_id: str) -> tuple[int, int]:
        return self._told[""], self._told[tenant_id]

    def _keep(self, name: Name, entry: Login) -> None:
        nobodies = self._nobodies.setdefault(name[0], {})
        nobodies.pop(name[1], None)
        entries = self._tenants.setdefault(name[0], {})
        if entries.pop(name[1], None) is not None:
            self._count -= 1
        if entry.record is None:
            if len(nobodies) >= NOBODIES:
                del nobodies[next(iter(nobodies))]
            nobodies[name[1]] = entry
            return
        if self._count >= self._limit:
            self._make_room()
        entries[name[1]] = entry
        self._count += 1

    def _make_room(self) -> None:
        """Forget the oldest tenth of the tenant that has the most: nobody's growth costs a smaller one anything."""
        largest = max(self._tenants.values(), key=len)
        for username in list(largest)[: len(largest) // 10 + 1]:
            del largest[username]
            self._count -= 1


def login_name(octets: bytes) -> str:
    """A User-Name in its normal spelling."""
    if octets.isalnum():  # most are: nothing to be taken off
        return octets.decode("ascii").lower()
    return normal_username(text(octets))
