"""Fixtures of the engine's tests: a worker on free ports over the run's stores, and devices that talk to it.

engine     a worker of the shared pool that rejects without delay; new for each test
gateway    a client that plays a device: `async with gateway(business) as nas: await nas.pap(…)`
unlimited  takes the concurrency limit off the world's plans
wire       a bare UDP socket that talks to the worker, for octets that no client would send
bundle     a certificate of Acme's device, and server_authority what engines are known by
tls_engine a worker with a RadSec port
device     a device that speaks RADIUS over TLS: `async with device() as gate: await gate.pap(…)`
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from saas.radius import codec
from saas.radius.authenticators import Secret, access_request
from saas.radius.client import Client
from saas.radius.codec import attributes
from saas.radius.engine import Engine, EngineSettings
from saas.tenants import certificates, nas, parameters, plans
from saas.tenants.certificates import Bundle
from saas.tenants.platform import SHARED_POOL
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.radius.peer import Peer
from tests.support import PATIENCE, until
from tests.world import NAS_SECRET, Business, World

HOST = "127.0.0.1"

Gateway = Callable[..., Client]
Device = Callable[..., Peer]


def engine_settings(**values: Any) -> EngineSettings:
    """A worker on free ports that rejects without delay."""
    defaults: dict[str, Any] = {"pool": SHARED_POOL, "bind": HOST, "auth_port": 0, "acct_port": 0, "reject_delay": 0}
    return EngineSettings(**defaults | values)


@pytest.fixture
async def engine(ps: PlatformScope, world: World) -> AsyncIterator[Engine]:
    """A worker that knows the world's devices."""
    async with Engine(ps, engine_settings()) as worker:
        yield worker


@pytest.fixture
def gateway(engine: Engine) -> Gateway:
    """A device of a business: the one it has, with the right secret, unless told otherwise."""

    def opened(business: Business, secret: str = NAS_SECRET, **options: Any) -> Client:
        return gateway_to(engine, business, secret, **options)

    return opened


async def set_plan(business: Business, **values: Any) -> None:
    """Change the plan of a business's account."""
    form = plans.form_of(business.plan) | values
    await plans.update(business.scope, business.plan["_id"], plans.PlanForm.model_validate(form))


async def set_parameters(business: Business, **values: Any) -> None:
    """Change parameters of a business."""
    present = {name: business.scope.tenant["parameters"][name] for name in parameters.ParametersForm.model_fields}
    await parameters.update(business.scope, parameters.ParametersForm.model_validate(present | values))


@pytest.fixture
async def unlimited(world: World) -> None:
    """Both accounts may log in any number of times."""
    for business in (world.acme, world.zeta):
        await set_plan(business, concurrency=0)


def gateway_to(engine: Engine, business: Business, secret: str = NAS_SECRET, **options: Any) -> Client:
    """A device of a business that talks to this worker."""
    options = {"identifier": business.nas["identifier"]} | options
    return Client(HOST, engine.auth_port, engine.acct_port, secret, **options)


class Wire:
    """A bare socket. `silent_before_alive` proves that nothing was answered without waiting for nothing."""

    def __init__(self, engine: Engine, business: Business) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((HOST, 0))
        self.ports = {"auth": engine.auth_port, "acct": engine.acct_port}
        self.identity = attributes(("NAS-Identifier", business.nas["identifier"]))
        self.secret = Secret(NAS_SECRET.encode())
        self._asked = 0

    def send(self, octets: bytes, port: str = "auth") -> None:
        """One datagram to the "auth" or "acct" port."""
        self.socket.sendto(octets, (HOST, self.ports[port]))

    async def receive(self) -> bytes:
        """The next datagram that comes back."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.socket, 4096)

    async def silent_before_alive(self, port: str = "auth") -> bool:
        """Whether the first thing that comes back is the answer to a question asked now: a port answers in order."""
        self._asked += 1
        question = access_request(codec.STATUS_SERVER, 255, self._asked.to_bytes(16, "big"), self.secret, self.identity)
        self.send(question, port)
        answer = await self.receive()
        code = codec.ACCESS_ACCEPT if port == "auth" else codec.ACCOUNTING_RESPONSE
        return (answer[0], answer[1]) == (code, 255)


@pytest.fixture
async def wire(engine: Engine, world: World) -> AsyncIterator[Wire]:
    """A bare socket of Acme's device."""
    opened = Wire(engine, world.acme)
    yield opened
    opened.socket.close()


@pytest.fixture
async def server_authority(ps: PlatformScope) -> str:
    """What devices know our engines by."""
    return await certificates.server_authority(ps)


@pytest.fixture
async def bundle(world: World) -> Bundle:
    """A certificate of Acme's device."""
    return await certificates.issue(world.acme.scope, world.acme.nas["_id"])


@pytest.fixture
async def tls_engine(ps: PlatformScope, world: World, bundle: Bundle) -> AsyncIterator[Engine]:
    """A worker with a RadSec port, which knows the certificate."""
    async with Engine(ps, engine_settings(radsec_port=0)) as worker:
        yield worker


@pytest.fixture
def device(tls_engine: Engine, bundle: Bundle, server_authority: str) -> Device:
    """Acme's device with its certificate, unless told otherwise."""

    def opened(**options: Any) -> Peer:
        values: dict[str, Any] = {"port": tls_engine.radsec_port, "bundle": bundle} | options
        return Peer(server_authority=server_authority, **values)

    return opened


async def reread(engine: Engine, business: Business) -> None:
    """Wait until the worker has read devices and certificates again after this moment."""
    made = await nas.create(business.scope, nas.NasForm(name=f"Mark {utcnow()}", vendor="standard"))
    await until(lambda: made["_id"] in engine.table.devices, "the engine has read its devices")
    if engine.radsec_port:
        await certificates.issue(business.scope, made["_id"])
        (row,) = await certificates.of_device(business.scope, made["_id"])
        await until(lambda: row["fingerprint"] in engine._radsec._certified, "the engine has read the certificates")
