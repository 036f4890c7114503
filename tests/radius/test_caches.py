"""What a worker remembers: accounts, host names, notes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from saas.errors import Unavailable
from saas.radius import logins as logins_module
from saas.radius.logins import Logins, Name
from saas.radius.names import INTERVAL, Names, resolve
from saas.radius.notes import Notes
from saas.tenants.access import LoginRecord
from saas.tenants.nas import Device
from saas.tenants.refusals import Refusal, UnknownNas
from tests.radius.test_identify import dynamic, fixed


def record(tenant_id: str, username: str) -> LoginRecord:
    return LoginRecord(
        tenant_id=tenant_id,
        account_id=f"acc_{username}",
        username=username,
        status="normal",
        sealed_password=b"",
        nt_hash=bytes(16),
        plan_id="plan_1",
        plan_name="Plan",
        nas_ids=frozenset(),
        expires_at=None,
        concurrency=0,
        up_rate=0,
        down_rate=0,
        address_pool="",
        static_ip="",
        interim_interval=300,
        max_session_time=0,
    )


class Accounts:
    """A store of accounts that counts how often it is asked; `during` runs while an answer is under way."""

    def __init__(self, *names: Name) -> None:
        self.names = set(names)
        self.asked: list[list[Name]] = []
        self.away = False

    async def fetch(self, names: list[Name]) -> dict[Name, LoginRecord]:
        self.asked.append(names)
        if self.away:
            raise Unavailable
        await self.during()
        return {name: record(*name) for name in names if name in self.names}

    async def during(self) -> None:
        return None


# accounts


async def test_accounts_are_fetched_once_and_together() -> None:
    store = Accounts(("t", "alice"), ("u", "alice"))
    cache = Logins(store.fetch)
    names = [("t", "alice"), ("u", "alice"), ("t", "nobody"), ("t", "alice")]
    found = await cache.fetch(names, 0.0)
    assert store.asked == [[("t", "alice"), ("u", "alice"), ("t", "nobody")]]
    assert found["u", "alice"].record == record("u", "alice")
    assert found["t", "nobody"].record is None
    await cache.fetch(names, 1.0)
    assert len(store.asked) == 1


async def test_accounts_grow_old_and_strangers_sooner() -> None:
    store = Accounts(("t", "alice"))
    cache = Logins(store.fetch)
    await cache.fetch([("t", "alice"), ("t", "nobody")], 100.0)
    assert cache.get(("t", "alice"), 100.0 + logins_module.MAX_AGE - 1) is not None
    assert cache.get(("t", "alice"), 100.0 + logins_module.MAX_AGE) is None
    assert cache.get(("t", "nobody"), 100.0 + logins_module.MAX_AGE_NOBODY) is None


async def test_a_change_forgets_the_account_or_the_tenant_and_nobody_else() -> None:
    names = [("t", "alice"), ("t", "bob"), ("u", "alice")]
    cache = Logins(Accounts(*names).fetch)

    async def kept_after(change: str) -> list[Name]:
        await cache.fetch(names, 0.0)
        if change == "account":
            cache.account_changed("t", "alice")
        elif change == "tenant":
            cache.tenant_changed("t")
        else:
            cache.suspect(1.0)
        return [name for name in names if cache.get(name, 0.0)]

    assert await kept_after("account") == [("t", "bob"), ("u", "alice")]
    assert await kept_after("tenant") == [("u", "alice")]
    assert await kept_after("everything") == []


@pytest.mark.parametrize("change", ["account", "tenant", "everything"])
async def test_what_changed_while_it_was_fetched_is_not_kept(change: str) -> None:
    store = Accounts(("t", "alice"))
    cache = Logins(store.fetch)

    async def during() -> None:
        if change == "account":
            cache.account_changed("t", "alice")
        elif change == "tenant":
            cache.tenant_changed("t")
        else:
            cache.suspect(0.0)

    store.during = during  # type: ignore[method-assign]
    found = await cache.fetch([("t", "alice")], 0.0)
    assert found["t", "alice"].record is not None
    assert cache.get(("t", "alice"), 0.0) is None


async def test_guessing_names_at_one_tenant_empties_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins_module, "NOBODIES", 10)
    known: list[Name] = [("t", "alice"), ("u", "alice")]
    cache = Logins(Accounts(*known).fetch, limit=3)
    await cache.fetch(known, 0.0)
    guesses: Sequence[Name] = [("t", f"guess-{number}") for number in range(50)]
    await cache.fetch(guesses, 0.0)
    assert all(cache.get(name, 0.0) is not None for name in known)
    assert sum(cache.get(name, 0.0) is not None for name in guesses) == 10


async def test_the_number_of_accounts_is_bounded_and_the_largest_tenant_gives_way() -> None:
    small: list[Name] = [("s", "alice"), ("s", "bob")]
    large: list[Name] = [("l", f"user-{number}") for number in range(100)]
    cache = Logins(Accounts(*small, *large).fetch, limit=20)
    await cache.fetch(small, 0.0)
    for name in large:
        await cache.fetch([name], 0.0)
    assert all(cache.get(name, 0.0) is not None for name in small)
    assert cache.get(large[-1], 0.0) is not None
    assert len(cache) == sum(cache.get(name, 0.0) is not None for name in [*small, *large]) <= 20


async def test_a_store_that_is_away_leaves_strangers_unknown(expect_log: Callable[[str], None]) -> None:
    expect_log("accounts cannot be read")
    store = Accounts(("t", "alice"))
    store.away = True
    cache = Logins(store.fetch)
    assert await cache.fetch([("t", "alice")], 0.0) == {}
    assert cache.get(("t", "alice"), 0.0) is None


async def test_a_store_that_is_back_is_noticed_however_often_strangers_ask(expect_log: Callable[[str], None]) -> None:
    """Their tries while it is left alone do not put off the next question."""
    expect_log("accounts cannot be read")
    store = Accounts(("t", "alice"))
    store.away = True
    cache = Logins(store.fetch)
    assert await cache.fetch([("t", "alice")], 0.0) == {}
    store.away = False
    rest = logins_module.PATIENCE + logins_module.RETRY
    for step in range(10):
        assert await cache.fetch([("t", "alice")], rest * step / 10) == {}
    assert len(store.asked) == 1
    assert (await cache.fetch([("t", "alice")], rest))[("t", "alice")].record is not None


async def test_accounts_that_are_known_outlive_an_absent_store_for_an_hour(expect_log: Callable[[str], None]) -> None:
    expect_log("accounts cannot be read")
    name = ("t", "alice")
    store = Accounts(name)
    cache = Logins(store.fetch)
    await cache.fetch([name], 0.0)
    store.away = True
    old = logins_module.MAX_AGE + 1
    assert cache.get(name, old) is None, "asked for first"
    assert (await cache.fetch([name], old))[name].record is not None
    assert cache.get(name, old + 0.1) is not None, "and then not asked for again for a while"
    assert len(store.asked) == 2
    assert await cache.fetch([name], logins_module.MAX_AGE_AWAY + 1) == {}
    store.away = False
    assert (await cache.fetch([name], logins_module.MAX_AGE_AWAY + 60))[name].record is not None


async def test_a_store_that_answers_nonsense_keeps_nobody_out_who_is_known(expect_log: Callable[[str], None]) -> None:
    expect_log("accounts were not read")
    store = Accounts(("t", "alice"))
    cache = Logins(store.fetch)
    await cache.fetch([("t", "alice")], 0.0)

    async def refuse() -> None:
        raise RuntimeError("no space left")

    store.during = refuse  # type: ignore[method-assign]
    old = logins_module.MAX_AGE + 1
    found = await cache.fetch([("t", "alice"), ("t", "bob")], old)
    assert [name for _, name in found] == ["alice"], "of a stranger nothing is known"
    assert cache.get(("t", "alice"), old) is None, "asked for again the next time"


async def test_a_store_that_hangs_is_as_good_as_away(
    monkeypatch: pytest.MonkeyPatch, expect_log: Callable[[str], None]
) -> None:
    expect_log("accounts cannot be read")
    monkeypatch.setattr(logins_module, "PATIENCE", 0.01)
    name = ("t", "alice")
    store = Accounts(name)
    cache = Logins(store.fetch)
    await cache.fetch([name], 0.0)
    cache.suspect(1.0)

    async def hang() -> None:
        await asyncio.Event().wait()

    store.during = hang  # type: ignore[method-assign]
    assert (await cache.fetch([name], 2.0))[name].record is not None


# host names


class Dns:
    """A name server whose answers a test sets."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = frozenset(addresses)
        self.asked: list[str] = []

    async def resolve(self, name: str) -> frozenset[str]:
        self.asked.append(name)
        return self.addresses


