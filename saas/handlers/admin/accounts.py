"""Accounts: who may dial in, and whether they can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saas.errors import Denied
from saas.handlers import tariffs
from saas.handlers.base import Handler
from saas.handlers.columns import Column, Row
from saas.handlers.disconnects import Outcome, outcome
from saas.handlers.forms import Choices, ConfirmPage, FormPage
from saas.handlers.lists import Filter, ListPage
from saas.handlers.messages import STATES
from saas.handlers.remedies import failed, hindrance, remedies
from saas.handlers.routes import Menu, Route
from saas.handlers.slips import slip
from saas.handlers.timelines import line
from saas.handlers.verdicts import headline, rule_lines
from saas.handlers.words import account_state, expiry
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import (
    accounts,
    closings,
    disconnects,
    lines,
    members,
    nas,
    plans,
    renewals,
    sessions,
    share,
    verdict,
)
from saas.tenants.billing import METERED
from saas.tenants.paging import ListQuery, Page
from saas.values import utcnow

_STATUS = ("pending", "normal", "suspended", "closed")
RENEWAL = (("yes", N_("Automatic renewal on")), ("no", N_("Automatic renewal off")))
_PLAN = Column(N_("Plan"), "plan_name")
_STATE = Column(N_("Status"), "state", "status")
_EXPIRES = Column(N_("Expires"), "expires", sort="expires_at")
_ONLINE = Column(N_("Online"), "online", "status")
_ACCOUNT = Column(N_("Account"), "username", link="/accounts/{_id}", role="title")
BRIEF_COLUMNS = (_ACCOUNT, _PLAN, _STATE, _EXPIRES, _ONLINE)


class Accounts(ListPage):
    """Every account of the tenant."""

    title = N_("Accounts")
    template = "admin/accounts/list.html"
    search = N_("Account, real name or mobile")
    orders = {"expires": "expires_at"}
    export = "accounts"
    columns = (
        _ACCOUNT,
        Column(N_("Real name"), "member_name", link="/members/{member_id}"),
        _PLAN,
        _STATE,
        _EXPIRES,
        _ONLINE,
        Column(N_("Balance"), "balance", "money"),
        Column(N_("Opened"), "created_at", "day", role="minor"),
    )
    tabs = (
        (N_("End within 7 days"), {"status": "normal", "expires": "week", "sort": "expires_at"}),
        (N_("Expired"), {"status": "normal", "expires": "past", "sort": "-expires_at"}),
        (N_("Suspended"), {"status": "suspended"}),
    )
    elsewhere = (
        (N_("In arrears"), "/members", {"owes": "yes", "sort": "balance"}),
        (N_("Online"), "/online", {}),
    )
    filters = (
        Filter("status", N_("Status"), (*((name, STATES[name][0]) for name in _STATUS), ("open", N_("Not closed")))),
        Filter("plan_id", N_("Plan")),
        Filter("expires", N_("Expires"), tuple(accounts.ENDS.items())),
        Filter("renews", N_("Automatic renewal"), RENEWAL),
        Filter("since", N_("Opened from"), widget="date"),
    )
    empty = N_("No accounts yet.")
    create = ("/accounts/open", N_("Quick open"))

    async def choices(self) -> Mapping[str, Choices]:
        """The plans."""
        return {"plan_id": list((await plans.names(self.scope)).items())}

    async def rows(self, query: ListQuery) -> Page:
        """See accounts.listing."""
        found = await accounts.listing(self.scope, query)
        return Page(await shown(self, found.rows), found.next)


async def shown(page: Handler, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Accounts with what their columns show: plan, state, expiry, online, balance."""
    names = await plans.names(page.scope)
    online = await sessions.online_among(page.scope, [row["_id"] for row in rows])
    balances = await members.balances(page.scope, {row["member_id"] for row in rows})
    return [
        {
            **row,
            "plan_name": names.get(row["plan_id"], ""),
            "state": account_state(row),
            "expires": expiry(page.reader, row),
            "online": "online" if row["_id"] in online else "",
            "balance": balances.get(row["member_id"], 0),
        }
        for row in rows
    ]


class Account(Handler):
    """One account. Its first line says whether it can get online, and what to do if not."""

    async def get(self, id: str) -> None:
        """The page."""
        found = await verdict.accounts_verdict(self.scope, id)
        account, plan = found.account, found.plan
        names = await nas.names(self.scope)
        member = await members.get(self.scope, account["member_id"])
        self.page(
            "admin/accounts/detail.html",
            account["username"],
            account=account,
            plan=plan,
            member=member,
            account_state=account_state(account),
            expires=expiry(self.reader, account),
            costs=tariffs.price(self.reader, plan),
            headline=headline(self.reader, found, names),
            rules=rule_lines(self.reader, found, names),
            fixes={reason: remedies(self, found, reason) for reason in failed(found)},
            hindrance=hindrance(found),
            verdict=found,
            devices=names,
            slip=await slip(self, account, plan),
            line=await line(self, account),
            next_plan_name=await self._plan_name(account["next_plan_id"]),
            closes=self._closes(account),
            renewal=await self._renewal(account, plan, member),
            may_show=self.may_show,
            by_use=plan["kind"] in METERED,
            answers=await self._answers(found.open),
        )

    async def _answers(self, online: Sequence[sessions.Session]) -> dict[str, Outcome]:
        """What devices said last of sessions that they were asked to end or to change, where that was no."""
        asked = await disconnects.last_of(self.scope, [session["_id"] for session in online])
        said = {id: outcome(self.reader, disconnects.to_dict(attempt)) for id, attempt in asked.items()}
        return {id: answer for id, answer in said.items() if answer.tone in ("orange", "red")}

    async def _plan_name(self, plan_id: str) -> str:
        """The plan that is to come, "" where none is; it may have been removed meanwhile."""
        return (await plans.names(self.scope)).get(plan_id, "") if plan_id else ""

    async def _renewal(self, account: accounts.Account, plan: plans.Plan, member: members.Member) -> str:
        """What stands in the way of an automatic renewal, "" when nothing does, or it is off."""
        if not account["renews"]:
            return ""
        price = await renewals.price(self.scope, account, plan, utcnow())
        if price is None:
            return self.reader(N_("the plan is not on sale any more"))
        missing = self.reader.money(max(0, price - member["balance"]))
        return self.reader(N_("{amount} missing"), amount=missing) if price > member["balance"] else ""

    def _closes(self, account: accounts.Account) -> str:
        """The day on which it is closed if it stays suspended, "" when that does not threaten."""
        if account["status"] != "suspended" or not self.scope.tenant["parameters"]["suspend_days"]:
            return ""
        return closings.closing_day(self.scope, account, utcnow()).isoformat()

    @property
    def may_show(self) -> bool:
        """Whether the reader may see the password."""
        return self.can("/accounts/{id}/secret") and bool(self.scope.tenant["parameters"]["show_password"])


