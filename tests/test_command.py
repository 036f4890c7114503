"""The command `openpns`, as whoever runs the service types it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from saas import config, embedded
from saas.store import Store
from tests.support import free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


async def openpns(folder: Path, *words: str, **settings: str) -> tuple[int | None, str]:
    """Exit status, and what it said on both outputs."""
    names = {f"OPENPNS_{name.upper()}": value for name, value in settings.items()}
    environment = {**os.environ, "OPENPNS_DATA_DIR": str(folder), **names}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "saas", *words),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_init_makes_the_first_platform_owner_once(tmp_path: Path) -> None:
    status, said = await openpns(tmp_path, "init", "--email", "boss@example.com")
    assert status == 0 and re.search(r"boss@example\.com, password \S{16} ", said)
    status, said = await openpns(tmp_path, "init", "--email", "other@example.com")
    assert status == 0 and "already" in said and "password" not in said


async def test_verify_says_what_is_broken(tmp_path: Path) -> None:
    assert (await openpns(tmp_path, "demo"))[0] == 0
    status, said = await openpns(tmp_path, "verify")
    assert (status, said.splitlines()[-1]) == (0, "Every invariant holds.")
    async with embedded.stores(config.load(data_dir=tmp_path)) as urls:
        store = await Store.open(urls.mongo_url)
        await store.platform().members.update_many({}, {"$set": {"balance": 7}})
        await store.platform().tenants.update_many({}, {"$set": {"pool": "elsewhere"}})
        store.close()
        status, said = await openpns(tmp_path, "verify")
    assert status == 1
    assert re.search(r"demo: member mem_\w+: balance 7, entries 0\n2 broken invariants", said)
    assert "demo: its pool elsewhere does not exist or is retired" in said


async def test_a_platform_owner_who_lost_his_second_factor_is_let_in_again(tmp_path: Path) -> None:
    assert (await openpns(tmp_path, "init", "--email", "boss@example.com"))[0] == 0
    status, said = await openpns(tmp_path, "unlock", "boss@example.com")
    assert status == 2 and "no cloud account boss@example.com with a second factor" in said
    async with embedded.stores(config.load(data_dir=tmp_path)) as urls:
        store = await Store.open(urls.mongo_url)
        boss = await store.platform().cloud_accounts.one({"email": "boss@example.com"})
        await store.platform().factors.insert({"_id": boss["_id"], "tenant_id": "", "codes": []})
        status, said = await openpns(tmp_path, "unlock", "Boss@example.com")
        assert status == 0 and "password alone" in said
        assert await store.platform().factors.one({}) is None
        assert await store.platform().platform_audit.count({"action": "cloud_account.factor_reset"}) == 1
        store.close()


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (("web",), {"http_port": "99999"}, "OPENPNS_HTTP_PORT must be a port number"),
        (("web",), {"htp_port": "80"}, "did you mean OPENPNS_HTTP_PORT?"),
        (("web",), {"env": "production", "secret_key": "weak"}, "too weak for production"),
        (("run",), {"env": "production"}, "in production start the Procfile's processes instead"),
    ],
)
async def test_wrong_settings_stop_the_start_with_one_sentence(
    tmp_path: Path, words: tuple[str, ...], settings: dict[str, str], sentence: str
) -> None:
    status, said = await openpns(tmp_path, *words, **settings)
    assert status == 2 and sentence in said
    assert len(said.strip().splitlines()) == 1 and "Traceback" not in said


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
    async with taken:
        status, said = await openpns(tmp_path, "web", http_port=str(port))
    assert status == 2 and f"Port {port} cannot be listened on" in said


async def test_a_radius_port_in_use_is_named_with_its_pool(tmp_path: Path) -> None:
    auth, acct = free_ports(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", acct))
        status, said = await openpns(tmp_path, "radius", auth_port=str(auth), acct_port=str(acct))
    assert status == 2 and f"openpns: Port {acct} (pool shared) cannot be listened on" in said
    assert "Traceback" not in said


async def test_the_shared_pool_has_the_ports_of_the_settings_from_the_first_start(tmp_path: Path) -> None:
    assert (await openpns(tmp_path, "init", auth_port="1645", acct_port="1646"))[0] == 0
    async with embedded.stores(config.load(data_dir=tmp_path)) as urls:
        store = await Store.open(urls.mongo_url)
        (pool,) = await store.platform().pools.find()
        store.close()
    assert (pool["name"], pool["auth_port"], pool["acct_port"], pool["status"]) == ("shared", 1645, 1646, "active")
