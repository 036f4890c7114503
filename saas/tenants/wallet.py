"""A member's balance: money that is paid in before it is known what for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saas.errors import Taken
from saas.i18n import N_
from saas.tenants import audit, ledger
from saas.tenants.accounts import PAY_METHODS
from saas.tenants.forms import Form, Line, Money
from saas.tenants.ledger import LedgerEntry
from saas.tenants.scope import Scope


class TopUpForm(Form):
    """How much, and how."""

    amount: Annotated[Money, Field(ge=1)] = Field(title=N_("Amount"))
    method: Literal["cash", "wechat", "alipay", "transfer"] = Field(
        default="cash", title=N_("Paid by"), json_schema_extra={"labels": PAY_METHODS}
    )
    note: Line = Field(default="", title=N_("Note"))


async def top_up(scope: Scope, member_id: str, form: TopUpForm, attempt: str) -> LedgerEntry:
    """Take money onto a member's balance, once for each `attempt` key. NotFound, Conflict("key_reused")."""
    key = f"top-up:{attempt}:1"

    async def write(tx: Scope) -> LedgerEntry:
        known = await ledger.posted(tx, key)
        entry = await ledger.post(
            tx, "payment", form.amount, key=key, member_id=member_id, method=form.method, note=form.note
        )
        if known is None:
            told = {"before": {"balance": entry["before"]}, "after": {"balance": entry["after"]}}
            member = await tx.db.members.get(member_id)
            await audit.record(tx, "member.top_up", member_id, name=member["login"], **told)
        return entry

    try:
        return await scope.transaction(write)
    except Taken:  # the same key was used while we looked: now it is there
        return await scope.transaction(write)
