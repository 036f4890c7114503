"""What a tenant sets for itself: names, zone, RADIUS intervals."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from saas.i18n import N_
from saas.tenants import audit
from saas.tenants.forms import Form, Line, Mobile, Money, Name, Note
from saas.tenants.notices_texts import KINDS
from saas.tenants.platform import Tenant
from saas.tenants.scope import Scope


def zones() -> list[str]:
    """The time zones to choose from: those named after a place, and UTC."""
    places = [name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/"))]
    return ["UTC", *sorted(places)]


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("bad_choice", "bad choice")
    return name


_PAPERS = N_("Receipts and invoices")
_Prefix = Annotated[str, StringConstraints(max_length=12, pattern=r"^[A-Za-z0-9\-]*$")]
_NOTICES, _LIFE = N_("Notices"), N_("Life of accounts")
NoticeKind = Literal[
    "expiring",
    "expired",
    "renewed",
    "renewal_unpaid",
    "renewal_refused",
    "quota_used",
    "balance_low",
    "payment",
    "suspended",
    "closing",
    "closed",
]


class ParametersForm(Form):
    """Every parameter of a tenant, seconds where it is a time."""

    system_name: Name = Field(title=N_("System name"), description=N_("Shown to your operators and subscribers."))
    locale: Literal["zh", "en"] = Field(title=N_("Default language"))
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = Field(
        title=N_("Time zone"),
        description=N_("Plans expire at the end of a day in this zone."),
        json_schema_extra={"widget": "zone"},
    )
    interim_interval: int = Field(
        ge=60,
        le=3600,
        title=N_("Accounting interval (seconds)"),
        description=N_("How often a device reports a session's usage. At least 60."),
    )
    max_session_time: int = Field(
        ge=300,
        le=31 * 86400,
        title=N_("Maximum session time (seconds)"),
        description=N_("A session is ended after this time at the latest; the subscriber dials in again."),
    )
    restricted_timeout: int = Field(
        default=300,
        ge=60,
        le=3600,
        title=N_("Session time after the end (seconds)"),
        description=N_(
            "Where a plan lets in who has expired: after this time the session begins anew, and is a normal one again "
            "if it was renewed."
        ),
    )
    guard_attempts: int = Field(
        default=10,
        ge=0,
        le=1000,
        title=N_("Wrong passwords until an account is guarded"),
        description=N_(
            "Then passwords for it are not tried any more until the time below is over, except where it was logged in "
            "before. Each engine worker counts for itself. 0: never."
        ),
    )
    guard_window: int = Field(
        default=600, ge=60, le=86400, title=N_("Time in which wrong passwords are counted (seconds)")
    )
    show_password: bool = Field(
        default=False,
        title=N_("Show account passwords"),
        description=N_("Operators with the right to it may read an account's password. Each look is logged."),
    )
    second_factor: bool = Field(
        default=False,
        title=N_("Second factor required"),
        description=N_(
            "Whoever works here logs in with a code from an app as well as the password. Who has none yet sets it up "
            "at the next click and can do nothing else before; that includes you."
        ),
    )
    renew_hours: int = Field(
        default=24,
        ge=1,
        le=720,
        title=N_("Automatic renewal before the end (hours)"),
        description=N_(
            "So long before their end accounts are renewed from the balance, where it is switched on. If the balance "
            "does not suffice, it is tried again until a week after the end."
        ),
        json_schema_extra={"group": _LIFE},
    )
    suspend_days: int = Field(
        default=0,
        ge=0,
        le=3650,
        title=N_("Close after a suspension of"),
        description=N_(
            "The member is told a week before; what the rest of the plan is worth goes to the balance. 0: never."
        ),
        json_schema_extra={"group": _LIFE, "unit": N_("days")},
    )
    notice_mail: list[NoticeKind] = Field(
        default=[],
        title=N_("Told by mail"),
        description=N_("What subscribers with a mail address are written of."),
        json_schema_extra={"group": _NOTICES, "labels": {key: kind.title for key, kind in KINDS.items()}},
    )
    notice_days: int = Field(
        default=3,
        ge=0,
        le=30,
        title=N_("Days before expiry"),
        description=N_("So many days before a plan ends its subscriber is told, at 9:00. 0: never."),
        json_schema_extra={"group": _NOTICES},
    )
    notice_balance: Money = Field(
        default=0,
        title=N_("Low balance below"),
        description=N_("When a charge lets a balance fall below this, the member is told. 0: never."),
        json_schema_extra={"widget": "money", "group": _NOTICES},
    )
    legal_name: Line = Field(
        default="",
        title=N_("Legal name"),
        description=N_("Who issues them. Empty: the system name."),
        json_schema_extra={"group": _PAPERS},
    )
    postal_address: Annotated[Note, Field(max_length=200)] = Field(
        default="", title=N_("Postal address"), json_schema_extra={"group": _PAPERS}
    )
    tax_id: Line = Field(default="", title=N_("Tax number"), json_schema_extra={"group": _PAPERS})
    phone: Mobile = Field(default="", title=N_("Telephone"), json_schema_extra={"group": _PAPERS})
    number_prefix: _Prefix = Field(
        default="",
        title=N_("Before each number"),
        description=N_("Letters, digits and hyphens, such as EAST-. The series go on whatever stands here."),
        json_schema_extra={"group": _PAPERS},
    )
    paper_footer: Annotated[Note, Field(max_length=300)] = Field(
        default="",
        title=N_("At the foot of each"),
        json_schema_extra={"widget": "textarea", "group": _PAPERS},
    )


async def update(scope: Scope, form: ParametersForm, version: int | None = None) -> Tenant:
    """Replace the parameters. Conflict("changed") when `version` is not the stored one."""
    before = scope.tenant["parameters"]
    values = {**before, **form.model_dump()}
    tenant: Tenant = await scope.db.tenants.update(scope.tenant_id, {"$set": {"parameters": values}}, version=version)
    await audit.record(scope, "parameters.update", scope.tenant_id, before=before, after=values)
    await scope.changed("tenant", scope.tenant["slug"])
    return tenant
