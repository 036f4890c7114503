"""What an operator may do. A permission says which verbs, never which rows: rows are the Scope's.

Keys are stored in operator groups and named in the API: they never change once released. Keep the list alphabetized.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Permission(StrEnum):
    """`noun:action`. `read` opens only reading verbs; the application refuses to start otherwise."""

    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_SECRET = "accounts:secret"
    ACCOUNTS_WRITE = "accounts:write"
    AUDIT_READ = "audit:read"
    CARDS_READ = "cards:read"
    CARDS_REDEEM = "cards:redeem"
    CARDS_SECRET = "cards:secret"
    CARDS_WRITE = "cards:write"
    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    IMPORTS_READ = "imports:read"
    IMPORTS_SECRET = "imports:secret"
    IMPORTS_WRITE = "imports:write"
    LEDGER_ADJUST = "ledger:adjust"
    LEDGER_READ = "ledger:read"
    LEDGER_REVERSE = "ledger:reverse"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    NAS_READ = "nas:read"
    NAS_SECRET = "nas:secret"
    NAS_WRITE = "nas:write"
    OPERATORS_READ = "operators:read"
    OPERATORS_WRITE = "operators:write"
    PARAMETERS_READ = "parameters:read"
    PARAMETERS_WRITE = "parameters:write"
    PLANS_READ = "plans:read"
    PLANS_WRITE = "plans:write"
    SESSIONS_DISCONNECT = "sessions:disconnect"
    SESSIONS_READ = "sessions:read"


ALL = frozenset(Permission)

PRESETS: dict[str, frozenset[Permission]] = {
    "viewer": frozenset(p for p in Permission if p.endswith(":read")),
    "cashier": frozenset(
        {
            Permission.ACCOUNTS_READ,
            Permission.ACCOUNTS_WRITE,
            Permission.CARDS_READ,
            Permission.CARDS_REDEEM,
            Permission.DOCUMENTS_READ,
            Permission.DOCUMENTS_WRITE,
            Permission.LEDGER_READ,
            Permission.MEMBERS_READ,
            Permission.MEMBERS_WRITE,
            Permission.PLANS_READ,
            Permission.SESSIONS_READ,
        }
    ),
    "engineer": frozenset(
        {
            Permission.ACCOUNTS_READ,
            Permission.NAS_READ,
            Permission.NAS_SECRET,
            Permission.NAS_WRITE,
            Permission.PLANS_READ,
            Permission.SESSIONS_DISCONNECT,
            Permission.SESSIONS_READ,
        }
    ),
    "manager": ALL,
}


def granted(group: Mapping[str, Any]) -> frozenset[Permission]:
    """What a group's row grants: a built-in one (`preset`) what stands above, another one its own `permissions`. Keys
    that are not known here grant nothing.
    """
    built_in = PRESETS.get(group.get("preset", ""))
    return frozenset(Permission(key) for key in group["permissions"] if key in ALL) if built_in is None else built_in


def fresh(group: Mapping[str, Any]) -> frozenset[Permission]:
    """What came with a version after a group of the tenant's own was last saved, and nobody has decided about yet."""
    known = frozenset(group["permissions_known"])
    return frozenset() if group["preset"] else ALL - known - granted(group)
