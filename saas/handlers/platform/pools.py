"""Engine pools: ports and workers, how they fare, which tenants are in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.forms import ConfirmPage, FormPage
from saas.handlers.forms.fields import labels
from saas.handlers.reports import WORKER_COLUMNS, engine_rows, ports_text, rate_text
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.i18n import N_, Reader
from saas.tenants import engines, pools
from saas.tenants.engines import EngineReport, PoolState
from saas.tenants.platform import SHARED_POOL
from saas.tenants.pools import Pool
from saas.values import from_epoch, utcnow

KINDS = labels(pools.PoolForm, "kind")
STATES = {"retired": N_("Retired")}

POOL_COLUMNS = (
    Column(N_("Pool name"), "name", link="/pools/{_id}", role="title"),
    Column(N_("State"), "state", "status", words=STATES),
    Column(N_("Kind"), "kind", words=KINDS),
    Column(N_("Host"), "host", "code"),
    Column(N_("Ports"), "ports", "code"),
    Column(N_("Workers"), "workers"),
    Column(N_("Tenants"), "tenants", "number"),
    Column(N_("Log-ins"), "auth_rate"),
    Column(N_("Accounting"), "acct_rate"),
)
HOST_COLUMNS = (
    Column(N_("Host"), "host", "code", role="title"),
    Column(N_("State"), "state", "status"),
    Column(N_("Ports"), "ports", "code"),
    Column(N_("Taken by another program"), "taken"),
    Column(N_("Workers replaced"), "restarts", "number"),
    Column(N_("Answered until"), "until", "moment"),
)


def state_of(pool: Pool, workers: Iterable[EngineReport], hosts: Iterable[PoolState]) -> str:
    """The one word for a pool: what stands in its way comes first."""
    if pool["status"] == "retired":
        return "retired"
    if any(each.state == "port_taken" and not each.until for each in hosts):
        return "port_taken"
    return "up" if any(each.state == "running" for each in workers) else "down"


def pool_row(
    reader: Reader, pool: Pool, reports: Iterable[EngineReport], states: Iterable[PoolState], tenants: int
) -> dict[str, Any]:
    """A row for POOL_COLUMNS."""
    workers = [each for each in reports if each.pool == pool["name"]]
    hosts = [each for each in states if each.pool == pool["name"]]
    ports = pools.ports_of(pool)
    present = [each for each in workers if (each.auth_port, each.acct_port) == ports[:2] and each.state == "running"]
    wanted = pool["workers"] * max(1, sum(not each.until for each in hosts))
    return {
        "_id": pool["_id"],
        "name": pool["name"],
        "kind": pool["kind"],
        "host": pool["host"] or reader(N_("all")),
        "ports": ports_text(*ports),
        "workers": f"{len(present)} / {wanted}" if pool["status"] == "active" else "",
        "tenants": tenants,
        "auth_rate": rate_text(reader, sum(each.auth_rate for each in workers)),
        "acct_rate": rate_text(reader, sum(each.acct_rate for each in workers)),
        "state": state_of(pool, workers, hosts),
    }


def host_rows(states: Iterable[PoolState]) -> list[dict[str, Any]]:
    """Rows for HOST_COLUMNS."""
    return [
        {
            "host": each.host,
            "state": each.state,
            "ports": ports_text(each.auth_port, each.acct_port),
            "taken": each.taken_port or None,
            "restarts": each.restarts,
            "until": from_epoch(each.until) if each.until else None,
        }
        for each in states
    ]


class Pools(Handler):
    """Every pool."""

    async def get(self) -> None:
        """The page; it draws itself anew every few seconds."""
        reports, states = await engines.listing(self.ps), await engines.pool_states(self.ps)
        counts = await pools.tenant_counts(self.ps)
        rows = [
            pool_row(self.reader, pool, reports, states, counts.get(pool["name"], 0))
            for pool in await pools.listing(self.ps)
        ]
        self.page("platform/pools/list.html", N_("Engine pools"), pools=rows, columns=POOL_COLUMNS)


class PoolDetail(Handler):
    """One pool: its facts, its workers, its former ports."""

    async def get(self, id: str) -> None:
        """The page; its live part draws itself anew every few seconds."""
        pool = await pools.get(self.ps, id)
        reports = [each for each in await engines.listing(self.ps) if each.pool == pool["name"]]
        states = [each for each in await engines.pool_states(self.ps) if each.pool == pool["name"]]
        self.page(
            "platform/pools/detail.html",
            pool["name"],
            pool=pool,
            row=pool_row(self.reader, pool, reports, states, (await pools.tenant_counts(self.ps)).get(pool["name"], 0)),
            kinds=KINDS,
            states=STATES,
            shared=pool["name"] == SHARED_POOL,
            former=[
                (ports_text(*(each["auth_port"], each["acct_port"], each["radsec_port"])), each["until"])
                for each in pools.former_ports(pool, utcnow())
            ],
            workers=engine_rows(self.reader, reports),
            columns=WORKER_COLUMNS,
            hosts=host_rows(states),
            host_columns=HOST_COLUMNS,
        )


class PoolNew(FormPage):
    """A new pool."""

    form = pools.PoolForm
    title = N_("Add a pool")
    saved = N_("The pool is added. Its workers start within seconds.")
    back = "/pools"
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """Ports that no pool has."""
        ports = await pools.suggested_ports(self.ps)
        return {"auth_port": ports.auth, "acct_port": ports.acct}

    async def save(self, form: pools.PoolForm) -> str:
        """See pools.create."""
        pool = await pools.create(self.ps, form)
        return self.url("/pools/{id}", id=pool["_id"])


class PoolEdit(FormPage):
    """Change a pool; the ports of the shared one are those of the settings."""

    form = pools.PortsForm
    title = N_("Edit the pool")
    template = "platform/pools/edit.html"
    saved = N_("Saved. The pool follows within seconds.")
    back = "/pools/{id}"
    shared = False

    @property
    def model(self) -> type[BaseModel]:
        """What may be changed of this pool."""
        return pools.WorkersForm if self.shared else self.form

    async def initial(self) -> Mapping[str, Any]:
        """The pool as it is."""
        pool: Any = await pools.get(self.ps, self.part("id"))
        self.shared = pool["name"] == SHARED_POOL
        return {name: pool[name] for name in self.model.model_fields} | {"version": pool["version"]}

    async def extra(self) -> Mapping[str, Any]:
        """Whether its ports can be changed here."""
        return {"ports": not self.shared}

    async def save(self, form: pools.WorkersForm) -> str:
        """See pools.update."""
        pool = await pools.update(self.ps, self.part("id"), form, self.version)
        return self.url("/pools/{id}", id=pool["_id"])


class _Confirm(ConfirmPage):
    back = "/pools/{id}"

    async def subject(self) -> str:
        """The pool's name."""
        return (await pools.get(self.ps, self.part("id")))["name"]


