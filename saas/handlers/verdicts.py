"""The verdict on an account in words: what an operator reads first, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from saas.handlers.messages import STATES
from saas.handlers.words import AUTH_METHODS, DEEDS, REASONS
from saas.i18n import N_, Reader
from saas.tenants.verdict import Verdict
from saas.values import from_epoch

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Headline:
    """One sentence with its tone (green, orange, red), and one that says what to do, "" when nothing is."""

    tone: str
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule: its name, whether it passed, and the fact it looked at."""

    name: str
    passed: bool
    text: str


# reason -> what is the matter, what to do
_FAILED: Mapping[str, tuple[str, str]] = {
    "tenant": (
        N_("Cannot get online: this system is stopped."),
        N_("The platform has to let it run again."),
    ),
    "pending": (
        N_("Cannot get online: the account is not active yet."),
        N_("It becomes active on its day or with the first payment, or when you activate it."),
    ),
    "status": (
        N_("Cannot get online: the account is {status}."),
        N_("It can log in again once its status is normal."),
    ),
    "nas": (
        N_("Cannot get online at {device}: the plan {plan} is not for this device."),
        N_("Bind the plan to the device, or to none: then it is good everywhere."),
    ),
    "expiry": (
        N_("Cannot get online: the plan {plan} ended on {when}."),
        N_("It can log in again as soon as it is renewed."),
    ),
    "quota": (
        N_("Cannot get online: what the plan {plan} gives is used up."),
        N_("It can log in again as soon as it is renewed."),
    ),
    "balance": (
        N_("Cannot get online: the balance of {balance} pays for no use of the plan {plan}."),
        N_("It can log in again as soon as money is taken onto the balance."),
    ),
    "window": (
        N_("Cannot get online now: the plan {plan} is good again from {when} on."),
        N_("Change the hours of the plan, or give the account another plan."),
    ),
    "mac": (
        N_("Refused from {sent}: the account is bound to {bound}."),
        N_("Release the binding if the subscriber has a new device."),
    ),
    "vlan": (
        N_("Refused from {sent}: the account is bound to the VLAN {bound}."),
        N_("Release the binding if the subscriber has moved."),
    ),
    "concurrency": (
        N_("Online already: {sessions} of {limit} sessions are in use, another device is refused."),
        N_("Force a session off, if it is not wanted; a dead one is freed by itself after some missed updates."),
    ),
}
# What a log-in failed of though the account may get online: reason of the refusal -> what is the matter, what to do.
ATTEMPTS: Mapping[str, tuple[str, str]] = {
    "password": (
        N_("Can get online, but its password was wrong: {count} times, last on {when} at {device}, by {method}."),
        N_("Let it be typed again; or change it, and change it in the subscriber's device too."),
    ),
    "guarded": (
        N_("Locked out for a while after too many wrong passwords: last on {when} at {device}."),
        N_("It passes by itself. Change the password, and change it in the subscriber's device too."),
    ),
    "method": (
        N_("Can get online, but not the way it is asked at {device}: refused {count} times, last on {when}, {method}."),
        N_("Let the device offer another method: its page says which ones fit."),
    ),
    "eap": (
        N_("Can get online, but the dialogue broke off: {count} times, last on {when} at {device}, {method}."),
        N_("The subscriber's device gave up: its settings or the name of the server do not fit."),
    ),
}
# at_end -> what becomes of a log-in after the end
_RESTRICTED: Mapping[str, str] = {
    "pool": N_("Gets online in the pool {pool} only: {why}."),
    "slow": N_("Gets online at {rate} only: {why}."),
}
_WHY = {
    "expiry": N_("the plan {plan} ended on {when}"),
    "quota": N_("what the plan {plan} gives is used up"),
    "balance": N_("the balance is {balance}"),
}


def headline(reader: Reader, verdict: Verdict, devices: Mapping[str, str]) -> Headline:
    """The first line of an account's page. `devices`: id -> name."""
    decision = verdict.decision
    if decision.restricted:
        return _restricted(reader, verdict)
    rule = None if decision.accepted else decision.failed
    if rule is None:
        return Headline("green", reader(N_("Online now.")), "") if verdict.open else _offline(reader, verdict, devices)
    text, advice = _FAILED[rule.name]
    tone = "orange" if rule.name == "concurrency" else "red"
    facts = {**_facts(reader, rule.data, devices), "device": devices.get(verdict.nas_id, "?")}
    return Headline(tone, reader(text, **facts), " ".join((*_whose(reader, verdict), reader(advice))))


def _whose(reader: Reader, verdict: Verdict) -> list[str]:
    """Who suspended or closed the account, when and why."""
    if not (deed := verdict.deed):
        return []
    said = {"what": reader(DEEDS[deed["verb"]]), "when": reader.minute(deed["at"]), "who": deed["actor_name"]}
    if not deed["note"]:
        return [reader(N_("{what} on {when} by {who}."), **said)]
    return [reader(N_("{what} on {when} by {who}: “{note}”."), **said, note=deed["note"])]


def _offline(reader: Reader, verdict: Verdict, devices: Mapping[str, str]) -> Headline:
    """No rule is in the way: what the last log-in failed of nevertheless, or how it went before."""
    since = verdict.refused_since
    if since and since[0]["reason"] in ATTEMPTS:
        text, advice = ATTEMPTS[since[0]["reason"]]
        facts = {"count": since[0]["count"], "when": reader.minute(since[0]["last_at"])}
        facts |= {"device": devices.get(since[0]["nas_id"], "?"), "method": AUTH_METHODS.get(since[0]["method"], "?")}
        return Headline("orange", reader(text, **facts), reader(advice))
    told = [reader(N_("Last online from {when} on."), when=reader.minute(verdict.last))] if verdict.last else []
    if since:
        count, why = sum(row["count"] for row in since), reader(REASONS[since[0]["reason"]])
        gone = N_("Refused {count} times since, last for a reason that is gone: {why}.")
        told.append(reader(gone, count=count, why=why))
    return Headline("green", reader(N_("Can get online.")), " ".join(told))


