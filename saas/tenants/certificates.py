"""Certificates for RADIUS over TLS (RFC 6614): each tenant's own authority, and what it issues to the tenant's devices.

A device is known by the fingerprint of the certificate that it presents, as long as the row of that certificate is
active and `valid_until` is ahead. The private key of a device is shown to whoever issued it and kept nowhere. The key
of a tenant's authority is sealed for the tenant.

Engines show a certificate issued by the installation's authority, which is one for the whole cloud and part of each
device's bundle. Its key is sealed under the installation's secret key. Each engine makes its own certificate and key
when it starts, and keeps them in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from saas import certs
from saas.certs import Pair
from saas.errors import Conflict, Taken
from saas.tenants import audit, records
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow

DEVICE_LIFE: Final = timedelta(days=731)
AUTHORITY_LIFE: Final = timedelta(days=3652)
SERVER_LIFE: Final = timedelta(days=365)  # an engine makes itself a new one at every start
INSTALLATION_LIFE: Final = timedelta(days=30 * 365)  # every device holds a copy, and nobody likes to visit them all
GRACE: Final = timedelta(days=14)  # that a renewed certificate works beside its successor
SOON: Final = timedelta(days=30)  # before its end that a certificate is called expiring

_TENANTS_A_QUERY: Final = 100
_INSTALLATION: Final = "radsec-authority"

CERTIFICATE = records.Noun("certificates", "certificate", "crt", "name")


class Certificate(TypedDict):
    """A device's certificate. `status`: "active" or "revoked"; `valid_until` is `not_after` or, renewed, earlier."""

    _id: str
    tenant_id: str
    nas_id: str
    name: str  # the device's when it was issued
    serial: str
    fingerprint: str  # unique in the cloud: the engine finds tenant and device by it
    not_after: datetime
    valid_until: datetime
    status: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is given to a device, PEM each. The tenant's authority is not among it: engines have that themselves."""

    name: str
    key: str
    certificate: str


@dataclass(frozen=True, slots=True)
class Trust:
    """What an engine accepts: the authorities of its tenants (PEM), and device ids by certificate fingerprint."""

    authorities: tuple[str, ...] = ()
    devices: Mapping[str, str] = field(default_factory=dict)


async def issue(scope: Scope, nas_id: str) -> Bundle:
    """A key pair and certificate for a device, for two years. NotFound."""
    bundle, values = await _made(scope, nas_id)
    await records.create(scope, CERTIFICATE, values)
    await scope.changed("nas", nas_id)
    return bundle


async def renew(scope: Scope, certificate_id: str) -> Bundle:
    """Another key pair and certificate for the same device; the present one works for another two weeks.

    NotFound; Conflict("certificate_ended") when it works no more.
    """
    old = await get(scope, certificate_id)
    bundle, values = await _made(scope, old["nas_id"])

    async def write(tx: Scope) -> None:
        until = {"valid_until": min(old["valid_until"], utcnow() + GRACE)}
        await records.change(tx, CERTIFICATE, certificate_id, until, verb="renew", guard=_is_good)
        await records.create(tx, CERTIFICATE, values)

    await scope.transaction(write)
    await scope.changed("nas", old["nas_id"])
    return bundle


async def revoke(scope: Scope, certificate_id: str) -> Certificate:
    """It works no more, and its connections are closed. NotFound; Conflict("certificate_ended")."""
    row: Certificate = await records.change(
        scope, CERTIFICATE, certificate_id, {"status": "revoked"}, verb="revoke", guard=_is_good
    )
    await scope.changed("nas", row["nas_id"])
    return row


async def get(scope: Scope, certificate_id: str) -> Certificate:
    """One certificate. NotFound."""
    row: Certificate = await scope.db.certificates.get(certificate_id)
    return row


async def of_device(scope: Scope, nas_id: str) -> list[Certificate]:
    """The certificates of a device, the newest first."""
    return await scope.db.certificates.find({"nas_id": nas_id})


def state(row: Certificate, now: datetime) -> str:
    """The one word for a certificate: "active", "expiring", "expired" or "revoked"."""
    if row["status"] != "active":
        return row["status"]
    if row["valid_until"] <= now:
        return "expired"
    return "expiring" if row["valid_until"] <= now + SOON else "active"


