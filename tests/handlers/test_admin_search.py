"""The search box: hits in groups, commands as far as the reader may, qualifiers, the jump to what is named in full."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from saas.tenants import operators
from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.people import operator_browser
from tests.handlers.usage import online
from tests.world import Business

EN = {"Accept_Language": "en"}
HTMX = {"HX_Request": "true"}


@pytest.fixture
def page(own: Business) -> str:
    return f"/t/{own.slug}/admin"


async def test_an_account_is_opened_at_once_and_shown_while_typing(boss: Browser, page: str, own: Business) -> None:
    here = f"{page}/accounts/{own.account['_id']}"
    for asked in ("alice", "ALICE", own.account["_id"]):
        answer = await boss.get(f"{page}/search?q={asked}")
        assert (answer.code, answer.headers["Location"]) == (303, here)
    shown = text(await boss.get(f"{page}/search?q=ali", **EN, **HTMX))
    assert "<html" not in shown and f'href="{here}"' in shown and "Monthly" in shown and ">Members<" in shown
    assert "Nothing is found" in text(await boss.get(f"{page}/search?q=nobody-here", **EN))
    assert (await boss.get(f"{page}/search")).code == 200


@pytest.mark.parametrize(
    ("language", "verb"), [("zh", "续费"), ("zh", "xf"), ("en", "renew"), ("en", "Renew the account")]
)
async def test_a_command_with_an_account_behind_it(
    boss: Browser, page: str, own: Business, language: str, verb: str
) -> None:
    quoted = quote(verb)
    answer = text(await boss.get(f"{page}/search?q={quoted}%20alice", Accept_Language=language, **HTMX))
    assert f'href="{page}/accounts/{own.account["_id"]}/renew"' in answer
    alone = text(await boss.get(f"{page}/search?q={quoted}", Accept_Language=language, **HTMX))
    assert "data-fill=" in alone


async def test_forcing_off_by_account_or_address(boss: Browser, page: str, own: Business, ps: PlatformScope) -> None:
    session = await online(ps, own, "search-1", framed_ip="10.77.0.1")
    for behind in ("alice", "10.77.0.1"):
        shown = text(await boss.get(f"{page}/search?q={quote('强制下线 ' + behind)}", **HTMX))
        assert f'href="{page}/sessions/{session["_id"]}/disconnect"' in shown, behind
    shown = text(await boss.get(f"{page}/search?q=10.77.0.1", **EN, **HTMX))
    assert (
        f'href="{page}/accounts/{own.account["_id"]}"' in shown and f'href="{page}/sessions/{session["_id"]}"' in shown
    )


async def test_a_name_that_nobody_has_offers_those_alike_and_to_open_it(
    boss: Browser, page: str, own: Business
) -> None:
    shown = text(await boss.get(f"{page}/search?q=alicx", **EN))
    assert "Nothing is found" in shown and "Similar accounts" in shown
    assert (
        f'href="{page}/accounts/{own.account["_id"]}"' in shown
        and f'href="{page}/accounts/open?username=alicx"' in shown
    )
    assert 'value="alicx"' in text(await boss.get(f"{page}/accounts/open?username=alicx", **EN))
    far = text(await boss.get(f"{page}/search?q=qqqqqqq", **EN))
    assert "Similar accounts" not in far and "username=qqqqqqq" in far
    assert "username=" not in text(await boss.get(f"{page}/search?q={quote('no such, thing')}", **EN))


@pytest.mark.parametrize("asked", ["2026-11-23", "2026/11/23", "20261123"])
async def test_a_day_leads_to_what_happened_on_it(boss: Browser, page: str, asked: str) -> None:
    shown = text(await boss.get(f"{page}/search?q={asked}", **EN))
    for path in ("payments", "sessions", "log"):
        assert f'href="{page}/{path}?since=2026-11-23&amp;until=2026-11-23"' in shown
        assert (await boss.get(f"{page}/{path}?since=2026-11-23&until=2026-11-23")).code == 200
    assert "since=" not in text(await boss.get(f"{page}/search?q=2026-13-45", **EN))


async def test_an_address_with_colons_is_no_qualifier(
    boss: Browser, page: str, own: Business, ps: PlatformScope
) -> None:
    await online(ps, own, "search-2", framed_ipv6="2001:db8::7", calling_station_id="AA-BB-CC-DD-EE-07")
    for asked in ("aa:bb:cc:dd:ee:07", "aabb.ccdd.ee07", "2001:db8::7"):
        shown = text(await boss.get(f"{page}/search?q={quote(asked)}", **EN, **HTMX))
        assert f'href="{page}/accounts/{own.account["_id"]}"' in shown, asked


async def test_an_id_is_shown_while_typing(boss: Browser, page: str, own: Business) -> None:
    payment = await own.scope.db.ledger.one({"kind": "payment"})
    for row_id, path in ((payment["_id"], "payments"), (own.nas["_id"], "nas"), (own.plan["_id"], "plans")):
        shown = text(await boss.get(f"{page}/search?q={row_id}", **EN, **HTMX))
        assert f'href="{page}/{path}/{row_id}"' in shown and "Nothing is found" not in shown


async def test_commands_are_pages_that_the_reader_may_open(
    web: str, boss: Browser, page: str, own: Business, ps: PlatformScope
) -> None:
    for asked, path in (("quick", "/accounts/open"), ("add a dev", "/nas/new"), ("operation log", "/log")):
        assert f'href="{page}{path}"' in text(await boss.get(f"{page}/search?q={quote(asked)}", **EN, **HTMX))
    group = await operators.create_group(own.scope, operators.GroupForm(name="seekers", permissions=[]))
    nobody = await operator_browser(web, ps, own, "seeker", group["_id"])
    for asked in ("quick", "add%20a%20dev", "operation", "alice", "renew%20alice", "10.77.0.1", own.account["_id"]):
        shown = await nobody.get(f"{page}/search?q={asked}", **EN)
        assert shown.code == 200 and "Nothing is found" in text(shown), asked


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ("状态:到期", "status=normal&expires=past"),
        ("status:expired", "status=normal&expires=past"),
        ("状态：停机", "status=suspended"),
        ("status:suspended plan:month", "status=suspended&plan_id={plan}"),
        ("套餐:Monthly ali", "q=ali&plan_id={plan}"),
    ],
)
async def test_qualifiers_lead_to_the_list(boss: Browser, page: str, own: Business, asked: str, where: str) -> None:
    answer = await boss.get(f"{page}/search?q={quote(asked)}", **EN)
    assert answer.headers["Location"] == f"{page}/accounts?{where.format(plan=own.plan['_id'])}"
    assert (await boss.get(answer.headers["Location"])).code == 200


@pytest.mark.parametrize("asked", ["status:nonsense", "plan:none-such", "color:red"])
async def test_a_qualifier_that_nobody_knows_finds_nothing(boss: Browser, page: str, asked: str) -> None:
    assert "Nothing is found" in text(await boss.get(f"{page}/search?q={asked}", **EN))
