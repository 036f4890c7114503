"""Fixtures of the accounting tests.

emptied  nothing of other tests in the journal, before and after
scope    a tenant with nothing in it
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from saas.tenants.scope import PlatformScope, Scope
from tests.tenants.accounting_events import drain, make_tenant


@pytest.fixture
async def emptied(ps: PlatformScope) -> AsyncIterator[None]:
    """Nothing of other tests in the journal."""
    await drain(ps)
    yield
    await drain(ps)


@pytest.fixture
async def scope(ps: PlatformScope) -> Scope:
    """A tenant with nothing in it."""
    return await make_tenant(ps)
