"""What a plan means, in one sentence of the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from saas.i18n import N_, Reader
from saas.tenants.billing import METERED
from saas.tenants.plans import Plan

_PRICE: Mapping[str, str] = {
    "prepaid_monthly": N_("{price} a month"),
    "buyout_months": N_("{price} for {months} months"),
    "buyout_traffic": N_("{price} for {octets}"),
    "buyout_time": N_("{price} for {seconds} online"),
    "per_hour": N_("{price} an hour"),
    "per_mb": N_("{price} a MB"),
    "free": N_("Free of charge"),
}
_AT_END: Mapping[str, str] = {
    "reject": N_("log-ins are refused"),
    "pool": N_("log-ins get the pool {pool}"),
    "slow": N_("log-ins get {rate}"),
}


def price(reader: Reader, plan: Plan) -> str:
    """What one unit costs: "¥30.00 a month"."""
    return reader(
        _PRICE[plan["kind"]],
        price=reader.money(plan["price"]),
        months=plan["bundle_months"],
        octets=reader.octets(plan["octets"]),
        seconds=reader.duration(plan["seconds"]),
    )


def sentence(reader: Reader, plan: Plan) -> str:
    """What the plan costs, gives, allows, and what comes after it."""
    parts = [price(reader, plan), *_gives(reader, plan), *_gifts(reader, plan), _speed(reader, plan)]
    if plan["bundle_months"] or plan["valid_days"] or plan["octets"] or plan["seconds"]:
        parts.append(reader(N_("after the end {what}"), what=_after(reader, plan)))
    elif plan["kind"] in METERED:
        parts.append(reader(N_("without balance {what}"), what=_after(reader, plan)))
    return reader(N_(", ")).join(parts) + reader(N_("."))


def _gives(reader: Reader, plan: Plan) -> list[str]:
    """What comes with the price and is not said with it."""
    parts = []
    if plan["octets"] and plan["bundle_months"]:
        parts.append(reader(N_("with {octets} of traffic"), octets=reader.octets(plan["octets"])))
    if plan["seconds"] and plan["bundle_months"]:
        parts.append(reader(N_("with {seconds} online"), seconds=reader.duration(plan["seconds"])))
    if plan["valid_days"]:
        parts.append(reader(N_("good for {n} days"), n=plan["valid_days"]))
    if plan["starts"] == "first_login" and (plan["bundle_months"] or plan["valid_days"]):
        parts.append(reader(N_("counted from the first log-in")))
    return parts


def _gifts(reader: Reader, plan: Plan) -> list[str]:
    parts = []
    if plan["gift_days"] and (plan["bundle_months"] or plan["valid_days"]):
        parts.append(reader(N_("{n} days as a gift"), n=plan["gift_days"]))
    if plan["gift_octets"] and plan["octets"]:
        parts.append(reader(N_("{octets} as a gift"), octets=reader.octets(plan["gift_octets"])))
    return parts


def _speed(reader: Reader, plan: Plan) -> str:
    return reader(N_("{down} down and {up} up"), down=reader.rate(plan["down_rate"]), up=reader.rate(plan["up_rate"]))


def _after(reader: Reader, plan: Plan) -> str:
    return reader(_AT_END[plan["at_end"]], pool=plan["end_pool"], rate=reader.rate(plan["end_down_rate"]))
