"""NAS devices: the gateways and routers of a tenant, by which its packets are known."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypedDict

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from saas import security
from saas.errors import Conflict, Invalid
from saas.i18n import N_
from saas.tenants import audit, device_types, platform, pools, records
from saas.tenants.accounting import stale_after
from saas.tenants.forms import Address, Form, HostName, Name, Note
from saas.tenants.paging import ListQuery, Page, beginning, page_of
from saas.tenants.scope import PlatformScope, Scope
from saas.values import utcnow

log = logging.getLogger(__name__)

VENDORS = device_types.NAMES
_UNSIGNED = ("openvpn", "pptpd")  # the OpenVPN plugin and pppd's radiusclient know no Message-Authenticator
Mode = Literal["identifier", "ip", "ddns", "certificate"]
Policy = Literal["auto", "require", "optional"]
UserCheck = Literal["password", "account", "none"]
Identifier = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9._\-]*$")]
# nothing that the configuration of some device would want quoted
SharedSecret = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9._~!@%*+=:,/\-]*$")]


NAS = records.Noun("nas", "nas", "nas", "name")


class Nas(TypedDict):
    """A device. `identifier` is unique in the whole cloud; `address` and `ddns` may be "".

    `status`: "active" or "disabled". `user_check`: what of a log-in is checked, "password" with the account, "account"
    alone, whatever the password, or "none": then anybody gets in.
    """

    _id: str
    tenant_id: str
    name: str
    vendor: str  # a key of VENDORS
    mode: Mode
    identifier: str
    address: str
    ddns: str
    sealed_secret: bytes
    coa_port: int
    message_authenticator: Policy
    user_check: UserCheck
    note: str
    status: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """A NAS as the engine sees it. `address` "" is any; `secret` in clear, for this process's memory only."""

    id: str
    tenant_id: str
    name: str
    identifier: str
    mode: str
    address: str
    ddns: str
    secret: bytes
    vendor: str
    coa_port: int
    message_authenticator: str
    tenant_active: bool
    tenant_locale: str
    version: int = 0  # of the row
    guard_attempts: int = 0  # wrong passwords until none is tested any more; 0 = no limit
    guard_window: int = 600  # seconds
    user_check: str = "password"
    interim_interval: int = 300  # seconds; this and what follows as in access.LoginRecord, of those without account
    max_session_time: int = 86400
    stale_after: int = 960


Known = Mapping[str, Device]

_TENANTS_A_PAGE = 100  # more in one $in cost some stores more than as many reads
_OF_TENANT = ("status", "parameters", "pool", "former_pools")


def _known(vendor: str) -> str:
    if vendor not in VENDORS:
        raise PydanticCustomError("bad_choice", "bad choice")
    return vendor


class NasForm(Form):
    """Everything one sets of a device. Identifier and secret are made when left empty."""

    name: Name = Field(title=N_("Device name"))
    vendor: Annotated[str, Field(max_length=32), AfterValidator(_known)] = Field(
        title=N_("Device type"),
        description=N_("Decides how speed is told to it and how a session is named when it is forced off."),
        json_schema_extra={"widget": "select"},
    )
    mode: Mode = Field(
        default="identifier",
        title=N_("Authentication mode"),
        description=N_(
            "How the device is known: by its identifier (any address), a fixed address, or a dynamic name. Over RadSec "
            "its certificate says who it is, whatever is chosen here; “Certificate only” refuses everything else."
        ),
        json_schema_extra={
            "labels": {
                "identifier": N_("NAS identifier"),
                "ip": N_("IP address"),
                "ddns": N_("Dynamic DNS name"),
                "certificate": N_("Certificate only (RadSec)"),
            }
        },
    )
    identifier: Identifier = Field(
        default="",
        title=N_("NAS identifier"),
        description=N_("Unique in the whole cloud. Empty: one is made for you."),
        json_schema_extra={"widget": "identifier"},
    )
    address: Address = Field(default="", title=N_("IP address"), description=N_("Only if the device has a fixed one."))
    ddns: HostName = Field(default="", title=N_("Dynamic DNS name"), json_schema_extra={"widget": "text"})
    secret: SharedSecret = Field(
        default="",
        title=N_("Shared secret"),
        description=N_(
            "8 to 64 letters, digits or . _ ~ ! @ % * + = : , / -. Empty: one is made, or the present one is kept."
        ),
        json_schema_extra={"widget": "secret"},
    )
    coa_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None,
        title=N_("CoA port"),
        description=N_(
            "Where the device is told to end or change a session. Empty: the usual one of its type, 3799, with Cisco "
            "1700. Old RouterOS: 1700."
        ),
    )
    message_authenticator: Policy = Field(
        default="auto",
        title=N_("Message-Authenticator"),
        description=N_(
            "Automatic: required when the source address is not a known one, except from types that cannot send it "
            "(OpenVPN plugin, pppd). Give those a fixed address where you can."
        ),
        json_schema_extra={
            "labels": {"auto": N_("Automatic"), "require": N_("Always required"), "optional": N_("Not required")}
        },
    )
    note: Note = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea"})


