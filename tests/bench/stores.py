"""The stores of a data set: embedded in its folder, or databases of the servers that OPENPNS_MONGO_URL and
OPENPNS_REDIS_URL name, which must be empty before and are dropped afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pymongo
import redis

from saas.config import PREFIX
from saas.embedded import MONGO, VALKEY, recorded
from tests.bench.processes import SERVER_CORE, Refused, every, read

_LISTEN: Final = "0A"  # TCP's state in /proc/net/tcp
_sets = count()


class Stores:
    """Both stores of one data set, and what a bench wants to know of them."""

    def __init__(self, folder: Path) -> None:
        """Refused: a server that was given does not answer or holds something."""
        self._folder = folder
        number = next(_sets)
        self._mongo = _given("MONGO", f"openpns_bench_{number}")
        base = urlsplit(os.environ.get(f"{PREFIX}REDIS_URL", "")).path.strip("/") or "0"
        self._redis = _given("REDIS", str(int(base) + number))
        try:
            full = [url for url in (self._mongo, self._redis) if url and self._size(url)]
        except (pymongo.errors.PyMongoError, redis.RedisError) as error:
            raise Refused(f"A store that was given does not answer: {error}.") from None
        if full:
            raise Refused(f"{urlsplit(full[0]).path} of the given server is not empty; name another one.")
        self._pids = {"mongo": _listening(self._mongo), "redis": _listening(self._redis)}
        self._cores = {pid: os.sched_getaffinity(pid) for pids in self._pids.values() for pid in pids}
        for pid in self._cores:
            _pin(pid, {SERVER_CORE})

    def environment(self) -> dict[str, str]:
        """The settings that name them."""
        urls = {"MONGO": self._mongo, "REDIS": self._redis}
        return {f"{PREFIX}{name}_URL": url for name, url in urls.items()}

    def roles(self) -> dict[str, Sequence[int]]:
        """The processes of given servers on this machine; embedded ones are the data set's own."""
        return {role: pids for role, pids in self._pids.items() if pids}

    def backlog(self) -> int:
        """How many groups of accounting were answered and are not applied."""
        with redis.Redis.from_url(self._redis or self._embedded("valkey", VALKEY.url)) as client:
            return sum(client.xlen(name) for name in client.scan_iter("*:acct", _type="STREAM"))

    def sessions(self) -> int:
        """How many sessions have been stored."""
        with _mongo(self._mongo or self._embedded("mongo", MONGO.url)) as client:
            database = client.get_default_database("openpns")
            return sum(database[name].estimated_document_count() for name in ("online", "sessions"))

    def drop(self) -> None:
        """Empty what was given, and let it run where it ran."""
        if self._mongo:
            with _mongo(self._mongo) as client:
                client.drop_database(client.get_default_database())
        if self._redis:
            with redis.Redis.from_url(self._redis) as client:
                client.flushdb()
        for pid, cores in self._cores.items():
            _pin(pid, cores)

    def _embedded(self, name: str, url: str) -> str:
        return url.format(recorded(self._folder)["servers"][name]["port"])

    def _size(self, url: str) -> int:
        if url == self._redis:
            with redis.Redis.from_url(url) as client:
                return int(client.dbsize())
        with _mongo(url) as client:
            return len(client.get_default_database().list_collection_names())


def _mongo(url: str) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=3000)


def _given(name: str, database: str) -> str:
    """The URL of the environment with this database; "" when there is none."""
    url = os.environ.get(f"{PREFIX}{name}_URL", "")
    return urlsplit(url)._replace(path=f"/{database}").geturl() if url else ""


def _listening(url: str) -> list[int]:
    """The processes of this machine that listen on the port of a URL."""
    if not url or urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        return []
    port = f":{urlsplit(url).port or 0:04X}"
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    inodes = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(port) and line[3] == _LISTEN}
    return [pid for pid in every() if inodes & _files(pid)]


def _files(pid: int) -> set[str]:
    try:
        return {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


def _pin(pid: int, cores: set[int]) -> None:
    """Every thread of a process; those that it starts later follow."""
    for task in [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()] if read(pid, "stat") else []:
        with suppress(ProcessLookupError):  # a thread may end meanwhile
            os.sched_setaffinity(task, cores)
