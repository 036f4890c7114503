"""Fixtures of tests with gateways and clients that other people wrote: what they accept, others will.

engine   a worker of the shared pool on free ports of this host, which rejects without delay; new for each test
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from saas.radius.engine import Engine
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import engine_settings
from tests.world import World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stands here is marked so."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gateway)


@pytest.fixture
async def engine(ps: PlatformScope, world: World) -> AsyncIterator[Engine]:
    """A worker that knows the world's devices."""
    async with Engine(ps, engine_settings()) as worker:
        yield worker


async def run(*command: str, **environment: str) -> tuple[int, str]:
    """Run a program to its end: exit status, and everything it printed. `environment`: added to ours."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | environment,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode(errors="replace")
