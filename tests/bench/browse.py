"""The console of a data set's first tenant, read page by page by one reader.

It fills in a session for each account, lets one account of ten end within a week, serves the console, says "ready",
then answers each line on its input, "accounts 2.0", with a line of JSON: {"rate": pages a second, "p50", "p99":
microseconds, "seconds", "count"}. The reader is part of the process: what it takes to fetch a page is measured with it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from itertools import count

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from saas import config
from saas.commands import opened
from saas.handlers.app import make_app, serve
from saas.tenants import accounting, demo, login
from saas.tenants.accounting import AcctEvent, Row
from saas.tenants.platform import tenant_by_slug
from saas.tenants.scope import SYSTEM, PlatformScope, Scope
from saas.values import from_epoch

_SLUG = "t0000"
_PORTION = 1000  # sessions
_STRIDE = 4001  # a prime: who comes next is found elsewhere
_ALIKE = 100  # accounts whose names begin alike
_ENDS = 10  # accounts of which one ends within a week
_FAR = 99  # pages
_DAY = 86_400


async def fill(scope: Scope) -> int:
    """A session that has ended for each account, and an end within days for some; how many accounts there are."""
    device = (await scope.db.nas.find({}, limit=1))[0]
    after, number, now = "", 0, time.time()
    there = await scope.db.sessions.one({}) is not None
    writing = asyncio.create_task(asyncio.sleep(0))  # the portion before, while the next one is made
    while rows := await scope.db.accounts.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=_PORTION):
        if not there:
            made = [_session(scope, device["_id"], row, number + k, now) for k, row in enumerate(rows)]
            soon, ends = [row["_id"] for row in rows[::_ENDS]], from_epoch(now + 3 * _DAY + number % _DAY)
            await writing
            writing = asyncio.create_task(_write(scope, made, soon, ends))
        after, number = rows[-1]["_id"], number + len(rows)
    await writing
    return number


async def _write(scope: Scope, made: list[Row], soon: list[str], ends: datetime) -> None:
    await scope.db.sessions.insert_many(made)
    await scope.db.accounts.update_many({"_id": {"$in": soon}}, {"$set": {"expires_at": ends}})


def _session(scope: Scope, nas_id: str, account: Row, number: int, now: float) -> Row:
    at = now - 30 * _DAY + number
    event = AcctEvent(
        tenant_id=scope.tenant_id,
        nas_id=nas_id,
        status="stop",
        session_id=f"s{number:07d}",
        username=account["username"],
        at=at,
        received=at,
        session_time=600,
        input_octets=number,
        output_octets=number * 9,
        terminate_cause="User-Request",
        framed_ip=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        calling_station_id=f"AA-BB-{number >> 16 & 255:02X}-{number >> 8 & 255:02X}-{number & 255:02X}-01",
    )
    row = accounting.begin(event)
    row |= {"account_id": account["_id"], "member_id": account["member_id"], "plan_id": account["plan_id"]}
    return row | {"search": accounting.search_texts(row)}


class Reader:
    """Somebody who is logged in and reads."""

    def __init__(self, scope: Scope, base: str, cookie: str, accounts: list[str], number: int) -> None:
        """`accounts`: the ids of some of `number`."""
        self._scope, self._base, self._cookie, self._ids = scope, base, cookie, accounts
        self._client = AsyncHTTPClient()
        self._numbers = count(1)
        self._far: dict[str, str] = {}
        self.pages: dict[str, Callable[[], str]] = {
            "home": lambda: "",
            "home_counted": lambda: "",
            "accounts": lambda: "/accounts",
            "accounts_far": lambda: self._far["accounts"],
            "accounts_found": lambda: f"/accounts?q=u{self._next() % (number // _ALIKE):04d}",
            "ending": lambda: "/accounts?status=normal&expires=week&sort=expires_at",
            "account": lambda: f"/accounts/{self._ids[self._next() % len(self._ids)]}",
            "sessions": lambda: "/sessions",
            "sessions_far": lambda: self._far["sessions"],
            "sessions_found": lambda: f"/sessions?q=u{self._next() % 10_000:06d}",
            "search": lambda: f"/search?q=u{self._next() % 10_000:06d}",
        }

    async def prepare(self) -> None:
        """Turn to the hundredth page of the lists."""
        for name in ("accounts", "sessions"):
            path = f"/{name}"
            for _ in range(_FAR):
                link = re.findall(r'href="([^"]+after=[^"]+)"', await self.read(path))[-1].replace("&amp;", "&")
                path = link[link.index(f"/{name}?") :]
            self._far[name] = path

    async def read(self, path: str) -> str:
        """A page."""
        answer = await self._client.fetch(HTTPRequest(self._base + path, headers={"Cookie": f"session={self._cookie}"}))
        return answer.body.decode()

    async def measure(self, name: str, seconds: float) -> dict[str, float]:
        """One page after the other.

        The figures of the first page are counted before, or before each page: else it would be luck in which window the
        page's own count of every ten seconds falls.
        """
        took: list[float] = []
        await self._scope.kv.delete("figures")
        await self.read(self.pages["home"]())
        begun = time.perf_counter()
        while (elapsed := time.perf_counter() - begun) < seconds:
            if name == "home_counted":
                await self._scope.kv.delete("figures")
            at = time.perf_counter()
            await self.read(self.pages[name]())
            took.append((time.perf_counter() - at) * 1e6)
        took.sort()
        p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
        return {"rate": len(took) / elapsed, "p50": p50, "p99": p99, "seconds": elapsed, "count": len(took)}

    def _next(self) -> int:
        return next(self._numbers) * _STRIDE


async def _answer(ps: PlatformScope) -> None:
    tenant = await tenant_by_slug(ps, _SLUG)
    assert tenant is not None
    scope = ps.enter(tenant, SYSTEM)
    number = await fill(scope)
    form = login.LoginForm(login="datasets@example.com", password=demo.PASSWORD)
    cookie = await login.open_session(ps, await login.cloud(ps, form, "127.0.0.1"))
    server = serve(make_app(ps.services), "127.0.0.1", 0)
    port = next(iter(server._sockets.values())).getsockname()[1]
    some = await scope.db.accounts.find({}, limit=1000, fields=["_id"])
    reader = Reader(scope, f"http://127.0.0.1:{port}/t/{_SLUG}/admin", cookie, [row["_id"] for row in some], number)
    await reader.prepare()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, seconds = line.split()
        print(json.dumps(await reader.measure(name, float(seconds))), flush=True)


async def main() -> None:
    """Prepare, then answer lines until the input ends."""
    async with opened(config.load()) as ps:
        await _answer(ps)
