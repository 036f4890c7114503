"""Changes to stored data that came with a version, each done once, in order.

A migration is an async function of a PlatformScope that may safely run again after a crash half-way. Append; never
edit or remove one that was released.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from saas import pinyin
from saas.i18n import LANGUAGES, Reader
from saas.permissions import ALL, PRESETS
from saas.store import Delete, Insert, Update
from saas.tenants.accounting import session_key
from saas.tenants.members import found_by, name_keys
from saas.tenants.platform import PRESET_NAMES
from saas.tenants.quotas import LEFT, low
from saas.tenants.scope import PlatformScope
from saas.values import utcnow

Migration = Callable[[PlatformScope], Awaitable[None]]


async def sessions_take_from_quota(ps: PlatformScope) -> None:
    """Sessions say what they took from their accounts, so far nothing; the key of each holds its tenant."""
    nothing = {"charged_octets": 0, "charged_seconds": 0}
    after = ""
    while rows := await ps.db.sessions.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        updates = []
        for row in rows:
            key = session_key(row["tenant_id"], row["nas_id"], row["acct_session_id"], row["username"])
            change = {"key": key, "lasted": row["session_time"], **nothing}
            updates.append(Update({"_id": row["_id"], "lasted": {"$exists": False}}, {"$set": change}))
        await ps.db.sessions.bulk(updates)


async def optional_rules(ps: PlatformScope) -> None:
    """What plans and accounts can be held to beside expiry and concurrency, all of it off; what guards passwords."""
    plan = {"octets": 0, "seconds": 0, "counted": "both", "days": [], "hours_from": "", "hours_until": ""}
    plan |= {"at_end": "reject", "end_pool": "", "end_up_rate": 0, "end_down_rate": 0, "over_limit": "reject"}
    plan |= {"idle_timeout": 0, "bind_mac": "off", "bind_vlan": "off", "ipv6_pool": "", "delegated_pool": ""}
    await ps.db.plans.update_many({"octets": {"$exists": False}}, {"$set": plan})
    # a fixed address could be of either family, and now has a place for each
    while rows := await ps.db.accounts.find({"static_ip": {"$regex": ":"}}, fields=["static_ip"]):
        for row in rows:
            where = {"_id": row["_id"], "static_ip": row["static_ip"]}
            await ps.db.accounts.update_one(where, {"$set": {"static_ip": "", "static_ipv6": row["static_ip"]}})
    account = {"octets_left": None, "seconds_left": None, "delegated_prefix": "", "mac": "", "vlan": ""}
    await ps.db.accounts.update_many({"static_ipv6": {"$exists": False}}, {"$set": {"static_ipv6": ""}})
    await ps.db.accounts.update_many({"mac": {"$exists": False}}, {"$set": account})
    tenant = {"restricted_timeout": 300, "guard_attempts": 10, "guard_window": 600}
    fresh = {f"parameters.{name}": value for name, value in tenant.items()}
    await ps.db.tenants.update_many({"parameters.guard_window": {"$exists": False}}, {"$set": fresh})


async def terms_and_versions(ps: PlatformScope) -> None:
    """Plans say what a unit gives; accounts what was paid for their term, as far as the ledger knows it."""
    plan: dict[str, Any] = {"tax_rate": 0, "bundle_months": 1, "valid_days": 0, "gift_days": 0, "gift_octets": 0}
    plan |= {"late_from": "today", "starts": "opening", "keeps": False}
    await ps.db.plans.update_many({"bundle_months": {"$exists": False}}, {"$set": plan})
    after = ""
    while rows := await ps.db.accounts.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        paid = await _charged(ps, [row for row in rows if "term" not in row])
        await ps.db.accounts.bulk([Update(*_with_term(row, paid[row["_id"]])) for row in rows if "term" not in row])


async def _charged(ps: PlatformScope, rows: Sequence[Any]) -> Counter[str]:
    """What each of the accounts was charged so far, in minor units."""
    charged: Counter[str] = Counter()
    for tenant_id in {row["tenant_id"] for row in rows}:
        mine = [row["_id"] for row in rows if row["tenant_id"] == tenant_id]
        which = {"tenant_id": tenant_id, "account_id": {"$in": mine}, "kind": "charge"}
        grouped = {"$group": {"_id": "$account_id", "sum": {"$sum": "$amount"}}}
        for found in await ps.db.ledger.aggregate([{"$match": which}, grouped]):
            charged[found["_id"]] = -int(found["sum"])
    return charged


def _with_term(row: Any, paid: int) -> tuple[dict[str, Any], dict[str, Any]]:
    given = {"octets": row.get("octets_left"), "seconds": row.get("seconds_left")}
    term = {"started_at": row.get("created_at", utcnow()), "paid": paid, **given}
    term |= {"anchor": 0, "waits": False, "months": 0, "days": 0}
    change = {"term": term, "terms": None, "next_plan_id": "", "suspended_at": None}
    return {"_id": row["_id"], "term": {"$exists": False}}, {"$set": change}


async def notices_begin(ps: PlatformScope) -> None:
    """What a tenant tells its subscribers, and in which language; nobody had a mail address so far."""
    await ps.db.members.update_many({"language": {"$exists": False}}, {"$set": {"language": "system"}})
    kinds = ["balance_low", "expired", "expiring", "payment", "quota_used", "suspended"]
    own = {"notice_mail": kinds, "notice_days": 3, "notice_balance": 0}
    fresh = {f"parameters.{name}": value for name, value in own.items()}
    await ps.db.tenants.update_many({"parameters.notice_days": {"$exists": False}}, {"$set": fresh})


async def quotas_apart(ps: PlatformScope) -> None:
    """What is left to accounts stands in rows of its own."""
    after = ""
    while rows := await ps.db.accounts.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        old = [row for row in rows if "octets_left" in row]
        made, left = [], []
        for row in old:
            quota = {name: row[name] for name in ("tenant_id", "member_id", "agent_id", *LEFT)}
            made.append(Update({"_id": row["_id"]}, {"$setOnInsert": quota}, upsert=True))
            left.append(Update({"_id": row["_id"]}, {"$unset": dict.fromkeys(LEFT, "")}))
        await ps.db.quotas.bulk(made)
        await ps.db.accounts.bulk(left)


async def online_apart(ps: PlatformScope) -> None:
    """Open sessions lie in a collection of their own."""
    after = ""
    while rows := await ps.db.sessions.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        open_ = [row for row in rows if row["open"]]

        async def move(tx: PlatformScope, rows: Sequence[Any] = open_) -> None:
            await tx.db.sessions.bulk([Delete(row["_id"], row["version"]) for row in rows])
            await tx.db.online.bulk([Insert(row) for row in rows])

        await ps.transaction(move)


async def papers_begin(ps: PlatformScope) -> None:
    """What stands on a tenant's receipts and invoices, nothing so far."""
    names = ("legal_name", "postal_address", "tax_id", "phone", "number_prefix", "paper_footer", "logo")
    fresh = {f"parameters.{name}": "" for name in names}
    await ps.db.tenants.update_many({"parameters.logo": {"$exists": False}}, {"$set": fresh})


