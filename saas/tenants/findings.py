"""What came of a device: the one finding that its page begins with, and the two that are mended with a click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from saas.errors import NotFound
from saas.i18n import N_
from saas.tenants import adoption, engines, nas
from saas.tenants.forms import Address, Form
from saas.tenants.scope import PlatformScope, Scope

Kind = Literal["works", "method", "secret", "unsigned", "dropped", "unknown", "nothing"]
_UNPROVEN: dict[str, Kind] = {
    "bad_authenticator": "secret",
    "secret_mismatch": "secret",
    "missing_message_authenticator": "unsigned",
    "unproven_proxy_state": "unsigned",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`works`: good packets come. `method`: they do, and nobody could be let in since the log-in method is not offered.
    `secret`: the last packet could not be proven. `unsigned`: the last one had no proof, and none had before.
    `dropped`: packets come, none of them good. `unknown`: nothing came, but `knocked` did, which may be the device.
    `nothing`: not even that.

    `stats`: None before anything came. `reason`: a drop reason, where packets are dropped.
    """

    kind: Kind
    stats: engines.DeviceStats | None = None
    reason: str = ""
    knocked: adoption.UnknownDevice | None = None


class WhereForm(Form):
    """Where a device that is waited for sends from, where the operator is elsewhere."""

    address: Address = Field(default="", title=N_("The device's public address"))


async def of_device(ps: PlatformScope, scope: Scope, device: nas.Nas, browser: str, typed: str = "") -> Finding:
    """The finding of now. `browser`: where the operator's request comes from; `typed`: see adoption.unknown, Limit."""
    stats = (await engines.device_stats(scope, [device["_id"]])).get(device["_id"])
    kind, reason = brief(stats)
    if kind == "nothing":
        knocks = await _knocks(ps, scope, device, browser, typed)
        return Finding("unknown", stats, knocked=knocks[0]) if knocks else Finding("nothing", stats)
    if kind == "works" and stats and not stats.accepted and await _last_refusal(scope, device["_id"]) == "method":
        return Finding("method", stats)
    return Finding(kind, stats, reason)


def brief(stats: engines.DeviceStats | None) -> tuple[Kind, str]:
    """The finding as far as counts tell it, and the reason where packets are dropped."""
    if stats is None or not (stats.last_at or stats.dropped):
        return "nothing", ""
    unproven = _UNPROVEN.get(stats.last_drop)
    if unproven == "unsigned" and stats.last_at:
        unproven = None  # it has proven itself: whoever else uses its name is no reason to ask for less
    if unproven and stats.dropped_at >= stats.last_at:
        return unproven, stats.last_drop
    return ("works", "") if stats.last_at else ("dropped", stats.last_drop)


async def adopt(
    ps: PlatformScope, scope: Scope, device: nas.Nas, unknown_id: str, browser: str, typed: str = ""
) -> nas.Nas:
    """Let the device be known by what an unknown one sends: its identifier, or else its address. NotFound when none
    that may be this device has this id; Taken; Invalid and Limit as adoption.unknown.
    """
    knocks = [row for row in await _knocks(ps, scope, device, browser, typed) if row["_id"] == unknown_id]
    if not knocks:
        raise NotFound()
    form = nas.NasForm.model_validate(nas.form_of(device) | adoption.known_by(knocks[0]))
    return await nas.update(scope, device["_id"], form, device["version"])


async def allow_unsigned(scope: Scope, device: nas.Nas) -> nas.Nas:
    """Answer the device although it sends no Message-Authenticator (RFC 3579 section 3.2)."""
    values: dict[str, Any] = nas.form_of(device) | {"message_authenticator": "optional"}
    return await nas.update(scope, device["_id"], nas.NasForm.model_validate(values), device["version"])


async def _knocks(
    ps: PlatformScope, scope: Scope, device: nas.Nas, browser: str, typed: str
) -> list[adoption.UnknownDevice]:
    """What knocked since the device was added or changed and may be it: first what has its identifier or address."""
    found = [
        row
        for row in await adoption.unknown(ps, scope, browser, typed)
        if row["cause"] == "unknown_nas" and row["nas_id"] in ("", device["_id"])
    ]
    return sorted((row for row in found if row["last_at"] >= device["updated_at"]), key=lambda row: not row["nas_id"])


async def _last_refusal(scope: Scope, nas_id: str) -> str:
    """Why the device's last refused log-in was refused; "" when none was."""
    found = await scope.db.refusals.find({"nas_id": nas_id}, sort=[("last_at", -1)], limit=1, fields=["reason"])
    return str(found[0]["reason"]) if found else ""
