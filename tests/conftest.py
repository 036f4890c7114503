"""Fixtures for every test. Servers are real and run over a folder that is removed afterwards.

With OPENPNS_MONGO_URL or OPENPNS_REDIS_URL set, those servers are used instead: a MongoDB database of this run alone,
dropped afterwards, and two empty databases of Redis, emptied afterwards. What tests the embedded stores still does.

settings     settings with free ports, a secret key and a data folder of this run    (session)
stores       the URLs of the stores that this run uses                               (session)
database     the name of this run's database                                         (session)
store, kv    opened on them, indexes made                                            (session)
ps           the platform's scope on both                                            (session)
alone        the same on stores that only this module writes to                      (module)
world        two businesses with everything in them, new for each test
expect_log   names a warning that the test provokes; any other one fails the test
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from argon2 import PasswordHasher
from pymongo import AsyncMongoClient
from redis import asyncio as redis

from saas import config, embedded, security
from saas.kv import Kv
from saas.security import Keys
from saas.store import Store
from saas.tenants.scope import PlatformScope, Services, platform_scope
from tests.support import free_ports
from tests.world import World, make_world

E2E = Path(__file__).parent / "e2e"
GIVEN = {name: os.environ.get(f"{config.PREFIX}{name.upper()}") for name in ("mongo_url", "redis_url", "slots_url")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stands in tests/e2e is marked so."""
    for item in items:
        if E2E in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long recoveries took (tests/test_faults.py)."""
    reports = terminalreporter.getreports("passed")
    for line in [value for report in reports for name, value in report.user_properties if name == "recovery"]:
        terminalreporter.write_line(f"recovery: {line}")


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """argon2 is slow on purpose; the tests make thousands of people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(security, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """The settings of whoever runs the tests are not the tests' settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(config.PREFIX)]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def settings(clean_environment: None, tmp_path_factory: pytest.TempPathFactory) -> config.Settings:
    """Settings of a service of this run alone."""
    http, auth, acct, radsec = free_ports(4)
    folder = tmp_path_factory.mktemp("data")
    return config.load(data_dir=folder, http_port=http, auth_port=auth, acct_port=acct, radsec_port=radsec)


@pytest.fixture(scope="session")
async def stores(settings: config.Settings, worker_id: str) -> AsyncIterator[embedded.StoreUrls]:
    """The stores of the whole run: those that were given, embedded ones for the others."""
    async with embedded.stores(settings.model_copy(update=GIVEN)) as urls:
        if not GIVEN["redis_url"]:
            yield urls
            return
        number = 2 * int(worker_id.removeprefix("gw") or 0) if worker_id != "master" else 0
        mine = [urlsplit(urls.redis_url)._replace(path=f"/{each}").geturl() for each in (number, number + 1)]
        for url in mine:
            async with redis.from_url(url) as client:
                assert not await client.dbsize(), f"the Redis database {number} or the next one holds data of others"
        yield urls._replace(redis_url=mine[0], slots_url=mine[0])
        for url in mine:
            async with redis.from_url(url) as client:
                await client.flushdb()


@asynccontextmanager
async def fresh_database(url: str, prefix: str) -> AsyncIterator[str]:
    """The name of a database that nobody else uses; it is dropped on a server that outlives the run."""
    name = f"{prefix}_{secrets.token_hex(4)}"
    yield name
    if GIVEN["mongo_url"]:
        async with AsyncMongoClient(url) as client:
            await client.drop_database(name)


@pytest.fixture(scope="session")
async def database(stores: embedded.StoreUrls) -> AsyncIterator[str]:
    """The name of this run's database."""
    async with fresh_database(stores.mongo_url, "test") as name:
        yield name


@pytest.fixture(scope="session")
async def store(stores: embedded.StoreUrls, database: str) -> AsyncIterator[Store]:
    """The document store, its indexes made."""
    opened = await Store.open(stores.mongo_url, database)
    await opened.prepare()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
async def kv(stores: embedded.StoreUrls) -> AsyncIterator[Kv]:
    """The key-value store."""
    opened = await Kv.open(stores.redis_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def counting(stores: embedded.StoreUrls) -> AsyncIterator[Kv]:
    """The store of the slots."""
    opened = await Kv.open(stores.slots_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def ps(settings: config.Settings, store: Store, kv: Kv, counting: Kv) -> PlatformScope:
    """The platform's scope."""
    return platform_scope(Services(store, kv, Keys(settings.secret_key), slots=counting))


@pytest.fixture(scope="session")
def alone_redis(stores: embedded.StoreUrls) -> str:
    """Where the Redis of `alone` is."""
    first = urlsplit(stores.redis_url)
    return first._replace(path=f"/{int(first.path[1:] or 0) + 1}").geturl()


@pytest.fixture(scope="module")
async def alone(
    settings: config.Settings, stores: embedded.StoreUrls, alone_redis: str
) -> AsyncIterator[PlatformScope]:
    """The platform's scope on stores that only this module's tests write to: for looks at everything there is."""
    async with fresh_database(stores.mongo_url, "alone") as name:
        store = await Store.open(stores.mongo_url, name)
        await store.prepare()
        async with redis.from_url(alone_redis) as client:
            await client.flushdb()
        kv = await Kv.open(alone_redis)
        yield platform_scope(Services(store, kv, Keys(settings.secret_key)))
        await kv.close()
        store.close()


@pytest.fixture
async def world(ps: PlatformScope) -> World:
    """A fresh cast: two businesses, see tests/world.py."""
    return await make_world(ps)


class Collector(logging.Handler):
    """Keeps warnings and worse, less those that were expected."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self.expected: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        self.records.append(record)

    def faults(self) -> list[str]:
        """What was logged unexpectedly, and what was expected in vain."""
        lines = [f"{record.name}: {record.getMessage()}" for record in self.records]
        strays = [line for line in lines if not any(re.search(pattern, line) for pattern in self.expected)]
        missing = [pattern for pattern in self.expected if not any(re.search(pattern, line) for line in lines)]
        return [f"unexpected: {line}" for line in strays] + [f"expected and not logged: {p}" for p in missing]


@pytest.fixture(autouse=True)
def log_guard() -> Iterator[Collector]:
    """A warning is for someone who must act. One that nobody provoked is a defect, and so fails the test."""
    collector = Collector()
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        yield collector
    finally:
        root.removeHandler(collector)
    if faults := collector.faults():
        pytest.fail("log\n" + "\n".join(faults), pytrace=False)


@pytest.fixture
def expect_log(log_guard: Collector) -> Callable[[str], None]:
    """`expect_log(pattern)`: a regular expression for "logger: message"; at least one such record must come."""
    return log_guard.expected.append
