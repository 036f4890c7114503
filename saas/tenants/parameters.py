"""What a tenant sets for itself: names, zone, RADIUS intervals. Each parameter belongs to a part, which is a form."""

from __future__ import annotations

import copy
from functools import cache
from typing import Annotated, Any, Final, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, create_model
from pydantic_core import PydanticCustomError

from saas.errors import Invalid, NotFound
from saas.i18n import N_
from saas.tenants import audit, retention, schedules
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
_SYSTEM, _SESSIONS, _SECURITY = N_("This system"), N_("Devices and sessions"), N_("Security")
PARTS: Final = {  # by the group of their fields
    "system": _SYSTEM,
    "sessions": _SESSIONS,
    "security": _SECURITY,
    "life": _LIFE,
    "notices": _NOTICES,
    "papers": _PAPERS,
}


def _kept(days: int) -> int:
    if 0 < days < retention.LEAST:
        raise PydanticCustomError("kept_too_short", "kept too short")
    return days


_SEEN = 500  # entries of the log that are looked through for who changed what
NoticeKind = Literal[
    "expiring",
    "expired",
    "renewed",
    "renewal_unpaid",
    "renewal_refused",
    "quota_low",
    "quota_used",
    "balance_low",
    "payment",
    "activated",
    "suspended",
    "closing",
    "closed",
]


class ParametersForm(Form):
    """Every parameter of a tenant, seconds where it is a time."""

    system_name: Name = Field(
        title=N_("System name"),
        description=N_("Shown to your operators and subscribers."),
        json_schema_extra={"group": _SYSTEM},
    )
    locale: Literal["zh", "en"] = Field(
        title=N_("Default language"),
        description=N_("Of pages and papers, for whoever has not chosen another one."),
        json_schema_extra={"group": _SYSTEM, "labels": {"zh": "简体中文", "en": "English"}},
    )
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = Field(
        title=N_("Time zone"),
        description=N_("Plans expire at the end of a day in this zone."),
        json_schema_extra={"widget": "zone", "group": _SYSTEM},
    )
    currency: Literal["CNY", "USD", "EUR", "GBP"] = Field(
        default="CNY",
        title=N_("Currency"),
        description=N_(
            "Of every amount. Its precision is fixed with it: two decimals. It cannot be changed "
            "once there are entries in the ledger."
        ),
        json_schema_extra={
            "group": _SYSTEM,
            "labels": {"CNY": "¥ CNY", "USD": "$ USD", "EUR": "€ EUR", "GBP": "£ GBP"},
        },
    )
    interim_interval: int = Field(
        default=300,
        ge=60,
        le=3600,
        title=N_("Accounting interval (seconds)"),
        description=N_("How often a device reports a session's usage. At least 60."),
        json_schema_extra={"seconds": True, "group": _SESSIONS},
    )
    stale_factor: int = Field(
        default=3,
        ge=2,
        le=10,
        title=N_("Missed updates until a session is lost"),
        description=N_(
            "A session is closed when nothing is heard of it for so many accounting intervals; its place is then free "
            "for another log-in. Raise it where lines are bad. A change holds from a session's next update on."
        ),
        json_schema_extra={"group": _SESSIONS},
    )
    max_session_time: int = Field(
        default=86400,
        ge=300,
        le=31 * 86400,
        title=N_("Maximum session time (seconds)"),
        description=N_("A session is ended after this time at the latest; the subscriber dials in again."),
        json_schema_extra={"seconds": True, "group": _SESSIONS},
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
        json_schema_extra={"seconds": True, "group": _SESSIONS},
    )
    keep_sessions: Annotated[int, Field(ge=0, le=3650), AfterValidator(_kept)] = Field(
        default=0,
        title=N_("Session details are kept for"),
        description=N_(
            "At least 180 days. Each night details of sessions that ended earlier are removed for good, which the "
            "operation log tells; the ledger, papers and daily reports stay. 0: for ever."
        ),
        json_schema_extra={"zero": N_("for ever"), "group": _SESSIONS, "unit": N_("days")},
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
        json_schema_extra={"zero": N_("never"), "group": _SECURITY},
    )
    guard_window: int = Field(
        default=600,
        ge=60,
        le=86400,
        title=N_("Time in which wrong passwords are counted (seconds)"),
        description=N_("After it an account that was guarded is free again."),
        json_schema_extra={"seconds": True, "group": _SECURITY},
    )
    show_password: bool = Field(
        default=False,
        title=N_("Show account passwords"),
        description=N_("Operators with the right to it may read an account's password. Each look is logged."),
        json_schema_extra={"group": _SECURITY},
    )
    second_factor: bool = Field(
        default=False,
        title=N_("Second factor required"),
        description=N_(
            "Whoever works here logs in with a code from an app as well as the password. Who has none yet sets it up "
            "at the next click and can do nothing else before; that includes you."
        ),
        json_schema_extra={"group": _SECURITY},
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
        json_schema_extra={"zero": N_("never"), "group": _LIFE, "unit": N_("days")},
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
        description=N_("So many days before a plan ends its subscriber is told, at the hour below. 0: never."),
        json_schema_extra={"zero": N_("never"), "group": _NOTICES},
    )
    notice_interval: int = Field(
        default=0,
        ge=0,
        le=30,
        title=N_("Days until one is reminded again"),
        description=N_("Until the plan ends or is renewed, each time after so many days. 0: told once."),
        json_schema_extra={"zero": N_("once"), "group": _NOTICES},
    )
    notice_hour: int = Field(
        default=9,
        ge=0,
        le=23,
        title=N_("Hour of notices"),
        description=N_(
            "0 to 23, in the time zone of this system: when it is told that a plan ends or that an account will be "
            "closed. If you change it, the next ones are told at the new hour of their day, none is left out."
        ),
        json_schema_extra={"group": _NOTICES, "unit": N_("o'clock")},
    )
    notice_quota: int = Field(
        default=80,
        ge=0,
        le=99,
        title=N_("Quota nearly used up from"),
        description=N_(
            "When so much of the traffic or time of a term is used, its subscriber is told. A change holds for what is "
            "bought from then on. 0: never."
        ),
        json_schema_extra={"zero": N_("never"), "group": _NOTICES, "unit": "%"},
    )
    notice_balance: Money = Field(
        default=0,
        title=N_("Low balance below"),
        description=N_("When a charge lets a balance fall below this, the member is told. 0: never."),
        json_schema_extra={"zero": N_("never"), "widget": "money", "group": _NOTICES},
    )
    legal_name: Line = Field(
        default="",
        title=N_("Legal name"),
        description=N_("Who issues them. Empty: the system name."),
        json_schema_extra={"group": _PAPERS},
    )
    postal_address: Annotated[Note, Field(max_length=200)] = Field(
        default="",
        title=N_("Postal address"),
        description=N_("Below the name of whoever issues them."),
        json_schema_extra={"group": _PAPERS},
    )
    tax_id: Line = Field(
        default="",
        title=N_("Tax number"),
        description=N_("Of whoever issues them."),
        json_schema_extra={"group": _PAPERS},
    )
    phone: Mobile = Field(
        default="",
        title=N_("Telephone"),
        description=N_("For questions about them."),
        json_schema_extra={"group": _PAPERS},
    )
    number_prefix: _Prefix = Field(
        default="",
        title=N_("Before each number"),
        description=N_("Letters, digits and hyphens, such as EAST-. The series go on whatever stands here."),
        json_schema_extra={"group": _PAPERS},
    )
    paper_footer: Annotated[Note, Field(max_length=300)] = Field(
        default="",
        title=N_("At the foot of each"),
        description=N_("Such as opening hours, a bank account or a registration number."),
        json_schema_extra={"widget": "textarea", "group": _PAPERS},
    )


