"""FreeRADIUS' own client as an independent device: what it accepts, others will."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from saas.radius.engine import Engine
from saas.tenants import nas
from tests.radius.conftest import HOST
from tests.world import USER_PASSWORD, USERNAME, World

SECRET = "radclient-secret"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("radclient"), reason="radclient (Debian: freeradius-utils) is not installed"),
    pytest.mark.usefixtures("unlimited"),
]


async def radclient(port: int, kind: str, request: str, secret: str = SECRET) -> str:
    """What radclient prints after one try."""
    process = await asyncio.create_subprocess_exec(
        *("radclient", "-x", "-r", "1", "-t", "1", f"{HOST}:{port}", kind, secret),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(request.encode())
    return out.decode()


@pytest.fixture
async def identity(world: World) -> str:
    """A device at this host's address, which radclient plays; it sends no Message-Authenticator by itself."""
    form = nas.NasForm(name="radclient", vendor="mikrotik", mode="ip", address=HOST, secret=SECRET)
    device = await nas.create(world.acme.scope, form)
    return f'NAS-Identifier = "{device["identifier"]}"'


@pytest.mark.parametrize("attribute", ["User-Password", "CHAP-Password", "MS-CHAP-Password"])
@pytest.mark.parametrize("proof", ["", ", Message-Authenticator = 0x00"])
async def test_log_in(identity: str, engine: Engine, attribute: str, proof: str) -> None:
    def ask(password: str, secret: str = SECRET) -> asyncio.Future[str]:
        request = f'User-Name = "{USERNAME}", {attribute} = "{password}", {identity}{proof}'
        return asyncio.ensure_future(radclient(engine.auth_port, "auth", request, secret))

    right, wrong, stranger = await asyncio.gather(
        ask(USER_PASSWORD), ask("wrong-password"), ask(USER_PASSWORD, "another-secret")
    )
    assert "Received Access-Accept" in right
    assert "Received Access-Reject" in wrong
    assert "Received Access-" not in stranger


async def test_accounting(identity: str, engine: Engine) -> None:
    request = f'User-Name = "{USERNAME}", Acct-Status-Type = Start, Acct-Session-Id = "r1", {identity}'
    assert "Received Accounting-Response" in await radclient(engine.acct_port, "acct", request)
    assert "Received" not in await radclient(engine.acct_port, "acct", request, "another-secret")


async def test_status(identity: str, engine: Engine) -> None:
    request = f"Message-Authenticator = 0x00, {identity}"
    assert "Received Access-Accept" in await radclient(engine.auth_port, "status", request)
    assert "Received Accounting-Response" in await radclient(engine.acct_port, "status", request)
