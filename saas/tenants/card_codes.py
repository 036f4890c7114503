"""The secret codes of recharge cards: how they are made, and read from a hurried hand. Pure.

A code has fifteen random symbols (74 bits) and a sixteenth that checks them. The alphabet has no two symbols that look
alike on paper, and 31 symbols, a prime: each single wrong symbol, and each two neighbours that changed places, break
the check, so that a slip is told for what it is and counts as no guess.
"""

from __future__ import annotations

import secrets
import unicodedata

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # no I, L, O, 0, 1
LENGTH = 16
_GROUP = 4
_IGNORED = str.maketrans("", "", " -\t–—_.")


def new_code() -> str:
    """A new code of 16 symbols."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1))
    return body + ALPHABET[_weighed(body)]


def normal_code(text: str) -> str:
    """The one spelling of a typed code: capitals without gaps, also from full-width letters.

    ValueError("incomplete_code") for too few or too many symbols, ValueError("mistyped_code") for a slip.
    """
    code = unicodedata.normalize("NFKC", text).upper().translate(_IGNORED)
    if len(code) != LENGTH:
        raise ValueError("incomplete_code")
    if not set(code) <= set(ALPHABET) or ALPHABET[_weighed(code[:-1])] != code[-1]:
        raise ValueError("mistyped_code")
    return code


def grouped(code: str) -> str:
    """As it stands on paper: ABCD-EFGH-JKMN-PQRS."""
    return "-".join(code[at : at + _GROUP] for at in range(0, LENGTH, _GROUP))


def _weighed(body: str) -> int:
    """The sum of the symbols, each times its place: what the last symbol says."""
    return sum(place * ALPHABET.index(symbol) for place, symbol in enumerate(body, 1)) % len(ALPHABET)
