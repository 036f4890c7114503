"""What an account's page says of it: rules in words, what it pays by, the line."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saas.permissions import Permission
from saas.tenants import disconnects, life, nas, operators, plans, refusals, sessions, slots, wallet
from saas.tenants.scope import PlatformScope, Scope
from saas.tenants.standing import RESUME, SUSPEND, NoteForm
from saas.values import utcnow
from tests.browser import Browser, text
from tests.handlers.hostile import HTML, refuse
from tests.handlers.people import log_in, operator_browser
from tests.handlers.usage import online
from tests.world import Business, make_business, set_account

EN = {"Accept_Language": "en"}


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


@pytest.fixture
def scope(own: Business) -> Scope:
    return own.scope


async def changed_plan(own: Business, **values: Any) -> None:
    form = plans.form_of(own.plan) | values
    await plans.update(own.scope, own.plan["_id"], plans.PlanForm.model_validate(form))


async def fresh(ps: PlatformScope, web: str, **plan: Any) -> tuple[Business, Browser, str]:
    """A business of this test alone, its plan changed; its owner's browser, and the page of its account."""
    business = await make_business(ps, "rules")
    await changed_plan(business, **plan)
    browser = await log_in(web, ps, business, "bob")
    return business, browser, f"/t/{business.slug}/admin/accounts/{business.account['_id']}"


async def has(business: Business, **values: Any) -> None:
    await set_account(business.scope, business.account["_id"], **values)


@pytest.mark.parametrize(
    ("plan", "account", "words"),
    [
        ({}, {}, ["Can get online.", "Traffic and online time are not limited", "Good at all hours"]),
        ({}, {"octets_left": 3 << 29, "seconds_left": 3600}, ["Can get online.", "1.5 GB, 1 h left"]),
        ({}, {"octets_left": -5}, ["what the plan Monthly gives is used up", "Used up: 0 B left"]),
        (
            {"at_end": "pool", "end_pool": "poor"},
            {"octets_left": 0},
            ["Gets online in the pool poor only: what the plan Monthly gives is used up.", "leaves this by itself"],
        ),
        (
            {"at_end": "slow", "end_up_rate": "1", "end_down_rate": "2"},
            {"expires_at": utcnow() - timedelta(days=1)},
            ["Gets online at ↑ 1 Mbps ↓ 2 Mbps only: the plan Monthly ended on"],
        ),
        ({"bind_mac": "learn"}, {}, ["Will be bound to the first MAC address", "learnt at the next log-in"]),
        ({"bind_mac": "given"}, {"mac": "AA-BB-CC-00-00-01"}, ["Can get online.", "Bound to AA-BB-CC-00-00-01"]),
        ({}, {"mac": "AA-BB-CC-00-00-01", "vlan": "7"}, ["Not bound to a MAC address", "not checked"]),
        ({"bind_vlan": "given"}, {"vlan": "100.2"}, ["Bound to the VLAN 100.2"]),
        ({"bind_vlan": "learn"}, {}, ["Will be bound to the first VLAN"]),
    ],
)
async def test_the_verdict_names_the_rule(
    web: str, ps: PlatformScope, plan: dict[str, Any], account: dict[str, Any], words: list[str]
) -> None:
    business, browser, path = await fresh(ps, web, **plan)
    await has(business, **account)
    page = text(await browser.get(path, **EN))
    for word in words:
        assert word in page, word


async def test_who_pays_for_use_is_led_to_the_balance(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web)
    scope, admin = business.scope, f"/t/{business.slug}/admin"
    values = {"name": "Hourly", "kind": "per_hour", "price": "2.00"}
    hourly = await plans.create(scope, plans.PlanForm.model_validate(values))
    offer = text(await browser.get(f"{admin}/accounts/open/price?plan_id={hourly['_id']}&units=1", **EN))
    assert "0.00" in offer and "¥2.00 an hour" in offer
    await has(business, plan_id=hourly["_id"])
    page = text(await browser.get(path, **EN))
    assert "Cannot get online: the balance of ¥0.00 pays for no use of the plan Hourly." in page
    assert "Take money" in page and "Renew the account" not in page
    member = business.account["member_id"]
    await wallet.top_up(scope, member, wallet.TopUpForm(amount=1000), "top-up")
    page = text(await browser.get(path, **EN))
    assert "Can get online." in page and "The balance of ¥10.00 pays for 5 h left" not in page
    assert "The balance of ¥10.00 pays for 5 h" in page
    row = await online(ps, business, "by use")
    page = text(await browser.get(path, **EN))
    assert "Online now." in page and "¥0.16" in page
    assert "¥0.16" in text(await browser.get(f"{admin}/sessions/{row['_id']}", **EN))
    ledger = text(await browser.get(f"{admin}/ledger?q=alice", **EN))
    assert "Use of sessions" in ledger


