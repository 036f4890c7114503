"""What is to be told about refusals, unknown devices and lines learnt: gathered, bounded, handed over in batches."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from saas.tenants.journal import Note
from saas.tenants.lines import Learnt
from saas.tenants.refusals import Refusal, UnknownNas

# Between two hand-overs; the counters still count what is left out.
TENANT_LIMIT: Final = 200  # refusals of one tenant, so that a storm at one hides nobody else's
LIMIT: Final = 2_000  # unknown devices


class Notes:
    """Refusals one by one; unknown devices once for each (source, identifier, cause) with their count; of the lines of
    an account the first.
    """

    def __init__(self, pool: str, limit: int = LIMIT, tenant_limit: int = TENANT_LIMIT) -> None:
        self._pool = pool
        self._limit = limit
        self._tenant_limit = tenant_limit
        self._refusals: defaultdict[str, list[Refusal]] = defaultdict(list)
        self._unknown: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._learnt: dict[str, Learnt] = {}

    def full(self, tenant_id: str) -> bool:
        """Whether a further refusal of the tenant would be left out."""
        return len(self._refusals[tenant_id]) >= self._tenant_limit

    def refused(self, refusal: Refusal) -> None:
        """A login was refused."""
        if not self.full(refusal.tenant_id):
            self._refusals[refusal.tenant_id].append(refusal)

    def unknown_nas(self, source: str, identifier: str, cause: str, now: float) -> None:
        """A packet came from a device that is not known or did not prove itself; `cause` is the drop reason."""
        key = (source, identifier[:64], cause)
        count, _ = self._unknown.get(key, (0, 0.0))
        if count or len(self._unknown) < self._limit:
            self._unknown[key] = (count + 1, now)

    def learnt(self, line: Learnt) -> None:
        """A login was accepted whose line is to be learnt."""
        if len(self._learnt) < self._limit:
            self._learnt.setdefault(line.account_id, line)

    def take(self) -> list[Note]:
        """Everything since the last call."""
        refusals, self._refusals = self._refusals, defaultdict(list)
        unknown, self._unknown = self._unknown, {}
        learnt, self._learnt = self._learnt, {}
        pool = self._pool
        return [
            *(refusal for of_tenant in refusals.values() for refusal in of_tenant),
            *learnt.values(),
            *(UnknownNas(pool, *key, count=count, at=at) for key, (count, at) in unknown.items()),
        ]
