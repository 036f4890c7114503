"""The page of unknown devices: what is shown and said, and adopting one with a click."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import replace
from html import unescape
from urllib.parse import quote_plus

import pytest

from saas.tenants import refusals
from saas.tenants.refusals import UnknownNas
from saas.tenants.scope import PlatformScope
from saas.values import new_id, normal_address
from tests.browser import Browser, text
from tests.handlers.people import log_in
from tests.world import Business, make_business

EN = {"Accept_Language": "en"}
GATE = normal_address(f"2001:db8::{secrets.token_hex(2)}:{secrets.token_hex(2)}")  # which no other test has registered


@pytest.fixture
async def business(ps: PlatformScope) -> Business:
    """A business that shares its pool with another one."""
    pool = new_id("pool")
    made = await make_business(ps, "adopt")
    other = await make_business(ps, "other")
    await ps.db.tenants.update(other.id, {"$set": {"pool": pool}})
    tenant = await ps.db.tenants.update(made.id, {"$set": {"pool": pool}})
    return replace(made, scope=ps.enter(tenant, made.scope.actor))


@pytest.fixture
async def bob(web: str, ps: PlatformScope, business: Business) -> Browser:
    """A browser of its operator."""
    return await log_in(web, ps, business, "bob")


async def knock(ps: PlatformScope, business: Business, identifier: str, cause: str = "unknown_nas") -> None:
    note = UnknownNas(business.scope.tenant["pool"], GATE, identifier, cause, 14, time.time())
    await refusals.keep(ps, [note])


async def test_an_unknown_device_is_adopted(bob: Browser, business: Business, ps: PlatformScope) -> None:
    admin = f"/t/{business.slug}/admin"
    identifier = f"rb-{secrets.token_hex(4)}"
    await knock(ps, business, identifier)
    page = text(await bob.get(f"{admin}/unknown", **EN))
    assert identifier not in page and "Nobody has knocked" in page and "(127.0.0.1)" in page
    page = text(await bob.get(f"{admin}/unknown?address={GATE}", **EN))
    for words in (identifier, GATE, "Not registered", "If it is yours, adopt it"):
        assert words in page, words
    assert re.search(r">\s*14\s*<", page)
    link = unescape(next(iter(re.findall(r'href="([^"]*/nas/new\?[^"]*)"', page))))
    form = text(await bob.get(link, **EN))
    assert f'value="{identifier}"' in form and '<option value="identifier" selected' in form
    fields = {"name": "New gate", "vendor": "standard", "mode": "identifier", "identifier": identifier}
    assert (await bob.post(link, fields, **EN)).code == 303
    found = await business.scope.db.nas.one({"name": "New gate"})
    assert found["identifier"] == identifier


async def test_a_device_that_sends_no_identifier_is_adopted_by_its_address(
    bob: Browser, business: Business, ps: PlatformScope
) -> None:
    admin = f"/t/{business.slug}/admin"
    for identifier in ("", "not <a> good one"):
        await knock(ps, business, identifier)
    page = text(await bob.get(f"{admin}/unknown?address={GATE}", **EN))
    assert "not &lt;a&gt; good one" in page
    links = {unescape(link) for link in re.findall(r'href="([^"]*/nas/new\?[^"]*)"', page)}
    assert links == {f"{admin}/nas/new?mode=ip&address={quote_plus(GATE)}"}
    form = text(await bob.get(links.pop(), **EN))
    assert f'value="{GATE}"' in form and '<option value="ip" selected' in form


async def test_a_device_of_ones_own_is_opened_instead(bob: Browser, business: Business, ps: PlatformScope) -> None:
    admin = f"/t/{business.slug}/admin"
    await knock(ps, business, business.nas["identifier"], "missing_message_authenticator")
    page = text(await bob.get(f"{admin}/unknown", **EN))
    assert "No Message-Authenticator" in page and "Let the device send it" in page
    assert f'href="{admin}/nas/{business.nas["_id"]}"' in page and "/nas/new?" not in page


async def test_half_an_address_and_too_many(bob: Browser, business: Business, ps: PlatformScope) -> None:
    path = f"/t/{business.slug}/admin/unknown"
    answer = await bob.get(f"{path}?address=203.0.113", **EN)
    assert answer.code == 200 and "This is not an IP address." in text(answer)
    codes = [(await bob.get(f"{path}?address=192.0.2.{number}", **EN)).code for number in range(12)]
    assert codes == [200] * 10 + [429] * 2


async def test_a_device_that_is_waited_for_is_found_from_where_it_is_said_to_be(
    bob: Browser, business: Business, ps: PlatformScope
) -> None:
    """Its page watches the address that was typed in, and adopts what comes from there; nothing else is seen."""
    page = f"/t/{business.slug}/admin/nas/{business.nas['_id']}"
    assert "Is the device elsewhere?" in text(await bob.get(page, **EN))
    watched = f"{page}/state?address={quote_plus(GATE)}"
    shown = unescape(text(await bob.get(f"{page}?address={quote_plus(GATE)}", **EN)))
    assert f'hx-get="{watched}"' in shown and "Waiting for the first packet" in shown
    assert "This is not an IP address." in text(await bob.get(f"{page}?address=gate", **EN))
    identifier = f"rb-{secrets.token_hex(4)}"
    note = UnknownNas(business.scope.tenant["pool"], GATE, identifier, "unknown_nas", 1, time.time() + 1)
    await refusals.keep(ps, [note])
    assert identifier not in text(await bob.get(f"{page}/state", HX_Request="true", **EN))
    found = unescape(text(await bob.get(watched, HX_Request="true", **EN)))
    assert identifier in found and "Is it this device?" in found
    action = re.findall(r'action="([^"]*/adopt[^"]*)"', found)[0]
    bare = action.replace(f"&address={quote_plus(GATE)}", "")
    assert bare != action and (await bob.post(bare)).code == 404
    assert (await bob.post(action)).code == 303
    row = await business.scope.db.nas.get(business.nas["_id"])
    assert (row["mode"], row["identifier"]) == ("identifier", identifier)


async def test_its_page_asks_for_no_more_addresses_than_the_list(bob: Browser, business: Business) -> None:
    page = f"/t/{business.slug}/admin/nas/{business.nas['_id']}"
    shown = [text(await bob.get(f"{page}?address=192.0.2.{number}", **EN)) for number in range(11)]
    assert ["You have asked for many addresses" in each for each in shown] == [False] * 10 + [True]
    assert "/state?address=" in shown[9] and "/state?address=" not in shown[10]
