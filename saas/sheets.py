"""The only door to XLSX, and to CSV as people send it: files become rows of text, and rows become files.

What Excel does to a table on the way is undone here as far as it can be: numbers and dates come as the text that they
stand for. A number that lost digits keeps the shape that says so ("1.38E+16").
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import resource
import signal
import sys
import unicodedata
import zipfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, islice, repeat
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from openpyxl import Workbook, load_workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLUMNS: Final = 100  # that are read
_LINES = 1_048_576  # that a sheet can have
_UNPACKED = 128 * 1024 * 1024  # octets of all parts of an XLSX file
_PARTS = 2000
_EXACT = 10**15  # beyond it a spreadsheet keeps no whole number
_CELL = 32_767  # signs in a cell
_LINE, _TEXT = 16_000, 64 * 1024 * 1024  # signs of a row and of all rows: few octets can stand for very many
_MEMORY, _SECONDS = 2 * 1024**3, 300  # octets and processor time that reading a file may take
_LONGEST = 32 * 1024 * 1024  # octets of a portion of rows as JSON
_ZIP = b"PK\x03\x04"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = ",;\t|"
_BEGINNING = 64 * 1024  # octets in which the separator is looked for
_DATE_FORMATS: Mapping[type, str] = {datetime: "yyyy-mm-dd hh:mm:ss", date: "yyyy-mm-dd"}


class Unreadable(Exception):
    """No table can be read: "not_a_table", "old_spreadsheet", "bad_encoding", "too_many_rows", "unpacks_too_big"."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Line(NamedTuple):
    """A row that is not blank: its number in the file, from 1, and its cells, without blank ones at the end."""

    number: int
    cells: list[str]


def glance(octets: bytes) -> None:
    """Refuse what is seen to be no table without reading its rows. Unreadable. Some milliseconds for megabytes."""
    if octets[:4] == b"\xd0\xcf\x11\xe0":
        raise Unreadable("old_spreadsheet")
    if octets[:4] == _ZIP:
        _check_parts(octets)
    elif octets[:2] not in _UTF_16 and b"\0" in octets:  # a picture, a PDF, a program
        raise Unreadable("not_a_table")


async def read(octets: bytes, most: int, portion: int) -> AsyncGenerator[list[Line], None]:
    """The rows of a file (`rows_of`) as they are found: the first one, the headers, alone, then `portion` at a time.

    It takes seconds for tens of thousands, and memory: hence it is done by a process of its own, which gives way to
    everybody else's. Unreadable; close the iterator.
    """
    command = (sys.executable, "-m", "saas.sheets", str(most), str(portion))
    # in a session of its own: who ends us by Ctrl-C ends a process that has not done its work, not a file
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, limit=_LONGEST, start_new_session=True
    )
    assert process.stdin and process.stdout
    try:
        process.stdin.write(octets)
        process.stdin.write_eof()
        async for text in process.stdout:
            found = json.loads(text)
            if isinstance(found, str):
                if found:
                    raise Unreadable(found)
                return
            yield [Line(*row) for row in found]
        raise Unreadable("unpacks_too_big")  # it died of its limits
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _answer(most: int, portion: int) -> None:
    """What `read` runs: a file on standard input, then JSON, rows in each line and at the end what is wrong, or ""."""
    os.nice(10)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who asked ends us
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    wrong = ""
    try:
        rows = rows_of(sys.stdin.buffer.read(), most)
        for size in chain((1,), repeat(portion)):
            if not (some := list(islice(rows, size))):
                break
            print(json.dumps(some), flush=True)
    except Unreadable as error:
        wrong = error.code
    except MemoryError:
        wrong = "unpacks_too_big"
    print(json.dumps(wrong), flush=True)


def rows_of(octets: bytes, most: int) -> Iterator[Line]:
    """The rows of an XLSX or CSV file (UTF-8, UTF-16, GBK), of its first sheet, the headers among them.

    Unreadable; "too_many_rows" for more than `most` behind the headers. Blocks for long: call it where nobody waits.
    """
    glance(octets)
    found = signs = 0
    for number, cells in _xlsx(octets) if octets[:4] == _ZIP else _csv(octets):
        while cells and not cells[-1].strip():
            cells.pop()
        if not cells:
            continue
        if found > most:
            raise Unreadable("too_many_rows")
        found, length = found + 1, sum(map(len, cells))
        signs += length
        if length > _LINE or signs > _TEXT:
            raise Unreadable("unpacks_too_big")
        yield Line(number, cells)


