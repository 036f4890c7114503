"""The only door to Redis: sessions, limits, leases, streams and the news of changes.

Keys of a tenant begin with ``t:<tenant_id>:`` (TenantKv). What all processes share has a prefix of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha1
from typing import Any, NamedTuple

import redis.asyncio as redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from saas.errors import Unavailable
from saas.scripts import Broken, ReplyError, ScriptConnection, packed

_CHANGES = "changes"
_PATIENCE = 5.0  # seconds that an answer may take
_RETRY = 1.0  # seconds until a server that took longer is asked again
_CLOCK = 60.0  # seconds between questions for the server's time
_AWAY = ("OOM ", "READONLY ", "MISCONF ", "LOADING ")  # refusals of a server that takes nothing at present

# Count a hit in a fixed window that starts at the first one; the answer is [count, milliseconds left].
_HIT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {n, redis.call('PTTL', KEYS[1])}
"""
# Take or prolong a lease, unless another holds it.
_LEASE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Change(NamedTuple):
    """Something cached elsewhere is stale: an "account", "nas", "plan", "tenant", "pool" or "trace"; `key` its id or
    name.
    """

    kind: str
    tenant_id: str
    key: str


class Entry(NamedTuple):
    """One entry of a stream: its id, and the octets appended."""

    id: str
    data: bytes


