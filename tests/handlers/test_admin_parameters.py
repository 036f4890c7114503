"""The page of parameters."""

from __future__ import annotations

from typing import Any

import pytest

from saas.permissions import Permission
from saas.tenants import nas, operators, parameters, platform, user_checks
from saas.tenants.scope import PlatformScope, Scope
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse, told
from tests.handlers.people import new_system, operator_browser
from tests.world import World

GOOD: dict[str, dict[str, Any]] = {
    "system": {"system_name": "Acme Broadband", "locale": "en", "timezone": "Europe/Berlin", "currency": "EUR"},
    "sessions": {
        "interim_interval": "600",
        "stale_factor": "5",
        "max_session_time": "7200",
        "restricted_timeout": "120",
        "keep_sessions": "365",
    },
    "security": {"guard_attempts": "0", "guard_window": "900", "show_password": "1"},
    "life": {"renew_hours": "48", "suspend_days": "180"},
    "notices": {
        "notice_mail": ["expiring", "payment"],
        "notice_days": "7",
        "notice_interval": "3",
        "notice_hour": "18",
        "notice_quota": "90",
        "notice_balance": "5.00",
    },
    "papers": {"tax_id": "DE 1"},
}
STORED = {
    "system_name": "Acme Broadband",
    "locale": "en",
    "timezone": "Europe/Berlin",
    "currency": "EUR",
    "interim_interval": 600,
    "stale_factor": 5,
    "keep_sessions": 365,
    "max_session_time": 7200,
    "restricted_timeout": 120,
    "guard_attempts": 0,
    "guard_window": 900,
    "show_password": True,
    "renew_hours": 48,
    "suspend_days": 180,
    "notice_mail": ["expiring", "payment"],
    "notice_days": 7,
    "notice_interval": 3,
    "notice_hour": 18,
    "notice_quota": 90,
    "notice_balance": 500,
    "tax_id": "DE 1",
}
EN = {"Accept_Language": "en"}


@pytest.fixture
async def own(web: str, ps: PlatformScope) -> tuple[Scope, Browser]:
    """A system of its own, since its parameters are the business of every other page."""
    return await new_system(web, ps)


def place(tenant: Any) -> str:
    return f"/t/{tenant['slug']}/admin/parameters"


