"""The only door to MongoDB: the fence, transactions, indexes and migrations.

A `Database` is opened with a fence, for instance ``{"tenant_id": "ten_…"}``. Every filter is ANDed with it, inserts
are stamped with it, and a filter or update that names a field of it is refused: forgetting the tenant is not possible
and choosing another one neither. The empty fence is the platform's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure

from saas.errors import Conflict, NotFound, Taken, Unavailable
from saas.schema import COLLECTIONS, Collection
from saas.values import utcnow

Filter = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]
T = TypeVar("T")

NEWEST: Sort = (("_id", -1),)
_STAGES = {"$match", "$group", "$sort", "$limit", "$project", "$count", "$unwind", "$set"}
_CODE = {"$where", "$function", "$accumulator"}


class FenceError(Exception):
    """Code tried to reach over the fence. Always a programming error, never user input."""


class Update(NamedTuple):
    """One update of a bulk: `change` holds update operators such as ``$set``."""

    filter: Filter
    change: Mapping[str, Any]
    upsert: bool = False


class Insert(NamedTuple):
    """One insert of a bulk."""

    doc: dict[str, Any]


class Replace(NamedTuple):
    """One row of a bulk, written whole over the one with its ``_id``, if that is still `version`."""

    doc: dict[str, Any]
    version: int


class Delete(NamedTuple):
    """One row of a bulk to be taken away, if it is still `version`."""

    id: str
    version: int


Op = Update | Insert | Replace | Delete


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except DuplicateKeyError as error:
        raise Taken(_taken_field(error.details)) from error
    except BulkWriteError as error:
        first = error.details["writeErrors"][0]
        if first["code"] != 11000:
            raise
        raise Taken(_taken_field(first)) from error
    except ConnectionFailure as error:
        raise Unavailable(store="mongo") from error


def _taken_field(details: Mapping[str, Any] | None) -> str:
    return str(list((details or {}).get("keyPattern") or {"_id": 1})[-1])


def _names(value: object) -> Iterator[str]:
    """Every key at any depth of a filter, update or pipeline."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _names(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            if not isinstance(inner, str):  # most are hundreds of ids
                yield from _names(inner)


