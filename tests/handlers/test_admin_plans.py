"""The pages of plans."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from saas.tenants import accounts, nas, plans
from saas.tenants.scope import PlatformScope, Scope
from saas.values import new_id
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse, told
from tests.handlers.people import new_system
from tests.handlers.usage import online
from tests.world import World

EN = {"Accept_Language": "en"}
NEW = {"name": "Fibre 100", "kind": "prepaid_monthly", "price": "1,234.50", "up_rate": "20", "down_rate": "2.5"}


@pytest.fixture
def admin(cast: World) -> str:
    return f"/t/{cast.acme.slug}/admin"


@pytest.fixture
def scope(cast: World) -> Scope:
    return cast.acme.scope


async def plan(scope: Scope, name: str, **values: Any) -> plans.Plan:
    return await plans.create(scope, plans.PlanForm(name=name, price=3000, **values))


async def test_a_plan_is_added_and_shown_in_words(owner: Browser, admin: str, scope: Scope, cast: World) -> None:
    fields = {**NEW, "concurrency": "3", "address_pool": "pool-a", "nas_ids": cast.acme.nas["_id"], "note": "for all"}
    answer = await owner.post(f"{admin}/plans/new", fields)
    assert answer.code == 303
    place = answer.headers["Location"]
    stored = await plans.get(scope, place.rsplit("/", 1)[1])
    assert (stored["price"], stored["up_rate"], stored["down_rate"]) == (123450, 20_000_000, 2_500_000)
    assert (stored["concurrency"], stored["nas_ids"]) == (3, [cast.acme.nas["_id"]])
    page = text(await owner.get(place, Accept_Language="en"))
    for words in ("¥1,234.50", "20 Mbps", "2.5 Mbps", "3 at a time", "pool-a", "East gate", "Prepaid monthly"):
        assert words in page, words


async def test_a_double_click_adds_one_plan(owner: Browser, admin: str, scope: Scope) -> None:
    fields = {**NEW, "name": "Twice", "_attempt": "plan1"}
    answers = [await owner.post(f"{admin}/plans/new", fields) for _ in range(2)]
    assert [answer.code for answer in answers] == [303, 303]
    assert await scope.db.plans.count({"name": "Twice"}) == 1


async def test_the_list_shows_searches_and_filters(owner: Browser, admin: str, scope: Scope) -> None:
    await plan(scope, "List sold", concurrency=0)
    old = await plan(scope, "List old")
    await plans.set_status(scope, old["_id"], "retired")
    page = text(await owner.get(f"{admin}/plans?q=List", Accept_Language="en"))
    for words in ("List sold", "List old", "¥30.00", "unlimited", "Not on sale"):
        assert words in page, words
    page = text(await owner.get(f"{admin}/plans?q=List&status=active"))
    assert "List sold" in page and "List old" not in page


async def test_an_empty_list_says_what_a_plan_is_for(web: str, ps: PlatformScope) -> None:
    empty, owner = await new_system(web, ps)
    page = text(await owner.get(f"/t/{empty.tenant['slug']}/admin/plans", Accept_Language="en"))
    assert "No plan yet" in page and f"/t/{empty.tenant['slug']}/admin/plans/new" in page


async def test_the_page_leads_to_the_accounts_of_the_plan(owner: Browser, admin: str, cast: World) -> None:
    plan_id = cast.acme.plan["_id"]
    page = text(await owner.get(f"{admin}/plans/{plan_id}"))
    assert f'href="{admin}/accounts?plan_id={plan_id}">1</a>' in page
    assert "alice" in text(await owner.get(f"{admin}/accounts?plan_id={plan_id}"))


async def test_a_plan_is_changed(owner: Browser, admin: str, scope: Scope) -> None:
    row = await plan(scope, "Before", up_rate=12.5)
    url = f"{admin}/plans/{row['_id']}/edit"
    form = text(await owner.get(url))
    assert 'value="30.00"' in form and 'value="12.5"' in form
    answer = await owner.post(url, {"name": "After", "price": "0", "_version": row["version"]})
    assert answer.headers["Location"] == f"{admin}/plans/{row['_id']}"
    after = await plans.get(scope, row["_id"])
    assert (after["name"], after["price"], after["up_rate"]) == ("After", 0, 0)


async def test_two_people_who_edit_one_plan_are_told(owner: Browser, admin: str, scope: Scope) -> None:
    row = await plan(scope, "Contested")
    await plans.set_status(scope, row["_id"], "retired")
    fields = {"name": "Mine", "price": "1", "_version": row["version"]}
    answer = await owner.post(f"{admin}/plans/{row['_id']}/edit", fields, Accept_Language="en")
    assert answer.code == 409 and "Someone else has changed this" in text(answer)
    assert (await plans.get(scope, row["_id"]))["name"] == "Contested"


async def test_a_change_that_is_under_way_is_shown_until_it_is_done(owner: Browser, admin: str, scope: Scope) -> None:
    row = await plan(scope, "Huge", keeps=True)
    place = f"{admin}/plans/{row['_id']}"
    assert "A change is under way" not in text(await owner.get(place, Accept_Language="en"))
    actor = {"kind": "owner", "id": "own_1", "name": "boss", "address": ""}
    settling = {"open": True, "terms": {"price": 3000}, "after": "", "done": 3, "total": 9, "actor": actor}
    settling["values"] = {"name": "Huge", "price": 5000}
    await scope.db.plans.update_one({"_id": row["_id"]}, {"$set": {"settling": settling}})
    page = text(await owner.get(place, Accept_Language="en"))
    assert "A change is under way" in page and "3 of 9 accounts" in page and 'hx-trigger="every 2s"' in page
    fields = {**NEW, "name": "Huge", "_version": row["version"]}
    answer = await owner.post(f"{place}/edit", fields, Accept_Language="en")
    assert answer.code == 409 and "An earlier change of Huge is still under way." in text(answer)
    await plans.settle(scope, row["_id"])
    page = text(await owner.get(place, Accept_Language="en"))
    assert "A change is under way" not in page and "¥50.00" in page and "every 2s" not in page


async def test_a_plan_is_retired_and_offered_again(owner: Browser, admin: str, scope: Scope) -> None:
    row = await plan(scope, "Switched")
    url = f"{admin}/plans/{row['_id']}"
    for verb, status in (("retire", "retired"), ("offer", "active")):
        assert (await owner.post(f"{url}/{verb}")).headers["Location"] == url
        assert (await plans.get(scope, row["_id"]))["status"] == status
        assert (await owner.get(f"{url}/{verb}")).code == 405


async def test_a_plan_is_deleted_by_typing_its_name(owner: Browser, admin: str, scope: Scope) -> None:
    row = await plan(scope, "Doomed")
    url = f"{admin}/plans/{row['_id']}/delete"
    for wrong in ("", "doomed", HTML):
        answer = await owner.post(url, {"confirm": wrong})
        assert answer.code == 422 and told(text(answer), "confirm"), wrong
    assert (await plans.get(scope, row["_id"]))["name"] == "Doomed"
    assert (await owner.post(url, {"confirm": "Doomed"})).headers["Location"] == f"{admin}/plans"
    assert await scope.db.plans.count({"_id": row["_id"]}) == 0


async def test_a_plan_that_accounts_have_is_not_deleted(owner: Browser, admin: str, cast: World) -> None:
    row = cast.acme.plan
    url = f"{admin}/plans/{row['_id']}/delete"
    answer = await owner.post(url, {"confirm": row["name"]}, Accept_Language="en")
    assert answer.code == 409 and "in use" in text(answer)
    assert (await plans.get(cast.acme.scope, row["_id"]))["name"] == row["name"]


async def test_bad_input_is_told_at_its_field(owner: Browser, admin: str, scope: Scope, cast: World) -> None:
    await plan(scope, "Known already")
    numbers = ["abc", "-1", HTML, "1e999", "NaN"]
    bad = {
        "name": ["", "x" * 65, HTML, "a\nb", "Known already"],
        "kind": ["no-such", HTML],
        "price": ["", *numbers, "0.001", "99999999999999"],
        "up_rate": [*numbers, "100001", "0.0001"],
        "down_rate": [*numbers, "100001", "0.0001"],
        "concurrency": [*numbers, "1001", "1.5"],
        "address_pool": ["x" * 65, HTML, "a b"],
        "octets": [*numbers, "1000001"],
        "seconds": [*numbers, "100001"],
        "counted": ["all", HTML],
        "days": ["someday", HTML],
        "hours_from": ["25:00", "9:00", "24:01", "24:30", HTML],
        "hours_until": ["24:01", "12:60", "noon", HTML],
        "at_end": ["forgive", HTML],
        "end_pool": ["x" * 65, HTML, "a b"],
        "end_up_rate": numbers,
        "end_down_rate": numbers,
        "over_limit": ["kick_all", HTML],
        "idle_timeout": [*numbers, "86401", "1.5"],
        "bind_mac": ["maybe", HTML],
        "bind_vlan": ["maybe", HTML],
        "ipv6_pool": ["x" * 65, HTML, "a b"],
        "delegated_pool": ["x" * 65, HTML, "a b"],
        "nas_ids": ["no-such", HTML, cast.zeta.nas["_id"], ["x"] * 501],
        "bundle_months": [*numbers, "37", "1.5"],
        "valid_days": [*numbers, "1101", "1.5"],
        "tax_rate": [*numbers, "101"],
        "gift_days": [*numbers, "367"],
        "gift_octets": [*numbers, "1000001"],
        "late_from": ["never", HTML],
        "starts": ["someday", HTML],
        "note": ["x" * 501, HTML],
        "attributes": ["x" * 4001, HTML],
    }

    async def rows() -> Any:
        return await scope.db.plans.find(limit=1000)

    good = {**NEW, "name": "Never stored"}
    await refuse(owner, f"{admin}/plans/new", good, bad, rows)
    kept = await plan(scope, "Unharmed")
    await refuse(owner, f"{admin}/plans/{kept['_id']}/edit", good, bad, rows)


async def test_attributes_that_cannot_be_sent_are_told_with_their_line(
    owner: Browser, admin: str, scope: Scope
) -> None:
    url, good = f"{admin}/plans/new", {**NEW, "name": "With attributes"}
    for added, words in (
        ("Filter-Ident = x", "The engine knows no attribute Filter-Ident."),
        ("Class = 0x01", "Class is for the engine to say"),
        ("Framed-MTU = many", "In “Framed-MTU = many” the value does not fit"),
    ):
        answer = await owner.post(url, {**good, "attributes": added}, Accept_Language="en")
        assert answer.code == 409 and words in text(answer) and added in text(answer)
    answer = await owner.post(url, {**good, "attributes": "filter-id = gold", "visible": "1"})
    html = text(await owner.get(answer.headers["Location"], Accept_Language="en"))
    assert "Filter-Id = gold" in html and "Shown in self-service" in html


async def test_a_device_that_is_gone_leaves_the_page_whole(owner: Browser, admin: str, scope: Scope) -> None:
    gate = await nas.create(scope, nas.NasForm(name="Gone soon", vendor="standard"))
    row = await plan(scope, "Bound", nas_ids=[gate["_id"]])
    await scope.db.nas.delete(gate["_id"])
    page = await owner.get(f"{admin}/plans/{row['_id']}")
    assert page.code == 200 and "Gone soon" not in text(page)


RULES = {
    "octets": "1.5",
    "counted": "down",
    "seconds": "100",
    "days": ["sun", "sat"],
    "hours_from": "22:00",
    "hours_until": "06:00",
    "at_end": "slow",
    "end_up_rate": "0.064",
    "end_down_rate": "0.128",
    "over_limit": "kick_oldest",
    "idle_timeout": "900",
    "bind_mac": "learn",
    "bind_vlan": "given",
    "ipv6_pool": "six",
    "delegated_pool": "nets",
}


async def test_every_rule_is_stored_shown_and_edited(owner: Browser, admin: str, scope: Scope) -> None:
    answer = await owner.post(f"{admin}/plans/new", {**NEW, "name": "Strict", **RULES})
    assert answer.code == 303
    place = answer.headers["Location"]
    stored = await plans.get(scope, place.rsplit("/", 1)[1])
    assert (stored["octets"], stored["seconds"], stored["counted"]) == (3 * 2**29, 360_000, "down")
    assert (stored["days"], stored["hours_from"], stored["hours_until"]) == (["sat", "sun"], "22:00", "06:00")
    assert (stored["end_up_rate"], stored["end_down_rate"]) == (64_000, 128_000)
    page = text(await owner.get(place, Accept_Language="en"))
    for words in (
        "1.5 GB · Download only",
        "4 d 4 h",
        "Saturday, Sunday · 22:00–06:00",
        "Let in, at a low speed: ↑ 64 Kbps ↓ 128 Kbps",
        "The oldest session is forced off",
        "15 min",
        "Learnt at the first log-in",
        "Only where one is entered",
        "six",
        "nets",
    ):
        assert words in page, words
    form = text(await owner.get(f"{place}/edit"))
    for shown in ('value="1.5"', 'value="100"', 'value="22:00"', 'value="0.064"', 'value="900"'):
        assert shown in form, shown
    answer = await owner.post(f"{place}/edit", {**NEW, "name": "Strict", **RULES, "_version": stored["version"]})
    assert answer.code == 303
    again = await plans.get(scope, stored["_id"])
    assert {**again, "version": 0, "updated_at": 0} == {**stored, "version": 0, "updated_at": 0}


@pytest.mark.parametrize(
    ("values", "english", "chinese"),
    [
        (
            {"gift_days": "3", "octets": "100", "down_rate": "20"},
            "¥30.00 a month, with 100.0 GB of traffic, 3 days as a gift, 20 Mbps down and unlimited up, "
            "after the end log-ins are refused.",
            "每月 ¥30.00，含流量 100.0 GB，赠送 3 天，下行 20 Mbps、上行 不限，到期或用完后拒绝登录。",
        ),
        (
            {"kind": "buyout_traffic", "octets": "100", "valid_days": "30", "at_end": "pool", "end_pool": "walled"},
            "¥30.00 for 100.0 GB, good for 30 days, unlimited down and unlimited up, "
            "after the end log-ins get the pool walled.",
            "¥30.00 买断 100.0 GB 流量，有效期 30 天，",
        ),
        (
            {"kind": "buyout_months", "bundle_months": "12", "starts": "first_login"},
            "¥30.00 for 12 months, counted from the first log-in, ",
            "¥30.00 包 12 个月，首次登录起计时，",
        ),
        (
            {"kind": "buyout_time", "seconds": "100"},
            "¥30.00 for 4 d 4 h online, ",
            "¥30.00 买断 4 天 4 小时 上网时长，",
        ),
        (
            {"kind": "per_hour"},
            "¥30.00 an hour, unlimited down and unlimited up, without balance log-ins are refused.",
            "每小时 ¥30.00，",
        ),
        ({"kind": "free", "price": ""}, "Free of charge, unlimited down and unlimited up.", "免费，"),
    ],
)
async def test_a_plan_says_in_a_sentence_what_it_means(
    owner: Browser, admin: str, values: dict[str, str], english: str, chinese: str
) -> None:
    fields = {"name": f"Said {english[:24]}", "kind": "prepaid_monthly", "price": "30", **values}
    place = (await owner.post(f"{admin}/plans/new", fields)).headers["Location"]
    for language, words in (("en", english), ("zh", chinese)):
        assert words in text(await owner.get(place, Accept_Language=language)), language


async def test_who_edits_a_plan_is_told_for_whom(owner: Browser, admin: str, cast: World) -> None:
    page = text(await owner.get(f"{admin}/plans/{cast.acme.plan['_id']}/edit", Accept_Language="en"))
    assert "Accounts that have it: 1. Nothing changes for them yet." in page


async def test_a_plan_without_rules_says_so(owner: Browser, admin: str, cast: World) -> None:
    page = text(await owner.get(f"{admin}/plans/{cast.acme.plan['_id']}", Accept_Language="en"))
    for words in ("unlimited", "always", "The log-in is refused", "The newcomer is refused"):
        assert words in page, words
    assert "Bind to" not in page


async def test_who_is_let_in_after_the_end_is_held_to_something(owner: Browser, admin: str, scope: Scope) -> None:
    for fields, missing in (
        ({"at_end": "pool"}, ["end_pool"]),
        ({"at_end": "slow"}, ["end_up_rate", "end_down_rate"]),
        ({"at_end": "slow", "end_up_rate": "1"}, ["end_down_rate"]),
    ):
        answer = await owner.post(f"{admin}/plans/new", {**NEW, "name": "Never stored", **fields})
        assert answer.code == 422
        assert all(told(text(answer), field) for field in missing), fields
    assert await scope.db.plans.count({"name": "Never stored"}) == 0


@pytest.fixture
async def gold(scope: Scope) -> plans.Plan:
    """A plan that nobody has yet."""
    return await plan(scope, new_id("Gold"), down_rate=50, up_rate=10)


async def look(owner: Browser, path: str, **fields: str) -> str:
    """The box beside a form in which this stands, as htmx gets it."""
    told = {"kind": "prepaid_monthly", "price": "30", "down_rate": "50", "up_rate": "10", "concurrency": "1", **fields}
    return text(await owner.get(f"{path}?{urlencode(told)}", HX_Request="true", **EN)).split('id="preview"')[1]


async def test_a_new_plan_is_told_in_a_sentence_before_it_is_saved(owner: Browser, admin: str) -> None:
    assert "¥30.00 a month, 50 Mbps down" in await look(owner, f"{admin}/plans/new")
    by_use = await look(owner, f"{admin}/plans/new", kind="per_mb", price="0.01")
    assert "¥0.01 a MB" in by_use and "nothing is paid in advance" in by_use


async def test_what_is_still_missing_is_told_in_its_place(owner: Browser, admin: str) -> None:
    assert "op-alert-danger" in await look(owner, f"{admin}/plans/new", kind="buyout_traffic")


async def test_a_plan_as_it_is_stands_beside_its_form(owner: Browser, admin: str, gold: plans.Plan) -> None:
    page = text(await owner.get(f"{admin}/plans/{gold['_id']}/edit", **EN)).split('id="preview"')[1]
    assert "¥30.00 a month, 50 Mbps down" in page and "No account has this plan yet." in page


async def test_what_changes_is_shown_before_and_after_and_for_whom(
    owner: Browser, admin: str, cast: World, ps: PlatformScope, gold: plans.Plan
) -> None:
    path = f"{admin}/plans/{gold['_id']}/edit"
    dear = {"name": gold["name"], "price": "40", "note": "dearer"}
    assert "No account has this plan yet." in await look(owner, path, **dear)
    name = new_id("acc")[-12:]
    form = accounts.QuickOpenForm(username=name, plan_id=gold["_id"])
    await accounts.quick_open(cast.acme.scope, form, f"open{name}")
    await online(ps, cast.acme, name, username=name)
    shown = await look(owner, path, **dear)
    assert "¥30.00</span> → <strong>¥40.00" in shown and "dearer" in shown
    assert "Accounts that have it: 1. It holds from their next log-in on" in shown
    assert "Sessions that are open: 1." in shown
    shown = await look(owner, path, **dear, keeps="1")
    assert "They keep its tariff, as version 1 is." in shown and "What is no matter of the tariff" in shown
    assert (await plans.get(cast.acme.scope, gold["_id"]))["version"] == 1  # to look changes nothing