async def test_what_a_device_refused_stands_beside_the_session(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web)
    row = await online(ps, business, "refused")
    attempt = await disconnects.request(business.scope, row["_id"])
    assert attempt["result"] == "no_engine"
    assert "No RADIUS engine took the request." in text(await browser.get(path, **EN))


async def test_outside_the_hours_the_verdict_says_when(web: str, ps: PlatformScope) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    today = utcnow().astimezone(zone)
    day = (today + timedelta(days=3)).strftime("%a").lower()
    _, browser, path = await fresh(ps, web, days=[day], hours_from="08:00", hours_until="09:00")
    page = text(await browser.get(path, **EN))
    opens = (today + timedelta(days=3)).strftime("%Y-%m-%d 08:00")
    assert f"the plan Monthly is good again from {opens} on." in page
    assert f"Outside the hours, until {opens}" in page


async def test_at_the_limit_the_verdict_says_who_gives_way(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web, over_limit="kick_oldest")
    counted = slots.Counted(business.id, business.account["_id"], 1, 960)
    wish = slots.SlotRequest(counted, "token", business.nas["_id"], "phone")
    await slots.reserve(ps, [wish])
    page = text(await browser.get(path, **EN))
    assert "Can get online." in page and "another device takes the place of the oldest" in page


@pytest.mark.parametrize(
    ("reason", "facts", "words"),
    [
        ("mac", {"sent": "AA-BB-CC-00-00-02"}, "Refused from AA-BB-CC-00-00-02: the account is bound to AA-BB-CC-00"),
        ("vlan", {"sent": "100.3"}, "Refused from 100.3: the account is bound to the VLAN 100.2."),
        ("vlan", {"sent": ""}, "Refused from an unknown line: the account is bound to the VLAN 100.2."),
    ],
)
async def test_a_refused_line_is_told_until_the_binding_is_released(
    web: str, ps: PlatformScope, reason: str, facts: dict[str, Any], words: str
) -> None:
    business, browser, path = await fresh(ps, web, bind_mac="given", bind_vlan="given")
    await has(business, mac="AA-BB-CC-00-00-01", vlan="100.2")
    station = facts["sent"] if reason == "mac" else ""
    at, host = utcnow().timestamp(), "203.0.113.7"
    knock = refusals.Refusal(
        business.id, business.nas["_id"], "alice", business.account["_id"], reason, facts, "pap", station, host, at
    )
    await refusals.keep(ps, [knock])
    page = text(await browser.get(path, **EN))
    assert words in page and "Release the binding" in page
    asked = text(await browser.get(f"{path}/release", **EN))
    assert "Release the binding?" in asked and "alice" in asked
    assert (await browser.post(f"{path}/release")).headers["Location"] == path
    assert "Can get online." in text(await browser.get(path, **EN))


async def test_a_line_is_edited_and_logged_in_words(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web, bind_mac="given")
    form = text(await browser.get(f"{path}/line", **EN))
    assert "binds to nothing" not in form
    fields = {"mac": "aabb.cc00.0001", "static_ip": "10.0.0.9", "delegated_prefix": "2001:db8:1::/56", "_version": 1}
    assert (await browser.post(f"{path}/line", fields)).headers["Location"] == path
    page = text(await browser.get(path, **EN))
    for word in ("AA-BB-CC-00-00-01", "10.0.0.9", "2001:db8:1::/56"):
        assert word in page, word
    assert (await browser.post(f"{path}/line", fields)).code == 409, "somebody else has changed it"
    entry = await business.scope.db.audit.one({"action": "account.line"})
    shown = text(await browser.get(f"/t/{business.slug}/admin/log/{entry['_id']}", **EN))
    for word in ("Changed an account", "MAC address", "AA-BB-CC-00-00-01", "Delegated IPv6 prefix"):
        assert word in shown, word


async def test_what_is_no_line_is_told_at_its_field(boss: Browser, admin: str, scope: Scope, own: Business) -> None:
    async def rows() -> Any:
        return await scope.db.accounts.get(own.account["_id"])

    bad = {
        "mac": ["x", "aa-bb", HTML, "1" * 33],
        "vlan": ["5000", "a", HTML, "1.2.3"],
        "static_ip": ["10.0.0", "2001:db8::1", HTML],
        "static_ipv6": ["10.0.0.1", "2001:db8::1/64", HTML],
        "delegated_prefix": ["2001:db8::1", "2001:db8::/129", HTML],
    }
    await refuse(boss, f"{admin}/accounts/{own.account['_id']}/line", {"mac": ""}, bad, rows)