def watching(dns: Dns, *names: str) -> Names:
    made = Names(dns.resolve)
    for name in names:
        made.put(dynamic(name))
    return made


async def test_a_real_name_is_resolved() -> None:
    names = Names()
    names.put(dynamic("gate", ddns="localhost"))
    assert await names.refresh(0.0) == ["nas_gate"]
    assert "127.0.0.1" in names.addresses("nas_gate")


async def test_a_name_that_is_none_resolves_to_nothing() -> None:
    assert await resolve("not a host name") == frozenset()
    assert await resolve("x" * 300) == frozenset()


async def test_names_are_resolved_only_when_due() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    assert await names.refresh(0.0) == ["nas_one"]
    names.put(dynamic("one"))
    names.put(dynamic("two"))
    assert await names.refresh(INTERVAL - 1) == ["nas_two"]
    assert dns.asked == ["one.example.net", "two.example.net"]
    assert await names.refresh(INTERVAL) == []
    assert dns.asked[2:] == ["one.example.net"]


async def test_the_last_address_stays_good_for_one_interval() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    await names.refresh(0.0)
    dns.addresses = frozenset({"198.51.100.2"})
    assert await names.refresh(INTERVAL) == ["nas_one"]
    assert names.addresses("nas_one") == {"198.51.100.1", "198.51.100.2"}
    assert await names.refresh(2 * INTERVAL) == ["nas_one"]
    assert names.addresses("nas_one") == {"198.51.100.2"}


