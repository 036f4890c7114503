"""Imported before the engine: what C does in a worker, C does here, for it alone can read beyond a packet's end.

The rest stays Python, because what is compiled takes no doubles.
"""

from __future__ import annotations

import sys

import saas.radius
from saas.radius import wire
from tests.radius.counterparts import counterpart

saas.radius.wire = sys.modules[wire.__name__] = counterpart(wire, "c")  # type: ignore[attr-defined]
