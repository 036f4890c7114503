"""What people ask for and is done in portions (saas.tenants.turns), worked off while there is any."""

from __future__ import annotations

import time

from saas.tenants import turns
from saas.tenants.scope import PlatformScope
from saas.tenants.turns import Work

_AT_A_STRETCH = 3.0  # seconds, so that an end of the process does not wait long


async def work_off(work: Work, ps: PlatformScope) -> int:
    """Give tenants their turns for some seconds, or until no work is left; how much was done."""
    done, until = 0, time.monotonic() + _AT_A_STRETCH
    while some := await turns.turn(ps, work):
        done += some
        if time.monotonic() >= until:
            break
    return done
