"""Engine pools: ports, the workers that serve them, and the tenants whose devices send there.

A pool is shared by any number of tenants or dedicated to one. Every `openpns radius` process whose host label the pool
names, or every one when it names none, runs its workers (`radius/supervisor.py`). Two things are given up slowly,
because devices out there must be pointed elsewhere by hand: the ports that a pool had before they were changed
(`former_ports`), and the pool that a tenant was in before it was moved (`former_pools` of the tenant). Both go on
answering until a moment that stands in the row; the platform can end it earlier.

What changes here is published as a change of kind "pool" (key: the pool's name) or "tenant".
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

from pydantic import Field, StringConstraints

from saas.errors import Conflict, Invalid, NotFound, Taken
from saas.i18n import N_
from saas.tenants import audit
from saas.tenants.forms import Form, Note
from saas.tenants.platform import SHARED_POOL
from saas.tenants.scope import PlatformScope
from saas.values import new_id, utcnow

log = logging.getLogger(__name__)

GRACE = timedelta(days=7)  # that former ports and former pools go on answering
Kind = Literal["shared", "dedicated"]

_FIRST_PORT, _STEP, _LAST_PORT = 1812, 10, 9999
_PORTS = ("auth_port", "acct_port", "radsec_port")
_MANY = 10_000  # pools


class Ports(NamedTuple):
    """Authentication and accounting over UDP, RadSec over TCP (0: none)."""

    auth: int
    acct: int
    radsec: int


class FormerPorts(TypedDict):
    """Ports that are answered at until a moment, because devices may still send there."""

    auth_port: int
    acct_port: int
    radsec_port: int
    until: datetime


class FormerPool(TypedDict):
    """A pool that a tenant was in; it serves the tenant from `since`, when it was left, until a moment."""

    pool: str
    since: datetime
    until: datetime


class Pool(TypedDict):
    """A pool. `host` "" is every host; `status`: "active" or "retired"; `workers` of each `openpns radius` process."""

    _id: str
    name: str
    kind: Kind
    host: str
    auth_port: int
    acct_port: int
    radsec_port: int
    workers: int
    former_ports: list[FormerPorts]
    status: str
    note: str
    version: int
    created_at: datetime
    updated_at: datetime


class Service(NamedTuple):
    """What a supervisor keeps running: this many workers of a pool at these ports.

    `until`: when its ports are former ones, the moment at which they are given up.
    """

    pool: str
    kind: str
    ports: Ports
    workers: int
    until: datetime | None = None


Port = Annotated[int, Field(ge=1, le=65535)]
Label = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9._\-]*$", to_lower=True)]
PoolName = Annotated[
    str, StringConstraints(min_length=2, max_length=32, to_lower=True, pattern=r"^[A-Za-z][A-Za-z0-9\-]*[A-Za-z0-9]$")
]


class _Naming(Form):
    name: PoolName = Field(title=N_("Pool name"), description=N_("Letters, digits, hyphens. It stays as it is."))
    kind: Kind = Field(
        default="shared",
        title=N_("Kind"),
        description=N_("A dedicated pool serves one tenant: its ports tell whose packets they are."),
        json_schema_extra={"labels": {"shared": N_("Shared by tenants"), "dedicated": N_("Of one tenant")}},
    )
    host: Label = Field(
        default="",
        title=N_("Host"),
        description=N_(
            "The label of the openpns radius processes that serve it (--host, by default the machine's name). "
            "Empty: all of them."
        ),
    )


class _Ports(Form):
    auth_port: Port = Field(
        title=N_("Authentication port"),
        description=N_("Up to 9999: the OpenVPN plugin (openvpn-auth-radius) cuts ports to four digits."),
    )
    acct_port: Port = Field(title=N_("Accounting port"), description=N_("Up to 9999, for the same reason."))
    radsec_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0, title=N_("RadSec port"), description=N_("RADIUS over TLS, TCP. 0: none.")
    )


class WorkersForm(Form):
    """What may be changed of the shared pool too, whose ports are those of the settings."""

    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        title=N_("Workers"),
        description=N_("Processes that share the ports, one for each processor core at most."),
    )
    note: Note = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea"})


class PortsForm(WorkersForm, _Ports):
    """What may be changed of any other pool."""


class PoolForm(PortsForm, _Naming):
    """What makes a pool."""


async def ensure_shared(ps: PlatformScope, ports: Ports, *, follow: bool = False) -> Pool:
    """The shared pool, made with these ports when there is none. With `follow` it gets them if it has others.

    Taken when another pool has one of them.
    """
    pool: Pool | None = await ps.db.pools.one({"name": SHARED_POOL})
    if pool is None:
        try:
            return await _insert(ps, PoolForm(name=SHARED_POOL, **_fields(ports)))
        except Taken:  # another process was quicker
            pool = await named(ps, SHARED_POOL)
    if not follow or ports_of(pool) == ports:
        return pool
    log.info("the shared pool gets the ports of the settings: %s", ports)
    await _check_ports(ps, pool["_id"], pool["host"], ports)
    return await _change(ps, pool, "update", {**_fields(ports), "former_ports": []})


async def create(ps: PlatformScope, form: PoolForm) -> Pool:
    """Add a pool; its workers start within seconds. Taken for its name or a port, Invalid."""
    _check_distinct(form)
    await _check_ports(ps, "", form.host, Ports(form.auth_port, form.acct_port, form.radsec_port))
    return await _insert(ps, form)


async def update(ps: PlatformScope, pool_id: str, form: WorkersForm, version: int | None = None) -> Pool:
    """Change workers, note and, but for the shared pool, ports. The former ports go on answering for the grace time.

    Taken for a port, Invalid, NotFound, Conflict("changed"), Conflict("retired"), Conflict("shared_ports").
    """
    pool = await get(ps, pool_id)
    if pool["status"] != "active":
        raise Conflict("retired")
    if pool["name"] == SHARED_POOL and isinstance(form, PortsForm):
        raise Conflict("shared_ports")
    values = form.model_dump()
    if isinstance(form, PortsForm):
        _check_distinct(form)
        ports = Ports(form.auth_port, form.acct_port, form.radsec_port)
        await _check_ports(ps, pool_id, pool["host"], ports)
        values["former_ports"] = _former_ports(pool, ports)
    return await _change(ps, pool, "update", values, version)


async def end_former_ports(ps: PlatformScope, pool_id: str) -> Pool:
    """Stop answering at the ports that the pool had before."""
    return await _change(ps, await get(ps, pool_id), "end_ports", {"former_ports": []})


async def retire(ps: PlatformScope, pool_id: str) -> None:
    """End a pool that serves nobody. Conflict("pool_in_use"), Conflict("shared_pool")."""

    async def write(tx: PlatformScope) -> Pool:
        pool = await get(tx, pool_id)
        if pool["name"] == SHARED_POOL:
            raise Conflict("shared_pool")
        if await tenants_of(tx, pool["name"], utcnow()):
            raise Conflict("pool_in_use")
        return await _write(tx, pool, "retire", {"status": "retired", "former_ports": []})

    pool = await ps.transaction(write)
    await ps.changed("pool", "", pool["name"])


async def get(ps: PlatformScope, pool_id: str) -> Pool:
    """One pool. NotFound."""
    pool: Pool = await ps.db.pools.get(pool_id)
    return pool


async def named(ps: PlatformScope, name: str) -> Pool:
    """The pool of that name. NotFound."""
    pool: Pool | None = await ps.db.pools.one({"name": name})
    if pool is None:
        raise NotFound(id=name)
    return pool


async def listing(ps: PlatformScope) -> list[Pool]:
    """Every pool by name, retired ones too."""
    return await ps.db.pools.find({}, sort=[("name", 1)], limit=_MANY)


async def tenant_counts(ps: PlatformScope) -> dict[str, int]:
    """Pool -> how many tenants are in it; those of a transition do not count."""
    rows = await ps.db.tenants.aggregate([{"$group": {"_id": "$pool", "count": {"$sum": 1}}}])
    return {row["_id"]: int(row["count"]) for row in rows}


async def tenants_of(ps: PlatformScope, name: str, now: datetime) -> set[str]:
    """The ids of some of the tenants that the pool answers for."""
    here = await ps.db.tenants.find({"pool": name}, limit=2, fields=["_id"])
    there = await ps.db.tenants.find({"former_pools.pool": name}, limit=_MANY, fields=["pool", "former_pools"])
    return {row["_id"] for row in here} | {row["_id"] for row in there if serves(name, row, now)}


async def services(ps: PlatformScope, host: str, only: str = "") -> list[Service]:
    """What the supervisor of a host keeps running: present ports and former ones, of every pool or `only` of one."""
    now = utcnow()
    found: list[Service] = []
    for pool in await listing(ps):
        if pool["status"] == "active" and pool["host"] in ("", host) and only in ("", pool["name"]):
            present = Service(pool["name"], pool["kind"], ports_of(pool), pool["workers"])
            former = former_ports(pool, now)
            found += [present, *(present._replace(ports=_ports(each), until=each["until"]) for each in former)]
    return found


async def suggested_ports(ps: PlatformScope) -> Ports:
    """Ports that no pool has, of four digits, for the form."""
    taken = {port for pool in await listing(ps) for port in ports_of(pool)}
    free = (port for port in range(_FIRST_PORT, _LAST_PORT, _STEP) if not {port, port + 1} & taken)
    auth = next(free, _FIRST_PORT)
    return Ports(auth, auth + 1, 0)


def ports_of(pool: Pool) -> Ports:
    """The pool's present ports."""
    return _ports(pool)


