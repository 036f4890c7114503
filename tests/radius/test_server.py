"""Sockets: an answer leaves from the address that was asked, also when the socket is bound to all of them."""

from __future__ import annotations

import pytest

from saas.radius.client import Client
from saas.radius.engine import Engine
from saas.tenants.scope import PlatformScope
from tests.radius.conftest import engine_settings
from tests.world import NAS_SECRET, USER_PASSWORD, USERNAME, World


@pytest.mark.parametrize(
    ("bind", "asked"), [("0.0.0.0", "127.0.0.9"), ("::", "127.0.0.9"), ("::", "::1"), ("::1", "::1")]
)
async def test_the_answer_comes_from_the_address_that_was_asked(
    ps: PlatformScope, world: World, bind: str, asked: str
) -> None:
    async with (
        Engine(ps, engine_settings(bind=bind)) as engine,
        Client(asked, engine.auth_port, engine.acct_port, NAS_SECRET, world.acme.nas["identifier"]) as nas,
    ):
        assert (await nas.pap(USERNAME, USER_PASSWORD)).accepted
        assert (await nas.accounting("start", USERNAME, "from-there")).packet.code == 5
