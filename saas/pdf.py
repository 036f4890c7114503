"""The only door to PDF: papers of one kind, on A4 or on a slip of 80 or 58 mm, with the glyphs that they need embedded.

The same paper makes the same octets. Drawing takes ten milliseconds or more: call it in a thread.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Literal

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_CENTER, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Image, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

Size = Literal["a4", "slip", "slip58"]
_FONTS = Path(__file__).resolve().parents[1] / "static" / "vendor"
_REGULAR, _BOLD = "NotoSansSC_400Regular", "NotoSansSC_700Bold"
_GRAY, _RULE = HexColor("#5b6472"), HexColor("#c9ced6")
_MARGIN = 18 * mm
_SLIPS = {"slip": (80 * mm, 4 * mm), "slip58": (58 * mm, 5 * mm)}  # as wide, and with the margin that printers leave
_drawing = threading.Lock()  # a font collects the glyphs of one paper at a time


@dataclass(frozen=True, slots=True)
class Paper:
    """What is printed, in words. `issuer`: lines, the name first; `logo`: a PNG; `facts`: (title, text).

    `columns` and `lines`: a table whose first column is text and whose others are figures; on a slip an empty cell is
    left out. `totals`: (title, figure), the last one stands out; `words`: the sum in words.
    """

    title: str
    number: str
    issuer: Sequence[str]
    logo: bytes | None
    facts: Sequence[tuple[str, str]]
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    totals: Sequence[tuple[str, str]]
    words: str
    footer: str


def draw(paper: Paper, size: Size) -> bytes:
    """The PDF of a paper: on as many A4 pages as it takes, or on a slip as long as it takes."""
    with _drawing:
        _fonts()
        if size != "a4":
            return _slip(paper, *_SLIPS[size])
        return _built(f"{paper.title} {paper.number}", paper.issuer[0], _a4(paper), A4, _MARGIN)


def draw_all(papers: Sequence[Paper]) -> bytes:
    """One PDF of several papers, each on A4 pages of its own; at least one."""
    with _drawing:
        _fonts()
        story = [part for paper in papers for part in (*_a4(paper), PageBreak())][:-1]
        return _built(f"{papers[0].number} – {papers[-1].number}", papers[0].issuer[0], story, A4, _MARGIN)


def _a4(paper: Paper) -> list[Any]:
    width = A4[0] - 2 * _MARGIN
    return [
        _columns([_letterhead(paper, width * 0.58), _heading(paper)], [width * 0.6, width * 0.4]),
        Spacer(0, 9 * mm),
        _facts(paper, width),
        Spacer(0, 7 * mm),
        _lines(paper, width),
        Spacer(0, 3 * mm),
        _columns([[], [_pairs(paper.totals, width * 0.5, 11, strong=True)]], [width * 0.5, width * 0.5]),
        Spacer(0, 6 * mm),
        *_optional(paper.words, _style(10)),
        Spacer(0, 10 * mm),
        *_optional(paper.footer, _style(8.5, color=_GRAY)),
    ]


def _slip(paper: Paper, whole: float, margin: float) -> bytes:
    width = whole - 2 * margin
    name, *rest = paper.issuer
    story: list[Any] = [
        *_logo(paper, width, 16 * mm, "CENTER"),
        _text(name, _style(11, _BOLD, align=TA_CENTER)),
        *(_text(line, _style(8, color=_GRAY, align=TA_CENTER)) for line in rest),
        Spacer(0, 3 * mm),
        _text(paper.title, _style(13, _BOLD, align=TA_CENTER)),
        _text(paper.number, _style(9, align=TA_CENTER)),
        Spacer(0, 2 * mm),
        _pairs(paper.facts, width, 8.5),
        Spacer(0, 2 * mm),
    ]
    for line in paper.lines:
        figures = [(title, cell) for title, cell in zip(paper.columns[1:], line[1:], strict=True) if cell]
        story += [_text(line[0], _style(9, _BOLD)), _pairs(figures, width, 8.5), Spacer(0, 1.5 * mm)]
    story += [_pairs(paper.totals, width, 10, strong=True), Spacer(0, 2 * mm)]
    story += [*_optional(paper.words, _style(8.5)), Spacer(0, 3 * mm)]
    story += _optional(paper.footer, _style(8, color=_GRAY, align=TA_CENTER))
    height = sum(part.wrap(width, 10_000 * mm)[1] for part in story) + 2 * margin + 1 * mm
    return _built(f"{paper.title} {paper.number}", name, story, (whole, max(height, whole)), margin)


def _built(title: str, author: str, story: list[Any], size: tuple[float, float], margin: float) -> bytes:
    out = io.BytesIO()
    frame = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), margin - 6)  # a frame pads by 6
    about = {"title": title, "author": author, "creator": "OpenPNS"}
    SimpleDocTemplate(out, pagesize=size, invariant=1, **frame, **about).build(story)
    return out.getvalue()


@cache
def _fonts() -> None:
    """Read the fonts: 20 MB of memory each, hence only when the first paper is drawn."""
    for name in (_REGULAR, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(_FONTS / f"{name}.ttf")))


@cache
def _style(size: float, font: str = _REGULAR, color: Any = None, align: int = 0) -> ParagraphStyle:
    """Lines break between any two Chinese characters, and between Latin words."""
    look = {"fontName": font, "fontSize": size, "leading": size * 1.45, "alignment": align, "wordWrap": "CJK"}
    return ParagraphStyle("", **look, **({"textColor": color} if color else {}))


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(text).replace("\n", "<br/>"), style)


def _optional(text: str, style: ParagraphStyle) -> list[Any]:
    return [_text(text, style)] if text else []


def _letterhead(paper: Paper, width: float) -> list[Any]:
    name, *rest = paper.issuer
    lines = [_text(line, _style(9, color=_GRAY)) for line in rest]
    return [*_logo(paper, width, 18 * mm, "LEFT"), _text(name, _style(13, _BOLD)), *lines]


def _heading(paper: Paper) -> list[Any]:
    return [_text(paper.title, _style(20, _BOLD, align=TA_RIGHT)), _text(paper.number, _style(11, align=TA_RIGHT))]


def _logo(paper: Paper, width: float, height: float, align: str) -> list[Any]:
    if paper.logo is None:
        return []
    picture = Image(io.BytesIO(paper.logo))
    scale = min(width / picture.imageWidth, height / picture.imageHeight, 0.5)
    picture.drawWidth, picture.drawHeight = picture.imageWidth * scale, picture.imageHeight * scale
    picture.hAlign = align
    return [picture, Spacer(0, 2 * mm)]


def _columns(cells: list[list[Any]], widths: list[float]) -> Any:
    """Stacks side by side."""
    return Table([cells], widths, style=[("VALIGN", (0, 0), (-1, -1), "TOP"), *_tight()])


def _tight() -> list[Any]:
    return [(f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]


def _facts(paper: Paper, width: float) -> Any:
    """Two columns of facts, the first half on the left."""
    half = (len(paper.facts) + 1) // 2
    parts = (paper.facts[:half], paper.facts[half:])
    return _columns([[_pairs(part, width * 0.46, 10, align=0)] for part in parts], [width * 0.52, width * 0.48])


def _pairs(
    pairs: Sequence[tuple[str, str]], width: float, size: float, *, strong: bool = False, align: int = TA_RIGHT
) -> Any:
    """Titles on the left, texts on the right; with `strong` the last pair stands out."""
    if not pairs:
        return Spacer(0, 0)
    last = len(pairs) - 1 if strong else -1
    rows = [
        [
            _text(title, _style(size, _BOLD if n == last else _REGULAR, None if n == last else _GRAY)),
            _text(value, _style(size, _BOLD if n == last else _REGULAR, align=align)),
        ]
        for n, (title, value) in enumerate(pairs)
    ]
    rule = [("LINEABOVE", (0, last), (-1, last), 0.6, _RULE)] if strong else []
    return Table(rows, [width * 0.42, width * 0.58], style=[("VALIGN", (0, 0), (-1, -1), "TOP"), *_tight(), *rule])


def _lines(paper: Paper, width: float) -> Any:
    figures = len(paper.columns) - 1
    widths = [width * 0.36] + [width * 0.64 / figures] * figures
    head = [_text(each, _style(9, color=_GRAY, align=TA_RIGHT if n else 0)) for n, each in enumerate(paper.columns)]
    body = [
        [_text(cell, _style(10, align=TA_RIGHT if n else 0)) for n, cell in enumerate(line)] for line in paper.lines
    ]
    rules = [("LINEBELOW", (0, 0), (-1, -1), 0.6, _RULE), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    sides = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)]
    return Table([head, *body], widths, repeatRows=1, style=[*rules, *sides])