def former_ports(pool: Pool, now: datetime) -> list[FormerPorts]:
    """The ports that are still answered at."""
    return [each for each in pool["former_ports"] if each["until"] > now]


def former_pools(tenant: Mapping[str, Any], now: datetime) -> list[FormerPool]:
    """The pools that still answer for a tenant, the one left last at the end. Rows of old have none."""
    return [each for each in tenant.get("former_pools", ()) if each["until"] > now]


def serves(name: str, tenant: Mapping[str, Any], now: datetime) -> bool:
    """Whether a pool answers a tenant's devices."""
    return tenant["pool"] == name or any(each["pool"] == name for each in former_pools(tenant, now))


def _ports(values: Mapping[str, Any]) -> Ports:
    return Ports(*(values[name] for name in _PORTS))


def _fields(ports: Ports) -> dict[str, int]:
    return dict(zip(_PORTS, ports, strict=True))


def _former_ports(pool: Pool, ports: Ports) -> list[FormerPorts]:
    """What is answered at beside the new ports; going back to former ones makes them the present ones."""
    now = utcnow()
    left: Any = {**_fields(ports_of(pool)), "until": now + GRACE}
    return [each for each in [*former_ports(pool, now), left] if _ports(each) != ports]


def _check_distinct(form: PortsForm) -> None:
    ports = [form.auth_port, form.acct_port, *([form.radsec_port] if form.radsec_port else [])]
    wrong = {name: "not_unique" for at, name in enumerate(_PORTS[: len(ports)]) if ports[at] in ports[:at]}
    if wrong:
        raise Invalid(wrong)