def _check_parts(octets: bytes) -> None:
    """Refuse a workbook that unpacks to more than anybody's table."""
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as parts:
            sizes = [part.file_size for part in parts.infolist()]  # no part yields more than it says here
    except (OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
        raise Unreadable("not_a_table") from error
    if len(sizes) > _PARTS or sum(sizes) > _UNPACKED:
        raise Unreadable("unpacks_too_big")


def _xlsx(octets: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        book = load_workbook(io.BytesIO(octets), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what a file says of its size need not be true
        rows = sheet.iter_rows(max_row=_LINES, max_col=COLUMNS, values_only=True)
        for number, row in enumerate(rows, 1):
            if row.count(None) < len(row):  # a file of a few octets can have a million blank ones
                yield number, [_text(value) for value in row]
    except (DefusedXmlException, InvalidFileException, OSError, zipfile.BadZipFile, ParseError) as error:
        raise Unreadable("not_a_table") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:  # a damaged workbook
        raise Unreadable("not_a_table") from error


def _text(value: Any) -> str:
    """A cell's value as it would be typed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int):
        return str(value) if abs(value) < _EXACT else f"{Decimal(value):.14E}"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return f"{value:.15g}" if abs(value) < _EXACT else f"{value:.14E}"


def _csv(octets: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(octets)
    if "\0" in text:
        raise Unreadable("not_a_table")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
    number = 1
    try:
        for cells in reader:
            yield number, cells[:COLUMNS]
            number = reader.line_num + 1
    except csv.Error as error:  # such as a quotation mark that is never closed
        raise Unreadable("not_a_table") from error


def _decoded(octets: bytes) -> str:
    for encoding in ("utf-16",) if octets[:2] in _UTF_16 else ("utf-8-sig", "gb18030"):  # GBK is a part of the latter
        try:
            return octets.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unreadable("bad_encoding")


def _separator(text: str) -> str:
    """The one that the first line that is not blank has most often, outside of quotation marks."""
    lines = text[:_BEGINNING].splitlines()
    first = re.sub(r'"[^"]*"', "", next((line for line in lines if line.strip(" ,;|\t")), ""))
    return max(_SEPARATORS, key=first.count)


def normal(text: str) -> str:
    """A cell without what nobody sees: outer and odd white space, full-width letters and digits, byte order marks."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(char for char in plain if unicodedata.category(char) != "Cf").strip()


class Writer:
    """An XLSX file that grows in a temporary file, row by row, however many there are; `close` removes it.

    Texts are texts: digits keep their zeros, and nothing is run that begins like a formula. Moments are without zone,
    as the reader's clock shows them. Every method takes its time: call them off the event loop, some rows at once.
    """

    def __init__(self, titles: Sequence[str], *, typed: bool = False) -> None:
        """`typed`: somebody will type into it. Then its columns are of texts: a spreadsheet leaves digits alone."""
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet()
        self._sheet.freeze_panes = "A2"
        for at in range(len(titles)):
            column = self._sheet.column_dimensions[get_column_letter(at + 1)]
            column.width = 18
            if typed:
                column.number_format = "@"
        self._path: Path | None = None
        self._sheet.append([self._cell(title, bold=True) for title in titles])

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """More rows of texts, whole numbers, Decimals, dates and moments; None is blank."""
        for row in rows:
            self._sheet.append([self._cell(value) for value in row])

    def sheet(self, title: str, rows: Iterable[Sequence[str]]) -> None:
        """A further sheet of texts, for who reads the file."""
        further = self._book.create_sheet(title)
        for at, width in ((1, 18), (2, 90)):
            further.column_dimensions[get_column_letter(at)].width = width
        for row in rows:
            further.append(list(row))

    def save(self) -> Path:
        """End the file: where it is, until `close`."""
        with NamedTemporaryFile(suffix=".xlsx", delete=False) as file:
            self._path = Path(file.name)
            self._book.save(file)
        return self._path

    def close(self) -> None:
        """Remove what lies in temporary files; also in the midst of it."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        elif not self._sheet.closed:
            self._sheet.close()
            self._sheet._writer.cleanup()

    def _cell(self, value: Any, bold: bool = False) -> Any:
        if isinstance(value, str):
            value = ILLEGAL_CHARACTERS_RE.sub("", value)[:_CELL]
            if not bold and not value.startswith(("=", "#")):
                return value
            cell = WriteOnlyCell(self._sheet, value)
            cell.data_type = "s"  # although it begins like a formula, or like an error
            if bold:
                cell.font = Font(bold=True)
            return cell
        if value is None or type(value) is int:
            return value
        cell = WriteOnlyCell(self._sheet, value)
        cell.number_format = "#,##0.00" if isinstance(value, Decimal) else _DATE_FORMATS[type(value)]
        return cell


if __name__ == "__main__":
    _answer(*map(int, sys.argv[1:]))
