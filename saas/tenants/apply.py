"""From the journal to the sessions: events in order of arrival, in bulk for all tenants, each counted once.

A portion of events is one transaction: it reads the sessions concerned, lets the events take effect, takes what they
used from their accounts (metering.py), and writes. Applying again changes nothing, and two appliers at once do no harm:
one of them is refused and begins anew with what the other wrote. An event that cannot be applied goes to `dead_events`
with its error, and stops neither its tenant nor others.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from saas.errors import Conflict, Taken, Unavailable
from saas.tenants import accounting, metering, quotas, sessions, slots
from saas.tenants.accounting import AcctEvent, Row
from saas.tenants.fanout import each_tenant
from saas.tenants.journal import Group, encode
from saas.tenants.known import Account, Known
from saas.tenants.scope import SYSTEM, PlatformScope, Scope
from saas.values import new_id, utcnow

log = logging.getLogger(__name__)

_ATTEMPTS = 20
_EVENTS, _SESSIONS = 1000, 300  # of one transaction, about: what a store does in one grows faster than the rows
_ROWS_A_KEY = 20  # recent sessions of a reused id that are looked at
_STALE_BATCH = 500
_REBOOTS = ("on", "off")
# Each portion writes this row: of two appliers at once one begins anew, so that a session is not begun by one while it
# is begun and ended by the other. No index could see that, because the two would lie in different collections.
_TURN = {"_id": "applying"}
_SEARCHED = ("framed_ip", "framed_ipv6", "calling_station_id", "tunnel_client", "plan_id")
_ACCOUNT = ("tenant_id", "username", "member_id", "agent_id", *metering.FIELDS)

Apply = Callable[[Sequence[AcctEvent]], Awaitable[None]]


async def apply(ps: PlatformScope, groups: Sequence[Group], known: Known | None = None) -> int:
    """Let groups take effect; how many events could not and were put aside. Unavailable: repeat all of it."""
    known = known or Known()
    buried = 0
    for group in groups:
        if group.error:
            await _bury(ps, "", group.data, group.error)
            buried += 1
    for events in _portions(event for group in groups for event in group.events):
        buried += await _apply_or_bury(ps, known, events)
    fallen_back = [event for group in groups if not group.stream for event in group.events]
    if fallen_back:
        await slots.track(ps, fallen_back, await known.silences(ps, {event.tenant_id for event in fallen_back}))
    return buried


async def close_stale(ps: PlatformScope, before: datetime) -> int:
    """End the sessions that have been silent too long by `before`; how many.

    `before` is a moment whose events have all been applied: what waits in the journal may show that a session lives.
    """
    closed, after = 0, datetime.min.replace(tzinfo=before.tzinfo)
    while True:
        filter = {"stale_at": {"$gt": after, "$lt": before}}
        rows = await ps.db.online.find(filter, sort=[("stale_at", 1)], limit=_STALE_BATCH)
        by_tenant: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_tenant[row["tenant_id"]].append(row)
        closed += await each_tenant(ps, "stale sessions", by_tenant, _close_stale_of)
        if len(rows) < _STALE_BATCH:
            return closed
        after = rows[-1]["stale_at"]


def _portions(events: Iterable[AcctEvent]) -> Iterator[list[AcctEvent]]:
    """Session by session, each with its events in their order, so that a row is written once for all of them; what a
    device says about all its sessions is not overtaken.
    """
    by_session: dict[tuple[str, str], list[AcctEvent]] = defaultdict(list)
    for event in events:
        if event.status not in _REBOOTS:
            by_session[event.nas_id, event.session_id].append(event)
            continue
        yield from _together(by_session.values())
        by_session.clear()
        yield [event]
    yield from _together(by_session.values())


def _together(sessions: Iterable[list[AcctEvent]]) -> Iterator[list[AcctEvent]]:
    portion: list[AcctEvent] = []
    count = 0
    for events in sessions:
        portion += events
        count += 1
        if len(portion) >= _EVENTS or count == _SESSIONS:
            yield portion
            portion, count = [], 0
    if portion:
        yield portion


async def _apply_or_bury(ps: PlatformScope, known: Known, events: list[AcctEvent]) -> int:
    """All at once; where that fails tenant by tenant, and where that fails one by one. How many were put aside."""
    mark = known.begin()
    silences = await known.silences(ps, {event.tenant_id for event in events})
    sound = [event for event in events if event.tenant_id in silences]
    for event in events:
        if event.tenant_id not in silences:
            await _bury(ps, event.tenant_id, encode([event]), "no such tenant")
    do = partial(_apply_all, ps, known, mark, silences)
    try:
        await do(sound)
        return len(events) - len(sound)
    except Unavailable:
        raise
    except Exception as error:
        log.info("%d events cannot be applied at once: %s", len(sound), type(error).__name__)
    by_tenant: dict[str, list[AcctEvent]] = defaultdict(list)
    for event in sound:
        by_tenant[event.tenant_id].append(event)
    return len(events) - len(sound) + sum([await _apply_tenant(ps, do, each) for each in by_tenant.values()])


async def _apply_tenant(ps: PlatformScope, do: Apply, events: list[AcctEvent]) -> int:
    try:
        await do(events)
        return 0
    except Unavailable:
        raise
    except Exception:
        log.exception("tenant %s: its events are applied one by one", events[0].tenant_id)
    return sum([await _apply_one(ps, do, event) for event in events])


async def _apply_one(ps: PlatformScope, do: Apply, event: AcctEvent) -> int:
    try:
        await do([event])
        return 0
    except Unavailable:
        raise
    except Exception as error:
        log.exception("tenant %s: an event of device %s is put aside", event.tenant_id, event.nas_id)
        await _bury(ps, event.tenant_id, encode([event]), f"{type(error).__name__}: {error}")
        return 1


async def _bury(ps: PlatformScope, tenant_id: str, data: bytes, error: str) -> None:
    """Put an event aside. Unavailable when even that fails: it must stay in the journal."""
    row = {"_id": new_id("ded"), "tenant_id": tenant_id, "data": data, "error": error, "created_at": utcnow()}
    try:
        await ps.db.dead_events.insert(row)
    except Exception as failure:
        raise Unavailable(store="mongo") from failure


async def _apply_all(
    ps: PlatformScope, known: Known, mark: int, silences: Mapping[str, int], events: Sequence[AcctEvent]
) -> None:
    """Sessions' events in bulk, between the moments at which a device says that it has none left."""
    for together, reboots in _rounds(events):
        if together:
            await _settle(ps, partial(_write, known, mark, silences, together))
        for event in reboots:
            scope = ps.enter(await ps.db.tenants.get(event.tenant_id), SYSTEM)
            _, at = accounting.span(event)
            await sessions.close_of_nas(scope, event.nas_id, at, "NAS-Reboot", event.status)


