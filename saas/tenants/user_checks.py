"""What of a log-in a device has checked: the password as well, the account alone, or nothing.

A setting of the device and of nothing else, so that what it opens is one place; its page and the parameters warn of it.
The engine acts on it in `saas.radius.auth`: log-ins by MS-CHAP and EAP need the right password all the same.
"""

from __future__ import annotations

from pydantic import Field

from saas.errors import Invalid
from saas.i18n import N_
from saas.tenants import nas, records
from saas.tenants.forms import Form, Line
from saas.tenants.nas import Nas, UserCheck
from saas.tenants.scope import Scope

_STRICTEST_FIRST: tuple[UserCheck, ...] = ("password", "account", "none")


class UserCheckForm(Form):
    """What of a log-in is checked at a device. The name of the device is typed where that becomes less."""

    user_check: UserCheck = Field(
        title=N_("User check"),
        description=N_(
            "Without the password, status, expiry, quota, binding and the number of sessions still hold. Log-ins by "
            "MS-CHAP and EAP need the right password whatever is chosen: there the server has to prove that it knows "
            "it. Whoever has no account gets in for the maximum session time, without limits of a plan."
        ),
        json_schema_extra={
            "labels": {
                "password": N_("Account and password"),
                "account": N_("Account only, any password"),
                "none": N_("Nothing: anybody gets in"),
            }
        },
    )
    confirm: Line = Field(
        default="",
        title=N_("Name of the device"),
        description=N_("Typed again, because this lets in people who prove nothing."),
        json_schema_extra={"autocomplete": "off", "when": ["user_check", "account", "none"], "optional": False},
    )


async def change(scope: Scope, nas_id: str, form: UserCheckForm, version: int | None = None) -> Nas:
    """Say what of a log-in is checked at a device. Invalid("confirm") where less is and its name was not typed."""
    device = await nas.get(scope, nas_id)
    less = _STRICTEST_FIRST.index(form.user_check) > _STRICTEST_FIRST.index(device["user_check"])
    if less and form.confirm != device["name"]:
        raise Invalid({"confirm": "not_the_name"})
    values = {"user_check": form.user_check}
    changed: Nas = await records.change(scope, nas.NAS, nas_id, values, verb="user_check", version=version)
    await scope.changed("nas", nas_id)
    return changed


async def open_ones(scope: Scope) -> list[Nas]:
    """The active devices that let in without a password, by name."""
    filter = {"status": "active", "user_check": {"$in": list(_STRICTEST_FIRST[1:])}}
    return await scope.db.nas.find(filter, sort=[("name", 1)], limit=5000)