@contextmanager
def _translated() -> Iterator[None]:
    """The client's errors as ours. A server that refuses every write, its memory or disk full, is as good as away."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise Unavailable(store="redis") from error
    except ResponseError as error:
        if not isinstance(error, OutOfMemoryError | ReadOnlyError) and not str(error).startswith("MISCONF"):
            raise
        raise Unavailable(store="redis") from error


def _refuse(answer: Any) -> None:
    """Raise what a server refuses with, Unavailable where it takes nothing at present."""
    if not isinstance(answer, ReplyError):
        return
    if str(answer).startswith(_AWAY):
        raise Unavailable(store="redis") from answer
    raise answer


class Kv:
    """One connection pool to Redis, for the whole process."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._hit = client.register_script(_HIT)
        self._lease = client.register_script(_LEASE)
        self._release = client.register_script(_RELEASE)
        self._digests: dict[str, str] = {}
        self._scripts: ScriptConnection | None = None
        self._opening = asyncio.Lock()
        self._away_until = 0.0
        self._set_at, self._ahead = -_CLOCK, 0.0  # when the server's clock was asked, and what it is ahead of ours

    @classmethod
    async def open(cls, url: str) -> Kv:
        """Connect. Unavailable when the server does not answer."""
        client = redis.from_url(url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=30)
        with _translated():
            await client.ping()
        return cls(client)

    async def close(self) -> None:
        """Close every connection."""
        if self._scripts is not None:
            await self._scripts.close()
        await self._client.aclose()

    def tenant(self, tenant_id: str) -> TenantKv:
        """The keys of one tenant."""
        return TenantKv(self, f"t:{tenant_id}:")

    # values

    async def get(self, key: str) -> Any:
        """The JSON value of a key, or None."""
        with _translated():
            text = await self._client.get(key)
        return None if text is None else json.loads(text)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        """Store a JSON value for `ttl` seconds."""
        with _translated():
            await self._client.set(key, json.dumps(value), px=int(ttl * 1000))

    async def touch(self, ttl: float, *keys: str) -> None:
        """Let keys live `ttl` seconds from now."""
        with _translated():
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.pexpire(key, int(ttl * 1000))
                await pipe.execute()

    async def left(self, keys: Sequence[str]) -> list[float]:
        """The seconds that each of the keys has to live, 0 for those that are not there."""
        with _translated():
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.pttl(key)
                return [max(int(left), 0) / 1000 for left in await pipe.execute()]

    async def delete(self, *keys: str) -> int:
        """Forget keys; how many there were."""
        with _translated():
            return int(await self._client.delete(*keys))

    async def hset(self, key: str, values: Mapping[str, Any], ttl: float) -> None:
        """Set fields of a hash, JSON each, and let it live `ttl` seconds from now."""
        with _translated():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping={field: json.dumps(value) for field, value in values.items()})
                pipe.pexpire(key, int(ttl * 1000))
                await pipe.execute()

    async def hgetall(self, key: str) -> dict[str, Any]:
        """Every field of a hash."""
        with _translated():
            found = await self._client.hgetall(key)
        return {field.decode(): json.loads(value) for field, value in found.items()}

    async def hdel(self, key: str, *fields: str) -> None:
        """Remove fields of a hash."""
        with _translated():
            await self._client.hdel(key, *fields)

    # limits and leases

    async def hit(self, key: str, window: float) -> tuple[int, float]:
        """Count a hit: (hits in this window, seconds until it ends)."""
        with _translated():
            count, left = await self._hit(keys=[f"hit:{key}"], args=[int(window * 1000)])
        return int(count), max(int(left), 0) / 1000

    async def hits(self, key: str) -> tuple[int, float]:
        """What `hit` has counted so far, without counting."""
        with _translated():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.get(f"hit:{key}")
                pipe.pttl(f"hit:{key}")
                count, left = await pipe.execute()
        return int(count or 0), max(int(left), 0) / 1000

    async def lease(self, name: str, holder: str, ttl: float) -> bool:
        """Take or prolong the lease for `ttl` seconds; False while another holds it."""
        with _translated():
            return bool(await self._lease(keys=[f"lease:{name}"], args=[holder, int(ttl * 1000)]))

    async def release(self, name: str, holder: str) -> None:
        """Give the lease up, if it is ours."""
        with _translated():
            await self._release(keys=[f"lease:{name}"], args=[holder])

    # streams, lists, sets and scripts

    async def append(self, stream: str, entries: Sequence[bytes], keep: int) -> None:
        """Append to a stream that holds about `keep` entries: the oldest are forgotten."""
        with _translated():
            async with self._client.pipeline(transaction=False) as pipe:
                for data in entries:
                    pipe.xadd(stream, {"d": data}, maxlen=keep, approximate=True)
                await pipe.execute()

    async def oldest(
        self, streams: Sequence[str], count: int, wait: float, after: str = "0-0"
    ) -> dict[str, list[Entry]]:
        """The first `count` entries behind the id `after` of each stream that has any; waits `wait` seconds for one."""
        with _translated():
            if not streams:
                await asyncio.sleep(wait)
                return {}
            block = int(wait * 1000) or None  # 0 would wait for ever
            found = await self._client.xread(dict.fromkeys(streams, after), count=count, block=block)
        return {
            stream.decode(): [Entry(entry.decode(), values[b"d"]) for entry, values in entries]
            for stream, entries in found
        }

    async def drop(self, stream: str, ids: Sequence[str]) -> None:
        """Remove entries of a stream."""
        with _translated():
            await self._client.xdel(stream, *ids)

    async def length(self, stream: str) -> int:
        """How many entries a stream holds."""
        with _translated():
            return int(await self._client.xlen(stream))

    async def push(self, key: str, data: bytes, ttl: float) -> None:
        """Append to a list that is forgotten `ttl` seconds after its last addition."""
        with _translated():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.rpush(key, data)
                pipe.pexpire(key, int(ttl * 1000))
                await pipe.execute()

    async def pop(self, key: str, wait: float) -> bytes | None:
        """Take the first of a list, so that nobody else gets it; None when none came within `wait` seconds."""
        with _translated():
            found = await self._client.blpop([key], timeout=wait)
        return None if found is None else bytes(found[1])

    async def add(self, key: str, member: str) -> None:
        """Put a name into a set."""
        with _translated():
            await self._client.sadd(key, member)

    async def members(self, key: str) -> list[str]:
        """The names of a set, sorted."""
        with _translated():
            return sorted(member.decode() for member in await self._client.smembers(key))

    async def run(
        self, script: str, keys: Sequence[str], args: Sequence[str | bytes | int], patience: float = _PATIENCE
    ) -> Any:
        """Run a Lua script: nothing else happens in between. Its answer, texts as octets.

        Unavailable also when it takes longer than `patience` seconds, see `many`.
        """
        digest = self._digests.get(script)
        if digest is None:
            digest = self._digests[script] = sha1(script.encode()).hexdigest()
        words = (len(keys), *keys, *args)
        [answer] = await self._patiently(packed("EVALSHA", digest, *words), 1, patience)
        if isinstance(answer, ReplyError) and str(answer).startswith("NOSCRIPT"):
            [answer] = await self._patiently(packed("EVAL", script, *words), 1, patience)
        _refuse(answer)
        return answer

    async def many(self, commands: bytes, count: int, patience: float = _PATIENCE) -> list[Any]:
        """The answers to so many commands, `packed` one behind the other, texts as octets; those of others may be done
        between them.

        Unavailable also when it takes longer than `patience` seconds; then nothing is tried for a second, so that not
        everybody waits for a server that does not answer. As with the client, a connection that broke is made anew and
        all asked again: commands and scripts must bear that.
        """
        answers = await self._patiently(commands, count, patience)
        if ReplyError in set(map(type, answers)):
            _refuse(next(answer for answer in answers if isinstance(answer, ReplyError)))
        return answers

    async def now(self) -> float:
        """The server's clock in seconds, the same for all who ask it: asked once a minute, told by ours in between."""
        ours = asyncio.get_running_loop().time()
        if ours - self._set_at >= _CLOCK:
            [(seconds, micros)] = await self.many(packed("TIME"), 1, 1.0)
            self._set_at, self._ahead = ours, int(seconds) + int(micros) / 1e6 - ours
        return ours + self._ahead

    async def _patiently(self, commands: bytes, count: int, patience: float) -> list[Any]:
        clock = asyncio.get_running_loop().time
        if clock() < self._away_until:
            raise Unavailable(store="redis")
        try:
            with _translated():
                async with asyncio.timeout(patience):
                    try:
                        return await (await self._connected()).ask(commands, count)
                    except Broken:
                        return await (await self._connected()).ask(commands, count)
        except Unavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                self._away_until = clock() + _RETRY
            raise

    async def _connected(self) -> ScriptConnection:
        """The connection for scripts, opened where there is none that can be used."""
        if self._scripts is None or not self._scripts.usable:
            async with self._opening:
                if self._scripts is None or not self._scripts.usable:  # somebody else may have been first
                    opened = self._client.connection_pool.make_connection()
                    await opened.connect()
                    self._scripts = ScriptConnection(opened)
        return self._scripts

    # news of changes

    async def publish_change(self, kind: str, tenant_id: str, key: str) -> None:
        """Tell every process that something it may have cached has changed."""
        await self.tell(_CHANGES, [kind, tenant_id, key])

    async def changes(self) -> AsyncIterator[Change]:
        """The changes from now on, for ever. Unavailable when the connection is lost: what came meanwhile is missed."""
        async for change in self.news(None):
            if change is not None:
                yield change

    async def news(self, pause: float | None) -> AsyncIterator[Change | None]:
        """Like `changes`, and None once nothing can be missed any more and whenever `pause` seconds were quiet."""
        async for told in self.told(_CHANGES, pause):
            yield None if told is None else Change(*told)

    async def tell(self, channel: str, value: Any) -> None:
        """Tell a JSON value to whoever listens to the channel at this moment."""
        with _translated():
            await self._client.publish(channel, json.dumps(value))

    async def told(self, channel: str, pause: float | None) -> AsyncIterator[Any]:
        """What is told from now on, for ever, and None once it listens and whenever `pause` seconds were quiet.

        Unavailable when the connection is lost: what came meanwhile is missed.
        """
        with _translated():
            async with self._client.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                while True:
                    message = await pubsub.get_message(timeout=pause)
                    heard = message is not None and message["type"] == "message"
                    yield json.loads(message["data"]) if heard else None


class TenantKv:
    """The keys of one tenant; nothing here can name another tenant's."""

    def __init__(self, kv: Kv, prefix: str) -> None:
        self._kv = kv
        self._prefix = prefix

    async def get(self, key: str) -> Any:
        """See Kv.get."""
        return await self._kv.get(self._prefix + key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        """See Kv.put."""
        await self._kv.put(self._prefix + key, value, ttl)

    async def delete(self, *keys: str) -> int:
        """See Kv.delete."""
        return await self._kv.delete(*(self._prefix + key for key in keys))

    async def hgetall(self, key: str) -> dict[str, Any]:
        """See Kv.hgetall."""
        return await self._kv.hgetall(self._prefix + key)

    async def hit(self, key: str, window: float) -> tuple[int, float]:
        """See Kv.hit."""
        return await self._kv.hit(self._prefix + key, window)

    async def hits(self, key: str) -> tuple[int, float]:
        """See Kv.hits."""
        return await self._kv.hits(self._prefix + key)