async def renewals_begin(ps: PlatformScope) -> None:
    """Nothing renews by itself until somebody wishes it; whoever is told of anything by mail is told of that too."""
    for table in (ps.db.plans, ps.db.accounts):
        await table.update_many({"renews": {"$exists": False}}, {"$set": {"renews": False}})
    kinds = ["renewal_refused", "renewal_unpaid", "renewed"]
    change = {"$set": {"parameters.renew_hours": 24}, "$addToSet": {"parameters.notice_mail": {"$each": kinds}}}
    await ps.db.tenants.update_many({"parameters.renew_hours": {"$exists": False}}, change)


async def closings_begin(ps: PlatformScope) -> None:
    """Nothing is closed by itself until a tenant says after how many days."""
    kinds = {"parameters.notice_mail": {"$each": ["closed", "closing"]}}
    change: dict[str, Any] = {"$set": {"parameters.suspend_days": 0}, "$addToSet": kinds}
    await ps.db.tenants.update_many({"parameters.suspend_days": {"$exists": False}}, change)


async def attributes_begin(ps: PlatformScope) -> None:
    """Plans add no attributes, and none is shown in self-service until somebody says so."""
    fresh = {"$set": {"visible": False, "attributes": ""}}
    await ps.db.plans.update_many({"attributes": {"$exists": False}}, fresh)


async def grants_begin(ps: PlatformScope) -> None:
    """Operators may sell every plan, as before."""
    await ps.db.operators.update_many({"plan_ids": {"$exists": False}}, {"$set": {"plan_ids": []}})


async def more_notices_begin(ps: PlatformScope) -> None:
    """Who has used 80 % of a quota is told, also of what was bought before; so is whose account becomes active."""
    kinds = {"parameters.notice_mail": {"$each": ["activated", "quota_low"]}}
    change: dict[str, Any] = {"$set": {"parameters.notice_quota": 80}, "$addToSet": kinds}
    await ps.db.tenants.update_many({"parameters.notice_quota": {"$exists": False}}, change)
    after = ""
    while rows := await ps.db.accounts.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000, fields=["term"]):
        after = rows[-1]["_id"]
        terms = {row["_id"]: row["term"] for row in rows if "term" in row}
        await ps.db.quotas.bulk([Update({"_id": key}, {"$set": low(term, 80)}) for key, term in terms.items()])


async def groups_built_in(ps: PlatformScope) -> None:
    """The groups that a tenant began with follow the code, where nobody has changed them; others stay as they are."""
    fresh = {"preset": {"$exists": False}}
    for preset, title in PRESET_NAMES.items():
        beyond = {"permissions": {"$elemMatch": {"$nin": sorted(PRESETS[preset])}}}
        names = [Reader.of(language)(title) for language in LANGUAGES]
        untouched = {**fresh, "name": {"$in": names}, "version": 1, "$nor": [beyond]}
        await ps.db.groups.update_many(untouched, {"$set": {"preset": preset, "permissions": []}})
    await ps.db.groups.update_many(fresh, {"$set": {"preset": ""}})