async def create(scope: Scope, form: NasForm) -> Nas:
    """Register a device. Invalid, Taken("identifier" | "name"), Limit("tier_limit")."""
    _check(form)
    await platform.check_tier(scope, "nas")
    values = _values(form) | {
        "identifier": form.identifier or new_identifier(),
        "sealed_secret": scope.seal(form.secret or security.new_secret()),
        "user_check": "password",
        "status": "active",
    }
    nas: Nas = await records.create(scope, NAS, values)
    await scope.changed("nas", nas["_id"])
    return nas


async def update(scope: Scope, nas_id: str, form: NasForm, version: int | None = None) -> Nas:
    """Change a device; an empty secret or identifier keeps the present one. Taken, Conflict("changed"), NotFound."""
    _check(form)
    values = _values(form)
    if not form.identifier:
        del values["identifier"]
    if form.secret:
        values["sealed_secret"] = scope.seal(form.secret)
    return await _change(scope, nas_id, "update", values, version)


async def set_status(scope: Scope, nas_id: str, status: Literal["active", "disabled"]) -> Nas:
    """Disable a device: its packets are dropped. Or let it work again."""
    return await _change(scope, nas_id, "disable" if status == "disabled" else "enable", {"status": status})


async def delete(scope: Scope, nas_id: str) -> None:
    """Remove a device and its certificates. Conflict("has_open_sessions"), Conflict("in_use") while plans need it."""

    async def write(tx: Scope) -> None:
        await records.remove(tx, NAS, nas_id, guard=_is_free)
        await tx.db.certificates.delete_many({"nas_id": nas_id})

    await scope.transaction(write)
    await scope.changed("nas", nas_id)


async def get(scope: Scope, nas_id: str) -> Nas:
    """One device. NotFound."""
    nas: Nas = await scope.db.nas.get(nas_id)
    return nas


