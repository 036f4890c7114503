"""kill -9 of any one process while accounting flows, then a restart: every answered record is there, counted once.

And of the jobs while they renew many accounts, or import them: each is renewed once, and there once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from saas import config, embedded
from saas.kv import Kv
from saas.security import Keys
from saas.store import Store
from saas.tenants import accounts, bulk, imports, ledger, verify
from saas.tenants.purchases import UnitsForm
from saas.tenants.scope import PlatformScope, Services, platform_scope
from tests.service import Service
from tests.support import until
from tests.tenants.import_files import as_csv, counts, line, uploaded
from tests.traffic import Traffic, all_stored
from tests.world import make_business

MANY = 60  # accounts
ROWS = 1200  # of a file
BEFORE = 200  # answered records before the kill

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The whole service, running."""
    running = Service(tmp_path)
    await running.start()
    yield running
    await running.stop()


@pytest.mark.parametrize(
    "word",
    [
        "openpns web",
        "openpns radius",
        "saas worker",
        "openpns jobs",
        "saas.keeper",
        "secantus",
        "var/valkey --save",
        "var/slots --save",
    ],
)
async def test_every_answered_record_is_there(service: Service, word: str) -> None:
    (victim,) = service.pids(word)
    traffic = Traffic(service)
    traffic.start()
    await until(lambda: traffic.records >= BEFORE, "accounting flows")
    os.kill(victim, signal.SIGKILL)
    before = traffic.records
    await until(lambda: traffic.records >= before + BEFORE or not service.running, "it goes on, or the service ended")
    await traffic.stop()
    await service.stop()
    await service.start()
    await until(all_stored(service, traffic), "every answered record is stored", 60)


@asynccontextmanager
async def inside(service: Service) -> AsyncIterator[PlatformScope]:
    """The platform's scope on the stores of the running service."""
    settings = config.load(data_dir=service.data)
    async with embedded.stores(settings) as urls:
        store, kv = await Store.open(urls.mongo_url), await Kv.open(urls.redis_url)
        yield platform_scope(Services(store, kv, Keys(settings.secret_key)))
        await kv.close()
        store.close()


async def test_a_bulk_run_goes_on_and_renews_nobody_twice(service: Service) -> None:
    async with inside(service) as ps:
        business = await make_business(ps, "many")
        for number in range(MANY - 1):
            form = accounts.QuickOpenForm(username=f"many-{number}", plan_id=business.plan["_id"])
            await accounts.quick_open(business.scope, form, f"many-{number}")
        run = await bulk.ask(business.scope, "renew", UnitsForm(), bulk.Choice(where={}), "many")

        async def begun() -> bool:
            return await business.scope.db.deeds.count({}) > MANY // 4

        await until(begun, "some are renewed")
        os.kill(service.pids("openpns jobs")[0], signal.SIGKILL)
        assert (await bulk.get(business.scope, run["_id"]))["open"], "it was killed half-way"
    await until(lambda: not service.running, "the service ended")
    await service.stop()
    await service.start()
    async with inside(service) as ps:
        scope = ps.enter(business.scope.tenant, business.scope.actor)

        async def over() -> bool:
            return not (await bulk.get(scope, run["_id"]))["open"]

        await until(over, "the run is over", 60)
        ended = await bulk.get(scope, run["_id"])
        assert (ended["state"], ended["ok"], ended["refused"]) == ("done", MANY, 0)
        deeds = await scope.db.deeds.find({}, limit=1000)
        assert len({deed["account_id"] for deed in deeds}) == len(deeds) == MANY
        assert await ledger.differences(scope) == []


async def test_an_import_goes_on_and_opens_nothing_twice(service: Service) -> None:
    async with inside(service) as ps:
        business = await make_business(ps, "import")
        run = await uploaded(business.scope, as_csv([line(f"row-{number}", balance="1.00") for number in range(ROWS)]))

        async def checked() -> bool:
            return (await imports.get(business.scope, run["_id"]))["state"] == "checked"

        await until(checked, "the file is checked", 60)
        await imports.begin(business.scope, run["_id"])

        async def begun() -> bool:
            return (await imports.get(business.scope, run["_id"]))["done"] > 0

        await until(begun, "some are imported")
        os.kill(service.pids("openpns jobs")[0], signal.SIGKILL)
        assert (await imports.get(business.scope, run["_id"]))["open"], "it was killed half-way"
    await until(lambda: not service.running, "the service ended")
    await service.stop()
    await service.start()
    async with inside(service) as ps:
        scope = ps.enter(business.scope.tenant, business.scope.actor)

        async def over() -> bool:
            return not (await imports.get(scope, run["_id"]))["open"]

        await until(over, "the import is over", 60)
        assert counts(await imports.get(scope, run["_id"])) == ("done", ROWS, 0, ROWS, 0)
        assert await scope.db.accounts.count({}) == await scope.db.members.count({}) == ROWS + 1
        assert await scope.db.ledger.count({"kind": "opening"}) == ROWS
        assert await ledger.differences(scope) == await verify._imports(scope) == []
