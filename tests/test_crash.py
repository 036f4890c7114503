"""kill -9 of any one process while accounting flows, then a restart: every answered record is there, counted once."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service import Service
from tests.support import until
from tests.traffic import Traffic, all_stored

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
