"""The only door to pypinyin: the letters by which Chinese names and words are looked for."""

from __future__ import annotations

import re

# As surnames these are read otherwise than as words: 单 is dan, and Shan of a person.
_SURNAMES = dict(zip("单曾仇解查朴区盖覃乐冼谌种缪折召员", "szqxzpogqyxccmssy", strict=True))
_WORD = re.compile(r"\w+")


def _first_letters(rest: str) -> str:
    return "".join(word[0] for word in _WORD.findall(rest))


def initials(text: str) -> str:
    """The first letter of each Chinese character's pinyin, and of each word of another script, in lower case.

    张三 -> "zs", Alice Li -> "al", "" for nothing that has letters.
    """
    if not text.strip():
        return ""
    from pypinyin import Style, lazy_pinyin  # 55 MB of dictionaries, which the engine's workers never need

    found = lazy_pinyin(text, style=Style.FIRST_LETTER, errors=_first_letters)
    letters = "".join(found).lower()
    surname = _SURNAMES.get(text.strip()[0])
    return surname + letters[1:] if surname else letters
