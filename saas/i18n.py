"""Words, numbers and dates in the reader's language.

Message ids are English. `N_("…")` marks one where it is declared; a `Reader` says it. The Chinese catalogue is every
``saas/locale/zh/*.po``, one file an area, read at start: nothing is compiled. To bring new messages in::

    .venv/bin/python -m saas.i18n          # prints the messages that have no Chinese yet, in .po form
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

DEFAULT = "zh"
LANGUAGES = {"zh": "简体中文", "en": "English"}
ROOT = Path(__file__).resolve().parent
CURRENCIES = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}
# What a template says: _('…'), capitalized literals of its expressions, and titles given to components as they are.
_SAID = re.compile(
    r"""_\('([^'\n]+)'|'([A-Z][^'\n]*[a-z][^'\n]*)'|[(,]\s*"([A-Z][^"\n]*[a-z][^"\n]*)\""""
    r"""|\s(?:title|subtitle|text|hint|label)="([A-Z][^"$\n]*)\""""
)


def N_(message: str) -> str:
    """Mark `message` for translation and return it unchanged."""
    return message


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """English message -> message in `language`; empty for English."""
    from babel.messages.pofile import read_po  # only the web process pays for Babel

    found: dict[str, str] = {}
    for path in sorted((ROOT / "locale" / language).glob("*.po")):
        with path.open("rb") as file:
            found |= {str(m.id): str(m.string) for m in read_po(file, locale=language) if m.id and m.string}
    return found


def negotiate(accept: str) -> str:
    """The best language of an Accept-Language header, "" when none of ours is asked for."""
    wishes: list[tuple[float, str]] = []
    for part in accept.split(",")[:20]:
        tag, _, weight = part.partition(";q=")
        try:
            wishes.append((float(weight or 1), tag.strip().lower().split("-")[0]))
        except ValueError:
            continue
    wishes.sort(key=lambda wish: -wish[0])
    return next((tag for weight, tag in wishes if tag in LANGUAGES and weight > 0), "")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: language, time zone of the tenant (IANA name) and currency (ISO 4217)."""

    language: str = DEFAULT
    zone: str = "Asia/Shanghai"
    currency: str = "CNY"
    messages: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, language: str, zone: str = "Asia/Shanghai", currency: str = "CNY") -> Reader:
        """The reader of `language`, with its catalogue."""
        return cls(language, zone, currency, catalogue(language))

    def __call__(self, message: str, **data: Any) -> str:
        """`message` in the reader's language; `data` fills its {names}."""
        text = self.messages.get(message, message)
        return text.format_map(data) if data else text

    def number(self, value: float) -> str:
        """1234567 -> 1,234,567."""
        return f"{value:,}"

    def money(self, minor: int, currency: str = "") -> str:
        """Minor units, always two decimals: 123450 -> ¥1,234.50, -5 -> -¥0.05."""
        symbol = CURRENCIES.get(currency or self.currency, f"{currency or self.currency} ")
        return f"{'-' if minor < 0 else ''}{symbol}{abs(minor) // 100:,}.{abs(minor) % 100:02d}"

    def moment(self, moment: datetime) -> str:
        """2026-11-23 23:59:59 in the reader's zone."""
        return self.local(moment).strftime("%Y-%m-%d %H:%M:%S")

    def minute(self, moment: datetime) -> str:
        """2026-11-23 23:59 in the reader's zone."""
        return self.local(moment).strftime("%Y-%m-%d %H:%M")

    def clock(self, moment: datetime) -> str:
        """23:59:59 in the reader's zone."""
        return self.local(moment).strftime("%H:%M:%S")

    def day(self, moment: date) -> str:
        """2026-11-23 in the reader's zone; a plain date stays what it is."""
        return (self.local(moment) if isinstance(moment, datetime) else moment).strftime("%Y-%m-%d")

    def local(self, moment: datetime) -> datetime:
        """The moment on the reader's clock; a naive one is taken as UTC."""
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(ZoneInfo(self.zone))

    def octets(self, octets: int) -> str:
        """At 1024: 1536 -> 1.5 KB, 40965414912 -> 38.2 GB."""
        size = float(octets)
        for unit in ("B", "KB", "MB", "GB", "TB"):
            if abs(size) < 1024 or unit == "TB":
                break
            size /= 1024
        return f"{size:.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"

    def duration(self, seconds: int) -> str:
        """The two largest units: 11100 -> 3 小时 5 分 or 3 h 5 min."""
        days, rest = divmod(max(0, int(seconds)), 86400)
        counts = (days, rest // 3600, rest // 60 % 60, rest % 60)
        parts = list(zip(counts, (N_("{n} d"), N_("{n} h"), N_("{n} min"), N_("{n} s")), strict=True))
        first = next((i for i, (n, _) in enumerate(parts) if n), 3)
        return " ".join(self(unit, n=n) for n, unit in parts[first : first + 2] if n or first == 3)

    def rate(self, bits: int) -> str:
        """bit/s at 1000: 100000000 -> 100 Mbps; 0 -> not limited."""
        if not bits:
            return self(N_("unlimited"))
        for size, unit in ((10**9, "Gbps"), (10**6, "Mbps"), (10**3, "Kbps")):
            if bits >= size:
                return f"{bits / size:,.4g} {unit}"
        return f"{bits} bps"


def used(root: Path = ROOT.parent) -> Iterator[str]:
    """Every message of the project: marked ones of the code, and every capitalized literal of the templates."""
    from babel.messages.extract import extract_from_dir

    seen: set[str] = set()
    found = extract_from_dir(root / "saas", [("**.py", "python")], keywords={"_": None, "N_": None})
    marked = [message for _, _, message, _, _ in found if isinstance(message, str)]
    for path in sorted((root / "templates").rglob("*.html")):
        marked += ["".join(groups) for groups in _SAID.findall(path.read_text("utf-8"))]
    for message in marked:
        if message not in seen:
            seen.add(message)
            yield message


def missing(language: str = DEFAULT) -> list[str]:
    """Messages in use that `language` cannot say yet."""
    known = catalogue(language)
    return [message for message in used() if message not in known]


def _main() -> None:
    for message in missing():
        quoted = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        sys.stdout.write(f'msgid "{quoted}"\nmsgstr ""\n\n')


if __name__ == "__main__":
    _main()
