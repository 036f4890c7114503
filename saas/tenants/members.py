"""Members: the people who subscribe. A member has accounts, and a wallet that only the ledger writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from pydantic import Field

from saas import i18n, pinyin
from saas.i18n import N_
from saas.store import Update
from saas.tenants import audit
from saas.tenants.forms import Form, Line, Mobile, Note, OptionalEmail
from saas.tenants.paging import ListQuery, Page, page, search_keys, starts_with
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

_BATCH = 500
LANGUAGES: dict[str, Any] = {"system": N_("Default language"), **i18n.LANGUAGES}


class Member(TypedDict):
    """`login` is unique in the tenant; `balance` in minor units; `agent_id` None: the tenant's own."""

    _id: str
    tenant_id: str
    member_id: str  # the same as _id, so that a member's own scope finds its row
    agent_id: str | None
    login: str
    name: str
    mobile: str
    email: str
    language: Literal["system", "zh", "en"]  # of what is told to it; "system": the tenant's
    note: str
    password_hash: str | None
    balance: int
    search: list[str]
    name_key: str  # the name in lower case
    initials: str  # the letters that stand for it, see pinyin.initials
    version: int
    created_at: datetime
    updated_at: datetime


_OWES = {"balance": {"$gt": -(10**15), "$lt": 0}}  # both bounds: not every server needs only one


class MemberForm(Form):
    """What one may change of a member."""

    name: Line = Field(default="", title=N_("Real name"))
    mobile: Mobile = Field(default="", title=N_("Mobile"))
    email: OptionalEmail = Field(default="", title=N_("E-mail"), description=N_("Notices are sent here."))
    language: Literal["system", "zh", "en"] = Field(
        default="system", title=N_("Language of notices"), json_schema_extra={"labels": LANGUAGES}
    )
    note: Note = Field(default="", title=N_("Note"), json_schema_extra={"widget": "textarea"})


def new_member(
    login: str, *, name: str, mobile: str, note: str, password_hash: str | None, email: str = ""
) -> dict[str, Any]:
    """The row of a new member without balance. `password_hash` None: no log-in to self-service yet."""
    member_id = new_id("mem")
    now = utcnow()
    return {
        "_id": member_id,
        "member_id": member_id,
        "agent_id": None,
        "login": login,
        "name": name,
        "mobile": mobile,
        "email": email,
        "language": "system",
        "note": note,
        "password_hash": password_hash,
        "balance": 0,
        **name_keys(name),
        "search": found_by(login, name, mobile),
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def found_by(login: str, name: str, mobile: str) -> list[str]:
    """The `search` array of a member, and of an account with that name: by what a list finds it."""
    return search_keys(login, name, mobile, pinyin.initials(name))


def name_keys(name: str) -> dict[str, str]:
    """What a name is looked up by, each by an index of its own."""
    return {"name_key": name.lower(), "initials": pinyin.initials(name)}


async def update(scope: Scope, member_id: str, form: MemberForm, version: int | None = None) -> Member:
    """Change a member's particulars; its accounts are found by them too. Conflict("changed"), NotFound."""

    async def write(tx: Scope) -> Member:
        before = await tx.db.members.get(member_id)
        search = found_by(before["login"], form.name, form.mobile)
        values = {**form.model_dump(), **name_keys(form.name), "search": search}
        member: Member = await tx.db.members.update(member_id, {"$set": values}, version=version)
        await _tell_accounts(tx, member_id, form)
        await audit.record(tx, "member.update", member_id, name=member["login"], before=before, after=member)
        return member

    return await scope.transaction(write)


async def _tell_accounts(scope: Scope, member_id: str, form: MemberForm) -> None:
    """Every account carries its member's name, and is found by it; a batch at a time, each in one write."""
    after = ""
    while rows := await scope.db.accounts.find(
        {"member_id": member_id, "_id": {"$gt": after}}, sort=[("_id", 1)], limit=_BATCH, fields=["username"]
    ):
        after = rows[-1]["_id"]
        keys = {row["_id"]: found_by(row["username"], form.name, form.mobile) for row in rows}
        told = {"member_name": form.name, "updated_at": utcnow()}
        await scope.db.accounts.bulk(
            [Update({"_id": row_id}, {"$set": {**told, "search": found}}) for row_id, found in keys.items()]
        )


async def get(scope: Scope, member_id: str) -> Member:
    """One member. NotFound."""
    member: Member = await scope.db.members.get(member_id)
    return member


async def listing(scope: Scope, query: ListQuery) -> Page:
    """Members. `q` is the beginning of a login, name or mobile. Filter: `owes`, any text: those in arrears."""
    filter: dict[str, Any] = starts_with(query.q) if query.q else {}
    return await page(scope.db.members, filter | (_OWES if query.filters.get("owes") else {}), query)


async def arrears(scope: Scope) -> tuple[int, int]:
    """How many members are in arrears, and with how much in all, minor units."""
    total = {"$group": {"_id": None, "count": {"$sum": 1}, "owed": {"$sum": "$balance"}}}
    for row in await scope.db.members.aggregate([{"$match": _OWES}, total]):
        return int(row["count"]), -int(row["owed"])
    return 0, 0


async def balances(scope: Scope, ids: set[str]) -> dict[str, int]:
    """Id -> balance of some members, in one query."""
    found = await scope.db.members.among(ids, ["balance"])
    return {member_id: row["balance"] for member_id, row in found.items()}


async def mobiles(scope: Scope, ids: set[str]) -> dict[str, str]:
    """Id -> mobile of some members, in one query."""
    found = await scope.db.members.among(ids, ["mobile"])
    return {member_id: row["mobile"] for member_id, row in found.items()}


async def logins(scope: Scope, ids: set[str]) -> dict[str, str]:
    """Id -> login of some members, in one query."""
    found = await scope.db.members.among(ids, ["login"])
    return {member_id: row["login"] for member_id, row in found.items()}
