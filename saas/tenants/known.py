"""What the accounting job need not ask again, as long as it hears of every change; forgotten when one was missed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from saas.kv import Change
from saas.tenants.accounting import stale_after
from saas.tenants.scope import PlatformScope

_KEPT = 200_000  # accounts
_AT_ONCE = 1000  # changes heard in one go

Account = Mapping[str, Any]


class Known:
    """Silences of tenants, plans, accounts, which of these pay for nothing. Empty at every `begin` unless it hears."""

    def __init__(self) -> None:
        self._silences: dict[str, int] = {}
        self._plans: dict[str, Mapping[str, Any]] = {}
        self._accounts: dict[str, Account] = {}
        self._free: set[str] = set()  # ids of accounts that pay for nothing
        self._ids: dict[str, dict[str, str]] = {}  # tenant -> user name -> id of what is kept
        self._news: AsyncIterator[Change | None] | None = None
        self._hears = False
        self._heard = 0

    async def hear(self, ps: PlatformScope, wait: float) -> int:
        """Forget what has changed, until nothing comes for `wait` seconds; how much did. Unavailable: all forgotten."""
        if self._news is None:
            self._news = ps.kv.news(wait)
        heard = self._heard
        try:
            async for change in self._news:
                if change is None:
                    self._hears = True
                    break
                self._forget(change)
                if self._heard >= heard + _AT_ONCE:
                    break
        except BaseException:
            self._news, self._hears = None, False
            raise
        return self._heard - heard

    def begin(self) -> int:
        """A mark for `learn` and `learn_free`, to be taken before anything is read."""
        if not self._hears:
            self._clear()
        return self._heard

    async def silences(self, ps: PlatformScope, tenant_ids: Iterable[str]) -> Mapping[str, int]:
        """After how many seconds of silence each tenant's sessions are lost; those that are missing do not exist."""
        mark, wanted = self._heard, set(tenant_ids)
        unknown = list(wanted - self._silences.keys())
        if not unknown:
            return self._silences
        rows = await ps.db.tenants.find({"_id": {"$in": unknown}}, limit=len(unknown), fields=["parameters"])
        found = {row["_id"]: stale_after(row["parameters"]) for row in rows}
        if mark == self._heard:
            self._silences |= found
        return self._silences | found

    async def plans(
        self, ps: PlatformScope, plan_ids: Iterable[str], fields: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Plans by id, with some fields, always the same ones; those that do not exist are left out."""
        mark, unknown = self._heard, set(plan_ids) - self._plans.keys()
        found = await ps.db.plans.among(unknown, fields)
        if mark == self._heard:
            self._plans |= found
            return self._plans
        return self._plans | found

    def account(self, account_id: str) -> Account | None:
        """What was learnt of an account."""
        return self._accounts.get(account_id)

    def learn(self, account: Account, mark: int) -> None:
        """An account is like this (with `_id`, `tenant_id`, `username`), unless something changed since `mark`."""
        if mark != self._heard or not self._hears:
            return
        if len(self._accounts) >= _KEPT:
            self._clear()
        self._accounts[account["_id"]] = account
        self._ids.setdefault(account["tenant_id"], {})[account["username"]] = account["_id"]

    def is_free(self, account_id: str) -> bool:
        """Whether the account is known to pay for nothing."""
        return account_id in self._free

    def learn_free(self, account_id: str, mark: int) -> None:
        """An account that was learnt pays for nothing, unless something changed since `mark`."""
        if mark == self._heard and account_id in self._accounts:
            self._free.add(account_id)

    def _forget(self, change: Change) -> None:
        self._heard += 1
        if change.kind == "account":
            self._forget_accounts([self._ids.get(change.tenant_id, {}).pop(change.key, "")])
        elif change.kind == "plan":  # its accounts may carry other terms now
            self._plans.pop(change.key, None)
            self._forget_accounts(self._ids.pop(change.tenant_id, {}).values())
        elif change.kind == "tenant":
            self._silences.pop(change.tenant_id, None)

    def _forget_accounts(self, account_ids: Iterable[str]) -> None:
        for account_id in account_ids:
            self._accounts.pop(account_id, None)
            self._free.discard(account_id)

    def _clear(self) -> None:
        self._silences.clear()
        self._plans.clear()
        self._accounts.clear()
        self._free.clear()
        self._ids.clear()