class Table:
    """The rows of one collection that lie within the fence."""

    def __init__(self, rows: Any, collection: Collection, fence: Mapping[str, str], session: Any) -> None:
        self._rows = rows
        self._collection = collection
        self._fence = fence
        self._session = session

    def unique(self, field: str) -> bool:
        """Whether no two of our rows have the same value there."""
        return self._collection.unique({*self._fence, field})

    async def get(self, row_id: str) -> Any:
        """The row with this id. NotFound when it is not there, or not ours."""
        row = await self.one({"_id": row_id})
        if row is None:
            raise NotFound(id=row_id)
        return row

    async def one(self, filter: Filter, fields: Sequence[str] | None = None) -> Any:
        """The row that the filter finds, or None."""
        with _translated():
            return await self._rows.find_one(self._within(filter), fields, session=self._session)

    async def find(
        self,
        filter: Filter | None = None,
        *,
        sort: Sort = NEWEST,
        limit: int = 100,
        fields: Sequence[str] | None = None,
    ) -> list[Any]:
        """At most `limit` rows in the order of `sort`."""
        with _translated():
            cursor = self._rows.find(self._within(filter or {}), fields, session=self._session)
            return list(await cursor.sort(list(sort)).limit(limit).to_list(limit))

    async def among(self, ids: Iterable[str], fields: Sequence[str] | None = None) -> dict[str, Any]:
        """The rows with these ids, by id, in one query; those that are not there are left out."""
        wanted = sorted(set(ids))
        rows = await self.find({"_id": {"$in": wanted}}, limit=len(wanted), fields=fields) if wanted else []
        return {row["_id"]: row for row in rows}

    async def count(self, filter: Filter | None = None, limit: int = 10_000) -> int:
        """How many rows, counted no further than `limit`."""
        with _translated():
            return int(await self._rows.count_documents(self._within(filter or {}), limit=limit, session=self._session))

    async def aggregate(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The pipeline's result over our rows. Stages that read or write other collections are refused."""
        for stage in pipeline:
            if not set(stage) <= _STAGES:
                raise FenceError(f"stage {sorted(stage)} is not allowed")
        self._refuse_code(pipeline)
        # One first stage with both: not every server looks for an index behind it.
        head, rest = (pipeline[0]["$match"], pipeline[1:]) if pipeline and "$match" in pipeline[0] else ({}, pipeline)
        with _translated():
            cursor = self._rows.aggregate([{"$match": self._within(head)}, *rest], session=self._session)
            return list(await cursor.to_list(None))

    # writing

    async def insert(self, doc: Mapping[str, Any]) -> Any:
        """Add a row, stamped with the fence. Taken when a unique value is in use. Returns it as stored."""
        row = self._stamped(doc)
        with _translated():
            await self._rows.insert_one(row, session=self._session)
        return row

    async def insert_many(self, docs: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in one call; outside a transaction the ones before a refused one stay."""
        with _translated():
            await self._rows.insert_many([self._stamped(doc) for doc in docs], session=self._session)

    async def update(self, row_id: str, change: Mapping[str, Any], *, version: int | None = None) -> Any:
        """Change a row and return it as it is now; its `version` and `updated_at` move on.

        With `version`, only if it is still that one: else Conflict("changed"). NotFound when there is no such row.
        """
        self._check_change(change)
        filter = self._within({"_id": row_id} | ({} if version is None else {"version": version}))
        merged = {**change, "$inc": {"version": 1, **change.get("$inc", {})}}
        merged["$set"] = {"updated_at": utcnow(), **change.get("$set", {})}
        with _translated():
            row = await self._changed(filter, merged)
        if row is None:
            await self.get(row_id)
            raise Conflict("changed", id=row_id)
        return row

    async def _changed(self, filter: dict[str, Any], change: Mapping[str, Any]) -> Any:
        """The row after the change, None when the filter finds none; nobody else's change comes in between.

        Within a transaction that takes two steps: not every server finds the row of one that does both by its id.
        """
        if self._session is None:
            return await self._rows.find_one_and_update(filter, change, return_document=pymongo.ReturnDocument.AFTER)
        result = await self._rows.update_one(filter, change, session=self._session)
        found = {"_id": filter["_id"], **self._fence}
        return await self._rows.find_one(found, session=self._session) if result.matched_count else None

    async def update_one(self, filter: Filter, change: Mapping[str, Any], *, upsert: bool = False) -> bool:
        """Change the first row that the filter finds, conditionally; True when one was found or made."""
        self._check_change(change)
        with _translated():
            result = await self._rows.update_one(
                self._within(filter), dict(change), upsert=upsert, session=self._session
            )
        return bool(result.matched_count or result.upserted_id is not None)

    async def update_many(self, filter: Filter, change: Mapping[str, Any]) -> int:
        """Change every row that the filter finds; how many were found."""
        self._check_change(change)
        with _translated():
            result = await self._rows.update_many(self._within(filter), dict(change), session=self._session)
        return int(result.matched_count)

    async def delete(self, row_id: str) -> None:
        """Remove a row. NotFound when there is none."""
        if not await self.delete_many({"_id": row_id}):
            raise NotFound(id=row_id)

    async def delete_many(self, filter: Filter) -> int:
        """Remove every row that the filter finds; how many."""
        self._refuse_append_only()
        with _translated():
            result = await self._rows.delete_many(self._within(filter), session=self._session)
        return int(result.deleted_count)

    async def bulk(self, ops: Sequence[Op], *, ordered: bool = True) -> int:
        """Many writes in one call; how many rows were found, changed, made or taken away."""
        if not ops:
            return 0
        with _translated():
            result = await self._rows.bulk_write([self._op(op) for op in ops], ordered=ordered, session=self._session)
        return int(result.matched_count + result.upserted_count + result.inserted_count + result.deleted_count)

    # the fence

    def _op(self, op: Op) -> Any:
        if isinstance(op, Insert):
            return pymongo.InsertOne(self._stamped(op.doc))
        if isinstance(op, Replace):
            self._refuse_append_only()
            return pymongo.ReplaceOne(
                self._within({"_id": op.doc["_id"], "version": op.version}), self._stamped(op.doc)
            )
        if isinstance(op, Delete):
            self._refuse_append_only()
            return pymongo.DeleteOne(self._within({"_id": op.id, "version": op.version}))
        self._check_change(op.change)
        return pymongo.UpdateOne(self._within(op.filter), dict(op.change), upsert=op.upsert)

    def _within(self, filter: Filter) -> dict[str, Any]:
        self._refuse_code(filter)
        self._refuse_fence_fields(filter)
        return {**filter, **self._fence}

    def _stamped(self, doc: Mapping[str, Any]) -> dict[str, Any]:
        if not self._fence and isinstance(doc, dict):
            return doc  # as it is: rows are large and many
        for field, value in self._fence.items():
            if doc.get(field, value) != value:
                raise FenceError(f"a row with {field}={doc[field]!r} is outside the fence")
        return {**doc, **self._fence}

    def _check_change(self, change: Mapping[str, Any]) -> None:
        if change.keys() != {"$set"} or not set(change["$set"]) <= set(self._collection.later):
            self._refuse_append_only()
        if not change or not all(key.startswith("$") for key in change):
            raise FenceError("an update holds operators only")
        for fields in change.values():
            self._refuse_fence_fields(fields)

    def _refuse_append_only(self) -> None:
        if self._collection.append_only:
            raise FenceError("rows of this collection never change")

    def _refuse_fence_fields(self, value: object) -> None:
        if not self._fence:
            return
        for name in _names(value):
            if name.partition(".")[0] in self._fence:
                raise FenceError(f"{name} is set by the fence")

    @staticmethod
    def _refuse_code(value: object) -> None:
        for name in _names(value):
            if name in _CODE:
                raise FenceError(f"{name} runs code in the store")


class Database:
    """The collections as one fence shows them: ``db.nas``, ``db.accounts`` …"""

    def __init__(self, client: Any, name: str, fence: Mapping[str, str], session: Any = None) -> None:
        self._client = client
        self._name = name
        self._fence = dict(fence)
        self._session = session

    def __getattr__(self, name: str) -> Table:
        collection = COLLECTIONS.get(name)
        if collection is None:
            raise AttributeError(name)
        if not set(self._fence) <= set(collection.fence):
            raise FenceError(f"{name} has no {sorted(set(self._fence) - set(collection.fence))}")
        return Table(self._client[self._name][name], collection, self._fence, self._session)

    def behind(self, fence: Mapping[str, str]) -> Database:
        """This database, within the same transaction, behind a fence. An empty value, which would fence nothing, is
        refused, and so is a second fence.
        """
        if self._fence or not fence or not all(fence.values()):
            raise FenceError("a fence needs a value for every field, and is put up once")
        return Database(self._client, self._name, fence, self._session)

    async def transaction(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Run `work` with a database whose writes happen together or not at all.

        It may run more than once: a conflict with another writer is repeated. Within a transaction it joins that one.
        Who is cancelled meanwhile waits for its end: the driver would abort it beside a statement that is under way.
        """
        if self._session is not None:
            return await work(self)
        task = asyncio.ensure_future(self._transact(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            task.exception()
            raise

    async def _transact(self, work: Callable[[Database], Awaitable[T]]) -> T:
        with _translated():
            async with await self._client.start_session() as session:

                async def run(bound: Any) -> T:
                    return await work(Database(self._client, self._name, self._fence, bound))

                result: T = await session.with_transaction(run)
                return result


class Store:
    """One connection pool to one MongoDB database, for the whole process."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    @classmethod
    async def open(cls, url: str, name: str = "") -> Store:
        """Connect to a database: `name`, or the one that the URL names, or "openpns". Unavailable when the server does
        not answer within a few seconds.
        """
        # a write is acknowledged when it survives the loss of any one server
        safe: dict[str, Any] = {"w": "majority", "journal": True}
        client: Any = AsyncIOMotorClient(url, tz_aware=True, serverSelectionTimeoutMS=5000, appname="openpns", **safe)
        with _translated():
            await client.admin.command("ping")
        return cls(client, name or str(client.get_default_database("openpns").name))

    def fenced(self, fence: Mapping[str, str]) -> Database:
        """The database behind a fence; an empty value would fence nothing and is refused."""
        return self.platform().behind(fence)

    def platform(self) -> Database:
        """The database without a fence: for PlatformScope only."""
        return Database(self._client, self._name, {})

    async def prepare(self) -> None:
        """Create the indexes that are missing, drop former ones. Safe to repeat and to run side by side."""
        for name, collection in COLLECTIONS.items():
            await self._drop_former(name, collection.former)
            models = [
                pymongo.IndexModel(
                    list(index.keys),
                    name=index.name,
                    unique=index.unique,
                    **({"partialFilterExpression": dict(index.partial)} if index.partial else {}),
                    **({} if index.expire_after is None else {"expireAfterSeconds": index.expire_after}),
                )
                for index in collection.indexes
            ]
            if models:
                with _translated():
                    await self._client[self._name][name].create_indexes(models)

    async def _drop_former(self, name: str, former: Sequence[str]) -> None:
        rows = self._client[self._name][name]
        if not former:
            return
        with _translated():
            for index in sorted(set(former) & set(await rows.index_information())):
                with suppress(OperationFailure):  # somebody else drops it at this moment
                    await rows.drop_index(index)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()
