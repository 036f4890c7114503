"""Who is let in by RADIUS over TLS, and that nobody else's certificate opens anything."""

from __future__ import annotations

import ssl
from datetime import timedelta

import pytest

from saas import certs
from saas.radius.client import NoAnswer
from saas.radius.engine import Engine
from saas.tenants import accounts, certificates, nas
from saas.tenants.certificates import Bundle
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.radius.conftest import HOST, Device, Gateway, reread
from tests.radius.peer import VERSIONS, refused
from tests.support import until
from tests.world import USER_PASSWORD, USERNAME, World


@pytest.fixture
def engine(tls_engine: Engine) -> Engine:
    """The worker of these tests has a RadSec port."""
    return tls_engine


async def test_without_a_certificate_nobody_gets_in(device: Device, engine: Engine) -> None:
    for version in VERSIONS:
        assert await refused(device(bundle=None, version=version))
    await until(lambda: engine.counters.dropped["tls_handshake"] == 2, "both are counted")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_certificate_of_another_authority_opens_nothing(
    device: Device, engine: Engine, world: World, version: ssl.TLSVersion
) -> None:
    """Also one with the same names all over."""
    authority = certs.authority(f"{world.acme.slug} devices 1", timedelta(days=10))
    uri = f"urn:openpns:{world.acme.id}:{world.acme.nas['_id']}"
    forged = certs.client(authority, "East gate", uri, timedelta(days=1))
    chain = forged.certificate + authority.certificate
    assert await refused(device(bundle=Bundle("East gate", forged.key, chain), version=version))
    await until(lambda: engine.counters.dropped["tls_handshake"], "it is counted")


async def test_an_engines_certificate_is_none_for_a_device(
    device: Device, engine: Engine, ps: PlatformScope, server_authority: str
) -> None:
    pair = await certificates.server_certificate(ps, HOST)
    assert await refused(device(bundle=Bundle("x", pair.key, pair.certificate + server_authority)))


async def test_a_certificate_of_the_tenants_authority_that_is_not_on_record_opens_nothing(
    device: Device, engine: Engine, world: World
) -> None:
    """The row of the certificate decides, not the signature alone."""
    scope = world.acme.scope
    (row,) = await scope.db.authorities.find()
    authority = certs.Pair(row["certificate"], scope.unseal(row["sealed_key"]))
    uri = f"urn:openpns:{world.acme.id}:{world.acme.nas['_id']}"
    made = certs.client(authority, "East gate", uri, timedelta(days=1))
    assert await refused(device(bundle=Bundle("East gate", made.key, made.certificate)))
    assert engine.counters.dropped == {"unknown_certificate": 1}


async def test_a_lapsed_certificate_opens_nothing(device: Device, engine: Engine, world: World) -> None:
    """Neither by its own dates, though it is on record as good, nor by ours, though its dates are good."""
    scope = world.acme.scope
    (row,) = await scope.db.authorities.find()
    authority = certs.Pair(row["certificate"], scope.unseal(row["sealed_key"]))
    made = certs.client(authority, "East gate", "urn:x", timedelta(seconds=-60))
    (kept,) = await scope.db.certificates.find()
    await scope.db.certificates.update(
        kept["_id"], {"$set": {"fingerprint": certs.facts(made.certificate).fingerprint}}
    )
    await reread(engine, world.acme)
    assert await refused(device(bundle=Bundle("East gate", made.key, made.certificate)))
    await until(lambda: engine.counters.dropped["tls_handshake"] == 1, "it is counted")
    bundle = await certificates.issue(scope, world.acme.nas["_id"])
    (kept, _) = await certificates.of_device(scope, world.acme.nas["_id"])
    await scope.db.certificates.update(kept["_id"], {"$set": {"valid_until": utcnow()}})
    await reread(engine, world.acme)
    assert await refused(device(bundle=bundle))
    assert engine.counters.dropped["unknown_certificate"] == 1


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("harm", ["revoke", "disable", "delete"])
async def test_what_is_taken_back_is_closed_at_once_and_not_let_in_again(
    device: Device, world: World, harm: str
) -> None:
    scope, nas_id = world.acme.scope, world.acme.nas["_id"]
    async with device() as gate:
        assert (await gate.pap(USERNAME, USER_PASSWORD)).accepted
        if harm == "revoke":
            (row,) = await certificates.of_device(scope, nas_id)
            await certificates.revoke(scope, row["_id"])
        elif harm == "disable":
            await nas.set_status(scope, nas_id, "disabled")
        else:
            await nas.delete(scope, nas_id)
        await gate.ended()
    assert await refused(device())


async def test_a_certificate_issued_meanwhile_is_let_in(
    device: Device, world: World, engine: Engine, server_authority: str
) -> None:
    """Also the first one of a tenant, whose authority is new to the worker."""
    foreign = await certificates.issue(world.zeta.scope, world.zeta.nas["_id"])
    await reread(engine, world.zeta)
    async with device(bundle=foreign) as gate, device() as other:
        assert (await gate.status()).accepted and (await other.status()).accepted
        both = {(business.id, business.nas["_id"]) for business in (world.acme, world.zeta)}
        assert engine._radsec.held() == both
    await until(lambda: not engine._radsec.held(), "both are gone")


@pytest.mark.usefixtures("unlimited")
async def test_a_device_reaches_its_own_tenant_only(device: Device, world: World, engine: Engine) -> None:
    """The user of the same name is another one there: her password here opens nothing there."""
    foreign = await certificates.issue(world.zeta.scope, world.zeta.nas["_id"])
    form = accounts.AccountPasswordForm(password="zeta-alone")
    await accounts.change_password(world.zeta.scope, world.zeta.account["_id"], form)
    await reread(engine, world.zeta)
    async with device(bundle=foreign) as zeta, device() as acme:
        assert (await zeta.pap(USERNAME, "zeta-alone")).accepted
        assert not (await zeta.pap(USERNAME, USER_PASSWORD)).accepted
        assert (await acme.pap(USERNAME, USER_PASSWORD)).accepted
        assert not (await acme.pap(USERNAME, "zeta-alone")).accepted


async def test_mode_certificate_refuses_everything_over_udp(
    device: Device, world: World, engine: Engine, gateway: Gateway
) -> None:
    form = nas.form_of(world.acme.nas) | {"mode": "certificate", "address": HOST}
    await nas.update(world.acme.scope, world.acme.nas["_id"], nas.NasForm.model_validate(form))
    await until(lambda: engine.table.devices[world.acme.nas["_id"]].device.mode == "certificate", "it is known")
    async with gateway(world.acme, timeout=0.2, tries=1) as udp:
        with pytest.raises(NoAnswer):
            await udp.status()
    assert engine.counters.dropped == {"unknown_nas": 1}
    async with device() as gate:
        assert (await gate.status()).accepted
