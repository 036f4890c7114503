"""Devices that never rest, for the tests that break things: accounting and logins, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from saas import config, embedded
from saas.kv import Kv
from saas.radius.client import Client, NoAnswer
from saas.security import Keys
from saas.store import Store
from saas.tenants import accounts, demo, plans
from saas.tenants.scope import Services, platform_scope
from tests.service import Service
from tests.world import sessions_of

OCTETS: Final = 1000  # each interim reports this much more
SENDERS: Final = 8
LIMITED: Final = "limited"  # an account that may have one session


class Traffic:
    """`answered` has the highest interim of each session that was; `logins` what came of each: when, who, accepted.

    A device repeats a report for as long as `patience` seconds before it gives up.
    """

    def __init__(self, service: Service, patience: float = 10.0) -> None:
        self._ports = service.ports["AUTH"], service.ports["ACCT"]
        self._tries = int(patience / 0.5)
        self.answered: dict[str, int] = {}
        self.records = 0
        self.logins: list[tuple[float, str, bool]] = []
        self._running: list[asyncio.Task[None]] = []

    def start(self, *names: str) -> None:
        """Report without end; log these accounts in without end."""
        self._begin(*(self._report(number) for number in range(SENDERS)), *(self._log_in(name) for name in names))

    def strangers(self) -> None:
        """Names that nobody knows, logging in and reporting: whoever waits for them must harm nobody else."""
        self._begin(self._stray())

    async def stop(self) -> None:
        """No more packets."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def accepted(self, name: str, since: float) -> int:
        """How many logins of an account were accepted since then."""
        return sum(good for at, who, good in self.logins if who == name and at > since)

    def failed(self) -> list[tuple[float, str]]:
        """The logins that were not accepted."""
        return [(at, who) for at, who, good in self.logins if not good]

    def _begin(self, *works: Coroutine[Any, Any, None]) -> None:
        self._running += [asyncio.create_task(work) for work in works]

    def _client(self, timeout: float, tries: int) -> Client:
        return Client("127.0.0.1", *self._ports, demo.NAS_SECRET, demo.NAS_IDENTIFIER, timeout=timeout, tries=tries)

    async def _report(self, number: int) -> None:
        async with self._client(0.5, self._tries) as device:
            for session in range(100_000):
                name = f"crash-{number}-{session}"
                for step in range(5):
                    usage = {"Acct-Input-Octets": step * OCTETS, "Acct-Session-Time": step}
                    await device.accounting("interim" if step else "start", demo.USERNAME, name, usage)
                    self.answered[name] = step
                    self.records += 1

    async def _log_in(self, name: str) -> None:
        clock = asyncio.get_running_loop().time
        station = {"Calling-Station-Id": "AA-BB-CC-00-11-22"}
        async with self._client(2.0, 5) as device:
            while True:
                try:
                    accepted = (await device.pap(name, demo.USER_PASSWORD, station)).accepted
                except NoAnswer:
                    accepted = False
                self.logins.append((clock(), name, accepted))

    async def _stray(self) -> None:
        async with self._client(0.2, 1) as device:
            for number in range(100_000):
                with suppress(NoAnswer):
                    await device.pap(f"stranger-{number}", "x")
                with suppress(NoAnswer):
                    await device.accounting("interim", f"stranger-{number}", f"stray-{number}")


async def stored(service: Service) -> dict[str, int]:
    """Session id -> octets, as the running service has them, strangers left out."""
    settings = config.load(data_dir=service.data)
    async with embedded.stores(settings) as urls:
        store = await Store.open(urls.mongo_url)
        tenant = await store.platform().tenants.one({"slug": demo.SLUG})
        fields = ["acct_session_id", "input_octets"]
        rows = await sessions_of(store.fenced({"tenant_id": tenant["_id"]}), fields)
        store.close()
    ids = [row["acct_session_id"] for row in rows]
    assert len(ids) == len(set(ids)), "a session was recorded twice"
    return {row["acct_session_id"]: row["input_octets"] for row in rows}


def all_stored(service: Service, traffic: Traffic) -> Callable[[], Coroutine[Any, Any, bool]]:
    """The question whether every answered record is stored."""

    async def ask() -> bool:
        found = await stored(service)
        return all(found.get(name, -1) >= step * OCTETS for name, step in traffic.answered.items())

    return ask


async def open_limited(service: Service) -> None:
    """Make the demo tenant's account that may have one session."""
    settings = config.load(data_dir=service.data)
    async with embedded.stores(settings) as urls:
        store, kv = await Store.open(urls.mongo_url), await Kv.open(urls.redis_url)
        scope = await demo.demo_tenant(platform_scope(Services(store, kv, Keys(settings.secret_key))))
        form = plans.PlanForm.model_validate({"name": "One session", "price": "0", "concurrency": 1})
        plan = await plans.create(scope, form)
        values = {"username": LIMITED, "password": demo.USER_PASSWORD, "plan_id": plan["_id"], "name": "Lim"}
        await accounts.quick_open(scope, accounts.QuickOpenForm.model_validate(values), "limited")
        await kv.close()
        store.close()