async def _check_ports(ps: PlatformScope, pool_id: str, host: str, ports: Ports) -> None:
    """Taken when a pool that may be served by the same host answers at one of the ports.

    Two that are made at the same moment both pass; the supervisor finds the port taken and says so.
    """
    now = utcnow()
    for pool in await listing(ps):
        apart = host and pool["host"] and host != pool["host"]
        if pool["_id"] == pool_id or pool["status"] != "active" or apart:
            continue
        theirs = {port for each in (ports_of(pool), *map(_ports, former_ports(pool, now))) for port in each if port}
        for name, port in _fields(ports).items():
            if port in theirs:
                raise Taken(name)


async def _insert(ps: PlatformScope, form: PoolForm) -> Pool:
    now = utcnow()
    values: Any = form.model_dump()
    made = {"_id": new_id("pol"), "former_ports": [], "status": "active", "version": 1}
    row = values | made | {"created_at": now, "updated_at": now}

    async def write(tx: PlatformScope) -> Pool:
        pool: Pool = await tx.db.pools.insert(row)
        told = {name: value for name, value in values.items() if name != "name"}
        await audit.record_platform(tx, "pool.create", pool["_id"], name=pool["name"], **told)
        return pool

    pool = await ps.transaction(write)
    await ps.changed("pool", "", pool["name"])
    return pool


async def _change(
    ps: PlatformScope, pool: Pool, verb: str, values: Mapping[str, Any], version: int | None = None
) -> Pool:
    async def write(tx: PlatformScope) -> Pool:
        return await _write(tx, pool, verb, values, version)

    changed = await ps.transaction(write)
    await ps.changed("pool", "", pool["name"])
    return changed


async def _write(
    tx: PlatformScope, pool: Pool, verb: str, values: Mapping[str, Any], version: int | None = None
) -> Pool:
    after: Pool = await tx.db.pools.update(pool["_id"], {"$set": dict(values)}, version=version)
    was = {name: _told(value) for name, value in pool.items() if name in values}
    now = {name: _told(value) for name, value in values.items()}
    await audit.record_platform(tx, f"pool.{verb}", pool["_id"], name=pool["name"], before=was, **now)
    return after


def _told(value: Any) -> Any:
    """Former ports as the log shows them."""
    return [f"{each['auth_port']} / {each['acct_port']}" for each in value] if isinstance(value, list) else value