class ChangePassword(FormPage):
    """A new password for dialling in."""

    form = accounts.AccountPasswordForm
    title = N_("Change the account's password")
    template = "admin/accounts/password.html"
    back = "/accounts/{id}"
    saved = N_("The new password is good from the next log-in on.")

    async def extra(self) -> Mapping[str, Any]:
        """Whose password it is."""
        return {"account": await accounts.get(self.scope, self.part("id"))}

    async def save(self, form: accounts.AccountPasswordForm) -> str:
        """See accounts.change_password; the share card shows it once."""
        account = await accounts.change_password(self.scope, self.part("id"), form)
        await share.offer(self.scope, account["_id"])
        return self.url("/accounts/{id}", id=account["_id"])


class Line(FormPage):
    """The account's line: bindings and fixed addresses."""

    form = lines.LineForm
    title = N_("Line of the account")
    template = "admin/accounts/line.html"
    back = "/accounts/{id}"
    saved = N_("The line is saved. It holds from the next log-in on.")

    async def initial(self) -> Mapping[str, Any]:
        """The account as it is."""
        return await accounts.get(self.scope, self.part("id"))

    async def extra(self) -> Mapping[str, Any]:
        """Whose line it is, and whether its plan binds to it."""
        account = await accounts.get(self.scope, self.part("id"))
        return {"account": account, "plan": await plans.get(self.scope, account["plan_id"])}

    async def save(self, form: lines.LineForm) -> str:
        """See lines.update."""
        await lines.update(self.scope, self.part("id"), form, self.version)
        return self.url("/accounts/{id}", id=self.part("id"))


class Release(ConfirmPage):
    """Release an account from the line it is bound to."""

    title = N_("Release the binding?")
    text = N_(
        "MAC address and VLAN are forgotten. If the plan lets them be learnt, the account is bound to the line of its "
        "next log-in."
    )
    submit = N_("Release the binding")
    saved = N_("The binding is released.")
    back = "/accounts/{id}"

    async def subject(self) -> str:
        """The account's name."""
        return (await accounts.get(self.scope, self.part("id")))["username"]

    async def act(self) -> str:
        """See lines.release."""
        await lines.release(self.scope, self.part("id"))
        return self.url("/accounts/{id}", id=self.part("id"))


class ShowPassword(Handler):
    """The present password, where the tenant allows it: asked first, because each look is logged."""

    async def get(self, id: str) -> None:
        """The question."""
        account = await accounts.get(self.scope, id)
        if not self.scope.tenant["parameters"]["show_password"]:
            raise Denied("passwords_hidden")
        self._draw(account, "")

    async def post(self, id: str) -> None:
        """The password. See accounts.reveal_password."""
        account = await accounts.get(self.scope, id)
        self._draw(account, await accounts.reveal_password(self.scope, id))

    def _draw(self, account: accounts.Account, password: str) -> None:
        self.page("admin/accounts/secret.html", N_("Show the password"), account=account, password=password)


class CardAgain(Handler):
    """The share card once more, with the password as it is; the look is logged."""

    async def post(self, id: str) -> None:
        """Show it on the account's page. See accounts.reveal_password."""
        await accounts.reveal_password(self.scope, id)
        await share.offer(self.scope, id)
        self.go(self.url("/accounts/{id}", id=id))


_READ, _WRITE, _SECRET = Permission.ACCOUNTS_READ, Permission.ACCOUNTS_WRITE, Permission.ACCOUNTS_SECRET
ROUTES = [
    Route("/accounts", Accounts, {"GET": _READ}, Menu("Subscribers", N_("Accounts"), "id", 20)),
    Route("/accounts/{id}", Account, {"GET": _READ}),
    Route("/accounts/{id}/line", Line, {"GET": _WRITE, "POST": _WRITE}),
    Route("/accounts/{id}/release", Release, {"GET": _WRITE, "POST": _WRITE}),
    Route("/accounts/{id}/password", ChangePassword, {"GET": _WRITE, "POST": _WRITE}),
    Route("/accounts/{id}/card", CardAgain, {"POST": _SECRET}),
    Route("/accounts/{id}/secret", ShowPassword, {"GET": _SECRET, "POST": _SECRET}),
]