async def reveal_secret(scope: Scope, nas_id: str) -> str:
    """The shared secret in clear; the look is logged."""
    nas = await get(scope, nas_id)
    await audit.record(scope, "nas.secret", nas_id, name=nas["name"])
    return scope.unseal(nas["sealed_secret"])


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Devices. Filter: `status`; `q` is the beginning of a name, or a whole identifier or address."""
    filter: dict[str, Any] = {}
    if status := query.filters.get("status"):
        filter["status"] = status
    named: list[dict[str, Any]] = (
        [{"name": beginning(query.q)}, {"identifier": query.q}, {"address": query.q}] if query.q else [{}]
    )
    return await page_of([(scope.db.nas, filter | each) for each in named], query)


async def names(scope: Scope) -> dict[str, str]:
    """Id -> name of every device, for choices and columns."""
    rows = await scope.db.nas.find({}, sort=[("name", 1)], limit=5000, fields=["name"])
    return {row["_id"]: row["name"] for row in rows}


def form_of(nas: Nas) -> dict[str, Any]:
    """A device as NasForm takes it, without the secret."""
    return {name: nas[name] for name in NasForm.model_fields if name != "secret"}  # type: ignore[literal-required]


def new_identifier() -> str:
    """A NAS-Identifier that nobody has: 12 random letters and digits."""
    return f"nas-{security.new_secret(12)}"


async def engine_devices(ps: PlatformScope, pool: str, known: Known = MappingProxyType({})) -> AsyncIterator[Device]:
    """Every active device of the tenants that an engine pool serves, secrets unsealed; read a few tenants at a time.

    A secret is taken from `known` (by device id) when the row has not changed since.
    """
    for field in ("pool", "former_pools.pool"):
        after = ""
        while tenants := await ps.db.tenants.find(
            {field: pool, "_id": {"$gt": after}}, sort=[("_id", 1)], limit=_TENANTS_A_PAGE, fields=_OF_TENANT
        ):
            after = tenants[-1]["_id"]
            for device in await _devices_of(ps, pool, tenants, known):
                yield device


async def engine_devices_of(
    ps: PlatformScope, pool: str, tenant_id: str, nas_ids: Collection[str] | None = None
) -> list[Device]:
    """The same for one tenant: those of `nas_ids`, or all; none when the pool does not serve it."""
    tenant = await ps.db.tenants.one({"_id": tenant_id}, _OF_TENANT)
    return await _devices_of(ps, pool, [tenant] if tenant else [], {}, nas_ids)


async def _devices_of(
    ps: PlatformScope, pool: str, tenants: Sequence[Any], known: Known, nas_ids: Collection[str] | None = None
) -> list[Device]:
    now = utcnow()
    served = {tenant["_id"]: tenant for tenant in tenants if pools.serves(pool, tenant, now)}
    filter = {"tenant_id": {"$in": list(served)}, "status": "active"}
    if nas_ids is not None:
        filter["_id"] = {"$in": list(nas_ids)}
    devices: list[Device] = []
    for row in await ps.db.nas.find(filter, limit=100_000) if served else ():
        try:
            devices.append(_device(ps, row, served[row["tenant_id"]], known.get(row["_id"])))
        except (KeyError, security.Unsealable) as error:  # one broken row keeps no other device out
            log.error("device %s cannot be served: %s: %s", row["_id"], type(error).__name__, error)
    return devices


def effective_policy(nas: Nas) -> Policy:
    """What "auto" means for a device: types that cannot send a Message-Authenticator must not be asked for one."""
    if nas["message_authenticator"] == "auto" and nas["vendor"] in _UNSIGNED:
        return "optional"
    return nas["message_authenticator"]


def _device(ps: PlatformScope, row: Nas, tenant: Any, known: Device | None) -> Device:
    parameters = tenant["parameters"]
    fresh = known is not None and known.version == row["version"] and known.tenant_id == row["tenant_id"]
    return Device(
        id=row["_id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        identifier=row["identifier"],
        mode=row["mode"],
        address=row["address"],
        ddns=row["ddns"],
        secret=known.secret if known and fresh else ps.keys.unseal(row["tenant_id"], row["sealed_secret"]).encode(),
        vendor=row["vendor"],
        coa_port=row["coa_port"],
        message_authenticator=effective_policy(row),
        tenant_active=tenant["status"] == "active",
        tenant_locale=parameters["locale"],
        version=row["version"],
        guard_attempts=parameters["guard_attempts"],
        guard_window=parameters["guard_window"],
        user_check=row["user_check"],
        interim_interval=parameters["interim_interval"],
        max_session_time=parameters["max_session_time"],
        stale_after=stale_after(parameters),
    )


def _values(form: NasForm) -> dict[str, Any]:
    port = form.coa_port or device_types.device_type(form.vendor).coa_port
    return form.model_dump(exclude={"secret"}) | {"coa_port": port}


def _check(form: NasForm) -> None:
    wrong: dict[str, str] = {}
    if form.mode == "ip" and not form.address:
        wrong["address"] = "missing"
    if form.mode == "ddns" and not form.ddns:
        wrong["ddns"] = "missing"
    if form.secret and len(form.secret) < 8:
        wrong["secret"] = "too_short"
    if wrong:
        raise Invalid(wrong)


async def _is_free(scope: Scope, nas: Nas) -> None:
    if await scope.db.online.count({"nas_id": nas["_id"]}, limit=1):
        raise Conflict("has_open_sessions", name=nas["name"])
    if await scope.db.plans.count({"nas_ids": nas["_id"]}, limit=1):
        raise Conflict("in_use", name=nas["name"])


async def _change(scope: Scope, nas_id: str, verb: str, values: dict[str, Any], version: int | None = None) -> Nas:
    nas: Nas = await records.change(scope, NAS, nas_id, values, verb=verb, version=version)
    await scope.changed("nas", nas_id)
    return nas
