"""kill -9 of any one process while accounting flows, then a restart: every answered record is there, counted once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from saas import config, embedded
from saas.radius.client import Client
from saas.store import Store
from saas.tenants import demo
from tests.service import Service
from tests.support import until

SENDERS = 8
BEFORE = 200  # answered records before the kill
OCTETS = 1000  # each interim reports this much more

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The whole service, running."""
    running = Service(tmp_path)
    await running.start()
    yield running
    await running.stop()


class Flow:
    """Devices that report sessions without end; `answered` has the highest interim of each session that was."""

    def __init__(self, service: Service) -> None:
        self._ports = service.ports["AUTH"], service.ports["ACCT"]
        self.answered: dict[str, int] = {}
        self.records = 0

    async def send(self, number: int) -> None:
        """Report Start and interims, session after session, until it is cancelled or nobody answers."""
        identity = demo.NAS_SECRET, demo.NAS_IDENTIFIER
        async with Client("127.0.0.1", *self._ports, *identity, timeout=0.5, tries=20) as device:
            for session in range(100_000):
                name = f"crash-{number}-{session}"
                for step in range(5):
                    usage = {"Acct-Input-Octets": step * OCTETS, "Acct-Session-Time": step}
                    await device.accounting("interim" if step else "start", demo.USERNAME, name, usage)
                    self.answered[name] = step
                    self.records += 1


async def _stored(service: Service) -> dict[str, int]:
    """Session id -> octets, as the running service has them."""
    settings = config.load(data_dir=service.data)
    async with embedded.stores(settings) as urls:
        store = await Store.open(urls.mongo_url)
        tenant = await store.platform().tenants.one({"slug": demo.SLUG})
        rows = await store.fenced({"tenant_id": tenant["_id"]}).sessions.find({}, limit=100_000)
        store.close()
    ids = [row["acct_session_id"] for row in rows]
    assert len(ids) == len(set(ids)), "a session was recorded twice"
    return {row["acct_session_id"]: row["input_octets"] for row in rows}


@pytest.mark.parametrize(
    "word", ["openpns web", "openpns radius", "saas worker", "openpns jobs", "saas.keeper", "secantus", "valkey-server"]
)
async def test_every_answered_record_is_there(service: Service, word: str) -> None:
    (victim,) = service.pids(word)
    flow = Flow(service)
    senders = [asyncio.create_task(flow.send(number)) for number in range(SENDERS)]
    await until(lambda: flow.records >= BEFORE, "accounting flows")
    os.kill(victim, signal.SIGKILL)
    before = flow.records
    await until(lambda: flow.records >= before + BEFORE or not service.running, "it goes on, or the service ended")
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    await service.stop()
    await service.start()

    async def all_there() -> bool:
        stored = await _stored(service)
        return all(stored.get(name, -1) >= step * OCTETS for name, step in flow.answered.items())

    await until(all_there, "every answered record is stored", 60)
