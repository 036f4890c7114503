"""From the cells of a file to the values of an account: what each may say, and what is wrong with it. Pure.

Cells come as text (saas.sheets). Nobody retypes a thousand of them, so they are read kindly: any usual spelling of a
date, a sum, a hardware address. What cannot be told for certain is an error and never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from saas.sheets import normal
from saas.tenants.import_columns import TITLES
from saas.values import normal_address, normal_mac, normal_username, parse_money

_LOGIN = re.compile(r"[A-Za-z0-9._@+\-]{2,64}")
_MOBILE = re.compile(r"[0-9+\- ]{1,20}")
_SCIENTIFIC = re.compile(r"[+-]?\d(\.\d+)?E\+?\d+", re.IGNORECASE)
_EXCEL_ERROR = re.compile(r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)|#{3,}")
_MOST = 10**12  # minor units
_SHOWN = 40  # signs of a wrong cell that are repeated to the reader
_MOST_PASSWORD, _MOST_NAME, _MOST_NOTE = 128, 64, 500  # signs
_FOREVER: Final = frozenset({"长期有效", "长期", "永久", "永不过期", "无限期", "never", "unlimited", "forever", "none"})
_NO_DATE = frozenset({"0000-00-00", "0000-00-00 00:00:00"})
_LATEST = 2200  # a year; what lies behind it is how other systems say "never"
_SERIAL_FROM, _SERIAL_UNTIL = 20_000, 110_000  # days since 1899-12-30 that can be an expiry: 1954 to 2201
_SERIAL_ZERO = date(1899, 12, 30)
_YMD = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_TWO_WAYS = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?Z?")
_MONTHS = ("%d %b %Y", "%b %d %Y", "%d %B %Y", "%B %d %Y", "%d-%b-%Y")
# How people and other systems call what an account is.
_STATUSES: Final[Mapping[str, str]] = {
    word: status
    for status, words in {
        "normal": "正常 启用 开通 在用 到期 已到期 过期 已过期 normal active enabled enable on expired",
        "suspended": "停机 暂停 停用 报停 禁用 已停机 suspended paused disabled disable blocked "
        "stopped inactive off banned",
        "pending": "未激活 待激活 预开户 预开 pending new",
        "closed": "销户 已销户 注销 closed cancelled canceled",
    }.items()
    for word in words.split()
}
# ToughRADIUS 1 and 2 say it in figures.
_NUMBERED: Final[Mapping[str, Mapping[str, str]]] = {
    "toughradius": {"0": "pending", "1": "normal", "2": "suspended", "3": "closed", "4": "normal"}
}


class Wrong(Exception):
    """What is wrong with a cell: a code, with data for its message."""

    def __init__(self, code: str, **data: Any) -> None:
        self.code = code
        self.data = data
        super().__init__(code)


@dataclass(slots=True)
class Problem:
    """What is wrong with a cell: its column (of TITLES), a code, its data, and what the cell says, "" if secret."""

    column: str
    code: str
    value: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Values:
    """A row that was read. `plan`: the name as it stands there; `balance` in minor units; `expires`: UTC, None where it
    is not said, with `forever` where it is said that it never ends. `password` "": one is to be made.
    """

    login: str = ""
    name: str = ""
    mobile: str = ""
    username: str = ""
    password: str = ""
    plan: str = ""
    expires: datetime | None = None
    forever: bool = False
    balance: int = 0
    status: str = "normal"
    mac: str = ""
    static_ip: str = ""
    note: str = ""
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read: which column is where, whose export it is, and on whose clock its days end.

    `plan` and `expires`: what rows have whose own cell is empty, as they would write it.
    """

    columns: Mapping[str, int]
    source: str
    zone: str
    plan: str = ""
    expires: str = ""

    def row(self, cells: Sequence[str]) -> Values:
        """The values of a row; what is wrong with it stands in `problems`."""
        values = Values()
        for column in TITLES:
            at = self.columns.get(column)
            cell = cells[at] if at is not None and at < len(cells) else ""
            if column == "plan" and not cell.strip():
                cell = self.plan
            try:
                self._take(values, column, cell)
            except Wrong as wrong:
                shown = "" if column == "password" else normal(cell)[:_SHOWN]
                values.problems.append(Problem(column, wrong.code, shown, wrong.data))
        values.login = values.login or values.username
        said = values.expires or values.forever or any(problem.column == "expires" for problem in values.problems)
        if self.expires and not said and values.status != "pending":
            values.expires, values.forever = moment(self.expires, self.zone)
        return values

    def _take(self, values: Values, column: str, cell: str) -> None:
        text = cell.strip() if column == "password" else _bare(normal(cell))
        if _EXCEL_ERROR.fullmatch(text):
            raise Wrong("excel_error")
        if column == "expires":
            values.expires, values.forever = moment(text, self.zone) if text else (None, False)
        elif column == "status":
            values.status = self._status(text) if text else "normal"
        else:
            reader = _READERS[column]
            if text or column in ("username", "plan"):
                setattr(values, column, reader(text))

    def _status(self, text: str) -> str:
        found = _NUMBERED.get(self.source, {}).get(text) or _STATUSES.get(text.lower())
        if found is None:
            raise Wrong("unknown_status")
        return found