def part_of(name: str) -> str:
    """The key in PARTS of a parameter's part."""
    extra: Any = ParametersForm.model_fields[name].json_schema_extra
    return next(key for key, group in PARTS.items() if group == extra["group"])


@cache
def form_of(part: str) -> type[Form]:
    """The form of one part: its parameters, as they stand in ParametersForm, side by side."""
    fields: dict[str, Any] = {}
    for name, field in ParametersForm.model_fields.items():
        if part_of(name) == part:
            mine, extra = copy.copy(field), field.json_schema_extra
            mine.json_schema_extra = {key: value for key, value in dict(extra).items() if key != "group"}  # type: ignore[arg-type]
            fields[name] = (field.annotation, mine)
    return create_model(f"{part.title()}Form", __base__=Form, **fields)


async def update(scope: Scope, form: BaseModel, version: int | None = None) -> Tenant:
    """Set the parameters that are fields of the form: all, or those of a part.

    Conflict("changed") when `version` is not the stored one; Invalid("currency") where that cannot be changed any more.
    """
    values = form.model_dump()

    async def write(tx: Scope) -> Tenant:
        before = (await tx.db.tenants.get(scope.tenant_id))["parameters"]
        if values.get("currency", before["currency"]) != before["currency"] and await tx.db.ledger.count({}, limit=1):
            raise Invalid({"currency": "has_entries"})
        change = {"$set": {f"parameters.{name}": value for name, value in values.items()}}
        tenant: Tenant = await tx.db.tenants.update(scope.tenant_id, change, version=version)
        await schedules.move(tx, before, {**before, **values})
        await audit.record(tx, "parameters.update", scope.tenant_id, before=before, after={**before, **values})
        return tenant

    tenant = await scope.transaction(write)
    await scope.changed("tenant", scope.tenant["slug"])
    return tenant


def default_of(name: str) -> Any:
    """What a parameter is by default; None for what is chosen at sign-up, and for lists of choices."""
    field = ParametersForm.model_fields.get(name)
    default = field.default if field and not field.is_required() else None
    return None if isinstance(default, list) else default


async def reset(scope: Scope, name: str) -> Tenant:
    """Set one parameter to its default. NotFound for what has none."""
    value = default_of(name)
    if value is None:
        raise NotFound()
    return await update(scope, create_model("Reset", **{name: (Any, value)})())  # type: ignore[call-overload]


async def changed_by(scope: Scope) -> dict[str, audit.Entry]:
    """Parameter -> the entry of the log that changed it last, as far as that is not too long ago."""
    entries = await scope.db.audit.find({"action": "parameters.update"}, limit=_SEEN)
    last: dict[str, audit.Entry] = {}
    for entry in entries:
        for name in entry["changes"]:
            last.setdefault(name, entry)
    return last
