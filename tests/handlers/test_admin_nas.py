"""The pages of NAS devices."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from saas.tenants import engines, nas, plans, platform
from saas.tenants.disconnects import CommandResult
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id, utcnow
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse, told
from tests.handlers.people import new_system
from tests.tenants.test_probes import Worker
from tests.world import NAS_SECRET, World

NEW = {"name": "North gate", "vendor": "mikrotik"}


@pytest.fixture
def admin(cast: World) -> str:
    return f"/t/{cast.acme.slug}/admin"


@pytest.fixture
def scope(cast: World) -> Scope:
    return cast.acme.scope


async def device(scope: Scope, name: str, **values: Any) -> nas.Nas:
    return await nas.create(scope, nas.NasForm(name=name, vendor="mikrotik", secret=NAS_SECRET, **values))


async def heartbeat(ps: PlatformScope, *devices: engines.DeviceCount) -> None:
    """An engine of the shared pool lives and has seen these devices."""
    now = time.time()
    report = engines.EngineReport(
        platform.SHARED_POOL, "tests:1", "radius.test", 1812, 1813, 0, "running", "1", now, now
    )
    await engines.heartbeat(ps, report, devices)


async def test_a_device_is_added_with_an_identifier_and_a_secret_made_for_it(
    owner: Browser, admin: str, scope: Scope
) -> None:
    answer = await owner.post(f"{admin}/nas/new", NEW)
    assert answer.code == 303
    place = answer.headers["Location"]
    stored = await nas.get(scope, place.rsplit("/", 1)[1])
    assert stored["name"] == "North gate" and stored["status"] == "active"
    assert stored["identifier"].startswith("nas-") and len(scope.unseal(stored["sealed_secret"])) >= 16
    page = text(await owner.get(place, Accept_Language="en"))
    assert stored["identifier"] in page and scope.unseal(stored["sealed_secret"]) not in page
    assert "Waiting for the first packet" in page and 'hx-trigger="every 3s"' in page


async def test_a_double_click_adds_one_device(owner: Browser, admin: str, scope: Scope) -> None:
    fields = {"name": "Twice", "vendor": "openvpn", "_attempt": "abc123"}
    first = await owner.post(f"{admin}/nas/new", fields)
    second = await owner.post(f"{admin}/nas/new", fields)
    assert first.code == second.code == 303
    assert first.headers["Location"] == second.headers["Location"]
    assert await scope.db.nas.count({"name": "Twice"}) == 1


async def test_the_form_comes_with_an_identifier_and_makes_another_one(owner: Browser, admin: str) -> None:
    assert 'value="nas-' in text(await owner.get(f"{admin}/nas/new"))
    fields = [text(await owner.get(f"{admin}/nas/identifier", HX_Request="true")) for _ in range(2)]
    assert all('name="identifier"' in field and "<html" not in field for field in fields)
    assert fields[0] != fields[1]


async def test_the_list_shows_searches_and_filters(owner: Browser, admin: str, scope: Scope) -> None:
    there = await device(scope, "List here", mode="ip", address="192.0.2.77")
    off = await device(scope, "List off")
    await nas.set_status(scope, off["_id"], "disabled")
    page = text(await owner.get(f"{admin}/nas?q=List"))
    assert "List here" in page and "List off" in page and "192.0.2.77" in page
    for query in ("q=192.0.2.77", f"q={there['identifier']}", "q=List&status=active"):
        page = text(await owner.get(f"{admin}/nas?{query}"))
        assert "List here" in page and "List off" not in page, query
    assert (await owner.get(f"{admin}/nas?status=no-such")).code == 400
    assert text(await owner.get(f"{admin}/nas?format=csv&q=List")).count("\r\n") == 3


async def test_the_list_says_which_device_is_in_trouble(owner: Browser, admin: str, scope: Scope, ps: Any) -> None:
    now = time.time()
    seen = {
        "Works": (0.0, now, {}),
        "Silent": (0.0, now - 86400, {}),
        "Wrong shared secret": (now, now - 60, {"bad_authenticator": 3}),
        "No Message-Authenticator": (now, 0.0, {"missing_message_authenticator": 1}),
        "Packets dropped": (now, 0.0, {"bad_attribute": 1}),
    }
    for word, (dropped_at, last_at, dropped) in seen.items():
        row = await device(scope, f"Trouble {word}")
        facts = {"dropped": dropped, "dropped_at": dropped_at, "last_drop": next(iter(dropped), "")}
        await heartbeat(ps, engines.DeviceCount(scope.tenant_id, row["_id"], last_at, **facts))
    await device(scope, "Trouble No packet yet")
    exported = text(await owner.get(f"{admin}/nas?q=Trouble&format=csv", Accept_Language="en")).splitlines()[1:]
    assert len(exported) == 6
    for line in exported:
        assert f",{line.split(',')[0].removeprefix('Trouble ')}," in line, line
    assert "op-badge op-red" in text(await owner.get(f"{admin}/nas?q=Trouble"))


async def test_an_empty_list_says_what_to_do_first(web: str, ps: PlatformScope) -> None:
    empty, owner = await new_system(web, ps)
    page = text(await owner.get(f"/t/{empty.tenant['slug']}/admin/nas", Accept_Language="en"))
    assert "No device yet" in page and f"/t/{empty.tenant['slug']}/admin/nas/new" in page


async def test_the_tier_limits_the_devices(web: str, ps: PlatformScope) -> None:
    free, owner = await new_system(web, ps)
    for number in range(platform.TIERS["free"].nas):
        await device(free, f"Gate {number}")
    answer = await owner.post(f"/t/{free.tenant['slug']}/admin/nas/new", NEW, Accept_Language="en")
    assert answer.code == 409 and "limit of your tier" in text(answer)


async def test_the_configuration_hides_the_secret_until_it_is_asked_for(
    owner: Browser, admin: str, scope: Scope, ps: PlatformScope
) -> None:
    row = await device(scope, "Secretive")
    await heartbeat(ps)
    page = text(await owner.get(f"{admin}/nas/{row['_id']}"))
    assert "radius.test" in page and "/radius add" in page and "radiusplugin.cnf" in page
    assert NAS_SECRET not in page
    part = text(await owner.post(f"{admin}/nas/{row['_id']}/secret", HX_Request="true"))
    assert NAS_SECRET in part and "<html" not in part
    whole = text(await owner.post(f"{admin}/nas/{row['_id']}/secret"))
    assert NAS_SECRET in whole and "<html" in whole
    looks = await scope.db.audit.find({"target": row["_id"], "action": "nas.secret"})
    assert [look["actor_name"] for look in looks] == [scope.actor.name] * 2


async def test_without_an_engine_there_is_no_configuration(web: str, ps: PlatformScope) -> None:
    empty, owner = await new_system(web, ps, pool="idle")
    row = await device(empty, "Lonely")
    page = text(await owner.get(f"/t/{empty.tenant['slug']}/admin/nas/{row['_id']}", Accept_Language="en"))
    assert "No engine runs" in page and "/radius add" not in page


async def test_the_state_tells_what_came_and_why_it_was_dropped(
    owner: Browser, admin: str, scope: Scope, ps: PlatformScope
) -> None:
    row = await device(scope, "Talkative")
    url = f"{admin}/nas/{row['_id']}/state"
    seen = partial(engines.DeviceCount, scope.tenant_id, row["_id"])
    part = text(await owner.get(url, HX_Request="true", Accept_Language="en"))
    assert "Waiting for the first packet" in part and 'hx-trigger="every 3s"' in part
    dropped = {"dropped": {"bad_authenticator": 3}, "dropped_at": time.time(), "last_drop": "bad_authenticator"}
    await heartbeat(ps, seen(0, **dropped))
    part = text(await owner.get(url, HX_Request="true", Accept_Language="en"))
    assert "Wrong shared secret" in part and "Copy the shared secret" in part and 'hx-trigger="every 3s"' in part
    await heartbeat(ps, seen(time.time(), accepted=7, rejected=2))
    part = text(await owner.get(url, HX_Request="true", Accept_Language="en"))
    assert "It works." in part and "hx-trigger" not in part and "<html" not in part
    assert [f'op-stat-value">{n}<' in part for n in (7, 2, 3)] == [True] * 3
    assert utcnow().astimezone().strftime("%Y-") in text(await owner.get(f"{admin}/nas?q=Talkative"))
    await heartbeat(ps, seen(0, **dropped | {"dropped_at": time.time() + 1}))  # somebody has changed the secret there
    part = text(await owner.get(url, HX_Request="true", Accept_Language="en"))
    assert "It works." not in part and "To the shared secret" in part


async def test_a_change_keeps_the_secret_unless_a_new_one_is_given(owner: Browser, admin: str, scope: Scope) -> None:
    row = await device(scope, "Old name")
    url = f"{admin}/nas/{row['_id']}/edit"
    assert NAS_SECRET not in text(await owner.get(url))
    values = {"name": "New name", "vendor": "openvpn", "identifier": "", "coa_port": "1700"}
    assert (await owner.post(url, {**values, "_version": row["version"]})).code == 303
    after = await nas.get(scope, row["_id"])
    assert (after["name"], after["vendor"], after["coa_port"]) == ("New name", "openvpn", 1700)
    assert after["identifier"] == row["identifier"] and scope.unseal(after["sealed_secret"]) == NAS_SECRET
    assert (await owner.post(url, {**values, "secret": "another-secret"})).code == 303
    assert scope.unseal((await nas.get(scope, row["_id"]))["sealed_secret"]) == "another-secret"


async def test_two_people_who_edit_one_device_are_told(owner: Browser, admin: str, scope: Scope) -> None:
    row = await device(scope, "Contested")
    await nas.set_status(scope, row["_id"], "disabled")
    values = {"name": "Mine", "vendor": "mikrotik", "_version": row["version"]}
    answer = await owner.post(f"{admin}/nas/{row['_id']}/edit", values, Accept_Language="en")
    assert answer.code == 409 and "Someone else has changed this" in text(answer) and 'value="Mine"' in text(answer)
    assert (await nas.get(scope, row["_id"]))["name"] == "Contested"


async def test_a_device_is_disabled_and_enabled(owner: Browser, admin: str, scope: Scope) -> None:
    row = await device(scope, "Switched")
    url = f"{admin}/nas/{row['_id']}"
    for verb, status in (("disable", "disabled"), ("enable", "active")):
        assert (await owner.post(f"{url}/{verb}")).headers["Location"] == url
        assert (await nas.get(scope, row["_id"]))["status"] == status
        assert (await owner.get(f"{url}/{verb}")).code == 405


async def test_what_a_device_checks_is_lessened_by_typing_its_name(owner: Browser, admin: str, scope: Scope) -> None:
    row = await device(scope, "Lobby")
    url = f"{admin}/nas/{row['_id']}"
    shown = text(await owner.get(url, Accept_Language="en"))
    assert "Account and password" in shown and "asks for no password" not in shown
    form = text(await owner.get(f"{url}/user-check", Accept_Language="en"))
    assert "need the right password whatever is chosen" in form and "Nothing: anybody gets in" in form
    for values in ({"user_check": "none"}, {"user_check": "account", "confirm": "lobby"}):
        answer = await owner.post(f"{url}/user-check", values)
        assert answer.code == 422 and told(text(answer), "confirm")
    assert (await nas.get(scope, row["_id"]))["user_check"] == "password"
    for value, warning in (("none", "without an account"), ("account", "with any password")):
        answer = await owner.post(f"{url}/user-check", {"user_check": value, "confirm": "Lobby"})
        assert answer.headers["Location"] == url
        shown = text(await owner.get(url, Accept_Language="en"))
        assert "It asks for no password." in shown and warning in shown
    assert (await owner.post(f"{url}/user-check", {"user_check": "password"})).code == 303
    assert "asks for no password" not in text(await owner.get(url, Accept_Language="en"))
    assert (await owner.post(f"{url}/user-check", {"user_check": "maybe", "confirm": "Lobby"})).code == 422
    (logged, *_) = await scope.db.audit.find({"action": "nas.user_check", "target": row["_id"]})
    page = text(await owner.get(f"{admin}/log/{logged['_id']}", Accept_Language="en"))
    assert "Changed what a device checks of a log-in" in page and "Account only, any password" in page


async def test_a_device_is_deleted_by_typing_its_name(owner: Browser, admin: str, scope: Scope) -> None:
    row = await device(scope, "Doomed")
    url = f"{admin}/nas/{row['_id']}/delete"
    assert "Doomed" in text(await owner.get(url))
    wrong = await owner.post(url, {"confirm": "doomed"})
    assert wrong.code == 422 and told(text(wrong), "confirm")
    assert (await nas.get(scope, row["_id"]))["name"] == "Doomed"
    assert (await owner.post(url, {"confirm": "Doomed"})).headers["Location"] == f"{admin}/nas"
    assert await scope.db.nas.count({"_id": row["_id"]}) == 0


async def test_a_device_in_use_is_not_deleted_and_the_reason_is_said(owner: Browser, admin: str, scope: Scope) -> None:
    row = await device(scope, "Needed")
    url = f"{admin}/nas/{row['_id']}"
    plan = await plans.create(scope, plans.PlanForm(name="Needs it", price=100, nas_ids=[row["_id"]]))
    assert "Needs it" in text(await owner.get(url))
    answer = await owner.post(f"{url}/delete", {"confirm": "Needed"}, Accept_Language="en")
    assert answer.code == 409 and "in use" in text(answer)
    await plans.delete(scope, plan["_id"])
    session = {"_id": new_id("ses"), "key": "needed", "epoch": 0, "open": True, "nas_id": row["_id"]}
    await scope.db.online.insert(session)
    answer = await owner.post(f"{url}/delete", {"confirm": "Needed"}, Accept_Language="en")
    await scope.db.online.delete(session["_id"])
    assert answer.code == 409 and "online on Needed" in text(answer)
    assert (await nas.get(scope, row["_id"]))["name"] == "Needed"


async def test_bad_input_is_told_at_its_field(owner: Browser, admin: str, scope: Scope, cast: World) -> None:
    bad = {
        "name": ["", " ", "x" * 65, HTML, "a\nb", ["a", "b"], cast.acme.nas["name"]],
        "vendor": ["", "no-such", HTML],
        "mode": ["no-such", HTML],
        "identifier": ["x" * 65, HTML, "with space", cast.zeta.nas["identifier"]],
        "address": ["x" * 46, HTML, "300.1.1.1", "host.example.com"],
        "ddns": ["x." * 130 + "com", HTML, "under_score.example.com"],
        "secret": ["short", "x" * 65, "schlüssel-geheim", "with a space"],
        "coa_port": ["0", "65536", "abc", "1.5", HTML],
        "message_authenticator": ["no-such", HTML],
        "note": ["x" * 501, HTML],
    }

    async def rows() -> Any:
        return await scope.db.nas.find(limit=1000)

    await refuse(owner, f"{admin}/nas/new", {**NEW, "name": "Never stored"}, bad, rows)
    kept = await device(scope, "Unharmed")
    await refuse(owner, f"{admin}/nas/{kept['_id']}/edit", {**NEW, "name": "Never stored"}, bad, rows)


@pytest.mark.parametrize(("mode", "field"), [("ip", "address"), ("ddns", "ddns")])
async def test_a_mode_needs_its_address(owner: Browser, admin: str, scope: Scope, mode: str, field: str) -> None:
    answer = await owner.post(f"{admin}/nas/new", {**NEW, "name": f"Without {mode}", "mode": mode})
    assert answer.code == 422 and told(text(answer), field)
    assert await scope.db.nas.count({"name": f"Without {mode}"}) == 0


async def test_a_secret_of_any_signs_is_shown_as_it_is(owner: Browser, admin: str, scope: Scope) -> None:
    row = await device(scope, "Markup")
    await scope.db.nas.update(row["_id"], {"$set": {"sealed_secret": scope.seal(HTML)}})
    part = text(await owner.post(f"{admin}/nas/{row['_id']}/secret", HX_Request="true"))
    assert HTML not in part and "&lt;script&gt;alert(1)&lt;/script&gt;" in part


async def test_forcing_off_is_tried_out(web: str, ps: PlatformScope) -> None:
    """Whatever comes of it is said in words; a type that cannot be told says so at once."""
    empty, owner = await new_system(web, ps, pool=new_id("pool"))
    row = await device(empty, "Probed")
    place = f"/t/{empty.tenant['slug']}/admin/nas/{row['_id']}"
    page = text(await owner.get(place, Accept_Language="en"))
    assert "nobody is thrown off" in page and f"{place}/probe" in page
    for answer, words in (
        (CommandResult("nak", 1, 503, 12, "192.0.2.9:3799"), "forcing off works"),
        (CommandResult("nak", 1, 403, 12, "192.0.2.9:3799"), "it is not the one meant"),
        (CommandResult("unreachable", 0), "address is not known"),
    ):
        async with Worker(ps, empty.tenant["pool"], answer):
            part = text(await owner.post(f"{place}/probe", HX_Request="true", Accept_Language="en"))
        assert words in part and "<html" not in part, words
        assert ("Answered after 12 ms by 192.0.2.9:3799" in part) == (answer.rtt_ms is not None)
    assert "Tested whether" in text(await owner.get(place.split("/nas/")[0] + "/log", Accept_Language="en"))
    await nas.update(empty, row["_id"], nas.NasForm(name="Probed", vendor="openvpn"))
    page = text(await owner.get(place, Accept_Language="en"))
    assert "ends no session" in page and f"{place}/probe" not in page
