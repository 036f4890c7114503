"""An account's timeline: every kind in its place, nothing torn apart or told twice from page to page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from saas.tenants import accounts, ledger, life, purchases, refusals, timeline
from saas.tenants.accounts import Account
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.standing import SUSPEND, NoteForm
from saas.tenants.timeline import Event, Kind
from saas.values import made_at, new_id, utcnow
from tests.handlers.usage import ended, online
from tests.world import World

ALL: tuple[Kind, ...] = ("money", "sessions", "deeds", "log", "notices", "refusals")


@pytest.fixture
def scope(world: World) -> Scope:
    return world.acme.scope


async def whole(scope: Scope, account: Account, *kinds: Kind) -> list[Event]:
    """Page after page, to the end."""
    events, before = await timeline.of_account(scope, account, kinds)
    while before:
        more, before = await timeline.of_account(scope, account, kinds, before)
        events += more
    return events


def test_an_id_says_when_it_was_made() -> None:
    before, made = utcnow(), made_at(new_id("acc"))
    assert before <= made <= utcnow() + timedelta(milliseconds=1)


async def test_every_kind_stands_in_its_place(ps: PlatformScope, scope: Scope, world: World) -> None:
    account = world.acme.account
    await life.perform(scope, purchases.RENEW, account["_id"], purchases.RenewForm(), new_id("act"))
    await accounts.change_password(scope, account["_id"], accounts.AccountPasswordForm(password="another-one"))
    await ended(ps, world.acme, "t-1", "User-Request")
    await online(ps, world.acme, "t-2")
    ids = scope.tenant_id, world.acme.nas["_id"], account["username"], account["_id"]
    knock = refusals.Refusal(*ids, "password", {}, "pap", "", "203.0.113.7", utcnow().timestamp())
    await refusals.keep(ps, [knock])
    await life.perform(scope, SUSPEND, account["_id"], NoteForm(note="away"), new_id("act"))
    events = await whole(scope, account, *ALL)
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)
    told = [(event.kind, event.row.get("verb") or event.row.get("action") or "") for event in events]
    assert told[0] == ("deeds", "suspend")
    assert {kind for kind, _ in told} >= {"money", "sessions", "deeds", "log", "refusals"}
    assert ("log", "account.password") in told and ("log", "account.renew") not in told  # that is a deed
    assert [kind for kind, _ in told].count("sessions") == 2
    assert {event.kind for event in await whole(scope, account, "money")} == {"money"}
    other = await accounts.get(world.zeta.scope, world.zeta.account["_id"])
    assert await whole(world.zeta.scope, other, "deeds", "sessions") == []


async def test_what_was_written_in_one_moment_is_not_torn_apart(scope: Scope, world: World) -> None:
    account = world.acme.account
    for number in range(25):
        await life.perform(scope, purchases.RENEW, account["_id"], purchases.RenewForm(), f"torn-{number}")
    booked = {row["_id"] for row in await scope.db.ledger.find({"account_id": account["_id"]}, limit=200)}
    shown = [event.row["_id"] for event in await whole(scope, account, "money", "deeds")]
    assert len(shown) == len(set(shown)) and booked <= set(shown)
    assert len(shown) - len(booked) == 25 and await ledger.differences(scope) == []