async def test_a_name_that_does_not_resolve_keeps_what_it_had() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    await names.refresh(0.0)
    dns.addresses = frozenset()
    for turn in range(1, 4):
        await names.refresh(turn * INTERVAL)
    assert names.addresses("nas_one") == {"198.51.100.1"}


async def test_another_name_and_another_device_begin_anew() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    await names.refresh(0.0)
    dns.addresses = frozenset({"198.51.100.2"})
    names.put(dynamic("one", ddns="other.example.net"))
    assert names.addresses("nas_one") == frozenset()
    assert await names.refresh(1.0) == ["nas_one"]
    assert names.addresses("nas_one") == {"198.51.100.2"}
    names.put(fixed("one"))
    assert names.addresses("nas_one") == frozenset()
    assert await names.refresh(2.0) == []


@pytest.mark.parametrize("now", [dynamic("one", ddns="other.example.net"), fixed("one"), None])
async def test_what_changes_while_a_name_is_being_resolved_is_not_undone(now: Device | None) -> None:
    class Slow(Dns):
        async def resolve(self, name: str) -> frozenset[str]:
            names.put(now) if now else names.remove("nas_one")
            return self.addresses

    names = watching(Slow("198.51.100.1"), "one")
    assert await names.refresh(0.0) == []
    assert names.addresses("nas_one") == frozenset()


# notes


def test_unknown_devices_are_counted_and_bounded() -> None:
    notes = Notes("shared", limit=2)
    for _ in range(3):
        notes.unknown_nas("198.51.100.1", "x" * 100, "unknown_nas", 5.0)
    for number in range(10):
        notes.unknown_nas(f"198.51.100.{number + 2}", "", "unknown_nas", 6.0)
    taken = notes.take()
    assert taken[0] == UnknownNas("shared", "198.51.100.1", "x" * 64, "unknown_nas", count=3, at=5.0)
    assert len(taken) == 2
    assert notes.take() == []


def test_a_storm_of_refusals_at_one_tenant_hides_nobody_elses() -> None:
    notes = Notes("shared", tenant_limit=2)
    for number in range(5):
        notes.refused(refusal("loud", f"user-{number}"))
    notes.refused(refusal("quiet", "alice"))
    assert [(note.tenant_id, note.username) for note in notes.take() if isinstance(note, Refusal)] == [
        ("loud", "user-0"),
        ("loud", "user-1"),
        ("quiet", "alice"),
    ]


def refusal(tenant_id: str, username: str) -> Refusal:
    return Refusal(tenant_id, "nas_1", username, "", "password", {}, "pap", "", "198.51.100.1", 5.0)
