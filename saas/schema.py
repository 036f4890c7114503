"""The collections as data: whose rows they hold, how they are found, what may never change.

`fence` names the fields by which a Scope sees only its own rows. A Scope opens a collection only when the
collection has every field of the Scope's fence. Each unique index begins with `tenant_id`, except those named
in `cloud_wide`: what is unique in the whole cloud on purpose, decided by the index and not by a query.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

Keys = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`keys` as (field, 1 | -1); `partial` is a MongoDB partialFilterExpression; `expire_after` in seconds."""

    keys: Keys
    unique: bool = False
    partial: tuple[tuple[str, object], ...] = ()
    expire_after: int | None = None

    @property
    def name(self) -> str:
        """Made of the keys, so that two processes always name the same index alike."""
        return "_".join(f"{field}_{order}" for field, order in self.keys)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection's fence, indexes and promises. `later`: fields of an append-only one that are set afterwards."""

    fence: tuple[str, ...]
    indexes: tuple[Index, ...] = ()
    append_only: bool = False
    later: tuple[str, ...] = ()
    cloud_wide: tuple[str, ...] = ()  # leading fields of unique indexes that hold across tenants
    former: tuple[str, ...] = ()  # names of indexes that nobody needs any more

    def unique(self, fields: Set[str]) -> bool:
        """Whether no two rows have the same values of all these fields."""
        return any(
            index.unique and not index.partial and {name for name, _ in index.keys} <= fields for index in self.indexes
        )


def _up(*fields: str) -> Keys:
    return tuple((field, 1) for field in fields)


def _newest(*fields: str) -> Keys:
    """For lists, newest first or last: an index whose keys all ascend is walked either way."""
    return _up(*fields, "_id")


_TENANT = ("tenant_id",)
_TENANT_MEMBER = ("tenant_id", "agent_id", "member_id")

_SESSION = (
    Index(_newest("tenant_id")),
    Index(_newest("tenant_id", "account_id")),
    Index(_newest("tenant_id", "nas_id")),
    Index(_newest("tenant_id", "search")),
)

