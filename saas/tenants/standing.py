"""An account's standing: suspended, resumed, handed to another member, closed, deleted."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from saas.errors import Conflict, Invalid
from saas.i18n import N_
from saas.tenants import billing, ledger, notices
from saas.tenants.forms import Form, Login, Money, Note
from saas.tenants.ledger import Posting
from saas.tenants.life import Act, Case, Effect, refuse
from saas.tenants.members import found_by
from saas.tenants.purchases import METHODS, Method
from saas.tenants.scope import Scope

_NOTE = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea"})


class NoteForm(Form):
    """Why, for those who read it later."""

    note: Note = _NOTE


class TransferForm(Form):
    """To whom, and why."""

    login: Login = Field(title=N_("To the member"), description=N_("The member's name, as it stands on its page."))
    note: Note = _NOTE


class CloseForm(Form):
    """How much is given back, how, and why."""

    refund: Money | None = Field(
        default=None,
        title=N_("Refund"),
        description=N_("At most what was paid for the term. Empty: what the rest is worth."),
    )
    method: Method = Field(default="balance", title=N_("Paid out by"), json_schema_extra={"labels": METHODS})
    note: Note = _NOTE


async def _suspend(scope: Scope, case: Case, form: NoteForm) -> Effect:
    refuse(case, "pending", "suspended", "closed")
    changes = {"status": "suspended", "suspended_at": case.at, "closing_told_at": None}
    return Effect(changes, note=form.note, tell=notices.suspended)


async def _resume(scope: Scope, case: Case, form: Form) -> Effect:
    if case.account["status"] != "suspended":
        raise Conflict("not_suspended", name=case.account["username"])
    holding = billing.resumed(case.account, case.at - case.now)
    return Effect({**holding, "status": "normal", "suspended_at": None})


async def _transfer(scope: Scope, case: Case, form: TransferForm) -> Effect:
    refuse(case, "closed")
    member = await scope.db.members.one({"login": form.login.lower()})
    if member is None:
        raise Invalid({"login": "unknown"})
    if member["_id"] == case.account["member_id"]:
        raise Conflict("same_member", field="login")
    changes = {"member_id": member["_id"], "member_name": member["name"], "agent_id": member["agent_id"]}
    changes["search"] = found_by(case.account["username"], member["name"], member["mobile"])
    return Effect(changes, note=form.note)


async def _close(scope: Scope, case: Case, form: CloseForm) -> Effect:
    refuse(case, "closed")
    paid = case.account["term"]["paid"]
    back = billing.unused(case.account, case.now) if form.refund is None else form.refund
    if back > paid:
        raise Invalid({"refund": "above_paid"})
    postings: tuple[Posting, ...] = ()
    if back:
        plan = case.plan
        facts: dict[str, Any] = {"list_price": paid, "tax_rate": plan["tax_rate"], "plan_id": plan["_id"]}
        postings = (Posting("charge", back, plan["name"], **facts),)
        if form.method != ledger.BALANCE:
            postings += (Posting("refund", -back, case.plan["name"], form.method),)
    changes = {"status": "closed", "suspended_at": None, "next_plan_id": "", "renews": False, "activates_at": None}
    return Effect(
        {**changes, "term": case.account["term"] | {"paid": paid - back, "waits": False}}, postings, form.note
    )


async def _delete(scope: Scope, case: Case, form: Form) -> Effect:
    if case.account["status"] != "closed":
        raise Conflict("not_closed", name=case.account["username"])
    return Effect({}, removes=True)


SUSPEND = Act("suspend", _suspend)
RESUME = Act("resume", _resume)
TRANSFER = Act("transfer", _transfer)
CLOSE = Act("close", _close)
DELETE = Act("delete", _delete)
