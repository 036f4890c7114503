"""What saving a plan's form would mean, in words: the plan in a sentence, what changes, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers import tariffs
from saas.handlers.changes import change_lines
from saas.handlers.previews import Sheet
from saas.i18n import N_, Reader
from saas.tenants.billing import METERED
from saas.tenants.plans import KEPT, Outlook

_NOTHING = "—"


def sheet(reader: Reader, outlook: Outlook, names: Mapping[str, str], limit: int) -> Sheet:
    """The preview for the box beside the form. `names`: id -> name of devices; nothing was counted beyond `limit`."""
    changes = _changes(outlook)
    return Sheet(
        "",
        "",
        _lines(reader, changes, names),
        [],
        sentence=tariffs.sentence(reader, outlook.after),
        words=tuple(_whom(reader, outlook, changes, limit)),
    )


def _changes(outlook: Outlook) -> dict[str, list[Any]]:
    before: Mapping[str, Any] = outlook.before or {}
    after: Mapping[str, Any] = outlook.after
    return {name: [value, after[name]] for name, value in before.items() if name in after and value != after[name]}


def _lines(reader: Reader, changes: Mapping[str, list[Any]], names: Mapping[str, str]) -> list[tuple[str, str, str]]:
    entry: Any = {"noun": "plan", "changes": changes}
    lines = change_lines(reader, entry, names)
    return [(line.title, line.before or _NOTHING, line.after or _NOTHING) for line in lines]


def _whom(reader: Reader, outlook: Outlook, changes: Mapping[str, list[Any]], limit: int) -> list[str]:
    if outlook.before is None:
        by_use = outlook.after["kind"] in METERED
        return (
            [reader(N_("What sessions use is charged to the balance: nothing is paid in advance."))] if by_use else []
        )
    if not outlook.accounts:
        return [reader(N_("No account has this plan yet."))]
    accounts, sessions = (_counted(reader, count, limit) for count in (outlook.accounts, outlook.sessions))
    if not changes:
        return [reader(N_("Accounts that have it: {n}. Nothing changes for them yet."), n=accounts)]
    told = []
    if outlook.kept:
        version = outlook.before["version"]
        told.append(
            reader(N_("Accounts that have it: {n}. They keep its tariff, as version {v} is."), n=accounts, v=version)
        )
        told.append(reader(N_("New accounts, and who changes to it, get the new one.")))
    if not outlook.kept or changes.keys() - set(KEPT) - {"keeps"}:
        rest = N_("What is no matter of the tariff holds for them from the next log-in on.")
        every = N_(
            "Accounts that have it: {n}. It holds from their next log-in on, a price from their next renewal on."
        )
        told.append(reader(rest) if outlook.kept else reader(every, n=accounts))
    if outlook.before["keeps"] and not outlook.after["keeps"]:
        told.append(reader(N_("Who kept an earlier version gives it up.")))
    if outlook.sessions:
        told.append(reader(N_("Sessions that are open: {n}. They go on as they began."), n=sessions))
    return told


def _counted(reader: Reader, count: int, limit: int) -> str:
    return reader.number(count) + ("+" if count >= limit else "")