class EndPorts(_Confirm):
    """Give up former ports before their time."""

    title = N_("Give up the former ports?")
    text = N_("Devices that still send there get no answer any more, on none of them.")
    submit = N_("Give them up")
    saved = N_("The former ports are given up.")

    async def act(self) -> str:
        """See pools.end_former_ports."""
        pool = await pools.end_former_ports(self.ps, self.part("id"))
        return self.url("/pools/{id}", id=pool["_id"])


class Retire(_Confirm):
    """End a pool."""

    title = N_("Retire this pool?")
    text = N_("Its workers end and its ports are free. Only a pool without tenants can be retired; its name stays.")
    submit = N_("Retire the pool")
    saved = N_("The pool is retired.")
    typed = True

    async def act(self) -> str:
        """See pools.retire."""
        await pools.retire(self.ps, self.part("id"))
        return self.url("/pools")


ROUTES = [
    Route("/pools", Pools, {"GET": SIGNED_IN}, Menu("Network", N_("Engine pools"), "network", 5)),
    Route("/pools/new", PoolNew, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    Route("/pools/{id}", PoolDetail, {"GET": SIGNED_IN}),
    Route("/pools/{id}/edit", PoolEdit, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    Route("/pools/{id}/ports/end", EndPorts, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    Route("/pools/{id}/retire", Retire, {"GET": SIGNED_IN, "POST": SIGNED_IN}),
]
