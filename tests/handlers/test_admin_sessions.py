"""Sessions: list, detail, export."""

from __future__ import annotations

import pytest

from saas.tenants.scope import PlatformScope
from tests.browser import Browser, text
from tests.handlers.usage import ended, online
from tests.world import Business, World

EN = {"Accept_Language": "en"}


@pytest.fixture
def page(own: Business) -> str:
    return f"/t/{own.slug}/admin/sessions"


async def test_sessions_are_found_by_account_address_mac_device_state_and_day(
    boss: Browser, page: str, own: Business, cast: World, ps: PlatformScope
) -> None:
    facts = {"framed_ip": "10.9.2.1", "calling_station_id": "02-00-00-00-02-01"}
    first = await ended(ps, own, "find-1", "Idle-Timeout", **facts)
    second = await online(ps, own, "find-2", "stranger", framed_ip="10.9.2.2")

    async def found(query: str) -> set[str]:
        shown = text(await boss.get(f"{page}?{query}"))
        return {name for name, row in (("first", first), ("second", second)) if row["_id"] in shown}

    assert await found("q=10.9.2.1") == {"first"}
    assert await found("q=02-00-00-00-02-01") == {"first"}
    assert await found("q=STRANGER") == {"second"}
    assert await found("q=10.9.2.2&state=online") == {"second"}
    assert await found("q=10.9.2.2&state=ended") == set()
    assert await found(f"nas_id={own.nas['_id']}&q=10.9.2.1") == {"first"}
    assert await found("until=2001-01-01") == set()
    assert (await boss.get(f"{page}?since=never")).code == 400
    assert (await boss.get(f"{page}?nas_id={cast.zeta.nas['_id']}")).code == 400


async def test_a_session_is_told_in_words(boss: Browser, page: str, own: Business, ps: PlatformScope) -> None:
    facts = {"nas_port": 77, "nas_port_id": "ppp-77", "tunnel_client": "198.51.100.9", "called_station_id": "gw-1"}
    row = await ended(ps, own, "told-1", "Lost-Carrier", **facts)
    shown = text(await boss.get(f"{page}/{row['_id']}", **EN))
    exact = ("6,291,456 octets", "4,294,967,296 octets", "6.0 MB", "4.0 GB", "10 min")
    words = ("The line was lost", "Lost-Carrier", "The device reported the start", "The device reported the end")
    stored = ("told-1", "77", "ppp-77", "198.51.100.9", "gw-1", "203.0.113.7", "10.9.0.2", "AA-BB-CC-DD-EE-01")
    for word in (*exact, *words, *stored, f"/accounts/{own.account['_id']}", f"/nas/{own.nas['_id']}"):
        assert word in shown, word
    assert "Force off" not in shown


async def test_an_open_session_can_be_forced_off(boss: Browser, page: str, own: Business, ps: PlatformScope) -> None:
    row = await online(ps, own, "open-1")
    shown = text(await boss.get(f"{page}/{row['_id']}", **EN))
    assert "still online" in shown and f"{page}/{row['_id']}/disconnect" in shown


async def test_the_export(boss: Browser, page: str, own: Business, ps: PlatformScope) -> None:
    await ended(ps, own, "csv-1", "User-Request", framed_ip="10.9.2.9")
    head, row = text(await boss.get(f"{page}?q=10.9.2.9&format=csv", **EN)).splitlines()
    assert head.startswith("\ufeffAccount,Plan,Device,Address,Calling station,From,To,Duration,Upload,Download")
    assert row.startswith("alice,Monthly,East gate,10.9.2.9,AA-BB-CC-DD-EE-01,")
    assert row.endswith(",600,6291456,4294967296,The subscriber hung up")
