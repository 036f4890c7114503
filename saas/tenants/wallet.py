"""A member's balance: money that is paid in before it is known what for, and what is changed by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from saas.errors import Conflict, Invalid, Taken
from saas.i18n import N_
from saas.tenants import audit, ledger
from saas.tenants.accounts import PAY_METHODS
from saas.tenants.forms import Form, Line, Login, Money, Note
from saas.tenants.ledger import LedgerEntry, Posting
from saas.tenants.scope import Scope

CHANGES: dict[str, Any] = {
    "pay_out": N_("Paid out to the member"),
    "gift": N_("A gift: no money came in"),
    "transfer": N_("Moved to another member"),
    "add": N_("Correction: more"),
    "take": N_("Correction: less"),
}
_PAID_OUT: dict[str, Any] = {"when": ("change", "pay_out")}
_MOVED: dict[str, Any] = {"when": ("change", "transfer")}
_Method = Literal["cash", "wechat", "alipay", "transfer"]


class TopUpForm(Form):
    """How much, and how."""

    amount: Annotated[Money, Field(ge=1)] = Field(title=N_("Amount"))
    method: _Method = Field(default="cash", title=N_("Paid by"), json_schema_extra={"labels": PAY_METHODS})
    note: Line = Field(default="", title=N_("Note"))


class BalanceForm(Form):
    """What becomes of the balance, and why."""

    change: Literal["pay_out", "gift", "transfer", "add", "take"] = Field(
        title=N_("What happens"), json_schema_extra={"labels": CHANGES}
    )
    amount: Annotated[Money, Field(ge=1)] = Field(title=N_("Amount"))
    method: _Method = Field(
        default="cash",
        title=N_("Paid out by"),
        json_schema_extra={"labels": PAY_METHODS, **_PAID_OUT},
    )
    login: Login | Literal[""] = Field(
        default="",
        title=N_("To the member"),
        description=N_("The member's name, as it stands on its page."),
        json_schema_extra=_MOVED,
    )
    note: Annotated[Note, Field(min_length=1)] = Field(title=N_("Why"), json_schema_extra={"widget": "textarea"})


async def top_up(scope: Scope, member_id: str, form: TopUpForm, attempt: str) -> LedgerEntry:
    """Take money onto a member's balance, once for each `attempt` key. NotFound, Conflict("key_reused")."""
    posting = Posting("payment", form.amount, form.note, form.method)
    return await _post(scope, "top_up", member_id, posting, f"top-up:{attempt}:1")


async def change(scope: Scope, member_id: str, form: BalanceForm, attempt: str) -> LedgerEntry:
    """Change a member's balance by hand, once for each `attempt` key; the member's entry.

    NotFound, Conflict("key_reused"), Conflict("balance_short") when more leaves it than there is, Invalid("login"),
    Conflict("same_member").
    """
    key, amount, note = f"balance:{attempt}", form.amount, form.note
    if form.change == "transfer":
        return await _move(scope, member_id, form, key)
    posting = {
        "pay_out": Posting("refund", -amount, note, form.method, covered=True),
        "gift": Posting("gift", amount, note),
        "add": Posting("adjustment", amount, note),
        "take": Posting("adjustment", -amount, note),
    }[form.change]
    return await _post(scope, "balance", member_id, posting, f"{key}:1")


async def _move(scope: Scope, member_id: str, form: BalanceForm, key: str) -> LedgerEntry:
    other = await scope.db.members.one({"login": form.login.lower()}, ["_id"]) if form.login else None
    if other is None:
        raise Invalid({"login": "unknown" if form.login else "missing"})
    if other["_id"] == member_id:
        raise Conflict("same_member", field="login")

    async def write(tx: Scope) -> LedgerEntry:
        out = Posting("transfer", -form.amount, form.note, covered=True)
        entry = await _post(tx, "balance", member_id, out, f"{key}:1")
        await _post(tx, "balance", other["_id"], Posting("transfer", form.amount, form.note), f"{key}:2")
        return entry

    return await scope.transaction(write)


async def _post(scope: Scope, verb: str, member_id: str, posting: Posting, key: str) -> LedgerEntry:
    """Post to a member's balance, and say so in the operation log the first time."""

    async def write(tx: Scope) -> LedgerEntry:
        known = await ledger.posted(tx, key)
        entry = await ledger.post(tx, **posting._asdict(), key=key, member_id=member_id)
        if known is None:
            told: dict[str, Any] = {
                "before": {"balance": entry["before"]},
                "after": {"balance": entry["after"], "note": entry["note"]},
            }
            member = await tx.db.members.get(member_id)
            await audit.record(tx, f"member.{verb}", member_id, name=member["login"], **told)
        return entry

    try:
        return await scope.transaction(write)
    except Taken:  # the same key was used while we looked: now it is there
        return await scope.transaction(write)
    except Conflict as error:
        if error.code == "balance_too_low":  # nothing is sold here
            raise Conflict("balance_short", field="amount", **error.data) from None
        raise
