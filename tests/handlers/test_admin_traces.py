"""Traces in the console: begin, watch, download, stop; who may, how many, and that they are on record."""

from __future__ import annotations

import time

import pytest

from saas.permissions import Permission
from saas.tenants import nas, operators, traces
from saas.tenants.scope import PlatformScope
from saas.tenants.traces import TracedPacket
from tests.browser import Browser, text
from tests.handlers.people import operator_browser
from tests.world import Business, make_business

EN = {"Accept_Language": "en"}
HTML = "<b>x</b>"


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


@pytest.fixture(autouse=True)
async def nothing_runs(own: Business) -> None:
    for trace in await traces.running(own.scope):
        await traces.stop(own.scope, trace.id)


async def begun(browser: Browser, path: str, minutes: str = "10") -> str:
    """The path of the trace that the form begins."""
    answer = await browser.post(path, {"minutes": minutes}, **EN)
    assert answer.code == 303, text(answer)
    return answer.headers["Location"]


async def see(ps: PlatformScope, own: Business, path: str, *packets: TracedPacket) -> None:
    """A worker hands over packets."""
    await traces.add(ps, await traces.get(own.scope, path.rpartition("/")[2]), packets)


def packet(way: str, kind: str, **values: object) -> TracedPacket:
    return TracedPacket(time.time(), way, "203.0.113.7:40000", kind, 17, 123, **values)  # type: ignore[arg-type]


ASKED = packet("in", "Access-Request", attributes=[("User-Name", f"alice{HTML}", 5), ("User-Password", None, 16)])


async def test_a_device_is_traced_from_its_page(boss: Browser, admin: str, own: Business, ps: PlatformScope) -> None:
    path = f"{admin}/nas/{own.nas['_id']}"
    assert f'href="{path}/trace"' in text(await boss.get(path, **EN))
    assert 'value="10"' in text(await boss.get(f"{path}/trace", **EN))
    trace = await begun(boss, f"{path}/trace")
    page = text(await boss.get(trace, **EN))
    assert "East gate" in page and "No packet yet" in page and "every 2s" in page and "packets?after=0" in page
    await see(ps, own, trace, ASKED, packet("drop", "Access-Request", reason="bad_authenticator", hidden=True))
    page = text(await boss.get(f"{trace}/packets?after=0", **EN))
    for words in ("Access-Request", "203.0.113.7:40000", "alice&lt;b&gt;", "not shown, 16 octets", "packets?after=2"):
        assert words in page, words
    assert "Wrong shared secret" in page and "Copy the shared secret" in page and "does not prove" in page
    assert "User-Name" not in text(await boss.get(f"{trace}/packets?after=1", **EN))
    answer = await boss.get(f"{trace}/text", **EN)
    assert (
        answer.headers["Content-Type"].startswith("text/plain")
        and "attachment" in answer.headers["Content-Disposition"]
    )
    assert "    User-Name = alice<b>x</b>\n    User-Password = not shown, 16 octets\n" in text(answer)
    stopped = await boss.post(f"{trace}/stop", {}, **EN)
    assert stopped.code == 303
    page = text(await boss.get(trace, **EN))
    assert "Ended at" in page and "every 2s" not in page and "203.0.113.7" in page
    log = await own.scope.db.audit.find({"target": trace.rpartition("/")[2]})
    assert [(entry["action"], entry["target_name"]) for entry in log] == [
        ("trace.stop", "East gate"),
        ("trace.start", "East gate"),
    ]
    assert log[1]["changes"]["minutes"] == [None, 10] and log[1]["actor_name"] == own.email


async def test_an_account_is_traced_from_its_page(boss: Browser, admin: str, own: Business) -> None:
    path = f"{admin}/accounts/{own.account['_id']}"
    assert f'href="{path}/trace"' in text(await boss.get(path, **EN))
    trace = await begun(boss, f"{path}/trace", "60")
    assert "alice" in text(await boss.get(trace, **EN))
    (running,) = await traces.running(own.scope)
    assert (running.username, running.nas_id, running.tenant_id) == ("alice", "", own.id)
    assert round(running.until - running.started_at) == 3600
    assert await begun(boss, f"{path}/trace") == trace, "the one that runs"


async def test_only_the_last_packets_are_kept(
    boss: Browser, admin: str, own: Business, ps: PlatformScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "KEPT", 3)
    trace = await begun(boss, f"{admin}/nas/{own.nas['_id']}/trace")
    await see(ps, own, trace, *(packet("in", "Access-Request") for _ in range(5)))
    found = await traces.packets(own.scope, trace.rpartition("/")[2])
    assert [each.number for each in found] == [3, 4, 5]
    assert await traces.packets(own.scope, trace.rpartition("/")[2], after=5) == []


async def test_what_cannot_be_begun(boss: Browser, admin: str, own: Business, ps: PlatformScope) -> None:
    path = f"{admin}/nas/{own.nas['_id']}/trace"
    for minutes in ("0", "61", "x", "-5", HTML):
        assert (await boss.post(path, {"minutes": minutes}, **EN)).code == 422, minutes
    assert await traces.running(own.scope) == []
    for number in range(traces.AT_ONCE):
        device = await nas.create(own.scope, nas.NasForm(name=f"traced {number}", vendor="standard"))
        await begun(boss, f"{admin}/nas/{device['_id']}/trace")
    refused = await boss.post(path, {"minutes": "10"}, **EN)
    assert refused.code == 409 and "3 traces run already" in text(refused) and "traced 2" in text(refused)
    for after in ("x", "-1", "1" * 13):
        trace = (await traces.running(own.scope))[0]
        assert (await boss.get(f"{admin}/traces/{trace.id}/packets?after={after}", **EN)).code == 400


async def test_another_tenants_trace_does_not_exist(
    boss: Browser, admin: str, own: Business, ps: PlatformScope
) -> None:
    foreign = await make_business(ps, "foreign")
    theirs = await traces.start_nas(foreign.scope, foreign.nas["_id"], traces.TraceForm())
    await traces.add(ps, theirs, [ASKED])
    for path in ("", "/packets?after=0", "/text"):
        assert (await boss.get(f"{admin}/traces/{theirs.id}{path}", **EN)).code == 404
    assert (await boss.post(f"{admin}/traces/{theirs.id}/stop", {}, **EN)).code == 404
    assert (await traces.get(foreign.scope, theirs.id)).running
    assert theirs.id not in text(await boss.get(f"{admin}/nas/{own.nas['_id']}/trace", **EN))
    assert (await boss.post(f"{admin}/nas/{foreign.nas['_id']}/trace", {"minutes": "1"}, **EN)).code == 404
    assert (await boss.post(f"{admin}/accounts/{foreign.account['_id']}/trace", {"minutes": "1"}, **EN)).code == 404


async def test_a_reader_may_not_trace(web: str, ps: PlatformScope, own: Business, admin: str) -> None:
    reading = [p for p in Permission if p.endswith(":read")]
    group = await operators.create_group(own.scope, operators.GroupForm(name="tracers", permissions=reading))
    browser = await operator_browser(web, ps, own, "looker", group["_id"])
    trace = await traces.start_nas(own.scope, own.nas["_id"], traces.TraceForm())
    assert "/trace" not in text(await browser.get(f"{admin}/nas/{own.nas['_id']}", **EN))
    for path in (f"nas/{own.nas['_id']}/trace", f"traces/{trace.id}", f"traces/{trace.id}/text"):
        assert (await browser.get(f"{admin}/{path}", **EN)).code == 403
