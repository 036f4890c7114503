"""OpenVPN with Debian's RADIUS plugin: dialling, addresses, counting, refusals, and a Start that nobody answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from saas.radius import replies
from saas.radius.auth import REJECT_DELAY
from saas.radius.engine import Engine
from saas.radius.server import Listener
from saas.tenants import accounts, config_text, nas, nas_config
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.gateways import netns, openvpn
from tests.gateways.netns import Network, ip
from tests.gateways.openvpn import Client, Gateway
from tests.radius.conftest import engine_settings
from tests.reports import Reports
from tests.support import until
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, World

AUTH_PORT, ACCT_PORT = 9812, 9813  # the plugin knows four digits; nobody else has the address that they are bound to
OCTETS = 200_000  # what a client fetches
BEHIND = "10.99.0.1"  # an address that only the gateway has
POOL = "10.8.128.1"  # the first address that it gives away by itself
CAROL, CAROLS_ADDRESS = "carol", "10.8.0.77"
INTERIM = 2  # seconds

_reason = netns.missing() or openvpn.missing()
pytestmark = pytest.mark.skipif(bool(_reason), reason=_reason)


@dataclass
class Site:
    """A gateway and a client before their first call."""

    world: World
    reports: Reports
    network: Network
    engine: Engine
    gateway: Gateway
    client: Client
    folder: Path

    async def expire(self, username: str) -> None:
        """The account's time is over."""
        scope = self.world.acme.scope
        account = await scope.db.accounts.one({"username": username})
        await scope.db.accounts.update(account["_id"], {"$set": {"expires_at": utcnow() - timedelta(days=1)}})
        await scope.changed("account", username)


Sites = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture
def sites(ps: PlatformScope, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sites:
    """`async with sites(**facts of the device) as site`: Acme's device is OpenVPN configured as its console says.

    Rejects wait as in earnest; sessions report more often than anybody could set.
    """

    @asynccontextmanager
    async def opened(**values: Any) -> AsyncIterator[Site]:
        monkeypatch.setattr(replies, "LEAST_INTERIM", INTERIM)
        often = {"$set": {"parameters.interim_interval": INTERIM}}
        await world.acme.scope.db.tenants.update(world.acme.id, often)
        settings = {"auth_port": AUTH_PORT, "acct_port": ACCT_PORT, "reject_delay": REJECT_DELAY}
        async with Network() as network, Engine(ps, engine_settings(bind=network.host, **settings)) as engine:
            await ip("-n", network.gateway_ns, "address", "add", f"{BEHIND}/32", "dev", "lo")
            await ip("-n", network.client_ns, "route", "add", "default", "via", network.inner)
            if values.get("mode") == "ip":
                values["address"] = network.gateway
            form = nas.NasForm(name="Open", vendor="openvpn", secret=NAS_SECRET, **values)
            device = await nas.create(world.acme.scope, form)
            await until(lambda: device["_id"] in engine.table.devices, "the engine knows the device")
            facts = config_text.EngineFacts(network.host, AUTH_PORT, ACCT_PORT, INTERIM)
            snippets = nas_config.render("openvpn", device, NAS_SECRET, facts)
            gateway = Gateway(network, tmp_path / "gate", snippets)
            client = Client(network, tmp_path / "user", snippets[-1].text, gateway.certificate)
            await gateway.start()
            yield Site(world, Reports(ps, world.acme), network, engine, gateway, client, tmp_path)
            await network.stop()  # before the engine, which the gateway tells of every end

    return opened


async def test_a_session_from_dialling_to_hanging_up(sites: Sites) -> None:
    """A device known by its identifier alone; an account with an address of its own, which it keeps to itself."""
    async with sites() as site:
        assert not list(site.gateway.fixed.iterdir())
        form = {"username": CAROL, "password": USER_PASSWORD, "static_ip": CAROLS_ADDRESS}
        opening = accounts.QuickOpenForm(plan_id=site.world.acme.plan["_id"], **form)
        await accounts.quick_open(site.world.acme.scope, opening, f"open-carol-{site.world.acme.slug}")
        came, said = await site.client.dial(CAROL, USER_PASSWORD)
        assert came and f" {CAROLS_ADDRESS}/16 dev" in said, said + site.gateway.log()
        begun = await site.reports.session(open=True)
        assert (begun["username"], begun["framed_ip"]) == (CAROL, CAROLS_ADDRESS)
        assert (begun["calling_station_id"], begun["source"]) == (site.network.client, site.network.gateway)
        await site.network.fetch(BEHIND, OCTETS, site.folder / "server")
        running = await site.reports.session(open=True, octets=OCTETS)  # an interim update tells
        await site.client.hang_up()
        row = await site.reports.session(open=False)
        assert row["_id"] == begun["_id"] == running["_id"] and len(await site.reports.sessions()) == 1
        assert OCTETS < running["output_octets"] <= row["output_octets"] < 2 * OCTETS
        assert 0 < row["input_octets"] < OCTETS
        assert (row["stop_source"], row["terminate_cause"], row["flags"]) == ("stop", "", [])
        await until(lambda: not list(site.gateway.fixed.iterdir()), "the address is free for others")


async def test_refused_at_the_door_and_at_the_next_renegotiation(sites: Sites) -> None:
    """A device known by its address; an account with an address of the gateway's pool, until it expires."""
    async with sites(mode="ip") as site:
        counters = site.engine.counters
        came, said = await site.client.dial(USERNAME, "wrong-password")
        assert not came and "AUTH_FAILED" in said
        assert (counters.accepted, counters.rejected) == (0, 1) and not await site.reports.sessions()

        came, said = await site.client.dial(USERNAME, USER_PASSWORD, "--reneg-sec", "3", "3")
        assert came, said + site.gateway.log()
        begun = await site.reports.session(open=True)
        assert (begun["framed_ip"], begun["account_id"]) == (POOL, site.world.acme.account["_id"])
        await until(lambda: counters.accepted > 1, "a renegotiation is accepted")

        await site.expire(USERNAME)
        row = await site.reports.session(open=False)
        assert (row["_id"], row["stop_source"]) == (begun["_id"], "stop")
        refused = counters.rejected
        came, said = await site.client.dial(USERNAME, USER_PASSWORD)
        assert not came and "AUTH_FAILED" in said and counters.rejected > refused > 1
        assert len(await site.reports.sessions()) == 1


async def test_a_start_whose_answer_is_lost_locks_nobody_out(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway refuses the user despite our Accept and never says Stop. The plan allows one session at a time."""
    send = Listener.send
    async with sites() as site:
        with monkeypatch.context() as patch:
            patch.setattr(Listener, "send", lambda self, *answer: self.kind == "acct" or send(self, *answer))
            came, said = await site.client.dial(USERNAME, USER_PASSWORD)
            assert not came and "AUTH_FAILED" in said
        await until(lambda: site.engine.counters.accounting == 3, "three Starts from three ports are recorded")
        (lost,) = await site.reports.sessions()
        came, said = await site.client.dial(USERNAME, USER_PASSWORD)
        assert came, said + site.gateway.log()
        again = await until(site.reports.sessions, "the session is reported")
        assert {row["acct_session_id"] for row in again} > {lost["acct_session_id"]}
