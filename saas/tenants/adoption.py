"""Unknown devices as a tenant sees them: those that may be its own, never one that is another's.

What no device of a pool is known by is listed for the whole pool (refusals.py). A tenant sees of it, in its own pool
and in one that it left while that still answers: rows with the identifier of one of its devices; rows from an address
of one of its devices; rows from the address that its operator's browser comes from, or from one that the operator types
in, in full; and all rows when the pool is its own. Rows with the identifier of another tenant's device, and rows
without one of ours that come from the fixed address of another tenant's device, are left out whatever else speaks for
them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from saas import outbound
from saas.errors import Invalid, Limit
from saas.tenants.platform import SHARED_POOL
from saas.tenants.pools import former_pools
from saas.tenants.scope import PlatformScope, Scope
from saas.values import normal_address, utcnow

_SHOWN = 200
_IDENTIFIER = re.compile(r"[A-Za-z0-9._\-]{1,64}")  # as nas.Identifier has it
_DEVICES = 5000  # of a tenant, that are looked at
_NAMES = 20  # host names that are resolved for one look
_PATIENCE = 2.0  # seconds for one of them
_ADDRESSES = 10  # that a tenant may type in
_WINDOW = 3600.0  # seconds in which


class UnknownDevice(TypedDict):
    """Packets from one source with one identifier. `cause`: why the engine did not answer the last one. `nas_id`: the
    device of ours that has this identifier (`named`) or this address, "" when none has.
    """

    _id: str
    source: str
    identifier: str
    cause: str
    count: int
    first_at: datetime
    last_at: datetime
    nas_id: str
    named: bool


async def unknown(ps: PlatformScope, scope: Scope, browser: str = "", typed: str = "") -> list[UnknownDevice]:
    """The unknown devices that may be this tenant's, the last heard of first, at most 200.

    `browser`: where the operator's request comes from; `typed`: an address that the operator says is his. Invalid when
    it is none; Limit after ten different ones in an hour.
    """
    devices = await scope.db.nas.find({}, limit=_DEVICES, fields=["identifier", "address", "mode", "ddns"])
    identifiers = {device["identifier"]: device["_id"] for device in devices}
    addresses = await _addresses(devices)
    sources = {*addresses, *_public(browser), *await _typed(scope, typed)}
    rows: list[Any] = []
    for pool in {scope.tenant["pool"], *(each["pool"] for each in former_pools(scope.tenant, utcnow()))}:
        if await owns(ps, scope, pool):
            rows += await _rows(ps, {"pool": pool})
        else:
            by_name = await _rows(ps, {"pool": pool, "identifier": {"$in": sorted(identifiers)}})
            by_source = await _rows(ps, {"pool": pool, "source": {"$in": sorted(sources)}})
            rows += {row["_id"]: row for row in (*by_name, *by_source)}.values()
    ours = await _without_others(ps, scope, rows, identifiers)
    ours.sort(key=lambda row: row["last_at"], reverse=True)
    return [_shown(row, identifiers, addresses) for row in ours[:_SHOWN]]


def known_by(row: Mapping[str, Any]) -> dict[str, str]:
    """What of NasForm an unknown device would be known by: its identifier where it sends one, else its address."""
    if _IDENTIFIER.fullmatch(row["identifier"]):
        return {"mode": "identifier", "identifier": row["identifier"]}
    return {"mode": "ip", "address": row["source"]}


async def _rows(ps: PlatformScope, filter: Mapping[str, Any]) -> list[Any]:
    return await ps.db.unknown_nas.find(filter, sort=[("last_at", -1)], limit=_SHOWN)


async def _addresses(devices: Sequence[Any]) -> dict[str, str]:
    """Address -> device: the fixed ones, and what host names stand for at present."""
    named = [device for device in devices if device["mode"] == "ddns" and device["ddns"]][:_NAMES]
    found = await asyncio.gather(*(outbound.resolve(device["ddns"], _PATIENCE) for device in named))
    resolved = {address: device["_id"] for device, all in zip(named, found, strict=True) for address in all}
    return resolved | {device["address"]: device["_id"] for device in devices if device["address"]}


def _public(browser: str) -> list[str]:
    """The browser's address, unless it is this machine's own: then a proxy stands between."""
    try:
        address = ipaddress.ip_address(normal_address(browser))
    except ValueError:
        return []
    return [] if address.is_loopback else [str(address)]


async def _typed(scope: Scope, typed: str) -> list[str]:
    """The address that was typed in. How many different ones are tried is limited: nobody is to search for others'."""
    if not typed:
        return []
    try:
        address = normal_address(typed)
    except ValueError:
        raise Invalid({"address": "bad_address"}) from None
    if await scope.kv.get(f"adoption:{address}") is None:
        hits, left = await scope.kv.hit("adoption", _WINDOW)
        if hits > _ADDRESSES:
            raise Limit("too_many_addresses", retry_after=int(left) + 1)
        await scope.kv.put(f"adoption:{address}", True, _WINDOW)
    return [address]


async def owns(ps: PlatformScope, scope: Scope, pool: str) -> bool:
    """Whether the pool serves this tenant alone."""
    return pool != SHARED_POOL and await ps.db.tenants.count({"pool": pool}, limit=2) == 1


async def _without_others(
    ps: PlatformScope, scope: Scope, rows: Sequence[Any], identifiers: Mapping[str, str]
) -> list[Any]:
    """The rows that are not another tenant's by what its devices are registered with."""
    strange = [row for row in rows if row["identifier"] not in identifiers]
    names = sorted({row["identifier"] for row in strange} - {""})
    sources = sorted({row["source"] for row in strange})
    others = [*await _registered(ps, "identifier", names), *await _registered(ps, "address", sources)]
    taken = {(device["identifier"], device["address"]) for device in others if device["tenant_id"] != scope.tenant_id}
    taken_names, taken_sources = {name for name, _ in taken}, {address for _, address in taken if address}
    return [
        row
        for row in rows
        if row["identifier"] in identifiers
        or (row["identifier"] not in taken_names and row["source"] not in taken_sources)
    ]


async def _registered(ps: PlatformScope, field: str, values: Sequence[str]) -> list[Any]:
    if not values:
        return []
    fields = ["tenant_id", "identifier", "address"]
    return await ps.db.nas.find({field: {"$in": list(values)}}, limit=_DEVICES, fields=fields)


def _shown(row: Mapping[str, Any], identifiers: Mapping[str, str], addresses: Mapping[str, str]) -> UnknownDevice:
    return UnknownDevice(
        _id=row["_id"],
        source=row["source"],
        identifier=row["identifier"],
        cause=row["cause"],
        count=row["count"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        nas_id=identifiers.get(row["identifier"]) or addresses.get(row["source"], ""),
        named=row["identifier"] in identifiers,
    )