async def engine_trust(ps: PlatformScope, tenant_ids: Collection[str]) -> Trust:
    """What an engine that serves these tenants accepts of them at present."""
    authorities: list[str] = []
    devices: dict[str, str] = {}
    now = utcnow()
    wanted = sorted(tenant_ids)
    for first in range(0, len(wanted), _TENANTS_A_QUERY):
        ours = {"tenant_id": {"$in": wanted[first : first + _TENANTS_A_QUERY]}}
        authorities += [row["certificate"] for row in await ps.db.authorities.find(ours, limit=100_000)]
        issued = await ps.db.certificates.find(ours | {"status": "active"}, limit=100_000)
        devices |= {row["fingerprint"]: row["nas_id"] for row in issued if row["valid_until"] > now}
    return Trust(tuple(authorities), devices)


async def server_authority(ps: PlatformScope) -> str:
    """The certificate (PEM) of the authority that devices know our engines by."""
    return (await _installation(ps)).certificate


async def server_certificate(ps: PlatformScope, host: str) -> Pair:
    """A new certificate for an engine that devices know by this host name or address."""
    return certs.server(await _installation(ps), host, SERVER_LIFE)


async def _made(scope: Scope, nas_id: str) -> tuple[Bundle, dict[str, Any]]:
    """What the device gets, and what we keep of it."""
    nas = await scope.db.nas.get(nas_id)
    issuer = await _authority(scope)
    made = certs.client(issuer, nas["name"], f"urn:openpns:{scope.tenant_id}:{nas_id}", DEVICE_LIFE)
    serial, fingerprint, not_after = certs.facts(made.certificate)
    values = {
        "nas_id": nas_id,
        "name": nas["name"],
        "serial": serial,
        "fingerprint": fingerprint,
        "not_after": not_after,
        "valid_until": not_after,
        "status": "active",
    }
    return Bundle(nas["name"], made.key, made.certificate), values


async def _is_good(scope: Scope, row: Certificate) -> None:
    if state(row, utcnow()) in ("revoked", "expired"):
        raise Conflict("certificate_ended", name=row["name"])


async def _authority(scope: Scope) -> Pair:
    """The tenant's authority, made when there is none or when it would end before what it issues."""
    rows = await scope.db.authorities.find({})
    if rows and rows[0]["not_after"] > utcnow() + DEVICE_LIFE:
        return Pair(rows[0]["certificate"], scope.unseal(rows[0]["sealed_key"]))
    made = certs.authority(f"{scope.tenant['slug']} devices {len(rows) + 1}", AUTHORITY_LIFE)
    _, fingerprint, not_after = certs.facts(made.certificate)
    row: dict[str, Any] = {
        "_id": f"{scope.tenant_id}-ca-{len(rows) + 1:04d}",  # of two that are made at once, one is kept
        "certificate": made.certificate,
        "sealed_key": scope.seal(made.key),
        "not_after": not_after,
        "created_at": utcnow(),
    }

    async def write(tx: Scope) -> None:
        await tx.db.authorities.insert(row)
        await audit.record(
            tx, "authority.create", row["_id"], name=scope.tenant["slug"], after={"fingerprint": fingerprint}
        )

    with suppress(Taken):
        await scope.transaction(write)
    return await _authority(scope)


async def _installation(ps: PlatformScope) -> Pair:
    """The installation's authority, made once however many ask for it at the same time."""
    row = await ps.db.installation.one({"_id": _INSTALLATION})
    if row is not None:
        return Pair(row["certificate"], ps.keys.unseal(_INSTALLATION, row["sealed_key"]))
    made = certs.authority("OpenPNS engines", INSTALLATION_LIFE)
    sealed = ps.keys.seal(_INSTALLATION, made.key)
    with suppress(Taken):
        await ps.db.installation.insert(
            {"_id": _INSTALLATION, "certificate": made.certificate, "sealed_key": sealed, "created_at": utcnow()}
        )
    return await _installation(ps)
