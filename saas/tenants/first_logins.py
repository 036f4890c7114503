"""Terms that begin with the first login: when the first session of a waiting account is known, its time runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from saas.errors import Conflict, NotFound
from saas.tenants import billing, life, sessions
from saas.tenants.fanout import each_tenant
from saas.tenants.life import Act, Case, Effect
from saas.tenants.scope import PlatformScope, Scope

_BATCH = 500


async def begin_terms(ps: PlatformScope) -> int:
    """Let the terms begin of the waiting accounts that have been online; how many. A repeat changes nothing."""
    begun, after = 0, ""
    while rows := await ps.db.accounts.find(
        {"term.waits": True, "_id": {"$gt": after}}, sort=[("_id", 1)], limit=_BATCH, fields=["tenant_id"]
    ):
        after = rows[-1]["_id"]
        waiting: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            waiting[row["tenant_id"]].append(row["_id"])
        begun += await each_tenant(ps, "first_logins", waiting, _begin_all)
    return begun


async def _begin_all(scope: Scope, account_ids: Sequence[str]) -> int:
    begun = 0
    for account_id, at in (await sessions.first_starts(scope, account_ids)).items():
        try:
            await life.perform(scope, BEGIN, account_id, at, f"begin-{account_id}")
            begun += 1
        except (Conflict, NotFound):  # closed, deleted or given another plan meanwhile: nothing waits any more
            continue
    return begun


async def _begin(scope: Scope, case: Case, first_login: datetime) -> Effect:
    if not case.account["term"]["waits"]:
        raise Conflict("not_waiting", name=case.account["username"])
    at = max(first_login, case.account["term"]["started_at"])
    return Effect({**billing.begun(case.account, at, case.zone)})


BEGIN = Act("begin", _begin)
