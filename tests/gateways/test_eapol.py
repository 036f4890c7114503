"""EAP by wpa_supplicant's own client, eapol_test: it proves the server, and compares the keys of both sides."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from saas.radius.engine import Engine
from tests.gateways.conftest import run
from tests.radius.conftest import HOST, set_plan
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, World

Supplicant = Callable[..., Awaitable[tuple[int, str]]]

METHODS = ["MSCHAPV2", "MD5"]

pytestmark = pytest.mark.skipif(
    not shutil.which("eapol_test"), reason="eapol_test (Debian: eapoltest) is not installed"
)


@pytest.fixture
async def supplicant(world: World, engine: Engine, tmp_path: Path) -> Supplicant:
    """`await supplicant(method, identity, password)`: exit status and what eapol_test printed."""
    await set_plan(world.acme, concurrency=0)

    async def log_in(method: str, identity: str = USERNAME, password: str = USER_PASSWORD) -> tuple[int, str]:
        profile = tmp_path / "eapol.conf"
        profile.write_text(
            f'network={{\n  key_mgmt=WPA-EAP\n  eap={method}\n  identity="{identity}"\n  password="{password}"\n}}\n'
        )
        command = ["eapol_test", "-c", str(profile), "-a", HOST, "-p", str(engine.auth_port), "-s", NAS_SECRET]
        command += [f"-N32:s:{world.acme.nas['identifier']}", "-t", "20"]
        return await run(*command, *(["-n"] if method == "MD5" else []))

    return log_in


@pytest.mark.parametrize("identity", [USERNAME, USERNAME.upper(), f"ACME\\{USERNAME}"])
async def test_mschapv2_with_the_same_keys_on_both_sides(supplicant: Supplicant, identity: str) -> None:
    status, printed = await supplicant("MSCHAPV2", identity)
    assert "MPPE keys OK: 1  mismatch: 0" in printed, printed
    assert (status, printed.splitlines()[-1]) == (0, "SUCCESS")


async def test_md5_by_nak(supplicant: Supplicant) -> None:
    status, printed = await supplicant("MD5")
    assert (status, printed.splitlines()[-1]) == (0, "SUCCESS"), printed


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("who", [(USERNAME, "wrong-password"), ("nobody", USER_PASSWORD)], ids=["wrong", "nobody"])
async def test_refused_with_eap_failure(
    supplicant: Supplicant, engine: Engine, method: str, who: tuple[str, str]
) -> None:
    status, printed = await supplicant(method, *who)
    assert status != 0 and printed.splitlines()[-1] == "FAILURE", printed
    assert "decapsulated EAP packet (code=4" in printed
    assert (engine.counters.accepted, engine.counters.rejected) == (0, 1)


async def test_a_method_that_we_do_not_have(supplicant: Supplicant, engine: Engine) -> None:
    status, printed = await supplicant("PEAP")
    assert status != 0 and "decapsulated EAP packet (code=4" in printed, printed
    assert engine.counters.rejected == 1