def knock(business: Business, reason: str, ago: int, method: str = "mschapv2", **data: Any) -> refusals.Refusal:
    """A log-in that was refused some minutes ago."""
    ids = business.id, business.nas["_id"], "alice", business.account["_id"]
    at = (utcnow() - timedelta(minutes=ago)).timestamp()
    return refusals.Refusal(*ids, reason, data, method, "AA-BB-CC-00-00-02", "203.0.113.7", at)


def first_line(page: str) -> str:
    """The card that says whether the account can get online, with its buttons."""
    return page.split("op-verdict op-")[1].split("</section>")[0]


@pytest.mark.parametrize(
    ("account", "reason", "words", "ways"),
    [
        ({}, "password", "its password was wrong: 1 times", ["password"]),
        ({}, "guarded", "Locked out for a while", ["password"]),
        ({}, "method", "not the way it is asked at", ["nas"]),
        ({}, "eap", "the dialogue broke off", ["nas"]),
        ({"expires_at": utcnow() - timedelta(days=3)}, "expiry", "ended on", ["renew"]),
        ({"octets_left": 0}, "quota", "is used up", ["add", "renew"]),
        ({"status": "suspended", "suspended_at": utcnow()}, "status", "the account is Suspended", ["resume"]),
        ({"status": "closed"}, "status", "the account is Closed", ["open"]),
    ],
)
async def test_what_puts_it_right_is_a_button_of_the_first_line(
    web: str, ps: PlatformScope, account: dict[str, Any], reason: str, words: str, ways: list[str]
) -> None:
    business, browser, path = await fresh(ps, web)
    await has(business, **account)
    await refusals.keep(ps, [knock(business, reason, 3)])
    card = first_line(text(await browser.get(path, **EN)))
    assert words in card
    admin = path.rpartition("/accounts/")[0]
    pages = {"nas": f"{admin}/nas/{business.nas['_id']}", "open": f"{admin}/accounts/open"}
    assert re.findall(r'<a class="btn[^>]* href="([^"]*)"', card) == [pages.get(way, f"{path}/{way}") for way in ways]


async def test_a_plan_that_is_not_for_the_device_is_told_until_it_is_bound(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web)
    gate = await nas.create(business.scope, nas.NasForm(name="West gate", vendor="standard"))
    await changed_plan(business, nas_ids=[gate["_id"]])
    await refusals.keep(ps, [knock(business, "nas", 3, allowed=[gate["_id"]])])
    card = first_line(text(await browser.get(path, **EN)))
    assert "the plan Monthly is not for this device." in card and f"/plans/{business.plan['_id']}/edit" in card
    await changed_plan(business, nas_ids=[gate["_id"], business.nas["_id"]])
    assert "Can get online." in first_line(text(await browser.get(path, **EN)))


async def test_what_is_gone_is_told_as_such_and_forgotten_when_it_is_online_again(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web)
    await refusals.keep(ps, [knock(business, "expiry", 30), knock(business, "expiry", 29)])
    card = first_line(text(await browser.get(path, **EN)))
    assert "Refused 2 times since, last for a reason that is gone: Plan expired." in card and "btn" not in card
    await online(ps, business, "back")
    assert "Refused" not in first_line(text(await browser.get(path, **EN)))
    await sessions.clear_nas(business.scope, business.nas["_id"])
    card = first_line(text(await browser.get(path, **EN)))
    assert "Last online from" in card and "Refused" not in card


async def test_who_may_not_put_it_right_gets_no_button(web: str, ps: PlatformScope) -> None:
    business, _, path = await fresh(ps, web)
    await has(business, expires_at=utcnow() - timedelta(days=3))
    group = await operators.create_group(
        business.scope, operators.GroupForm(name="Look", permissions=[Permission.ACCOUNTS_READ])
    )
    reader = await operator_browser(web, ps, business, "looker", group["_id"])
    page = text(await reader.get(path, **EN))
    assert "ended on" in first_line(page) and "/renew" not in page


async def test_who_suspended_it_when_and_why(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web)
    await life.perform(business.scope, SUSPEND, business.account["_id"], NoteForm(note="away & off"), "suspended")
    card = first_line(text(await browser.get(path, **EN)))
    assert re.search(r"Suspended on 20\d\d-\d\d-\d\d \d\d:\d\d by .+: “away &amp; off”\.", card)
    await life.perform(business.scope, RESUME, business.account["_id"], NoteForm(), "resumed")
    assert "away" not in first_line(text(await browser.get(path, **EN)))


async def test_how_much_of_a_term_is_used(web: str, ps: PlatformScope) -> None:
    business, browser, path = await fresh(ps, web)
    await has(business, octets_left=1 << 30, term=business.account["term"] | {"octets": 4 << 30})
    page = text(await browser.get(path, **EN))
    assert "3.0 GB of 4.0 GB" in page and f'value="{3 << 30}" max="{4 << 30}"' in page
