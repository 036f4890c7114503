"""The sum that a page showed travels with its form, so that a click agrees to that sum and to no other.

It is of what stood in the form then: where something else is typed and sent before it is shown, no sum was agreed to.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

FIELD = "_shown"


def mark(amount: int, about: object) -> str:
    """What the form carries: minor units, and what they are for."""
    return f"{amount}.{zlib.crc32(str(about).encode())}"


def agreed(body: Mapping[str, Any], about: object) -> int | None:
    """The sum that was shown of just this, in minor units; None where none was."""
    carried = body.get(FIELD)
    text = str(carried[0] if isinstance(carried, list) and carried else carried)
    amount = text.partition(".")[0]
    known = amount.removeprefix("-").isdecimal() and len(amount) < 20 and text == mark(int(amount), about)
    return int(amount) if known else None
