"""NAS devices: their list, what one is and says, its ready-made configuration, adding, changing, removing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saas.errors import Invalid, Limit
from saas.handlers import messages
from saas.handlers.base import Handler
from saas.handlers.certificates import Issued, card
from saas.handlers.columns import Column, Row
from saas.handlers.forms import Bound, Choices, ConfirmPage, FormPage
from saas.handlers.forms.fields import labels
from saas.handlers.lists import Filter, ListPage
from saas.handlers.routes import Menu, Route
from saas.handlers.words import DROPS
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import (
    adoption,
    config_text,
    device_types,
    engines,
    findings,
    nas,
    nas_config,
    overview,
    plans,
    user_checks,
)
from saas.tenants.paging import ListQuery, Page
from saas.tenants.scope import Scope
from saas.values import from_epoch, utcnow

MODES = labels(nas.NasForm, "mode")
POLICIES = labels(nas.NasForm, "message_authenticator")
CHECKS = labels(user_checks.UserCheckForm, "user_check")
STATES = {"active": N_("Active"), "disabled": N_("Disabled")}
FINDINGS = {kind: messages.STATES[kind][0] for kind in ("works", "silent", "secret", "unsigned", "dropped", "nothing")}
MASK = "•" * 12


def known_by(row: Row) -> str:
    """The address or name a device is known by, "" when it may come from anywhere."""
    return str(row["ddns"] if row["mode"] == "ddns" else row["address"])


class NasList(ListPage):
    """Every device."""

    title = N_("NAS devices")
    columns = (
        Column(N_("Device name"), "name", link="/nas/{_id}", role="title", sort="name"),
        Column(N_("Device type"), "vendor", words=nas.VENDORS),
        Column(N_("NAS identifier"), "identifier", "code"),
        Column(N_("Address"), known_by),
        Column(N_("Authentication mode"), "mode", words=MODES, role="minor"),
        Column(N_("User check"), "user_check", words=CHECKS, role="extra"),
        Column(N_("Last good packet"), "last_at", "moment"),
        Column(N_("Finding"), "finding", "status", words=FINDINGS),
        Column(N_("State"), "status", "status", words=STATES),
    )
    filters = (Filter("status", N_("State"), tuple(STATES.items())),)
    search = N_("Name, identifier or address")
    empty = N_("No device yet. Add the gateway or router that your subscribers dial in to.")
    create = ("/nas/new", N_("Add a device"))
    export = "nas"

    async def rows(self, query: ListQuery) -> Page:
        """Devices, each with the moment of its last good packet."""
        found = await nas.listing(self.scope, query)
        seen = await engines.device_stats(self.scope, [row["_id"] for row in found.rows])
        return Page([row | self.seen(seen.get(row["_id"])) for row in found.rows], found.next)

    def seen(self, stats: engines.DeviceStats | None) -> dict[str, Any]:
        """What came of a device, in two columns."""
        last_at, kind = _last(stats), findings.brief(stats)[0]
        quiet = kind == "works" and last_at < utcnow() - overview.patience(self.scope)
        return {"last_at": last_at, "finding": "silent" if quiet else kind}


def _last(stats: engines.DeviceStats | None) -> Any:
    return from_epoch(stats.last_at) if stats and stats.last_at else None


@dataclass(frozen=True, slots=True)
class Config:
    """What is pasted for one device type: blocks, and what would not work."""

    vendor: str
    title: str
    snippets: list[config_text.Snippet]
    warnings: list[str]


async def engine_facts(scope: Scope) -> config_text.EngineFacts | None:
    """Where this tenant's devices send to; None while no engine runs."""
    running = [report for report in await engines.listing(scope) if report.state == "running"]
    if not running:
        return None
    interval = scope.tenant["parameters"]["interim_interval"]
    first = running[0]
    return config_text.EngineFacts(first.host, first.auth_port, first.acct_port, interval, first.radsec_port)


async def configs(scope: Scope, device: nas.Nas, secret: str) -> list[Config]:
    """The ready-made configuration for every device type, the device's own first; none while no engine runs."""
    facts = await engine_facts(scope)
    if facts is None:
        return []
    return [
        Config(v, nas.VENDORS[v], nas_config.render(v, device, secret, facts), nas_config.warnings(v, facts))
        for v in nas_config.ready(device["vendor"])
    ]


class NasDetail(Handler):
    """One device: facts, state, plans, configuration."""

    async def get(self, id: str) -> None:
        """The page, the secret masked."""
        device = await nas.get(self.scope, id)
        await self.show(device, "")

    async def show(self, device: nas.Nas, secret: str, given: Issued | None = None) -> None:
        """Draw the page; `secret` in clear, "" to mask it; `given` a certificate that was issued just now."""
        self.page(
            "admin/nas/detail.html",
            device["name"],
            nas=device,
            vendors=nas.VENDORS,
            kind=device_types.device_type(device["vendor"]),
            modes=MODES,
            policies=POLICIES,
            checks=CHECKS,
            states=STATES,
            plans=await plans.bound_to(self.scope, device["_id"]),
            secret=secret,
            configs=await configs(self.scope, device, secret or MASK),
            repoint_by=await engines.repoint_by(self.scope),
            **await finding_of(self, device),
            **await card(self.scope, device, await engine_facts(self.scope), given),
        )


