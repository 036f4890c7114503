"""Files of accounts as people upload them, and imports as the jobs work them off, for the tests."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from openpyxl import Workbook

from saas.tenants import accounts, import_reading, import_work, imports, members, turns
from saas.tenants.imports import FileForm, Import, ImportRow
from saas.tenants.paging import ListQuery
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id

TITLES = (
    "会员名",
    "姓名",
    "手机",
    "上网账号",
    "密码",
    "套餐名",
    "到期时间",
    "余额",
    "状态",
    "MAC",
    "固定IP",
    "代理商",
    "备注",
)
NAMES = ("login", "name", "mobile", "username", "password", "plan", "expires", "balance", "status", "mac", "static_ip")
SOME: Mapping[str, str] = {"plan": "Monthly", "expires": "2031-05-31"}


def line(username: str, **cells: str) -> list[str]:
    """A row of our template."""
    given = {**SOME, "username": username, **cells}
    return [given.get(name, "") for name in (*NAMES, "agent", "note")]


def as_csv(rows: Sequence[Sequence[str]], titles: Sequence[str] = TITLES, encoding: str = "utf-8-sig") -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([titles, *rows])
    return out.getvalue().encode(encoding)


def as_xlsx(rows: Sequence[Sequence[Any]], titles: Sequence[str] = TITLES) -> bytes:
    book = Workbook()
    for row in [titles, *rows]:
        book.active.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


async def uploaded(scope: Scope, octets: bytes, key: str = "", name: str = "users.csv") -> Import:
    form = FileForm(file=base64.b64encode(octets))
    return await imports.upload(scope, form, name, key or new_id("key"))


async def worked_off(ps: PlatformScope, scope: Scope, run: Import) -> Import:
    """The import when the jobs have no more work with it."""
    while (await imports.get(scope, run["_id"]))["open"]:
        await turn(ps)
    return await imports.get(scope, run["_id"])


async def turn(ps: PlatformScope) -> int:
    """What the jobs do next for every import; how much that was."""
    return await turns.turn(ps, import_reading.WORK) + await turns.turn(ps, import_work.WORK)


async def checked(ps: PlatformScope, scope: Scope, *rows: Sequence[str]) -> Import:
    """An import of these rows that was looked at."""
    return await worked_off(ps, scope, await uploaded(scope, as_csv(rows)))


async def taken_over(ps: PlatformScope, scope: Scope, *rows: Sequence[str]) -> Import:
    """An import of these rows that is done."""
    run = await checked(ps, scope, *rows)
    return await worked_off(ps, scope, await imports.begin(scope, run["_id"]))


async def rows_of(scope: Scope, run: Import, state: str = "") -> list[ImportRow]:
    query = ListQuery(filters={"state": state} if state else {}, sort="_id", limit=10_000)
    return (await imports.results(scope, run["_id"], query)).rows


async def problems(scope: Scope, run: Import) -> list[tuple[int, str, str]]:
    """Line, column and code of everything that is wrong."""
    rows = await rows_of(scope, run)
    return [(row["line"], wrong["column"], wrong["code"]) for row in rows for wrong in row["problems"]]


def counts(run: Import) -> tuple[str, int, int, int, int]:
    """State, good, bad, done, refused."""
    return run["state"], run["good"], run["bad"], run["done"], run["refused"]


async def everything(scope: Scope) -> dict[str, list[Any]]:
    tables = ("members", "accounts", "quotas", "ledger", "deeds", "notices")
    return {name: await getattr(scope.db, name).find({}, limit=10_000) for name in tables}


async def account(scope: Scope, username: str) -> accounts.Account:
    row = await scope.db.accounts.one({"username": username})
    return await accounts.get(scope, row["_id"])


async def member(scope: Scope, login: str) -> members.Member:
    found: members.Member = await scope.db.members.one({"login": login})
    return found