COLLECTIONS: dict[str, Collection] = {
    # the platform's own
    "cloud_accounts": Collection((), (Index(_up("email"), unique=True), Index(_up("platform"))), cloud_wide=("email",)),
    # a tenant's own row carries its id as tenant_id too, so that its Scope can open just that row
    "tenants": Collection(
        ("tenant_id",),
        (
            Index(_up("slug"), unique=True),
            Index(_newest("owner_id")),
            Index(_newest("pool")),
            Index(_newest("former_pools.pool")),
        ),
        cloud_wide=("slug",),
    ),
    "pools": Collection((), (Index(_up("name"), unique=True),), cloud_wide=("name",)),
    "platform_audit": Collection(
        (),
        (
            Index(_up("seq", "_id")),
            Index(_newest("noun")),
            Index(_newest("target")),
            Index(_newest("target_name")),
            Index(_newest("actor_name")),
        ),
        append_only=True,
        later=("seq", "hash"),
    ),
    "unknown_nas": Collection(
        (),
        (
            Index(_up("pool", "source", "identifier"), unique=True),
            Index(_up("pool", "identifier")),
            Index((("pool", 1), ("last_at", 1))),
            Index(_up("last_at"), expire_after=7 * 86400),
        ),
        cloud_wide=("pool",),
    ),
    "journal": Collection(()),
    "dead_events": Collection((), (Index(_newest("tenant_id")),)),
    "migrations": Collection(()),
    "schedules": Collection(
        _TENANT,
        (
            Index(_up("tenant_id", "job"), unique=True),
            Index(_up("next_at")),
            Index(_newest("failures")),
            Index(_newest("job", "failures")),
        ),
    ),
    "installation": Collection(()),  # what the whole installation has one of
    # a tenant's
    "audit": Collection(
        _TENANT,
        (
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "noun")),
            Index(_newest("tenant_id", "action")),
            Index(_newest("tenant_id", "target")),
            Index(_newest("tenant_id", "target_name")),
            Index(_newest("tenant_id", "actor_name")),
            Index(_newest("tenant_id", "seq")),
            Index(_up("seq", "_id"), partial=(("seq", 0),)),  # what waits to be chained
        ),
        append_only=True,
        later=("seq", "hash"),
    ),
    "audit_heads": Collection(_TENANT),  # where each operation log's chain ends; the platform's, of no tenant, too
    "groups": Collection(_TENANT, (Index(_up("tenant_id", "name"), unique=True), Index(_up("tenant_id", "plan_ids")))),
    "operators": Collection(
        _TENANT,
        (
            Index(_up("tenant_id", "login"), unique=True),
            Index(_up("tenant_id", "group_id")),
            Index(_up("tenant_id", "plan_ids")),
        ),
    ),
    "factors": Collection(_TENANT),  # second factors, by whose they are; of cloud accounts, which are of no tenant, too
    "nas": Collection(
        _TENANT,
        (
            Index(_up("identifier"), unique=True),
            Index(_newest("tenant_id")),
            Index(_up("tenant_id", "name"), unique=True),
            Index(_up("tenant_id", "user_check", "name")),
            Index(_up("address")),
            Index(_newest("vendor")),
        ),
        cloud_wide=("identifier",),
    ),
    "authorities": Collection(_TENANT, (Index(_newest("tenant_id")),)),
    "certificates": Collection(
        _TENANT,
        (Index(_up("fingerprint"), unique=True), Index(_newest("tenant_id", "nas_id"))),
        cloud_wide=("fingerprint",),  # the engine finds tenant and device by it
    ),
    "plans": Collection(
        _TENANT,
        (
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "status")),
            Index(_up("tenant_id", "name"), unique=True),
            Index(_up("settling.open", "_id"), partial=(("settling.open", True),)),
        ),
    ),
    "members": Collection(
        _TENANT_MEMBER,
        (
            Index(_newest("tenant_id")),
            Index(_up("tenant_id", "login"), unique=True),
            Index(_newest("tenant_id", "search")),
            Index(_newest("tenant_id", "name_key")),
            Index(_newest("tenant_id", "initials")),
            Index(_newest("tenant_id", "mobile")),
            Index(_up("tenant_id", "balance", "_id")),
        ),
        former=("tenant_id_1_search_1",),
    ),
    "accounts": Collection(
        _TENANT_MEMBER,
        (
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "status")),
            Index(_newest("tenant_id", "member_id")),
            Index(_newest("tenant_id", "plan_id")),
            Index(_up("tenant_id", "username"), unique=True),
            Index(_newest("tenant_id", "search")),
            Index(_up("tenant_id", "expires_at", "_id")),
            Index(_newest("tenant_id", "renews")),
            Index(_newest("tenant_id", "renews", "expires_at")),
            Index(_up("term.waits", "_id"), partial=(("term.waits", True),)),
            Index(_newest("tenant_id", "fallen_at")),
            Index(_newest("tenant_id", "suspended_at")),
            Index(_newest("tenant_id", "activates_at")),
            Index(_newest("tenant_id", "status", "expires_at")),
            Index(_newest("tenant_id", "mac")),
            Index(_newest("tenant_id", "static_ip")),
        ),
        former=("tenant_id_1_search_1",),
    ),
    "quotas": Collection(_TENANT_MEMBER),
    "adjustments": Collection(_TENANT, (Index(_newest("next_at")),)),
    "ledger": Collection(
        _TENANT_MEMBER,
        (
            Index(_up("tenant_id", "key"), unique=True),
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "member_id")),
            Index(_newest("tenant_id", "account_id")),
            Index(_newest("tenant_id", "kind")),
            Index(_newest("tenant_id", "method")),
            Index(_newest("tenant_id", "kind", "method")),
            Index(_newest("tenant_id", "kind", "actor_name")),
        ),
        append_only=True,
        former=("tenant_id_1_actor_name_1__id_1",),
    ),
    "documents": Collection(
        _TENANT_MEMBER,
        (
            Index(_up("tenant_id", "kind", "subject"), unique=True),
            Index(_up("tenant_id", "kind", "year", "count"), unique=True),
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "kind")),
            Index(_newest("tenant_id", "member_id")),
            Index(_up("tenant_id", "purchase")),
            Index(_newest("tenant_id", "number")),
        ),
        append_only=True,
    ),
    "counters": Collection(_TENANT),  # the last number of each series
    "logos": Collection(_TENANT, (Index(_newest("tenant_id")),), append_only=True),
    "views": Collection(
        _TENANT,
        (Index(_up("tenant_id", "list", "owner", "name"), unique=True), Index(_newest("tenant_id", "list", "shared"))),
    ),
    "proofs": Collection(_TENANT, (Index(_newest("tenant_id")), Index(_up("at"), expire_after=400 * 86400))),
    "deeds": Collection(
        _TENANT_MEMBER,
        (Index(_up("tenant_id", "key"), unique=True), Index(_newest("tenant_id", "account_id"))),
        append_only=True,
    ),
    "card_batches": Collection(
        _TENANT,
        (
            Index(_up("tenant_id", "attempt"), unique=True),
            Index(_up("tenant_id", "prefix"), unique=True),
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "kind")),
            Index(_newest("tenant_id", "plan_id")),
            Index(_newest("tenant_id", "expires_at")),
            Index(_up("tenant_id", "lapsed", "expires_at")),
        ),
    ),
    "card_codes": Collection(_TENANT),  # of a batch, by its id: sealed, until they are taken out
    "cards": Collection(
        _TENANT,
        (
            Index(_up("tenant_id", "hash"), unique=True),
            Index(_up("tenant_id", "serial"), unique=True),
            Index(_up("tenant_id", "attempt"), unique=True, partial=(("state", "used"),)),
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "batch_id")),
            Index(_up("tenant_id", "batch_id", "serial")),
            Index(_newest("tenant_id", "state")),
            Index(_up("tenant_id", "used_by", "serial"), partial=(("state", "used"),)),
        ),
        former=("tenant_id_1_used_by_1__id_1",),
    ),
    "online": Collection(  # sessions that are open
        _TENANT_MEMBER,
        (*_SESSION, Index(_up("key"), unique=True), Index(_up("stale_at"))),
        cloud_wide=("key",),  # it holds the tenant: many tenants' are found at once
    ),
    "sessions": Collection(  # and those that have ended
        _TENANT_MEMBER,
        (*_SESSION, Index(_up("key", "epoch"), unique=True), Index(_up("tenant_id", "stopped_at"))),
        cloud_wide=("key",),
        former=(
            "tenant_id_1_open_1__id_1",
            "tenant_id_1_account_id_1_open_1__id_1",
            "tenant_id_1_nas_id_1_open_1__id_1",
            "tenant_id_1_search_1_open_1__id_1",
            "tenant_id_1_open_1_account_id_1",
            "stale_at_1",
        ),
    ),
    "online_counts": Collection(
        _TENANT, (Index(_up("tenant_id", "day"), unique=True), Index(_up("at"), expire_after=40 * 86400))
    ),
    "day_sums": Collection(_TENANT, (Index(_up("tenant_id", "day"), unique=True),)),
    "notices": Collection(
        _TENANT_MEMBER,
        (
            Index(_up("tenant_id", "kind", "subject", "occasion", "channel"), unique=True),
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "kind")),
            Index(_newest("tenant_id", "state")),
            Index(_newest("tenant_id", "member_id")),
            Index(_newest("tenant_id", "subject_name")),
            Index(_up("next_at"), partial=(("state", "waiting"),)),
            Index(_up("tenant_id", "next_at"), partial=(("state", "waiting"),)),
            Index(_up("created_at"), expire_after=180 * 86400),
        ),
    ),
    "notice_texts": Collection(_TENANT, (Index(_up("tenant_id", "kind", "language"), unique=True),)),
    "bulk_runs": Collection(
        _TENANT,
        (
            Index(_up("tenant_id", "key"), unique=True),
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "open"), partial=(("open", True),)),
            Index(_up("turn_at", "_id"), partial=(("open", True),)),
            Index(_up("created_at"), expire_after=180 * 86400),
        ),
    ),
    "bulk_results": Collection(
        _TENANT,
        (
            Index(_newest("tenant_id", "run_id")),
            Index(_newest("tenant_id", "run_id", "state")),
            Index(_up("created_at"), expire_after=180 * 86400),
        ),
    ),
    "imports": Collection(
        _TENANT,
        (
            Index(_up("tenant_id", "key"), unique=True),
            Index(_newest("tenant_id")),
            Index(_newest("tenant_id", "open"), partial=(("open", True),)),
            Index(_up("turn_at", "_id"), partial=(("open", True),)),
            Index(_up("created_at"), expire_after=180 * 86400),
        ),
    ),
    # parts of the file, sealed: some rows each
    "import_parts": Collection(_TENANT, (Index(_up("created_at"), expire_after=7 * 86400),)),
    # of a part, sealed: passwords that were made, until they are taken out
    "import_passwords": Collection(_TENANT, (Index(_up("created_at"), expire_after=30 * 86400),)),
    "import_rows": Collection(
        _TENANT,
        (
            Index(_newest("tenant_id", "import_id")),
            Index(_newest("tenant_id", "import_id", "state")),
            Index(_up("tenant_id", "import_id", "username")),
            Index(_up("tenant_id", "import_id", "login")),
            Index(_up("created_at"), expire_after=180 * 86400),
        ),
    ),
    "disconnects": Collection(_TENANT, (Index(_newest("tenant_id", "session_id")),)),
    "refusals": Collection(
        _TENANT,
        (
            Index(_up("tenant_id", "username", "nas_id", "reason", "hour"), unique=True),
            Index(_newest("tenant_id", "last_at")),
            Index(_newest("tenant_id", "username", "last_at")),
            Index(_newest("tenant_id", "nas_id", "last_at")),
            Index(_newest("tenant_id", "reason", "last_at")),
            Index(_up("last_at"), expire_after=180 * 86400),
        ),
        former=("tenant_id_1_username_1_last_at_1", "tenant_id_1_nas_id_1_last_at_1"),
    ),
}
