"""What can be done to many accounts at once: to each of them, what is done to one on its own page.

Each is done once for its key, however often it is begun: acts by their deed (saas.tenants.life), messages by the key of
their notice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from saas.errors import Conflict
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import disconnects, life, notices, plans
from saas.tenants.forms import Form, Line, Prose
from saas.tenants.life import Act
from saas.tenants.notices import News
from saas.tenants.plans import Plan
from saas.tenants.purchases import CHANGE_PLAN, RENEW, ChangePlanForm, NewPlanForm, RenewForm, UnitsForm
from saas.tenants.scope import Scope
from saas.tenants.standing import RESUME, SUSPEND, NoteForm


class MessageForm(Form):
    """What is told. Greeting and signature come from the text of the notice."""

    subject: Annotated[Line, StringConstraints(min_length=1)] = Field(title=N_("Subject"))
    text: Annotated[Prose, Field(min_length=1, max_length=2000)] = Field(
        title=N_("Text"),
        description=N_("Each member is told once. Greeting and signature come from the text of the notice."),
        json_schema_extra={"widget": "textarea", "rows": 6},
    )


@dataclass(frozen=True, slots=True)
class Task:
    """`do` does it to one account: (scope, account's id, form, key), and answers what there is to say about that. An
    AppError is the refusal of that account. Where it is done `of` open sessions, these are meant instead of accounts.

    `form` is what is asked for all of them, `permission` what it takes. `preview` shows it of one account, as
    life.preview does. `refuses`: whether accounts on this plan, in this status, are refused for certain. `buys`: which
    plan (an id) is paid for, and how many units of it, by accounts on a plan. `together`: a portion is done at
    once, where it takes long because others are waited for.
    """

    form: type[Form]
    permission: Permission
    do: Callable[[Scope, str, Any, str], Awaitable[Any]]
    preview: Callable[[Scope, str, Any], Awaitable[life.Preview]] | None = None
    refuses: Callable[[Any, Plan, str], bool] = lambda form, plan, status: False
    buys: Callable[[Any, str], tuple[str, int]] = lambda form, plan_id: (plan_id, 0)
    of: Literal["accounts", "sessions"] = "accounts"
    together: bool = False


def _act(act: Act, asked: type[Form], whole: type[Form] | None = None, **more: Any) -> Task:
    """An act as a task; `whole` is its own form where `asked` leaves something out."""

    def filled(form: Form) -> Form:
        return whole.model_validate(form.model_dump()) if whole else form

    async def do(scope: Scope, account_id: str, form: Form, key: str) -> None:
        await life.perform(scope, act, account_id, filled(form), key)

    async def preview(scope: Scope, account_id: str, form: Form) -> life.Preview:
        return await life.preview(scope, act, account_id, filled(form))

    return Task(asked, Permission.ACCOUNTS_WRITE, do, preview, **more)


async def _message(scope: Scope, account_id: str, form: MessageForm, key: str) -> None:
    """Tell the account's member, once however many accounts it has. Conflict("no_way_to_tell")."""
    account = await scope.db.accounts.get(account_id)
    member = await scope.db.members.get(account["member_id"])
    occasion = key.partition(":")[0]  # the run, without the account
    news = News(member["_id"], member["_id"], member["login"], occasion, form.model_dump())
    if not await notices.tell(scope, "message", [news]):
        raise Conflict("no_way_to_tell", name=member["login"])


async def _kick(scope: Scope, session_id: str, form: Form, key: str) -> Mapping[str, Any]:
    """Have its device end a session: the answer, nothing when it has ended by itself.

    Conflict("not_forced_off") with the answer where it goes on.
    """
    try:
        attempt = await disconnects.request(scope, session_id, key)
    except Conflict as error:
        if error.code == "not_online":
            return {}
        raise
    answer = {name: attempt[name] for name in ("result", "attempts", "error_cause")}
    if attempt["result"] != "ack" and not disconnects.is_gone(attempt):
        raise Conflict("not_forced_off", **answer)
    return answer


def _in_status(*statuses: str) -> Callable[[Any, Plan, str], bool]:
    return lambda form, plan, status: status in statuses


def _not_sold(form: UnitsForm, plan: Plan, status: str) -> bool:
    return status == "closed" or not plans.runs_out(plan)


TASKS: Final[Mapping[str, Task]] = {
    "renew": _act(RENEW, UnitsForm, RenewForm, refuses=_not_sold, buys=lambda form, plan_id: (plan_id, form.units)),
    "suspend": _act(SUSPEND, NoteForm, refuses=_in_status("pending", "suspended", "closed")),
    "resume": _act(RESUME, Form, refuses=_in_status("pending", "normal", "closed")),
    "change_plan": _act(
        CHANGE_PLAN,
        NewPlanForm,
        ChangePlanForm,
        refuses=_in_status("pending", "closed"),
        buys=lambda form, plan_id: (form.plan_id, form.units if form.when == "now" else 0),
    ),
    "message": Task(MessageForm, Permission.MEMBERS_WRITE, _message),
    "kick": Task(Form, Permission.SESSIONS_DISCONNECT, _kick, of="sessions", together=True),
}
