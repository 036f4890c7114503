"""Memory in huge pages: for processes that remember much and look at little of it at a time.

An engine reads a few of some hundred thousand small objects for each packet. On pages of 4 KiB the processor must look
most of their addresses up anew, which takes as long as reading them; on pages of 2 MiB it remembers them all. Linux
gives such pages to whoever asks (madvise(2), MADV_COLLAPSE, since 6.1); Python does not ask. Where the kernel has none
to give, everything stays as it is.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SIZE: Final = 2 * 2**20  # octets of a huge page
EVERY: Final = 10.0  # seconds between two looks at what memory has been added

_COLLAPSE: Final = 25  # MADV_COLLAPSE, of <linux/mman.h>
_MAPS: Final = Path("/proc/self/maps")

_log = logging.getLogger(__name__)


async def keep() -> None:
    """Go on for as long as the process lives, beside its work; return where there are no huge pages."""
    if not _supported():
        return
    while True:
        await asyncio.sleep(EVERY)
        taken = await asyncio.to_thread(collapse)
        _log.debug("%d huge pages", taken)


def collapse() -> int:
    """Put all memory of this process that is large enough into huge pages; how many it has then. What is in one already
    costs a microsecond.
    """
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(advise(at, SIZE, _COLLAPSE) == 0 for start, end in _regions() for at in range(start, end, SIZE))


def _regions() -> Iterator[tuple[int, int]]:
    """Where memory lies that belongs to no file, cut to whole huge pages (proc(5), maps)."""
    for line in _MAPS.read_text().splitlines():
        span, rights, _, _, _, *name = line.split()
        if rights.startswith("rw") and name in ([], ["[heap]"]):
            start, end = (int(part, 16) for part in span.split("-"))
            yield -(-start // SIZE) * SIZE, end // SIZE * SIZE


def _supported() -> bool:
    return _MAPS.exists() and os.path.isdir("/sys/kernel/mm/transparent_hugepage")