async def finding_of(page: Handler, device: nas.Nas) -> dict[str, Any]:
    """What the part of the page that tells what came of the device shows. `typed` is where it may send from besides."""
    where, typed = Bound(findings.WhereForm), ""
    try:
        typed = where.parse({"address": [page.query("address")]}).address
        finding = await findings.of_device(page.ps, page.scope, device, page.address, typed)
    except (Invalid, Limit) as error:
        where.fail(error)
        typed = ""
        finding = await findings.of_device(page.ps, page.scope, device, page.address)
    return {
        "finding": finding,
        "last_at": _last(finding.stats),
        "drops": DROPS,
        "known_by": adoption.known_by,
        "where": where,
        "typed": {"address": typed} if typed else {},
        "alone": await adoption.owns(page.ps, page.scope, page.scope.tenant["pool"]),
        "address": page.address,
    }


class NasSecret(NasDetail):
    """The shared secret, shown on demand; the look is logged."""

    async def post(self, id: str) -> None:
        """The configuration with the secret in it."""
        device = await nas.get(self.scope, id)
        secret = await nas.reveal_secret(self.scope, id)
        if not self.htmx:
            await self.show(device, secret)
            return
        found = await configs(self.scope, device, secret)
        self.page("admin/nas/config.html", device["name"], nas=device, secret=secret, configs=found)


class NasIdentifier(Handler):
    """A fresh identifier for the form."""

    async def get(self) -> None:
        """The field with it."""
        bound = Bound(nas.NasForm, {"identifier": nas.new_identifier()})
        field = next(field for field in bound.fields if field.info.name == "identifier")
        self.page("admin/nas/identifier.html", NasList.title, field=field)


class _NasForm(FormPage):
    form = nas.NasForm
    back = "/nas"

    async def choices(self) -> Mapping[str, Choices]:
        """Device types."""
        return {"vendor": tuple(nas.VENDORS.items())}


class NasNew(_NasForm):
    """A new device."""

    title = N_("Add a device")
    saved = N_("The device is added. Now paste its configuration.")
    creates = True

    async def initial(self) -> Mapping[str, Any]:
        """An identifier that nobody has; or what is known of a device that is adopted."""
        known = {name: self.query(name) for name in ("mode", "identifier", "address") if self.query(name)}
        return {"identifier": nas.new_identifier()} | known

    async def save(self, form: nas.NasForm) -> str:
        """Create it."""
        device = await nas.create(self.scope, form)
        return self.url("/nas/{id}", id=device["_id"])


class NasEdit(_NasForm):
    """Change a device; a new secret is set here."""

    title = N_("Edit the device")
    saved = N_("Saved. Change the settings on the device too where they differ now.")
    back = "/nas/{id}"

    async def initial(self) -> Mapping[str, Any]:
        """The device as it is, without its secret."""
        device = await nas.get(self.scope, self.part("id"))
        return nas.form_of(device) | {"version": device["version"]}

    async def save(self, form: nas.NasForm) -> str:
        """Change it, unless someone else did."""
        await nas.update(self.scope, self.part("id"), form, self.version)
        return self.url(self.back, id=self.part("id"))


class NasDisable(Handler):
    """Take a device out of service."""

    async def post(self, id: str) -> None:
        """Disable it."""
        await nas.set_status(self.scope, id, "disabled")
        self.done(self.url("/nas/{id}", id=id), N_("The device is disabled. Its packets are dropped."))


class NasEnable(Handler):
    """Put a device back into service."""

    async def post(self, id: str) -> None:
        """Enable it."""
        await nas.set_status(self.scope, id, "active")
        self.done(self.url("/nas/{id}", id=id), N_("The device works again."))


class NasDelete(ConfirmPage):
    """Remove a device that nothing needs."""

    title = N_("Delete this device?")
    text = N_("Its subscribers cannot log in any more. Only a device without open sessions and plans can be deleted.")
    submit = N_("Delete the device")
    saved = N_("The device is deleted.")
    back = "/nas/{id}"
    typed = True

    async def subject(self) -> str:
        """The device's name."""
        return (await nas.get(self.scope, self.part("id")))["name"]

    async def act(self) -> str:
        """Delete it."""
        await nas.delete(self.scope, self.part("id"))
        return self.url("/nas")


_READ, _WRITE, _SECRET = Permission.NAS_READ, Permission.NAS_WRITE, Permission.NAS_SECRET
ROUTES = [
    Route("/nas", NasList, {"GET": _READ}, Menu("Network", N_("NAS devices"), "router", 10)),
    Route("/nas/new", NasNew, {"GET": _WRITE, "POST": _WRITE}),
    Route("/nas/identifier", NasIdentifier, {"GET": _WRITE}),
    Route("/nas/{id}", NasDetail, {"GET": _READ}),
    Route("/nas/{id}/secret", NasSecret, {"GET": _READ, "POST": _SECRET}),
    Route("/nas/{id}/edit", NasEdit, {"GET": _WRITE, "POST": _WRITE}),
    Route("/nas/{id}/disable", NasDisable, {"POST": _WRITE}),
    Route("/nas/{id}/enable", NasEnable, {"POST": _WRITE}),
    Route("/nas/{id}/delete", NasDelete, {"GET": _WRITE, "POST": _WRITE}),
]
