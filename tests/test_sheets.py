"""The door to tables: what people save becomes text, what is broken is refused, what is written runs nothing."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from saas import sheets
from saas.sheets import Unreadable, Writer
from tests.tenants.import_files import as_csv, as_xlsx


def cells(octets: bytes) -> list[list[str]]:
    return [line.cells for line in sheets.rows_of(octets, 100)]


def code(octets: bytes, most: int = 100) -> str:
    with pytest.raises(Unreadable) as error:
        list(sheets.rows_of(octets, most))
    return error.value.code


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_every_usual_encoding_is_told(encoding: str) -> None:
    assert cells(as_csv([["张三", "30.00"]], ["姓名", "余额"], encoding)) == [["姓名", "余额"], ["张三", "30.00"]]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_every_usual_separator_is_told(mark: str) -> None:
    text = f'name{mark}"a, b; c\tor | d"{mark}note\r\nx{mark}"say ""hi""\nthere"{mark}\r\n'
    assert cells(text.encode()) == [["name", "a, b; c\tor | d", "note"], ["x", 'say "hi"\nthere']]


def test_blank_lines_are_passed_over_and_lines_keep_their_numbers() -> None:
    lines = list(sheets.rows_of(b"\n , ,\na,b\n\nc,\n\n\n", 100))
    assert lines == [(3, ["a", "b"]), (5, ["c"])]
    lines = list(sheets.rows_of(as_xlsx([[], ["x", None, " "], []], ["a"]), 100))
    assert lines == [(1, ["a"]), (3, ["x"])]


def test_a_workbook_says_what_its_cells_show() -> None:
    row = [13812345678, 30.3, 0.1 + 0.2, 12345678901234567890, 100.0, True, "001", "  x "]
    row += [datetime(2026, 12, 31), datetime(2026, 12, 31, 18, 30), date(2026, 1, 2), 1e20]
    assert cells(as_xlsx([row], ["t"]))[1] == [
        *("13812345678", "30.3", "0.3", "1.23456789012346E+19", "100", "TRUE", "001", "  x "),
        *("2026-12-31", "2026-12-31 18:30:00", "2026-01-02", "1.00000000000000E+20"),
    ]


def test_too_many_rows_are_told_first() -> None:
    assert code(as_csv([["1"], ["2"], ["3"]], ["t"]), most=2) == "too_many_rows"
    assert code(as_xlsx([[1], [2], [3]], ["t"]), most=2) == "too_many_rows"
    assert len(list(sheets.rows_of(as_csv([["1"], ["2"]], ["t"]), 2))) == 3


def workbook_with(part: str, text: str) -> bytes:
    """A workbook with one part exchanged."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(as_xlsx([["x"]], ["t"]))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, text if name == part else old.read(name))
    return out.getvalue()


def test_what_is_no_table_is_refused() -> None:
    assert code(b"\xd0\xcf\x11\xe0 an old workbook") == "old_spreadsheet"
    assert code(b"PK\x03\x04 no zip at all") == "not_a_table"
    assert code(b"a,b\0c\n") == "not_a_table"
    assert code(b"a,b\n\x81\xff\xff\x01") == "bad_encoding"
    assert code(workbook_with("xl/worksheets/sheet1.xml", "<worksheet><sheetData><row>")) == "not_a_table"
    assert code(workbook_with("xl/workbook.xml", "<html/>")) == "not_a_table"


def test_a_bomb_is_not_unpacked() -> None:
    sheet = "xl/worksheets/sheet1.xml"
    assert code(workbook_with(sheet, " " * (sheets._UNPACKED + 1))) == "unpacks_too_big"
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><worksheet><sheetData>&b;</sheetData></worksheet>'
    assert code(workbook_with(sheet, laughs)) == "not_a_table"
    far = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    far += '<row r="1"><c r="A1"><v>1</v></c></row><row r="999999999"><c r="A999999999"><v>2</v></c></row>'
    assert cells(workbook_with(sheet, far + "</sheetData></worksheet>")) == [["1"]]


def test_a_written_workbook_runs_nothing_and_keeps_digits() -> None:
    writer = Writer(["Text", "Sum", "Number", "Moment", "Day"])
    evil = ["=1+1", "+1", "-1", "@x", "#N/A", "0013812345678", "a\x07b", "中文"]
    writer.add([[text, Decimal("-0.05"), 7, datetime(2026, 1, 2, 3, 4, 5), date(2026, 1, 2)] for text in evil])
    try:
        book = load_workbook(writer.save())
        rows = list(book.active.iter_rows(min_row=2))
        assert [row[0].value for row in rows] == [*evil[:6], "ab", "中文"]
        assert {row[0].data_type for row in rows} == {"s"}
        assert rows[0][1].value == -0.05 and rows[0][1].data_type == "n" and rows[0][2].value == 7
        assert [cell.value for cell in rows[0][3:]] == [datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 2)]
    finally:
        writer.close()
    assert writer._path and not writer._path.exists()


def test_a_workbook_that_is_given_up_leaves_nothing_behind() -> None:
    writer = Writer(["Text"])
    writer.add([["x"]])
    place = Path(writer._sheet._writer.out)
    assert place.exists()
    writer.close()
    assert not place.exists()


def test_a_template_is_of_texts() -> None:
    writer = Writer(["手机"], typed=True)
    writer.sheet("填写说明", [("手机", "数字")])
    try:
        book = load_workbook(writer.save())
        assert book.worksheets[0].column_dimensions["A"].number_format == "@"
        assert [cell.value for cell in book.worksheets[1][1]] == ["手机", "数字"]
    finally:
        writer.close()


def test_what_nobody_sees_is_taken_off() -> None:
    assert sheets.normal("\ufeff１３８ 0000\u200b\u3000") == "138 0000"


def test_only_the_first_sheet_is_read() -> None:
    book = Workbook()
    book.active.append(["first"])
    book.create_sheet("Other").append(["second"])
    out = io.BytesIO()
    book.save(out)
    assert cells(out.getvalue()) == [["first"]]