async def group_grants_begin(ps: PlatformScope) -> None:
    """Groups grant every plan, as before."""
    await ps.db.groups.update_many({"plan_ids": {"$exists": False}}, {"$set": {"plan_ids": []}})


async def log_is_chained(ps: PlatformScope) -> None:
    """Entries of the operation logs wait for their numbers, which the jobs give them in the order they were made in."""
    for table in (ps.db.audit, ps.db.platform_audit):
        await table.update_many({"seq": {"$exists": False}}, {"$set": {"seq": 0, "hash": ""}})


async def second_factor_begins(ps: PlatformScope) -> None:
    """No tenant asks its people for a second factor until it says so."""
    fresh = {"$set": {"parameters.second_factor": False}}
    await ps.db.tenants.update_many({"parameters.second_factor": {"$exists": False}}, fresh)


async def names_by_letters(ps: PlatformScope) -> None:
    """Members, and their accounts in lists, are found by the initials of their names."""
    after = ""
    while rows := await ps.db.members.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        old = [(row["_id"], name_keys(row["name"])) for row in rows if "initials" not in row]
        await ps.db.members.bulk([Update({"_id": row_id}, _found_by(keys)) for row_id, keys in old])
    after = ""
    while rows := await ps.db.accounts.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        letters = {row["_id"]: pinyin.initials(row.get("member_name", "")) for row in rows}
        also = [Update({"_id": row_id}, {"$addToSet": {"search": each}}) for row_id, each in letters.items() if each]
        await ps.db.accounts.bulk(also)


def _found_by(keys: Mapping[str, str]) -> dict[str, Any]:
    also = {"$addToSet": {"search": keys["initials"]}} if keys["initials"] else {}
    return {"$set": dict(keys), **also}


async def beginnings_are_kept(ps: PlatformScope) -> None:
    """Members and accounts are found by every beginning of their names as a value of its own."""
    after = ""
    while rows := await ps.db.members.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        await ps.db.members.bulk([_found(row, row["login"], row["name"], row["mobile"]) for row in rows])
    after = ""
    while rows := await ps.db.accounts.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=1000):
        after = rows[-1]["_id"]
        owners = await ps.db.members.among({row["member_id"] for row in rows}, ["mobile"])
        mobiles = {member_id: row["mobile"] for member_id, row in owners.items()}
        found = [
            _found(row, row["username"], row.get("member_name", ""), mobiles.get(row["member_id"], "")) for row in rows
        ]
        await ps.db.accounts.bulk(found)


def _found(row: Mapping[str, Any], *names: str) -> Update:
    return Update({"_id": row["_id"]}, {"$set": {"search": found_by(*names)}})


async def more_parameters_begin(ps: PlatformScope) -> None:
    """What was the same for all tenants is a parameter of each, and devices ask for passwords until one says so."""
    fresh = {"stale_factor": 3, "keep_sessions": 0, "notice_hour": 9, "notice_interval": 0}
    for name, value in fresh.items():
        missing = {f"parameters.{name}": {"$exists": False}}
        await ps.db.tenants.update_many(missing, {"$set": {f"parameters.{name}": value}})
    await ps.db.nas.update_many({"user_check": {"$exists": False}}, {"$set": {"user_check": "password"}})


async def groups_know_permissions(ps: PlatformScope) -> None:
    """Groups of before are taken to know what there is now; what later versions bring is new to them."""
    fresh = {"permissions_known": {"$exists": False}}
    await ps.db.groups.update_many({**fresh, "preset": ""}, {"$set": {"permissions_known": sorted(ALL)}})
    await ps.db.groups.update_many(fresh, {"$set": {"permissions_known": []}})


MIGRATIONS: Sequence[Migration] = (
    sessions_take_from_quota,
    optional_rules,
    terms_and_versions,
    notices_begin,
    quotas_apart,
    online_apart,
    papers_begin,
    renewals_begin,
    closings_begin,
    attributes_begin,
    grants_begin,
    more_notices_begin,
    groups_built_in,
    group_grants_begin,
    log_is_chained,
    second_factor_begins,
    names_by_letters,
    beginnings_are_kept,
    more_parameters_begin,
    groups_know_permissions,
)


async def migrate(ps: PlatformScope, migrations: Sequence[Migration] = MIGRATIONS) -> list[str]:
    """Do what has not been done here; the names of what was."""
    done = {row["_id"] for row in await ps.db.migrations.find({}, limit=10_000)}
    names: list[str] = []
    for migration in migrations:
        name = migration.__name__
        if name not in done:
            await migration(ps)
            await ps.db.migrations.insert({"_id": name, "at": utcnow()})
            names.append(name)
    return names
