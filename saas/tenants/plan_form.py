"""What one sets of a plan, and the words for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from saas.i18n import N_
from saas.tenants.billing import Kind
from saas.tenants.forms import Form, Money, Name, Note, Prose

Rate = Annotated[Decimal, Field(ge=0, le=100_000, max_digits=8, decimal_places=3)]  # Mbit/s
PoolName = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9._\-]*$")]
Clock = Annotated[str, StringConstraints(max_length=5, pattern=r"^$|^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Binding = Literal["off", "given", "learn"]
AtEnd = Literal["reject", "pool", "slow"]

GB = 2**30  # octets
HOUR = 3600  # seconds
DAYS: dict[str, Any] = {
    "mon": N_("Monday"),
    "tue": N_("Tuesday"),
    "wed": N_("Wednesday"),
    "thu": N_("Thursday"),
    "fri": N_("Friday"),
    "sat": N_("Saturday"),
    "sun": N_("Sunday"),
}
COUNTED: dict[str, Any] = {"both": N_("Upload and download"), "down": N_("Download only"), "up": N_("Upload only")}
BINDINGS: dict[str, Any] = {
    "off": N_("Not bound"),
    "given": N_("Only where one is entered"),
    "learn": N_("Learnt at the first log-in"),
}
AT_END: dict[str, Any] = {
    "reject": N_("The log-in is refused"),
    "pool": N_("Let in, in another address pool"),
    "slow": N_("Let in, at a low speed"),
}
OVER_LIMIT: dict[str, Any] = {
    "reject": N_("The newcomer is refused"),
    "kick_oldest": N_("The oldest session is forced off"),
}
KINDS: dict[str, Any] = {
    "prepaid_monthly": N_("Prepaid monthly"),
    "buyout_months": N_("Buy-out months"),
    "buyout_traffic": N_("Buy-out traffic"),
    "buyout_time": N_("Buy-out time"),
    "per_hour": N_("Prepaid per hour"),
    "per_mb": N_("Prepaid per MB"),
    "free": N_("Free"),
}
LATE_FROM: dict[str, Any] = {"today": N_("The day of the renewal"), "expiry": N_("The old expiry date")}
STARTS: dict[str, Any] = {"opening": N_("The opening of the account"), "first_login": N_("The first log-in")}
# The policies for which a value matters; for all others it is 0 or off.
_MONTHS = ("prepaid_monthly", "buyout_months")
_UNITS = (*_MONTHS, "buyout_traffic", "buyout_time")
MATTERS: dict[str, tuple[str, ...]] = {
    "price": (*_UNITS, "per_hour", "per_mb"),
    "bundle_months": ("buyout_months",),
    "valid_days": ("buyout_traffic", "buyout_time"),
    "octets": (*_MONTHS, "buyout_traffic"),
    "seconds": (*_MONTHS, "buyout_time"),
    "gift_days": _UNITS,
    "gift_octets": (*_MONTHS, "buyout_traffic"),
    "renews": _UNITS,
}
# The figures without which a policy sells nothing.
NEEDED = {
    "buyout_months": "bundle_months",
    "buyout_traffic": "octets",
    "buyout_time": "seconds",
    "per_hour": "price",
    "per_mb": "price",
}
_QUOTA, _HOURS, _END = N_("Quota"), N_("Hours"), N_("When it has run out")
_SELLING = N_("Tax, gifts, renewal, versions")
_SESSIONS, _ADDRESSES = N_("Sessions and bindings"), N_("Addresses")


def _when(name: str, **hints: Any) -> dict[str, Any]:
    """The hints of a field that is shown for the policies for which it matters."""
    return {"when": ("kind", *MATTERS[name]), **hints}


class PlanForm(Form):
    """Everything one sets of a plan; rates in Mbit/s."""

    name: Name = Field(title=N_("Plan name"))
    kind: Kind = Field(default="prepaid_monthly", title=N_("Policy"), json_schema_extra={"labels": KINDS})
    price: Money = Field(
        title=N_("Price"),
        description=N_("Of a month, a bundle, an hour or a MB, as the policy says. Tax is included."),
        json_schema_extra=_when("price"),
    )
    bundle_months: int = Field(
        default=0, ge=0, le=36, title=N_("Months of a bundle"), json_schema_extra=_when("bundle_months")
    )
    octets: int = Field(
        default=0,
        ge=0,
        le=10**6 * GB,
        title=N_("Traffic"),
        description=N_("What a month or a bundle gives. 0: not limited."),
        json_schema_extra=_when("octets", scale=GB, unit="GB"),
    )
    seconds: int = Field(
        default=0,
        ge=0,
        le=10**5 * HOUR,
        title=N_("Online time"),
        description=N_("What a month or a bundle gives. 0: not limited."),
        json_schema_extra=_when("seconds", scale=HOUR, unit=N_("hours")),
    )
    valid_days: int = Field(
        default=0,
        ge=0,
        le=1100,
        title=N_("Validity"),
        description=N_("From the day of purchase. 0: until it is used up."),
        json_schema_extra=_when("valid_days", unit=N_("days")),
    )
    up_rate: Rate = Field(default=Decimal(0), title=N_("Upload (Mbps)"), description=N_("0: not limited."))
    down_rate: Rate = Field(default=Decimal(0), title=N_("Download (Mbps)"), description=N_("0: not limited."))
    concurrency: int = Field(
        default=1, ge=0, le=1000, title=N_("Concurrency limit"), description=N_("Sessions at a time. 0: not limited.")
    )
    nas_ids: list[str] = Field(
        default=[],
        max_length=500,
        title=N_("NAS devices"),
        description=N_("Where this plan may be used. None chosen: everywhere."),
        json_schema_extra={"widget": "nas"},
    )
    counted: Literal["both", "down", "up"] = Field(
        default="both", title=N_("Traffic that counts"), json_schema_extra={"group": _QUOTA, "labels": COUNTED}
    )
    tax_rate: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title=N_("Tax rate"),
        description=N_("The price includes it."),
        json_schema_extra={"group": _SELLING, "scale": 100, "unit": "%"},
    )
    gift_days: int = Field(
        default=0,
        ge=0,
        le=366,
        title=N_("Gift days"),
        description=N_("On top of each month or bundle, where it ends at all."),
        json_schema_extra=_when("gift_days", group=_SELLING, unit=N_("days")),
    )
    gift_octets: int = Field(
        default=0,
        ge=0,
        le=10**6 * GB,
        title=N_("Gift traffic"),
        description=N_("On top of each month or bundle, where it is limited at all."),
        json_schema_extra=_when("gift_octets", group=_SELLING, scale=GB, unit="GB"),
    )
    late_from: Literal["today", "expiry"] = Field(
        default="today",
        title=N_("A renewal after the end counts from"),
        json_schema_extra={"group": _SELLING, "labels": LATE_FROM},
    )
    starts: Literal["opening", "first_login"] = Field(
        default="opening",
        title=N_("The first term counts from"),
        json_schema_extra={"group": _SELLING, "labels": STARTS},
    )
    renews: bool = Field(
        default=False,
        title=N_("New accounts renew automatically"),
        description=N_("From the member's balance, shortly before their end. Each account has a switch of its own."),
        json_schema_extra=_when("renews", group=_SELLING),
    )
    keeps: bool = Field(
        default=False,
        title=N_("Accounts keep the version they bought"),
        description=N_(
            "Then a change of price, quota, speed or hours is for new accounts only. Otherwise all follow at their "
            "next log-in."
        ),
        json_schema_extra={"group": _SELLING},
    )
    days: list[Day] = Field(
        default=[],
        max_length=7,
        title=N_("Days"),
        description=N_("None chosen: every day. Hours over midnight belong to the day on which they begin."),
        json_schema_extra={"group": _HOURS, "labels": DAYS},
    )
    hours_from: Clock = Field(default="", title=N_("From"), json_schema_extra={"group": _HOURS, "placeholder": "18:00"})
    hours_until: Clock = Field(
        default="",
        title=N_("Until"),
        description=N_("In the time zone of the parameters. Not later than the begin: until the next day."),
        json_schema_extra={"group": _HOURS, "placeholder": "24:00"},
    )
    at_end: AtEnd = Field(
        default="reject",
        title=N_("Log-ins after the end"),
        description=N_(
            "When the plan has ended or its quota is used up. What cannot do it refuses anyway: OpenVPN and strongSwan "
            "both, pppd and hotspots the pool."
        ),
        json_schema_extra={"group": _END, "labels": AT_END},
    )
    end_pool: PoolName = Field(
        default="",
        title=N_("Pool after the end"),
        description=N_("The device decides what can be reached from this pool; fixed addresses are not given then."),
        json_schema_extra={"group": _END},
    )
    end_up_rate: Rate = Field(
        default=Decimal(0), title=N_("Upload after the end (Mbps)"), json_schema_extra={"group": _END}
    )
    end_down_rate: Rate = Field(
        default=Decimal(0), title=N_("Download after the end (Mbps)"), json_schema_extra={"group": _END}
    )
    over_limit: Literal["reject", "kick_oldest"] = Field(
        default="reject",
        title=N_("Above the concurrency limit"),
        json_schema_extra={"group": _SESSIONS, "labels": OVER_LIMIT},
    )
    idle_timeout: int = Field(
        default=0,
        ge=0,
        le=86400,
        title=N_("End a session idle for (seconds)"),
        description=N_("0: never."),
        json_schema_extra={"group": _SESSIONS},
    )
    bind_mac: Binding = Field(
        default="off", title=N_("Bind to the MAC address"), json_schema_extra={"group": _SESSIONS, "labels": BINDINGS}
    )
    bind_vlan: Binding = Field(
        default="off", title=N_("Bind to the VLAN"), json_schema_extra={"group": _SESSIONS, "labels": BINDINGS}
    )
    address_pool: PoolName = Field(
        default="",
        title=N_("Address pool"),
        description=N_("Name of a pool on the device. Empty: the device's own."),
        json_schema_extra={"group": _ADDRESSES},
    )
    ipv6_pool: PoolName = Field(default="", title=N_("IPv6 prefix pool"), json_schema_extra={"group": _ADDRESSES})
    delegated_pool: PoolName = Field(
        default="",
        title=N_("Pool of delegated IPv6 prefixes"),
        description=N_("From which the subscriber's router gets the prefix of its own network."),
        json_schema_extra={"group": _ADDRESSES},
    )
    visible: bool = Field(
        default=False,
        title=N_("Shown in self-service"),
        description=N_("Subscribers may choose it there, as long as it is on sale."),
        json_schema_extra={"group": _SELLING},
    )
    attributes: Prose = Field(
        default="",
        title=N_("Further RADIUS attributes"),
        description=N_(
            "One a line: name = value, such as Filter-Id = gold. They are sent with each log-in until the plan has "
            "ended. At most 20."
        ),
        json_schema_extra={"group": N_("Further RADIUS attributes"), "widget": "textarea", "rows": 4},
    )
    note: Note = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea"})

    @model_validator(mode="before")
    @classmethod
    def _free_of_charge(cls, values: Any) -> Any:
        """Nobody has to say what is free."""
        return {**values, "price": 0} if isinstance(values, dict) and values.get("kind") == "free" else values
