"""Debian's radsecproxy between a gateway that speaks UDP and our engine, set up as the console says."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from saas.radius import codec, connections
from saas.radius.client import Client
from saas.radius.engine import Engine, EngineSettings
from saas.tenants import certificates, disconnects, journal, plans, radsec_config
from saas.tenants.apply import apply
from saas.tenants.config_text import EngineFacts
from saas.tenants.platform import SHARED_POOL
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import reread
from tests.support import free_ports, until
from tests.world import USER_PASSWORD, USERNAME, World

HOST = "127.0.0.1"
PROGRAM = shutil.which("radsecproxy") or shutil.which("radsecproxy", path="/usr/sbin")

pytestmark = [
    pytest.mark.gateway,
    pytest.mark.skipif(not PROGRAM, reason="radsecproxy (Debian: radsecproxy) is not installed"),
]


@pytest.fixture
async def engine(ps: PlatformScope, world: World) -> AsyncIterator[Engine]:
    """A worker with a RadSec port."""
    form = plans.form_of(world.acme.plan) | {"concurrency": 0}
    await plans.update(world.acme.scope, world.acme.plan["_id"], plans.PlanForm.model_validate(form))
    where = EngineSettings(SHARED_POOL, HOST, 0, 0, radsec_port=0, reject_delay=0)
    async with Engine(ps, where) as worker:
        yield worker


@pytest.fixture
async def proxy(ps: PlatformScope, world: World, engine: Engine, tmp_path: Path) -> AsyncIterator[int]:
    """A radsecproxy that runs as the console says; its port for UDP."""
    bundle = await certificates.issue(world.acme.scope, world.acme.nas["_id"])
    for name, text in radsec_config.files(bundle, await certificates.server_authority(ps)).items():
        (tmp_path / name).write_text(text)
    await reread(engine, world.acme)  # a proxy that comes before its certificate is known stays away for half a minute
    facts = EngineFacts(HOST, engine.auth_port, engine.acct_port, 600, engine.radsec_port)
    (settings,) = [each for each in radsec_config.radsecproxy(world.acme.nas, facts) if each.file.endswith(".conf")]
    (port,) = free_ports(1)
    ports = settings.text.replace("ListenUDP 127.0.0.1:1813\n", "").replace("127.0.0.1:1812", f"{HOST}:{port}")
    file = tmp_path / "radsecproxy.conf"
    file.write_text(ports.replace(radsec_config.FOLDER, str(tmp_path)))
    log = (tmp_path / "log").open("wb")
    assert PROGRAM is not None
    process = subprocess.Popen([PROGRAM, "-f", "-d", "2", "-c", str(file)], stdout=log, stderr=log)
    try:
        await until(lambda: engine._radsec.held() or process.poll() is not None, "radsecproxy is connected")
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield port
    finally:
        process.kill()
        process.wait()
        log.close()


def gateway(port: int) -> Client:
    """A gateway that sends everything to the proxy."""
    return Client(HOST, port, port, "local-secret", "gw-behind-the-proxy", timeout=10.0)


async def test_log_in_and_accounting_go_through(ps: PlatformScope, world: World, engine: Engine, proxy: int) -> None:
    async with gateway(proxy) as nas:
        accepted = await nas.pap(USERNAME, USER_PASSWORD, {"Proxy-State": b"of another proxy"})
        assert accepted.accepted and accepted.packet.all(codec.PROXY_STATE) == [b"of another proxy"]
        assert (await nas.mschapv2(USERNAME, USER_PASSWORD)).accepted
        assert not (await nas.pap(USERNAME, "wrong-password")).accepted
        for status in ("start", "interim", "stop"):
            answer = await nas.accounting(status, USERNAME, "through-the-proxy")
            assert answer.packet.code == codec.ACCOUNTING_RESPONSE
    groups = (await journal.read(ps, 0.05)).groups
    events = [event for group in groups for event in group.events if event.session_id == "through-the-proxy"]
    assert [event.status for event in events] == ["start", "interim", "stop"]
    assert {(event.tenant_id, event.nas_id) for event in events} == {(world.acme.id, world.acme.nas["_id"])}
    assert not engine.counters.dropped


async def test_the_proxy_asks_whether_we_live_and_is_told(engine: Engine, proxy: int) -> None:
    """Its first Status-Server comes after half a minute; it would take a server that does not answer for dead."""
    await until(lambda: engine.counters.received, "it has asked", 90)
    async with gateway(proxy) as nas:
        assert (await nas.pap(USERNAME, USER_PASSWORD)).accepted
    assert not engine.counters.dropped and len(engine._radsec._all()) == 1


async def test_the_password_keys_of_mppe_arrive(proxy: int) -> None:
    """The proxy uncovers them with one secret and hides them with another."""
    async with gateway(proxy) as nas:
        answer = await nas.mschapv2(USERNAME, USER_PASSWORD)
    assert len(answer.mppe_send) == len(answer.mppe_recv) == 16


async def test_the_proxy_connects_again_when_the_connection_breaks(engine: Engine, proxy: int) -> None:
    async with gateway(proxy) as nas:
        assert (await nas.pap(USERNAME, USER_PASSWORD)).accepted
        (connection,) = engine._radsec._all()
        connection.abort()
        await until(lambda: engine._radsec._all() not in ([], [connection]), "it is back", 90)
        assert (await nas.pap(USERNAME, USER_PASSWORD)).accepted


async def test_the_proxy_drops_a_disconnect_request_and_the_console_says_so(
    ps: PlatformScope, world: World, engine: Engine, proxy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER", 1.0)
    async with gateway(proxy) as nas:
        await nas.accounting("start", USERNAME, "not-to-be-ended")
        reading = await journal.read(ps, 0.05)
        await apply(ps, reading.groups)
        await journal.remove(ps, reading.groups)
        (session,) = await world.acme.scope.db.online.find({"open": True})
        attempt = await disconnects.request(world.acme.scope, session["_id"])
        assert (attempt["result"], attempt["address"]) == ("radsec_timeout", "RadSec")
        answers = await asyncio.gather(*(nas.pap(USERNAME, USER_PASSWORD) for _ in range(20)))
        assert all(answer.accepted for answer in answers), "the connection goes on"
