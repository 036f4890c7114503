"""The sessions of people who are logged in, in Redis: kept by their token, listed and ended by whom they belong to.

A session is a key that lives some hours from its last use on; a hash for each person says which sessions there are,
with where each was opened and by what. What is in the hash alone has ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from saas import security
from saas.kv import Kv
from saas.values import from_epoch

SECONDS = 12 * 3600  # from the last use on


class Signin(NamedTuple):
    """A session that is still good. `browser` is what it said of itself; `here`: the one that asks."""

    id: str
    address: str
    browser: str
    since: datetime
    seen: datetime
    here: bool


async def keep(kv: Kv, actor_id: str, value: Mapping[str, Any], address: str, browser: str) -> str:
    """Open a session; the token for its cookie."""
    token = security.new_token()
    await kv.put(_key(token), value, SECONDS)
    told = {"address": address, "browser": browser, "since": time.time()}
    await kv.hset(_all(actor_id), {security.token_hash(token): told}, SECONDS)
    return token


async def kept(kv: Kv, token: str) -> Any:
    """What was kept under a token, or None."""
    return await kv.get(_key(token)) if token else None


async def prolong(kv: Kv, actor_id: str, token: str) -> None:
    """It was used."""
    await kv.touch(SECONDS, _key(token), _all(actor_id))


async def close(kv: Kv, token: str) -> None:
    """End the session of a token."""
    await kv.delete(_key(token))


async def listing(kv: Kv, actor_id: str, token: str = "") -> list[Signin]:
    """A person's sessions, the last used first. Those that have ended are forgotten."""
    told = await kv.hgetall(_all(actor_id))
    left = dict(zip(told, await kv.left([f"session:{id}" for id in told]), strict=True))
    if gone := [id for id, seconds in left.items() if not seconds]:
        await kv.hdel(_all(actor_id), *gone)
    here, now = security.token_hash(token), time.time()
    found = [
        Signin(
            id=id,
            address=told[id]["address"],
            browser=told[id]["browser"],
            since=from_epoch(told[id]["since"]),
            seen=from_epoch(max(now - SECONDS + seconds, told[id]["since"])),
            here=id == here,
        )
        for id, seconds in left.items()
        if seconds
    ]
    return sorted(found, key=lambda each: each.seen, reverse=True)


async def end(kv: Kv, actor_id: str, id: str) -> None:
    """End one of a person's sessions; nothing happens when it is none of his."""
    if id in await kv.hgetall(_all(actor_id)):
        await kv.delete(f"session:{id}")
        await kv.hdel(_all(actor_id), id)


async def end_all(kv: Kv, actor_id: str, but: str = "") -> int:
    """End every session of a person, except the one of the token `but`; how many."""
    ids = [id for id in await kv.hgetall(_all(actor_id)) if id != security.token_hash(but)]
    if not ids:
        return 0
    ended = await kv.delete(*(f"session:{id}" for id in ids))
    await kv.hdel(_all(actor_id), *ids)
    return ended


def _key(token: str) -> str:
    return f"session:{security.token_hash(token)}"


def _all(actor_id: str) -> str:
    return f"sessions:{actor_id}"