def moment(text: str, zone: str) -> tuple[datetime | None, bool]:
    """When an account ends, and whether it is said that it never does. A day without a time ends with its last second.

    Wrong("bad_date"), Wrong("ambiguous_date") for what can be read in two ways.
    """
    if text.lower() in _FOREVER:
        return None, True
    if text in _NO_DATE:
        return None, False
    day, clock = _split(text)
    if day.year >= _LATEST:
        return None, True
    local = ZoneInfo(zone)
    if clock is None or clock == time():  # tables cannot tell midnight from no time at all
        ends = datetime.combine(day + timedelta(days=1), time(), local).astimezone(UTC) - timedelta(seconds=1)
    else:
        ends = datetime.combine(day, clock, local).astimezone(UTC)
    return ends, False


def _split(text: str) -> tuple[date, time | None]:
    head, _, tail = text.replace("T", " ", 1).rpartition(" ") if ":" in text else (text, "", "")
    clock = None
    if tail:
        if not (found := _CLOCK.fullmatch(tail)):
            raise Wrong("bad_date")
        clock = _made(time, found[1], found[2], found[3] or "0")
    return _day(head.strip()), clock


def _day(text: str) -> date:
    if text.isdigit() and len(text) in (5, 6) and _SERIAL_FROM <= int(text) <= _SERIAL_UNTIL:
        return _SERIAL_ZERO + timedelta(days=int(text))
    if found := _YMD.fullmatch(text) or _COMPACT.fullmatch(text):
        return _made(date, *found.groups())
    if found := _TWO_WAYS.fullmatch(text):
        first, second, year = (int(part) for part in found.groups())
        if first != second and first <= 12 and second <= 12:
            raise Wrong("ambiguous_date")
        return _made(date, year, second, first) if first > 12 else _made(date, year, first, second)
    for pattern in _MONTHS:
        try:
            return datetime.strptime(text.replace(",", ""), pattern).date()
        except ValueError:
            continue
    raise Wrong("bad_date")


def _made(kind: Callable[..., Any], *parts: str | int) -> Any:
    try:
        return kind(*(int(part) for part in parts))
    except ValueError:
        raise Wrong("bad_date") from None


def _bare(text: str) -> str:
    """Without the apostrophe that keeps a spreadsheet from reckoning: our own exports put it there."""
    return text[1:].lstrip() if text.startswith("'") else text


def _login(text: str) -> str:
    if not text:
        raise Wrong("missing")
    _no_science(text)
    if not _LOGIN.fullmatch(text):
        raise Wrong("too_long", max_length=64) if len(text) > 64 else Wrong("bad_name")
    return text.lower()


def _username(text: str) -> str:
    return _login(normal_username(text))


def _mobile(text: str) -> str:
    _no_science(text)
    if not _MOBILE.fullmatch(text):
        raise Wrong("bad_mobile")
    return text


def _no_science(text: str) -> None:
    if _SCIENTIFIC.fullmatch(text):
        raise Wrong("scientific")


def _line(most: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > most:
            raise Wrong("too_long", max_length=most)
        if "<" in text or ">" in text:
            raise Wrong("markup")
        if most == _MOST_NAME and any(ord(char) < 32 for char in text):
            raise Wrong("control_characters")
        return text

    return read


def _password(text: str) -> str:
    _no_science(text)
    if len(text) > _MOST_PASSWORD:
        raise Wrong("too_long", max_length=_MOST_PASSWORD)
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise Wrong("control_characters")
    return text


def _plan(text: str) -> str:
    if not text:
        raise Wrong("missing")
    return _line(_MOST_NAME)(text)


def _balance(text: str) -> int:
    _no_science(text)
    try:
        amount = parse_money(text.lstrip("¥$€￥ "))
    except ValueError as error:
        raise Wrong(str(error)) from None
    if abs(amount) > _MOST:
        raise Wrong("too_large", maximum="10,000,000,000")
    return amount


def _mac(text: str) -> str:
    found = normal_mac(text)
    if not found:
        raise Wrong("bad_mac")
    return found


def _address(text: str) -> str:
    if text in ("0.0.0.0", "255.255.255.254", "255.255.255.255"):  # how RADIUS says "from the pool"
        return ""
    try:
        found = normal_address(text)
    except ValueError:
        raise Wrong("bad_address") from None
    if ":" in found:
        raise Wrong("bad_address")
    return found


def _agent(text: str) -> str:
    raise Wrong("no_agents")


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "login": _login,
    "name": _line(_MOST_NAME),
    "mobile": _mobile,
    "username": _username,
    "password": _password,
    "plan": _plan,
    "balance": _balance,
    "mac": _mac,
    "static_ip": _address,
    "agent": _agent,
    "note": _line(_MOST_NOTE),
}
