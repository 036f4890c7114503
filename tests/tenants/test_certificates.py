"""The tenant's authority and the certificates of its devices: made once, sealed, fenced, logged."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from saas import certs
from saas.errors import Conflict, NotFound
from saas.security import Unsealable
from saas.tenants import certificates, nas, pools
from saas.tenants.certificates import Bundle
from saas.tenants.scope import PlatformScope
from saas.tenants.verify import verify
from saas.values import utcnow
from tests.world import Business, World, make_business


def read(certificate: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.encode())


async def authorities(business: Business) -> list[x509.Certificate]:
    return [read(row["certificate"]) for row in await business.scope.db.authorities.find()]


async def issued(business: Business) -> tuple[Bundle, certificates.Certificate]:
    bundle = await certificates.issue(business.scope, business.nas["_id"])
    return bundle, (await certificates.of_device(business.scope, business.nas["_id"]))[0]


async def test_a_certificate_names_its_device_and_is_good_for_a_client_only(world: World) -> None:
    bundle, row = await issued(world.acme)
    mine = read(bundle.certificate)
    (authority,) = await authorities(world.acme)
    mine.verify_directly_issued_by(authority)
    authority.verify_directly_issued_by(authority)
    assert mine.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "East gate"
    names = mine.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [f"urn:openpns:{world.acme.id}:{world.acme.nas['_id']}"]
    purposes = mine.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not mine.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = load_pem_private_key(bundle.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == mine.public_key()
    assert certs.facts(bundle.certificate) == (row["serial"], row["fingerprint"], row["not_after"])
    assert timedelta(days=730) < row["not_after"] - utcnow() < timedelta(days=732)
    assert timedelta(days=3650) < authority.not_valid_after_utc - utcnow() < timedelta(days=3653)


async def test_a_tenant_has_one_authority_and_another_tenant_another(world: World) -> None:
    await asyncio.gather(*(certificates.issue(world.acme.scope, world.acme.nas["_id"]) for _ in range(4)))
    foreign, _ = await issued(world.zeta)
    (mine,) = await authorities(world.acme)
    with pytest.raises((ValueError, TypeError), match=r"does not match|signature|subject"):
        read(foreign.certificate).verify_directly_issued_by(mine)


async def test_an_authority_that_would_end_before_what_it_issues_gets_a_successor(world: World) -> None:
    scope = world.acme.scope
    await issued(world.acme)
    (row,) = await scope.db.authorities.find()
    await scope.db.authorities.update(row["_id"], {"$set": {"not_after": utcnow() + timedelta(days=700)}})
    bundle, _ = await issued(world.acme)
    new, old = await authorities(world.acme)
    assert new != old
    read(bundle.certificate).verify_directly_issued_by(new)
    trust = await certificates.engine_trust(world.ps, {scope.tenant_id})
    assert row["certificate"] in trust.authorities, "what the old one issued is still good"


async def test_no_private_key_of_a_device_is_kept_and_the_authoritys_is_sealed(world: World, ps: PlatformScope) -> None:
    bundle, row = await issued(world.acme)
    (authority,) = await world.acme.scope.db.authorities.find()
    secret = "".join(bundle.key.splitlines()[1:-1])
    everything = [row, authority, *await world.acme.scope.db.audit.find(limit=1000)]
    assert not [each for each in everything if secret in str(each).replace("\\n", "") or "PRIVATE" in str(each)]
    assert "PRIVATE KEY" in world.acme.scope.unseal(authority["sealed_key"])
    with pytest.raises(Unsealable):
        world.zeta.scope.unseal(authority["sealed_key"])


async def test_the_installation_has_one_authority_however_many_start_together(alone: PlatformScope) -> None:
    found = await asyncio.gather(*(certificates.server_authority(alone) for _ in range(4)))
    assert len(set(found)) == 1
    (row,) = await alone.db.installation.find()
    assert b"PRIVATE" not in row["sealed_key"]


@pytest.mark.parametrize("host", ["radius.example.net", "192.0.2.7", "2001:db8::7"])
async def test_an_engines_certificate_names_its_host(ps: PlatformScope, host: str) -> None:
    pair = await certificates.server_certificate(ps, host)
    found = read(pair.certificate)
    found.verify_directly_issued_by(read(await certificates.server_authority(ps)))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [host]
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


async def test_an_engine_accepts_what_is_active(world: World, ps: PlatformScope) -> None:
    both = {world.acme.id, world.zeta.id}
    _, first = await issued(world.acme)
    _, second = await issued(world.acme)
    _, foreign = await issued(world.zeta)
    await certificates.revoke(world.acme.scope, first["_id"])
    trust = await certificates.engine_trust(ps, both)
    assert trust.devices[second["fingerprint"]] == world.acme.nas["_id"]
    assert trust.devices[foreign["fingerprint"]] == world.zeta.nas["_id"]
    assert first["fingerprint"] not in trust.devices
    assert sum(world.acme.slug in str(read(ca)) for ca in trust.authorities) == 1
    await world.acme.scope.db.certificates.update(second["_id"], {"$set": {"valid_until": utcnow()}})
    assert second["fingerprint"] not in (await certificates.engine_trust(ps, both)).devices
    assert foreign["fingerprint"] in (await certificates.engine_trust(ps, {world.zeta.id})).devices
    assert foreign["fingerprint"] not in (await certificates.engine_trust(ps, {world.acme.id})).devices


async def test_a_renewed_certificate_works_for_two_more_weeks(world: World) -> None:
    scope = world.acme.scope
    _, old = await issued(world.acme)
    bundle = await certificates.renew(scope, old["_id"])
    new, before = await certificates.of_device(scope, world.acme.nas["_id"])
    assert certs.facts(bundle.certificate).fingerprint == new["fingerprint"] != old["fingerprint"]
    assert before["_id"] == old["_id"] and before["status"] == "active"
    assert timedelta(days=13) < before["valid_until"] - utcnow() <= timedelta(days=14)
    assert certificates.state(before, utcnow()) == "expiring"
    assert certificates.state(before, utcnow() + timedelta(days=15)) == "expired"
    assert certificates.state(new, utcnow()) == "active"


async def test_what_has_ended_is_neither_renewed_nor_revoked(world: World) -> None:
    scope = world.acme.scope
    _, row = await issued(world.acme)
    revoked = await certificates.revoke(scope, row["_id"])
    assert certificates.state(revoked, utcnow()) == "revoked"
    for act in (certificates.revoke, certificates.renew):
        with pytest.raises(Conflict, match="certificate_ended"):
            await act(scope, row["_id"])
    assert len(await certificates.of_device(scope, world.acme.nas["_id"])) == 1


async def test_each_step_is_in_the_log(world: World) -> None:
    scope = world.acme.scope
    _, first = await issued(world.acme)
    await certificates.renew(scope, first["_id"])
    await certificates.revoke(scope, first["_id"])
    log = await scope.db.audit.find({"noun": {"$in": ["certificate", "authority"]}}, sort=[("_id", 1)])
    steps = ["authority.create", "certificate.create", "certificate.renew", "certificate.create", "certificate.revoke"]
    assert [entry["action"] for entry in log] == steps
    assert {entry["actor_name"] for entry in log} == {scope.actor.name}
    assert [entry["target_name"] for entry in log[1:]] == ["East gate"] * 4


async def test_another_tenants_device_and_certificate_are_not_found(world: World) -> None:
    _, row = await issued(world.zeta)
    for act in (certificates.get, certificates.renew, certificates.revoke):
        with pytest.raises(NotFound):
            await act(world.acme.scope, row["_id"])
    with pytest.raises(NotFound):
        await certificates.issue(world.acme.scope, world.zeta.nas["_id"])
    assert await certificates.of_device(world.acme.scope, world.zeta.nas["_id"]) == []
    assert await certificates.get(world.zeta.scope, row["_id"]) == row


async def test_a_deleted_devices_certificates_go_with_it(world: World, ps: PlatformScope) -> None:
    _, row = await issued(world.acme)
    await nas.delete(world.acme.scope, world.acme.nas["_id"])
    with pytest.raises(NotFound):
        await certificates.get(world.acme.scope, row["_id"])


async def test_verify_tells_what_is_broken(alone: PlatformScope) -> None:
    acme = await make_business(alone, "acme")
    _, row = await issued(acme)
    await pools.ensure_shared(alone, pools.Ports(1812, 1813, 2083))
    assert [sentence async for sentence in verify(alone)] == []
    (authority,) = await acme.scope.db.authorities.find()
    await acme.scope.db.authorities.update(authority["_id"], {"$set": {"sealed_key": b"broken"}})
    await acme.scope.db.certificates.update(row["_id"], {"$set": {"nas_id": "nas_gone"}})
    assert [sentence async for sentence in verify(alone)] == [
        f"{acme.slug}: certificate {row['_id']}: device nas_gone does not exist",
        f"{acme.slug}: authority {authority['_id']}: its key cannot be unsealed with this secret key",
    ]
