"""The page of parameters."""

from __future__ import annotations

from typing import Any

import pytest

from saas.permissions import Permission
from saas.tenants import operators
from saas.tenants.scope import PlatformScope, Scope
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import new_system, operator_browser
from tests.world import World

GOOD = {
    "system_name": "Acme Broadband",
    "locale": "en",
    "timezone": "Europe/Berlin",
    "interim_interval": "600",
    "max_session_time": "7200",
    "restricted_timeout": "120",
    "guard_attempts": "0",
    "guard_window": "900",
    "show_password": "1",
    "renew_hours": "48",
    "suspend_days": "180",
    "notice_mail": ["expiring", "payment"],
    "notice_days": "7",
    "notice_quota": "90",
    "notice_balance": "5.00",
}


@pytest.fixture
async def own(web: str, ps: PlatformScope) -> tuple[Scope, Browser]:
    """A system of its own, since its parameters are the business of every other page."""
    return await new_system(web, ps)


async def test_the_parameters_are_changed(ps: PlatformScope, own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    url = f"/t/{tenant['slug']}/admin/parameters"
    page = text(await owner.get(url, Accept_Language="en"))
    assert 'value="300"' in page and "Plans expire at the end of a day in this zone." in page
    assert '<option value="Asia/Shanghai" selected>' in page
    answer = await owner.post(url, {**GOOD, "_version": tenant["version"]}, Accept_Language="en")
    assert answer.headers["Location"] == url
    stored = (await ps.db.tenants.get(tenant["_id"]))["parameters"]
    assert stored == tenant["parameters"] | {
        "system_name": "Acme Broadband",
        "locale": "en",
        "timezone": "Europe/Berlin",
        "interim_interval": 600,
        "max_session_time": 7200,
        "restricted_timeout": 120,
        "guard_attempts": 0,
        "guard_window": 900,
        "show_password": True,
        "renew_hours": 48,
        "suspend_days": 180,
        "notice_mail": ["expiring", "payment"],
        "notice_days": 7,
        "notice_quota": 90,
        "notice_balance": 500,
    }
    page = text(await owner.get(url, Accept_Language="en"))
    assert "The parameters are saved." in page and 'value="Acme Broadband"' in page
    logged = await own[0].db.audit.find({"action": "parameters.update"})
    assert [entry["target"] for entry in logged] == [tenant["_id"]]


async def test_a_switch_that_is_off_is_stored_as_off(ps: PlatformScope, own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    url = f"/t/{tenant['slug']}/admin/parameters"
    assert (await owner.post(url, GOOD)).code == 303
    off = {name: value for name, value in GOOD.items() if name != "show_password"}
    assert (await owner.post(url, off)).code == 303
    assert (await ps.db.tenants.get(tenant["_id"]))["parameters"]["show_password"] is False


async def test_two_people_who_edit_the_parameters_are_told(ps: PlatformScope, own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    url = f"/t/{tenant['slug']}/admin/parameters"
    assert (await owner.post(url, {**GOOD, "_version": tenant["version"]})).code == 303
    late = {**GOOD, "system_name": "Mine", "_version": tenant["version"]}
    answer = await owner.post(url, late, Accept_Language="en")
    assert answer.code == 409 and "Someone else has changed this" in text(answer)
    assert (await ps.db.tenants.get(tenant["_id"]))["parameters"]["system_name"] == "Acme Broadband"


async def test_a_reader_sees_them_and_changes_nothing(web: str, ps: PlatformScope, cast: World) -> None:
    form = operators.GroupForm(name="Parameter readers", permissions=[Permission.PARAMETERS_READ])
    group = await operators.create_group(cast.acme.scope, form)
    reader = await operator_browser(web, ps, cast.acme, "ivan", group["_id"])
    url = f"/t/{cast.acme.slug}/admin/parameters"
    page = text(await reader.get(url, Accept_Language="en"))
    assert "Asia/Shanghai" in page and "not change them" in page and 'name="timezone"' not in page
    assert (await reader.post(url, GOOD)).code == 403
    assert (await ps.db.tenants.get(cast.acme.id))["parameters"]["system_name"] == "Acme"


async def test_bad_input_is_told_at_its_field(ps: PlatformScope, own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    bad = {
        "system_name": ["", "x" * 65, HTML, "a\nb"],
        "locale": ["", "fr", HTML],
        "timezone": ["", "Mars/Olympus", HTML, "x" * 65],
        "interim_interval": ["", "59", "3601", "abc", "1.5", HTML],
        "max_session_time": ["", "299", "2678401", "abc", HTML],
        "restricted_timeout": ["59", "3601", "abc", HTML],
        "guard_attempts": ["-1", "1001", "1.5", HTML],
        "guard_window": ["59", "86401", HTML],
        "show_password": ["maybe", HTML],
    }

    async def rows() -> Any:
        return await ps.db.tenants.get(tenant["_id"])

    await refuse(owner, f"/t/{tenant['slug']}/admin/parameters", GOOD, bad, rows)
