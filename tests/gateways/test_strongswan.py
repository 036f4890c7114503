"""IKEv2 by strongSwan with eap-radius: dialling, addresses, counting, hanging up, being forced off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from saas.radius.auth import REJECT_DELAY
from saas.radius.engine import Engine
from saas.tenants import accounts, config_text, disconnects, nas, nas_config
from saas.tenants.scope import PlatformScope
from tests.gateways import netns, strongswan
from tests.gateways.netns import Network, ip
from tests.gateways.strongswan import Charon
from tests.radius.conftest import engine_settings
from tests.reports import Reports
from tests.support import until
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, World

OCTETS = 200_000  # what a client fetches
BEHIND = "10.99.0.1"  # an address that only the gateway has
CAROL, CAROLS_ADDRESS = "carol", "10.20.30.40"

_reason = netns.missing("swanctl") or strongswan.missing()
pytestmark = [pytest.mark.skipif(bool(_reason), reason=_reason), pytest.mark.timeout(180)]


@dataclass
class Site:
    """A gateway and a client before their first call."""

    world: World
    reports: Reports
    network: Network
    engine: Engine
    gateway: Charon
    client: Charon
    folder: Path

    async def dial(self, username: str, password: str) -> tuple[bool, str]:
        """Whether the client got in, and what it said."""
        text = strongswan.profile(self.network, self.network.gateway, username, password, f"{BEHIND}/32")
        self.client.write("conf.d/home.conf", text)
        await self.client.load()
        return await self.client.initiate()


@pytest.fixture
async def site(ps: PlatformScope, world: World, tmp_path: Path) -> AsyncIterator[Site]:
    """Acme's device is strongSwan configured as its console says; rejects wait as in earnest."""
    async with Engine(ps, engine_settings(bind="0.0.0.0", reject_delay=REJECT_DELAY)) as engine, Network() as network:
        await ip("-n", network.gateway_ns, "address", "add", f"{BEHIND}/32", "dev", "lo")
        form = nas.NasForm(name="Swan", vendor="strongswan", secret=NAS_SECRET, address=network.gateway)
        device = await nas.create(world.acme.scope, form)
        await until(lambda: device["_id"] in engine.table.devices, "the engine knows the device")
        facts = config_text.EngineFacts(network.host, engine.auth_port, engine.acct_port, 600)
        snippets = nas_config.render("strongswan", device, NAS_SECRET, facts)
        gateway, certificate = strongswan.gateway(network, tmp_path / "gate", snippets, network.gateway)
        client = strongswan.client(network, tmp_path / "user", certificate)
        await gateway.start()
        await client.start()
        yield Site(world, Reports(ps, world.acme), network, engine, gateway, client, tmp_path)


async def test_a_session_from_dialling_to_hanging_up(site: Site) -> None:
    """With an address of the gateway's pool; what the client fetched is what the Stop reports."""
    came, said = await site.dial(USERNAME, USER_PASSWORD)
    assert came, said + site.gateway.log()
    begun = await site.reports.session(open=True)
    assert (begun["open"], begun["username"], begun["account_id"]) == (True, USERNAME, site.world.acme.account["_id"])
    assert begun["framed_ip"] == "10.10.10.1"
    await site.network.fetch(BEHIND, OCTETS, site.folder / "server")
    await site.client.terminate()
    row = await site.reports.session(open=False)
    assert row["_id"] == begun["_id"]
    assert OCTETS < row["output_octets"] < 2 * OCTETS
    assert 0 < row["input_octets"] < OCTETS
    assert (row["stop_source"], row["terminate_cause"]) == ("stop", "User-Request")


async def test_an_account_with_an_address_of_its_own(site: Site) -> None:
    opening = accounts.QuickOpenForm(
        username=CAROL, password=USER_PASSWORD, plan_id=site.world.acme.plan["_id"], static_ip=CAROLS_ADDRESS
    )
    await accounts.quick_open(site.world.acme.scope, opening, f"open-carol-{site.world.acme.slug}")
    came, said = await site.dial(CAROL, USER_PASSWORD)
    assert came and f"installing new virtual IP {CAROLS_ADDRESS}" in said
    row = await site.reports.session(open=True)
    assert row["framed_ip"] == CAROLS_ADDRESS


@pytest.mark.parametrize("who", [(USERNAME, "wrong-password"), ("nobody", USER_PASSWORD)], ids=["wrong", "nobody"])
async def test_a_client_that_is_refused(site: Site, who: tuple[str, str]) -> None:
    came, said = await site.dial(*who)
    assert not came and "EAP_FAILURE" in said
    assert (site.engine.counters.accepted, site.engine.counters.rejected) == (0, 1)
    assert await site.reports.sessions() == []
    assert (await site.dial(USERNAME, USER_PASSWORD))[0]


async def test_a_console_ends_the_session(site: Site) -> None:
    came, said = await site.dial(USERNAME, USER_PASSWORD)
    assert came, said
    begun = await site.reports.session(open=True)
    attempt = await disconnects.request(site.world.acme.scope, begun["_id"])
    assert attempt["result"] == "ack"
    assert (await site.reports.session(open=False))["_id"] == begun["_id"]
    await until(site.client.idle, "the client is told")