def _restricted(reader: Reader, verdict: Verdict) -> Headline:
    """Let in, and not for what was sold."""
    plan = verdict.plan
    rule = next(rule for rule in verdict.decision.rules if rule.name == verdict.decision.restricted)
    why = reader(_WHY[rule.name], **_facts(reader, rule.data, {}))
    rate = f"↑ {reader.rate(plan['end_up_rate'])} ↓ {reader.rate(plan['end_down_rate'])}"
    text = reader(_RESTRICTED[plan["at_end"]], pool=plan["end_pool"], rate=rate, why=why)
    return Headline("orange", text, reader(N_("After it is renewed it leaves this by itself, within minutes.")))


def rule_lines(reader: Reader, verdict: Verdict, devices: Mapping[str, str]) -> list[RuleLine]:
    """Every rule that was judged, in its order."""
    lines: list[RuleLine] = []
    for rule in verdict.decision.rules:
        text = _LINES[rule.name](rule.passed, rule.data)
        lines.append(RuleLine(rule.name, rule.passed, reader(text, **_facts(reader, rule.data, devices))))
    return lines


def _tenant(passed: bool, _data: Data) -> str:
    return N_("The system is running") if passed else N_("The system is stopped")


def _account(_passed: bool, _data: Data) -> str:
    return N_("The account exists")


def _pending(passed: bool, _data: Data) -> str:
    return N_("The account is active") if passed else N_("The account is not active yet")


def _status(_passed: bool, data: Data) -> str:
    return N_("Neither suspended nor closed") if data["status"] == "pending" else N_("Status: {status}")


def _nas(passed: bool, data: Data) -> str:
    if not data["allowed"]:
        return N_("The plan is good on every device")
    return (
        N_("The plan is good on: {allowed}") if passed else N_("The plan is not for this device, only for: {allowed}")
    )


def _expiry(passed: bool, data: Data) -> str:
    if data["expires_at"] is None:
        return N_("No expiry date")
    return N_("Good until {when}") if passed else N_("Ended on {when}")


def _quota(passed: bool, data: Data) -> str:
    if data["octets_left"] is None and data["seconds_left"] is None:
        return N_("Traffic and online time are not limited")
    if not passed:
        return N_("Used up: {left} left")
    return N_("{left} left")


def _balance(passed: bool, data: Data) -> str:
    if data["balance"] is None:
        return N_("The balance does not matter: use is paid for in advance")
    return N_("The balance of {balance} pays for {left}") if passed else N_("The balance is {balance}")


def _window(passed: bool, data: Data) -> str:
    if data["until"] is None:
        return N_("Good at all hours")
    return N_("Within the hours of the plan, until {when}") if passed else N_("Outside the hours, until {when}")


def _mac(passed: bool, data: Data) -> str:
    if not data["bound"]:
        return N_("Will be bound to the first MAC address") if data["learns"] else N_("Not bound to a MAC address")
    return N_("Bound to {bound}") if passed else N_("Bound to {bound}, the last log-in came from {sent}")


def _vlan(passed: bool, data: Data) -> str:
    if not data["bound"]:
        return N_("Will be bound to the first VLAN") if data["learns"] else N_("Not bound to a VLAN")
    return (
        N_("Bound to the VLAN {bound}") if passed else N_("Bound to the VLAN {bound}, the last log-in came from {sent}")
    )


def _concurrency(_passed: bool, data: Data) -> str:
    if not data["limit"]:
        return N_("Sessions at a time are not limited")
    if data["sessions"] is None:
        return N_("Sessions cannot be counted right now; at most {limit} at a time")
    if data["kicks"] and data["sessions"] >= data["limit"]:
        return N_("{sessions} of {limit} sessions in use; another device takes the place of the oldest")
    return N_("{sessions} of {limit} sessions in use")


_LINES: Mapping[str, Callable[[bool, Data], str]] = {
    "tenant": _tenant,
    "account": _account,
    "pending": _pending,
    "status": _status,
    "nas": _nas,
    "expiry": _expiry,
    "quota": _quota,
    "balance": _balance,
    "window": _window,
    "mac": _mac,
    "vlan": _vlan,
    "concurrency": _concurrency,
}


def _facts(reader: Reader, data: Data, devices: Mapping[str, str]) -> dict[str, Any]:
    """A rule's data as people read it. Never empty, so that a reader fills the braces of every sentence."""
    facts: dict[str, Any] = {"": "", **data}
    if data.get("status"):
        facts["status"] = reader(STATES[data["status"]][0])
    if data.get("expires_at") is not None:
        facts["when"] = reader.minute(from_epoch(data["expires_at"]))
    if data.get("until") is not None:
        facts["when"] = reader.minute(from_epoch(data["until"]))
    if data.get("balance") is not None:
        facts["balance"] = reader.money(data["balance"])
    if "bound" in data:
        facts["sent"] = data["sent"] or reader(N_("an unknown line"))
    left = [data.get("octets_left"), data.get("seconds_left")]
    if left != [None, None]:
        said = zip(left, (reader.octets, reader.duration), strict=True)
        facts["left"] = ", ".join(say(max(0, amount)) for amount, say in said if amount is not None)
    if data.get("allowed"):
        facts["allowed"] = ", ".join(devices.get(nas_id, "?") for nas_id in data["allowed"])
    return facts
