"""Login records cached in the worker: a packet whose account is known waits for no store.

A change message makes an entry stale at once; its age bounds what a lost message can do. What is not there is fetched
for a whole batch in one operation.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from saas.errors import Unavailable
from saas.tenants.access import LoginRecord

Name = tuple[str, str]  # (tenant id, user name in its normal spelling)
Fetch = Callable[[list[Name]], Awaitable[Mapping[Name, LoginRecord]]]

MAX_AGE: Final = 60.0  # seconds an account is believed
MAX_AGE_NOBODY: Final = 5.0  # seconds it is believed that nobody has a name
PATIENCE: Final = 0.5  # seconds that the store gets: whoever waits behind is known perhaps
LIMIT: Final = 100_000  # entries of one tenant


class Login:
    """A cached account, or the knowledge that nobody has that name (`record` None).

    `password` and `replies` keep what was worked out from the record, for as long as the entry lives.
    """

    __slots__ = ("fetched_at", "password", "record", "replies")

    def __init__(self, record: LoginRecord | None, fetched_at: float) -> None:
        self.record = record
        self.fetched_at = fetched_at
        self.password: str | None = None
        self.replies: dict[str, bytes] = {}  # vendor -> the attributes of an accept that depend on nothing else


class Logins:
    """The worker's accounts. Each tenant has a cache of its own, so that guessing names at one empties no other's."""

    def __init__(self, fetch: Fetch, limit: int = LIMIT) -> None:
        """`fetch` answers the records that exist of the names asked for; it may raise Unavailable."""
        self._fetch = fetch
        self._limit = limit
        self._tenants: dict[str, dict[str, Login]] = {}
        self._told: Counter[str] = Counter()  # tenant -> how many changes were told of

    def get(self, name: Name, now: float) -> Login | None:
        """The entry of a name, or None when it must be fetched. `now` is any clock in seconds, always the same one."""
        entries = self._tenants.get(name[0])
        found = entries.get(name[1]) if entries is not None else None
        if found is None:
            return None
        age = now - found.fetched_at
        return found if age < (MAX_AGE if found.record is not None else MAX_AGE_NOBODY) else None

    async def fetch(self, names: Iterable[Name], now: float) -> dict[Name, Login]:
        """The entries of all these names, those not in the cache by one operation. Unavailable."""
        found: dict[Name, Login] = {}
        missing: list[Name] = []
        for name in dict.fromkeys(names):
            entry = self.get(name, now)
            if entry is None:
                missing.append(name)
            else:
                found[name] = entry
        if not missing:
            return found
        before = {tenant_id: self._generation(tenant_id) for tenant_id, _ in missing}
        try:
            async with asyncio.timeout(PATIENCE):
                records = await self._fetch(missing)
        except TimeoutError as error:
            raise Unavailable(store="mongo") from error
        for name in missing:
            entry = found[name] = Login(records.get(name), now)
            # what was told of while the store was asked may not be in its answer: use it once, do not keep it
            if self._generation(name[0]) == before[name[0]]:
                self._keep(name, entry)
        return found

    def account_changed(self, tenant_id: str, username: str) -> None:
        """Forget an account."""
        self._told[tenant_id] += 1
        self._tenants.get(tenant_id, {}).pop(username, None)

    def tenant_changed(self, tenant_id: str) -> None:
        """Forget the accounts of a tenant."""
        self._told[tenant_id] += 1
        self._tenants.pop(tenant_id, None)

    def clear(self) -> None:
        """Forget everything: messages may have been missed."""
        self._told[""] += 1
        self._tenants.clear()

    def _generation(self, tenant_id: str) -> tuple[int, int]:
        return self._told[""], self._told[tenant_id]

    def _keep(self, name: Name, entry: Login) -> None:
        entries = self._tenants.setdefault(name[0], {})
        entries.pop(name[1], None)
        if len(entries) >= self._limit:
            del entries[next(iter(entries))]
        entries[name[1]] = entry