async def _settle(ps: PlatformScope, work: Callable[[PlatformScope], Awaitable[None]]) -> None:
    for _ in range(_ATTEMPTS):
        try:
            await ps.transaction(work)
        except Taken:  # somebody else made one of the new sessions: begin anew with theirs
            continue
        return
    raise Conflict("changed")


def _rounds(events: Iterable[AcctEvent]) -> Iterable[tuple[list[AcctEvent], list[AcctEvent]]]:
    """Session events that may be taken together and the reboots behind them: each tenant's events in their order."""
    rounds: list[tuple[list[AcctEvent], list[AcctEvent]]] = [([], [])]
    reached: dict[str, int] = defaultdict(int)
    for event in events:
        together, reboots = rounds[reached[event.tenant_id]]
        if event.status not in _REBOOTS:
            together.append(event)
            continue
        reboots.append(event)
        reached[event.tenant_id] += 1
        if reached[event.tenant_id] == len(rounds):
            rounds.append(([], []))
    return rounds


async def _write(
    known: Known, mark: int, silences: Mapping[str, int], events: Sequence[AcctEvent], ps: PlatformScope
) -> None:
    """Read the sessions concerned, let the events take effect, write. Taken when another writer was quicker."""
    await ps.db.installation.update_one(_TURN, {"$inc": {"turns": 1}}, upsert=True)
    keyed = [(accounting.event_key(event), event) for event in events]
    keys = list({key for key, _ in keyed})
    read = await ps.db.online.find({"key": {"$in": keys}}, limit=len(keys))
    sole = {row["key"] for row in read if row.get("sole")}
    if others := [key for key in keys if key not in sole]:
        read += await ps.db.sessions.find({"key": {"$in": others}}, limit=len(others) * _ROWS_A_KEY)
    before: dict[str, Row] = {row["_id"]: dict(row) for row in read}
    books: dict[str, list[Row]] = defaultdict(list)
    for row in read:
        books[row["key"]].append(row)
    claims: dict[str, str] = {}  # account ids that events carry, by session id
    for key, event in keyed:
        row = _take(books[key], event)
        if event.account_id:
            claims[row["_id"]] = event.account_id
    rows = [row for found in books.values() for row in found]
    payers = await _payers(ps, known, mark, before, rows, claims)
    changed = [row for row in rows if _finish(row, before.get(row["_id"]), silences[row["tenant_id"]])]
    await metering.take(ps, before, changed, payers)
    await sessions.put(ps.db, before, changed)


