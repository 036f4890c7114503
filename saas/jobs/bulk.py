"""Bulk runs, worked off while there are any."""

from __future__ import annotations

import time

from saas.tenants import bulk_work
from saas.tenants.scope import PlatformScope

_AT_A_STRETCH = 3.0  # seconds, so that an end of the process does not wait long


async def work_off(ps: PlatformScope) -> int:
    """Give runs their turns for some seconds, or until none is left; how many rows were made or done."""
    done, until = 0, time.monotonic() + _AT_A_STRETCH
    while rows := await bulk_work.turn(ps):
        done += rows
        if time.monotonic() >= until:
            break
    return done