async def test_the_parameters_are_changed_part_by_part(ps: PlatformScope, own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    page = text(await owner.get(f"{place(tenant)}/system", **EN))
    assert "Plans expire at the end of a day in this zone." in page
    assert '<option value="Asia/Shanghai" selected>' in page and "interim_interval" not in page
    for part, fields in GOOD.items():
        version = (await ps.db.tenants.get(tenant["_id"]))["version"]
        answer = await owner.post(f"{place(tenant)}/{part}", {**fields, "_version": version})
        assert answer.headers["Location"] == place(tenant), part
    assert (await ps.db.tenants.get(tenant["_id"]))["parameters"] == tenant["parameters"] | STORED
    logged = await own[0].db.audit.find({"action": "parameters.update"}, sort=[("_id", 1)])
    assert len(logged) == len(GOOD) and logged[1]["changes"]["interim_interval"] == [300, 600]


async def test_every_parameter_is_in_one_part() -> None:
    parts = [list(parameters.form_of(part).model_fields) for part in parameters.PARTS]
    assert sorted(name for part in parts for name in part) == sorted(parameters.ParametersForm.model_fields)
    stored = set(platform.Parameters.__annotations__) - {"logo", "webhook", "webhook_secret"}
    assert stored <= set(parameters.ParametersForm.model_fields)


async def test_each_is_told_with_effect_default_and_who_changed_it(own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    page = text(await owner.get(place(tenant), **EN))
    assert all(str(field.title) in page for field in parameters.ParametersForm.model_fields.values())
    assert page.count("This is the default.") > 10 and "Set to default" not in page
    await owner.post(f"{place(tenant)}/sessions", GOOD["sessions"], **EN)
    page = text(await owner.get(place(tenant), **EN))
    assert "The parameters are saved." in page
    assert page.count("Set to default") == 5
    assert "Default: 300" in page and f"{own[0].actor.name}, 20" in page
    assert (await owner.post(f"{place(tenant)}/reset", {"name": "interim_interval"})).code == 303
    page = text(await owner.get(place(tenant), **EN))
    assert page.count("Set to default") == 4
    for name in ("system_name", "notice_mail", "logo", "nonsense", ""):
        assert (await owner.post(f"{place(tenant)}/reset", {"name": name})).code == 404, name


async def test_they_are_searched_in_the_readers_language(own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    found = text(await owner.get(f"{place(tenant)}?q=accounting", **EN))
    assert "Accounting interval" in found and "Time zone" not in found and "/parameters/papers" not in found
    assert "时区" in text(await owner.get(f"{place(tenant)}?q=%E6%97%B6%E5%8C%BA", Accept_Language="zh"))
    assert "Nothing matches." in text(await owner.get(f"{place(tenant)}?q=xyzzy", **EN))


@pytest.mark.parametrize(
    ("asked", "found", "path"),
    [
        ("pool low speed", "Log-ins after the end", "/plans"),
        ("oldest", "Above the concurrency limit", "/plans"),
        ("authentication password", "User check", "/nas"),
        ("operation log ever", "Operation log", "/log"),
        ("channel", "Webhook", "/notices/webhook"),
        ("precision", "Currency", "/parameters/system"),
        ("devices and sessions", "Maximum session time", "/parameters/sessions"),
    ],
)
async def test_what_is_set_elsewhere_is_found_too(
    own: tuple[Scope, Browser], asked: str, found: str, path: str
) -> None:
    tenant, owner = own[0].tenant, own[1]
    page = text(await owner.get(f"{place(tenant)}?q={asked.replace(' ', '+')}", **EN))
    shown = page[page.index('<div id="parameters">') :]
    assert found in shown and f'href="/t/{tenant["slug"]}/admin{path}"' in shown and "Time zone" not in shown


async def test_devices_that_ask_for_no_password_are_told_of(own: tuple[Scope, Browser]) -> None:
    scope, owner = own
    gate = await nas.create(scope, nas.NasForm(name="Lobby", vendor="mikrotik"))
    assert "ask for no password" not in text(await owner.get(place(scope.tenant), **EN))
    form = user_checks.UserCheckForm(user_check="none", confirm="Lobby")
    await user_checks.change(scope, gate["_id"], form)
    page = text(await owner.get(place(scope.tenant), **EN))
    assert "Devices that ask for no password." in page and f"/nas/{gate['_id']}" in page


async def test_the_currency_stays_once_there_is_money(cast: World, owner: Browser) -> None:
    form = {"system_name": "Acme", "locale": "zh", "timezone": "Asia/Shanghai", "currency": "USD"}
    answer = await owner.post(f"{place(cast.acme.scope.tenant)}/system", form)
    assert answer.code == 422 and told(text(answer), "currency")


async def test_a_switch_that_is_off_is_stored_as_off(ps: PlatformScope, own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    url = f"{place(tenant)}/security"
    assert (await owner.post(url, GOOD["security"])).code == 303
    off = {name: value for name, value in GOOD["security"].items() if name != "show_password"}
    assert (await owner.post(url, off)).code == 303
    assert (await ps.db.tenants.get(tenant["_id"]))["parameters"]["show_password"] is False


async def test_two_people_who_edit_the_parameters_are_told(ps: PlatformScope, own: tuple[Scope, Browser]) -> None:
    tenant, owner = own[0].tenant, own[1]
    url, fields = f"{place(tenant)}/system", GOOD["system"]
    assert (await owner.post(url, {**fields, "_version": tenant["version"]})).code == 303
    late = {**fields, "system_name": "Mine", "_version": tenant["version"]}
    answer = await owner.post(url, late, **EN)
    assert answer.code == 409 and "Someone else has changed this" in text(answer)
    assert (await ps.db.tenants.get(tenant["_id"]))["parameters"]["system_name"] == "Acme Broadband"


async def test_a_reader_sees_them_and_changes_nothing(web: str, ps: PlatformScope, cast: World) -> None:
    form = operators.GroupForm(name="Parameter readers", permissions=[Permission.PARAMETERS_READ])
    group = await operators.create_group(cast.acme.scope, form)
    reader = await operator_browser(web, ps, cast.acme, "ivan", group["_id"])
    url = place(cast.acme.scope.tenant)
    page = text(await reader.get(url, **EN))
    assert "Asia/Shanghai" in page and "not change them" in page and "/parameters/system" not in page
    assert (await reader.post(f"{url}/system", GOOD["system"])).code == 403
    assert (await reader.post(f"{url}/reset", {"name": "renew_hours"})).code == 403
    assert (await ps.db.tenants.get(cast.acme.id))["parameters"]["system_name"] == "Acme"


BAD: dict[str, dict[str, list[str]]] = {
    "system": {
        "system_name": ["", "x" * 65, HTML, "a\nb"],
        "locale": ["", "fr", HTML],
        "timezone": ["", "Mars/Olympus", HTML, "x" * 65],
        "currency": ["BTC", HTML],
    },
    "sessions": {
        "interim_interval": ["59", "3601", "abc", "1.5", HTML],
        "max_session_time": ["299", "2678401", "abc", HTML],
        "restricted_timeout": ["59", "3601", "abc", HTML],
        "stale_factor": ["1", "11", "2.5", HTML],
        "keep_sessions": ["-1", "1", "179", "3651", HTML],
    },
    "notices": {
        "notice_hour": ["-1", "24", "9:30", HTML],
        "notice_interval": ["-1", "31", HTML],
    },
    "security": {
        "guard_attempts": ["-1", "1001", "1.5", HTML],
        "guard_window": ["59", "86401", HTML],
        "show_password": ["maybe", HTML],
        "second_factor": ["maybe", HTML],
    },
}


@pytest.mark.parametrize("part", BAD)
async def test_bad_input_is_told_at_its_field(ps: PlatformScope, own: tuple[Scope, Browser], part: str) -> None:
    tenant, owner = own[0].tenant, own[1]

    async def rows() -> Any:
        return await ps.db.tenants.get(tenant["_id"])

    await refuse(owner, f"{place(tenant)}/{part}", GOOD[part], BAD[part], rows)
