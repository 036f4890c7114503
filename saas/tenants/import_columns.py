"""The columns of a file of accounts: what they are called here and elsewhere, and which is which in a given file. Pure.

A file may come from another system: what that calls its columns is known of those that people move from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import Field, create_model

from saas.i18n import N_
from saas.sheets import COLUMNS, normal
from saas.tenants.forms import Form, Line, OptionalDate

# Our own template, in its order: field -> title.
TITLES: Final[Mapping[str, str]] = {
    "login": N_("Member name"),
    "name": N_("Real name"),
    "mobile": N_("Mobile phone"),
    "username": N_("Account"),
    "password": N_("Password"),
    "plan": N_("Name of plan"),
    "expires": N_("Expires"),
    "balance": N_("Balance"),
    "status": N_("Status"),
    "mac": N_("MAC"),
    "static_ip": N_("Fixed IP"),
    "agent": N_("Agent"),
    "note": N_("Note"),
}
NEEDED: Final = ("username", "plan")  # without these there is nothing to be looked at
# What each is called in files of people and of other systems, in lower case and without spaces, hyphens or underlines.
_SPELLINGS: Final[Mapping[str, str]] = {
    "login": "会员名 会员 会员账号 会员名称 客户名 membername member customerlogin portallogin portalid",
    "name": "姓名 真实姓名 用户姓名 客户姓名 realname fullname name customername",
    "mobile": "手机 手机号 手机号码 电话 联系电话 mobile mobilephone phone phonenumber",
    "username": "上网账号 上网帐号 账号 帐号 用户名 宽带账号 account accountname accountnumber username login "
    "servicelogin",
    "password": "密码 上网密码 账号密码 password cleartextpassword servicepassword",
    "plan": "套餐名 套餐名称 套餐 资费套餐 资费 产品 产品名称 plan planname nameofplan tariff tariffplan "
    "internetplan namebp profile profilename groupname product productname service",
    "expires": "到期时间 到期日期 过期时间 过期日期 有效期 到期 expires expiry expirydate expiredate "
    "expiretime expiration expirationdate enddate",
    "balance": "余额 账户余额 余额(元) balance accountbalance",
    "status": "状态 账号状态 status state",
    "mac": "mac mac地址 绑定mac macaddr macaddress mac(s) macs callingstationid",
    "static_ip": "固定ip 静态ip ip地址 ip fixedip staticip ipaddr ipaddress ipv4 framedipaddress",
    "agent": "代理商 代理 agent reseller partner",
    "note": "备注 说明 note notes remark remarks comment comments description",
}
KNOWN: Final[Mapping[str, str]] = {word: field for field, words in _SPELLINGS.items() for word in words.split()}
# Whose export a file is: what only that calls so, all of it.
_MARKS: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "phpnuxbill": (frozenset({"username", "fullname", "phonenumber"}), frozenset({"username", "namebp"})),
    "toughradius": (
        frozenset({"username", "realname", "expiretime"}),
        frozenset({"accountnumber", "expiredate"}),
        frozenset({"用户姓名", "上网账号"}),
    ),
    "splynx": (frozenset({"portallogin"}), frozenset({"login", "ipv4"}), frozenset({"login", "tariffplan"})),
    "daloradius": (
        frozenset({"username", "groupname"}),
        frozenset({"username", "planname", "firstname"}),
        frozenset({"username", "value", "attribute"}),
    ),
}
SOURCES: Final[Mapping[str, str]] = {
    "toughradius": "ToughRADIUS",
    "splynx": "Splynx",
    "phpnuxbill": "PHPNuxBill",
    "daloradius": "daloRADIUS",
}
# Where the same word means something else, or a word is common with others but not meant so.
_PECULIAR: Final[Mapping[str, Mapping[str, str]]] = {
    "daloradius": {"value": "password", "firstname": "name"},
    "splynx": {"id": "", "partner": ""},
    "phpnuxbill": {"servicetype": ""},
}


def source_of(titles: Sequence[str]) -> str:
    """Whose export this is, by its titles: one of SOURCES, or ""."""
    spelt = {_spelt(title) for title in titles}
    return next((name for name, marks in _MARKS.items() if any(mark <= spelt for mark in marks)), "")


def guess(titles: Sequence[str]) -> dict[str, int]:
    """Field -> the place of its column, for those that are told by their titles. The first of two counts."""
    words = {**KNOWN, **_PECULIAR.get(source_of(titles), {})}
    found: dict[str, int] = {}
    for at, title in enumerate(titles):
        if field := words.get(_spelt(title), ""):
            found.setdefault(field, at)
    return found


def complete(columns: Mapping[str, int]) -> bool:
    """Whether there is enough to look at rows."""
    return all(field in columns for field in NEEDED)


def _spelt(title: str) -> str:
    return re.sub(r"[\s_\-*:.]", "", normal(title)).lower()


def _choice(field: str) -> Any:
    hints: Any = {"widget": "select"}
    return int | None, Field(default=None, ge=0, lt=COLUMNS, title=TITLES[field], json_schema_extra=hints)


ColumnsForm: type[Form] = create_model(
    "ColumnsForm",
    __base__=Form,
    __doc__="""Which column of the file is which, by its place from 0; None: there is none. And what rows have whose own
    cell is empty: the name of a plan, a last day.
    """,
    **{field: _choice(field) for field in TITLES},
    default_plan=(
        Line,
        Field(
            default="",
            title=N_("Plan of rows without one"),
            description=N_("For files that do not say it."),
            json_schema_extra={"widget": "select"},
        ),
    ),
    default_expires=(
        OptionalDate,
        Field(
            default=None,
            title=N_("Expiry of rows without one"),
            description=N_("To the end of this day. Accounts that are not active yet have none."),
        ),
    ),
)
