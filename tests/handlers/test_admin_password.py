"""The page of one's own password."""

from __future__ import annotations

from typing import Any

import pytest

from saas.errors import Denied
from saas.tenants import login
from saas.tenants.scope import PlatformScope
from tests.browser import text
from tests.handlers.hostile import refuse, told
from tests.handlers.people import log_in, new_system, operator_browser
from tests.world import PASSWORD, World

NEW = "another-password"
FIELDS = {"old_password": PASSWORD, "new_password": NEW, "repeat": NEW}


async def test_an_operator_changes_it_and_stays_while_other_sessions_end(
    web: str, ps: PlatformScope, cast: World
) -> None:
    admin = f"/t/{cast.acme.slug}/admin"
    here = await operator_browser(web, ps, cast.acme, "judy", cast.acme.operator["group_id"])
    elsewhere = await log_in(web, ps, cast.acme, "judy")
    token = here.cookies["session"]
    answer = await here.post(f"{admin}/password", FIELDS, Accept_Language="en")
    assert (answer.code, answer.headers["Location"]) == (303, admin)
    assert here.cookies["session"] != token
    page = text(await here.get(f"{admin}/plans", Accept_Language="en"))
    assert "Your password is changed." in page
    assert (await elsewhere.get(f"{admin}/plans")).code == 303
    here.cookies["session"] = token
    assert (await here.get(f"{admin}/plans")).code == 303
    with pytest.raises(Denied):
        await log_in(web, ps, cast.acme, "judy")
    await log_in(web, ps, cast.acme, "judy", NEW)


async def test_a_cloud_account_changes_its_own_here_too(web: str, ps: PlatformScope) -> None:
    scope, browser = await new_system(web, ps)
    admin = f"/t/{scope.tenant['slug']}/admin"
    assert (await browser.post(f"{admin}/password", FIELDS)).code == 303
    assert (await browser.get(f"{admin}/plans")).code == 200
    session = await login.cloud(ps, login.LoginForm(login=scope.actor.name, password=NEW), scope.actor.name)
    assert session.actor.id == scope.actor.id


async def test_bad_input_is_told_at_its_field(web: str, ps: PlatformScope, cast: World) -> None:
    person = await operator_browser(web, ps, cast.acme, "kate", cast.acme.operator["group_id"])
    bad = {
        "old_password": ["", "x" * 129],
        "new_password": ["", "seven77", "x" * 129, "line\nbreak"],
        "repeat": ["", "not-the-same", "x" * 129],
    }

    async def rows() -> Any:
        return await cast.acme.scope.db.operators.find(limit=1000)

    await refuse(person, f"/t/{cast.acme.slug}/admin/password", FIELDS, bad, rows)


async def test_guessing_the_old_password_is_told_and_limited(web: str, ps: PlatformScope, cast: World) -> None:
    person = await operator_browser(web, ps, cast.acme, "leo", cast.acme.operator["group_id"])
    url = f"/t/{cast.acme.slug}/admin/password"
    guesses = [{**FIELDS, "old_password": f"guess-{number}"} for number in range(11)]
    answers = [await person.post(url, guess) for guess in guesses]
    assert [answer.code for answer in answers[:10]] == [422] * 10
    assert told(text(answers[0]), "old_password") and "guess-0" not in text(answers[0])
    assert answers[10].code == 429 and int(answers[10].headers["Retry-After"]) > 0
    await log_in(web, ps, cast.acme, "leo")
