"""Words, numbers and dates; the Chinese catalogue says everything; templates keep the rules of the house."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from saas.i18n import LANGUAGES, Reader, catalogue, missing, negotiate

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
ZH, EN = Reader.of("zh"), Reader.of("en")
NAMES = re.compile(r"\{(\w+)\}")


def test_everything_is_said_in_chinese() -> None:
    assert missing("zh") == []


def test_a_translation_has_the_names_of_its_message() -> None:
    for message, said in catalogue("zh").items():
        assert sorted(NAMES.findall(message)) == sorted(NAMES.findall(said)), message


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", ""),
        ("zh", "zh"),
        ("zh-TW,en;q=0.3", "zh"),
        ("en-US,en;q=0.9", "en"),
        ("fr;q=1,en;q=0.2,zh;q=0.4", "zh"),
        ("en;q=0", ""),
        ("x" * 10000, ""),
    ],
)
def test_the_browsers_wish(accept: str, language: str) -> None:
    assert negotiate(accept) == language
    assert language in ("", *LANGUAGES)


def test_money() -> None:
    assert [EN.money(minor) for minor in (0, 5, -5, 123450, -100000000)] == [
        "¥0.00",
        "¥0.05",
        "-¥0.05",
        "¥1,234.50",
        "-¥1,000,000.00",
    ]
    assert EN.money(100, "USD") == "$1.00" and EN.money(100, "SEK") == "SEK 1.00"


def test_times_stand_in_the_tenants_zone() -> None:
    moment = datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)
    assert (ZH.moment(moment), ZH.minute(moment), ZH.day(moment)) == (
        "2026-11-23 23:59:59",
        "2026-11-23 23:59",
        "2026-11-23",
    )
    assert Reader.of("en", "America/New_York").moment(moment) == "2026-11-23 10:59:59"
    assert ZH.day(date(2026, 11, 23)) == "2026-11-23"


def test_octets_rates_and_durations() -> None:
    assert [EN.octets(n) for n in (0, 1023, 1024, 40965414912, 2**50)] == [
        "0 B",
        "1023 B",
        "1.0 KB",
        "38.2 GB",
        "1,024.0 TB",
    ]
    assert [EN.rate(n) for n in (0, 500, 64000, 100_000_000, 2_500_000_000)] == [
        "unlimited",
        "500 bps",
        "64 Kbps",
        "100 Mbps",
        "2.5 Gbps",
    ]
    assert [EN.duration(n) for n in (0, 59, 3600, 11100, 200000)] == ["0 s", "59 s", "1 h", "3 h 5 min", "2 d 7 h"]
    assert ZH.duration(11100) == "3 小时 5 分"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_templates_keep_the_rules(path: Path) -> None:
    source = path.read_text("utf-8")
    if path.parent.name != "ui":
        assert not re.findall(r"<(?:table|form|input|select|textarea)\b", source), "stands only in templates/ui"
    assert not re.findall(r"\sstyle=|\son\w+=|javascript:|<style\b", source), "the content security policy forbids it"
    assert all("src=" in tag for tag in re.findall(r"<script\b[^>]*>", source)), "no inline script"
    assert "|n}" not in source and "| n}" not in source, "everything is escaped"


def test_every_icon_is_in_the_sprite() -> None:
    listed = set((ROOT / "static" / "icons.txt").read_text("utf-8").split())
    used = {
        name
        for path in TEMPLATES
        for name in re.findall(r"kit\.icon\('([a-z0-9-]+)'|icon_name=\"([a-z0-9-]+)\"", path.read_text("utf-8"))
        for name in name
        if name
    }
    assert used - listed == set()
