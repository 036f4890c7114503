"""The bench's load generator says what a device says: a real engine believes every packet of it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from saas.radius.engine import Engine
from saas.tenants import apply, journal
from saas.tenants.scope import PlatformScope
from tests.bench import generator, mschap
from tests.bench.generator import Generator, Report
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, Business, World, sessions_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("gcc"), reason="gcc, which compiles radgen, is not installed"),
]

LOGINS, SESSIONS = 40, 10


@pytest.fixture(scope="module")
def radgen(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """The generator, on whichever core is free."""
    return Generator(generator.build(tmp_path_factory.mktemp("radgen")).binary, core=None)


async def play(radgen: Generator, engine: Engine, business: Business, **options: object) -> Report:
    """A stream of the business's one account, every answer tested. Lost, unproven or wrong answers are raised."""
    stream = {
        **{"auth": engine.auth_port, "acct": engine.acct_port, "nas": business.nas["identifier"]},
        **{"secret": NAS_SECRET, "user": USERNAME, "password": USER_PASSWORD},
        **{"verify": 1, "timeout": 5000, "outstanding": SESSIONS, **options},
    }
    (report,) = await asyncio.to_thread(radgen.run, stream)
    assert report["verified"] == report["answered"] == report["sent"]
    return report


@pytest.mark.parametrize("kind", ["pap", "chap", "mschapv2"])
async def test_its_logins_are_right(radgen: Generator, engine: Engine, world: World, tmp_path: Path, kind: str) -> None:
    blocks = tmp_path / "blocks"
    blocks.write_bytes(mschap.block(USERNAME, USER_PASSWORD))
    right = await play(radgen, engine, world.acme, kind=kind, blocks=blocks, count=LOGINS)
    assert (right["accepted"], right["signed_too"]) == (LOGINS, LOGINS)
    wrong = await play(radgen, engine, world.acme, kind=kind, blocks=blocks, count=LOGINS, wrong=1)
    assert (wrong["accepted"], wrong["rejected"]) == (0, LOGINS)


@pytest.mark.parametrize("kind", ["acct", "life"])
async def test_its_sessions_are_recorded(
    radgen: Generator, engine: Engine, ps: PlatformScope, world: World, kind: str
) -> None:
    report = await play(radgen, engine, world.acme, kind=kind, interims=2, count=6 * SESSIONS)
    assert report["accepted"] + report["starts"] + report["updates"] + report["stops"] == 6 * SESSIONS
    complete = False
    while not complete:
        groups, complete = await journal.read(ps, 0.05)
        await apply.apply(ps, groups)
        await journal.remove(ps, groups)
    rows = await sessions_of(world.acme.scope.db)
    ended = [row for row in rows if not row["open"]]
    assert (len(rows), len(ended)) == (report["starts"], report["stops"])
    assert {row["account_id"] for row in rows} == {world.acme.account["_id"]}
    assert sum(row["input_octets"] for row in ended) == report["input"] > 0
    assert sum(row["output_octets"] for row in ended) == report["output"] > len(ended) * 2**32


async def test_a_request_that_is_not_answered_goes_out_again_unchanged(
    radgen: Generator, engine: Engine, world: World
) -> None:
    report = await play(radgen, engine, world.acme, kind="pap", count=LOGINS, copies=3)
    assert report["accepted"] == LOGINS == engine.counters.accepted