def _take(rows: list[Row], event: AcctEvent) -> Row:
    """Let an event take effect on one of its key's rows, or on a new one; the one concerned."""
    row = accounting.match(rows, event)
    if row is None:
        row = accounting.begin(event)
        rows.append(row)
    else:
        accounting.fold(row, event)
    if len(rows) > 1:
        newest = max(rows, key=lambda each: each["started_at"])
        for other in [each for each in rows if each["open"]]:
            other["sole"] = False
            if other is not newest:  # a device has one session under an id at a time
                accounting.close(other, other["seen_at"], "Lost-Carrier", "reused")
    return row


def _finish(row: Row, before: Row | None, silence: int) -> bool:
    """Complete a row; whether it differs from what was read."""
    row["stale_at"] = accounting.stale_at(row, silence)
    if before is None:
        row["search"] = accounting.search_texts(row)
        return True
    if row == before:
        return False
    if any(row.get(name) != before.get(name) for name in _SEARCHED):
        row["search"] = accounting.search_texts(row)
    row |= {"version": before["version"] + 1, "updated_at": utcnow()}
    return True


async def _payers(
    ps: PlatformScope,
    known: Known,
    mark: int,
    before: Mapping[str, Row],
    rows: Sequence[Row],
    claims: Mapping[str, str],
) -> dict[str, Account]:
    """The accounts that pay for something, by id (metering.payer); before that, every session has its owner as far as
    there is one.
    """
    await _own(ps, known, mark, [row for row in rows if not row["account_id"]], claims)
    paying = {
        row["account_id"]
        for row in rows
        if row["account_id"]
        and not known.is_free(row["account_id"])
        and metering.has_grown(before.get(row["_id"]), row)
    }
    found = await quotas.join(ps.db, list((await _known_accounts(ps, known, mark, paying)).values()), quotas.METERED)
    plans = await known.plans(ps, {account["plan_id"] for account in found}, metering.OF_PLAN)
    payers: dict[str, Account] = {}
    for account in found:
        if payer := metering.payer(account, plans.get(account["plan_id"], {})):
            payers[account["_id"]] = payer
        else:
            known.learn_free(account["_id"], mark)
    return payers


async def _known_accounts(ps: PlatformScope, known: Known, mark: int, ids: Collection[str]) -> dict[str, Account]:
    """Accounts by id, those that are not known from the store; one that is not there is left out."""
    found = {account_id: account for account_id in ids if (account := known.account(account_id))}
    read = await ps.db.accounts.among((account_id for account_id in ids if account_id not in found), _ACCOUNT)
    for account in read.values():
        known.learn(account, mark)
    return found | read


async def _own(ps: PlatformScope, known: Known, mark: int, ownerless: Sequence[Row], claims: Mapping[str, str]) -> None:
    """Say whose sessions these are: by the account that an event carries, else by the user name."""
    claimed = {claims[row["_id"]] for row in ownerless if row["_id"] in claims}
    accounts = await _known_accounts(ps, known, mark, claimed)
    nameless: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))  # by tenant and user name
    for row in ownerless:
        account = accounts.get(claims.get(row["_id"], ""))
        if account is not None and account["tenant_id"] == row["tenant_id"]:
            _give(row, account)
        elif row["username"]:
            nameless[row["tenant_id"]][row["username"]].append(row)
    for tenant_id, by_name in nameless.items():
        filter = {"tenant_id": tenant_id, "username": {"$in": list(by_name)}}
        for account in await ps.db.accounts.find(filter, limit=len(by_name), fields=_ACCOUNT):
            known.learn(account, mark)
            for row in by_name[account["username"]]:
                _give(row, account)


def _give(row: Row, account: Account) -> None:
    own = {"member_id": account["member_id"], "agent_id": account["agent_id"], "plan_id": account["plan_id"]}
    row |= {"account_id": account["_id"], **own}


async def _close_stale_of(scope: Scope, rows: list[Row]) -> int:
    """Rows that changed since they were read are left for the next time."""
    done = await sessions.close(scope, rows, lambda row: row["seen_at"], "Lost-Carrier", "stale")
    return len(rows) if done else 0
