"""The card of a device's certificates."""

from __future__ import annotations

import base64
import io
import re
import time
import zipfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from saas.tenants import certificates, engines, nas, platform
from saas.tenants.scope import PlatformScope, Scope
from tests.browser import Browser, text
from tests.world import World


@pytest.fixture
def admin(cast: World) -> str:
    return f"/t/{cast.acme.slug}/admin"


@pytest.fixture
def scope(cast: World) -> Scope:
    return cast.acme.scope


@pytest.fixture
async def device(scope: Scope) -> nas.Nas:
    """A device of this test alone."""
    return await nas.create(scope, nas.NasForm(name=f"Gate {nas.new_identifier()}", vendor="mikrotik"))


@pytest.fixture
async def running(ps: PlatformScope) -> None:
    """An engine with a RadSec port."""
    now = time.time()
    report = engines.EngineReport(
        platform.SHARED_POOL, "tests:1", "radius.test", 1812, 1813, 2083, "running", "1", now, now
    )
    await engines.heartbeat(ps, report)


def files(page: str) -> dict[str, str]:
    """What the page gives to download."""
    found = re.search(r'href="data:application/zip;base64,([^"]+)" download="radsec-nas-[^"]+\.zip"', page)
    assert found is not None
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(found[1]))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("scripts", [True, False])
async def test_a_certificate_in_one_click_and_its_key_this_once(
    owner: Browser, admin: str, device: nas.Nas, ps: PlatformScope, scope: Scope, scripts: bool
) -> None:
    url = f"{admin}/nas/{device['_id']}"
    assert "No certificate yet" in text(await owner.get(url, Accept_Language="en"))
    headers = {"HX_Request": "true"} if scripts else {}
    page = text(await owner.post(f"{url}/certificates", Accept_Language="en", **headers))
    assert ("<html" in page) != scripts
    given = files(page)
    assert given["server-ca.crt"] == await certificates.server_authority(ps)
    mine = x509.load_pem_x509_certificate(given["device.crt"].encode())
    key = load_pem_private_key(given["device.key"].encode(), None)
    assert key.public_key() == mine.public_key()
    (row,) = await certificates.of_device(scope, device["_id"])
    assert f"{mine.serial_number:x}" == row["serial"]
    assert "radius.test" in page and "TCP port 2083" in page and "/radius add service=ppp protocol=radsec" in page
    again = text(await owner.get(url, Accept_Language="en"))
    assert "PRIVATE KEY" not in again and row["serial"] in again and "port          2083" in again


async def test_a_certificate_is_renewed(owner: Browser, admin: str, device: nas.Nas, scope: Scope) -> None:
    await certificates.issue(scope, device["_id"])
    (old,) = await certificates.of_device(scope, device["_id"])
    page = text(await owner.post(f"{admin}/certificates/{old['_id']}/renew", HX_Request="true", Accept_Language="en"))
    assert files(page).keys() == {"device.key", "device.crt", "server-ca.crt"} and "Expires soon" in page
    assert len(await certificates.of_device(scope, device["_id"])) == 2


async def test_a_certificate_is_revoked_after_a_question(
    owner: Browser, admin: str, device: nas.Nas, scope: Scope
) -> None:
    await certificates.issue(scope, device["_id"])
    (row,) = await certificates.of_device(scope, device["_id"])
    url = f"{admin}/certificates/{row['_id']}/revoke"
    question = text(await owner.get(url, Accept_Language="en"))
    assert (
        "Revoke this certificate?" in question
        and device["name"] in question
        and f"{admin}/nas/{device['_id']}" in question
    )
    answer = await owner.post(url)
    assert answer.headers["Location"] == f"{admin}/nas/{device['_id']}"
    page = text(await owner.get(f"{admin}/nas/{device['_id']}", Accept_Language="en"))
    assert "Revoked" in page and f"{row['_id']}/revoke" not in page
    again = await owner.post(url, Accept_Language="en")
    assert again.code == 409 and "expired or been revoked" in text(again)


async def test_the_log_says_who_issued_what(owner: Browser, admin: str, device: nas.Nas) -> None:
    await owner.post(f"{admin}/nas/{device['_id']}/certificates")
    page = text(await owner.get(f"{admin}/log?noun=certificate", Accept_Language="en"))
    assert "Issued a certificate" in page and device["name"] in page


async def test_mode_certificate_can_be_chosen(owner: Browser, admin: str, device: nas.Nas, scope: Scope) -> None:
    values = {"name": device["name"], "vendor": "mikrotik", "mode": "certificate"}
    assert (await owner.post(f"{admin}/nas/{device['_id']}/edit", values)).code == 303
    assert (await nas.get(scope, device["_id"]))["mode"] == "certificate"
    page = text(await owner.get(f"{admin}/nas/{device['_id']}", Accept_Language="en"))
    assert "Certificate only (RadSec)" in page and "Does it connect to the RadSec port" in page
