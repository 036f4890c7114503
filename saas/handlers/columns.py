"""Columns of lists: described once, printed for people and for spreadsheets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from saas.i18n import Reader
from saas.values import money_text

Row = Mapping[str, Any]
_FORMULA = ("=", "+", "-", "@", "\t")  # a cell that begins so would be run by a spreadsheet
_FORMATS = ("moment", "minute", "day", "money", "octets", "duration", "rate", "number")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    `value` is a field's name ("usage.input" reaches in) or a function of the row. `show` says how it is printed: text,
    code, badge, status, moment, minute, day, money, octets, duration, rate, number. `sort` is the field to sort by.
    `link` is a path of this console with {names} of the row's fields. `role`: "title" heads the card on a phone,
    "minor" is left out on narrow screens, "extra" unless it is chosen, "export" stands in the export alone. `words`
    maps values to message ids.
    """

    title: str
    value: str | Callable[[Row], Any]
    show: str = "text"
    sort: str = ""
    link: str = ""
    role: str = ""
    words: Mapping[str, str] = field(default_factory=dict)

    def of(self, row: Row) -> Any:
        """The raw value in a row."""
        if not isinstance(self.value, str):
            return self.value(row)
        found: Any = row
        for name in self.value.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    @property
    def tight(self) -> bool:
        """Whether it stays on one line."""
        return bool(self.words) or self.show in (*_FORMATS, "code")

    @property
    def numeric(self) -> bool:
        """Whether it stands on the right."""
        return self.show in ("money", "octets", "duration", "rate", "number")


def printed(reader: Reader, column: Column, value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return ""
    if column.words:
        return reader(column.words.get(str(value), str(value)))
    if column.show in _FORMATS:
        return str(getattr(reader, column.show)(value))
    return str(value)


def plain(reader: Reader, column: Column, row: Row) -> str:
    """A value as CSV has it: numbers bare, times in the reader's zone, nothing that runs."""
    value = typed(reader, column, row)
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return str(value)


def typed(reader: Reader, column: Column, row: Row) -> str | int | Decimal | datetime | date | None:
    """A value as a workbook has it: sums exact, moments on the reader's clock without a zone, the rest in words."""
    value = column.of(row)
    if column.show == "money" and isinstance(value, int):
        return Decimal(money_text(value))
    if isinstance(value, int) and column.numeric:
        return int(value)
    if isinstance(value, datetime):
        return reader.local(value).replace(tzinfo=None, microsecond=0)
    if isinstance(value, date) or value is None:
        return value
    return printed(reader, column, value)
